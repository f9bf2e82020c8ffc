//! A lookup at a real registry, the reference implementation.
//!
//! `hack/tools.sh` builds its program, `registry`, which has to be in `PATH`.

use super::server::Authority;
use super::{INDEX, LONG, MANIFEST, client, digest_of, failure, octo, parse};
use bailiff_oci::registry::{Credential, RegistryClient};
use bailiff_oci::{Failure, Lookup, ManifestKind, Missing};
use serde_json::{Value as Json, json};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The user octo with the password cat.
const PASSWORDS: &str = "octo:$2a$04$Lnl.Hdqt855YYxbD5O/i9OXgPd.7TE26bMmin1Iq8MzCCtPqd8nqi\n";

/// A registry that runs.
struct Registry {
    process: Child,
    host: String,
}

impl Registry {
    /// Starts a registry with the content of a directory, and with further configuration.
    fn start(directory: &Path, mut config: Json) -> Self {
        config["version"] = json!("0.1");
        config["storage"] = json!({"filesystem": {"rootdirectory": directory.join("content")}});
        config["http"]["addr"] = json!("127.0.0.1:0");
        config["http"]["secret"] = json!("test");
        // YAML, which JSON is a part of.
        let file = directory.join(if config["auth"].is_null() {
            "a.yml"
        } else {
            "b.yml"
        });
        std::fs::write(&file, config.to_string()).unwrap();
        let mut process = Command::new("registry")
            .arg("serve")
            .arg(&file)
            // If unset, it sends traces to a port of this machine.
            .env("OTEL_TRACES_EXPORTER", "none")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run registry: {error}; run `make unit`"));
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let host = loop {
            let line = lines.next().expect("the registry ended").unwrap();
            if let Some((_, after)) = line.split_once("listening on ") {
                break after.split([',', '"']).next().unwrap().to_owned();
            }
        };
        // It must be able to write on.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, host }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Sends a request without TLS; the result is the head of the answer.
async fn send(host: &str, method: &str, path: &str, media_type: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let head = answer.split("\r\n\r\n").next().unwrap().to_owned();
    assert!(head.starts_with("HTTP/1.1 20"), "{method} {path}: {answer}");
    head
}

/// The value of a header.
fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    headers
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .unwrap()
        .1
}

/// Pushes a manifest with an empty configuration; the result is its digest.
async fn push(host: &str, repository: &str, tag: &str) -> String {
    let start = send(
        host,
        "POST",
        &format!("/v2/{repository}/blobs/uploads/"),
        "",
        "",
    )
    .await;
    let upload = header(&start, "Location")
        .strip_prefix(&format!("http://{host}"))
        .unwrap();
    let octets = "application/octet-stream";
    let config = send(
        host,
        "PUT",
        &format!("{upload}&digest={}", super::SHA256),
        octets,
        "{}",
    )
    .await;
    assert_eq!(header(&config, "Docker-Content-Digest"), super::SHA256);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": super::SHA256,
            "size": 2,
        },
        "layers": [],
    });
    put(host, repository, tag, MANIFEST, &manifest).await
}

async fn put(host: &str, repository: &str, tag: &str, media_type: &str, manifest: &Json) -> String {
    let path = format!("/v2/{repository}/manifests/{tag}");
    let head = send(host, "PUT", &path, media_type, &manifest.to_string()).await;
    header(&head, "Docker-Content-Digest").to_owned()
}

async fn ask(client: &RegistryClient, text: &str, credential: Option<&Credential>) -> Lookup {
    client.lookup(&parse(text), false, credential).await
}

fn kind_of(lookup: &Lookup) -> ManifestKind {
    match lookup {
        Lookup::Found { facts, .. } => facts.kind,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_real_registry_has_the_answers_that_the_scripts_have() {
    let directory = tempfile::tempdir().unwrap();
    let open = Registry::start(directory.path(), json!({}));
    let host = &open.host;
    let manifest = push(host, "acme/web", "1").await;
    push(host, "acme/other", "1").await;
    let entry = json!({
        "mediaType": MANIFEST,
        "digest": manifest,
        "size": 0,
        "platform": {"os": "linux", "architecture": "amd64"},
    });
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
    let index = put(host, "acme/web", "all", INDEX, &index).await;
    let client = client(
        &format!("registries: {{'{host}': {{plainHTTP: true}}}}"),
        LONG,
    );
    for (suffix, digest, kind) in [
        (":1".to_owned(), &manifest, ManifestKind::Manifest),
        (format!("@{manifest}"), &manifest, ManifestKind::Manifest),
        (":all".to_owned(), &index, ManifestKind::Index),
        (format!("@{index}"), &index, ManifestKind::Index),
    ] {
        let found = ask(&client, &format!("{host}/acme/web{suffix}"), None).await;
        assert_eq!(digest_of(&found), *digest, "{suffix}");
        assert_eq!(kind_of(&found), kind, "{suffix}");
    }
    for image in [
        "acme/web:2".to_owned(),
        format!("acme/web@{}", super::OTHER),
        "acme/none:1".to_owned(),
        // Only the other repository has it.
        format!("acme/other@{index}"),
    ] {
        let found = ask(&client, &format!("{host}/{image}"), None).await;
        assert_eq!(found, Lookup::NotFound(Missing::Manifest), "{image}");
    }
}

#[tokio::test]
async fn a_real_registry_with_passwords_and_tls_answers_who_has_one() {
    let directory = tempfile::tempdir().unwrap();
    let open = Registry::start(directory.path(), json!({}));
    let manifest = push(&open.host, "acme/web", "1").await;
    let authority = Authority::new();
    let (certificate, key) = authority.pem_for("127.0.0.1");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let closed = Registry::start(
        directory.path(),
        json!({
            "auth": {"htpasswd": {"realm": "test", "path": file("passwords", PASSWORDS)}},
            "http": {"tls": {
                "certificate": file("tls.crt", &certificate),
                "key": file("tls.key", &key),
            }},
        }),
    );
    let host = &closed.host;
    let entry = json!({"registries": {host: {"caBundle": authority.pem()}}});
    let client = client(&entry.to_string(), LONG);
    let image = format!("{host}/acme/web:1");
    assert_eq!(
        failure(ask(&client, &image, None).await),
        Failure::Unauthorized
    );
    assert_eq!(
        digest_of(&ask(&client, &image, Some(&octo())).await),
        manifest
    );
    let wrong = Credential::new("octo", "dog").unwrap();
    assert_eq!(
        failure(ask(&client, &image, Some(&wrong)).await),
        Failure::Unauthorized
    );
    assert_eq!(
        failure(ask(&client, &image, None).await),
        Failure::Unauthorized
    );
}
