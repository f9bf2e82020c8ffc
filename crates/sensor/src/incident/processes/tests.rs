//! Series of processes: which are kept, merged and cut.

use super::*;
use crate::incident::evidence::tests::finding;
use std::collections::BTreeMap;
use std::sync::Arc;

const LIMIT: Room = Room::UNKNOWN;

fn running(executable: &str, args: &[&str], second: i64) -> Finding {
    let mut found = finding(&BTreeMap::new(), &[]);
    let mut process = (*found.process).clone();
    executable.clone_into(&mut process.executable);
    process.args = args.iter().map(ToString::to_string).collect();
    found.process = Arc::new(process);
    found.time = jiff::Timestamp::from_second(1_800_000_000 + second).unwrap();
    found
}

fn own() -> IncidentProcess {
    let first = running("/bin/first", &["first"], 0);
    crate::incident::evidence::incident(&first, "node", first.time)
        .spec
        .process
}

fn names(list: &[ObservedProcess]) -> Vec<(&str, i64)> {
    list.iter()
        .map(|process| (process.executable.as_str(), process.count))
        .collect()
}

#[test]
fn the_first_three_stay_and_the_last_seven_follow() {
    let mut own = own();
    own.args = vec!["first".to_owned()];
    let mut processes = Processes::of(Some(&own), LIMIT);
    processes.add(&running("/bin/first", &["first"], 1));
    for index in 0..20 {
        processes.add(&running(&format!("/bin/p{index}"), &["x"], index));
    }
    // Those that are known are counted, wherever they are.
    processes.add(&running("/bin/p1", &["x"], 30));
    processes.add(&running("/bin/p14", &["x"], 31));
    let (first, last) = processes.lists();
    assert_eq!(
        names(&first),
        [("/bin/p0", 1), ("/bin/p1", 2), ("/bin/p2", 1)]
    );
    assert_eq!(
        names(&last),
        [
            ("/bin/p13", 1),
            ("/bin/p15", 1),
            ("/bin/p16", 1),
            ("/bin/p17", 1),
            ("/bin/p18", 1),
            ("/bin/p19", 1),
            ("/bin/p14", 2),
        ]
    );
    assert_eq!(first[1].first_observed_time.0.as_second(), 1_800_000_001);
    assert_eq!(first[1].last_observed_time.0.as_second(), 1_800_000_030);
}

#[test]
fn other_arguments_or_another_origin_are_another_process() {
    let mut processes = Processes::of(None, LIMIT);
    let mut by_probe = running("/bin/sh", &["sh"], 0);
    let mut process = (*by_probe.process).clone();
    process.origin = Origin::Probe;
    by_probe.process = Arc::new(process);
    for process in [
        running("/bin/sh", &["sh"], 0),
        running("/bin/sh", &["sh", "-c"], 0),
        by_probe,
        running("/bin/sh", &["sh"], 1),
    ] {
        processes.add(&process);
    }
    assert_eq!(
        names(&processes.lists().0),
        [("/bin/sh", 2), ("/bin/sh", 1), ("/bin/sh", 1)]
    );
}

#[test]
fn what_the_api_server_has_comes_before_what_a_new_sensor_found() {
    let mut before = Processes::of(Some(&own()), LIMIT);
    for index in 0..12 {
        before.add(&running(&format!("/bin/p{index}"), &[], index));
    }
    let (first_processes, last_processes) = before.lists();
    let series = Series {
        count: 13,
        last_observed_time: MicroTime(jiff::Timestamp::UNIX_EPOCH),
        policy_generation: 1,
        binding_refs: Vec::new(),
        first_processes: first_processes.clone(),
        last_processes,
    };
    let mut own = own();
    own.args = vec!["first".to_owned()];
    let mut after = Processes::of(None, LIMIT);
    for (executable, args) in [
        ("/bin/new", &[][..]),
        ("/bin/p0", &[]),
        ("/bin/p6", &[]),
        ("/bin/first", &["first"]),
    ] {
        after.add(&running(executable, args, 100));
    }
    after.continue_from(&own, LIMIT, Some(&series));
    let (first, last) = after.lists();
    assert_eq!(
        names(&first),
        [("/bin/p0", 2), ("/bin/p1", 1), ("/bin/p2", 1)]
    );
    assert_eq!(
        names(&last),
        [
            ("/bin/p7", 1),
            ("/bin/p8", 1),
            ("/bin/p9", 1),
            ("/bin/p10", 1),
            ("/bin/p11", 1),
            ("/bin/new", 1),
            ("/bin/p6", 2),
        ]
    );
    assert_eq!(first[1], first_processes[1]);
}

#[test]
fn each_process_takes_no_more_bytes_than_it_is_given() {
    for letter in ["a", "<", "\"", "\u{1}", "€"] {
        for limit in [310, 400, 800, 1100] {
            let long = letter.repeat(5000);
            let many = vec!["x"; 1000];
            for args in [&[long.as_str(); 3][..], &many] {
                let mut processes = Processes::of(None, Room { limit, ..LIMIT });
                processes.add(&running(&long, args, 0));
                let mut process = processes.lists().0.remove(0);
                process.count = 1 << 53;
                let size = stored_size(&process);
                assert!(size <= limit, "{letter:?}: {size} of {limit}");
                assert!(process.args_truncated && process.args.len() <= ARGS_LIMIT);
                let args: usize = process.args.iter().map(String::len).sum();
                assert!(args <= ANCESTOR_ARGS_LIMIT_BYTES);
            }
        }
    }
    let mut processes = Processes::of(
        None,
        Room {
            limit: 1100,
            ..LIMIT
        },
    );
    processes.add(&running(
        "/usr/bin/python3",
        &["python3", &"a".repeat(200)],
        0,
    ));
    assert!(!processes.lists().0[0].args_truncated);
}

#[test]
fn where_there_is_less_room_there_are_fewer_processes() {
    for (bytes, first, last) in [
        (0, 0, 0),
        (309, 0, 0),
        (310, 1, 0),
        (1000, 3, 0),
        (2000, 3, 3),
        (9000, 3, 7),
    ] {
        let room = Room::within(bytes);
        assert_eq!((room.first, room.last), (first, last), "{bytes}");
        assert!((room.first + room.last) * room.limit <= bytes);
        let mut processes = Processes::of(None, room);
        for index in 0..20 {
            processes.add(&running(&format!("/bin/p{index}"), &["x"], index));
        }
        let lists = processes.lists();
        assert_eq!((lists.0.len(), lists.1.len()), (first, last));
    }
}
