//! Containers that runtimes start and enter, up to the verdict of a policy: runc and crun of the system, and the newest
//! runc.
//!
//! Here: that nothing that runc and crun do themselves is an Incident, also where CRI-O's monitors call them. Not here:
//! what is told of containers (`tests/kernel/runtime.rs`, `tests/kernel/container.rs`), CRI-O's pods (`crio`).
//! Invariant: with `BAILIFF_CONTAINER_STARTS` unset each test takes a second or two; `make soak` sets it to 100.

#[path = "../../../tests/kernel/node.rs"]
mod node;

use super::*;
use crate::kernel::loader::Records;
use bailiff_api::ExecutableSource;
use node::{Monitors, Node};

/// How many containers are started, and how many programs in one of them.
fn starts() -> usize {
    let number = std::env::var("BAILIFF_CONTAINER_STARTS");
    number.map_or(3, |number| number.parse().unwrap())
}

/// A program of perl that executes another one from memory. As crun asks of a hook, it reads its input.
fn from_memory() -> String {
    // memfd_create and write have other numbers on each architecture.
    let (create, write) = if cfg!(target_arch = "x86_64") {
        (319, 1)
    } else {
        (279, 64)
    };
    format!(
        r#"local $/; my $state = <STDIN>; my $name = "runtime"; my $fd = syscall({create}, $name, 0);
           open(my $in, "<", "/bin/true"); binmode $in; my $bytes = <$in>;
           syscall({write}, $fd, $bytes, length $bytes);
           exec {{ "/proc/self/fd/$fd" }} "runtime""#
    )
}

/// Runtimes execute themselves from memory while they start or enter a container.
async fn runtimes_violate_nothing(mut node: Node) {
    let mut sensor = Sensor::with(
        MINUTE,
        [
            ("memory", "process.executableSource != 'Memory'"),
            ("any", "false"),
        ],
    )
    .await;
    // Newer runtimes do this in the container's cgroup by themselves, before it has its own root directory.
    let hook = json!([{"path": "/usr/bin/perl", "args": ["perl", "-e", from_memory()]}]);
    node.hooks = json!({ "createContainer": hook });
    sensor.state.kubelet_cgroup = Some(format!("/{}", node.top));
    let mut records = Records::load(1 << 23).unwrap();
    let names: Vec<_> = (0..starts()).map(|start| format!("{start:02x}")).collect();
    let statuses: Vec<_> = names
        .iter()
        .map(|name| {
            let id = Node::id(name);
            json!({"name": name, "image": "i", "imageID": "i", "ready": true, "restartCount": 0,
                "containerID": format!("containerd://{id}")})
        })
        .collect();
    let mut pod = pod("test");
    pod["status"] = json!({"containerStatuses": statuses});
    sensor.pod(pod).await;
    let mut found = Found {
        kubelet: format!("/{}", node.top),
        ..Found::default()
    };
    for (index, name) in names.iter().enumerate() {
        let last = index + 1 == names.len();
        let line = "/bin/cat /hostname; exec /bin/sleep 1000";
        let container = node.start(name, line, &json!([]));
        found
            .until(&mut sensor, &mut records, "/bin/cat", index + 1)
            .await;
        if last {
            for exec in 1..=starts() {
                node.exec(&container, "exec /bin/wc /hostname");
                found
                    .until(&mut sensor, &mut records, "/bin/wc", exec)
                    .await;
            }
        } else {
            node.delete(&container);
        }
    }
    assert_eq!(found.of_memory, Vec::<String>::new());
    assert_eq!(found.by_runtime, starts());
    // The policy works: so it is with a program from memory.
    sensor
        .exec(Exec {
            source: ExecutableSource::Memory,
            cgroup: format!("/{}/kubepods/podtest/{}", node.top, Node::id(&names[0])),
            mount_namespace: u64::MAX,
            ..joined(key(2), "memfd:x")
        })
        .await;
    found.take(&mut sensor);
    assert_eq!(found.of_memory, ["memfd:x"]);
}

/// What policies found.
#[derive(Default)]
struct Found {
    /// Where the cgroups of the node begin.
    kubelet: String,
    /// Executables that the policy against those from memory found.
    of_memory: Vec<String>,
    /// Paths of all that was evaluated.
    evaluated: Vec<String>,
    /// How many programs were told that the runtime executed from memory.
    by_runtime: usize,
}

