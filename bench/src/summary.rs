//! Percentiles and the page that they stand on.
//!
//! Here: numbers and words. Not here: measuring (`main`).
//! Invariant: a bound and whether it was met stand on the same line.

use crate::attack::REST;
use anyhow::{Context as _, Result};
use std::time::Duration;

/// What design asks for: exec to Eviction at p99.
const BOUND_MS: f64 = 50.0;
/// And at most so many times one creation of an object in the same run.
const BOUND_CREATES: f64 = 6.0;

/// And at p50 and p95 at most so many times what a bare client needs.
const BOUND_FLOOR: f64 = 1.5;

/// How many times as long as the bare client: the medians of the runs' ratios.
pub(crate) struct TimesFloor {
    p50: f64,
    p95: f64,
}

impl TimesFloor {
    /// Of the execs and the floors of each run.
    pub(crate) fn of(execs: Vec<Vec<Duration>>, floors: &[Vec<Duration>]) -> Result<Self> {
        let (mut p50, mut p95) = (Vec::new(), Vec::new());
        for (execs, floors) in execs.into_iter().zip(floors) {
            let (execs, floors) = (Summary::of(execs)?, Summary::of(floors.clone())?);
            p50.push(execs.p50 / floors.p50);
            p95.push(execs.p95 / floors.p95);
        }
        let median = |mut ratios: Vec<f64>| {
            ratios.sort_by(f64::total_cmp);
            ratios.get(ratios.len() / 2).copied()
        };
        let missing = "nothing was measured beside the bare client";
        Ok(Self {
            p50: median(p50).context(missing)?,
            p95: median(p95).context(missing)?,
        })
    }
}

/// Percentiles, in milliseconds.
pub(crate) struct Summary {
    number: usize,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

impl Summary {
    /// Of durations; there must be some.
    pub(crate) fn of(mut taken: Vec<Duration>) -> Result<Self> {
        taken.sort();
        let at = |percent: usize| -> Result<f64> {
            let index = (taken.len() * percent).div_ceil(100).saturating_sub(1);
            let found = taken.get(index).context("nothing was measured")?;
            Ok(found.as_secs_f64() * 1000.0)
        };
        Ok(Self {
            number: taken.len(),
            p50: at(50)?,
            p95: at(95)?,
            p99: at(99)?,
            max: at(100)?,
        })
    }

    fn row(&self, what: &str) -> String {
        format!(
            "| {what} | {} | {:.1} | {:.1} | {:.1} | {:.1} |\n",
            self.number, self.p50, self.p95, self.p99, self.max
        )
    }
}

/// One run.
pub(crate) struct Measured {
    pub(crate) execs: usize,
    /// Shells of all ways.
    pub(crate) wanted: usize,
    pub(crate) pods: usize,
    pub(crate) incidents: usize,
    pub(crate) evicted: Summary,
    /// Exec to the Incident at a watcher, and from there to the Eviction.
    pub(crate) arrived: Summary,
    pub(crate) answered: Summary,
    /// The controller's two steps, as it logs them.
    pub(crate) read: Summary,
    pub(crate) request: Summary,
    /// Within how many milliseconds the API server served 99 of 100 Evictions, as it says itself;
    /// none: it did not say.
    pub(crate) served_within: Option<u64>,
    pub(crate) replaced: Summary,
    pub(crate) create: Summary,
    /// A bare client: object created, seen, pod evicted.
    pub(crate) floor: Summary,
    pub(crate) times_floor: TimesFloor,
    /// Exec to Eviction of shells that the application started; none: none were asked for.
    pub(crate) by_application: Option<Summary>,
    /// Exec to Eviction of those that came after a rest; none: none were asked for.
    pub(crate) rested: Option<Summary>,
    pub(crate) machine: String,
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

impl Measured {
    /// How many shells led to an eviction.
    pub(crate) fn all(&self) -> usize {
        let further = [&self.by_application, &self.rested];
        let further = further.into_iter().flatten().map(|of| of.number);
        self.evicted.number + further.sum::<usize>()
    }

    /// Whether each did.
    pub(crate) fn all_answered(&self) -> bool {
        self.all() == self.wanted
    }

    /// A line for each bound, with whether it was met.
    #[expect(
        clippy::format_push_string,
        reason = "a part of the page, written once"
    )]
    fn bounds(&self, ratio: f64) -> String {
        let mut page = String::new();
        for (name, times) in [("p50", self.times_floor.p50), ("p95", self.times_floor.p95)] {
            page += &format!(
                "\n- {name} at most {BOUND_FLOOR:.1} times the floor, median of the runs: {times:.2} times, {}",
                verdict(times <= BOUND_FLOOR)
            );
        }
        page += &format!(
            "\n- p99 under {BOUND_MS:.0} ms: {:.1} ms, {}\n",
            self.evicted.p99,
            verdict(self.evicted.p99 < BOUND_MS)
        );
        page += &format!(
            "- p99 at most {BOUND_CREATES:.0} times that of one create: {ratio:.1} times, {}\n",
            verdict(ratio <= BOUND_CREATES)
        );
        page += &format!(
            "- every shell responded to: {} of {}, {}\n",
            self.all(),
            self.wanted,
            verdict(self.all_answered())
        );
        page
    }

