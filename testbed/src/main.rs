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
use bailiff_testbed::{Cluster, Image, Owner, Registry};
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
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
    /// Print what a shell needs: KUBECONFIG, PATH and the registry's address.
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
    /// Push an image to the registry; print its digest.
    Push {
        /// What is pushed.
        #[arg(value_enum)]
        image: TestImage,
        /// Where to, without the registry's host.
        #[arg(value_name = "REPOSITORY:TAG", value_parser = tagged)]
        to: Tagged,
        /// Push an index of two platforms.
        #[arg(long)]
        index: bool,
        /// Push to the registry that requires an account.
        #[arg(long)]
        private: bool,
        /// A label of the image. Images with different labels have different digests.
        #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
        label: Vec<(String, String)>,
        /// A folder whose content the image has too.
        #[arg(long, value_name = "FOLDER")]
        files: Option<PathBuf>,
    },
    /// Let a tag name another image of its repository; print the digest.
    Retag {
        /// The tag.
        #[arg(value_name = "REPOSITORY:TAG", value_parser = tagged)]
        tag: Tagged,
        /// A tag or digest that names the image.
        reference: String,
    },
    /// Delete a tag, or an image by its digest, from the registry.
    Delete {
        /// The repository, without the registry's host.
        repository: String,
        /// The tag or digest.
        reference: String,
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

/// An image that is made from files of this machine.
#[derive(Clone, Copy, clap::ValueEnum)]
enum TestImage {
    Busybox,
    Debian,
    Pause,
}

impl TestImage {
    fn make(self) -> Result<Image> {
        match self {
            Self::Busybox => bailiff_testbed::busybox(),
            Self::Debian => bailiff_testbed::debian(),
            Self::Pause => bailiff_testbed::pause(),
        }
    }
}

#[derive(Clone)]
struct Tagged {
    repository: String,
    tag: String,
}

fn tagged(text: &str) -> Result<Tagged, String> {
    let (repository, tag) = text
        .rsplit_once(':')
        .filter(|(repository, tag)| !repository.contains(':') && !tag.contains('/'))
        .ok_or("must be REPOSITORY:TAG without a host, such as shop/web:1")?;
    Ok(Tagged {
        repository: repository.to_owned(),
        tag: tag.to_owned(),
    })
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
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
    StopRegistry,
    StartRegistry,
    FreezeRegistry,
    ThawRegistry,
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
            let registry = cluster.registry()?.host();
            println!("export BAILIFF_TESTBED_REGISTRY={registry}");
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
        Command::Push {
            image,
            to,
            index,
            private,
            label,
            files,
        } => {
            let cluster = Cluster::running()?;
            let registry = if private {
                cluster.private_registry()?
            } else {
                cluster.registry()?
            };
            let image = made(image, label, files.as_deref())?;
            let push = if index {
                Registry::push_index
            } else {
                Registry::push
            };
            println!("{}", push(&registry, &image, &to.repository, &to.tag)?);
        }
        Command::Retag { tag, reference } => {
            let registry = Cluster::running()?.registry()?;
            println!("{}", registry.retag(&tag.repository, &reference, &tag.tag)?);
        }
        Command::Delete {
            repository,
            reference,
        } => Cluster::running()?
            .registry()?
            .delete(&repository, &reference)?,
        Command::Fault { what, node } => fault(&Cluster::running()?, what, &node)?,
    }
    Ok(())
}

/// A test image with these labels, and with the content of a folder.
fn made(image: TestImage, labels: Vec<(String, String)>, files: Option<&Path>) -> Result<Image> {
    let mut image = image.make()?;
    for (key, value) in labels {
        image.label(&key, &value);
    }
    if let Some(files) = files {
        image.host_folder("", files)?;
    }
    Ok(image)
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
        Fault::StopRegistry => cluster.stop_registry(),
        Fault::StartRegistry => cluster.start_registry(),
        Fault::FreezeRegistry => cluster.freeze_registry(),
        Fault::ThawRegistry => cluster.thaw_registry(),
    }
}
