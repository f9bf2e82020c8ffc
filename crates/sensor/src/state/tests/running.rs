//! Processes that run already when the sensor learns of them.

use super::*;
use crate::incident::evidence::incident;
use crate::kernel::record::Found;
use crate::kernel::running::{Search, SearchEnd, SearchError};
use bailiff_api::DescriptorType;

/// A process of this pod that runs as user 1000.
fn found(pid: u32, pod: &str) -> Found {
    let exec = exec(pid, pod);
    Found {
        process: exec.process,
        parent: exec.parent,
        forked: None,
        time: exec.time,
        mount_namespace: exec.mount_namespace,
        cgroup: exec.cgroup,
        cgroup_number: 0,
        capabilities: 1 << 13,
        uid: 1000,
        gid: 1001,
        executable: "/bin/busybox".to_owned(),
        name: "sh".to_owned(),
        init_session: false,
        membership: Membership::Unknown,
    }
}

impl Sensor {
    async fn find(&mut self, found: Found) {
        self.state.event(Event::Found(Box::new(found))).await;
    }

    /// Lets the policy `any` have this expression, and forgets the other.
    fn ask(&mut self, expression: &str) {
        let any = policy("any", 2, expression);
        self.state.policy(Ok(Watched::Applied(any)));
        let web = policy("web", 1, "true");
        self.state.policy(Ok(Watched::Deleted(web)));
    }

    fn counted_running(&self) -> (u64, u64) {
        let metrics = &self.state.metrics;
        (
            metrics.running_processes.get(),
            metrics.unknown_evaluations.get(),
        )
    }

    fn reported(&mut self) -> Option<String> {
        self.state.report_gaps();
        self.state.gaps_report().borrow().clone()
    }
}

#[tokio::test]
async fn a_process_that_runs_already_is_evaluated_once_and_told_from_others() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(running("a", ID)).await;
    sensor.find(found(10, "a")).await;
    sensor.find(found(10, "a")).await;
    let findings = sensor.findings();
    let told: Vec<_> = findings
        .iter()
        .map(|finding| (finding.policy.name.as_str(), finding.type_, finding.pid))
        .collect();
    let running = IncidentType::FoundRunning;
    assert_eq!(told, [("any", running, 10), ("web", running, 10)]);
    assert_eq!(sensor.counted(FindingType::FoundRunning), 2);
    assert_eq!(sensor.counted_running(), (1, 0));
    assert!(findings[0].is_audited(), "no response follows");
    let process = incident(&findings[0], "node", findings[0].time)
        .spec
        .process;
    assert_eq!(process.executable, "/bin/busybox");
    assert_eq!(process.names, ["busybox", "sh"]);
    assert_eq!((process.uid, process.gid), (1000, 1001));
    assert_eq!(process.capabilities, ["NET_RAW"]);
    assert_eq!(process.origin, Origin::Unknown);
    assert_eq!(process.executable_source.as_str(), "Unknown");
    // What is not known says so.
    assert!(process.args.is_empty() && process.args_truncated);
    assert_eq!(process.working_directory.as_deref(), Some("…/"));
    assert_eq!(process.stdio, [DescriptorType::Unknown; 3]);
    // What it executes next is an exec like others, in an Incident of its own.
    sensor.exec(exec(10, "a")).await;
    let later = sensor.findings();
    assert_eq!(later[0].type_, IncidentType::Violation);
    let name = |finding: &Finding| crate::incident::evidence::name(finding, "node");
    assert_eq!(
        name(&findings[0]),
        name(&later[0]).replace("inc-", "inc-found-running-")
    );
}

#[tokio::test]
async fn a_policy_that_reads_what_is_unknown_has_no_verdict() {
    for (expression, want) in [
        ("process.args.size() == 0", None),
        ("!has(process.script)", None),
        ("process.stdio[0] == 'Null'", None),
        ("process.uid == 1000", None),
        ("process.uid == 0", Some(IncidentType::FoundRunning)),
        (
            "process.names[9] == 'sh'",
            Some(IncidentType::EvaluationFailed),
        ),
    ] {
        let mut sensor = Sensor::new(MINUTE).await;
        sensor.ask(expression);
        sensor.pod(running("a", ID)).await;
        sensor.find(found(10, "a")).await;
        let types: Vec<_> = sensor.findings().iter().map(|f| f.type_).collect();
        assert_eq!(types, Vec::from_iter(want), "{expression}");
        let unknown = !expression.contains("uid") && !expression.contains("names");
        assert_eq!(
            sensor.counted_running(),
            (1, u64::from(unknown)),
            "{expression}"
        );
    }
}

#[tokio::test]
async fn what_a_process_is_whose_session_is_the_containers_is_of_the_entrypoint() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(running("a", ID)).await;
    let first = Found {
        init_session: true,
        ..found(10, "a")
    };
    sensor.find(first).await;
    let origin = sensor.findings()[0].process.origin;
    assert_eq!(origin, Origin::Entrypoint);
}

