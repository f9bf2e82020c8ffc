//! Observers that read, do not read, and are told of hostile processes.

use super::*;
use crate::judge::StartedProcess;
use crate::kernel::args::Args;
use crate::kernel::record::tests::joined;
use crate::kernel::record::{Exec, ProcessKey};
use crate::process::identity::identity;
use crate::process::tree::{ExecSummary, Place, ProcessTree};
use bailiff_api::Origin;
use jiff::Timestamp;

const ID: &str = "8a4e0c6e2b1f4f5fa7a0a1d5c3b2e1f08a4e0c6e2b1f4f5fa7a0a1d5c3b2e1f0";

fn pod() -> PodFacts {
    let pod = json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": "a"},
        "spec": {"containers": [{"name": "web"}]},
        "status": {"containerStatuses": [{
            "name": "web", "image": "i\"\u{1}", "imageID": "i", "ready": true, "restartCount": 0,
            "containerID": format!("containerd://{ID}"),
        }]},
    });
    PodFacts::fetched(pod.to_string().as_bytes(), &Arc::default()).unwrap()
}

/// A process of the pod, below as many others that executed the same.
fn started(exec: &Exec, below: u32) -> StartedProcess {
    let identity = identity(&format!("/kubepods/poda/{ID}")).unwrap();
    let place = Arc::new(Place {
        identity: identity.clone(),
        application: true,
    });
    let key = |pid| ProcessKey { pid, start: 1 };
    let mut tree = ProcessTree::default();
    let mut started = None;
    for pid in 1..=below + 1 {
        let exec = Arc::new(Exec {
            process: key(pid),
            parent: key(pid - 1),
            forked: Some(2),
            ..exec.clone()
        });
        let text = exec.executable.clone();
        let summary = Arc::new(ExecSummary {
            executable: text.clone(),
            names: vec![text.chars().take(255).collect(); 3],
            args: vec![text.chars().take(85).collect(); 3],
            process: exec.process,
        });
        let lineage = tree.exec(Arc::clone(&place), &exec, Arc::clone(&summary), false);
        started = Some(StartedProcess {
            kubelet: String::new(),
            pod_uid: "a".to_owned(),
            container_id: identity.container_id.clone(),
            place: Arc::clone(&place),
            exec,
            found_running: false,
            summary,
            lineage,
            time: Timestamp::UNIX_EPOCH,
            booted: Timestamp::UNIX_EPOCH,
        });
    }
    started.unwrap()
}

fn with_args(bytes: usize) -> StartedProcess {
    let args: Args = ["x".repeat(bytes)].iter().collect();
    let exec = Exec {
        args,
        ..joined(ProcessKey { pid: 1, start: 1 }, "/bin/a")
    };
    started(&exec, 0)
}

/// Observers of which one was let in, with what it is told.
fn observed() -> (Observers, mpsc::Receiver<Line>) {
    let (joining, joined) = mpsc::channel(1);
    let (observer, incoming) = Observer::new(None);
    joining.try_send(observer).ok().unwrap();
    let mut observers = Observers::new("node-1", joined);
    observers.refresh(&Pods::default());
    (observers, incoming)
}

fn tell(observers: &mut Observers, started: &StartedProcess) {
    let pod = pod();
    let process = ObservedProcess {
        started,
        origin: Origin::Exec,
        pod: &pod,
    };
    observers.evaluated(&process, Verdicts::default(), Vec::new());
}

fn received(incoming: &mut mpsc::Receiver<Line>) -> Vec<Json> {
    let lines = std::iter::from_fn(|| incoming.try_recv().ok());
    lines
        .map(|line| serde_json::from_str(&line.text()).unwrap())
        .collect()
}

fn kinds(lines: &[Json]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line["kind"].as_str().unwrap())
        .collect()
}

#[test]
fn who_does_not_read_loses_lines_and_learns_how_many() {
    let (mut observers, mut incoming) = observed();
    let started = with_args(ROOM_BYTES / 4);
    for _ in 0..10 {
        tell(&mut observers, &started);
    }
    let lines = received(&mut incoming);
    assert_eq!(kinds(&lines), ["Started", "Process", "Process", "Process"]);
    tell(&mut observers, &started);
    let after = received(&mut incoming);
    assert_eq!(kinds(&after), ["Dropped", "Process"]);
    assert_eq!(after[0]["processes"], 7);
}

