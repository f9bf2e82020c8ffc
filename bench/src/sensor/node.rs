//! A node of containers without a runtime: cgroups named as a kubelet names them, each with a root directory of its own.
//!
//! Here: making them, starting the sensor and the loops in them. Not here: what is measured.
//! Invariant: no cgroup and no process is left when a node ends as it should.

use crate::api::PodId;
use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the sensor has to become ready.
const PATIENCE: Duration = Duration::from_secs(30);

/// Gives a process its container's root directory and cgroup. `$1` is the cgroup, `$2` a folder, the rest a command.
/// An overlay over the machine's root is another root directory than that, as a container's is.
const CONTAINER: &str = r#"
    set -eu
    cgroup=$1 folder=$2
    shift 2
    mount -t tmpfs bench "$folder"
    mkdir "$folder/up" "$folder/work" "$folder/root"
    cp "$PROGRAM" "$folder/up/program"
    cp "$START" "$folder/up/start"
    mount -t overlay bench -o "lowerdir=/,upperdir=$folder/up,workdir=$folder/work" "$folder/root"
    for directory in proc sys dev; do mount --rbind "/$directory" "$folder/root/$directory"; done
    mkdir "$folder/root/library"
    mount --bind "$POLICIES" "$folder/root/library"
    echo 0 > "$cgroup/cgroup.procs"
    exec chroot "$folder/root" "$@"
"#;

/// A node for as long as this lives.
pub(crate) struct Node {
    top: PathBuf,
    folder: tempfile::TempDir,
    start: PathBuf,
    policies: PathBuf,
    pods: Vec<PodId>,
}

impl Node {
    /// With so many pods, the first of which is the sensor's.
    pub(crate) fn new(pods: u32, policies: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let start = folder.path().join("start");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sensor/start.c");
        let output = Command::new("cc")
            .args(["-O2", "-Wall", "-Werror", "-static", source, "-o"])
            .arg(&start)
            .output()
            .context("cannot run cc")?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let top = hierarchy()?.join(format!("bailiff-bench-{}", std::process::id()));
        let id = |index: u32| PodId {
            uid: format!("{index:08x}-0000-4000-8000-000000000000"),
            container: format!("{index:064x}"),
        };
        let node = Self {
            top,
            start,
            policies: policies.canonicalize()?,
            pods: (0..pods).map(id).collect(),
            folder,
        };
        for pod in &node.pods {
            std::fs::create_dir_all(node.cgroup(pod))?;
            std::fs::create_dir(node.folder.path().join(&pod.uid))?;
        }
        Ok(node)
    }

    fn cgroup(&self, pod: &PodId) -> PathBuf {
        let path = format!("kubepods/besteffort/pod{}/{}", pod.uid, pod.container);
        self.top.join(path)
    }

    /// What a container runs.
    fn container(&self, pod: &PodId) -> Result<Command> {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", CONTAINER, "sh"])
            .arg(self.cgroup(pod))
            .arg(self.folder.path().join(&pod.uid))
            .env("PROGRAM", std::env::current_exe()?)
            .env("START", &self.start)
            .env("POLICIES", &self.policies)
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Starts the sensor, and waits until it is ready.
    pub(crate) fn sensor(&self, with_policies: bool) -> Result<Sensor> {
        let own = self.pods.first().context("no pod")?;
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = self.container(own)?;
        command.args(["/program", "sensor", "--address", &address.to_string()]);
        for pod in &self.pods {
            command.args(["--pod", &format!("{}/{}", pod.uid, pod.container)]);
        }
        if with_policies {
            command.args(["--policies", "/library"]);
        }
        let child = command.spawn().context("cannot start the sensor")?;
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        let mut sensor = Sensor {
            child,
            address,
            clock: clock_getcpuclockid(pid)?,
            pid,
        };
        let started = Instant::now();
        while !sensor
            .get("/readyz")
            .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
        {
            if let Some(status) = sensor.child.try_wait()? {
                bail!("the sensor ended: {status}");
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "the sensor does not become ready"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(sensor)
    }

    /// Starts a loop in a pod: so many starts, or, if that is 0, so many seconds.
    pub(crate) fn start(&self, pod: usize, number: u32, seconds: u64) -> Result<Loop> {
        let pod = self.pods.get(pod).context("no such pod")?;
        let child = self
            .container(pod)?
            .args(["/start", &number.to_string(), &seconds.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a loop")?;
        Ok(Loop(child))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for pod in &self.pods {
            let mut folder = self.cgroup(pod);
            // What is not empty is above another pod's.
            while folder.starts_with(&self.top) && std::fs::remove_dir(&folder).is_ok() {
                folder.pop();
            }
        }
    }
}

/// The hierarchy that the programs look at: pids on v1, else the one of v2.
fn hierarchy() -> Result<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let place = |wanted: &dyn Fn(&str, &str) -> bool| {
        mounts.lines().find_map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            let [_, place, kind, options, ..] = words.as_slice() else {
                return None;
            };
            wanted(kind, options).then(|| PathBuf::from(place))
        })
    };
    place(&|kind, options| kind == "cgroup" && options.split(',').any(|option| option == "pids"))
        .or_else(|| place(&|kind, _| kind == "cgroup2"))
        .context("no cgroup hierarchy is mounted")
}

/// A loop that runs.
pub(crate) struct Loop(Child);

impl Loop {
    /// Waits until it ends; the number of starts, and how long they took.
    pub(crate) fn end(self) -> Result<(u64, Duration)> {
        let output = self.0.wait_with_output()?;
        ensure!(output.status.success(), "a loop ended: {}", output.status);
        let text = String::from_utf8(output.stdout)?;
        let (number, nanoseconds) = text
            .trim()
            .split_once(' ')
            .context("a loop printed nothing")?;
        Ok((number.parse()?, Duration::from_nanos(nanoseconds.parse()?)))
    }
}

/// The sensor while it runs.
pub(crate) struct Sensor {
    child: Child,
    address: SocketAddr,
    clock: ClockId,
    pid: Pid,
}

impl Sensor {
    /// CPU time of the process so far, of all its threads, in user and in kernel mode.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        Ok(Duration::from(self.clock.now()?))
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The sum of a counter over its labels, as far as they contain a text.
    pub(crate) fn count(&self, counter: &str, labels: &str) -> Result<u64> {
        let text = self.get("/metrics")?;
        let name = format!("bailiff_sensor_{counter}_total");
        let mut sum = 0_u64;
        let mut is_there = false;
        for line in text.lines() {
            let Some(rest) = line.strip_prefix(&name) else {
                continue;
            };
            is_there = true;
            if rest.contains(labels) {
                let value = rest.rsplit(' ').next().context("no value")?;
                sum = sum.saturating_add(value.parse()?);
            }
        }
        ensure!(is_there, "the sensor has no counter {name}");
        Ok(sum)
    }

    /// Waits until it has read and evaluated what it was told of.
    pub(crate) fn settle(&self) -> Result<()> {
        let mut before = self.cpu()?;
        loop {
            std::thread::sleep(Duration::from_millis(300));
            let now = self.cpu()?;
            // A turn of its tick takes well under a millisecond.
            if now.saturating_sub(before) < Duration::from_millis(3) {
                return Ok(());
            }
            before = now;
        }
    }

    /// Ends it.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill(self.pid, Signal::SIGTERM)?;
        self.child.wait()?;
        Ok(())
    }
}