    /// The page.
    #[expect(clippy::format_push_string, reason = "one page, written once")]
    pub(crate) fn page(&self) -> String {
        let ratio = self.evicted.p99 / self.create.p99;
        let mut page = String::from("# Measured\n\nWritten by `make bench`.\n\n");
        page += &format!("Machine: {}\n\n## Exec to Eviction\n\n", self.machine);
        page += &format!(
            "{} shells by exec, each in a pod of its own, once the pod before was replaced, each waiting \
             for input until its pod goes; {} pods on two nodes of one machine, with a grace period of 30 s and a process that ends when it is asked to, cooldown off. {} Incidents, {} evictions. Milliseconds from the kernel's timestamp.\n\n",
            self.execs, self.pods, self.incidents, self.evicted.number
        );
        page += "| | number | p50 | p95 | p99 | most |\n| --- | --- | --- | --- | --- | --- |\n";
        page += &self.evicted.row("exec to Eviction accepted");
        page += &self.arrived.row("· exec to Incident at a watcher");
        page += &self.answered.row("· from there to Eviction accepted");
        page += &self
            .read
            .row("·· everything that the response depends on read, at once");
        page += &self.request.row("·· Eviction asked for and accepted");
        page += &self.replaced.row("exec to replacement Ready, at a watcher");
        page += &self
            .create
            .row("one object created (ConfigMap of 1 KiB, before each exec)");
        page += &self
            .floor
            .row("the floor: a bare client creates an object, sees it and evicts a pod");
        if let Some(by_application) = &self.by_application {
            page += &by_application
                .row("exec to Eviction accepted, of a shell that the application starts");
        }
        if let Some(rested) = &self.rested {
            let rest = REST.as_secs();
            page += &rested.row(&format!(
                "exec to Eviction accepted, after {rest} s without one"
            ));
        }
        page += &self.bounds(ratio);
        if self.evicted.p99 >= BOUND_MS || ratio > BOUND_CREATES {
            page += WHY;
            page += &format!(
                "\nA response is three writes one after another at least: the Incident, the condition, the \
                 deletion. Where one create takes {:.1} ms at p99, three as slow are {:.1} ms.\n",
                self.create.p99,
                3.0 * self.create.p99
            );
            let sooner = |within: &u64| {
                Duration::from_millis(*within).as_secs_f64() * 1000.0 < self.request.p99
            };
            if let Some(within) = self.served_within.filter(sooner) {
                page += &format!(
                    "\nThe API server itself counts 99 of 100 Evictions as served within {within} ms \
                     (`apiserver_request_duration_seconds`), where the controller waited {:.1} ms: the \
                     difference passes before the API server has read the request, and until the \
                     controller has read the response.\n",
                    self.request.p99
                );
            }
            if let Some(by_application) = &self.by_application {
                let less = by_application.p99 < 0.8 * self.evicted.p99;
                let is = if less { "is" } else { "is not" };
                page += &format!(
                    "\nA shell that the application starts is responded to within {:.1} ms at p99. Neither kubectl \
                     nor kubelet nor runtime works for it, so that their share of the cores {is} what \
                     makes the difference.\n",
                    by_application.p99
                );
            }
        }
        page
    }
}

/// Why a bound is missed, as the steps tell.
const WHY: &str = "\n## Why it takes so long\n\n\
    A response waits three times, one after another: the Incident is created and the watch brings \
    it to the controller; everything that the response depends on is read, all at once; the \
    Eviction is asked for. The Eviction holds the tail. The API server writes twice for it, the \
    pod's condition `DisruptionTarget` and then its deletion \
    (pkg/registry/core/pod/storage/eviction.go), and it does so on cores that the API server, etcd and two kubelets share with Bailiff.\n";

/// Processor, cores, kernel.
pub(crate) fn machine() -> Result<String> {
    let processors = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism()?;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!("{model}, {cores} cores, Linux {}", kernel.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let summary = Summary::of((1..=200).map(Duration::from_millis).collect()).unwrap();
        let have = (summary.p50, summary.p95, summary.p99, summary.max);
        assert!(have == (100.0, 190.0, 198.0, 200.0), "{have:?}");
        assert!(Summary::of(Vec::new()).is_err());
    }

    #[test]
    fn the_median_of_the_runs_counts() {
        let taken = |ms: u64| vec![Duration::from_millis(ms); 3];
        let floors = [taken(10), taken(10), taken(10)];
        let times = TimesFloor::of(vec![taken(12), taken(90), taken(14)], &floors).unwrap();
        assert!(
            (times.p50, times.p95) == (1.4, 1.4),
            "{} {}",
            times.p50,
            times.p95
        );
    }
}
