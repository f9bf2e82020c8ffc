//! What the page says of reviews.
//!
//! Here: medians of turns, ratios, and the bounds. Not here: measuring.
//! Invariant: a bound and whether it was met stand on the same line.

use crate::cases::{Kind, SIZES};
use crate::load::{CONNECTIONS, Timed, Turn};
use crate::stand_ins::REGISTRY_ANSWER;
use std::time::Duration;

/// What is asked for: at most so many times the always-allow handler's.
const BOUND: f64 = 3.0;

/// The turns of both sides.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) peer: Vec<Turn>,
    pub(crate) ours: Vec<Turn>,
}

/// Requests and connections at the registry: for a digest, for a tag, and for a digest that does not exist.
#[derive(Debug)]
pub(crate) struct Trips(pub(crate) Vec<(u64, u64)>);

/// Memory of the webhook, in MiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// With policies, and without any answer of a registry.
    pub(crate) started_with: f64,
    /// After all turns.
    pub(crate) before: f64,
    pub(crate) most: f64,
    pub(crate) after: f64,
    /// How many digests arrived.
    pub(crate) unknown: u64,
    /// How many of their pods were rejected.
    pub(crate) rejected: u64,
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of the turns' percentiles, in milliseconds; of the reviews that count.
fn percentile(turns: &[Turn], percent: usize, counts: fn(&Timed) -> bool) -> f64 {
    let of_turn = |turn: &Turn| {
        let counted = turn.reviews.iter().filter(|timed| counts(timed));
        let mut took: Vec<_> = counted.map(|timed| timed.took).collect();
        took.sort();
        let at = took.len().saturating_mul(percent) / 100;
        took.get(at.min(took.len().saturating_sub(1))).copied()
    };
    median(turns.iter().filter_map(of_turn).map(milliseconds).collect())
}

/// The median of the turns' CPU time for one review, in microseconds.
fn cpu(turns: &[Turn]) -> f64 {
    let each = turns.iter().map(|turn| turn.cpu.as_secs_f64() * 1e6);
    median(each.collect())
}

fn rate(turns: &[Turn]) -> f64 {
    median(turns.iter().map(|turn| turn.rate).collect())
}

const fn asks_nobody(timed: &Timed) -> bool {
    match timed.kind {
        Kind::Known => true,
        // The mutating entry asked.
        Kind::New => !timed.is_mutating,
        Kind::Tag => false,
    }
}

/// Reviews, and which of them count.
type Row = (&'static str, fn(&Timed) -> bool);

const ROWS: [Row; 6] = [
    ("all", |_| true),
    ("whose images are known", asks_nobody),
    ("· pods of 4 KiB", |timed| {
        asks_nobody(timed) && timed.size == SIZES[0]
    }),
    ("· pods of 20 KiB", |timed| {
        asks_nobody(timed) && timed.size == SIZES[1]
    }),
    (
        "with a tag, asked for again every 30 s, mutating",
        |timed| timed.kind == Kind::Tag && timed.is_mutating,
    ),
    ("with a new digest, mutating", |timed| {
        timed.kind == Kind::New && timed.is_mutating
    }),
];

/// Prints the section.
pub(crate) fn print(
    per_second: u32,
    length: Duration,
    paced: &Measured,
    fast: &[(usize, Measured)],
    trips: &Trips,
    memory: Memory,
) {
    println!("## Admission reviews\n");
    println!(
        "The webhook as `bailiff webhook` runs it, beside a handler on the same server that allows every review and decodes none: each in a process of its own on the machine that also sends the reviews and answers as registry. Pods of 4 and 20 KiB with one and three images, a mutating and a validating review for each, over {CONNECTIONS} connections (TLS, HTTP/1.1, kept open). 50 policies that apply to every pod: 20 with allowed repositories, 10 that require digests, 5 that pin, 15 with expressions. 2,000 digests are known; one of ten pods has a new digest, one of twenty a tag. Each answer of the registry takes {} ms. {} turns of each side in turn, medians of turns.\n",
        REGISTRY_ANSWER.as_millis(),
        paced.ours.len()
    );
    println!(
        "{per_second} reviews a second, turns of {} s. Milliseconds.\n",
        length.as_secs()
    );
    println!("| reviews | always-allow p50 | p99 | Bailiff p50 | p99 | times p50 | p99 |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (name, counts) in ROWS {
        let of = |turns: &[Turn], percent| percentile(turns, percent, counts);
        let [a, b, c, d] = [
            of(&paced.peer, 50),
            of(&paced.peer, 99),
            of(&paced.ours, 50),
            of(&paced.ours, 99),
        ];
        println!(
            "| {name} | {a:.2} | {b:.2} | {c:.2} | {d:.2} | {:.1} | {:.1} |",
            c / a,
            d / b
        );
    }
    println!(
        "\nAs fast as possible, turns of {} s. CPU time in microseconds.\n",
        length.as_secs() / 2
    );
    println!(
        "| | always-allow CPU a review | Bailiff | times | always-allow reviews a second | Bailiff | always-allow p99 (ms) | Bailiff |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let row = |name: &str, measured: &Measured| {
        let (peer, ours) = (&measured.peer, &measured.ours);
        println!(
            "| {name} | {:.0} | {:.0} | {:.1} | {:.0} | {:.0} | {:.1} | {:.1} |",
            cpu(peer),
            cpu(ours),
            cpu(ours) / cpu(peer),
            rate(peer),
            rate(ours),
            percentile(peer, 99, |_| true),
            percentile(ours, 99, |_| true)
        );
    };
    row(&format!("both sizes, {per_second} reviews a second"), paced);
    for (size, measured) in fast {
        row(&format!("pods of {} KiB", size / 1024), measured);
    }
    bounds(paced);
    print_trips(trips);
    print_memory(memory);
}

fn bounds(paced: &Measured) {
    println!();
    for (name, counts) in ROWS.into_iter().take(2) {
        for percent in [50, 99] {
            let times =
                percentile(&paced.ours, percent, counts) / percentile(&paced.peer, percent, counts);
            println!(
                "- p{percent} of reviews, {name}, at most {BOUND:.0} times the always-allow handler's: {times:.1} times, {}",
                verdict(times <= BOUND)
            );
        }
    }
    let times = cpu(&paced.ours) / cpu(&paced.peer);
    println!(
        "- CPU time a review at most {BOUND:.0} times the always-allow handler's: {times:.1} times, {}",
        verdict(times <= BOUND)
    );
}

fn print_trips(trips: &Trips) {
    println!(
        "\nWhat a pod with one new image costs at the registry, both reviews together; a connection is kept open.\n"
    );
    println!("| image | requests | new connections |");
    println!("| --- | --- | --- |");
    let names = [
        "a digest",
        "a tag, which is pinned",
        "a digest that does not exist",
    ];
    for (name, (requests, connections)) in names.into_iter().zip(&trips.0) {
        println!("| {name} | {requests} | {connections} |");
    }
}

fn print_memory(memory: Memory) {
    println!(
        "\nResident memory: {:.1} MiB with the policies and no answer of a registry, {:.1} MiB after all turns, at most {:.1} MiB while {} pods arrived with digests that do not exist ({} of them were rejected), {:.1} MiB afterwards.",
        memory.started_with,
        memory.before,
        memory.most,
        memory.unknown,
        memory.rejected,
        memory.after
    );
}
