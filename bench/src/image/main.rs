//! Measures what `bailiff scan` takes to read an image beside unpacking and hashing it, and prints the section of the
//! page.
//!
//! Here: both sides in turns, and the bounds. Not here: images (`content`, `layers`), and how CPU time and memory are
//! measured (`processes`).
//! Invariant: both sides read the same blobs in the same run, each in processes of its own.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command whose output is the page, and that says how far it is"
)]

mod content;
mod layers;
mod processes;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use layers::{Layer, Layout, digest};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// CPU time of a scan, in times of unpacking and hashing.
const CPU_BOUND: f64 = 1.3;
/// Memory of a scan of an image ten times as large.
const MEMORY_BOUND: f64 = 1.1;
/// Memory of a scan of [`EMPTY_FILES`].
const EMPTY_BOUND: u64 = 256 << 20;
const EMPTY_FILES: usize = 3_000_000;
/// Bytes that are read at once, as the scan does.
const BUFFER: usize = 64 << 10;

/// Measures scans of images; prints Markdown.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Measure
    Measure(Measure),
    /// Unpack and hash blobs; print the digests of the blobs and of their content
    Floor {
        /// The blobs.
        blobs: Vec<PathBuf>,
    },
}

#[derive(clap::Args)]
struct Measure {
    /// The program `bailiff`.
    #[arg(long)]
    bailiff: PathBuf,
    /// What hack/scan-artifacts.sh printed.
    #[arg(long)]
    artifacts: PathBuf,
    /// Programs of Go. Can be repeated.
    #[arg(long, required = true)]
    go: Vec<PathBuf>,
    /// An index of advisories.
    #[arg(long)]
    index: PathBuf,
    /// How often each side has its turn.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Action::Measure(measure) => measure.page(),
        Action::Floor { blobs } => {
            for blob in blobs {
                let (blob, content) = floor(File::open(blob)?)?;
                println!("{blob} {content}");
            }
            Ok(())
        }
    }
}

/// Unpacks a blob; the digests of the blob and its content.
fn floor(blob: File) -> Result<(String, String)> {
    struct Hashing(File, Sha256);
    impl Read for Hashing {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.read(into)?;
            self.1.update(&into[..count]);
            Ok(count)
        }
    }
    let blob = BufReader::with_capacity(BUFFER, Hashing(blob, Sha256::new()));
    let mut unpacked = MultiGzDecoder::new(blob);
    let mut content = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match unpacked.read(&mut buffer)? {
            0 => break,
            count => content.update(&buffer[..count]),
        }
    }
    let Hashing(mut file, blob) = unpacked.into_inner().into_inner();
    // Nothing follows a blob that was made here, and the digest says so.
    ensure!(file.read(&mut buffer)? == 0, "something follows a blob");
    Ok((digest(blob), digest(content)))
}

impl Measure {
    fn page(&self) -> Result<()> {
        processes::check()?;
        let directory = tempfile::tempdir()?;
        let mut layout = Layout::new(directory.path().join("layout"))?;
        println!("## Images\n");
        println!(
            "`bailiff scan` of images in a layout on disk, beside a process that only unpacks the same blobs with the same library and computes both SHA-256 of each. CPU time of all processes, medians of {} turns of each side in turn. Debian is the packages of this machine that each installation has; Python and npm are the standard library, Node.js and npm of this machine on it, with the packages of `hack/scan-artifacts.sh`; Go is programs alone.\n",
            self.rounds
        );
        let met = self.cpu(&mut layout)?;
        println!();
        for (name, times) in met {
            let measured = format!("{times:.2} times");
            said(
                &format!("{name}: at most {CPU_BOUND} times unpacking and hashing"),
                times <= CPU_BOUND,
                &measured,
            );
        }
        println!(
            "\nThe most memory of the scan and of a process that reads a layer together, in MiB.\n"
        );
        self.memory(&mut layout)
    }

    /// The command that scans an image.
    fn scan(&self, image: &str) -> Command {
        let mut command = Command::new(&self.bailiff);
        command.args(["scan", image, "--platform", "linux/amd64", "-o", "json"]);
        command.arg("--index").arg(&self.index);
        command
    }

