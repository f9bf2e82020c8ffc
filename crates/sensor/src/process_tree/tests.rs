//! Lives of processes, told as forks, execs and exits.

use super::*;
use bailiff_api::ExecutableSource;

fn key(pid: u32) -> ProcessKey {
    ProcessKey {
        pid,
        start: u64::from(pid) * 10,
    }
}

/// An exec of a process that joined a container with a PID namespace of its own.
fn joined(pid: u32) -> Exec {
    Exec {
        time: 1,
        process: key(pid),
        parent: key(1),
        capabilities: 0,
        uid: 0,
        gid: 0,
        source: ExecutableSource::Image,
        mount_namespace: 1,
        cgroup: String::new(),
        executable: format!("/bin/p{pid}"),
        filename: format!("/bin/p{pid}"),
        interpreter: None,
        args: Vec::new(),
        args_cut: false,
        own_root: true,
        namespace_init: false,
        joined: true,
        own_pid_namespace: true,
        below_init: false,
    }
}

fn inside(pid: u32, parent: u32) -> Exec {
    Exec {
        joined: false,
        parent: key(parent),
        ..joined(pid)
    }
}

fn init(pid: u32) -> Exec {
    Exec {
        namespace_init: true,
        below_init: true,
        ..joined(pid)
    }
}

fn run(tree: &mut ProcessTree, exec: &Exec, args: &[&str]) -> (Origin, Vec<String>) {
    let args: Vec<_> = args.iter().map(ToString::to_string).collect();
    let commands = KubeletCommands {
        probes: vec![vec!["cat".to_owned(), "/ready".to_owned()]],
        lifecycle: vec![vec!["drain".to_owned()]],
    };
    let image = Image {
        executable: exec.executable.clone(),
        names: Vec::new(),
        args: args.clone(),
        process: exec.process,
    };
    let (origin, ancestors) = tree.exec(exec, &args, &commands, image);
    (
        origin,
        ancestors
            .iter()
            .map(|image| image.executable.clone())
            .collect(),
    )
}

#[test]
fn the_first_process_and_what_it_starts_are_the_entrypoint() {
    let mut tree = ProcessTree::default();
    assert_eq!(
        run(&mut tree, &init(10), &["web"]),
        (Origin::Entrypoint, vec![])
    );
    tree.fork(key(10), key(11));
    assert_eq!(
        run(&mut tree, &inside(11, 10), &["cat", "/ready"]),
        (Origin::Entrypoint, vec!["/bin/p10".to_owned()])
    );
    tree.fork(key(11), key(12));
    let (origin, ancestors) = run(&mut tree, &inside(12, 11), &["x"]);
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
    tree.fork(key(20), key(24));
    assert_eq!(
        run(&mut tree, &inside(24, 20), &["id"]),
        (Origin::Exec, vec!["/bin/p20".to_owned()])
    );
}

#[test]
fn an_orphan_keeps_its_origin_though_the_kernel_moves_it_below_the_first_process() {
    let mut tree = ProcessTree::default();
    run(&mut tree, &joined(30), &["sh"]);
    tree.fork(key(30), key(31));
    tree.exit(key(30));
    let orphan = Exec {
        below_init: true,
        ..inside(31, 10)
    };
    assert_eq!(
        run(&mut tree, &orphan, &["miner"]),
        (Origin::Exec, vec!["/bin/p30".to_owned()])
    );
}

#[test]
fn a_program_that_runs_another_in_its_place_keeps_its_origin() {
    let mut tree = ProcessTree::default();
    run(&mut tree, &joined(40), &["sh"]);
    assert_eq!(run(&mut tree, &joined(40), &["cat"]).0, Origin::Exec);
}

#[test]
fn what_was_not_seen_to_start_has_the_origin_that_its_place_proves() {
    let mut tree = ProcessTree::default();
    assert_eq!(
        run(
            &mut tree,
            &Exec {
                below_init: true,
                ..inside(50, 49)
            },
            &[]
        )
        .0,
        Origin::Entrypoint
    );
    assert_eq!(run(&mut tree, &inside(51, 49), &[]).0, Origin::Exec);
    let shared = Exec {
        own_pid_namespace: false,
        ..joined(52)
    };
    assert_eq!(run(&mut tree, &shared, &["sh"]).0, Origin::Unknown);
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
        tree.fork(key(pid), key(pid + 1));
        tree.exit(key(pid));
    }
    assert_eq!(
        run(&mut tree, &inside(100, 99), &[]).1.len(),
        ANCESTORS_LIMIT
    );
    for pid in 0..u32::try_from(LIMIT).unwrap() + 5 {
        tree.fork(key(100), key(1000 + pid));
    }
    assert_eq!(tree.known.len(), LIMIT);
    assert!(tree.forgotten() >= 5);
}
