//! The credential that Docker has for a registry.
//!
//! Here: its configuration file and its credential helpers. Not here: sending a credential (`bailiff_oci::registry`).
//! Invariant: a helper is a program of the user's `PATH`, is told the registry alone, and what it writes is bounded in
//! size and time. A credential that cannot be got is no error by itself, because most images need none; if the
//! registry then rejects the request, the cause is named. No password is in a message.

use bailiff_oci::registry::{Credential, InvalidCredential};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Most bytes of the configuration.
const CONFIG_LIMIT: u64 = 1 << 20;
/// Most bytes that a helper writes.
const ANSWER_LIMIT: u64 = 1 << 20;
/// How long a helper can take: some ask the user, others a cloud.
const HELPER_LIMIT: Duration = Duration::from_mins(2);
/// How Docker's configuration names Docker Hub.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// The user name with which a helper says that the secret is an identity token.
const TOKEN: &str = "<token>";
/// What a helper writes if it has no credential, in part.
const NOT_FOUND: [&str; 2] = ["credentials not found", "no credentials server URL"];

/// What the environment of the process says about registries.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Directory of Docker's configuration. None: there is none.
    pub docker_config: Option<PathBuf>,
    /// The value of `PATH`, where credential helpers are looked for.
    pub path: Option<OsString>,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let of = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let home = || Some(PathBuf::from(of("HOME")?).join(".docker"));
        Self {
            docker_config: of("DOCKER_CONFIG").map(PathBuf::from).or_else(home),
            path: of("PATH"),
        }
    }
}

/// What Docker has for a registry.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) credential: Option<Credential>,
    /// Why there is none although the configuration names one: a clause, not escaped.
    pub(super) cause: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    auths: BTreeMap<String, Value>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(rename = "credsStore")]
    store: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username", default)]
    username: String,
    #[serde(rename = "Secret", default)]
    secret: String,
}

/// The credential for a registry, as references name it.
pub(super) async fn find(environment: &Environment, registry: &str) -> Found {
    find_within(environment, registry, HELPER_LIMIT).await
}

async fn find_within(environment: &Environment, registry: &str, limit: Duration) -> Found {
    let Some(directory) = &environment.docker_config else {
        return Found::default();
    };
    let path = directory.join("config.json");
    match of_file(&path, environment, registry, limit).await {
        Ok(credential) => Found {
            credential,
            cause: None,
        },
        Err(cause) => Found {
            credential: None,
            cause: Some(cause),
        },
    }
}

async fn of_file(
    path: &Path,
    environment: &Environment,
    registry: &str,
    limit: Duration,
) -> Result<Option<Credential>, String> {
    let Some(bytes) = read(path)? else {
        return Ok(None);
    };
    let config: Config = serde_json::from_slice(&bytes)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let key = if registry == "docker.io" {
        DOCKER_HUB_KEY
    } else {
        registry
    };
    let mut helpers = config.helpers.iter();
    let helper = helpers.find(|(name, _)| name.as_str() == key || name.as_str() == registry);
    let helper = helper.map_or(&config.store, |(_, helper)| helper);
    let failed = if helper.is_empty() {
        None
    } else {
        match ask(helper, key, environment, limit).await {
            Ok(Some(credential)) => return Ok(Some(credential)),
            Ok(None) => None,
            Err(cause) => Some(cause),
        }
    };
    // Beside a helper, Docker keeps an empty entry for each registry.
    let is_filled = |value: &Value| value.as_object().is_some_and(|entry| !entry.is_empty());
    let auths: BTreeMap<_, _> = config
        .auths
        .into_iter()
        .filter(|(_, value)| is_filled(value))
        .collect();
    let auths = serde_json::json!({ "auths": auths }).to_string();
    match (
        Credential::from_docker_config(auths.as_bytes(), registry),
        failed,
    ) {
        (Ok(credential), _) => Ok(Some(credential)),
        (Err(InvalidCredential::Missing), None) => Ok(None),
        (Err(InvalidCredential::Missing), Some(cause)) => Err(cause),
        (Err(InvalidCredential::Token), _) => Err(format!(
            "{} has an identity token for it, which is not supported",
            path.display()
        )),
        (Err(InvalidCredential::Structure | InvalidCredential::Text), _) => Err(format!(
            "the credential of {} for it is malformed",
            path.display()
        )),
    }
}

