//! Lives of processes, told as execs and exits.

use super::*;
use crate::kernel::record::Membership;

fn key(pid: u32) -> ProcessKey {
    ProcessKey {
        pid,
        start: u64::from(pid) * 10,
    }
}

/// An exec of a process that joined a container with a PID namespace of its own.
fn joined(pid: u32) -> Exec {
    crate::kernel::record::tests::joined(key(pid), &format!("/bin/p{pid}"))
}

/// One whose fork was not seen.
fn inside(pid: u32, parent: u32) -> Exec {
    Exec {
        parent_outside_cgroup: false,
        parent: key(parent),
        ..joined(pid)
    }
}

/// One that descends from a process by forks alone, the first of them at a time.
fn forked(pid: u32, from: u32, at: u64) -> Exec {
    Exec {
        forked: Some(at),
        ..inside(pid, from)
    }
}

fn init(pid: u32) -> Exec {
    Exec {
        init_session: true,
        ..joined(pid)
    }
}

fn commands() -> KubeletCommands {
    let spec = serde_json::json!({"containers": [{
        "name": "web",
        "readinessProbe": {"exec": {"command": ["cat", "/ready"]}},
        "lifecycle": {"preStop": {"exec": {"command": ["drain"]}}},
    }]});
    KubeletCommands::of(&serde_json::from_value(spec).unwrap()).unwrap()
}

fn learn(tree: &mut ProcessTree, exec: &Exec, args: &[&str]) -> Lineage {
    let exec = Arc::new(Exec {
        args: args.iter().collect(),
        ..exec.clone()
    });
    let summary = ExecSummary {
        executable: exec.executable.clone(),
        names: Vec::new(),
        args: args.iter().map(ToString::to_string).collect(),
        process: exec.process,
    };
    let older = exec.process.start < ATTACHED;
    tree.exec(place(), &exec, Arc::new(summary), older)
}

/// When the sensor began to see everything.
const ATTACHED: u64 = 5;

fn place() -> Arc<Place> {
    Arc::new(Place {
        identity: Identity {
            kubelet: String::new(),
            pod_uid: "pod".to_owned(),
            container_id: None,
        },
        application: true,
    })
}

fn pod_of(tree: &ProcessTree, exec: &Exec) -> Option<String> {
    let place = tree.place_of(exec.process, exec.parent)?;
    Some(place.identity.pod_uid.clone())
}

/// A process that was there before the sensor, with its parent's number.
fn find(tree: &mut ProcessTree, pid: u32, parent: u32, init_session: bool) {
    let found = Found {
        process: key(pid),
        parent: key(parent),
        forked: None,
        time: 0,
        mount_namespace: 1,
        cgroup: String::new(),
        cgroup_number: 0,
        capabilities: 0,
        uid: 0,
        gid: 0,
        executable: format!("/bin/p{pid}"),
        name: format!("p{pid}"),
        init_session,
        membership: Membership::Unknown,
    };
    let summary = crate::judge::summary_of_found(&found);
    tree.found(place(), &found, Arc::new(summary));
}

fn run(tree: &mut ProcessTree, exec: &Exec, args: &[&str]) -> (Origin, Vec<String>) {
    let lineage = learn(tree, exec, args);
    let ancestors = lineage.ancestors.iter();
    (
        lineage.start.origin(&commands(), Some("web")),
        ancestors.map(|known| known.executable.clone()).collect(),
    )
}

#[test]
fn the_first_process_and_what_it_starts_are_the_entrypoint() {
    let mut tree = ProcessTree::default();
    assert_eq!(
        run(&mut tree, &init(10), &["web"]),
        (Origin::Entrypoint, vec![])
    );
    assert_eq!(
        run(&mut tree, &forked(11, 10, 110), &["cat", "/ready"]),
        (Origin::Entrypoint, vec!["/bin/p10".to_owned()])
    );
    let (origin, ancestors) = run(&mut tree, &forked(12, 11, 120), &["x"]);
    assert_eq!(
        (origin, ancestors),
        (
            Origin::Entrypoint,
            vec!["/bin/p11".to_owned(), "/bin/p10".to_owned()]
        )
    );
}

