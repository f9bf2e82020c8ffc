//! Measures the index of advisories, and `bailiff scan` beside osv-scanner, and prints the section of the page.
//!
//! Here: both sides in turns, and their ratios. Not here: the advisories and the packages (`data`).
//! Invariant: both sides match the same packages with the same advisories in the same run, offline.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command whose output is the page, and that says how far it is"
)]

mod data;

use anyhow::{Context as _, Result, ensure};
use bailiff_scan::index::Index;
use bailiff_scan::matching::match_packages;
use bailiff_scan::package::Package;
use clap::Parser;
use data::{Database, packages};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Packages that are matched.
const PACKAGES: usize = 500;
/// How many times the records the larger side has.
const TIMES: usize = 10;

/// Measures the index of advisories; prints Markdown.
#[derive(Parser)]
struct Arguments {
    /// Directory with advisories as OSV publishes them: a directory with all.zip for each ecosystem.
    #[arg(long)]
    advisories: PathBuf,
    /// The program `bailiff`.
    #[arg(long)]
    bailiff: PathBuf,
    /// The program osv-scanner, as hack/osv-scanner.sh prepares it. Without it, the comparison is left out.
    #[arg(long)]
    peer: Option<PathBuf>,
    /// How often each side has its turn.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let directory = tempfile::tempdir()?;
    eprintln!("building the indexes");
    let [one, ten] = [1, TIMES].map(|times| {
        Database::new(
            &arguments.advisories,
            times,
            &directory.path().join(times.to_string()),
        )
    });
    let (one, ten) = (one?, ten?);
    let packages = packages(&one, PACKAGES)?;
    println!("## Advisories\n");
    println!(
        "{} records of OSV, and {TIMES} times as many with other names. {PACKAGES} packages that they name.\n",
        one.records
    );
    let share = percent(one.index.len(), one.archives);
    println!("| | |\n| --- | --- |");
    println!("| index beside the archives that it is built from | {share} % |");
    let all = median(arguments.rounds * 5, || in_process(&one.index, &packages));
    println!(
        "| {PACKAGES} packages looked up and matched, with opening the index | {:.2} ms |",
        ms(all)
    );
    let single = packages
        .get(PACKAGES / 2..=PACKAGES / 2)
        .context("no packages")?;
    let (few, many) = alternately(
        arguments.rounds * 50,
        || in_process(&one.index, single),
        || in_process(&ten.index, single),
    );
    let growth = many.as_secs_f64() / few.as_secs_f64();
    println!("| opening and one package, {TIMES} times the records | {growth:.2} times |\n");
    said(
        "index at most half of the archives",
        share <= 50,
        &format!("{share} %"),
    );
    said(
        "500 packages in at most 10 ms",
        ms(all) <= 10.0,
        &format!("{:.2} ms", ms(all)),
    );
    said(
        "10 times the records at most 1.2 times the time",
        growth <= 1.2,
        &format!("{growth:.2} times"),
    );
    if let Some(peer) = &arguments.peer {
        beside(&arguments, peer, &packages, [&one, &ten])?;
    }
    Ok(())
}

