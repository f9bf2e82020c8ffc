//! `bailiff observe`: processes as a sensor sees them.
//!
//! Here: the connection to the sensor of the same pod, and what is said beside its lines. Not here: what a line
//! contains (`sensor::observe`).
//! Invariant: a line on standard output is one process as JSON, in which no control character is unescaped; everything
//! else goes to standard error.

use bailiff_api::keys::OBSERVE_SOCKET;
use bailiff_response::messages::hides;
use serde_json::Value as Json;
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};

/// Most bytes of a line; a sensor sends at most half as many.
const LINE_BYTES: u64 = 2 << 20;

/// Flags of `bailiff observe`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Runs in the pod of a sensor, and shows the processes of its node:\n  kubectl exec -n bailiff-system ds/bailiff-sensor -- bailiff observe\n  kubectl exec -n bailiff-system POD -- bailiff observe --pod shop/web-7d4b9 | jq '.process.names'\n\nThe sensor on the node of a pod:\n  kubectl get pods -n bailiff-system -l app.kubernetes.io/component=sensor -o wide"
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
        "no sensor runs in this pod. Run the command in the pod of a sensor: kubectl exec -n bailiff-system ds/bailiff-sensor -- bailiff observe"
    )]
    NoSensor(#[source] io::Error),
    /// The connection broke.
    #[error("cannot read what the sensor says")]
    Read(#[source] io::Error),
    /// The sensor said no.
    #[error("the sensor refused: {0}")]
    Refused(String),
    /// The sensor stopped.
    #[error("the sensor ended")]
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
    let pod = args.pod.as_deref();
    (&stream)
        .write_all(format!("{}\n", pod.unwrap_or_default()).as_bytes())
        .map_err(ObserveError::Read)?;
    let mut reading = BufReader::new(stream);
    loop {
        let mut line = String::new();
        let read = (&mut reading).take(LINE_BYTES).read_line(&mut line);
        read.map_err(ObserveError::Read)?;
        if line.is_empty() {
            return Err(ObserveError::Ended);
        }
        show(&line, pod, out, err)?;
    }
}

/// Prints one line of the sensor.
fn show(
    line: &str,
    pod: Option<&str>,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<(), ObserveError> {
    let said: Json = serde_json::from_str(line).map_err(ObserveError::Line)?;
    match said["kind"].as_str().unwrap_or_default() {
        "Process" => {
            out.write_all(escaped(line).as_bytes())?;
            out.flush()?;
        }
        "Started" => writeln!(err, "bailiff: {}", started(&said, pod))?,
        "Dropped" => writeln!(
            err,
            "bailiff: {} processes were not shown, because they were not read in time",
            said["processes"]
        )?,
        "Refused" => {
            let reason = said["reason"].as_str().unwrap_or_default();
            return Err(ObserveError::Refused(reason.to_owned()));
        }
        // Of a newer sensor.
        _ => {}
    }
    Ok(())
}

/// The line with each character escaped that can control a terminal, or reorder or hide text. JSON escapes those below
/// U+0020 alone; the others are in strings, because nothing else of a line is not ASCII.
fn escaped(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    for c in line.chars() {
        if hides(c) || c.is_control() && c != '\n' {
            let units = c.encode_utf16(&mut [0; 2]).to_vec();
            escaped.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn started(said: &Json, pod: Option<&str>) -> String {
    let node = said["node"].as_str().unwrap_or_default();
    match (pod, said["podFound"].as_bool()) {
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
    use serde_json::json;

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
            "the sensor refused: 4 others observe this sensor"
        );
    }

    #[test]
    fn a_pod_has_a_namespace_and_a_name() {
        assert_eq!(pod("shop/web-7d4b9").as_deref(), Ok("shop/web-7d4b9"));
        for text in ["web", "/web", "shop/", "a/b/c", "shop/We\u{1b}b"] {
            pod(text).unwrap_err();
        }
    }
}