#[test]
fn what_joins_from_outside_is_an_exec_a_probe_or_a_hook() {
    let mut tree = ProcessTree::default();
    assert_eq!(run(&mut tree, &joined(20), &["sh"]).0, Origin::Exec);
    assert_eq!(
        run(&mut tree, &joined(21), &["cat", "/ready"]).0,
        Origin::Probe
    );
    assert_eq!(run(&mut tree, &joined(22), &["drain"]).0, Origin::Lifecycle);
    assert_eq!(
        run(&mut tree, &joined(23), &["cat", "/etc/shadow"]).0,
        Origin::Exec
    );
    assert_eq!(
        run(&mut tree, &forked(24, 20, 240), &["id"]),
        (Origin::Exec, vec!["/bin/p20".to_owned()])
    );
}

#[test]
fn an_orphan_keeps_its_origin_though_the_kernel_moves_it_below_the_first_process() {
    let mut tree = ProcessTree::default();
    run(&mut tree, &init(10), &["web"]);
    run(&mut tree, &joined(30), &["sh"]);
    // The kernel side says whom it descends from, and that this one ended afterwards.
    let orphan = forked(31, 30, 310);
    assert_eq!(
        run(&mut tree, &orphan, &["miner"]),
        (Origin::Exec, vec!["/bin/p30".to_owned()])
    );
    tree.exit(key(30));
    // With the node's PID namespace, one outside of the pod adopts it.
    run(&mut tree, &joined(40), &["sh"]);
    let outside = Exec {
        parent_outside_cgroup: true,
        own_pid_namespace: false,
        ..forked(41, 40, 410)
    };
    assert_eq!(
        run(&mut tree, &outside, &["miner"]),
        (Origin::Exec, vec!["/bin/p40".to_owned()])
    );
    // Its real parent, without a proof of descent, tells nothing of one that comes from outside.
    let stranger = Exec {
        forked: None,
        process: key(42),
        ..outside
    };
    assert_eq!(run(&mut tree, &stranger, &["x"]), (Origin::Unknown, vec![]));
}

#[test]
fn a_child_descends_from_what_its_parent_ran_when_it_was_forked() {
    let mut tree = ProcessTree::default();
    let at = |time, path: &str, args: &[&str], tree: &mut ProcessTree| {
        let exec = Exec {
            time,
            executable: path.to_owned(),
            ..init(10)
        };
        learn(tree, &exec, args);
    };
    let parent =
        |tree: &mut ProcessTree, pid, forked_at| run(tree, &forked(pid, 10, forked_at), &[]).1;
    at(100, "/bin/sh", &["sh"], &mut tree);
    at(200, "/usr/sbin/nginx", &["nginx"], &mut tree);
    // A shell that forks, and executes another program in its own place before its child does.
    assert_eq!(parent(&mut tree, 11, 150), ["/bin/sh"]);
    assert_eq!(parent(&mut tree, 12, 200), ["/usr/sbin/nginx"]);
    assert_eq!(parent(&mut tree, 13, 250), ["/usr/sbin/nginx"]);
    let unseen = run(&mut tree, &inside(14, 10), &[]).1;
    assert_eq!(unseen, ["/usr/sbin/nginx"]);
    // However often it does so, the first program and the last ones are remembered, and no more.
    for time in 3..20 {
        at(time * 100, &format!("/bin/{time}"), &[], &mut tree);
    }
    assert_eq!(parent(&mut tree, 15, 150), ["/bin/sh"]);
    assert_eq!(parent(&mut tree, 16, 1850), ["/bin/18"]);
    assert_eq!(parent(&mut tree, 17, 250), ["/bin/sh"]);
    assert_eq!(tree.known[&key(10)].earlier.len(), EARLIER_LIMIT);
    for pid in 10..18 {
        tree.exit(key(pid));
    }
    assert_eq!((tree.order.len(), tree.order.bytes()), (0, 0));
}

#[test]
fn a_program_that_runs_another_in_its_place_keeps_its_origin() {
    let mut tree = ProcessTree::default();
    run(&mut tree, &joined(40), &["sh"]);
    assert_eq!(run(&mut tree, &joined(40), &["cat"]).0, Origin::Exec);
}

