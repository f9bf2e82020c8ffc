//! Times the expression engine beside the API server's own, and prints the section of the page.
//!
//! Here: both sides in turns, on one thread each, and their ratios. Not here: what is run
//! (`cases`), the other side's loops (conformance/oracle/bench.go).
//! Invariant: both sides run the same expressions over the same object in the same run, and every
//! verdict is checked to be true before it is timed.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command whose output is the page, and that says how far it is"
)]

mod cases;

use allocation_counter::measure;
use anyhow::{Context as _, Result, bail, ensure};
use bailiff_cel::admission::{BUDGET, Bindings, Optional, environment};
use bailiff_cel::{Env, Evaluation, NEWEST_RELEASE, Program, Value};
use cases::{Case, Policy, cases};
use clap::Parser;
use serde_json::{Value as Json, json};
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long one side runs before it is the other's turn.
const TURN: Duration = Duration::from_millis(40);
/// What is asked for: so many times as fast on the first case.
const BOUND: f64 = 10.0;

/// Times expressions beside the API server's engine; prints Markdown.
#[derive(Parser)]
struct Arguments {
    /// The API server's engine, as hack/oracle.sh builds it.
    #[arg(long)]
    peer: PathBuf,
    /// How often each side has its turn.
    #[arg(long, default_value_t = 25)]
    rounds: usize,
}

/// The other side.
struct Peer {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(program: &PathBuf) -> Result<Self> {
        let mut child = Command::new(program)
            .arg("--bench")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let orders = child.stdin.take().context("no input")?;
        let answers = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self {
            child,
            orders,
            answers,
        })
    }

    fn ask(&mut self, order: &Json) -> Result<Json> {
        writeln!(self.orders, "{order}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Json = serde_json::from_str(&line)?;
        if let Some(error) = answer["error"].as_str() {
            bail!("the API server's engine: {error}");
        }
        Ok(answer)
    }

    /// Nanoseconds and allocations of one run of several.
    fn time(&mut self, what: &str, times: u32) -> Result<Sample> {
        let answer = self.ask(&json!({"do": what, "times": times}))?;
        let each = |field: &str| answer[field].as_f64().map(|n| n / f64::from(times));
        Ok(Sample {
            ns: each("ns").context("no time")?,
            allocations: each("allocations").context("no allocations")?,
        })
    }

    fn stop(mut self) -> Result<()> {
        drop(self.orders);
        self.child.wait()?;
        Ok(())
    }
}

/// One run, as the mean of several.
#[derive(Clone, Copy)]
struct Sample {
    ns: f64,
    allocations: f64,
}

fn sampled(times: u32, mut run: impl FnMut() -> Result<()>) -> Result<Sample> {
    let mut outcome = Ok(());
    let mut took = Duration::ZERO;
    let counted = measure(|| {
        let started = Instant::now();
        outcome = (0..times).try_for_each(|_| run());
        took = started.elapsed();
    });
    outcome?;
    #[expect(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        reason = "far fewer than 2^52"
    )]
    let allocations = counted.count_total as f64 / f64::from(times);
    Ok(Sample {
        ns: took.as_secs_f64() * 1e9 / f64::from(times),
        allocations,
    })
}

/// A policy, compiled.
struct Compiled {
    env: Env,
    programs: Vec<Program>,
}

fn compile(policy: &Policy) -> Result<Compiled> {
    let mut env = environment(NEWEST_RELEASE, Optional::default());
    for (name, text) in &policy.variables {
        env.define(name, text)?;
    }
    let programs = policy.validations.iter().map(|text| env.compile(text));
    let programs = programs.collect::<Result<_, _>>()?;
    Ok(Compiled { env, programs })
}

fn run(policies: &[Compiled], object: &Json) -> Result<()> {
    let bindings = Bindings {
        object: Some(black_box(object)),
        ..Bindings::default()
    };
    for policy in policies {
        let mut evaluation = Evaluation::new(&policy.env, &bindings, BUDGET);
        for program in &policy.programs {
            let verdict = evaluation.run(program)?;
            ensure!(
                matches!(verdict, Value::Bool(true)),
                "{} is not true",
                program.source()
            );
        }
    }
    Ok(())
}

