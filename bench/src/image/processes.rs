//! What processes take.
//!
//! Here: CPU time and memory of a program with all processes that it starts. Not here: which programs.
//! Invariant: what is measured has ended well.

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};
use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// How often the memory of processes is read. It only grows, so the last value before the end counts.
const INTERVAL: Duration = Duration::from_millis(2);

/// The argument of the process that reads a layer.
const READER: &[u8] = b"__read-layer";

/// Runs a program, and has the CPU time of all its processes and what it printed.
pub(crate) fn cpu(mut command: Command) -> Result<(Duration, String)> {
    let before = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let output = command.stdin(Stdio::null()).output()?;
    let after = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let printed = printed(&command, &output)?;
    Ok((total(&after)?.saturating_sub(total(&before)?), printed))
}

fn total(usage: &Usage) -> Result<Duration> {
    let microseconds = |time: TimeVal| u64::try_from(time.num_microseconds());
    let time = microseconds(usage.user_time())? + microseconds(usage.system_time())?;
    Ok(Duration::from_micros(time))
}

/// Runs a program, and has the most bytes of its memory and of that of one process that it starts to read a layer,
/// together: those processes run one after another. Also has what it printed.
pub(crate) fn memory(mut command: Command) -> Result<(u64, String)> {
    let file = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?);
    let mut child = command.stderr(Stdio::piped()).spawn()?;
    let (mut own, mut readers, mut count) = (0, 0, 0);
    let mut last = 0;
    while child.try_wait()?.is_none() {
        own = own.max(high_water(child.id()).unwrap_or(0));
        for reader in children(child.id()) {
            // Until it is executed, it has the memory of the process that starts it.
            let line = fs::read(format!("/proc/{reader}/cmdline")).unwrap_or_default();
            if line.split(|byte| *byte == 0).any(|word| word == READER) {
                readers = readers.max(high_water(reader).unwrap_or(0));
                count += usize::from(last != reader);
                last = reader;
            }
        }
        std::thread::sleep(INTERVAL);
    }
    let mut output = child.wait_with_output()?;
    output.stdout = read_again(file)?;
    let printed = printed(&command, &output)?;
    ensure!(own > 0 && count > 0, "no memory was seen of {command:?}");
    Ok((own + readers, printed))
}

fn read_again(mut file: fs::File) -> Result<Vec<u8>> {
    use std::io::{Read as _, Seek as _};
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn printed(command: &Command, output: &Output) -> Result<String> {
    ensure!(
        output.status.success(),
        "{command:?} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The most bytes that a process had in memory. None if it has ended.
fn high_water(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// The processes that one started and that have not ended.
fn children(process: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    let lists = threads.filter_map(|thread| {
        let path = thread.ok()?.path().join("children");
        fs::read_to_string(path).ok()
    });
    let lists: Vec<_> = lists.collect();
    let numbers = lists.iter().flat_map(|list| list.split_whitespace());
    numbers.filter_map(|number| number.parse().ok()).collect()
}

/// Checks that the kernel tells which processes one started.
pub(crate) fn check() -> Result<()> {
    let own = std::process::id();
    let path = format!("/proc/{own}/task/{own}/children");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(())
}
