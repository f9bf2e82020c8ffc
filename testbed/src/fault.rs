//! Faults to inject: what goes wrong in real clusters.
//!
//! Here: API server, kubelet, a container, network, registry. Not here: what is expected then, a registry's
//! mirror that lies (`registry`).
//! Invariant: each fault has an end that restores what was; a fault that is never ended goes
//! with the cluster.

use crate::cluster::Cluster;
use crate::process::Process;
use crate::registry::OPEN;
use crate::{cgroup, control_plane, network, node};
use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

impl Cluster {
    /// The API server neither answers nor closes connections, as behind a dead load balancer.
    ///
    /// # Errors
    /// When it does not run.
    pub fn freeze_api_server(&self) -> Result<()> {
        Process::recorded("kube-apiserver")?.signal(Signal::SIGSTOP)
    }

    /// Ends [`Self::freeze_api_server`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn thaw_api_server(&self) -> Result<()> {
        Process::recorded("kube-apiserver")?.signal(Signal::SIGCONT)
    }

    /// Ends the API server: connections are refused.
    ///
    /// # Errors
    /// When none is recorded.
    pub fn stop_api_server(&self) -> Result<()> {
        Process::recorded("kube-apiserver")?.end();
        Ok(())
    }

    /// Starts the API server again; returns when it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start_api_server(&self) -> Result<()> {
        control_plane::start_api_server(&self.programs)
    }

    /// Lets the API server run for a part of each period alone, until the answer is dropped.
    ///
    /// # Errors
    /// When it does not run.
    pub fn slow_down_api_server(&self, runs: Duration, stands: Duration) -> Result<SlowApiServer> {
        let process = Process::recorded("kube-apiserver")?;
        process.signal(Signal::SIGCONT)?;
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let pulse = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) && process.signal(Signal::SIGSTOP).is_ok() {
                std::thread::sleep(stands);
                if process.signal(Signal::SIGCONT).is_err() {
                    break;
                }
                std::thread::sleep(runs);
            }
        });
        Ok(SlowApiServer {
            over,
            pulse: Some(pulse),
        })
    }

    /// Stops a node's kubelet; its containers run on.
    ///
    /// # Errors
    /// When none is recorded.
    pub fn stop_kubelet(&self, node: &str) -> Result<()> {
        Process::recorded(&format!("{node}-kubelet"))?.end();
        Ok(())
    }

    /// Starts a node's kubelet again.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start_kubelet(&self, node: &str) -> Result<()> {
        node::start_kubelet(&self.programs, node)
    }

    /// Ends the processes of a container without asking them, as the kernel does when memory is short. The
    /// kubelet starts it again. `id` is the container's ID without a scheme.
    ///
    /// # Errors
    /// When it has no process.
    pub fn kill_container(&self, node: &str, id: &str) -> Result<()> {
        let processes = cgroup::processes_of_container(node, id);
        anyhow::ensure!(
            !processes.is_empty(),
            "container {id} has no process on {node}"
        );
        for process in processes {
            kill(Pid::from_raw(process), Signal::SIGKILL)
                .with_context(|| format!("cannot end process {process} of container {id}"))?;
        }
        Ok(())
    }

    /// Cuts a node's network.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn cut_network(&self, node: &str) -> Result<()> {
        network::connect(node, false)
    }

    /// Restores a node's network.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn restore_network(&self, node: &str) -> Result<()> {
        network::connect(node, true)
    }

    /// Ends the registry: connections are refused.
    ///
    /// # Errors
    /// When none is recorded.
    pub fn stop_registry(&self) -> Result<()> {
        Process::recorded(OPEN.name)?.end();
        Ok(())
    }

    /// Starts the registry again, with the images that it had; returns when it answers.
    ///
    /// # Errors
    /// When it runs already, or does not answer.
    pub fn start_registry(&self) -> Result<()> {
        OPEN.start(&self.programs)?;
        OPEN.wait()
    }

    /// The registry neither answers nor closes connections.
    ///
    /// # Errors
    /// When it does not run.
    pub fn freeze_registry(&self) -> Result<()> {
        Process::recorded(OPEN.name)?.signal(Signal::SIGSTOP)
    }

    /// Ends [`Self::freeze_registry`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn thaw_registry(&self) -> Result<()> {
        Process::recorded(OPEN.name)?.signal(Signal::SIGCONT)
    }
}

/// An API server that is slowed down for as long as this lives.
#[derive(Debug)]
pub struct SlowApiServer {
    over: Arc<AtomicBool>,
    pulse: Option<JoinHandle<()>>,
}

impl Drop for SlowApiServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // A pulse that panicked has nothing more to end.
        if self.pulse.take().is_some_and(|pulse| pulse.join().is_err()) {}
    }
}
