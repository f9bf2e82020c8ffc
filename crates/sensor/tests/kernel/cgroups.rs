//! The paths of cgroups, which are told once.

use crate::pod::{Pod, execs};
use bailiff_sensor::Records;

#[tokio::test]
async fn no_loss_leaves_a_cgroup_without_its_path() {
    let (first, second) = (Pod::new("path-first"), Pod::new("path-second"));
    // A page, which a few records fill.
    let mut records = Records::load(4096).unwrap();
    first.run(
        "exec sh -c 'for i in $(seq 50); do cat /dev/null; done'",
        &[],
    );
    // A pod leaves half of the ring to others. Each of these has an eighth of it with its first record.
    for filler in 0..8 {
        Pod::new(&format!("path-filler-{filler}")).run("exec cat /dev/null", &[]);
    }
    // The first record of this pod finds no room.
    second.run("exec cat /dev/null", &[]);
    assert!(records.counters().unwrap().execs_lost > 0);
    assert_eq!(execs(&mut records, &second), []);
    for pod in [&second, &first, &second] {
        pod.run("exec cat /dev/null", &[]);
        let found = execs(&mut records, pod);
        let [cat] = found.as_slice() else {
            panic!("{found:#?}")
        };
        assert!(pod.has(cat), "{cat:#?}");
    }
}

#[tokio::test]
async fn all_paths_are_told_again_before_any_is_forgotten() {
    let pod = Pod::new("path-again");
    let mut records = Records::load(1 << 23).unwrap();
    let number = |records: &mut Records| {
        pod.run("exec cat /dev/null", &[]);
        let found = execs(records, &pod);
        let [cat] = found.as_slice() else {
            panic!("{found:#?}")
        };
        assert!(pod.has(cat), "{cat:#?}");
        cat.cgroup_number
    };
    let first = number(&mut records);
    assert_eq!(number(&mut records), first);
    for _ in 0..3 {
        records.tell_paths_again();
        assert_eq!(number(&mut records), first);
    }
}
