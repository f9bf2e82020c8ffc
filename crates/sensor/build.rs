//! Compiles the BPF programs with clang; the object becomes part of the program.

use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    for file in [
        "exec.bpf.c",
        "ancestry.h",
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
    let object = Path::new(&variable("OUT_DIR")).join("exec.bpf.o");
    let output = Command::new("clang")
        .args(["-target", "bpf", "-O2", "-g", "-Wall", "-Werror", define])
        .arg(format!("-I/usr/include/{folder}"))
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