/// How many runs fill a turn.
fn number(one: Sample) -> u32 {
    let turn = TURN.as_secs_f64() * 1e9;
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and a million"
    )]
    let times = (turn / one.ns.max(1.0)).clamp(1.0, 1e6) as u32;
    times
}

/// Both sides in turns; the medians of both.
fn compare(
    rounds: usize,
    peer: &mut Peer,
    what: &str,
    mut ours: impl FnMut() -> Result<()>,
) -> Result<(Sample, Sample)> {
    // The first turns warm both up and say how many runs fill one.
    let first = peer.time(what, 20)?;
    let theirs_times = number(peer.time(what, number(first))?);
    let first = sampled(20, &mut ours)?;
    let our_times = number(sampled(number(first), &mut ours)?);
    let (mut theirs, mut own) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        theirs.push(peer.time(what, theirs_times)?);
        own.push(sampled(our_times, &mut ours)?);
    }
    Ok((median(theirs)?, median(own)?))
}

fn median(mut samples: Vec<Sample>) -> Result<Sample> {
    samples.sort_by(|a, b| a.ns.total_cmp(&b.ns));
    let middle = samples.get(samples.len() / 2);
    middle.copied().context("nothing was measured")
}

fn row(what: &str, (theirs, ours): (Sample, Sample)) -> f64 {
    let ratio = theirs.ns / ours.ns;
    println!(
        "| {what} | {:.2} | {:.2} | **{ratio:.1}** | {:.0} | {:.0} |",
        theirs.ns / 1000.0,
        ours.ns / 1000.0,
        theirs.allocations,
        ours.allocations
    );
    eprintln!("{what}: {ratio:.1} times as fast");
    ratio
}

fn timed(
    arguments: &Arguments,
    peer: &mut Peer,
    case: &Case,
) -> Result<(Vec<Compiled>, (Sample, Sample))> {
    peer.ask(&json!({"do": "load", "policies": case.policies, "object": case.object}))
        .with_context(|| case.name)?;
    let policies: Vec<_> = case
        .policies
        .iter()
        .map(compile)
        .collect::<Result<_>>()
        .with_context(|| case.name)?;
    run(&policies, &case.object).with_context(|| case.name)?;
    let both = compare(arguments.rounds, peer, "run", || {
        run(&policies, &case.object)
    })?;
    Ok((policies, both))
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut peer = Peer::start(&arguments.peer)?;
    println!("## Expressions beside the API server's engine\n");
    println!(
        "The same expressions over the same Pod, one thread on each side, {} turns of {} ms each, \
         medians. The peer is `ForInput` of k8s.io/apiserver v0.37.2 with its costs counted. \
         Microseconds, and how many times as fast.\n",
        arguments.rounds,
        TURN.as_millis()
    );
    println!("| | API server | Bailiff | times | allocations there | here |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut bounded = 0.0;
    let mut all_faster = true;
    for (index, case) in cases().iter().enumerate() {
        let (policies, both) = timed(&arguments, &mut peer, case)?;
        let ratio = row(case.name, both);
        all_faster &= ratio > 1.0;
        if index > 0 {
            continue;
        }
        bounded = ratio;
        let text = serde_json::to_string(&case.object)?;
        let both = compare(arguments.rounds, &mut peer, "text", || {
            run(&policies, &serde_json::from_str(black_box(&text))?)
        })?;
        all_faster &= row("the same from JSON text to verdict", both) > 1.0;
        let both = compare(arguments.rounds, &mut peer, "compile", || {
            for policy in &case.policies {
                black_box(compile(policy)?);
            }
            Ok(())
        })?;
        all_faster &= row("the same policy compiled, with its environment", both) > 1.0;
        let both = compare(arguments.rounds, &mut peer, "environment", || {
            black_box(environment(NEWEST_RELEASE, Optional::default()));
            Ok(())
        })?;
        all_faster &= row("the environment of a policy alone", both) > 1.0;
    }
    let verdict = |met: bool| if met { "met" } else { "MISSED" };
    println!(
        "\n- at least {BOUND:.0} times as fast on the restricted set: {bounded:.1} times, {}",
        verdict(bounded >= BOUND)
    );
    println!("- faster everywhere: {}", verdict(all_faster));
    peer.stop()
}
