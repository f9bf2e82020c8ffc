//! Runs shells in pods, one after the other.
//!
//! Here: which pod, when, and until when. Not here: what is measured of it (`main`).
//! Invariant: a pod is attacked once, and not before the pod that was attacked before it has its
//! replacement; every Incident has come to its end before the next thing is begun.

use super::{Arguments, REPLICAS, Seen};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long the machine is left alone between the replacement of one pod being Ready and the next
/// exec: what is measured is the way of one, and the kubelets still clear away the pod before.
const PACE: Duration = Duration::from_millis(500);
/// How long nothing is asked for before a rested exec: the API server closes what rests for 90
/// seconds (k8s.io/apiserver v0.37.2, `pkg/server/secure_serving.go`).
pub(crate) const REST: Duration = Duration::from_secs(100);
/// How long is waited for a replacement.
const PATIENCE: Duration = Duration::from_secs(20);
/// How kubectl exits when the shell was killed with its container.
const KILLED: i32 = 137;

/// What was done.
pub(crate) struct Attacks {
    /// How long each creation of the peer's object took.
    pub(crate) creates: Vec<Duration>,
    /// What the bare client needed, for each run.
    pub(crate) floors: Vec<Vec<Duration>>,
    /// The run of each pod that was attacked by exec, by its UID.
    pub(crate) runs: BTreeMap<String, usize>,
    /// UIDs of the pods whose application started the shell.
    pub(crate) by_application: BTreeSet<String>,
    /// UIDs of the pods that were attacked after a rest.
    pub(crate) rested: BTreeSet<String>,
}

/// A pod that runs.
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) uid: String,
    address: String,
}

/// A shell that waits for what is typed.
enum Shell {
    /// Of kubectl.
    Exec(Child),
    /// At the other end of a request to the application, which is never sent to its end.
    Application(TcpStream),
}

/// Runs a shell in one pod after the other, and creates an object before each: the peer meets the
/// machine in the same state. Then those after a rest.
pub(crate) fn run(
    arguments: &Arguments,
    ready: &Seen,
    create: impl Fn(usize) -> Result<Duration>,
    mut floor: impl FnMut(usize, &Pod) -> Result<Duration>,
) -> Result<Attacks> {
    let mut attack = Attack::new(arguments, ready, "web");
    let mut spared = Attack::new(arguments, ready, "floor");
    let mut creates = Vec::with_capacity(arguments.execs);
    let mut floors = vec![Vec::new(); arguments.runs.get()];
    let mut runs = BTreeMap::new();
    for index in 0..arguments.execs {
        // The floor and the exec have their turns in pairs, now the one first and now the other.
        let run = index * arguments.runs.get() / arguments.execs;
        let mut measure_floor = || -> Result<()> {
            let pod = spared.next()?;
            std::thread::sleep(PACE);
            let taken = spared.replaced(&pod, || floor(index, &pod))?;
            floors[run].push(taken);
            Ok(())
        };
        if index % 2 == 0 {
            measure_floor()?;
        }
        let pod = attack.next()?;
        std::thread::sleep(PACE);
        creates.push(create(index)?);
        attack.shell_in(&pod, exec)?;
        runs.insert(pod.uid, run);
        if index % 2 == 1 {
            measure_floor()?;
        }
        if (index + 1) % 50 == 0 {
            eprintln!("{} of {} pairs", index + 1, arguments.execs);
        }
    }
    let mut by_application = BTreeSet::new();
    for index in 0..arguments.by_application {
        let pod = attack.next()?;
        std::thread::sleep(PACE);
        attack.shell_in(&pod, request)?;
        by_application.insert(pod.uid);
        if (index + 1) % 50 == 0 {
            let wanted = arguments.by_application;
            eprintln!("{} of {wanted} shells of the application", index + 1);
        }
    }
    let before = arguments.execs + arguments.by_application;
    let mut rested = BTreeSet::new();
    for index in 0..arguments.rested {
        all_settled(arguments, before + index)?;
        let pod = attack.next()?;
        std::thread::sleep(REST);
        attack.shell_in(&pod, exec)?;
        rested.insert(pod.uid);
        eprintln!("{} of {} execs after a rest", index + 1, arguments.rested);
    }
    all_settled(arguments, before + arguments.rested)?;
    Ok(Attacks {
        creates,
        floors,
        runs,
        by_application,
        rested,
    })
}