/// The programs beside each other.
fn beside(
    arguments: &Arguments,
    peer: &Path,
    packages: &[Package],
    databases: [&Database; 2],
) -> Result<()> {
    println!(
        "\n`bailiff scan` beside osv-scanner, offline, whole processes, medians of {} turns.\n",
        arguments.rounds
    );
    println!("| records | osv-scanner | Bailiff | times | osv-scanner memory | Bailiff | times |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut results = Vec::new();
    for database in databases {
        let lists = database.write_lists(packages)?;
        let ours = || {
            let mut command = Command::new(&arguments.bailiff);
            command
                .args(["scan", "-o", "json", "--packages"])
                .arg(&lists.ours);
            command.arg("--index").arg(&database.index_path);
            command
        };
        let theirs = || {
            let mut command = Command::new(peer);
            command.args([
                "scan",
                "source",
                "--offline",
                "--format",
                "json",
                "--local-db-path",
            ]);
            command
                .arg(&database.directory)
                .arg("-L")
                .arg(&lists.theirs);
            command
        };
        // The most memory of all processes until now: ours are first, because theirs take more.
        let check = run(ours(), &[0])?;
        let our_memory = max_rss()?;
        ensure!(check.1.contains("\"findings\""), "bailiff found nothing");
        let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
        for _ in 0..arguments.rounds {
            our_times.push(run(ours(), &[0])?.0);
            // It fails with 1 if it finds something.
            let (time, output) = run(theirs(), &[1])?;
            ensure!(
                output.contains("\"vulnerabilities\""),
                "osv-scanner found nothing"
            );
            their_times.push(time);
        }
        let their_memory = max_rss()?;
        let (ours, theirs) = (middle(our_times), middle(their_times));
        let faster = theirs.as_secs_f64() / ours.as_secs_f64();
        let kib = |of: i64| f64::from(u32::try_from(of).unwrap_or(u32::MAX));
        let smaller = kib(their_memory) / kib(our_memory);
        println!(
            "| {} | {:.0} ms | {:.1} ms | {faster:.0} | {} MiB | {} MiB | {smaller:.0} |",
            database.records,
            ms(theirs),
            ms(ours),
            their_memory >> 10,
            our_memory >> 10,
        );
        results.push((faster, smaller));
    }
    println!();
    if let [(faster, smaller), (with_ten, _)] = results[..] {
        bounds(faster, smaller, with_ten);
    }
    Ok(())
}

/// Whether the bounds are met: how many times as fast and as small, and as fast with ten times the records.
fn bounds(faster: f64, smaller: f64, with_ten: f64) {
    said(
        "at least 20 times as fast",
        faster >= 20.0,
        &format!("{faster:.0} times"),
    );
    said(
        "at most a tenth of the memory",
        smaller >= 10.0,
        &format!("{smaller:.0} times"),
    );
    said(
        "at least 100 times as fast with ten times the records",
        with_ten >= 100.0,
        &format!("{with_ten:.0} times"),
    );
}

fn said(what: &str, is_met: bool, measured: &str) {
    let met = if is_met { "met" } else { "MISSED" };
    println!("- {what}: {measured}, {met}");
}

/// Opens an index and matches packages.
fn in_process(file: &[u8], packages: &[Package]) -> Duration {
    let started = Instant::now();
    let index = Index::open(file).expect("it was built");
    let wanted = packages
        .iter()
        .map(|of| (of.ecosystem.clone(), of.name.clone()));
    let advisories = index.advisories(wanted);
    let of = |ecosystem: &_, name: &_| advisories.get(ecosystem, name);
    black_box(match_packages(packages, of, None));
    started.elapsed()
}

/// Runs a program, and returns how long it ran and what it printed.
fn run(mut command: Command, codes: &[i32]) -> Result<(Duration, String)> {
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    let time = started.elapsed();
    let code = output.status.code();
    ensure!(
        code.is_some_and(|code| codes.contains(&code)),
        "{command:?} ended with {code:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok((time, String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// The most memory of a child process until now, in KiB.
fn max_rss() -> Result<i64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    ensure!(usage.user_time().num_microseconds() > 0, "no child ran");
    Ok(usage.max_rss())
}

fn median(rounds: usize, run: impl Fn() -> Duration) -> Duration {
    middle((0..rounds).map(|_| run()).collect())
}

fn alternately(
    rounds: usize,
    a: impl Fn() -> Duration,
    b: impl Fn() -> Duration,
) -> (Duration, Duration) {
    let (a, b): (Vec<_>, Vec<_>) = (0..rounds).map(|_| (a(), b())).unzip();
    (middle(a), middle(b))
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn percent(part: usize, of: u64) -> u64 {
    100 * part as u64 / of.max(1)
}
