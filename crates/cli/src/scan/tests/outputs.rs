//! Formats that are written to files.

use super::*;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, symlink};

impl Files {
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

#[test]
fn formats_are_written_to_files_beside_what_is_printed() {
    let files = Files::new();
    std::fs::create_dir(files.path("out")).unwrap();
    files.add("out/old.json", b"old");
    let (result, out, err) = files.scan("-o json={}/out/old.json -o sarif={}/out/scan=1.sarif");
    assert_eq!((result, &*err), (Ok(ScanOutcome::Done), ""));
    assert_eq!(out, include_str!("table.txt"));
    let (_, json, _) = files.scan("-o json");
    assert_eq!(files.read("out/old.json"), json);
    let (_, sarif, _) = files.scan("-o sarif");
    assert_eq!(files.read("out/scan=1.sarif"), sarif);
    // One format is printed, also if another one has a file. The exit code is that of the findings.
    let (result, out, _) = files.scan("-o table={}/out/table -o json --fail-on high");
    assert_eq!(result, Ok(ScanOutcome::Failed));
    assert_eq!(out, json);
    assert_eq!(files.read("out/table"), include_str!("table.txt"));
    assert_eq!(files.names("out"), ["old.json", "scan=1.sarif", "table"]);
}

#[test]
fn a_link_stays_and_a_pipe_is_written() {
    let files = Files::new();
    files.add("real.json", b"old");
    symlink("real.json", files.path("link.json")).unwrap();
    nix::unistd::mkfifo(&files.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let pipe = files.path("pipe");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::fs::File::open(pipe)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    });
    let (result, _, _) = files.scan("-o json={}/link.json -o sarif={}/pipe");
    assert_eq!(result, Ok(ScanOutcome::Done));
    assert!(files.path("link.json").is_symlink());
    assert!(files.read("real.json").contains("\"schemaVersion\": 1"));
    let pipe = std::fs::metadata(files.path("pipe")).unwrap();
    assert!(pipe.file_type().is_fifo());
    assert!(reader.join().unwrap().contains("\"version\": \"2.1.0\""));
}

#[test]
fn an_output_that_cannot_be_written_is_an_error_before_the_scan() {
    let files = Files::new();
    files.add("list.json", b"no list");
    for (flags, want) in [
        (
            "-o json={}/none/scan.json",
            "cannot write {}/none/scan.json: No such file or directory (os error 2); name a file in a directory that exists and has space",
        ),
        (
            "-o json={}/osv",
            "cannot write {}/osv: Is a directory (os error 21); name a file in a directory that exists and has space",
        ),
        (
            "-o json={}/a -o sarif={}/osv/../a",
            "cannot write {}/osv/../a: -o names it twice; name a file for each format",
        ),
        (
            "-o json -o sarif",
            "cannot print json and sarif: standard output has one format; write the other one to a file, as in -o sarif=FILE",
        ),
    ] {
        // The list is read later, and cannot be read.
        let flags = format!("--packages {{}}/list.json --advisories {{}}/osv {flags}");
        let (result, out, _) = files.run(&flags, "");
        assert_eq!((result, &*out), (Err(want.to_owned()), ""), "{flags}");
    }
    // A scan that fails leaves nothing.
    let (result, _, _) = files.run(
        "--packages {}/list.json --advisories {}/osv -o json={}/scan.json",
        "",
    );
    assert!(result.is_err());
    assert_eq!(files.names("."), ["list.json", "osv", "packages.json"]);
}

#[test]
fn a_format_has_a_name_and_its_file_one_too() {
    let error = |output: &str| output.parse::<Output>().unwrap_err();
    let format = "must be table, json or sarif, and can have a file: json=FILE";
    for output in ["xml", "", "JSON", "xml=a", "=a"] {
        assert_eq!(error(output), format, "{output}");
    }
    assert_eq!(
        error("json="),
        "must have a file after =, as in json=scan.json"
    );
}