impl Found {
    /// Reads until a program was evaluated so often.
    async fn until(
        &mut self,
        sensor: &mut Sensor,
        records: &mut Records,
        path: &str,
        number: usize,
    ) {
        let deadline = Instant::now() + MINUTE;
        while self.evaluated.iter().filter(|have| *have == path).count() < number {
            assert!(
                Instant::now() < deadline,
                "{number} times {path}; evaluated: {:?}",
                self.evaluated
            );
            records.sleep(Duration::from_millis(5)).unwrap();
            while let Some(event) = records.try_next() {
                let event = event.unwrap();
                if let Event::Exec(exec) = &event
                    && exec.source == ExecutableSource::Memory
                    && exec.cgroup.starts_with(&self.kubelet)
                {
                    self.by_runtime += 1;
                }
                sensor.state.event(event).await;
                self.take(sensor);
            }
        }
    }

    fn take(&mut self, sensor: &mut Sensor) {
        for finding in sensor.findings() {
            match finding.policy.name.as_str() {
                "memory" => self.of_memory.push(finding.process.executable.clone()),
                _ => self.evaluated.push(finding.process.invoked_path.clone()),
            }
        }
    }
}

#[tokio::test]
async fn nothing_that_runc_does_is_an_executable_from_memory() {
    runtimes_violate_nothing(Node::new("runc", "memory")).await;
}

#[tokio::test]
async fn nothing_that_crun_does_is_an_executable_from_memory() {
    runtimes_violate_nothing(Node::new("crun", "memory")).await;
}

#[tokio::test]
async fn nothing_that_the_newest_runc_does_is_an_executable_from_memory() {
    runtimes_violate_nothing(Node::with_newest_runc("memory")).await;
}

/// The monitors of CRI-O are the container runtime's, and what they have it start is the container's, wherever they are.
async fn monitors_are_the_runtimes(node: impl Fn(&str) -> Node) {
    for (monitors, test) in [
        (Monitors::InPod, "beside"),
        (Monitors::InContainer, "inside"),
    ] {
        let mut sensor = Sensor::new(MINUTE).await;
        let mut node = node(test);
        node.monitors = monitors;
        let kubelet = format!("/{}", node.top);
        sensor.state.kubelet_cgroup = Some(kubelet.clone());
        let mut pod = running("test", &Node::id("a"));
        pod["status"]["containerStatuses"][0]["containerID"] =
            json!(format!("cri-o://{}", Node::id("a")));
        sensor.pod(pod).await;
        let mut records = Records::load(1 << 23).unwrap();
        let line = "/bin/cat /hostname; exec /bin/sleep 1000";
        let container = node.start("a", line, &json!([]));
        let mut found = evaluated(&mut sensor, &mut records, "/bin/cat").await;
        node.exec(&container, "/bin/wc /hostname; :");
        found.extend(evaluated(&mut sensor, &mut records, "/bin/wc").await);
        let sleeps: Vec<_> = found
            .extract_if(.., |(path, _)| path == "/bin/sleep")
            .collect();
        let sleep = ("/bin/sleep".to_owned(), Origin::Entrypoint);
        assert!(sleeps.iter().all(|one| *one == sleep), "{sleeps:?}");
        let found: Vec<_> = found
            .iter()
            .map(|(path, origin)| (path.as_str(), *origin))
            .collect();
        let want = [
            ("/bin/sh", Origin::Entrypoint),
            ("/bin/cat", Origin::Entrypoint),
            ("/bin/sh", Origin::Exec),
            ("/bin/wc", Origin::Exec),
        ];
        assert_eq!(found, want, "{test}");
        assert_eq!(sensor.skipped(Skipped::Sandbox), 0);
        assert!(sensor.skipped(Skipped::ContainerRuntime) > 0);
        assert_eq!(sensor.not_evaluated(NotEvaluated::AmbiguousPod), 0);
    }
}

/// What was evaluated until a program was, with its origin.
async fn evaluated(
    sensor: &mut Sensor,
    records: &mut Records,
    path: &str,
) -> Vec<(String, Origin)> {
    let deadline = Instant::now() + MINUTE;
    let mut found = Vec::new();
    while found.iter().all(|(have, _)| have != path) {
        assert!(Instant::now() < deadline, "{path}: {found:?}");
        records.sleep(Duration::from_millis(5)).unwrap();
        while let Some(event) = records.try_next() {
            sensor.state.event(event.unwrap()).await;
        }
        for finding in sensor.findings() {
            // Both policies find each process.
            if finding.policy.name == "any" {
                let process = &finding.process;
                found.push((process.invoked_path.clone(), process.origin));
            }
        }
    }
    found
}

#[tokio::test]
async fn the_monitors_of_crio_are_the_runtimes_with_runc() {
    monitors_are_the_runtimes(|test| Node::new("runc", test)).await;
}

#[tokio::test]
async fn the_monitors_of_crio_are_the_runtimes_with_crun() {
    monitors_are_the_runtimes(|test| Node::new("crun", test)).await;
}

#[tokio::test]
async fn the_monitors_of_crio_are_the_runtimes_with_the_newest_runc() {
    monitors_are_the_runtimes(Node::with_newest_runc).await;
}