#[tokio::test]
async fn whose_a_running_process_is_has_to_be_clear() {
    let mut sensor = Sensor::new(MINUTE).await;
    for pod in ["a", "b"] {
        sensor.pod(running(pod, ID)).await;
    }
    sensor.find(found(10, "a")).await;
    sensor.findings();
    let in_namespace_of_a = Found {
        mount_namespace: u64::from(b'a'),
        ..found(11, "b")
    };
    sensor.find(in_namespace_of_a).await;
    assert_eq!(sensor.found(), []);
    assert_eq!(sensor.not_evaluated(NotEvaluated::AmbiguousPod), 1);
    let nowhere = Found {
        cgroup: "/kubepods/x".to_owned(),
        ..found(12, "a")
    };
    sensor.find(nowhere).await;
    assert_eq!(sensor.found(), []);
    assert_eq!(sensor.not_evaluated(NotEvaluated::UnrecognizedCgroup), 1);
}

#[tokio::test]
async fn running_processes_are_searched_for_at_the_start_and_after_a_loss() {
    let mut sensor = Sensor::new(MINUTE).await;
    let (mut now, mut runs) = (Instant::now(), 0);
    let mut complete = |sensor: &mut Sensor, now: Instant| {
        sensor.state.search_running(now, || {
            runs += 1;
            Ok(Search {
                told: 1,
                end: SearchEnd::Complete,
            })
        });
        runs
    };
    assert_eq!(complete(&mut sensor, now), 1);
    now += MINUTE;
    assert_eq!(complete(&mut sensor, now), 1, "nothing was lost");
    let lost = Counters {
        execs_lost: 1,
        ..Counters::default()
    };
    sensor.state.tick(lost).await;
    assert_eq!(complete(&mut sensor, now), 2);
    assert_eq!(complete(&mut sensor, now + MINUTE), 2, "nothing more was");
}

#[tokio::test]
async fn nothing_is_searched_for_before_pods_are_known() {
    let (sender, _violations) = mpsc::channel(1);
    let mut state = State::new(&config(MINUTE), Metrics::default(), sender, 0);
    state.search_running(Instant::now(), || panic!("too early"));
}

#[tokio::test]
async fn a_search_that_the_kernel_cannot_do_is_reported() {
    let mut sensor = Sensor::new(MINUTE).await;
    assert_eq!(sensor.reported(), None);
    sensor
        .state
        .search_running(Instant::now(), || Err(SearchError::NoLoop));
    assert_eq!(
        sensor.reported().as_deref(),
        Some(
            "Bailiff does not evaluate everything on this node. Processes that started before the sensor, or while events were lost, are not evaluated until they execute something: the kernel lacks the BPF function bpf_loop, which Linux 5.17 introduced."
        )
    );
}

fn asking(generation: i64, expression: &str) -> Vec<u8> {
    let mut policy: serde_json::Value =
        serde_json::from_slice(&policy("asking", generation, expression)).unwrap();
    policy["spec"]["runningProcesses"] = "Evaluate".into();
    bytes(&policy)
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_asks_for_it_is_evaluated_for_what_runs() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(running("a", ID)).await;
    let ran = Exec {
        uid: 1000,
        gid: 1001,
        ..exec(10, "a")
    };
    sensor.exec(ran).await;
    sensor.find(found(11, "a")).await;
    sensor.findings();
    let of_asking = |sensor: &mut Sensor| -> Vec<_> {
        let found = sensor.findings().into_iter();
        let mine = found.filter(|finding| finding.policy.name == "asking");
        let mut told: Vec<_> = mine.map(|f| (f.type_, f.pid, f.process.uid)).collect();
        told.sort_by_key(|(_, pid, _)| *pid);
        told
    };
    let one = asking(1, "process.uid == 0");
    sensor.state.policy(Ok(Watched::Applied(one.clone())));
    let bound = binding("asking");
    sensor.state.binding(Ok(Watched::Applied(bound.clone())));
    // Executed after it asked: like any exec, and not once more.
    let later = Exec {
        time: u64::MAX,
        uid: 1000,
        ..exec(12, "a")
    };
    sensor.exec(later).await;
    assert_eq!(
        of_asking(&mut sensor),
        [(IncidentType::Violation, 12, 1000)]
    );
    sensor.state.tick(Counters::default()).await;
    assert_eq!(of_asking(&mut sensor), [], "lists come first");
    tokio::time::advance(MINUTE).await;
    sensor.state.tick(Counters::default()).await;
    let running = IncidentType::FoundRunning;
    let both = [(running, 10, 1000), (running, 11, 1000)];
    assert_eq!(of_asking(&mut sensor), both);
    // Nothing is new of them.
    sensor.state.policy(Ok(Watched::Applied(one)));
    sensor.state.binding(Ok(Watched::Applied(bound)));
    tokio::time::advance(MINUTE).await;
    sensor.state.tick(Counters::default()).await;
    assert_eq!(of_asking(&mut sensor), []);
    let changed = asking(2, "process.gid == 0");
    sensor.state.policy(Ok(Watched::Applied(changed)));
    tokio::time::advance(MINUTE).await;
    sensor.state.tick(Counters::default()).await;
    assert_eq!(of_asking(&mut sensor), both);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_does_not_ask_takes_effect_at_the_next_exec() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(running("a", ID)).await;
    sensor.exec(exec(10, "a")).await;
    sensor.findings();
    let quiet = policy("quiet", 1, "false");
    sensor.state.policy(Ok(Watched::Applied(quiet)));
    sensor.state.binding(Ok(Watched::Applied(binding("quiet"))));
    tokio::time::advance(MINUTE).await;
    sensor.state.tick(Counters::default()).await;
    assert_eq!(sensor.found(), []);
}
