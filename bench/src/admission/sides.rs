//! The two sides, each in a process of its own.
//!
//! Here: what runs in them, starting them, their CPU time and memory. Not here: what they are asked
//! (`load`).
//! Invariant: the webhook runs as `bailiff webhook` runs it, with its watches, its registry client and its
//! server; the other side has the same server.

use crate::cases::REGISTRY;
use anyhow::{Context as _, Result, bail};
use bailiff_webhook::{CallerVerification, Callers, Config, Edges, EdgesConfig, Mode, Registries};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use rustls::pki_types::CertificateDer;
use serde_json::{Value as Json, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// How long a side has to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// The namespace of the webhook.
const OWN_NAMESPACE: &str = "bailiff-system";

/// A new certificate for `localhost`: itself, and the Secret of the webhook with it.
pub(crate) fn certificate() -> Result<(CertificateDer<'static>, Json)> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let secret = json!({
        "metadata": {"name": "bailiff-webhook-tls", "resourceVersion": "8"},
        "data": {"tls.crt": STANDARD.encode(made.cert.pem()),
            "tls.key": STANDARD.encode(made.signing_key.serialize_pem())},
    });
    Ok((made.cert.der().clone(), secret))
}

/// The webhook, until the process is killed.
pub(crate) async fn webhook(address: SocketAddr, api: &str, registry: &str) -> Result<()> {
    let client = kube::Client::try_from(kube::Config::new(api.parse()?))?;
    let registries = json!({"registries": {REGISTRY: {"endpoint": registry, "plainHTTP": true}}});
    let edges = EdgesConfig {
        namespace: OWN_NAMESPACE.to_owned(),
        pod_name: "bench".to_owned(),
        registries: Registries::parse(&registries.to_string())?,
        callers: Callers::Unverified,
        tag_stale_if_error: Duration::from_hours(24),
    };
    let config = Config {
        callers: CallerVerification::default(),
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        webhook_address: address,
        namespace: OWN_NAMESPACE.to_owned(),
        exempt: Vec::new(),
        mode: Mode::Enforce,
    };
    let edges = Edges::new(client.clone(), edges)?;
    let webhook = bailiff_webhook::run(config, client, edges, CancellationToken::new());
    Ok(Box::pin(webhook).await?)
}

/// The handler that allows everything, until the process is killed; the Secret of its certificate comes by
/// standard input.
pub(crate) async fn peer(address: SocketAddr) -> Result<()> {
    let secret: Secret = serde_json::from_reader(std::io::stdin())?;
    let listener = TcpListener::bind(address).await?;
    Ok(bailiff_webhook::always_allow(listener, &secret).await?)
}

/// A side that runs.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    child: Child,
    clock: ClockId,
    pid: u32,
}

impl Side {
    /// Starts this program as a side, and waits until it accepts connections.
    pub(crate) async fn start(
        name: &'static str,
        arguments: &[&str],
        input: &Json,
    ) -> Result<Self> {
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .args(["--address", &address.to_string()])
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let mut stdin = child.stdin.take().context("no input")?;
        stdin.write_all(input.to_string().as_bytes()).await?;
        drop(stdin);
        let started = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended: {status}");
            }
            if started.elapsed() > PATIENCE {
                bail!("{name} does not accept connections");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let pid = child.id().context("no process")?;
        let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?))?;
        Ok(Self {
            name,
            address,
            child,
            clock,
            pid,
        })
    }

    /// CPU time of the process so far, of all its threads, in user and in kernel mode.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        Ok(Duration::from(self.clock.now()?))
    }

    /// Resident memory in MiB.
    pub(crate) fn memory(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmRSS:"));
        let text = line.context("no VmRSS")?.trim().trim_end_matches(" kB");
        Ok(f64::from(text.parse::<u32>()?) / 1024.0)
    }

    /// Ends the process.
    pub(crate) async fn stop(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}
