//! A node: containerd, kubelet and kube-proxy in a network namespace and a cgroup of their own.
//!
//! Here: their configuration and start. Not here: images.
//! Invariant: every path, socket and cgroup of a node has its name in it; nodes share nothing.

use crate::process::{Process, run, until};
use crate::{cgroup, images, network, registry, state};
use anyhow::{Context as _, Result};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Starts a node's programs; returns when containerd answers and has the sandbox image.
pub(crate) fn start(programs: &Path, node: &str) -> Result<()> {
    cgroup::make(node)?;
    containerd(programs, node)?;
    start_kubelet(programs, node)?;
    let proxy = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": state::text("kubeconfigs/kube-proxy")},
        "mode": "iptables",
        "clusterCIDR": network::PODS,
        "hostnameOverride": node,
        // The limits of connection tracking are the machine's, not ours.
        "conntrack": {"maxPerNode": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    });
    let config = state::write(format!("{node}/kube-proxy.json"), proxy.to_string())?;
    let argument = format!("--config={}", config.display());
    Process::start(
        &format!("{node}-kube-proxy"),
        inside(programs, node, "kube-proxy", &[&argument])?.arg("--v=0"),
    )?;
    Ok(())
}

/// A program in the node's network namespace and cgroup.
///
/// `nsenter` and not `ip netns exec`: the latter mounts /sys anew, where kubelet finds no cgroups.
fn inside(programs: &Path, node: &str, program: &str, arguments: &[&str]) -> Result<Command> {
    let path = std::env::var("PATH").unwrap_or_default();
    let line = format!(
        "{} && exec nsenter --net=/run/netns/{} {} \"$@\"",
        cgroup::enter(node)?,
        network::namespace(node),
        programs.join(program).display()
    );
    let mut command = Command::new("sh");
    command.args(["-c", &line, program]).args(arguments);
    command.env("PATH", format!("{}:{path}", programs.display()));
    Ok(command)
}

fn containerd(programs: &Path, node: &str) -> Result<()> {
    let at = |name: &str| state::text(&format!("{node}/{name}"));
    let cni = json!({
        "cniVersion": "1.0.0",
        "name": "bailiff-testbed",
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
                "ipam": {
                    "type": "host-local", "dataDir": at("cni/data"),
                    "ranges": [[{"subnet": network::pods_of(node)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    state::write(
        format!("{node}/cni/net.d/10-bridge.conflist"),
        cni.to_string(),
    )?;
    let config = state::write(
        format!("{node}/containerd.toml"),
        format!(
            r#"version = 3
root = "{root}"
state = "{state}"
[grpc]
  address = "{socket}"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{pause}"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "{registries}"
[plugins.'io.containerd.cri.v1.runtime']
  # Lowering the score needs CAP_SYS_RESOURCE, which a test machine may not have.
  restrict_oom_score_adj = true
  # Below the state folder they are found again when a run was aborted.
  netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "{cni}"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = false
"#,
            root = at("containerd/root"),
            state = at("containerd/state"),
            socket = at("containerd.sock"),
            pause = images::PAUSE,
            registries = registry::trusted_by(node)?.display(),
            cni = at("cni/net.d"),
        ),
    )?;
    let argument = config.display().to_string();
    let mut command = inside(
        programs,
        node,
        "containerd",
        &["--config", &argument, "--log-level", "info"],
    )?;
    let process = Process::start(&format!("{node}-containerd"), &mut command)?;
    let answers = until(Duration::from_mins(2), || {
        !process.runs() || ctr(programs, node, &["version"]).is_ok()
    });
    anyhow::ensure!(
        answers && process.runs(),
        "containerd of {node} does not answer: see {}",
        state::text(&format!("logs/{node}-containerd.log"))
    );
    Ok(())
}

/// Runs `ctr` on a node.
pub(crate) fn ctr(programs: &Path, node: &str, arguments: &[&str]) -> Result<String> {
    let socket = state::text(&format!("{node}/containerd.sock"));
    run(Command::new(programs.join("ctr"))
        .args(["--address", &socket, "--namespace", "k8s.io"])
        .args(arguments))
}

impl crate::Cluster {
    /// Gives a node a static pod, whose manifest the kubelet finds in its folder.
    ///
    /// # Errors
    /// When the manifest can't be written.
    pub fn write_static_pod(&self, node: &str, name: &str, manifest: &str) -> Result<()> {
        state::write(format!("{node}/manifests/{name}.json"), manifest).map(drop)
    }

    /// Takes a static pod's manifest away.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove_static_pod(&self, node: &str, name: &str) -> Result<()> {
        let path = state::path(format!("{node}/manifests/{name}.json"));
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
    }
}

/// Starts a node's kubelet.
pub(crate) fn start_kubelet(programs: &Path, node: &str) -> Result<()> {
    let at = |name: &str| state::text(&format!("{node}/{name}"));
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network::address(node),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": state::text("pki/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": state::text(&format!("pki/{node}.crt")),
        "tlsPrivateKeyFile": state::text(&format!("pki/{node}.key")),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", cgroup::name(node)),
        "failCgroupV1": false,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "podLogsDir": at("pods-logs"),
        "staticPodPath": at("manifests"),
        "containerRuntimeEndpoint": format!("unix://{}", at("containerd.sock")),
        "imageGCHighThresholdPercent": 100,
        // A part of the disk would be gigabytes of a large one.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "100Mi", "imagefs.available": "100Mi"},
        "healthzBindAddress": network::address(node),
        "readOnlyPort": 0,
        "resolvConf": "",
        "clusterDNS": [],
        "shutdownGracePeriod": "0s",
        "volumePluginDir": at("volume-plugins"),
    });
    std::fs::create_dir_all(at("manifests"))?;
    let config = state::write(format!("{node}/kubelet.json"), config.to_string())?;
    let arguments = [
        format!("--config={}", config.display()),
        format!(
            "--kubeconfig={}",
            state::text(&format!("kubeconfigs/{node}"))
        ),
        format!("--root-dir={}", at("kubelet")),
        format!("--cert-dir={}", at("kubelet/pki")),
        format!("--hostname-override={node}"),
        format!("--node-ip={}", network::address(node)),
    ];
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    Process::start(
        &format!("{node}-kubelet"),
        &mut inside(programs, node, "kubelet", &arguments)?,
    )?;
    Ok(())
}
