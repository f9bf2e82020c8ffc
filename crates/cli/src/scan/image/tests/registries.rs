//! Images of a real registry, the reference implementation, and of hostile ones.
//!
//! `hack/tools.sh` builds the program `registry`, which has to be in `PATH`.

use super::made::{CONFIG, INDEX, LAYER, MANIFEST, descriptor};
use super::*;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// The user octo with the password cat.
const PASSWORDS: &str = "octo:$2a$04$Lnl.Hdqt855YYxbD5O/i9OXgPd.7TE26bMmin1Iq8MzCCtPqd8nqi\n";
/// The same in base64.
const PAIR: &str = "b2N0bzpjYXQ=";

/// A registry that runs.
struct Real {
    process: Child,
    host: String,
}

impl Real {
    fn start(directory: &Path, is_closed: bool) -> Self {
        let mut config = json!({
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": directory.join("content")}},
            "http": {"addr": "127.0.0.1:0", "secret": "test"},
        });
        if is_closed {
            let path = directory.join("passwords");
            std::fs::write(&path, PASSWORDS).unwrap();
            config["auth"] = json!({"htpasswd": {"realm": "test", "path": path}});
        }
        // YAML, which JSON is a part of.
        let file = directory.join(format!("{is_closed}.yml"));
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

    /// Sends a request; the value of the header `Location`.
    fn send(&self, method: &str, path: &str, media_type: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 20"),
            "{method} {path}: {answer}"
        );
        let mut headers = answer.lines().filter_map(|line| line.split_once(": "));
        let location = headers.find(|(name, _)| name.eq_ignore_ascii_case("location"));
        let location = location.map_or("", |(_, location)| location);
        location
            .trim_start_matches(&format!("http://{}", self.host))
            .to_owned()
    }

    fn push_blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let named = descriptor(media_type, bytes);
        let upload = self.send("POST", "/v2/acme/web/blobs/uploads/", "", b"");
        let path = format!("{upload}&digest={}", named["digest"].as_str().unwrap());
        self.send("PUT", &path, "application/octet-stream", bytes);
        named
    }

    fn push(&self, tag: &str, media_type: &str, manifest: &Value) -> Value {
        let bytes = manifest.to_string().into_bytes();
        self.send(
            "PUT",
            &format!("/v2/acme/web/manifests/{tag}"),
            media_type,
            &bytes,
        );
        descriptor(media_type, &bytes)
    }

    /// Pushes an image; its entry of an index.
    fn push_image(&self, tag: &str, of: &str, layers: &[&[u8]]) -> Value {
        let layers: Vec<_> = layers
            .iter()
            .map(|bytes| self.push_blob(LAYER, bytes))
            .collect();
        let diff_ids: Vec<_> = layers.iter().map(|layer| &layer["digest"]).collect();
        let mut config = platform(of);
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let config = self.push_blob(CONFIG, config.to_string().as_bytes());
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        let mut entry = self.push(tag, MANIFEST, &manifest);
        entry["platform"] = platform(of);
        entry
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn gather_as(text: &str, environment: &Environment) -> Result<Gathered, String> {
    let args = ImageArgs {
        image: Some(text.to_owned()),
        ..ImageArgs::default()
    };
    gather(&args, environment, &mut Vec::new()).map_err(|error| error.to_string())
}

/// The environment of a user who has this configuration of Docker.
fn environment(directory: &Path, config: &Value) -> Environment {
    std::fs::write(directory.join("config.json"), config.to_string()).unwrap();
    Environment {
        docker_config: Some(directory.to_owned()),
        path: None,
    }
}

#[test]
fn the_image_of_a_real_registry_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let registry = Real::start(directory.path(), false);
    let host = &registry.host;
    let machine = machine().to_string();
    let large = "x".repeat(5_000_000);
    let layers: &[&[u8]] = &[b"one", large.as_bytes(), b"one"];
    let own = registry.push_image("own", &machine, layers);
    let other = registry.push_image("other", "linux/mips64le", &[b"two"]);
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [other, own]});
    let index = registry.push("all", INDEX, &index);
    let digest = index["digest"].as_str().unwrap();
    for (suffix, others) in [
        (":all".to_owned(), 1),
        (format!("@{digest}"), 1),
        (":own".to_owned(), 0),
    ] {
        let text = format!("{host}/acme/web{suffix}");
        let gathered = gather_as(&text, &Environment::default()).unwrap();
        assert_eq!(found(&gathered), one(&machine, &["one", &large, "one"]));
        let image = &gathered.images[0];
        assert_eq!(image.reference, text);
        assert_eq!(image.digest.as_str(), own["digest"]);
        assert_eq!(gathered.other_platforms.len(), others);
        assert!(image.faults.is_empty(), "{:?}", image.faults);
        for layer in &image.layers {
            let LayerContent::File(file) = &layer.content else {
                panic!("{layer:?}");
            };
            assert!(file.is_verified);
        }
    }
    let text = format!("{host}/acme/web:none");
    assert_eq!(
        gather_as(&text, &Environment::default()).unwrap_err(),
        format!(
            "cannot scan {text}: registry {host} has no tag none in repository acme/web; check the tag, or log in if it is private"
        )
    );
}