struct Attack<'a> {
    arguments: &'a Arguments,
    ready: &'a Seen,
    /// The Deployment, and the label `app` of its pods.
    app: &'static str,
    /// UIDs of the pods that were attacked.
    hit: BTreeSet<String>,
    /// Pods that ran when they were last asked for.
    queue: Vec<Pod>,
}

impl<'a> Attack<'a> {
    const fn new(arguments: &'a Arguments, ready: &'a Seen, app: &'static str) -> Self {
        Self {
            arguments,
            ready,
            app,
            hit: BTreeSet::new(),
            queue: Vec::new(),
        }
    }

    /// A pod that was not attacked yet.
    fn next(&mut self) -> Result<Pod> {
        loop {
            if let Some(pod) = self.queue.pop() {
                return Ok(pod);
            }
            self.arguments.kubectl(&[
                "rollout",
                "status",
                &format!("deployment/{}", self.app),
                "--timeout=120s",
            ])?;
            let pods = self
                .arguments
                .get(&["pods", "-l", &format!("app={}", self.app)])?;
            let stays = pods.iter().filter(|pod| {
                pod["metadata"]["deletionTimestamp"].is_null()
                    && pod["status"]["phase"] == "Running"
            });
            self.queue = stays.filter_map(named).collect();
            self.queue.retain(|pod| !self.hit.contains(&pod.uid));
            self.queue.truncate(REPLICAS);
        }
    }

    /// Starts a shell in a pod, and returns when another pod is Ready in its place.
    fn shell_in(&mut self, pod: &Pod, start: fn(&Arguments, &Pod) -> Result<Shell>) -> Result<()> {
        let arguments = self.arguments;
        let shell = self.replaced(pod, || start(arguments, pod))?;
        shell.end(pod)
    }

    /// Does something that leads to the pod's end, and returns when another pod is Ready.
    fn replaced<T>(&mut self, pod: &Pod, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let number = || {
            let ready = self.ready.lock();
            ready.unwrap_or_else(PoisonError::into_inner).len()
        };
        let before = number();
        let done = act()?;
        self.hit.insert(pod.uid.clone());
        let deadline = Instant::now() + PATIENCE;
        while number() == before && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(done)
    }
}

impl Shell {
    /// It ended with its pod; where nothing answered it, it ends now.
    fn end(self, pod: &Pod) -> Result<()> {
        match self {
            Self::Application(request) => drop(request),
            Self::Exec(mut kubectl) => {
                drop(kubectl.stdin.take());
                let ended = kubectl.wait_with_output()?;
                ensure!(
                    ended.status.success() || ended.status.code() == Some(KILLED),
                    "kubectl exec {}: {}",
                    pod.name,
                    String::from_utf8_lossy(&ended.stderr)
                );
            }
        }
        Ok(())
    }
}

/// A shell in a pod, as an attacker with kubectl has it.
fn exec(arguments: &Arguments, pod: &Pod) -> Result<Shell> {
    let shell = Command::new("kubectl")
        .env("KUBECONFIG", &arguments.kubeconfig)
        .args(["-n", super::NAMESPACE, "exec", "-i", &pod.name, "--", "sh"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let shell = shell.context("cannot run kubectl; `make tools` builds it")?;
    Ok(Shell::Exec(shell))
}

/// A shell that the application starts for whoever asks, as an attacker has it who found a hole.
fn request(_: &Arguments, pod: &Pod) -> Result<Shell> {
    let address = pod.address.as_str();
    let mut stream = TcpStream::connect((address, 8080))
        .with_context(|| format!("cannot connect to the pod at {address}"))?;
    let head =
        format!("POST /cgi-bin/sh HTTP/1.1\r\nHost: {address}\r\nContent-Length: 1000\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    Ok(Shell::Application(stream))
}

fn named(pod: &Value) -> Option<Pod> {
    Some(Pod {
        name: pod["metadata"]["name"].as_str()?.to_owned(),
        uid: pod["metadata"]["uid"].as_str()?.to_owned(),
        address: pod["status"]["podIP"].as_str()?.to_owned(),
    })
}

/// Waits until so many Incidents have their answer, and each knows what took the pod's place.
fn all_settled(arguments: &Arguments, execs: usize) -> Result<()> {
    let deadline = Instant::now() + Duration::from_mins(1);
    while Instant::now() < deadline {
        let incidents = arguments.get(&["incidents"])?;
        let settled = |incident: &&Value| {
            let status = &incident["status"];
            status["response"]["action"] == "Evict" && status["replacement"].is_object()
        };
        if incidents.iter().filter(settled).count() >= execs {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    eprintln!("not every exec was responded to within a minute; the page says how many were");
    Ok(())
}
