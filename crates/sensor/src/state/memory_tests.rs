//! How much memory the sensor takes for pods that a tenant made as large as they can be.
//!
//! A process of its own lists them from an HTTP server, through the client of a component, and asks
//! the kernel how much memory it had at most. The server is a third process.

use super::tests::{ID, binding, bytes, config, exec, namespace, policy, running};
use super::*;
use bailiff_kube::list_watch::ListWatch;
use futures::StreamExt as _;
use serde_json::json;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

/// Which of the processes this is; unset: the test itself.
const ROLE: &str = "BAILIFF_TEST_MEMORY_ROLE";
/// Large pods, and bytes of each.
const PODS: usize = 110;
const POD_BYTES: usize = 1 << 20;
/// What the sensor may have at most, without the ring buffer.
const LIMIT_KIB: u64 = 64 * 1024;

#[test]
fn many_large_pods_take_little_memory_and_others_are_evaluated() {
    match std::env::var(ROLE).as_deref() {
        Ok("server") => serve(),
        Ok(address) => sense(address),
        Err(_) => {
            let mut server = itself("server");
            let mut address = String::new();
            // Open until the end: after a minute, the harness there prints that this takes long.
            let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
            for line in lines.by_ref() {
                if let Some(found) = line.unwrap().strip_prefix("address ") {
                    found.clone_into(&mut address);
                    break;
                }
            }
            let sensor = itself(&address).wait_with_output().unwrap();
            server.kill().unwrap();
            server.wait().unwrap();
            drop(lines);
            let output = String::from_utf8_lossy(&sensor.stdout).into_owned();
            let errors = String::from_utf8_lossy(&sensor.stderr).into_owned();
            assert!(sensor.status.success(), "{output}{errors}");
            let peak = output.lines().find_map(|line| line.strip_prefix("peak "));
            let peak: u64 = peak.unwrap_or_else(|| panic!("{output}")).parse().unwrap();
            println!("{peak} KiB");
            assert!(peak < LIMIT_KIB, "{peak} KiB");
        }
    }
}

/// This test once more, in another role.
fn itself(role: &str) -> std::process::Child {
    Command::new("/proc/self/exe")
        .args([
            "--exact",
            "--nocapture",
            "state::memory_tests::many_large_pods_take_little_memory_and_others_are_evaluated",
        ])
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lists the pods for every client, and keeps watches open.
fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("\naddress {}", listener.local_addr().unwrap());
    for connection in listener.incoming() {
        let connection = connection.unwrap();
        std::thread::spawn(move || answer(&connection));
    }
}

fn answer(connection: &TcpStream) {
    let mut lines = BufReader::new(connection).lines();
    let request = lines.next().unwrap().unwrap();
    while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
    let mut out = BufWriter::new(connection);
    out.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n",
    )
    .unwrap();
    if request.contains("watch=true") {
        out.flush().unwrap();
        std::thread::park();
    }
    let is_pods = request.contains("/pods?");
    let items: Vec<Vec<u8>> = if is_pods {
        vec![bytes(&running("other", ID)), bytes(&running("own", ID))]
    } else if request.contains("/namespaces?") {
        vec![namespace("shop")]
    } else if request.contains("/runtimepolicies?") {
        let images = "object.spec.containers.all(c, c.name != 'web')";
        vec![
            policy("names", 1, images),
            policy("whole", 1, "object == null"),
        ]
    } else {
        vec![binding("names"), binding("whole")]
    };
    out.write_all(br#"{"metadata":{"resourceVersion":"1"},"items":["#)
        .unwrap();
    out.write_all(&items.join(&b","[..])).unwrap();
    if is_pods {
        let pod = large();
        for number in 0..PODS {
            out.write_all(b",").unwrap();
            out.write_all(pod.replace(NUMBER, &number.to_string()).as_bytes())
                .unwrap();
        }
    }
    out.write_all(b"]}").unwrap();
    out.flush().unwrap();
}

/// A pod that nothing has to run for, of many small parts: these take most memory once they are
/// decoded. Where its number stands it has this word.
const NUMBER: &str = "NUMBER";

fn large() -> String {
    let mut pod = running(&format!("large{NUMBER}"), ID);
    let one = json!({"name": "A", "value": "<"}).to_string();
    let count = POD_BYTES / one.len();
    pod["spec"]["containers"][0]["env"] = json!("ENV");
    // As text: what the test decodes would count as the sensor's.
    let all = vec![one; count].join(",");
    pod.to_string().replace("\"ENV\"", &format!("[{all}]"))
}

/// Lists everything as the sensor does, and evaluates a process of each pod.
#[tokio::main(flavor = "current_thread")]
async fn sense(address: &str) {
    let server = kube::Config::new(format!("http://{address}").parse().unwrap());
    let client = bailiff_kube::client::component(&server).unwrap();
    let stream = |path: &str| ListWatch::new(path, None).stream(client.clone());
    let (sender, mut violations) = mpsc::channel(1000);
    let mut state = State::new(
        &config(Duration::from_mins(1)),
        Metrics::default(),
        sender,
        0,
    );
    state.kubelet_cgroup = Some(String::new());
    let mut policies = stream("/apis/bailiff.dev/v1alpha1/runtimepolicies");
    let mut bindings = stream("/apis/bailiff.dev/v1alpha1/runtimepolicybindings");
    let mut namespaces = stream("/api/v1/namespaces");
    let mut pods = stream("/api/v1/pods");
    while !state.take_must_list() {
        tokio::select! {
            event = policies.next() => state.policy(event.unwrap()),
            event = bindings.next() => state.binding(event.unwrap()),
        }
    }
    while !state.synced() {
        tokio::select! {
            event = namespaces.next() => state.namespace(event.unwrap()),
            event = pods.next() => state.pod(event.unwrap()).await,
        }
    }
    assert_eq!(state.pods.len(), PODS + 2);
    let mut found = Vec::new();
    for (pid, uid) in [(10, "other"), (11, "large7")] {
        state.event(Event::Exec(Box::new(exec(pid, uid)))).await;
        if let Some(fetch) = state.next_fetch(Instant::now()) {
            assert_eq!(fetch.pod_uid, "large7");
            let json = large().replace(NUMBER, "7").into_bytes();
            state.fetched(fetch, Some(json)).await;
        }
        while let Ok(finding) = violations.try_recv() {
            found.push(format!("{uid} {} {:?}", finding.policy.name, finding.type_));
        }
    }
    // A large pod is fetched; what reads more of it than there is memory for waits on.
    assert_eq!(
        found,
        [
            "other names Violation",
            "other whole Violation",
            "large7 names Violation",
        ]
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.unwrap().trim().trim_end_matches(" kB");
    println!("\npeak {peak}");
}