    /// The table of CPU times, and how many times unpacking each image takes.
    fn cpu(&self, layout: &mut Layout) -> Result<Vec<(&'static str, f64)>> {
        eprintln!("building the images");
        let level = Compression::new(6);
        let debian = layout.layer(level, content::debian)?;
        let python = layout.layer(level, |to| content::python(to, &self.artifacts))?;
        let npm = layout.layer(level, |to| content::npm(to, &self.artifacts))?;
        let go = layout.layer(level, |to| content::go(to, &self.go))?;
        println!(
            "| image | MiB stored | unpacked | packages | unpacking and hashing | Bailiff | times |"
        );
        println!("| --- | --- | --- | --- | --- | --- | --- |");
        let images: [(&str, &[&Layer]); 4] = [
            ("Debian", &[&debian]),
            ("Python", &[&debian, &python]),
            ("npm", &[&debian, &npm]),
            ("Go", &[&go]),
        ];
        let mut all = Vec::new();
        for (name, layers) in images {
            let image = layout.image(&name.to_lowercase(), layers)?;
            let (mut floors, mut ours) = (Vec::new(), Vec::new());
            let mut packages = 0;
            for _ in 0..self.rounds {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("floor");
                command.args(layers.iter().map(|layer| &layer.path));
                let (time, printed) = processes::cpu(command)?;
                for (line, layer) in printed.lines().zip(layers) {
                    ensure!(line == layer.digests(), "{line} is another digest");
                }
                floors.push(time);
                let (time, printed) = processes::cpu(self.scan(&image))?;
                packages = read(&printed)?;
                ours.push(time);
            }
            ensure!(packages > 0, "no package was found in {name}");
            let (floor, ours) = (middle(floors), middle(ours));
            let times = ours.as_secs_f64() / floor.as_secs_f64();
            let sum = |bytes: fn(&Layer) -> u64| {
                let bytes: u64 = layers.iter().map(|layer| bytes(layer)).sum();
                bytes >> 20
            };
            println!(
                "| {name} | {} | {} | {packages} | {:.0} ms | {:.0} ms | {times:.2} |",
                sum(|layer| layer.stored),
                sum(|layer| layer.unpacked),
                floor.as_secs_f64() * 1000.0,
                ours.as_secs_f64() * 1000.0,
            );
            all.push((name, times));
        }
        Ok(all)
    }

    fn memory(&self, layout: &mut Layout) -> Result<()> {
        eprintln!("building the large images");
        println!("| image | memory |\n| --- | --- |");
        let level = Compression::fast();
        let mut measured = Vec::new();
        for megabytes in [100, 1000] {
            let layer = layout.layer(level, |to| content::sized(to, megabytes * 1_000_000))?;
            let image = layout.image(&format!("sized-{megabytes}"), &[&layer])?;
            let (bytes, printed) = processes::memory(self.scan(&image))?;
            read(&printed)?;
            println!("| {megabytes} MB of files | {} |", mib(bytes));
            measured.push(bytes);
        }
        let layer = layout.layer(level, |to| content::empty(to, EMPTY_FILES))?;
        let image = layout.image("empty", &[&layer])?;
        let (empty, printed) = processes::memory(self.scan(&image))?;
        read(&printed)?;
        println!("| {EMPTY_FILES} empty files | {} |\n", mib(empty));
        let [small, large] = measured[..] else {
            anyhow::bail!("there are two images");
        };
        let as_f64 = |bytes: u64| f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX));
        let times = as_f64(large) / as_f64(small);
        said(
            &format!("ten times the image at most {MEMORY_BOUND} times the memory"),
            times <= MEMORY_BOUND,
            &format!("{times:.2} times"),
        );
        said(
            &format!(
                "{EMPTY_FILES} empty files in less than {} MiB",
                EMPTY_BOUND >> 20
            ),
            empty < EMPTY_BOUND,
            &format!("{} MiB", mib(empty)),
        );
        Ok(())
    }
}

/// The number of packages of a result without errors: each image is read to its end.
fn read(printed: &str) -> Result<usize> {
    let result: Json = serde_json::from_str(printed)?;
    let errors = &result["coverage"]["errors"];
    ensure!(errors == &Json::Array(Vec::new()), "{errors}");
    let packages = result["packages"].as_array();
    Ok(packages.context("there is no list of packages")?.len())
}

fn said(what: &str, is_met: bool, measured: &str) {
    let met = if is_met { "met" } else { "MISSED" };
    println!("- {what}: {measured}, {met}");
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
