//! `bailiff observe`: processes as a sensor sees them.
//!
//! Here: the connection to the sensor of the same pod, and what is said beside its lines. Not here: what a line
//! contains (`sensor::observe`).
//! Invariant: a line on standard output is one process as JSON, in which no control character is unescaped; everything
//! else goes to standard error. The memory that it takes is the sensor's: that of one line, which is not decoded. It ends
//! when nobody reads its output any more, also if no process starts.

use bailiff_api::keys::OBSERVE_SOCKET;
use bailiff_response::messages::hides;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Deserialize;
use std::borrow::Cow;
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};

/// Most bytes of a line; a sensor sends no more.
const LINE_BYTES: u64 = 1 << 20;

/// Flags of `bailiff observe`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Runs in the pod of a sensor, and shows the processes of its node:\n  kubectl exec -n bailiff-system ds/bailiff-sensor -- bailiff observe\n  kubectl exec -n bailiff-system POD -- bailiff observe --pod shop/web-7d4b9 | jq '.process.names'\n\nThe sensor on the node of a pod:\n  NODE=$(kubectl get pod -n shop web-7d4b9 -o jsonpath='{.spec.nodeName}')\n  kubectl get pods -n bailiff-system -l app.kubernetes.io/component=sensor --field-selector spec.nodeName=$NODE"
)]
pub struct ObserveArgs {
    /// Show only the processes of this pod. Defaults to each pod of the node
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = pod)]
    pub pod: Option<String>,
}

fn pod(text: &str) -> Result<String, String> {
    let parts: Vec<_> = text.split('/').collect();
    let valid = |part: &&str| {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        !part.is_empty() && part.len() <= 253 && part.chars().all(known)
    };
    if parts.len() == 2 && parts.iter().all(valid) {
        Ok(text.to_owned())
    } else {
        Err("must be the namespace and the name of a pod, such as shop/web-7d4b9".to_owned())
    }
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// Nothing listens here.
    #[error(
        "cannot connect to a sensor in this pod: {0}; run the command in the pod of a sensor (kubectl exec -n bailiff-system ds/bailiff-sensor -- bailiff observe). If this is one, the sensor cannot start: see its log and the Events of the Node"
    )]
    NoSensor(io::Error),
    /// The connection broke.
    #[error(
        "cannot read from the sensor: {0}; run the command again, and check whether the sensor is Ready"
    )]
    Read(io::Error),
    /// The sensor said no.
    #[error(
        "the sensor rejected the connection: {0}; end another `bailiff observe` of this node, and run the command again"
    )]
    Refused(String),
    /// The sensor stopped.
    #[error(
        "the sensor closed the connection: it stopped, or the output was paused for too long; run the command again"
    )]
    Ended,
    /// A line that is none of a sensor's.
    #[error("the sensor sent a line that is not JSON")]
    Line(#[source] serde_json::Error),
    /// The output cannot be written.
    #[error("cannot write the output")]
    Write(#[from] io::Error),
}

/// Prints a line for each process until the sensor or the caller ends.
///
/// # Errors
/// When no sensor runs in this pod, it refuses, it ends, or the output cannot be written.
pub fn run(
    args: &ObserveArgs,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<(), ObserveError> {
    let address = SocketAddr::from_abstract_name(OBSERVE_SOCKET).map_err(ObserveError::NoSensor)?;
    let stream = UnixStream::connect_addr(&address).map_err(ObserveError::NoSensor)?;
    let stdout = io::stdout();
    follow(&stream, args.pod.as_deref(), out, err, || is_open(&stdout))
}

/// Whether somebody can read what is written here.
fn is_open(output: &impl AsFd) -> bool {
    // The other end of a pipe that is closed shows as an error, whatever is asked for.
    let mut polled = [PollFd::new(output.as_fd(), PollFlags::empty())];
    let closed = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
    let result = poll(&mut polled, PollTimeout::ZERO);
    let mut found = polled.iter().filter_map(PollFd::revents);
    // Where it cannot be determined, a write will fail.
    result.is_err() || !found.any(|found| found.intersects(closed))
}

/// Shows what comes from a sensor. `is_open`: whether somebody can read the output.
fn follow(
    stream: &UnixStream,
    pod: Option<&str>,
    out: &mut impl Write,
    err: &mut impl Write,
    is_open: impl Fn() -> bool,
) -> Result<(), ObserveError> {
    let mut answering = stream;
    answering
        .write_all(format!("{}\n", pod.unwrap_or_default()).as_bytes())
        .map_err(ObserveError::Read)?;
    let mut reading = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        let read = (&mut reading).take(LINE_BYTES).read_line(&mut line);
        read.map_err(ObserveError::Read)?;
        if line.is_empty() {
            return Err(ObserveError::Ended);
        }
        if show(&line, pod, out, err)? == Shown::Asked {
            if !is_open() {
                return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
            }
            answering.write_all(b"\n").map_err(ObserveError::Read)?;
        }
    }
}

/// What a line is, as far as it is decoded. That of a process has many more fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    node: Cow<'a, str>,
    pod_found: Option<bool>,
    #[serde(default)]
    processes: u64,
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
}

