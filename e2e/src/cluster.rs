//! kubectl and bailiff against the one cluster of the tests.
//!
//! Here: running them and reading what they print. Not here: what is asked for (`story`).
//! Invariant: every wait is kubectl's own watch, with a deadline; nothing polls or sleeps.

use serde_json::Value;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// How long a wait lasts before the story fails. A busy machine may take minutes for seconds of work.
const DEADLINE: &str = "--timeout=300s";

/// The cluster that the tests run on.
#[derive(Clone, Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
}

/// What a program printed, and whether it succeeded.
#[derive(Clone, Debug)]
pub struct Output {
    /// Whether it exited with 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Cluster {
    /// The cluster that the environment names.
    #[must_use]
    pub fn connect() -> Self {
        let Some(kubeconfig) = std::env::var_os("BAILIFF_E2E_KUBECONFIG") else {
            panic!(
                "BAILIFF_E2E_KUBECONFIG is not set: run these tests by `make e2e`, or by `hack/e2e.sh --test NAME`"
            );
        };
        Self {
            kubeconfig: kubeconfig.into(),
        }
    }

    /// A command that works on this cluster and sees no other configuration.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null());
        command
    }

    /// Runs kubectl; what it printed, whether it succeeded or not.
    #[must_use]
    pub fn try_kubectl(&self, arguments: &[&str]) -> Output {
        run(self.command("kubectl").args(arguments), None)
    }

    /// Runs kubectl, which must succeed; its standard output.
    #[must_use]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.try_kubectl(arguments);
        assert!(
            output.success,
            "kubectl {}\n{}{}",
            arguments.join(" "),
            output.stdout,
            output.stderr
        );
        output.stdout
    }

    /// The command `bailiff`, as it was built for these tests.
    #[must_use]
    pub fn program() -> PathBuf {
        let Some(program) = std::env::var_os("BAILIFF_E2E_PROGRAM") else {
            panic!("BAILIFF_E2E_PROGRAM is not set: run this with hack/e2e.sh");
        };
        program.into()
    }

    /// Runs `bailiff` as a person would; what it printed, whether it succeeded or not.
    #[must_use]
    pub fn bailiff(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(&Self::program().to_string_lossy());
        run(command.args(arguments), None)
    }

    /// Creates an object as the bearer of a token.
    #[must_use]
    pub fn try_create_as(&self, token: &str, object: &str) -> Output {
        self.try_pipe_as(token, &["create", "-f", "-"], object)
    }

    /// Runs kubectl as the bearer of a token and as nobody else, with this standard input.
    #[must_use]
    pub fn try_pipe_as(&self, token: &str, arguments: &[&str], input: &str) -> Output {
        self.run_as(token, arguments, Some(input))
    }

    /// kubectl without the administrator's certificate, which would count before a token.
    fn run_as(&self, token: &str, arguments: &[&str], input: Option<&str>) -> Output {
        let read = std::fs::read(&self.kubeconfig).unwrap();
        let mut config: Value = serde_json::from_slice(&read).unwrap();
        config["users"][0]["user"] = serde_json::json!({ "token": token });
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(config.to_string().as_bytes()).unwrap();
        run(
            Command::new("kubectl")
                .env("KUBECONFIG", file.path())
                .stdin(Stdio::null())
                .args(arguments),
            input,
        )
    }

    /// Runs kubectl with this standard input.
    #[must_use]
    pub fn try_kubectl_with(&self, arguments: &[&str], input: &str) -> Output {
        run(self.command("kubectl").args(arguments), Some(input))
    }

    /// Applies manifests; what kubectl printed, whether it succeeded or not.
    #[must_use]
    pub fn try_apply(&self, yaml: &str) -> Output {
        run(
            self.command("kubectl").args(["apply", "-f", "-"]),
            Some(yaml),
        )
    }

    /// Creates an object that is too large for the annotation that `kubectl apply` adds.
    pub fn create(&self, yaml: &str) {
        let mut kubectl = self.command("kubectl");
        let output = run(kubectl.args(["create", "-f", "-"]), Some(yaml));
        assert!(output.success, "kubectl create: {}", output.stderr);
    }

    /// Applies manifests, which must succeed.
    pub fn apply(&self, yaml: &str) {
        let output = self.try_apply(yaml);
        assert!(
            output.success,
            "kubectl apply\n{yaml}\n{}{}",
            output.stdout, output.stderr
        );
    }

    /// Reads one object as JSON.
    #[must_use]
    pub fn get(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["get", "-o", "json"];
        all.extend_from_slice(arguments);
        serde_json::from_str(&self.kubectl(&all)).unwrap()
    }

    /// Waits by watch, as `kubectl wait` does: `for_` is its `--for`, the rest names the object.
    pub fn wait(&self, for_: &str, arguments: &[&str]) {
        let for_ = format!("--for={for_}");
        let mut all = vec!["wait", for_.as_str(), DEADLINE];
        all.extend_from_slice(arguments);
        let output = self.try_kubectl(&all);
        if !output.success {
            self.report(arguments);
            panic!(
                "kubectl {}\n{}{}",
                all.join(" "),
                output.stdout,
                output.stderr
            );
        }
    }

    /// Prints what a person would look at when something did not happen.
    pub fn report(&self, arguments: &[&str]) {
        let namespace = arguments
            .iter()
            .position(|a| *a == "-n")
            .and_then(|at| arguments.get(at + 1));
        if let Some(namespace) = namespace {
            for what in ["pods,incidents", "events.events.k8s.io"] {
                let output = self.try_kubectl(&["get", what, "-n", namespace, "-o", "wide"]);
                eprintln!(
                    "--- {what} in {namespace}\n{}{}",
                    output.stdout, output.stderr
                );
            }
            let output = self.try_kubectl(&["get", "incidents", "-n", namespace, "-o", "yaml"]);
            eprintln!("--- incidents\n{}", output.stdout);
        }
        let output = self.try_kubectl(&["get", "pods", "-n", crate::NAMESPACE, "-o", "wide"]);
        eprintln!("--- Bailiff's pods\n{}{}", output.stdout, output.stderr);
        for component in ["controller", "sensor", "renderer", "webhook"] {
            let selector = format!("app.kubernetes.io/component={component}");
            let output = self.try_kubectl(&[
                "logs",
                "-n",
                crate::NAMESPACE,
                "-l",
                &selector,
                "--prefix",
                "--tail=40",
                "--all-containers",
            ]);
            eprintln!(
                "--- logs of the {component}\n{}{}",
                output.stdout, output.stderr
            );
        }
    }
}

/// Runs a command to its end, with `input` on its standard input.
pub(crate) fn run(command: &mut Command, input: Option<&str>) -> Output {
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "cannot run {}: {error}; `make tools` builds it",
                command.get_program().display()
            )
        });
    if let Some(input) = input {
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
    }
    let output = child.wait_with_output().unwrap();
    Output {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
