//! What reading a layer costs beside inflating it with the same library.
//!
//! Here: the measurement. Not here: a bound, since a test has no clock that it can rely on.
//! Invariant: both read the same bytes, in one process, in turn.

use crate::archive::{Member, archive};
use crate::generated::{Random, gzip};
use bailiff_oci::layer::{Layer, Limits};
use bailiff_oci::tree::Tree;
use flate2::read::MultiGzDecoder;
use std::io::Read;
use std::time::{Duration, Instant};

/// A layer of this number of files of 20 KB that compress to about a third.
fn layer(files: usize) -> Vec<u8> {
    let mut random = Random(1);
    let members: Vec<_> = (0..files)
        .map(|number| {
            let mut content = Vec::new();
            while content.len() < 20_000 {
                let word = random.below(5_000);
                content.extend_from_slice(format!("word{word} ").as_bytes());
            }
            Member::file(format!("usr/lib/part{}/file{number}", number % 97), content)
        })
        .collect();
    archive(&members)
}

fn drain(reader: &mut impl Read) -> u64 {
    let mut buffer = vec![0; 64 << 10];
    let mut total = 0;
    loop {
        match reader.read(&mut buffer).unwrap() {
            0 => return total,
            read => total += u64::try_from(read).unwrap(),
        }
    }
}

fn iterate(bytes: &[u8], reads_content: bool) -> u64 {
    let mut layer = Layer::new(bytes, &Limits::default());
    let mut tree = Tree::new(&Limits::default());
    let mut ordinal = 0;
    while let Some(entry) = layer.next().unwrap() {
        if reads_content {
            assert_eq!(drain(&mut layer.content()), entry.size);
        }
        tree.apply(ordinal, &entry).unwrap();
        ordinal += 1;
    }
    layer.unpacked()
}

/// Prints the least time of each of five rounds.
#[test]
#[ignore = "a measurement: cargo test --release -p bailiff-oci --test layers -- --ignored --nocapture"]
fn reading_a_layer_beside_inflating_it() {
    let plain = layer(5_000);
    let packed = gzip(&plain);
    let length = u64::try_from(plain.len()).unwrap();
    drop(plain);
    let mut least = [Duration::MAX; 3];
    for _ in 0..5 {
        for (way, least) in least.iter_mut().enumerate() {
            let began = Instant::now();
            let total = match way {
                0 => drain(&mut MultiGzDecoder::new(&*packed)),
                1 => iterate(&packed, false),
                _ => iterate(&packed, true),
            };
            *least = began.elapsed().min(*least);
            assert_eq!(total, length);
        }
    }
    let [inflated, iterated, read] = least.map(|time| time.as_secs_f64());
    eprintln!(
        "{length} bytes from {}: inflated in {inflated:.3} s; entries {:.2} times, with content {:.2} times",
        packed.len(),
        iterated / inflated,
        read / inflated
    );
}
