//! How much memory batches take, whatever processes execute.
//!
//! A process of its own decodes as many as there can be at a time, and asks the kernel how much memory it took.

use super::*;
use crate::kernel::cgroups::Cgroups;
use crate::kernel::record::decode;
use crate::kernel::record::tests::{TEXTS, record};
use std::process::Command;

/// Set for that process: which of the records it decodes.
const RECORD: &str = "BAILIFF_TEST_BATCHES_RECORD";
/// One that the loop works on, and one more, which is not there yet.
const AT_A_TIME: usize = 2;
const LIMIT_KIB: u64 = 3 << 10;

/// Very many arguments, and paths without a text.
fn records() -> [Vec<u8>; 2] {
    let (args, tail) = (b"x\0".repeat(2048), b"x\0".repeat(512));
    let path = [&[0xff; 250][..], &[0]].concat().repeat(16);
    let [cgroup, _, filename, interp, directory, ..] = TEXTS;
    let (executable, script) = (&b"sh\0"[..], &b""[..]);
    [
        record(
            1,
            1,
            [
                cgroup, executable, filename, interp, directory, script, &args, &tail,
            ],
        ),
        record(
            1 << 14,
            1,
            [cgroup, &path, filename, b"/sh\0", &path, script, b"", b""],
        ),
    ]
}

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

#[test]
fn batches_take_little_memory_whatever_is_executed() {
    let Ok(number) = std::env::var(RECORD) else {
        for number in 0..records().len() {
            let output = Command::new("/proc/self/exe")
                .args(["--exact", "--nocapture"])
                .arg("kernel::reader::tests::batches_take_little_memory_whatever_is_executed")
                .env(RECORD, number.to_string())
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{text}");
            let took = text.lines().find_map(|line| line.strip_prefix("took "));
            let took: u64 = took.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
            assert!(took < LIMIT_KIB, "{took} KiB for record {number}");
        }
        return;
    };
    let bytes = &records()[number.parse::<usize>().unwrap()];
    let mut cgroups = Cgroups::default();
    let before = memory_kib();
    let batches: Vec<_> = (0..AT_A_TIME)
        .map(|_| {
            next_batch(|| {
                Some(Record {
                    event: decode(bytes, &mut cgroups),
                    bytes: bytes.len(),
                })
            })
        })
        .collect();
    println!("\ntook {}", memory_kib() - before);
    for (batch, is_full) in &batches {
        assert!(*is_full && batch.iter().all(Result::is_ok));
    }
}
