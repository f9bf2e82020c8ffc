//! Packages that their own tools installed and published are found with the names and versions that were asked for.
//!
//! Here: which ones, as `hack/scan-artifacts.sh` prepares them; `BAILIFF_SCAN_ARTIFACTS` names the folder that it prints.
//! Not here: files that somebody damaged or forged (`src/content`).
//! Invariant: exactly the expected packages are found, and nothing is unread.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_scan::content::{self, Fact, HEAD, Interest};
use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    let Some(folder) = std::env::var_os("BAILIFF_SCAN_ARTIFACTS") else {
        panic!(
            "BAILIFF_SCAN_ARTIFACTS is not set: run `make unit`, or set it to what `hack/scan-artifacts.sh` prints"
        );
    };
    PathBuf::from(folder)
}

/// The files below a directory, sorted.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .collect();
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

/// What is found in a part of the folder: the path, and what the file states.
fn found(part: &str) -> Vec<String> {
    let folder = folder();
    let mut paths = Vec::new();
    files(&folder.join(part), &mut paths);
    let mut found = Vec::new();
    for path in paths {
        let inside = path.strip_prefix(&folder).unwrap().to_str().unwrap();
        let mut file = File::open(&path).unwrap();
        let size = file.metadata().unwrap().len();
        let mut head = Vec::new();
        file.by_ref()
            .take(HEAD as u64)
            .read_to_end(&mut head)
            .unwrap();
        let mut add = |fact| found.push(format!("{inside}: {}", shown(fact)));
        match content::interest(inside.as_bytes().into(), size, &head) {
            Interest::None => {}
            Interest::Whole(limit) => {
                let bytes = fs::read(&path).unwrap();
                assert!(bytes.len() <= limit);
                content::read(inside.as_bytes().into(), &mut Cursor::new(bytes), &mut add);
            }
            Interest::Tail | Interest::Seek => {
                content::read(inside.as_bytes().into(), &mut file, &mut add);
            }
        }
    }
    found
}

fn shown(fact: Fact) -> String {
    match fact {
        Fact::Python(of) => {
            let files = of.files.iter().count();
            format!("{} {} {:?}, {files} files", of.name, of.version, of.source)
        }
        Fact::Npm(of) => {
            let bundled = of.bundled_in.map(|by| format!(" in {by}"));
            format!("{} {}{}", of.name, of.version, bundled.unwrap_or_default())
        }
        Fact::Java(archive) => {
            let artifacts = archive.artifacts.iter().map(|of| {
                let group = of.group.as_deref().unwrap_or("*");
                format!(" {group}:{} {} {:?}", of.artifact, of.version, of.source)
            });
            let artifacts: Vec<_> = artifacts.collect();
            format!("[{}]{}", archive.path, artifacts.join(","))
        }
        Fact::Go(of) => {
            let modules = of.dependencies.iter();
            let modules = modules.map(|module| format!(" {} {}", module.path, module.version));
            // The version of Go is that of whoever builds.
            let is_go = of.go.starts_with("go1.");
            format!("Go {is_go}{}", modules.collect::<String>())
        }
        Fact::Elf(_) => "ELF".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn distributions_that_pip_installed_are_found() {
    assert_eq!(
        found("python"),
        [
            "python/site-packages/Jinja2-2.11.2.dist-info/METADATA: jinja2 2.11.2 Headers, 0 files",
            "python/site-packages/Jinja2-2.11.2.dist-info/RECORD: jinja2 2.11.2 FileList, 36 files",
            "python/site-packages/urllib3-1.26.4.dist-info/METADATA: urllib3 1.26.4 Headers, 0 files",
            "python/site-packages/urllib3-1.26.4.dist-info/RECORD: urllib3 1.26.4 FileList, 49 files",
        ]
    );
}

#[test]
fn packages_that_npm_installed_are_found() {
    assert_eq!(
        found("npm"),
        [
            "npm/node_modules/@hapi/hoek/package.json: @hapi/hoek 8.5.0",
            "npm/node_modules/lodash/package.json: lodash 4.17.20",
            "npm/node_modules/minimist/package.json: minimist 0.0.8",
            "npm/node_modules/mkdirp/node_modules/minimist/package.json: minimist 1.2.5 in mkdirp",
            "npm/node_modules/mkdirp/package.json: mkdirp 0.5.5",
        ]
    );
}

#[test]
fn modules_in_a_stripped_program_are_found() {
    let mut found = found("go");
    found.sort();
    assert_eq!(
        found,
        ["go/web: ELF", "go/web: Go true golang.org/x/net v0.1.0"]
    );
}

#[test]
fn artifacts_in_published_jars_are_found() {
    let log4j = "org.apache.logging.log4j:log4j-core 2.14.1 PomProperties";
    assert_eq!(
        found("java"),
        [
            &format!("java/app.jar: [BOOT-INF/lib/log4j-core-2.14.1.jar] {log4j}"),
            "java/app.jar: []",
            &format!("java/backup: [docs/readme.txt!/BOOT-INF/lib/log4j-core-2.14.1.jar] {log4j}"),
            "java/backup: [docs/readme.txt]",
            "java/backup: []",
            "java/commons-compress-1.20.jar: [] org.apache.commons:commons-compress 1.20 PomProperties",
            &format!("java/log4j-core-2.14.1.jar: [] {log4j}"),
            "java/nimbus-jose-jwt-9.37.1.jar: [] com.google.code.gson:gson 2.10.1 PomProperties, com.nimbusds:nimbus-jose-jwt 9.37.1 PomProperties",
            // It has no properties.
            "java/spring-expression-5.3.17.jar: [] *:spring-expression 5.3.17 FileName",
            "java/stripped.jar: [] *:log4j-core 2.14.1 Manifest, *:stripped 2.14.1 Manifest",
        ]
    );
}
