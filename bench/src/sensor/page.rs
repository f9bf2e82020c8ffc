//! What the page says of the cost of observing processes.
//!
//! Here: medians of turns, ratios, and the bounds. Not here: measuring.
//! Invariant: a bound and whether it was met stand on the same line.

use crate::programs::PROGRAMS;

/// What is asked for: each program at most so many times what it costs with nobody who reads.
const PROGRAM_BOUND: f64 = 1.5;
/// Most microseconds of CPU time of the sensor for an exec, without a policy.
const CPU_BOUND: f64 = 15.0;
/// How much slower the loop is at most, in percent, without a policy.
const LOOP_BOUND: f64 = 10.0;

/// What the loop costs, in microseconds a start.
#[derive(Debug)]
pub(crate) struct Cost {
    /// Of each turn without the sensor.
    pub(crate) off: Vec<f64>,
    /// Of each turn with it.
    pub(crate) on: Vec<f64>,
    /// CPU time of the sensor, of each turn.
    pub(crate) cpu: Vec<f64>,
    /// One run of each program.
    pub(crate) programs: Vec<f64>,
    pub(crate) lost: u64,
    pub(crate) evaluated_all: bool,
}

impl Default for Cost {
    fn default() -> Self {
        Self {
            off: Vec::new(),
            on: Vec::new(),
            cpu: Vec::new(),
            programs: Vec::new(),
            lost: 0,
            evaluated_all: true,
        }
    }
}

impl Cost {
    fn slower_percent(&self) -> f64 {
        (median(&self.on) / median(&self.off) - 1.0) * 100.0
    }
}

/// The highest rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flood {
    pub(crate) started: u64,
    /// By the sensor.
    pub(crate) counted: u64,
    pub(crate) lost: u64,
}

/// Everything that was measured; costs and floods without policies and with the library's.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) starts: u32,
    pub(crate) turns: usize,
    pub(crate) seconds: u64,
    pub(crate) unread: Vec<f64>,
    pub(crate) costs: Vec<Cost>,
    pub(crate) floods: Vec<Flood>,
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

const WHICH: [&str; 2] = ["without a policy", "with the library's policies"];

impl Page {
    pub(crate) fn print(&self) {
        println!("## Processes that are observed\n");
        println!(
            "A static program that starts itself {} times, one after another, in a container with the root directory and \
             the cgroup of a pod, {} turns with the sensor and without it in turn, medians. The sensor runs as `bailiff \
             sensor` does, beside an API server that answers its lists and is silent then; every exec is evaluated. \
             Microseconds.\n",
            self.starts, self.turns
        );
        println!(
            "| | one start, no sensor | with the sensor | slower | CPU time of the sensor for an exec |"
        );
        println!("| --- | --- | --- | --- | --- |");
        for (which, cost) in WHICH.iter().zip(&self.costs) {
            println!(
                "| {which} | {:.0} | {:.0} | {:.1} % | {:.1} |",
                median(&cost.off),
                median(&cost.on),
                cost.slower_percent(),
                median(&cost.cpu)
            );
        }
        println!(
            "\nOne run of each BPF program, as the kernel counts it, in turns of their own: counting takes time, too.\n"
        );
        println!(
            "| program | nobody reads | the sensor reads | times | with the library's policies | times |"
        );
        println!("| --- | --- | --- | --- | --- | --- |");
        for (at, (_, hook)) in PROGRAMS.iter().enumerate() {
            let none = of(&self.unread, at);
            let [without, with] = [0, 1].map(|cost| {
                self.costs
                    .get(cost)
                    .map_or(f64::NAN, |cost| of(&cost.programs, at))
            });
            println!(
                "| {hook} | {none:.2} | {without:.2} | {:.2} | {with:.2} | {:.2} |",
                without / none,
                with / none
            );
        }
        println!(
            "\nTwo such loops in two pods at a time, as fast as they go, for {} s.\n",
            self.seconds
        );
        println!("| | programs started | lost or not evaluated |");
        println!("| --- | --- | --- |");
        for (which, flood) in WHICH.iter().zip(&self.floods) {
            println!("| {which} | {} | {} |", flood.started, flood.lost);
        }
        println!();
        self.print_bounds();
    }

    fn print_bounds(&self) {
        let ratios = self.costs.iter().flat_map(|cost| {
            let pairs = cost.programs.iter().zip(&self.unread);
            pairs.map(|(read, unread)| read / unread)
        });
        let worst = ratios.fold(0.0, f64::max);
        println!(
            "- each BPF program at most {PROGRAM_BOUND} times what it takes with nobody who reads: {worst:.2} times, {}",
            verdict(worst <= PROGRAM_BOUND)
        );
        if let Some(cost) = self.costs.first() {
            let cpu = median(&cost.cpu);
            println!(
                "- at most {CPU_BOUND} µs of CPU time for an exec without a policy: {cpu:.1} µs, {}",
                verdict(cpu <= CPU_BOUND)
            );
            let slower = cost.slower_percent();
            println!(
                "- the loop at most {LOOP_BOUND} % slower without a policy: {slower:.1} %, {}",
                verdict(slower <= LOOP_BOUND)
            );
        }
        let of_costs = self.costs.iter().map(|cost| cost.lost);
        let lost: u64 = of_costs
            .chain(self.floods.iter().map(|flood| flood.lost))
            .sum();
        println!(
            "- nothing lost, at the highest rate either: {lost}, {}",
            verdict(lost == 0)
        );
        let all = self.costs.iter().all(|cost| cost.evaluated_all);
        println!("- every start evaluated: {}", verdict(all));
    }
}

fn of(values: &[f64], at: usize) -> f64 {
    values.get(at).copied().unwrap_or(f64::NAN)
}
