//! The command with files and servers, word for word.

use super::download::{Downloader, Limits};
use super::*;
use crate::scan;
use crate::scratch::Scratch;
use bailiff_scan::ecosystem::Ecosystem;
use bailiff_scan::index::Index;
use bailiff_scan::release::{Support, support};
use clap::Parser as _;
use rustls::RootCertStore;
use serde_json::{Value as Json, json};
use std::io::Write as _;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

mod downloads;
mod flags;
mod kinds;
mod server;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    feed: FeedArgs,
}

const NOW: &str = "2026-02-01T00:00:00Z";

/// A directory with records.
pub(super) struct Files(Scratch);

impl std::ops::Deref for Files {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        &self.0
    }
}

fn record(id: &str, ecosystem: &str, name: &str, fixed: &str) -> Json {
    json!({
        "id": id,
        "modified": "2026-01-02T03:04:05Z",
        "aliases": [format!("CVE-2026-{}", &id[2..])],
        "summary": format!("About {id}"),
        "affected": [{
            "package": {"ecosystem": ecosystem, "name": name},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
        }],
    })
}

/// An archive of records.
pub(super) fn archive(records: &[Json]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for record in records {
        let name = format!("{}.json", record["id"].as_str().unwrap());
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(record.to_string().as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

const CATALOG: &str = r#"{"dateReleased": "2026-01-03T00:00:00Z", "vulnerabilities": [
    {"cveID": "CVE-2026-1", "dateAdded": "2026-01-02"}]}"#;

impl Files {
    pub(super) fn new() -> Self {
        let files = Self(Scratch::new());
        std::fs::create_dir_all(files.path("osv/PyPI")).unwrap();
        let django = record("X-1", "PyPI", "Django", "3.2.13");
        files.add(
            "osv/PyPI/all.zip",
            &archive(&[django, record("X-2", "PyPI", "flask", "2.0")]),
        );
        files.add(
            "osv/X-3.json",
            record("X-3", "npm", "a", "1.1").to_string().as_bytes(),
        );
        files.add("osv/X-4.json", b"{}");
        files.add("kev.json", CATALOG.as_bytes());
        files
    }

    fn parse(&self, flags: &str) -> Result<FeedArgs, String> {
        let line = Line::try_parse_from(self.arguments("feed", flags));
        line.map(|line| line.feed)
            .map_err(|error| error.to_string())
    }

    /// Runs the command with these flags at this time; `{}` stands for the directory, also in what it prints.
    pub(super) async fn run_with(
        &self,
        downloader: &Downloader,
        now: &str,
        flags: &str,
    ) -> (Result<(), String>, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let result = match self.parse(flags).unwrap().command {
            FeedCommand::Build(args) => {
                build::run(&args, downloader, now.parse().unwrap(), &mut out, &mut err).await
            }
            FeedCommand::Inspect(args) => inspect::run(&args, &mut out),
        };
        let result = result.map_err(|error| self.shown(&error));
        (result, self.printed(out), self.printed(err))
    }

    async fn run(&self, flags: &str) -> (Result<(), String>, String, String) {
        let downloader = Downloader::with(RootCertStore::empty(), Limits::default()).unwrap();
        self.run_with(&downloader, NOW, flags).await
    }

    /// Builds an index of the files.
    async fn build(&self) {
        let (result, _, _) = self
            .run("build -f {}/index osv={}/osv kev={}/kev.json")
            .await;
        assert_eq!(result, Ok(()));
    }

    fn scan(&self, flags: &str, list: &str) -> (Result<scan::ScanOutcome, String>, String, String) {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            scan: scan::ScanArgs,
        }
        let line = Line::try_parse_from(self.arguments("scan", flags)).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let result = scan::run(&line.scan, &mut list.as_bytes(), &mut out, &mut err);
        let result = result.map_err(|error| self.shown(&error));
        (result, self.printed(out), self.printed(err))
    }
}

/// Texts without what differs between runs: the hash and the size of an index.
fn stable(text: &str, index: &Path) -> String {
    let file = std::fs::read(index).unwrap();
    let hash = Index::open(&file).unwrap().hash();
    text.replace(&hash, "HASH")
        .replace(&format!("    {}\n", file.len()), "    BYTES\n")
}

