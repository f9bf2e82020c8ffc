//! Compiles the BPF programs with clang; the object becomes part of the program.
//!
//! Here: the compiler, and the files that both sides have of `bpf/record.h`. Not here: reading that (`build/definition`).

#[path = "build/definition.rs"]
mod definition;

use std::path::Path;
use std::process::{Command, ExitCode};

/// What Rust and C have of the definition of records, as files.
fn write_definition(folder: &Path) -> Result<(), String> {
    let file = "bpf/record.h";
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let written = definition::read(&text).map_err(|error| format!("{file}: {error}"))?;
    for (name, text) in [
        ("definition.rs", written.rust),
        ("record_offsets.h", written.c),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build");
    for file in [
        "exec.bpf.c",
        "ancestry.h",
        "tracked.h",
        "cgroup_events.h",
        "container.h",
        "running.h",
        "script.h",
        "text.h",
        "record.h",
        "kernel.h",
        "kernel_diffs.h",
    ] {
        println!("cargo::rerun-if-changed=bpf/{file}");
    }
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    // The names that libbpf's headers and Debian's folders have for an architecture.
    let (define, folder) = match variable("CARGO_CFG_TARGET_ARCH").as_str() {
        "aarch64" => ("-D__TARGET_ARCH_arm64", "aarch64-linux-gnu"),
        _ => ("-D__TARGET_ARCH_x86", "x86_64-linux-gnu"),
    };
    let out = variable("OUT_DIR");
    let object = Path::new(&out).join("exec.bpf.o");
    if let Err(error) = write_definition(Path::new(&out)) {
        println!("cargo::error={error}");
        return ExitCode::FAILURE;
    }
    let output = Command::new("clang")
        .args(["-target", "bpf", "-O2", "-g", "-Wall", "-Werror", define])
        .arg(format!("-I/usr/include/{folder}"))
        // Where Debian has the headers for an architecture that is not the machine's.
        .arg(format!("-I/usr/{folder}/include"))
        .arg(format!("-I{out}"))
        .args(["-c", "bpf/exec.bpf.c", "-o"])
        .arg(&object)
        .output();
    match output {
        Err(error) => {
            println!(
                "cargo::error=cannot run clang, which compiles the BPF programs: {error}; on Debian: apt-get install clang libbpf-dev"
            );
            ExitCode::FAILURE
        }
        Ok(output) if !output.status.success() => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let hint = if text.contains("bpf/bpf_helpers.h") {
                "; on Debian: apt-get install libbpf-dev"
            } else {
                ""
            };
            println!("cargo::error=clang does not compile bpf/exec.bpf.c{hint}");
            for line in text.lines() {
                println!("cargo::warning={line}");
            }
            ExitCode::FAILURE
        }
        Ok(_) => ExitCode::SUCCESS,
    }
}
