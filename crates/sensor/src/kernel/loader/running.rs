//! Loads and runs the BPF program that looks for the processes that run already.
//!
//! Here: aya. Not here: what the program returns (`kernel/running`).
//! Invariant: a kernel that does not load it takes nothing away from the other programs.

use super::permissions;
use crate::coverage::with_sources;
use crate::kernel::running::{Search, SearchError};
use aya::Ebpf;
use aya::programs::{ProgramError, RawTracePoint, RawTracePointRunOptions, TestRun as _};

/// It is attached to no tracepoint.
const PROGRAM: &str = "running_processes";

/// Loads the program.
///
/// # Errors
/// When the kernel is too old, or rejects it.
pub(super) fn load(programs: &mut Ebpf) -> Result<(), SearchError> {
    let loaded = load_program(programs).map_err(|error| {
        let verifier = match &error {
            ProgramError::LoadError { verifier_log, .. } => verifier_log.to_string(),
            _ => String::new(),
        };
        SearchError::of_load(&verifier, &permissions::of_program(&error))
    });
    if let Err(error) = &loaded {
        tracing::warn!(
            error = with_sources(error),
            "Processes that started before the sensor cannot be searched for"
        );
    }
    loaded
}

fn load_program(programs: &mut Ebpf) -> Result<(), ProgramError> {
    let program = programs.program_mut(PROGRAM);
    let program: &mut RawTracePoint = program.ok_or(ProgramError::NotLoaded)?.try_into()?;
    program.load()
}

/// Runs the program in this thread.
///
/// # Errors
/// When the kernel does not run it.
pub(super) fn run(programs: &Ebpf) -> Result<Search, SearchError> {
    let failed = |error: ProgramError| SearchError::Failed(with_sources(&error));
    let program = programs.program(PROGRAM);
    let program = program.ok_or(ProgramError::NotLoaded).map_err(failed)?;
    let program: &RawTracePoint = program.try_into().map_err(failed)?;
    let ran = program.test_run(RawTracePointRunOptions::new());
    Ok(Search::of(ran.map_err(failed)?.return_value))
}
