//! What is in the images that are measured.
//!
//! Here: layers from files of this machine, and layers that are generated. Not here: how they are written (`layers`).
//! Invariant: nothing is downloaded. Generated content is the same in each run.

use crate::layers::{Archive, add, add_tree};
use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of a generated large file: more than what the reader of a layer keeps in memory.
const LARGE: usize = 5 << 20;
/// Bytes of a generated small file, and how many of them follow a large one.
const SMALL: (usize, usize) = (100 << 10, 50);

/// Runs a program, and has its output.
fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    ensure!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The packages of Debian that each installation has, as this machine has them, and the database with them alone.
pub(crate) fn debian(archive: &mut Archive) -> Result<()> {
    let format = "-f=${Priority} ${binary:Package}\n";
    let all = output("dpkg-query", &["-W", format])?;
    let of_base = |line: &str| {
        let (priority, name) = line.split_once(' ')?;
        ["required", "important"]
            .contains(&priority)
            .then(|| name.to_owned())
    };
    let packages: BTreeSet<String> = all.lines().filter_map(of_base).collect();
    ensure!(packages.len() > 20, "dpkg has {} packages", packages.len());
    for link in ["bin", "lib", "lib64", "sbin"] {
        let path = Path::new("/").join(link);
        if path.is_symlink() {
            add_tree(archive, &path, Path::new(link))?;
        }
    }
    let names: Vec<_> = packages.iter().map(String::as_str).collect();
    let files = output("dpkg-query", &[&["-L"][..], &names].concat())?;
    let files: BTreeSet<PathBuf> = files.lines().filter_map(own_path).collect();
    for file in &files {
        let name = file.strip_prefix("/")?;
        let kind = fs::symlink_metadata(file)?.file_type();
        if kind.is_dir() {
            archive.append_dir(name, file)?;
        } else {
            add_tree(archive, file, name)?;
        }
    }
    let lists = Path::new("/var/lib/dpkg/info");
    let inside = Path::new("var/lib/dpkg/info");
    for name in &names {
        for suffix in ["list", "md5sums"] {
            let list = format!("{name}.{suffix}");
            if lists.join(&list).exists() {
                add_tree(archive, &lists.join(&list), &inside.join(&list))?;
            }
        }
    }
    let status = output("dpkg-query", &[&["-s"][..], &names].concat())?;
    add(archive, "var/lib/dpkg/status", status.as_bytes())
}

/// The path of a file of a package without links above it; none if it is not there, or is the root.
fn own_path(line: &str) -> Option<PathBuf> {
    let path = Path::new(line);
    let name = path.file_name()?;
    let parent = fs::canonicalize(path.parent()?).ok()?;
    let path = parent.join(name);
    path.symlink_metadata().is_ok().then_some(path)
}

/// Python's standard library of this machine, and what pip installed for `hack/scan-artifacts.sh`.
pub(crate) fn python(archive: &mut Archive, artifacts: &Path) -> Result<()> {
    let program = "import sysconfig; print(sysconfig.get_paths()['stdlib'])";
    let library = output("/usr/bin/python3", &["-c", program])?;
    let library = Path::new(library.trim());
    let name = library.file_name().unwrap_or(OsStr::new("python3"));
    let inside = Path::new("usr/local/lib").join(name);
    add_tree(archive, library, &inside)?;
    let packages = artifacts.join("python/site-packages");
    add_tree(archive, &packages, &inside.join("site-packages"))
}

/// Node.js and npm of this machine, and what npm installed for `hack/scan-artifacts.sh`.
pub(crate) fn npm(archive: &mut Archive, artifacts: &Path) -> Result<()> {
    let node = output("node", &["-p", "process.execPath"])?;
    add_tree(
        archive,
        Path::new(node.trim()),
        Path::new("usr/local/bin/node"),
    )?;
    let modules = output("npm", &["root", "--global"])?;
    let inside = Path::new("usr/local/lib/node_modules");
    add_tree(archive, Path::new(modules.trim()), inside)?;
    let packages = artifacts.join("npm/node_modules");
    add_tree(archive, &packages, Path::new("app/node_modules"))
}

/// Programs of Go.
pub(crate) fn go(archive: &mut Archive, programs: &[PathBuf]) -> Result<()> {
    for program in programs {
        let name = program.file_name().context("a program has no name")?;
        add_tree(archive, program, &Path::new("usr/bin").join(name))?;
    }
    Ok(())
}

/// Files of this many bytes together: large ones that begin as ELF files, and many small ones.
pub(crate) fn sized(archive: &mut Archive, bytes: usize) -> Result<()> {
    let mut state = 1;
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.extend(text(&mut state, LARGE - elf.len()));
    let (small, count) = SMALL;
    for directory in 0..bytes / (LARGE + small * count) {
        // The bytes of each file are others.
        let at = elf.len() - 8;
        elf[at..].copy_from_slice(&(directory as u64).to_le_bytes());
        add(archive, &format!("usr/lib/{directory}/large.so"), &elf)?;
        for file in 0..count {
            let content = text(&mut state, small);
            add(
                archive,
                &format!("usr/share/{directory}/{file}.txt"),
                &content,
            )?;
        }
    }
    Ok(())
}

/// Bytes that cannot be packed well, as those of programs.
fn text(state: &mut u64, bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 8);
    while text.len() < bytes {
        // xorshift64; half of its bits are kept.
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        text.extend((*state & 0x0f0f_0f0f_0f0f_0f0f).to_le_bytes());
    }
    text.truncate(bytes);
    text
}

/// Empty files, a thousand in a directory.
pub(crate) fn empty(archive: &mut Archive, files: usize) -> Result<()> {
    for file in 0..files {
        let path = format!("srv/{}/{:03}", file / 1000, file % 1000);
        add(archive, &path, &[])?;
    }
    Ok(())
}