#[test]
fn what_was_not_seen_to_start_has_the_origin_that_its_session_proves() {
    let mut tree = ProcessTree::default();
    let entrypoint = Exec {
        init_session: true,
        ..inside(50, 49)
    };
    assert_eq!(run(&mut tree, &entrypoint, &[]).0, Origin::Entrypoint);
    // It may be what a `kubectl exec` left running, or a daemon of the entrypoint.
    assert_eq!(run(&mut tree, &inside(51, 49), &[]).0, Origin::Unknown);
    let shared = Exec {
        own_pid_namespace: false,
        without_loader: false,
        ..joined(52)
    };
    assert_eq!(run(&mut tree, &shared, &["sh"]).0, Origin::Unknown);
    // It joined before the sensor was there: by a program that was not observed, which may be a probe's.
    let old = Exec {
        process: ProcessKey {
            pid: 53,
            start: ATTACHED - 1,
        },
        ..joined(53)
    };
    assert_eq!(run(&mut tree, &old, &["cat", "/ready"]).0, Origin::Unknown);
    let init = Exec {
        init_session: true,
        ..old
    };
    assert_eq!(
        run(&mut ProcessTree::default(), &init, &[]).0,
        Origin::Entrypoint
    );
}

#[test]
fn parents_that_are_older_than_the_sensor_are_ancestors_without_arguments() {
    let mut tree = ProcessTree::default();
    find(&mut tree, 10, 1, true);
    find(&mut tree, 11, 10, true);
    let lineage = learn(&mut tree, &inside(12, 11), &["x"]);
    assert_eq!(
        lineage.start.origin(&commands(), Some("web")),
        Origin::Entrypoint
    );
    let ancestors: Vec<_> = lineage
        .ancestors
        .iter()
        .map(|known| {
            (
                known.executable.as_str(),
                known.names.clone(),
                known.args.len(),
            )
        })
        .collect();
    assert_eq!(
        ancestors,
        [
            ("/bin/p11", vec!["p11".to_owned()], 0),
            ("/bin/p10", vec!["p10".to_owned()], 0)
        ]
    );
    // What a `kubectl exec` left running, and the first process adopted.
    let mut tree = ProcessTree::default();
    find(&mut tree, 20, 10, false);
    let (origin, ancestors) = run(&mut tree, &inside(21, 20), &["sh"]);
    assert_eq!(origin, Origin::Unknown);
    assert_eq!(ancestors, ["/bin/p20"]);
}

#[test]
fn a_process_that_is_found_again_keeps_what_is_known_of_it() {
    let mut tree = ProcessTree::default();
    run(&mut tree, &joined(20), &["cat", "/ready"]);
    find(&mut tree, 20, 1, false);
    let lineage = learn(&mut tree, &inside(21, 20), &["id"]);
    assert_eq!(
        lineage.start.origin(&commands(), Some("web")),
        Origin::Probe
    );
    assert_eq!(lineage.ancestors[0].args, ["cat", "/ready"]);
}

#[test]
fn a_reused_number_is_another_process() {
    let mut tree = ProcessTree::default();
    run(&mut tree, &joined(60), &["sh"]);
    let later = Exec {
        process: ProcessKey {
            pid: 60,
            start: 999,
        },
        ..init(60)
    };
    assert_eq!(
        run(&mut tree, &later, &["web"]),
        (Origin::Entrypoint, vec![])
    );
}

#[test]
fn ancestors_and_processes_have_a_bound() {
    let mut tree = ProcessTree::default();
    run(&mut tree, &init(1), &["web"]);
    for pid in 1..100 {
        run(&mut tree, &forked(pid + 1, pid, 1), &[]);
        tree.exit(key(pid));
    }
    assert_eq!(
        run(&mut tree, &forked(101, 100, 1), &[]).1.len(),
        ANCESTORS_LIMIT
    );
}

#[test]
fn at_the_limit_who_was_not_heard_of_for_long_makes_room() {
    let mut tree = ProcessTree::default();
    run(&mut tree, &joined(1), &["sh"]);
    // Processes whose end is never told: a shell that lives makes as many as there is room for,
    // and as many again.
    let many = u32::try_from(CAPACITY).unwrap() * 2;
    for pid in 0..many {
        learn(&mut tree, &forked(1000 + pid, 1, 1), &[]);
    }
    assert_eq!((tree.known.len(), tree.order.len()), (CAPACITY, CAPACITY));
    assert_eq!(
        tree.dropped(),
        u64::from(many) + 1 - u64::try_from(CAPACITY).unwrap()
    );
    let newest = inside(1000 + many - 1, 999_999);
    assert_eq!(
        run(&mut tree, &newest, &["id"]),
        (Origin::Exec, vec!["/bin/p1".to_owned()]),
        "the newest is known"
    );
    let oldest = Exec {
        parent: key(999_999),
        ..inside(1000, 1)
    };
    assert_eq!(pod_of(&tree, &oldest), None, "the oldest is not");
    assert_eq!(
        pod_of(&tree, &joined(1)).as_deref(),
        Some("pod"),
        "nor forgotten is whose children execute something"
    );
    for pid in 0..many {
        tree.exit(key(1000 + pid));
    }
    assert_eq!((tree.known.len(), tree.order.len()), (1, 1));
}

