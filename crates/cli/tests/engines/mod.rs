//! Both engines: ours, and the API server's own.
//!
//! Here: asking them, reducing a difference to a small case. Not here: what they are asked
//! (`generator`, the kept files), what an answer is equal to (`answers`).
//! Invariant: a difference that is reported was answered twice, alone the second time.

pub(crate) mod answers;

use super::generator::Case;
use answers::{alike, answers, comparable, kind, not_compared, theirs};
use bailiff_cli::eval::{EvalArgs, run};
use clap::Parser as _;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::time::{Duration, Instant};

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    eval: EvalArgs,
}

/// The release whose environment is asked for, as 1.37.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Release(pub(crate) u32);

/// What was compared.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How many had a value, an error, a compiler's message.
    pub(crate) kinds: BTreeMap<&'static str, usize>,
    /// How many differ in another way each time that the API server's engine is asked, because a
    /// map has no order there, and in one of these ways from ours.
    pub(crate) by_order: usize,
    pub(crate) unlike: Vec<Case>,
}

impl Report {
    pub(crate) fn add(&mut self, other: Self) {
        for (kind, number) in other.kinds {
            *self.kinds.entry(kind).or_default() += number;
        }
        self.by_order += other.by_order;
        self.unlike.extend(other.unlike);
    }
}

fn ours(release: Release, input: &str) -> Vec<Json> {
    let version = format!("1.{}", release.0);
    let line = Line::parse_from(["eval", "--batch", "--kubernetes-version", &version]);
    let mut out = Vec::new();
    assert!(run(&line.eval, &mut Cursor::new(input), &mut out).unwrap());
    answers(std::str::from_utf8(&out).unwrap())
}

/// What both answer, at the same time.
fn both(release: Release, input: &str) -> (Vec<Json>, Vec<Json>) {
    std::thread::scope(|scope| {
        let theirs = scope.spawn(move || theirs(release.0, input));
        (ours(release, input), theirs.join().unwrap())
    })
}

fn input(cases: &[Case]) -> String {
    let lines: Vec<_> = cases.iter().map(|c| c.request().to_string()).collect();
    lines.join("\n") + "\n"
}

/// Which of the cases both answer in another way.
pub(crate) fn compare(release: Release, cases: &[Case]) -> Report {
    let mut report = Report::default();
    let (ours, theirs) = both(release, &input(cases));
    assert_eq!((ours.len(), theirs.len()), (cases.len(), cases.len()));
    for ((case, ours), theirs) in cases.iter().zip(&ours).zip(&theirs) {
        *report.kinds.entry(kind(theirs)).or_default() += 1;
        if not_compared(theirs) || alike(ours, theirs) {
            continue;
        }
        if is_order(release, case) {
            report.by_order += 1;
        } else {
            report.unlike.push(case.clone());
        }
    }
    report
}

/// Whether the API server's engine, asked often, answers in several ways, ours among them; of what
/// is in the order of a large map all ways are taken for one. Whether such an order is sorted is never
/// seen, so it is asked without.
fn is_order(release: Release, case: &Case) -> bool {
    let line = case.request().to_string() + "\n";
    let unsorted = line.replace(".isSorted()", "");
    let started = Instant::now();
    both(release, &line);
    let asked = often(started.elapsed());
    let (ours, theirs) = both(release, &line.repeat(asked));
    if unsorted != line && vary(&both(release, &unsorted.repeat(asked)).1, comparable) {
        return true;
    }
    let ours = comparable(&ours[0]);
    let theirs: Vec<_> = theirs.iter().map(comparable).collect();
    // In a loop around one each turn has its own order there, and all have one here: of the sum of
    // their costs no two are the same.
    if vary(&theirs, |answer| answer["cost"].clone())
        && theirs
            .iter()
            .any(|answer| without_cost(answer) == without_cost(&ours))
    {
        return true;
    }
    theirs.contains(&ours)
        || vary(&theirs, Json::clone) && theirs.iter().any(|answer| sorted(answer) == sorted(&ours))
}

/// How often the API server's engine is asked the same: as often as there is patience for what takes
/// so long once. However busy a machine is, it is often enough for an order that comes up once in a
/// few times.
fn often(once: Duration) -> usize {
    let fit = PATIENCE.as_millis() / once.as_millis().max(1);
    usize::try_from(fit).unwrap_or(ASKED).clamp(LEAST, ASKED)
}

/// How often at most.
const ASKED: usize = 200;

/// How often at least.
const LEAST: usize = 50;

/// Whether the answers to one question are several, as far as this is looked at.
fn vary(answers: &[Json], of: impl Fn(&Json) -> Json) -> bool {
    let first = of(&answers[0]);
    answers.iter().any(|answer| of(answer) != first)
}

fn without_cost(answer: &Json) -> Json {
    let mut answer = answer.clone();
    answer["cost"] = Json::Null;
    answer
}

/// The characters of an answer in one order.
fn sorted(answer: &Json) -> Vec<char> {
    let mut characters: Vec<_> = answer.to_string().chars().collect();
    characters.sort_unstable();
    characters
}

/// The first of the cases that differs, whatever the order of maps is.
fn unlike(release: Release, cases: &[Case]) -> Option<Case> {
    let (ours, theirs) = both(release, &input(cases));
    let differs = |(_, (ours, theirs)): &(&Case, (&Json, &Json))| {
        !not_compared(theirs) && !alike(ours, theirs)
    };
    let mut found = cases.iter().zip(ours.iter().zip(&theirs)).filter(differs);
    found
        .find(|(case, _)| !is_order(release, case))
        .map(|(case, _)| case.clone())
}

/// How many reductions are tried at once: what takes long is tried again in each of them.
const TRIED: usize = 25;

/// How long the same is asked, and how long is looked for a smaller case.
const PATIENCE: Duration = Duration::from_secs(20);

/// The smallest case that was found to differ still.
pub(crate) fn reduced(release: Release, case: &Case) -> Case {
    let started = Instant::now();
    let mut case = case.clone();
    while let Some(smaller) = case
        .reductions()
        .chunks(TRIED)
        .take_while(|_| started.elapsed() < PATIENCE)
        .find_map(|some| unlike(release, some))
    {
        case = smaller;
    }
    case
}

/// A case and what both say of it.
pub(crate) fn told(release: Release, case: &Case) -> String {
    let (ours, theirs) = both(release, &input(std::slice::from_ref(case)));
    format!(
        "{}\n  ours   {}\n  theirs {}",
        case.request(),
        comparable(&ours[0]),
        comparable(&theirs[0])
    )
}
