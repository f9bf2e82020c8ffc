//! Binaries that real compilers wrote have the modules that the tools of their languages name.
//!
//! Here: the comparator of Go's versions, which is a Go binary with a module. Not here: binaries that are made
//! (`src/content/elf/tests.rs`).
//! Invariant: no name of the file and no removed symbol, section or table hides a module.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_scan::content::{self, Fact, Interest, elf};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A binary of Go that was built with modules.
fn go_binary() -> PathBuf {
    let Some(folder) = std::env::var_os("BAILIFF_VERSION_ORACLES") else {
        panic!(
            "BAILIFF_VERSION_ORACLES is not set: run `make unit`, or set it to what `hack/version-oracles.sh` prints"
        );
    };
    PathBuf::from(folder).join("go")
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn facts(file: &Path) -> Vec<Fact> {
    let bytes = fs::read(file).unwrap();
    let path = b"usr/bin/renamed".as_slice().into();
    let interest = content::interest(path, bytes.len() as u64, &bytes[..content::HEAD]);
    assert_eq!(interest, Interest::Seek);
    let mut facts = Vec::new();
    content::read(path, &mut std::io::Cursor::new(&bytes), &mut |fact| {
        facts.push(fact);
    });
    facts
}

/// The version of Go, and the modules with their versions.
fn modules(facts: &[Fact]) -> Vec<(String, String)> {
    let [Fact::Elf(_), Fact::Go(info)] = facts else {
        panic!("{facts:?}");
    };
    let own = ("go".to_owned(), info.go.clone());
    let modules = info.main.iter().chain(&info.dependencies);
    let modules = modules.map(|module| (module.path.clone(), module.version.clone()));
    std::iter::once(own).chain(modules).collect()
}

/// What Go says about a binary.
fn expected(file: &Path) -> Vec<(String, String)> {
    let answer = run("go", &["version", "-m", file.to_str().unwrap()]);
    let mut lines = answer.lines();
    let first = lines.next().unwrap().rsplit(' ').next().unwrap();
    let mut modules = vec![("go".to_owned(), first.to_owned())];
    for line in lines {
        let fields: Vec<_> = line.trim_start().split('\t').collect();
        if let ["mod" | "dep", path, version, ..] = fields[..] {
            modules.push((path.to_owned(), version.to_owned()));
        }
    }
    modules
}

/// A folder of its own for a test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_go_binary_has_the_modules_that_go_names_whatever_is_removed_of_it() {
    let binary = go_binary();
    let expected = expected(&binary);
    assert!(expected.iter().any(|(path, _)| path == "golang.org/x/mod"));
    assert_eq!(modules(&facts(&binary)), expected);

    let folder = folder("go");
    let from = binary.to_str().unwrap();
    let changed = |name: &str, options: &[&str]| {
        let to = folder.join(name);
        let mut arguments = options.to_vec();
        arguments.extend([from, to.to_str().unwrap()]);
        run("objcopy", &arguments);
        assert_eq!(modules(&facts(&to)), expected, "{name}");
        to
    };
    changed(
        "renamed",
        &["--rename-section", ".go.buildinfo=.data.other"],
    );
    let stripped = changed("stripped", &["--strip-all"]);

    // Without a table of sections. Its place in the header of a file of 64 bits is byte 40, the numbers from byte 58 on.
    let mut bytes = fs::read(&stripped).unwrap();
    bytes[40..48].fill(0);
    bytes[58..64].fill(0);
    let without = folder.join("without");
    fs::write(&without, bytes).unwrap();
    assert_eq!(modules(&facts(&without)), expected);
}

#[test]
fn crates_in_a_section_of_a_real_binary_are_read() {
    let folder = folder("rust");
    // Made: what cargo-auditable stores, inflated with Python's zlib.
    let section = folder.join("section");
    let text = r#"{"packages":[{"name":"time","version":"0.1.43","source":"crates.io"},{"name":"own","version":"1.0.0","source":"local","dependencies":[0],"root":true}]}"#;
    let program =
        "import sys, zlib; open(sys.argv[1], 'wb').write(zlib.compress(sys.argv[2].encode()))";
    run("python3", &["-c", program, section.to_str().unwrap(), text]);
    let crates = crates_of_section(&section);
    assert_eq!(crates, ["time 0.1.43 true", "own 1.0.0 false"]);
}

#[test]
fn crates_that_cargo_auditable_stored_are_read() {
    // The tests do not build cargo-auditable: what it wrote is kept (`data/auditable_section.sh`).
    let section = folder("auditable").join("section");
    fs::write(&section, include_bytes!("data/auditable-section")).unwrap();
    // autocfg, with which the crate is built, is no part of the binary.
    assert_eq!(
        crates_of_section(&section),
        [
            "audited 0.1.0 false",
            "libc 0.2.191 true",
            "time 0.1.43 true"
        ]
    );
}

/// The crates of a real binary to which this section is added.
fn crates_of_section(section: &Path) -> Vec<String> {
    let binary = section.with_file_name("binary");
    let added = format!(".dep-v0={}", section.to_str().unwrap());
    let own = std::env::current_exe().unwrap();
    run(
        "objcopy",
        &[
            "--strip-debug",
            "--add-section",
            &added,
            own.to_str().unwrap(),
            binary.to_str().unwrap(),
        ],
    );
    let facts = facts(&binary);
    let [Fact::Elf(elf::Kind::Shared), Fact::Rust(crates)] = &*facts else {
        panic!("{facts:?}");
    };
    let crates = crates.iter();
    crates
        .map(|of| format!("{} {} {}", of.name, of.version, of.is_of_crates_io))
        .collect()
}
