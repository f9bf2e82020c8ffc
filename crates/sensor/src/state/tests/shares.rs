//! Pods that execute without end beside others, who observes them, and whether programs are seen at all.

use super::*;
use crate::observe::Observer;

fn of_pod(found: &[Finding], pod: &str) -> usize {
    found.iter().filter(|found| found.pod.uid == pod).count()
}

#[tokio::test]
async fn a_pod_that_executes_without_end_costs_its_own_evidence_alone() {
    let mut sensor = Sensor::new(MINUTE).await;
    let mut report = sensor.state.gaps_report();
    // Neither is known yet. A tenth of the programs are the other pod's, which has what is guaranteed to it.
    for pid in 10..2000 {
        let pod = if pid % 100 == 0 { "modest" } else { "greedy" };
        sensor.exec(exec(pid, pod)).await;
    }
    let lost = sensor.not_evaluated(NotEvaluated::QueueFull);
    assert!(lost > 0);
    sensor.state.tick(Counters::default()).await;
    assert_eq!(
        report.borrow_and_update().as_deref(),
        Some(
            "Bailiff does not evaluate everything on this node. Some processes of these pods were not evaluated, because too many waited for their pod: pod with UID greedy."
        )
    );
    sensor.pod(running("greedy", ID)).await;
    sensor.pod(running("modest", ID)).await;
    let found = sensor.findings();
    assert_eq!(of_pod(&found, "modest"), 2 * 19);
    let of_greedy = usize::try_from(1990 - 19 - lost).unwrap();
    assert_eq!(of_pod(&found, "greedy"), 2 * of_greedy);
    // The newest of it were kept.
    assert!(found.iter().any(|found| found.pid == 1999));
    assert_eq!(sensor.not_evaluated(NotEvaluated::QueueFull), lost);
    assert!(sensor.state.pending.is_empty());
}

#[tokio::test]
async fn what_does_not_fit_costs_no_pod_that_has_less() {
    let mut sensor = Sensor::new(MINUTE).await;
    // None is known yet, and each process has arguments of a few KiB.
    let large = |pid, pod: &str| Exec {
        args: ["x".repeat(4096)].iter().collect(),
        ..exec(pid, pod)
    };
    for pod in 0..20 {
        for pid in 0..200 {
            sensor
                .exec(large(1000 * pod + pid + 10, &format!("greedy{pod}")))
                .await;
        }
    }
    let before = sensor.not_evaluated(NotEvaluated::QueueFull);
    for pid in 2..10 {
        sensor.exec(large(pid, "modest")).await;
    }
    for pod in 0..20 {
        sensor
            .exec(large(1000 * pod + 999, &format!("greedy{pod}")))
            .await;
    }
    assert!(sensor.not_evaluated(NotEvaluated::QueueFull) >= before + 20);
    sensor.pod(running("modest", ID)).await;
    let modest = (2..10).flat_map(|pid| [any(pid), web(pid)]);
    assert_eq!(sensor.found(), modest.collect::<Vec<_>>());
}