/// What follows from a line.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    /// Nothing.
    Done,
    /// The sensor asks whether somebody is still there.
    Asked,
}

/// Prints one line of the sensor.
fn show(
    line: &str,
    pod: Option<&str>,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<Shown, ObserveError> {
    let said: Line<'_> = serde_json::from_str(line).map_err(ObserveError::Line)?;
    match &*said.kind {
        "Process" => {
            write_escaped(line, out)?;
            out.flush()?;
        }
        "Asked" => return Ok(Shown::Asked),
        "Started" => writeln!(err, "bailiff: {}", started(&said, pod))?,
        "Dropped" => writeln!(
            err,
            "bailiff: {} processes were not shown, because they were not read in time",
            said.processes
        )?,
        "Refused" => return Err(ObserveError::Refused(said.reason.into_owned())),
        // Of a newer sensor.
        _ => {}
    }
    Ok(Shown::Done)
}

/// Writes the line with each character escaped that can control a terminal, or reorder or hide text. JSON escapes those
/// below U+0020 alone; the others are in strings, because nothing else of a line is not ASCII.
fn write_escaped(line: &str, out: &mut impl Write) -> io::Result<()> {
    let is_unsafe = |c: char| hides(c) || c.is_control() && c != '\n';
    let mut rest = line;
    while let Some((before, c)) = rest
        .find(is_unsafe)
        .and_then(|at| Some((rest.get(..at)?, rest.get(at..)?.chars().next()?)))
    {
        out.write_all(before.as_bytes())?;
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}")?;
        }
        let done = before.len().saturating_add(c.len_utf8());
        rest = rest.get(done..).unwrap_or_default();
    }
    out.write_all(rest.as_bytes())
}