/// The bytes of the configuration; none: there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(CONFIG_LIMIT + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if u64::try_from(bytes.len()).is_ok_and(|size| size <= CONFIG_LIMIT) => {
            Ok(Some(bytes))
        }
        Ok(_) => Err(format!(
            "{} has more than the {CONFIG_LIMIT} bytes that are read",
            path.display()
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

/// The credential that a helper has; none: it has none.
async fn ask(
    helper: &str,
    key: &str,
    environment: &Environment,
    limit: Duration,
) -> Result<Option<Credential>, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !helper.chars().all(is_name) {
        return Err(format!("{helper:?} is no name of a credential helper"));
    }
    let program = format!("docker-credential-{helper}");
    let directories = environment.path.iter().flat_map(std::env::split_paths);
    // An empty directory would be the one in which the command was started.
    let mut files = directories
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(&program));
    let Some(file) = files.find(|file| file.is_file()) else {
        return Err(format!("credential helper {program} is not in PATH"));
    };
    match tokio::time::timeout(limit, run(&file, key)).await {
        Ok(Ok((true, text))) => {
            let answer: Answer = serde_json::from_slice(&text)
                .ok()
                .ok_or_else(|| format!("credential helper {program} writes no credential"))?;
            if answer.username == TOKEN {
                return Err(format!(
                    "credential helper {program} has an identity token for it, which is not supported"
                ));
            }
            if answer.username.is_empty() && answer.secret.is_empty() {
                return Ok(None);
            }
            match Credential::new(&answer.username, &answer.secret) {
                Ok(credential) => Ok(Some(credential)),
                Err(_) => Err(format!("the credential of {program} for it is malformed")),
            }
        }
        Ok(Ok((false, text))) => {
            let text = String::from_utf8_lossy(&text);
            let text = text.trim();
            if NOT_FOUND.iter().any(|known| text.contains(known)) {
                return Ok(None);
            }
            // By the protocol, standard output has the error.
            let text: String = text.chars().take(200).collect();
            Err(format!("credential helper {program} failed: {text}"))
        }
        Ok(Err(error)) => Err(format!(
            "credential helper {program} cannot be run: {error}"
        )),
        Err(_) => Err(format!(
            "credential helper {program} did not end within {} s",
            limit.as_secs()
        )),
    }
}