#[tokio::test]
async fn an_index_says_what_it_was_built_from() {
    let files = Files::new();
    let (result, out, err) = files
        .run("build -f {}/index osv={}/osv kev={}/kev.json")
        .await;
    assert_eq!(result, Ok(()));
    assert_eq!(
        err,
        "error: cannot read {}/osv/X-4.json: missing field `id` at line 1 column 2\n"
    );
    let table = "\
KIND   RECORDS   UNREADABLE   NEWEST       ECOSYSTEMS   SOURCE
osv    2         0            2026-01-02   PyPI         {}/osv/PyPI/all.zip
osv    1         1            2026-01-02   npm          {}/osv
kev    1         0            2026-01-03   -            {}/kev.json
";
    let index = files.path("index");
    assert_eq!(
        stable(&out, &index),
        format!("{table}\nWrote {{}}/index with advisories of 3 packages, 1 KiB, sha256 HASH.\n")
    );
    let (result, out, err) = files.run("inspect {}/index").await;
    assert_eq!((result, err.as_str()), (Ok(()), ""));
    let head = "Built    2026-02-01T00:00:00Z\nBytes    BYTES\nSHA-256  HASH\n";
    assert_eq!(stable(&out, &index), format!("{head}\n{table}"));
    let (result, out, _) = files.run("inspect {}/index -o json").await;
    assert_eq!(result, Ok(()));
    let mut json: Json = serde_json::from_str(&out).unwrap();
    assert_eq!(
        json["bytes"].take(),
        std::fs::metadata(&index).unwrap().len()
    );
    assert_eq!(
        json["sha256"].take(),
        Index::open(&std::fs::read(&index).unwrap()).unwrap().hash()
    );
    assert_eq!(json["sources"].as_array().unwrap().len(), 3);
    assert_eq!(
        json["sources"][0].take(),
        json!({
            "kind": "osv", "origin": "{}/osv/PyPI/all.zip", "retrieved": NOW,
            "records": 2, "unreadable": 0, "newest": "2026-01-02T03:04:05Z",
            "ecosystems": [{"ecosystem": "PyPI", "records": 2, "newestModified": "2026-01-02T03:04:05Z"}],
        })
    );
    // Only the index is there, and it can be read by whom other files can be read.
    assert_eq!(files.names(""), ["index", "kev.json", "osv"]);
    let modes = ["index", "kev.json"].map(|name| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(files.path(name))
            .unwrap()
            .permissions()
            .mode()
    });
    assert_eq!(modes[0], modes[1]);
}

#[tokio::test]
async fn a_build_that_fails_leaves_the_index_as_it_was() {
    let files = Files::new();
    files.build().await;
    let before = std::fs::read(files.path("index")).unwrap();
    files.add("empty.zip", &archive(&[]));
    files.add(
        "other.zip",
        &archive(&[json!({"id": "X-1", "affected": []}), json!({"id": " "})]),
    );
    files.add("broken.zip", b"PK\x03\x04 and nothing else");
    for (source, want) in [
        (
            "osv={}/none",
            "cannot read osv={}/none: {}/none: No such file or directory (os error 2); correct the source or leave it out",
        ),
        (
            "osv={}/empty.zip",
            "cannot read osv={}/empty.zip: it has no records; correct the source or leave it out",
        ),
        (
            "kev={}/osv/X-3.json",
            "cannot read kev={}/osv/X-3.json: {}/osv/X-3.json: missing field `vulnerabilities` at line 1 column ",
        ),
        (
            "osv={}/broken.zip",
            "cannot read osv={}/broken.zip: {}/broken.zip: ",
        ),
        (
            "--previous {}/kev.json osv={}/osv",
            "cannot read the index {}/kev.json: it is not an index of advisories; set --previous to an index that is whole, or leave it out",
        ),
        (
            "--previous {}/none osv={}/osv",
            "cannot read the index {}/none: No such file or directory (os error 2); set --previous to an index that is whole, or leave it out",
        ),
    ] {
        let (result, out, _) = files
            .run(&format!("build -f {{}}/index kev={{}}/kev.json {source}"))
            .await;
        let error = result.unwrap_err();
        assert!(error.starts_with(want), "{error}");
        assert_eq!(out, "");
    }
    assert!(std::fs::read(files.path("index")).unwrap() == before);
    let names = [
        "broken.zip",
        "empty.zip",
        "index",
        "kev.json",
        "osv",
        "other.zip",
    ];
    assert_eq!(files.names(""), names);
    // A record that cannot be read is reported, and others count.
    let (result, out, err) = files.run("build -f {}/index osv={}/other.zip").await;
    assert_eq!(result, Ok(()));
    assert!(out.contains("osv    1         1"), "{out}");
    let error = "id: must have 1 to 256 printable ASCII characters without spaces";
    assert_eq!(
        err,
        format!("error: cannot read  .json of {{}}/other.zip: {error}\n")
    );
}

#[tokio::test]
async fn an_index_is_replaced_while_somebody_reads_it() {
    let files = Files::new();
    files.build().await;
    let mapped = map::Mapped::open(&files.path("index")).unwrap();
    let before = mapped.bytes().to_vec();
    let (result, _, _) = files.run("build -f {}/index osv={}/osv/PyPI").await;
    assert_eq!(result, Ok(()));
    assert!(mapped.bytes() == before);
    assert!(std::fs::read(files.path("index")).unwrap() != before);
}