fn started(said: &Line<'_>, pod: Option<&str>) -> String {
    let node = &said.node;
    match (pod, said.pod_found) {
        (Some(pod), Some(true)) => format!("processes of pod {pod} on node {node}:"),
        (Some(pod), Some(false) | None) => format!(
            "pod {pod} is not on node {node}. Its processes are shown when it starts there; otherwise use the sensor on its node (see --help)"
        ),
        (None, _) => format!("processes of all pods on node {node}:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};
    use std::fs::File;

    fn shown(line: &Json, pod: Option<&str>) -> (String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        show(&format!("{line}\n"), pod, &mut out, &mut err).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(out), text(err))
    }

    #[test]
    fn only_processes_go_to_the_output() {
        let process = json!({"kind": "Process", "pod": "web"});
        assert_eq!(
            shown(&process, None),
            (format!("{process}\n"), String::new())
        );
        for (line, pod, want) in [
            (
                json!({"kind": "Started", "node": "node-1"}),
                None,
                "bailiff: processes of all pods on node node-1:\n",
            ),
            (
                json!({"kind": "Started", "node": "node-1", "podFound": true}),
                Some("shop/web"),
                "bailiff: processes of pod shop/web on node node-1:\n",
            ),
            (
                json!({"kind": "Started", "node": "node-1", "podFound": false}),
                Some("shop/web"),
                "bailiff: pod shop/web is not on node node-1. Its processes are shown when it starts there; otherwise use the sensor on its node (see --help)\n",
            ),
            (
                json!({"kind": "Dropped", "processes": 7}),
                None,
                "bailiff: 7 processes were not shown, because they were not read in time\n",
            ),
            (json!({"kind": "OfANewerSensor"}), None, ""),
        ] {
            assert_eq!(shown(&line, pod), (String::new(), want.to_owned()));
        }
    }

    #[test]
    fn text_of_a_process_does_not_control_the_terminal() {
        let process = json!({"kind": "Process", "pod": "a\u{1b}\u{7f}\u{9b}2J\u{202e}…é"});
        let (out, _) = shown(&process, None);
        assert!(out.contains("a\\u001b\\u007f\\u009b2J\\u202e…é"), "{out}");
        let read: Json = serde_json::from_str(&out).unwrap();
        assert_eq!(read, process, "for programs it is the same");
    }

    #[test]
    fn a_refusal_is_an_error() {
        let line = json!({"kind": "Refused", "reason": "4 others observe this sensor"});
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let error = show(&line.to_string(), None, &mut out, &mut err).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the sensor rejected the connection: 4 others observe this sensor; end another `bailiff observe` of this node, and run the command again"
        );
    }

    #[test]
    fn a_pod_has_a_namespace_and_a_name() {
        assert_eq!(pod("shop/web-7d4b9").as_deref(), Ok("shop/web-7d4b9"));
        for text in ["web", "/web", "shop/", "a/b/c", "shop/We\u{1b}b"] {
            pod(text).unwrap_err();
        }
    }

    /// What a sensor says, line by line, and what it is answered.
    fn followed(lines: &[Json], is_open: bool) -> (ObserveError, String) {
        let (mut sensor, caller) = UnixStream::pair().unwrap();
        for line in lines {
            writeln!(sensor, "{line}").unwrap();
        }
        sensor.shutdown(std::net::Shutdown::Write).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let ended = follow(&caller, Some("shop/web"), &mut out, &mut err, || is_open);
        drop(caller);
        let mut answers = String::new();
        sensor.read_to_string(&mut answers).unwrap();
        assert_eq!((out, err), (Vec::new(), Vec::new()));
        (ended.unwrap_err(), answers)
    }

    #[test]
    fn it_answers_as_long_as_its_output_is_read() {
        let asked = json!({"kind": "Asked"});
        let (ended, answers) = followed(&[asked.clone(), asked.clone()], true);
        assert!(matches!(ended, ObserveError::Ended), "{ended}");
        assert_eq!(answers, "shop/web\n\n\n");
        let (ended, answers) = followed(&[asked.clone(), asked], false);
        assert!(matches!(ended, ObserveError::Write(_)), "{ended}");
        assert_eq!(answers, "shop/web\n");
    }

    #[test]
    fn an_output_that_nobody_reads_is_noticed_without_a_write() {
        let (reader, writer) = io::pipe().unwrap();
        assert!(is_open(&writer));
        drop(reader);
        assert!(!is_open(&writer));
        assert!(is_open(&File::create("/dev/null").unwrap()));
    }

    fn memory_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        line.unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    }

    /// Asks at each write how much memory the process takes.
    struct Sampling {
        most: u64,
    }

    impl Write for Sampling {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.most = self.most.max(memory_kib());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A process of its own shows a line that is as long as any, and asks the kernel how much memory that takes.
    #[test]
    fn the_longest_line_takes_little_memory() {
        const ROLE: &str = "BAILIFF_TEST_OBSERVE_MEMORY";
        if std::env::var_os(ROLE).is_none() {
            let output = std::process::Command::new("/proc/self/exe")
                .args(["--exact", "--nocapture"])
                .arg("observe::tests::the_longest_line_takes_little_memory")
                .env(ROLE, "1")
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let took = text.lines().find_map(|line| line.strip_prefix("took "));
            let took: u64 = took.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
            assert!(took < 4 << 10, "{took} KiB");
            return;
        }
        let args = r#""\u0001","#.repeat((1 << 20) / 9 - 10);
        let line = format!(r#"{{"kind":"Process","args":[{args}""]}}"#);
        assert!(line.len() + 100 > 1 << 20 && line.len() < 1 << 20);
        let (mut sensor, caller) = UnixStream::pair().unwrap();
        let mut out = Sampling { most: 0 };
        let before = memory_kib();
        let saying = std::thread::spawn(move || {
            for _ in 0..3 {
                sensor.write_all(line.as_bytes()).unwrap();
                sensor.write_all(b"\n{\"kind\":\"Asked\"}\n").unwrap();
            }
        });
        // It ends with the sensor, or cannot answer it any more.
        follow(&caller, None, &mut out, &mut io::sink(), || true).unwrap_err();
        saying.join().unwrap();
        println!("\ntook {}", out.most - before);
    }
}