/// Whether a helper succeeded, and what it wrote. If this is dropped, the helper is killed.
async fn run(file: &Path, key: &str) -> std::io::Result<(bool, Vec<u8>)> {
    let mut child = tokio::process::Command::new(file)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    if let Some(mut input) = input {
        // A helper that reads nothing still has an answer.
        drop(input.write_all(format!("{key}\n").as_bytes()).await);
    }
    let mut text = Vec::new();
    if let Some(output) = output {
        let read = output.take(ANSWER_LIMIT + 1).read_to_end(&mut text).await?;
        if u64::try_from(read).map_or(true, |read| read > ANSWER_LIMIT) {
            return Err(std::io::Error::other("it writes too much"));
        }
    }
    Ok((child.wait().await?.success(), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// A configuration, and helpers by their names.
    fn environment(config: &str, helpers: &[(&str, &str)]) -> (TempDir, Environment) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.json"), config).unwrap();
        for (name, script) in helpers {
            let written = directory.path().join(name);
            std::fs::write(&written, format!("#!/bin/sh\n{script}\n")).unwrap();
            // A file that this process has open for writing, in whatever thread, cannot be executed.
            let path = directory.path().join(format!("docker-credential-{name}"));
            let mut install = std::process::Command::new("install");
            let status = install.args(["-m", "755"]).arg(written).arg(path).status();
            assert!(status.unwrap().success());
        }
        let environment = Environment {
            docker_config: Some(directory.path().to_owned()),
            path: Some(directory.path().into()),
        };
        (directory, environment)
    }

    /// Answers about what it is asked, as helpers do.
    const ECHO: &str = r#"[ "$1" = get ] || exit 9
read -r key
printf '{"ServerURL": "%s", "Username": "%s", "Secret": "s3cret"}' "$key" "octo-of-${key##*/}""#;

    fn named(username: &str) -> Credential {
        Credential::new(username, "s3cret").unwrap()
    }

    #[tokio::test]
    async fn a_helper_is_asked_for_its_registry() {
        let config = r#"{"credHelpers": {"ghcr.io": "echo"}, "credsStore": "store",
            "auths": {"r.test:5000": {"username": "file", "password": "s3cret"}, "ghcr.io": {}}}"#;
        let missing = "echo 'credentials not found in native keychain'; exit 1";
        let (_kept, environment) = environment(config, &[("echo", ECHO), ("store", missing)]);
        for (registry, want) in [
            ("ghcr.io", Some(named("octo-of-ghcr.io"))),
            // The store has none, and the file has.
            ("r.test:5000", Some(named("file"))),
            ("other.test", None),
        ] {
            let found = find(&environment, registry).await;
            assert_eq!(found.credential, want, "{registry}");
            assert_eq!(found.cause, None, "{registry}");
        }
    }

    #[tokio::test]
    async fn docker_hub_has_the_name_that_docker_gives_it() {
        let script = r#"read -r key
[ "$key" = https://index.docker.io/v1/ ] || exit 1
echo '{"Username": "hub", "Secret": "s3cret"}'"#;
        for config in [
            r#"{"credsStore": "hub"}"#,
            r#"{"credHelpers": {"docker.io": "hub"}}"#,
            r#"{"credHelpers": {"https://index.docker.io/v1/": "hub"}}"#,
        ] {
            let (_kept, environment) = environment(config, &[("hub", script)]);
            let found = find(&environment, "docker.io").await;
            assert_eq!(found.credential, Some(named("hub")), "{config}");
        }
    }

    #[tokio::test]
    async fn a_credential_that_cannot_be_got_has_a_cause() {
        let store = r#"{"credsStore": "x"}"#;
        for (config, script, want) in [
            (
                store,
                "exit 1",
                "credential helper docker-credential-x failed: ",
            ),
            (
                store,
                "echo no network; exit 1",
                "credential helper docker-credential-x failed: no network",
            ),
            (
                store,
                "echo octo",
                "credential helper docker-credential-x writes no credential",
            ),
            (
                store,
                r#"echo '{"Username": "<token>", "Secret": "t"}'"#,
                "credential helper docker-credential-x has an identity token for it, which is not supported",
            ),
            (
                store,
                r#"echo '{"Username": "a:b", "Secret": "s3cret"}'"#,
                "the credential of docker-credential-x for it is malformed",
            ),
            (
                store,
                "exec cat /dev/zero",
                "credential helper docker-credential-x cannot be run: it writes too much",
            ),
            (
                r#"{"credsStore": "desktop.exe"}"#,
                "",
                "credential helper docker-credential-desktop.exe is not in PATH",
            ),
            (
                r#"{"credsStore": "../x"}"#,
                "",
                "\"../x\" is no name of a credential helper",
            ),
        ] {
            let (_kept, environment) = environment(config, &[("x", script)]);
            let found = find(&environment, "r.test").await;
            assert_eq!(found.credential, None, "{script}");
            assert_eq!(found.cause.as_deref(), Some(want));
        }
    }

    #[tokio::test]
    async fn a_helper_that_does_not_end_is_killed() {
        let script = r#"echo $$ > "${0%/*}/pid"; exec sleep 1000"#;
        let (kept, environment) = environment(r#"{"credsStore": "x"}"#, &[("x", script)]);
        let environment = Environment {
            path: Some(format!("{}:/bin:/usr/bin", kept.path().display()).into()),
            ..environment
        };
        let found = find_within(&environment, "r.test", Duration::from_secs(1)).await;
        let cause = "credential helper docker-credential-x did not end within 1 s";
        assert_eq!(found.cause.as_deref(), Some(cause));
        let pid = std::fs::read_to_string(kept.path().join("pid")).unwrap();
        let status = format!("/proc/{}/cmdline", pid.trim());
        // A process that was killed has no command line from then on.
        while std::fs::read(&status).is_ok_and(|text| !text.is_empty()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_configuration_is_optional_and_bounded() {
        let (kept, environment) = environment("{}", &[]);
        let path = kept.path().join("config.json");
        let cause = async || find(&environment, "r.test").await.cause;
        assert_eq!(cause().await, None);
        std::fs::write(&path, " ".repeat((1 << 20) + 1)).unwrap();
        let want = format!(
            "{} has more than the 1048576 bytes that are read",
            path.display()
        );
        assert_eq!(cause().await, Some(want));
        std::fs::write(&path, "{").unwrap();
        let want = format!(
            "{} cannot be read: EOF while parsing an object at line 1 column 1",
            path.display()
        );
        assert_eq!(cause().await, Some(want));
        std::fs::write(&path, r#"{"auths": {"r.test": {"identitytoken": "t"}}}"#).unwrap();
        let want = format!(
            "{} has an identity token for it, which is not supported",
            path.display()
        );
        assert_eq!(cause().await, Some(want));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(cause().await, None);
        let nowhere = Environment::default();
        assert_eq!(find(&nowhere, "r.test").await.cause, None);
    }
}