#[tokio::test]
async fn a_fix_has_the_day_of_the_first_index_that_had_it() {
    let files = Files::new();
    let downloader = Downloader::with(RootCertStore::empty(), Limits::default()).unwrap();
    let build = "build -f {}/index osv={}/osv/PyPI";
    files
        .run_with(&downloader, "2026-01-01T00:00:00Z", build)
        .await
        .0
        .unwrap();
    files.add(
        "osv/PyPI/all.zip",
        &archive(&[record("X-1", "PyPI", "django", "4.0")]),
    );
    // The index can be its own predecessor.
    for now in ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"] {
        let flags = format!("{build} --previous {{}}/index");
        files.run_with(&downloader, now, &flags).await.0.unwrap();
    }
    let file = std::fs::read(files.path("index")).unwrap();
    let django = Index::open(&file).unwrap();
    let django = django.get(&Ecosystem::PyPi, "django").unwrap();
    let date = django[0].advisory.affected[0].fix_date("4.0").unwrap();
    assert_eq!(
        (date.date.to_string().as_str(), date.source.as_str()),
        ("2026-01-02", "index")
    );
}

#[tokio::test]
async fn a_damaged_index_is_not_inspected() {
    let files = Files::new();
    files.build().await;
    let mut index = std::fs::read(files.path("index")).unwrap();
    *index.last_mut().unwrap() ^= 1;
    files.add("index", &index);
    let (result, out, _) = files.run("inspect {}/index").await;
    assert_eq!(
        (result, out.as_str()),
        (
            Err("cannot read the index {}/index: its SHA-256 is not the one that it was built with; build it again with `bailiff feed build`".to_owned()),
            ""
        )
    );
    let (result, _, _) = files.run("inspect {}/osv").await;
    assert_eq!(
        result,
        Err("cannot open the index {}/osv: it is not a file; build it with `bailiff feed build --defaults`".to_owned())
    );
}

#[tokio::test]
async fn packages_are_matched_with_the_index() {
    let files = Files::new();
    files.build().await;
    let list = "pkg:pypi/django@3.2.1\npkg:pypi/flask@2.0\n";
    let (result, out, err) = files.scan("--packages - --index {}/index", list);
    assert_eq!((result, err.as_str()), (Ok(scan::ScanOutcome::Done), ""));
    let with_files = "--packages - --advisories {}/osv --known-exploited {}/kev.json";
    let (_, from_files, _) = files.scan(with_files, list);
    let age = "\
Source osv {}/osv/PyPI/all.zip: 2 records, the newest of 2026-01-02, read on 2026-02-01.
Source kev {}/kev.json: 1 record, the newest of 2026-01-03, read on 2026-02-01.
";
    assert!(
        out.contains("CVE-2026-1") && !out.contains("CVE-2026-2"),
        "{out}"
    );
    // The file that cannot be read is none of the packages' source, so the result is complete.
    let incomplete = "The result is incomplete.\n";
    assert_eq!(out, from_files.replace(incomplete, age));
    let (_, _, err) = files.scan("--packages - --index {}/index", "pkg:npm/a@1.0.0\n");
    assert_eq!(
        err,
        "error: cannot read 1 record of {}/osv when the index was built\n"
    );
}

#[tokio::test]
async fn a_source_of_which_a_record_without_ecosystem_cannot_be_read_makes_the_result_incomplete() {
    let files = Files::new();
    files.add(
        "cves.zip",
        &archive(&[
            json!({"id": "broken"}),
            json!({"id": "CVE-2026-1", "dataType": "CVE_RECORD", "dataVersion": "5.1",
            "cveMetadata": {"cveId": "CVE-2026-1"}, "containers": {"cna": {}}}),
        ]),
    );
    let (result, _, err) = files
        .run("build -f {}/index osv={}/osv/PyPI cve-list={}/cves.zip")
        .await;
    assert_eq!(result, Ok(()), "{err}");
    let list = "pkg:pypi/flask@2.0\n";
    let (result, out, err) = files.scan("--packages - --index {}/index --fail-on low", list);
    assert_eq!(result, Ok(scan::ScanOutcome::Incomplete), "{err}");
    assert!(
        out.contains("Source cve-list {}/cves.zip: 1 record, 1 unreadable, of unknown age, read on 2026-02-01.\n"),
        "{out}"
    );
    assert!(
        err.starts_with("error: cannot read 1 record of {}/cves.zip when the index was built\n"),
        "{err}"
    );
}
