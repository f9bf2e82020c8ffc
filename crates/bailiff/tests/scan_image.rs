//! An image from its layers to the output, as the real program does it.
//!
//! Here: that all parts of `bailiff scan` belong together, word for word. Not here: each part (`crates/scan`,
//! `crates/image`, `crates/cli`). The image and the advisories are made by hand.

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

use bailiff_oci::{Algorithm, Hasher};
use serde_json::{Value as Json, json};
use std::process::Command;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_bailiff");

/// A directory with an image and advisories.
struct Files(TempDir);

/// What Debian's own package of a Python project looks like, and one of another source package.
const STATUS: &str = "\
Package: libdemo1
Status: install ok installed
Architecture: amd64
Source: demo
Version: 1.0-1

Package: python3-web
Status: install ok installed
Architecture: all
Source: python-web
Version: 2.0-1+deb12u1

";

/// An ELF file with nothing but its header.
fn elf() -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[16] = 3;
    bytes
}

fn layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(bytes.len()).unwrap());
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, path, *bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        let metadata = b"Metadata-Version: 2.1\nName: Web\nVersion: 2.0\n";
        let base = layer(&[
            ("etc/os-release", b"ID=debian\nVERSION_ID=\"12\"\n"),
            ("usr/lib/libdemo.so.1", &elf()),
            (
                "usr/lib/python3/dist-packages/web-2.0.dist-info/METADATA",
                metadata,
            ),
            (
                "var/lib/dpkg/info/libdemo1.list",
                b"/usr/lib/libdemo.so.1\n",
            ),
            (
                "var/lib/dpkg/info/python3-web.list",
                b"/usr/lib/python3/dist-packages/web-2.0.dist-info/METADATA\n",
            ),
            ("var/lib/dpkg/status", STATUS.as_bytes()),
        ]);
        let application = layer(&[
            (
                "app/site-packages/django-3.2.1.dist-info/METADATA",
                b"Metadata-Version: 2.1\nName: Django\nVersion: 3.2.1\n",
            ),
            ("app/tool", &[elf(), vec![1]].concat()),
        ]);
        let amd64 = files.image("amd64", &[base, application.clone()]);
        files.index("image", &[&amd64]);
        let arm64 = files.image("arm64", &[application]);
        files.index("images", &[&amd64, &arm64]);
        let advisory = |id: &str, cve: &str, package: (&str, &str), fixed: &str| {
            let record = json!({
                "id": id,
                "modified": "2026-01-02T03:04:05Z",
                "aliases": [cve],
                "summary": format!("About {id}"),
                "database_specific": {"severity": "HIGH"},
                "affected": [{
                    "package": {"ecosystem": package.0, "name": package.1},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
                }],
            });
            files.add(&format!("osv/{id}.json"), record.to_string().as_bytes());
        };
        advisory(
            "DEBIAN-CVE-2024-1",
            "CVE-2024-1",
            ("Debian:12", "demo"),
            "1.0-2",
        );
        advisory("GHSA-2", "CVE-2024-2", ("PyPI", "web"), "2.1");
        advisory(
            "DEBIAN-CVE-2024-2",
            "CVE-2024-2",
            ("Debian:12", "python-web"),
            "2.0-1+deb12u1",
        );
        advisory("GHSA-3", "CVE-2024-3", ("PyPI", "django"), "3.2.14");
        files
    }

    fn add(&self, path: &str, bytes: &[u8]) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Adds a blob, and has its descriptor.
    fn blob(&self, media_type: &str, bytes: &[u8]) -> Json {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes);
        let digest = hasher.finish().to_string();
        self.add(&format!("blobs/{}", digest.replace(':', "/")), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// Adds an image of these layers, of which the first is the base, and has its descriptor.
    fn image(&self, architecture: &str, layers: &[Vec<u8>]) -> Json {
        let layers = layers
            .iter()
            .map(|layer| self.blob("application/vnd.oci.image.layer.v1.tar", layer));
        let layers: Vec<_> = layers.collect();
        let diff_ids: Vec<_> = layers.iter().map(|layer| &layer["digest"]).collect();
        let mut history = vec![
            json!({"created_by": "ADD rootfs.tar /"}),
            json!({"created_by": "CMD [\"bash\"]", "empty_layer": true}),
        ];
        let above = layers.iter().skip(1);
        history.extend(above.map(|_| json!({"created_by": "COPY app /app"})));
        let config = json!({
            "os": "linux",
            "architecture": architecture,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": history,
        });
        let config = self.blob(
            "application/vnd.oci.image.config.v1+json",
            config.to_string().as_bytes(),
        );
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": layers,
        });
        let mut manifest = self.blob(
            "application/vnd.oci.image.manifest.v1+json",
            manifest.to_string().as_bytes(),
        );
        manifest["platform"] = json!({"os": "linux", "architecture": architecture});
        manifest
    }

    /// Adds a layout with these images, and all blobs.
    fn index(&self, name: &str, manifests: &[&Json]) {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        self.add(&format!("{name}/index.json"), index.to_string().as_bytes());
        let layout = b"{\"imageLayoutVersion\": \"1.0.0\"}";
        self.add(&format!("{name}/oci-layout"), layout);
        for blob in std::fs::read_dir(self.0.path().join("blobs/sha256")).unwrap() {
            let blob = blob.unwrap();
            let path = format!("{name}/blobs/sha256/{}", blob.file_name().display());
            self.add(&path, &std::fs::read(blob.path()).unwrap());
        }
    }

    /// Runs the program with these flags: its exit code, output and errors, in which `{}` stands for the directory.
    fn scan(&self, flags: &str) -> (Option<i32>, String, String) {
        self.scan_of("image", "linux/amd64", flags)
    }

    /// The same for a layout and a platform.
    fn scan_of(&self, name: &str, platform: &str, flags: &str) -> (Option<i32>, String, String) {
        let root = self.0.path().to_str().unwrap();
        let output = Command::new(PROGRAM)
            .args([
                "scan",
                &format!("oci:{root}/{name}"),
                "--platform",
                platform,
            ])
            .args(["--advisories", &format!("{root}/osv")])
            .args(flags.split_whitespace())
            .output()
            .unwrap();
        let text = |bytes| {
            let text = String::from_utf8(bytes).unwrap().replace(root, "{}");
            // What of Landlock the kernel supports is no matter of this test.
            let in_sandbox = "the layers were read in a sandbox";
            let all = [
                ", in which the kernel supports only a part of Landlock",
                " without Landlock, which the kernel does not support",
            ];
            let without =
                |text: String, of: &str| text.replace(&format!("{in_sandbox}{of}"), in_sandbox);
            all.into_iter().fold(text, without)
        };
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

/// Compares with a file, and writes what there is beside the test's other files if they differ.
#[track_caller]
fn assert_is(name: &str, actual: &str, expected: &str) {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if actual != expected {
        std::fs::write(&path, actual).unwrap();
    }
    assert!(
        actual == expected,
        "{name} differs; what there is: {}\n{actual}",
        path.display()
    );
}

#[test]
fn an_image_becomes_a_table() {
    let (code, out, err) = Files::new().scan("--fail-on critical --now 2026-02-01");
    assert_is("table.txt", &out, include_str!("scan_image/table.txt"));
    assert_is("notes.txt", &err, include_str!("scan_image/notes.txt"));
    assert_eq!(code, Some(4));
}

#[test]
fn an_image_becomes_json() {
    let (code, out, _) = Files::new().scan("-o json --now 2026-02-01");
    assert_is("result.json", &out, include_str!("scan_image/result.json"));
    assert_eq!(code, Some(0));
}

#[test]
fn an_image_becomes_sarif() {
    let (code, out, _) = Files::new().scan("-o sarif --fail-on high --now 2026-02-01");
    let log: Json = serde_json::from_str(&out).unwrap();
    let run = &log["runs"][0];
    let invocation = serde_json::to_string_pretty(&run["invocations"]).unwrap() + "\n";
    assert_is(
        "invocations.json",
        &invocation,
        include_str!("scan_image/invocations.json"),
    );
    let results = run["results"].as_array().unwrap().iter();
    let results: Vec<_> = results.map(|of| of["ruleId"].as_str()).collect();
    assert_eq!(results, [Some("CVE-2024-1"), Some("CVE-2024-3")]);
    assert_eq!(code, Some(3));
}

#[test]
fn a_settled_finding_is_explained() {
    let (code, out, _) = Files::new().scan("--explain CVE-2024-2 --now 2026-02-01");
    assert_is("explain.txt", &out, include_str!("scan_image/explain.txt"));
    assert_eq!(code, Some(0));
}

#[test]
fn a_vulnerability_of_a_package_and_its_owner_is_counted_once() {
    let files = Files::new();
    let record = json!({
        "id": "DEBIAN-CVE-2024-2",
        "aliases": ["CVE-2024-2"],
        "affected": [{
            "package": {"ecosystem": "Debian:12", "name": "python-web"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0-1+deb12u2"}]}],
        }],
    });
    files.add("osv/DEBIAN-CVE-2024-2.json", record.to_string().as_bytes());
    let (_, out, _) = files.scan("--now 2026-02-01");
    let owner =
        "The same finding of python3-web (python-web 2.0-1+deb12u1), which installed it, counts.";
    for line in [
        "Debian:12/python-web 2.0-1+deb12u1: Upgrade to 2.0-1+deb12u2\n".to_owned(),
        format!("Not counted: CVE-2024-2 in PyPI/web 2.0. {owner}\n"),
        // The severity is that of the advisory about the project.
        "3 findings in 3 of 4 packages: 3 High. ".to_owned(),
    ] {
        assert!(out.contains(&line), "{out}");
    }
    let (_, out, _) = files.scan("--explain CVE-2024-2 --now 2026-02-01");
    assert!(out.contains(&format!("  Not counted. {owner}\n")), "{out}");
    let (_, out, _) = files.scan("-o sarif --now 2026-02-01");
    let note = format!("CVE-2024-2 in PyPI/web 2.0: Not counted. {owner}");
    assert!(out.contains(&note), "{out}");
}

#[test]
fn a_settled_finding_can_be_ignored() {
    let files = Files::new();
    let list = br#"[{"id": "CVE-2024-2", "package": "PyPI/web", "reason": "Fixed", "expires": "2026-12-31"}]"#;
    files.add("ignore.yaml", list);
    let ignore = files.0.path().join("ignore.yaml");
    let flags = format!("--now 2026-02-01 --ignore {}", ignore.display());
    let (_, out, err) = files.scan(&flags);
    let line = "Ignored until 2026-12-31: CVE-2024-2 in PyPI/web 2.0 (High), because: Fixed\n";
    assert!(out.contains(line), "{out}");
    assert!(!err.contains("matches no finding"), "{err}");
}

#[test]
fn each_package_of_several_images_has_its_platforms() {
    let files = Files::new();
    let (_, out, _) = files.scan_of("images", "all", "--now 2026-02-01");
    assert!(out.contains("\n  Of linux/amd64, linux/arm64.\n"), "{out}");
    assert!(out.contains("\n  Of linux/amd64.\n"), "{out}");
    let (_, out, _) = files.scan_of("images", "all", "-o json");
    let json: Json = serde_json::from_str(&out).unwrap();
    let packages = json["packages"].as_array().unwrap().iter();
    let platforms: Vec<_> = packages
        .map(|of| (of["name"].as_str().unwrap(), of["platforms"].clone()))
        .collect();
    let one = json!(["linux/amd64"]);
    assert_eq!(
        platforms,
        [
            ("demo", one.clone()),
            ("python-web", one.clone()),
            ("django", json!(["linux/amd64", "linux/arm64"])),
            ("web", one),
        ]
    );
}
