//! How long the BPF programs ran, as the kernel counts it.
//!
//! Here: the run time and number of runs of each program that was loaded since. Not here: who loads them.
//! Invariant: programs of others that have the same names are not counted: they were there before.

use anyhow::{Context as _, Result};
use aya::programs::loaded_programs;
use aya::sys::{Stats, enable_stats};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;

/// The programs in the order of the page, each with what it runs at.
pub(crate) const PROGRAMS: [(&str, &str); 3] = [
    ("process_exec", "exec"),
    ("process_fork", "fork"),
    ("process_exit", "exit of a thread"),
];

/// Nanoseconds and number of runs by program.
pub(crate) type Runs = BTreeMap<String, (u64, u64)>;

/// Keeps the kernel counting for as long as it lives.
pub(crate) struct Programs {
    before: BTreeSet<u32>,
    _counting: OwnedFd,
}

impl Programs {
    /// Programs that are loaded from now on.
    pub(crate) fn since_now() -> Result<Self> {
        let mut before = BTreeSet::new();
        for program in loaded_programs() {
            before.insert(program?.id());
        }
        let counting =
            enable_stats(Stats::RunTime).context("cannot have the kernel count run time")?;
        Ok(Self {
            before,
            _counting: counting,
        })
    }

    pub(crate) fn runs(&self) -> Result<Runs> {
        let mut runs = Runs::new();
        for program in loaded_programs() {
            // One that is unloaded at this moment is none that is measured.
            let Ok(program) = program else { continue };
            let name = String::from_utf8_lossy(program.name()).into_owned();
            if !self.before.contains(&program.id())
                && PROGRAMS.iter().any(|(ours, _)| *ours == name)
            {
                let nanoseconds = u64::try_from(program.run_time().as_nanos())?;
                runs.insert(name, (nanoseconds, program.run_count()));
            }
        }
        Ok(runs)
    }
}

/// Microseconds of one run of each program between two readings.
pub(crate) fn each(before: &Runs, after: &Runs) -> Result<Vec<f64>> {
    let of = |(name, _): &(&str, &str)| {
        let (ns, count) = after
            .get(*name)
            .with_context(|| format!("{name} is not loaded"))?;
        let (ns_before, count_before) = before.get(*name).copied().unwrap_or_default();
        let runs = count.saturating_sub(count_before);
        anyhow::ensure!(runs > 0, "{name} did not run");
        #[expect(
            clippy::as_conversions,
            clippy::cast_precision_loss,
            reason = "far fewer than 2^52"
        )]
        let each = ns.saturating_sub(ns_before) as f64 / runs as f64 / 1000.0;
        Ok(each)
    };
    PROGRAMS.iter().map(of).collect()
}