#[tokio::test]
async fn who_observes_a_pod_is_told_the_verdicts_of_each_process_once() {
    let mut sensor = Sensor::new(MINUTE).await;
    let (joining, joined) = mpsc::channel(1);
    let (observer, mut lines) = Observer::new(None);
    joining.send(observer).await.ok().unwrap();
    sensor.state.observers = Observers::new("node", joined);
    sensor.state.tick(Counters::default()).await;
    sensor.pod(pod("a")).await;
    sensor.exec(sandbox(9, "a")).await;
    sensor.exec(in_sandbox(10, "a")).await;
    // It is evaluated again only for the policy that waits for the container.
    for _ in 0..3 {
        sensor.state.tick(Counters::default()).await;
    }
    sensor.pod(running("a", ID)).await;
    let told: Vec<serde_json::Value> = std::iter::from_fn(|| lines.try_recv().ok())
        .map(|line| serde_json::from_str(&line.text()).unwrap())
        .collect();
    let violated = |name: &str| json!([{"name": name, "verdict": "Violated", "messages": ["no"]}]);
    let [started, first, second] = told.as_slice() else {
        panic!("{told:#?}")
    };
    assert_eq!(started["kind"], "Started");
    for (line, name, container) in [
        (first, "any", json!({})),
        (
            second,
            "web",
            json!({"name": "web", "image": "i", "imageID": "i", "type": "App"}),
        ),
    ] {
        assert_eq!(line["policies"], violated(name));
        assert_eq!(
            (line["pid"].as_u64(), &line["container"]),
            (Some(10), &container)
        );
        assert_eq!(line["process"]["args"], json!(["cat", "/ready"]));
        assert_eq!(line["process"]["origin"], "Probe");
    }
    assert_eq!(first["evaluatedLater"], json!(["web"]));
    assert_eq!(second.get("evaluatedLater"), None);
    assert_eq!(sensor.found(), [any(10), web(10)]);
}

#[tokio::test]
async fn that_programs_are_not_seen_is_reported_until_one_is() {
    let mut sensor = Sensor::new(MINUTE).await;
    let mut report = sensor.state.gaps_report();
    let cannot =
        SelfCheckFailure::CannotStart("Resource temporarily unavailable (os error 11)".to_owned());
    for (seen, failure, note) in [
        (
            true,
            &SelfCheckFailure::NotSeen,
            "Bailiff might miss processes on this node: programs that the sensor starts itself are no longer seen. Policies are evaluated for the processes that are seen. The sensor keeps trying. If this persists, check bailiff_sensor_execs_not_evaluated_total, and restart the sensor.",
        ),
        (
            true,
            &cannot,
            "Bailiff cannot verify that processes on this node are seen: the sensor cannot start a program of its own (Resource temporarily unavailable (os error 11)). Policies are still evaluated. The sensor keeps trying. If this persists, check the limits of memory and process IDs of the sensor's pod and of the node.",
        ),
        (
            false,
            &SelfCheckFailure::NotSeen,
            "Bailiff cannot monitor processes on this node and evaluates no policies here: programs that the sensor starts itself are not seen. The sensor keeps trying. If this persists, the container runtime may run pods outside of the node's kernel, or does not name their cgroups as a kubelet does.",
        ),
        (
            false,
            &cannot,
            "Bailiff cannot monitor processes on this node and evaluates no policies here: the sensor cannot start a program of its own, which shows the cgroups of the node's pods (Resource temporarily unavailable (os error 11)). The sensor keeps trying. If this persists, check the limits of memory and process IDs of the sensor's pod and of the node.",
        ),
    ] {
        if !seen {
            sensor.state.kubelet_cgroup = None;
        }
        sensor.state.report_self_check(failure);
        sensor.state.tick(Counters::default()).await;
        assert_eq!(report.borrow_and_update().as_deref(), Some(note));
        let before = sensor.state.own_programs();
        // That of another pod, or of a pod that another kubelet has with this UID, shows nothing.
        if seen {
            sensor.exec(exec(2, "a")).await;
            let cgroup = format!("/other-node/kubepods/podown/{ID}");
            sensor
                .exec(Exec {
                    cgroup,
                    ..sensor.own_program(3)
                })
                .await;
        }
        // Nor does one that the sensor did not start, in a cgroup that somebody called like that of its pod.
        sensor.exec(exec(4, "own")).await;
        assert_eq!(sensor.state.own_programs(), before);
        assert_eq!(sensor.state.kubelet_cgroup.is_some(), seen);
        sensor.exec(sensor.own_program(1)).await;
        assert_eq!(sensor.state.own_programs(), before + 1);
        sensor.state.tick(Counters::default()).await;
        assert_eq!(*report.borrow_and_update(), None);
    }
}
