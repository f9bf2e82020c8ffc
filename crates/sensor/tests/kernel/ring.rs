//! Who loses records when nobody reads them in time.
//!
//! Here: a pod that executes more than fits. Not here: that a loss is counted (`main`), what it leaves behind (`cgroups`,
//! `runtime`).
//! Invariant: a pod that fills the ring loses its own records first.

use crate::pod::{Pod, execs};
use bailiff_sensor::{Event, Records};

#[test]
fn a_pod_that_fills_the_ring_takes_no_record_from_another() {
    let (pod, greedy) = (Pod::new("modest"), Pod::new("greedy-ring"));
    let mut records = Records::load(1 << 18).unwrap();
    // Some 450 bytes each: more than the whole ring.
    let line = "exec sh -c 'for i in $(seq 700); do cat /dev/null; done'";
    assert!(greedy.run(line, &[]).status.success());
    let lost = records.counters().unwrap().execs_lost;
    let line = "for i in $(seq 20); do cat /dev/null; done";
    assert!(pod.run(line, &[]).status.success());
    let counters = records.counters().unwrap();
    assert!(lost > 0, "{counters:?}");
    assert_eq!(counters.execs_lost, lost, "of the other pod");
    // Each record is one of the two pods', or of another test's.
    let all: Vec<_> = std::iter::from_fn(|| records.try_next()).collect();
    let of = |pod: &Pod| {
        let told = all.iter().flatten();
        told.filter(|event| matches!(event, Event::Exec(exec) if pod.has(exec)))
            .count()
    };
    // And the external `seq`.
    assert_eq!(of(&pod), 21);
    assert!(of(&greedy) > 0);
    // What was read makes room.
    greedy.run("exec cat /dev/null", &[]);
    assert_eq!(execs(&mut records, &greedy).len(), 1);
}