#[test]
fn who_sent_a_process_can_be_told_once_its_pod_is_known() {
    let mut tree = ProcessTree::default();
    let probe = learn(&mut tree, &joined(70), &["cat", "/ready"]);
    let child = learn(&mut tree, &forked(71, 70, 710), &["id"]);
    // It ended before its pod was known, and is not brought back by what is asked later.
    tree.exit(key(70));
    assert_eq!(probe.start.origin(&commands(), Some("web")), Origin::Probe);
    assert_eq!(child.start.origin(&commands(), Some("web")), Origin::Probe);
    assert_eq!(tree.known.len(), 1);
}

#[test]
fn where_containers_share_a_pid_namespace_what_joined_one_is_known_by_the_containers_first_process()
{
    let shared = |pid| Exec {
        own_pid_namespace: false,
        ..joined(pid)
    };
    let later = |pid| Exec {
        joined_container: true,
        ..shared(pid)
    };
    let first = Exec {
        init_session: true,
        ..shared(72)
    };
    let mut tree = ProcessTree::default();
    assert_eq!(run(&mut tree, &first, &["web"]).0, Origin::Entrypoint);
    assert_eq!(run(&mut tree, &later(73), &["sh"]).0, Origin::Exec);
    assert_eq!(
        run(&mut tree, &later(74), &["cat", "/ready"]).0,
        Origin::Probe
    );
    // Its container is older than the sensor.
    assert_eq!(run(&mut tree, &shared(75), &["sh"]).0, Origin::Unknown);
}

#[test]
fn the_command_of_a_probe_is_one_in_its_own_container_alone() {
    let mut tree = ProcessTree::default();
    let probe = learn(&mut tree, &joined(76), &["cat", "/ready"]);
    let child = learn(&mut tree, &forked(77, 76, 770), &["id"]);
    let origin = |container| {
        [&probe, &child].map(|lineage: &Lineage| lineage.start.origin(&commands(), container))
    };
    // The status of the pod does not have the container yet.
    assert_eq!(origin(None), [Origin::Probe; 2]);
    assert_eq!(origin(Some("proxy")), [Origin::Exec; 2]);
    assert_eq!(origin(Some("web")), [Origin::Exec; 2], "it is settled");
}

#[test]
fn a_process_is_of_the_pod_that_started_it() {
    let mut tree = ProcessTree::default();
    run(&mut tree, &init(90), &["web"]);
    assert_eq!(pod_of(&tree, &forked(91, 90, 910)).as_deref(), Some("pod"));
    assert_eq!(
        pod_of(&tree, &inside(92, 90)).as_deref(),
        Some("pod"),
        "its fork was not seen"
    );
    assert_eq!(pod_of(&tree, &joined(93)), None, "a runtime's");
}

#[test]
fn a_pod_with_long_paths_makes_room_for_itself_and_others_stay_known() {
    let mut tree = ProcessTree::default();
    let place = |pod: &str| {
        Arc::new(Place {
            identity: Identity {
                kubelet: String::new(),
                pod_uid: pod.to_owned(),
                container_id: None,
            },
            application: false,
        })
    };
    let summary = |process: ProcessKey, length: usize| {
        Arc::new(ExecSummary {
            executable: "x".repeat(length),
            names: Vec::new(),
            args: Vec::new(),
            process,
        })
    };
    let exec = |tree: &mut ProcessTree, pod: &str, pid: u32, length: usize| {
        let exec = Arc::new(init(pid));
        let summary = summary(exec.process, length);
        tree.exec(place(pod), &exec, summary, false);
    };
    exec(&mut tree, "other", 1, 10);
    for pid in 2..20_000 {
        exec(&mut tree, "greedy", pid, 4096);
    }
    assert!(tree.order.bytes() <= LIMIT_BYTES);
    let known = tree.known.len();
    assert!((5000..6000).contains(&known), "{known}");
    assert_eq!(tree.dropped(), 19_999 - u64::try_from(known).unwrap());
    assert!(tree.known.contains_key(&key(1)), "it was first of all");
    for pid in 1..20_000 {
        tree.exit(key(pid));
    }
    assert_eq!((tree.order.len(), tree.order.bytes()), (0, 0));
}
