//! A running cluster: start, stop, look.
//!
//! Here: the order of starting, and running kubectl and loading images. Not here: faults
//! (`fault`), taking down (`cleanup`).
//! Invariant: a cluster that somebody else started and that still runs is never touched.

use crate::image::Image;
use crate::process::{Process, run, until};
use crate::{certificates, cleanup, control_plane, images, network, node, registry, state};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// For whom a cluster runs. One that runs for another is never taken away from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Owner {
    /// Somebody at a terminal: `make cluster-up`.
    Person,
    /// `make demo`.
    Demo,
    /// `make test` and `make bench`.
    Test,
}

impl Owner {
    fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Demo => "demo",
            Self::Test => "test",
        }
    }

    /// That no cluster of another owner runs.
    fn only(self) -> Result<()> {
        if let Ok(other) = std::fs::read_to_string(state::path("owner"))
            && other != self.word()
            && Process::all().iter().any(Process::runs)
        {
            anyhow::bail!(
                "a cluster runs here already, for the {other}: {} takes it down",
                Self::remedy(&other)
            );
        }
        Ok(())
    }

    /// What takes a cluster of this owner down.
    fn remedy(word: &str) -> &'static str {
        match word {
            "demo" => "`make demo-down`",
            _ => "`make cluster-down`",
        }
    }
}

/// A running cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub(crate) programs: PathBuf,
}

impl Cluster {
    /// Starts a cluster, after cleaning up what an aborted run of the same owner left.
    ///
    /// # Errors
    /// When one of another owner runs, when a program is missing, or when a part of it does not
    /// become ready; the error says where its log is.
    pub fn start(owner: Owner, say: &dyn Fn(&str)) -> Result<Self> {
        anyhow::ensure!(
            nix::unistd::geteuid().is_root(),
            "the test cluster needs root: it makes network namespaces and cgroups"
        );
        let programs = state::programs()?;
        owner.only()?;
        cleanup::clean()?;
        let started = Instant::now();
        state::write("owner", owner.word())?;
        std::fs::set_permissions(
            state::STATE,
            std::os::unix::fs::PermissionsExt::from_mode(0o700),
        )?;
        certificates::make()?;
        network::make()?;
        registry::start(&programs)?;
        let cluster = Self { programs };
        say("starting the control plane …");
        control_plane::start(&cluster.programs)?;
        say(&format!(
            "control plane ready after {} s; starting the nodes …",
            started.elapsed().as_secs()
        ));
        for node in network::NODES {
            node::start(&cluster.programs, node)?;
        }
        cluster.load(&images::pause()?)?;
        for node in network::NODES {
            cluster.wait_for_node(node, Duration::from_mins(5))?;
        }
        registry::wait()?;
        let account = until(Duration::from_mins(2), || {
            cluster
                .kubectl(&["get", "serviceaccount", "default"])
                .is_ok()
        });
        anyhow::ensure!(
            account,
            "no service account was made in 2 minutes: see {}",
            state::text("logs/kube-controller-manager.log")
        );
        say(&format!(
            "both nodes Ready after {} s",
            started.elapsed().as_secs()
        ));
        Ok(cluster)
    }

    /// The cluster that runs.
    ///
    /// # Errors
    /// When none does.
    pub fn running() -> Result<Self> {
        anyhow::ensure!(
            Process::recorded("kube-apiserver").is_ok_and(|process| process.runs()),
            "no test cluster runs here: `make cluster-up` starts one"
        );
        Ok(Self {
            programs: state::programs()?,
        })
    }

    /// Takes down whatever runs or is left of a run; with an owner only if it is not another's.
    ///
    /// # Errors
    /// When a cluster of another owner runs, or something is left behind; the error lists it.
    pub fn stop(owner: Option<Owner>) -> Result<()> {
        owner.map_or(Ok(()), Owner::only)?;
        cleanup::clean()
    }

    /// Waits until a node is Ready, and pods are scheduled on it and stay there: the taint goes after the
    /// condition comes.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn wait_for_node(&self, node: &str, patience: Duration) -> Result<()> {
        let ready = || {
            self.kubectl(&[
                "get",
                "node",
                node,
                "-o",
                "jsonpath={.status.conditions[?(@.type==\"Ready\")].status} {.spec.taints[*].key}",
            ])
            .is_ok_and(|said| {
                said.starts_with("True ")
                    && !said.contains("node.kubernetes.io/not-ready")
                    && !said.contains("node.kubernetes.io/unreachable")
            })
        };
        anyhow::ensure!(
            until(patience, ready),
            "{node} is not Ready after {} s: see {}",
            patience.as_secs(),
            state::text(&format!("logs/{node}-kubelet.log"))
        );
        Ok(())
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        state::path("kubeconfigs/admin")
    }

    /// The folder with the programs, kubectl among them.
    #[must_use]
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// The addresses from which the API server calls webhooks, as a range.
    #[must_use]
    pub fn api_server_range(&self) -> String {
        format!("{}/32", network::HOST)
    }

    /// The certificates, in PEM, of the authority that signs the certificate with which the API server calls
    /// webhooks that ask for one.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn webhook_client_ca(&self) -> Result<String> {
        let path = state::path(certificates::WEBHOOK_CLIENT_CA);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Runs kubectl as administrator; its output.
    ///
    /// # Errors
    /// When it fails; the error has what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        kubectl(&self.programs, arguments)
    }

    /// Loads an image into every node.
    ///
    /// # Errors
    /// When it can't be written or imported.
    pub fn load(&self, image: &Image) -> Result<()> {
        let file = state::path("image.tar");
        image.write(&file)?;
        self.load_file(&file)?;
        std::fs::remove_file(&file).context("cannot remove the image's archive")
    }

    /// Loads an image archive into every node.
    ///
    /// # Errors
    /// When containerd does not take it.
    pub fn load_file(&self, file: &Path) -> Result<()> {
        let file = file.display().to_string();
        for node in network::NODES {
            node::ctr(
                &self.programs,
                node,
                &["image", "import", "--digests=false", &file],
            )
            .with_context(|| format!("cannot load {file} into {node}"))?;
        }
        Ok(())
    }

    /// A line for each process of the cluster.
    #[must_use]
    pub fn status() -> Vec<String> {
        Process::all()
            .iter()
            .map(|process| {
                format!(
                    "{:<24} {:>8}  {}",
                    process.name,
                    process.id(),
                    if process.runs() { "runs" } else { "ended" }
                )
            })
            .collect()
    }
}

/// Runs kubectl as administrator.
pub(crate) fn kubectl(programs: &Path, arguments: &[&str]) -> Result<String> {
    run(Command::new(programs.join("kubectl"))
        .env("KUBECONFIG", state::path("kubeconfigs/admin"))
        .env("HOME", state::STATE)
        .args(arguments))
}
