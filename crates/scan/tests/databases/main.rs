//! Databases of dpkg and apk say what dpkg and apk say about them.
//!
//! Here: a database that the dpkg of the machine writes, and its answers about it; what apk wrote (`apk`), and the
//! findings of vulnerable versions (`vulnerable`). Not here: records that are made (`src/content/dpkg/tests.rs`).
//! Invariant: each package, source package and file that they name is read, and no other.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

mod apk;
mod vulnerable;

use bailiff_scan::content::{self, Fact, Interest};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a program, and has its output.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Builds a package with these files, and has the path of its archive.
fn build(folder: &Path, name: &str, control: &str, files: &[&str]) -> PathBuf {
    let root = folder.join(name);
    fs::create_dir_all(root.join("DEBIAN")).unwrap();
    let control = format!(
        "Package: {name}\nMaintainer: Bailiff <nobody@example.org>\nDescription: a package\n of a test\n{control}"
    );
    fs::write(root.join("DEBIAN/control"), control).unwrap();
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    if files.iter().any(|file| file.starts_with("etc/")) {
        let of_etc = files.iter().filter(|file| file.starts_with("etc/"));
        let conffiles: Vec<_> = of_etc.map(|file| format!("/{file}\n")).collect();
        fs::write(root.join("DEBIAN/conffiles"), conffiles.concat()).unwrap();
    }
    let archive = folder.join(format!("{name}.deb"));
    let [root, to] = [&root, &archive].map(|path| path.to_str().unwrap());
    run("dpkg-deb", &["--root-owner-group", "--build", root, to]);
    archive
}

/// The facts of a file below a root, if it is read.
fn facts(root: &Path, path: &str) -> Vec<Fact> {
    let bytes = fs::read(root.join(path)).unwrap();
    let head = &bytes[..bytes.len().min(content::HEAD)];
    let interest = content::interest(path.as_bytes().into(), bytes.len() as u64, head);
    let mut facts = Vec::new();
    if interest != Interest::None {
        let mut content = std::io::Cursor::new(&bytes);
        content::read(path.as_bytes().into(), &mut content, &mut |fact| {
            facts.push(fact);
        });
    }
    facts
}

/// An empty folder with a root in which nothing is installed, and the root.
fn empty_root(name: &str) -> (PathBuf, PathBuf) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(fs::remove_dir_all(&folder));
    let root = folder.join("root");
    for directory in ["info", "updates", "triggers"] {
        fs::create_dir_all(root.join("var/lib/dpkg").join(directory)).unwrap();
    }
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    (folder, root)
}

/// There are no scripts, so that nothing is run in the root.
const FORCE: &str = "--force-not-root,script-chrootless,bad-path";

/// Installs archives below a root.
fn install(root: &Path, archives: &[PathBuf]) {
    let at_root = root_option(root);
    let mut install = vec![&*at_root, FORCE, "--install"];
    install.extend(archives.iter().map(|archive| archive.to_str().unwrap()));
    run("dpkg", &install);
}

/// Removes a package below a root, without its configuration.
fn remove(root: &Path, package: &str) {
    run("dpkg", &[&root_option(root), FORCE, "--remove", package]);
}

/// Installs packages below a root, and has the root.
fn installed() -> PathBuf {
    let (folder, root) = empty_root("dpkg");
    let architecture = run("dpkg", &["--print-architecture"]);
    let native = format!("Architecture: {architecture}");
    let archives = [
        build(
            &folder,
            "libssl3",
            &format!("{native}Multi-Arch: same\nSource: openssl (3.0.9-1)\nVersion: 3.0.9-1+b1\n"),
            &["usr/lib/libssl.so.3", "usr/share/a b"],
        ),
        build(
            &folder,
            "python3-x",
            "Architecture: all\nSource: x\nVersion: 1:2.0~rc1-1\n",
            &["usr/lib/python3/x.py"],
        ),
        build(
            &folder,
            "removed",
            &format!("{native}Version: 1\n"),
            &["etc/removed.conf", "usr/bin/removed"],
        ),
        build(
            &folder,
            "held",
            &format!("{native}Version: 1-1\n"),
            &["usr/bin/held"],
        ),
    ];
    install(&root, &archives);
    remove(&root, "removed");
    let at_root = root_option(&root);
    let selection = format!("echo held hold | dpkg {at_root} {FORCE} --set-selections");
    run("sh", &["-c", &selection]);
    run(
        "dpkg-divert",
        &[
            &at_root,
            "--package",
            "python3-x",
            "--no-rename",
            "--divert",
            "/usr/bin/held.x",
            "--add",
            "/usr/bin/held",
        ],
    );

    root
}