#[test]
fn a_real_registry_gets_the_credential_of_docker() {
    let directory = tempfile::tempdir().unwrap();
    let open = Real::start(directory.path(), false);
    let machine = machine().to_string();
    open.push_image("1", &machine, &[b"one"]);
    let closed = Real::start(directory.path(), true);
    let host = &closed.host;
    let text = format!("{host}/acme/web:1");
    let with = |config: &Value| gather_as(&text, &environment(directory.path(), config));
    let logged_in = with(&json!({"auths": {host: {"auth": PAIR}}})).unwrap();
    assert_eq!(found(&logged_in), one(&machine, &["one"]));
    let wrong = json!({"auths": {host: {"username": "octo", "password": "dog"}}});
    for (config, want) in [
        (
            json!({}),
            format!(
                "log in with `docker login {host}`, or check the name: many registries answer this for a repository that does not exist"
            ),
        ),
        (
            wrong,
            format!(
                "log in with `docker login {host}` as a user who can pull acme/web, or check the name"
            ),
        ),
    ] {
        assert_eq!(
            with(&config).unwrap_err(),
            format!("cannot scan {text}: registry {host} requires other credentials (401); {want}")
        );
    }
    let helper = json!({"credsStore": "desktop.exe"});
    assert_eq!(
        with(&helper).unwrap_err(),
        format!(
            "cannot scan {text}: registry {host} requires other credentials (401), and credential helper docker-credential-desktop.exe is not in PATH; fix that, or log in with `docker login {host}`"
        )
    );
    // Who needs no credential needs no helper.
    let anonymous = environment(directory.path(), &helper);
    let gathered = gather_as(&format!("{}/acme/web:1", open.host), &anonymous).unwrap();
    assert_eq!(found(&gathered), one(&machine, &["one"]));
}

/// A server that answers each path as a script says, one connection after the other.
struct Scripted {
    host: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    fn start(script: impl Fn(&str, usize) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut line = String::new();
                let mut path = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    if path.is_empty() {
                        line.split(' ').nth(1).unwrap().clone_into(&mut path);
                    }
                    line.clear();
                }
                if path.is_empty() {
                    continue;
                }
                let before = {
                    let mut kept = kept.lock().unwrap();
                    kept.push(path.clone());
                    kept.iter().filter(|known| **known == path).count()
                };
                // A client that has enough closes the connection.
                drop(reader.get_mut().write_all(script(&path, before).as_bytes()));
            }
        });
        Self { host, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn gather(&self) -> Result<Gathered, String> {
        gather_as(
            &format!("{}/acme/web:1", self.host),
            &Environment::default(),
        )
    }
}