#[test]
fn nothing_is_kept_of_a_process_that_nobody_has_room_for() {
    let (mut observers, incoming) = observed();
    let started = with_args(ROOM_BYTES / 2);
    tell(&mut observers, &started);
    let kept = Arc::strong_count(&started.exec);
    // It is asked before anything is made.
    assert!(observers.have_room(&pod(), ROOM_BYTES / 4));
    assert!(!observers.have_room(&pod(), ROOM_BYTES / 2));
    for _ in 0..10 {
        tell(&mut observers, &started);
    }
    assert_eq!(Arc::strong_count(&started.exec), kept);
    assert_eq!(observers.all[0].dropped, 11);
    drop(incoming);
    observers.refresh(&Pods::default());
    assert!(observers.all.is_empty());
    assert!(!observers.observe(&pod()));
}

#[test]
fn lines_are_bounded_in_number_too() {
    let (observer, mut incoming) = Observer::new(None);
    for _ in 0..ROOM_LINES + 5 {
        observer.send(&json!({}));
    }
    assert!(!observer.has_room(1));
    assert_eq!(received(&mut incoming).len(), ROOM_LINES);
    assert!(observer.has_room(ROOM_BYTES));
}

#[test]
fn the_room_is_free_again_when_a_line_was_written() {
    let (mut observers, mut incoming) = observed();
    received(&mut incoming);
    let started = with_args(ROOM_BYTES / 4);
    for _ in 0..100 {
        tell(&mut observers, &started);
        assert_eq!(received(&mut incoming).len(), 1);
    }
    assert_eq!(observers.all[0].dropped, 0);
}

#[test]
fn a_text_is_made_once_for_all_and_only_where_it_is_written() {
    let (joining, joined) = mpsc::channel(2);
    let mut observers = Observers::new("node-1", joined);
    let mut all = Vec::new();
    for _ in 0..2 {
        let (observer, incoming) = Observer::new(None);
        joining.try_send(observer).ok().unwrap();
        all.push(incoming);
    }
    observers.refresh(&Pods::default());
    tell(&mut observers, &with_args(10));
    let texts: Vec<_> = all
        .iter_mut()
        .map(|incoming| {
            incoming.try_recv().unwrap();
            let line = incoming.try_recv().unwrap();
            line.text()
        })
        .collect();
    assert!(Arc::ptr_eq(&texts[0], &texts[1]));
}

#[test]
fn no_text_is_longer_than_its_room() {
    let pod = pod();
    for text in ["a", "\u{1}", "\"", "\\", "\u{7f}", "é", "\u{202e}", "😀"] {
        for below in [0, 20] {
            let long = text.repeat(2048 / text.len());
            let exec = Exec {
                executable: long.clone(),
                filename: long.chars().take(100).collect(),
                working_directory: long.clone(),
                interpreter: Some(String::new()),
                capabilities: u64::MAX,
                args: long.chars().map(String::from).collect(),
                args_tail: ["\u{1}"; 500].iter().collect(),
                args_cut: true,
                ..joined(ProcessKey { pid: 1, start: 1 }, "")
            };
            let started = started(&exec, below);
            let process = ObservedProcess {
                started: &started,
                origin: Origin::Exec,
                pod: &pod,
            };
            let outcome = Outcome::NotEvaluated(NoVerdict::Sandbox);
            let bytes = process.bytes("node-1", &outcome);
            let text = Observation::new(&process, outcome, bytes).text("node-1");
            assert!(text.len() <= bytes, "{} > {bytes}", text.len());
            assert!(bytes < 2 * text.len() + 40_000, "{} << {bytes}", text.len());
        }
    }
    // Bytes that are no text.
    let exec = Exec {
        args: [[0xff_u8; 4000]].iter().collect(),
        ..joined(ProcessKey { pid: 1, start: 1 }, "")
    };
    let started = started(&exec, 0);
    let process = ObservedProcess {
        started: &started,
        origin: Origin::Exec,
        pod: &pod,
    };
    let outcome = Outcome::Evaluated(Verdicts::default(), vec!["\"".repeat(1000)]);
    let bytes = process.bytes("node-1", &outcome);
    let text = Observation::new(&process, outcome, bytes).text("node-1");
    assert!(text.len() > 12_000 && text.len() <= bytes, "{}", text.len());
}

#[test]
fn a_pod_is_named_by_its_namespace_and_name() {
    let named = PodName::parse("shop/web-1").unwrap();
    assert_eq!(
        (named.namespace.as_str(), named.name.as_str()),
        ("shop", "web-1")
    );
    for text in ["", "web-1", "/web-1", "shop/", "a/b/c", &"x/".repeat(600)] {
        assert_eq!(PodName::parse(text), None, "{text}");
    }
}
