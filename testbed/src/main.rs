//! The test cluster's command for people and scripts.
//!
//! Here: arguments and what is printed. Not here: the work (the library).
//! Invariant: standard output has what a script reads; progress goes to standard error.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's output is its point"
)]

use anyhow::Result;
use bailiff_testbed::{Cluster, Owner};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A real Kubernetes of two nodes on this machine, in network namespaces.
#[derive(Parser)]
#[command(
    name = "testbed",
    after_help = "Examples:\n  testbed up\n  eval \"$(testbed env)\" && kubectl get nodes\n  testbed load my-image.tar\n  testbed down"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a cluster, after cleaning up what an aborted one left.
    Up {
        /// For whom it runs; one that runs for another is left alone.
        #[arg(long, value_enum, default_value = "person")]
        owner: Owner,
    },
    /// Take the cluster down; nothing stays behind.
    Down {
        /// Only if it runs for this owner; absent: whoever it runs for.
        #[arg(long, value_enum)]
        owner: Option<Owner>,
    },
    /// List its processes.
    Status,
    /// Print what a shell needs: KUBECONFIG and PATH.
    Env,
    /// Load image archives into the nodes.
    Load {
        /// OCI or Docker archives.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Load the images that the tests run: busybox and a small Debian.
    LoadTestImages,
    /// Write an image with one static program.
    Image {
        /// The program.
        #[arg(long)]
        binary: PathBuf,
        /// Name and tag of the image.
        #[arg(long)]
        name: String,
        /// The archive to write.
        #[arg(long)]
        output: PathBuf,
    },
    /// Inject a fault, or end it.
    Fault {
        /// What happens.
        #[arg(value_enum)]
        what: Fault,
        /// The node that it happens to.
        #[arg(long, default_value = "node2")]
        node: String,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Fault {
    FreezeApiServer,
    ThawApiServer,
    StopApiServer,
    StartApiServer,
    StopKubelet,
    StartKubelet,
    CutNetwork,
    RestoreNetwork,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Up { owner } => {
            let cluster = Cluster::start(owner, &|line| eprintln!("{line}"))?;
            eprintln!("KUBECONFIG={}", cluster.kubeconfig().display());
        }
        Command::Down { owner } => Cluster::stop(owner)?,
        Command::Status => {
            let lines = Cluster::status();
            println!(
                "{}",
                if lines.is_empty() {
                    "no cluster runs here".to_owned()
                } else {
                    lines.join("\n")
                }
            );
        }
        Command::Env => {
            let cluster = Cluster::running()?;
            println!("export KUBECONFIG={}", cluster.kubeconfig().display());
            println!("export PATH={}:\"$PATH\"", cluster.programs().display());
        }
        Command::Load { files } => {
            let cluster = Cluster::running()?;
            for file in files {
                cluster.load_file(&file)?;
            }
        }
        Command::LoadTestImages => {
            let cluster = Cluster::running()?;
            cluster.load(&bailiff_testbed::busybox()?)?;
            cluster.load(&bailiff_testbed::debian()?)?;
        }
        Command::Image {
            binary,
            name,
            output,
        } => bailiff_testbed::program(&name, &binary)?.write(&output)?,
        Command::Fault { what, node } => fault(&Cluster::running()?, what, &node)?,
    }
    Ok(())
}

fn fault(cluster: &Cluster, what: Fault, node: &str) -> Result<()> {
    match what {
        Fault::FreezeApiServer => cluster.freeze_api_server(),
        Fault::ThawApiServer => cluster.thaw_api_server(),
        Fault::StopApiServer => cluster.stop_api_server(),
        Fault::StartApiServer => cluster.start_api_server(),
        Fault::StopKubelet => cluster.stop_kubelet(node),
        Fault::StartKubelet => cluster.start_kubelet(node),
        Fault::CutNetwork => cluster.cut_network(node),
        Fault::RestoreNetwork => cluster.restore_network(node),
    }
}
