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
    // So large that pods of other tests, which nobody reads either, do not fill half of it.
    let mut records = Records::load(1 << 21).unwrap();
    // Some 5,500 bytes each: more than the whole ring.
    let line = "exec sh -c 'x=$(printf %05110d 0); for i in $(seq 450); do /bin/true $x; done'";
    assert!(greedy.run(line, &[]).status.success());
    let line = "for i in $(seq 20); do cat /dev/null; done";
    assert!(pod.run(line, &[]).status.success());
    let of_shares = records.lost().unwrap();
    let counters = records.counters().unwrap();
    let all: Vec<_> = std::iter::from_fn(|| records.try_next()).collect();
    // How many execs of a pod were told and lost.
    let of = |pod: &Pod| {
        let execs = all.iter().flatten().filter_map(|event| match event {
            Event::Exec(exec) if pod.has(exec) => Some(exec.share),
            Event::Exec(_) | Event::Exit(_) | Event::Found(_) => None,
        });
        let shares: Vec<_> = execs.collect();
        let lost = of_shares.iter().find(|(share, _)| *share == shares[0]);
        (shares.len(), lost.map_or(0, |(_, lost)| *lost))
    };
    // `seq` is one.
    assert_eq!(of(&pod), (21, 0));
    let (told, lost) = of(&greedy);
    assert_eq!(u64::try_from(told).unwrap() + lost, 452, "two are others");
    assert!(told > 150 && lost > 150, "{told} {lost}");
    assert!(counters.execs_lost >= lost, "{counters:?}");
    // What was read makes room.
    greedy.run("exec cat /dev/null", &[]);
    assert_eq!(execs(&mut records, &greedy).len(), 1);
}