#[test]
fn a_database_that_dpkg_writes_is_read_as_dpkg_reads_it() {
    let root = installed();
    assert_eq!(packages_are_those_of_dpkg(&root), (3, 4));
    lists_are_those_of_dpkg(&root);
    let diversions = facts(&root, "var/lib/dpkg/diversions");
    let [Fact::DpkgDiversion(diversion)] = &*diversions else {
        panic!("{diversions:?}");
    };
    assert_eq!(diversion.from, b"usr/bin/held");
    assert_eq!(diversion.to, b"usr/bin/held.x");
    assert_eq!(diversion.package.as_deref(), Some("python3-x"));
}

#[test]
fn the_database_of_this_machine_is_read_as_dpkg_reads_it() {
    let (installed, _) = packages_are_those_of_dpkg(Path::new("/"));
    assert!(installed > 50, "{installed} packages");
}

/// The option of dpkg that names a root.
fn root_option(root: &Path) -> String {
    format!("--root={}", root.to_str().unwrap())
}

/// Compares the packages, and has the number of those that are installed and of all.
fn packages_are_those_of_dpkg(root: &Path) -> (usize, usize) {
    let at_root = root_option(root);
    let format = "-f=${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n";
    let answer = run("dpkg-query", &[&at_root, "-W", format]);
    let mut expected = BTreeSet::new();
    for line in answer.lines() {
        let (state, package) = line.split_once(' ').unwrap();
        if !["not-installed", "config-files"].contains(&state) {
            expected.insert(package.to_owned());
        }
    }
    let read: BTreeSet<String> = facts(root, "var/lib/dpkg/status")
        .into_iter()
        .map(|fact| {
            let Fact::Dpkg(package) = fact else {
                panic!("{fact:?}");
            };
            let own = (package.name.clone(), package.version.clone());
            let source = package.source.map(|source| (source.name, source.version));
            let (source, version) = source.unwrap_or((own.0, None));
            format!(
                "{} {} {} {source} {}",
                package.name,
                package.version,
                package.architecture.unwrap(),
                version.unwrap_or(own.1)
            )
        })
        .collect();
    assert_eq!(read, expected);
    (read.len(), answer.lines().count())
}

fn lists_are_those_of_dpkg(root: &Path) {
    let at_root = root_option(root);
    let mut lists = 0;
    for entry in fs::read_dir(root.join("var/lib/dpkg/info")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        for fact in facts(root, &format!("var/lib/dpkg/info/{name}")) {
            let Fact::DpkgFiles(list) = fact else {
                panic!("{fact:?}");
            };
            let package = match &list.architecture {
                Some(architecture) => format!("{}:{architecture}", list.package),
                None => list.package.clone(),
            };
            let answer = run("dpkg-query", &[&at_root, "-L", &package]);
            let named: BTreeSet<&str> = answer
                .lines()
                .filter(|line| {
                    !line.starts_with("diverted by") && !line.starts_with("package diverts")
                })
                .map(|line| line.trim_start_matches('/'))
                .filter(|path| *path != ".")
                .collect();
            let paths: Vec<_> = list
                .paths
                .iter()
                .map(|path| str::from_utf8(path).unwrap())
                .collect();
            assert!(!paths.is_empty(), "{name}");
            for path in &paths {
                assert!(named.contains(path), "{name}: {path}");
            }
            if name.split('.').next_back() == Some("list") {
                assert_eq!(paths.len(), named.len(), "{name}: {named:?}");
                lists += 1;
            }
        }
    }
    assert_eq!(lists, 4);
}
