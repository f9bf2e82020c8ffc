//! etcd, API server, controller manager and scheduler, as processes of the host.
//!
//! Here: their arguments and their order. Not here: nodes.
//! Invariant: what needs the API server starts once `/readyz` answers; it gives up otherwise.

use crate::process::{Process, until};
use crate::{certificates, network, state};
use anyhow::Result;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Starts the control plane; returns when it answers.
pub(crate) fn start(programs: &Path) -> Result<()> {
    let etcd = state::text("etcd");
    Process::start(
        "etcd",
        Command::new(programs.join("etcd")).args([
            "--data-dir",
            &etcd,
            "--listen-client-urls=http://127.0.0.1:23790",
            "--advertise-client-urls=http://127.0.0.1:23790",
            "--listen-peer-urls=http://127.0.0.1:23800",
            // A test cluster: nothing in it is worth a disk's flush.
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]),
    )?;
    start_api_server(programs)?;
    let kubeconfig = |name: &str| {
        format!(
            "--kubeconfig={}",
            state::text(&format!("kubeconfigs/{name}"))
        )
    };
    Process::start(
        "kube-controller-manager",
        Command::new(programs.join("kube-controller-manager")).args([
            kubeconfig("kube-controller-manager"),
            format!(
                "--service-account-private-key-file={}",
                state::text("pki/service-account.key")
            ),
            format!("--root-ca-file={}", state::text("pki/ca.crt")),
            format!("--cluster-cidr={}", network::PODS),
            "--allocate-node-cidrs=false".to_owned(),
            "--use-service-account-credentials=true".to_owned(),
            "--leader-elect=false".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
        ]),
    )?;
    Process::start(
        "kube-scheduler",
        Command::new(programs.join("kube-scheduler")).args([
            kubeconfig("kube-scheduler"),
            "--leader-elect=false".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
        ]),
    )?;
    Ok(())
}

/// Starts the API server, and returns when it is ready.
pub(crate) fn start_api_server(programs: &Path) -> Result<()> {
    let pki = |name: &str| state::text(&format!("pki/{name}"));
    let server = Process::start(
        "kube-apiserver",
        Command::new(programs.join("kube-apiserver")).args([
            "--etcd-servers=http://127.0.0.1:23790".to_owned(),
            format!("--advertise-address={}", network::HOST),
            "--secure-port=6443".to_owned(),
            format!("--tls-cert-file={}", pki("apiserver.crt")),
            format!("--tls-private-key-file={}", pki("apiserver.key")),
            format!("--client-ca-file={}", pki("ca.crt")),
            format!("--kubelet-certificate-authority={}", pki("ca.crt")),
            format!(
                "--kubelet-client-certificate={}",
                pki("apiserver-kubelet-client.crt")
            ),
            format!(
                "--kubelet-client-key={}",
                pki("apiserver-kubelet-client.key")
            ),
            // Else logs and exec look the node's name up in DNS.
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", pki("service-account.pub")),
            format!(
                "--service-account-signing-key-file={}",
                pki("service-account.key")
            ),
            format!("--service-cluster-ip-range={}", network::SERVICES),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            format!(
                "--admission-control-config-file={}",
                state::text(certificates::ADMISSION)
            ),
            // Webhooks go straight to pod addresses: the host has no kube-proxy.
            "--enable-aggregator-routing=true".to_owned(),
            "--allow-privileged".to_owned(),
            "--profiling=false".to_owned(),
        ]),
    )?;
    let ready = until(Duration::from_mins(5), || {
        !server.runs() || crate::cluster::kubectl(programs, &["get", "--raw", "/readyz"]).is_ok()
    });
    anyhow::ensure!(
        ready && server.runs(),
        "the API server is not ready after 5 minutes: see {}",
        state::text("logs/kube-apiserver.log")
    );
    Ok(())
}