fn response(status: &str, media_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A manifest of these layers, and its configuration.
fn manifest(layers: &[Value]) -> (String, String) {
    let diff_ids: Vec<_> = layers.iter().map(|layer| &layer["digest"]).collect();
    let mut config = platform("linux/amd64");
    config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
    let config = config.to_string();
    let named = descriptor(CONFIG, config.as_bytes());
    let manifest = json!({"schemaVersion": 2, "config": named, "layers": layers});
    (manifest.to_string(), config)
}

#[test]
fn a_layer_that_a_registry_falsifies_hides_no_other() {
    let layers =
        ["one", "two", "three", "four", "five"].map(|text| descriptor(LAYER, text.as_bytes()));
    let mut foreign = layers[3].clone();
    foreign["urls"] = json!(["http://169.254.169.254/"]);
    let listed = [
        layers[0].clone(),
        layers[1].clone(),
        layers[2].clone(),
        foreign,
        layers[4].clone(),
    ];
    let (document, config) = manifest(&listed);
    let digest = |layer: &Value| layer["digest"].as_str().unwrap().to_owned();
    let digests = listed.each_ref().map(digest);
    let blobs = digests.clone();
    let server = Scripted::start(move |path, before| {
        let octets = "application/octet-stream";
        if path.ends_with("/manifests/1") {
            return response("200 X", MANIFEST, &document);
        }
        match blobs
            .iter()
            .position(|digest| path.ends_with(digest.as_str()))
        {
            None => response("200 X", octets, &config),
            Some(0) => response("200 X", octets, "one"),
            Some(1) => response("200 X", octets, "TWO"),
            Some(2) => response("200 X", octets, "threeandmore"),
            Some(3) => response("404 X", octets, ""),
            // The second time it is whole.
            Some(_) if before == 1 => "HTTP/1.1 200 X\r\nContent-Length: 4\r\n\r\nfi".to_owned(),
            Some(_) => response("200 X", octets, "five"),
        }
    });
    let host = &server.host;
    let gathered = server.gather().unwrap();
    let advice = "do not use the registry or its mirror, until you know why";
    assert_eq!(
        contents(&gathered.images[0]),
        [
            Ok("one".to_owned()),
            Err(format!(
                "cannot pull it: registry {host} sends content that has another digest; {advice}"
            )),
            Err(format!(
                "cannot pull it: registry {host} sends another number of bytes than the 5 of the manifest; {advice}"
            )),
            Err(
                "its content is only at URLs that the manifest names, which Bailiff does not ask"
                    .to_owned()
            ),
            Ok("five".to_owned()),
        ]
    );
    let asked = server.asked();
    let times = digests.each_ref().map(|digest| {
        asked
            .iter()
            .filter(|path| path.ends_with(digest.as_str()))
            .count()
    });
    assert_eq!(times, [1, 1, 1, 1, 2]);
}

#[test]
fn layers_that_do_not_come_in_the_time_of_the_image_hide_no_other() {
    let layers = ["one", "two"].map(|text| descriptor(LAYER, text.as_bytes()));
    let (document, config) = manifest(&layers);
    let digests = layers
        .each_ref()
        .map(|layer| layer["digest"].as_str().unwrap().to_owned());
    let server = Scripted::start(move |path, _| {
        let octets = "application/octet-stream";
        if path.ends_with("/manifests/1") {
            return response("200 X", MANIFEST, &document);
        }
        if path.ends_with(&*digests[1]) {
            // It breaks off each time.
            return "HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\nt".to_owned();
        }
        let is_layer = path.ends_with(&*digests[0]);
        response("200 X", octets, if is_layer { "one" } else { &config })
    });
    let host = &server.host;
    let args = ImageArgs {
        image: Some(format!("{host}/acme/web:1")),
        pull_timeout: Some(Duration::from_millis(1500)),
        ..ImageArgs::default()
    };
    let gathered = gather(&args, &Environment::default(), &mut Vec::new()).unwrap();
    assert_eq!(
        contents(&gathered.images[0]),
        [
            Ok("one".to_owned()),
            Err(format!(
                "cannot pull it: the layers of the image have 1 s together (--pull-timeout), in which registry {host} sent 0 of 0 MB; set --pull-timeout to a longer time, or check the network"
            )),
        ]
    );
}

#[test]
fn a_registry_that_fails_has_a_remedy() {
    for (status, want) in [
        (
            "401 X",
            "requires other credentials (401); log in with `docker login HOST`, or check the name: many registries answer this for a repository that does not exist",
        ),
        (
            "403 X",
            "denies access (403); log in with `docker login HOST`, or check the name: many registries answer this for a repository that does not exist",
        ),
        (
            "429 X\r\nRetry-After: 30",
            "limits requests (429); retry after 30 s, or log in with `docker login HOST`",
        ),
        ("503 X", "has an error (503); retry later"),
        (
            "302 X\r\nLocation: https://other.test/",
            "redirects to another host; name that host in redirectHosts of the registry, in a file for --registries",
        ),
        (
            "404 X",
            "gives an unexpected answer: \"404 without an error code\"; check that the host is a registry, and that it has no TLS",
        ),
    ] {
        let server = Scripted::start(move |_, _| response(status, "text/plain", ""));
        let host = &server.host;
        let want = want.replace("HOST", host);
        assert_eq!(
            server.gather().unwrap_err(),
            format!("cannot scan {host}/acme/web:1: registry {host} {want}")
        );
        assert_eq!(server.asked(), ["/v2/acme/web/manifests/1"]);
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = free.local_addr().unwrap().to_string();
    drop(free);
    let text = format!("{host}/acme/web:1");
    assert_eq!(
        gather_as(&text, &Environment::default()).unwrap_err(),
        format!(
            "cannot scan {text}: registry {host} cannot be reached; check the host, the port and the network"
        )
    );
}

#[test]
fn a_manifest_of_a_registry_that_cannot_be_read_is_an_error() {
    for (media_type, body, want) in [
        (
            MANIFEST,
            "<html>",
            "cannot read its manifest: it is not a JSON object",
        ),
        (INDEX, r#"{"manifests": []}"#, "its index has no images"),
        (
            INDEX,
            r#"{"layers": [{}]}"#,
            "cannot read its manifest: it is an index for some readers and a manifest for others",
        ),
    ] {
        let server = Scripted::start(move |_, _| response("200 X", media_type, body));
        let text = format!("{}/acme/web:1", server.host);
        assert_eq!(
            server.gather().unwrap_err(),
            format!("cannot scan {text}: {want}")
        );
    }
}

#[test]
fn an_image_that_only_the_index_of_a_registry_has_is_a_fault() {
    let (document, config) = manifest(&[descriptor(LAYER, b"one")]);
    let mut own = descriptor(MANIFEST, document.as_bytes());
    own["platform"] = platform(&machine().to_string());
    let (mut lost, digest) = (descriptor(MANIFEST, b"lost"), own["digest"].clone());
    lost["platform"] = own["platform"].clone();
    let index = json!({"manifests": [lost, own]}).to_string();
    let server = Scripted::start(move |path, _| {
        if path.ends_with("/manifests/1") {
            return response("200 X", INDEX, &index);
        }
        if path.ends_with(digest.as_str().unwrap()) {
            return response("200 X", MANIFEST, &document);
        }
        if path.contains("/manifests/") {
            let body = r#"{"errors": [{"code": "MANIFEST_UNKNOWN"}]}"#;
            return response("404 X", "application/json", body);
        }
        let octets = "application/octet-stream";
        let is_layer = path.ends_with(descriptor("", b"one")["digest"].as_str().unwrap());
        response("200 X", octets, if is_layer { "one" } else { &config })
    });
    let gathered = server.gather().unwrap();
    assert_eq!(found(&gathered), one(&machine().to_string(), &["one"]));
    let lost = descriptor(MANIFEST, b"lost");
    assert_eq!(
        gathered.faults,
        [format!(
            "cannot pull manifest {}: registry {} does not have it; push the image again",
            lost["digest"].as_str().unwrap(),
            server.host
        )]
    );
}

#[test]
fn only_a_registry_of_this_machine_is_asked_without_tls() {
    use super::super::registry::is_loopback;
    for (registry, is_it) in [
        ("localhost", true),
        ("localhost:5000", true),
        ("127.0.0.1:5000", true),
        ("127.9.9.9", true),
        ("[::1]:5000", true),
        ("[::1]", true),
        ("10.0.0.1:5000", false),
        ("localhost.test", false),
        ("a.localhost", false),
        ("docker.io", false),
        ("[fd12::1]:5000", false),
        ("registry:5000", false),
    ] {
        assert_eq!(is_loopback(registry), is_it, "{registry}");
    }
}

#[test]
fn progress_has_the_layer_and_the_bytes() {
    use super::super::registry::Progress;
    let progress = Progress::of(5, 120_400_000);
    assert_eq!(progress.line(), "pulling layer 1 of 5, 0 of 120 MB");
    progress.add(34_999_999);
    progress.end();
    assert_eq!(progress.line(), "pulling layer 2 of 5, 34 of 120 MB");
    (0..4).for_each(|_| progress.end());
    assert_eq!(progress.line(), "pulling layer 5 of 5, 34 of 120 MB");
}
