//! Law: a version compares, or has an error that can be printed and that names the right one of the two. Every order
//! is reflexive and antisymmetric, and except for Maven's transitive.
//!
//! An input is a scheme's number and three versions with tabs between them.

#![no_main]

use bailiff_scan::version::{Operand, Scheme};
use libfuzzer_sys::fuzz_target;
use std::cmp::Ordering;

/// The most memory that comparing takes, in bytes, however long the texts are.
const MEMORY: u64 = 128 << 10;

fuzz_target!(|text: &str| {
    let mut fields = text.split('\t');
    let number: usize = fields
        .next()
        .and_then(|field| field.parse().ok())
        .unwrap_or_default();
    let scheme = Scheme::ALL[number % Scheme::ALL.len()];
    let [a, b, c] = [(); 3].map(|()| fields.next().unwrap_or_default());
    let taken = allocation_counter::measure(|| drop(scheme.compare(a, b)));
    assert!(taken.bytes_total < MEMORY, "{} bytes", taken.bytes_total);

    let [is_a, is_b, is_c] = [a, b, c].map(|text| match scheme.compare(text, text) {
        Ok(order) => {
            assert_eq!(order, Ordering::Equal);
            true
        }
        Err(error) => {
            assert_eq!(error.operand(), Operand::First);
            printable(&error.to_string());
            false
        }
    });
    match scheme.compare(a, b) {
        Ok(order) => {
            assert!(is_a && is_b);
            assert_eq!(scheme.compare(b, a), Ok(order.reverse()));
            if is_c && scheme != Scheme::Maven {
                transitive(scheme, order, [a, b, c]);
            }
        }
        Err(error) => match error.operand() {
            Operand::First => assert!(!is_a),
            Operand::Second => assert!(is_a && !is_b),
        },
    }
});

fn transitive(scheme: Scheme, a_to_b: Ordering, [a, b, c]: [&str; 3]) {
    let b_to_c = scheme.compare(b, c).expect("both are versions");
    let a_to_c = scheme.compare(a, c).expect("both are versions");
    if a_to_b == b_to_c || a_to_b.is_eq() || b_to_c.is_eq() {
        assert_eq!(a_to_c, a_to_b.then(b_to_c), "{a} {b} {c}");
    }
}

fn printable(message: &str) {
    assert!(message.len() <= 300, "{message}");
    assert!(
        message.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
        "{message}"
    );
}
