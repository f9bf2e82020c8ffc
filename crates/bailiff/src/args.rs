//! Subcommands and their flags.
//!
//! Here: names, defaults and help texts; those of the webhook are in `webhook`. Not here: what the subcommands do.
//! Invariant: every flag of a component has an environment variable `BAILIFF_…` with the same name, so
//! that the chart can set all of them.

mod webhook;

use crate::log::LogArgs;
use anyhow::ensure;
use bailiff_cli::check::CheckArgs;
use bailiff_cli::eval::EvalArgs;
use bailiff_cli::feed::FeedArgs;
use bailiff_cli::images::ImagesArgs;
use bailiff_cli::incidents::IncidentsArgs;
use bailiff_cli::observe::ObserveArgs;
use bailiff_cli::preview::PreviewArgs;
use bailiff_cli::scan::ScanArgs;
use bailiff_cli::status::StatusArgs;
use bailiff_cli::version::VersionArgs;
use jiff::SignedDuration;
use std::net::SocketAddr;
use std::time::Duration;
pub(crate) use webhook::WebhookArgs;

/// Version of the binary.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commit of the source; empty if the build did not set it.
pub(crate) const COMMIT: &str = match option_env!("BAILIFF_COMMIT") {
    Some(commit) => commit,
    None => "",
};

/// Kubernetes-native security: detects processes that violate a policy and evicts their pods.
#[derive(Debug, clap::Parser)]
#[command(
    name = "bailiff",
    version = VERSION,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Examples:\n  bailiff incidents -A       List all Incidents of the cluster\n  bailiff incidents --help   Show the flags of a command"
)]
pub(crate) struct Bailiff {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List, watch and show Incidents
    Incidents(IncidentsArgs),
    /// Check the images of manifests with image policies
    Check(Box<CheckArgs>),
    /// List images of running pods that policies do not select or would not allow
    Images(Box<ImagesArgs>),
    /// Evaluate a CEL expression
    Eval(EvalArgs),
    /// Build and inspect the index of advisories for `bailiff scan`
    Feed(Box<FeedArgs>),
    /// Show the processes of pods as a sensor sees them, with the verdicts of the policies
    Observe(ObserveArgs),
    /// Show what would happen to the pods of a workload at a violation
    Preview(PreviewArgs),
    /// List known vulnerabilities of an image or of packages, and what to upgrade
    Scan(Box<ScanArgs>),
    /// Check the Bailiff installation
    Status(StatusArgs),
    /// Print the version
    Version(VersionArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  source <(bailiff completion bash)\n  bailiff completion zsh > ~/.zfunc/_bailiff"
    )]
    Completion {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Run the controller (started by the chart)
    #[command(
        after_help = "Example:\n  bailiff controller --namespace bailiff-system --pod-name $(POD_NAME)"
    )]
    Controller(ControllerArgs),
    /// Run the sensor (started by the chart)
    #[command(
        after_help = "Example:\n  bailiff sensor --namespace bailiff-system --node-name $(NODE_NAME) --pod-name $(POD_NAME) --pod-uid $(POD_UID)"
    )]
    Sensor(SensorArgs),
    /// Run the renderer (started by the chart)
    #[command(after_help = "Example:\n  bailiff renderer --namespace bailiff-system")]
    Renderer(RendererArgs),
    /// Run the webhook (started by the chart)
    #[command(after_help = "Example:\n  bailiff webhook --namespace bailiff-system")]
    Webhook(WebhookArgs),
}

/// A duration as `500ms`, `15s`, `5m` or `1h 30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Result<SignedDuration, _> = text.parse();
    parsed
        .ok()
        .and_then(|d| Duration::try_from(d).ok())
        .ok_or_else(|| "must be a duration such as 500ms, 15s, 5m or 1h".to_owned())
}

fn power_of_two(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(bytes) if bytes.is_power_of_two() && bytes >= 65_536 => Ok(bytes),
        Ok(_) | Err(_) => {
            Err("must be a power of two and at least 65536, such as 8388608".to_owned())
        }
    }
}

/// Flags of every component.
#[derive(Debug, clap::Args)]
pub(crate) struct ComponentArgs {
    /// Namespace that Bailiff runs in
    #[arg(long, value_name = "NAME", env = "BAILIFF_NAMESPACE")]
    namespace: String,
    /// Address of metrics and health
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "BAILIFF_BIND_ADDRESS",
        default_value = "[::]:8080"
    )]
    bind_address: SocketAddr,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// Flags of the components that apply image policies.
#[derive(Debug, clap::Args)]
struct ImagePolicyArgs {
    /// Namespaces that no image policy applies to, besides kube-system and Bailiff's own, separated by commas
    #[arg(
        long,
        value_name = "NAMES",
        env = "BAILIFF_EXEMPT_NAMESPACES",
        value_delimiter = ','
    )]
    exempt_namespaces: Vec<String>,
    /// Whether bindings have their own actions, or all of them Audit
    #[arg(
        long,
        value_name = "MODE",
        env = "BAILIFF_IMAGE_POLICIES_MODE",
        default_value = "enforce",
        ignore_case = true
    )]
    image_policies_mode: ImagePoliciesMode,
}

/// Names of a list. One that is set to nothing, as by an empty environment variable, has one empty name.
fn names(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| !name.is_empty());
    names
}

/// Flags of `bailiff controller`.
#[derive(Debug, clap::Args)]
pub(crate) struct ControllerArgs {
    /// Name of this replica: its pod's name
    #[arg(long, value_name = "NAME", env = "BAILIFF_POD_NAME")]
    pod_name: String,
    /// Namespaces whose pods are never evicted, besides kube-system, separated by commas
    #[arg(
        long,
        value_name = "NAMES",
        env = "BAILIFF_EXEMPT_NAMESPACES",
        value_delimiter = ','
    )]
    exempt_namespaces: Vec<String>,
    /// Namespaces in which pods of critical priority classes are never evicted, separated by commas
    #[arg(
        long,
        value_name = "NAMES",
        env = "BAILIFF_CRITICAL_NAMESPACES",
        value_delimiter = ',',
        default_value = "kube-system"
    )]
    critical_namespaces: Vec<String>,
    /// Time after which a standby acquires a Lease that its leader no longer renews
    #[arg(long, value_name = "DURATION", env = "BAILIFF_LEADER_ELECT_LEASE_DURATION", default_value = "15s", value_parser = duration)]
    leader_elect_lease_duration: Duration,
    /// Time that the leader retries to renew the Lease before it steps down; less than the lease
    /// duration
    #[arg(long, value_name = "DURATION", env = "BAILIFF_LEADER_ELECT_RENEW_DEADLINE", default_value = "10s", value_parser = duration)]
    leader_elect_renew_deadline: Duration,
    /// Interval between attempts to acquire or renew the Lease
    #[arg(long, value_name = "DURATION", env = "BAILIFF_LEADER_ELECT_RETRY_PERIOD", default_value = "2s", value_parser = duration)]
    leader_elect_retry_period: Duration,
    /// Time to wait for a Ready replacement of a removed pod
    #[arg(long, value_name = "DURATION", env = "BAILIFF_REPLACEMENT_DEADLINE", default_value = "5m", value_parser = duration)]
    replacement_deadline: Duration,
    /// Initial backoff after a `PodDisruptionBudget` blocked an eviction; it doubles
    #[arg(long, value_name = "DURATION", env = "BAILIFF_EVICTION_INITIAL_BACKOFF", default_value = "1s", value_parser = duration)]
    eviction_initial_backoff: Duration,
    /// Maximum backoff after a `PodDisruptionBudget` blocked an eviction
    #[arg(long, value_name = "DURATION", env = "BAILIFF_EVICTION_MAX_BACKOFF", default_value = "30s", value_parser = duration)]
    eviction_max_backoff: Duration,
    /// Minimum interval between re-evaluations of an Incident whose violations continue
    #[arg(long, value_name = "DURATION", env = "BAILIFF_INCIDENT_RECHECK_INTERVAL", default_value = "30s", value_parser = duration)]
    incident_recheck_interval: Duration,
    /// Interval between updates of the status of policies and bindings, in addition to changes
    #[arg(long, value_name = "DURATION", env = "BAILIFF_STATUS_RESYNC_INTERVAL", default_value = "30s", value_parser = duration)]
    status_resync_interval: Duration,
    /// Upper limit of the grace period, in seconds, that a response leaves a pod
    #[arg(long, value_name = "SECONDS", env = "BAILIFF_RESPONSE_MAX_GRACE_PERIOD_SECONDS", default_value = "300", value_parser = clap::value_parser!(i64).range(1..=86400))]
    response_max_grace_period_seconds: i64,
    /// Age of a violation after which a response that waited for a person is no longer due
    #[arg(long, value_name = "DURATION", env = "BAILIFF_RESPONSE_MAX_AGE", default_value = "1h", value_parser = duration)]
    response_max_age: Duration,
    /// Maximum number of pods per namespace that Bailiff removes within a minute
    #[arg(long, value_name = "NUMBER", env = "BAILIFF_RESPONSE_MAX_EVICTIONS_PER_MINUTE_PER_NAMESPACE", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=6000))]
    response_max_evictions_per_minute_per_namespace: u32,
    /// Maximum number of pods in the cluster that Bailiff removes within a minute
    #[arg(long, value_name = "NUMBER", env = "BAILIFF_RESPONSE_MAX_EVICTIONS_PER_MINUTE", default_value = "60", value_parser = clap::value_parser!(u32).range(1..=6000))]
    response_max_evictions_per_minute: u32,
    /// Respond to bindings with the action Delete, for which the controller needs the permission to
    /// delete pods
    #[arg(
        long,
        value_name = "BOOL",
        env = "BAILIFF_RESPONSE_ALLOW_POD_DELETION",
        default_value = "false",
        action = clap::ArgAction::Set
    )]
    response_allow_pod_deletion: bool,
    /// Keep the certificates of the webhook current, which the chart installs with webhook.enabled
    #[arg(
        long,
        value_name = "BOOL",
        env = "BAILIFF_WEBHOOK",
        default_value = "false",
        action = clap::ArgAction::Set
    )]
    webhook: bool,
    /// Age after which closed Incidents are deleted
    #[arg(long, value_name = "DURATION", env = "BAILIFF_RETENTION_MAX_AGE", default_value = "168h", value_parser = duration)]
    retention_max_age: Duration,
    /// Number of Incidents per namespace above which closed ones are deleted
    #[arg(long, value_name = "NUMBER", env = "BAILIFF_RETENTION_MAX_INCIDENTS_PER_NAMESPACE", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..))]
    retention_max_incidents_per_namespace: u32,
    /// Number of Incidents in the cluster above which closed ones are deleted
    #[arg(long, value_name = "NUMBER", env = "BAILIFF_RETENTION_MAX_INCIDENTS", default_value = "20000", value_parser = clap::value_parser!(u32).range(1..))]
    retention_max_incidents: u32,
    #[command(flatten)]
    pub(crate) component: ComponentArgs,
}

impl ControllerArgs {
    pub(crate) fn config(self) -> anyhow::Result<bailiff_controller::Config> {
        ensure!(
            self.leader_elect_renew_deadline < self.leader_elect_lease_duration,
            "--leader-elect-renew-deadline must be less than --leader-elect-lease-duration, so that two replicas never lead at once"
        );
        ensure!(
            self.leader_elect_retry_period < self.leader_elect_renew_deadline,
            "--leader-elect-retry-period must be less than --leader-elect-renew-deadline, so that the leader can retry before it steps down"
        );
        ensure!(
            !self.status_resync_interval.is_zero() && !self.leader_elect_retry_period.is_zero(),
            "--status-resync-interval and --leader-elect-retry-period must be more than 0s"
        );
        Ok(bailiff_controller::Config {
            namespace: self.component.namespace,
            identity: self.pod_name,
            exempt_namespaces: names(self.exempt_namespaces),
            critical_namespaces: names(self.critical_namespaces),
            address: self.component.bind_address,
            lease_duration: self.leader_elect_lease_duration,
            lease_renew: self.leader_elect_renew_deadline,
            lease_retry: self.leader_elect_retry_period,
            replacement_deadline: self.replacement_deadline,
            eviction_initial_backoff: self.eviction_initial_backoff,
            eviction_max_backoff: self.eviction_max_backoff,
            incident_recheck_interval: self.incident_recheck_interval,
            status_resync_interval: self.status_resync_interval,
            max_grace_period_seconds: self.response_max_grace_period_seconds,
            response_max_age: self.response_max_age,
            max_evictions_per_minute_per_namespace: self
                .response_max_evictions_per_minute_per_namespace,
            max_evictions_per_minute: self.response_max_evictions_per_minute,
            allow_pod_deletion: self.response_allow_pod_deletion,
            webhook: self.webhook,
            retention_max_age: self.retention_max_age,
            retention_max_incidents_per_namespace: self.retention_max_incidents_per_namespace,
            retention_max_incidents: self.retention_max_incidents,
        })
    }
}

/// Flags of `bailiff sensor`.
#[derive(Debug, clap::Args)]
pub(crate) struct SensorArgs {
    /// Name of the node of this pod
    #[arg(long, value_name = "NAME", env = "BAILIFF_NODE_NAME")]
    node_name: String,
    /// Name of this pod
    #[arg(long, value_name = "NAME", env = "BAILIFF_POD_NAME")]
    pod_name: String,
    /// UID of this pod
    #[arg(long, value_name = "UID", env = "BAILIFF_POD_UID")]
    pod_uid: String,
    /// Size of the ring buffer in bytes. Must be a power of two
    #[arg(long, value_name = "BYTES", env = "BAILIFF_RING_BUFFER_BYTES", default_value = "8388608", value_parser = power_of_two)]
    ring_buffer_bytes: u32,
    /// Time to wait for the pod of a process to be found
    #[arg(long, value_name = "DURATION", env = "BAILIFF_POD_LOOKUP_TIMEOUT", default_value = "30s", value_parser = duration)]
    pod_lookup_timeout: Duration,
    /// Minimum interval between the first two updates of an Incident; it doubles, up to 300s
    #[arg(long, value_name = "DURATION", env = "BAILIFF_INCIDENT_UPDATE_INTERVAL", default_value = "1s", value_parser = duration)]
    incident_update_interval: Duration,
    /// Runtime classes that run processes in a sandbox, where they are not monitored, separated by commas
    #[arg(
        long,
        value_name = "NAMES",
        env = "BAILIFF_SANDBOX_RUNTIME_CLASSES",
        value_delimiter = ','
    )]
    sandbox_runtime_classes: Vec<String>,
    #[command(flatten)]
    pub(crate) component: ComponentArgs,
}

impl SensorArgs {
    pub(crate) fn config(self) -> bailiff_sensor::Config {
        bailiff_sensor::Config {
            namespace: self.component.namespace,
            node_name: self.node_name,
            ring_buffer_bytes: self.ring_buffer_bytes,
            pod_lookup_timeout: self.pod_lookup_timeout,
            incident_update_interval: self.incident_update_interval,
            sandbox_runtime_classes: names(self.sandbox_runtime_classes).into_iter().collect(),
            address: self.component.bind_address,
            identity: self.pod_name,
            pod_uid: self.pod_uid,
        }
    }
}

/// Flags of `bailiff renderer`.
#[derive(Debug, clap::Args)]
pub(crate) struct RendererArgs {
    #[command(flatten)]
    policies: ImagePolicyArgs,
    /// Render bindings with the action Deny alone, because the webhook applies the others
    #[arg(long, env = "BAILIFF_WEBHOOK")]
    webhook: bool,
    #[command(flatten)]
    pub(crate) component: ComponentArgs,
}

/// Whether bindings of image policies have their own actions.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum ImagePoliciesMode {
    /// Each binding has its actions
    Enforce,
    /// Each binding has the action Audit
    Audit,
}

impl From<ImagePoliciesMode> for bailiff_renderer::Mode {
    fn from(mode: ImagePoliciesMode) -> Self {
        match mode {
            ImagePoliciesMode::Enforce => Self::Enforce,
            ImagePoliciesMode::Audit => Self::Audit,
        }
    }
}

impl RendererArgs {
    pub(crate) fn config(self) -> bailiff_renderer::Config {
        bailiff_renderer::Config::new(
            self.component.bind_address,
            &self.component.namespace,
            &names(self.policies.exempt_namespaces),
            self.webhook,
            self.policies.image_policies_mode.into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Bailiff as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_duration_has_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_mins(90)));
        for bad in ["", "15", "-1s", "soon"] {
            assert_eq!(
                duration(bad),
                Err("must be a duration such as 500ms, 15s, 5m or 1h".to_owned()),
                "{bad}"
            );
        }
    }

    /// The configuration of a controller with these flags.
    fn configured(flags: &[&str]) -> anyhow::Result<bailiff_controller::Config> {
        let base = ["bailiff", "controller", "--namespace=n", "--pod-name=i"];
        let parsed = <Bailiff as clap::Parser>::try_parse_from(base.iter().chain(flags)).unwrap();
        let Command::Controller(args) = parsed.command else {
            panic!("it is a controller")
        };
        args.config()
    }

    /// The error of a controller with these flags; empty if there is none.
    fn controller(flags: &[&str]) -> String {
        let config = configured(flags);
        config.err().map_or_else(String::new, |e| e.to_string())
    }

    #[test]
    fn durations_of_the_lease_that_contradict_each_other_are_rejected() {
        for (flags, want) in [
            (&[][..], ""),
            (
                &["--leader-elect-lease-duration=10s"],
                "--leader-elect-renew-deadline must be less than --leader-elect-lease-duration, so that two replicas never lead at once",
            ),
            (
                &["--leader-elect-retry-period=10s"],
                "--leader-elect-retry-period must be less than --leader-elect-renew-deadline, so that the leader can retry before it steps down",
            ),
            (
                &["--leader-elect-retry-period=0s"],
                "--status-resync-interval and --leader-elect-retry-period must be more than 0s",
            ),
        ] {
            assert_eq!(controller(flags), want, "{flags:?}");
        }
    }

    #[test]
    fn the_limits_of_responses_are_those_of_the_flags() {
        let defaults = configured(&[]).unwrap();
        assert_eq!(defaults.exempt_namespaces, Vec::<String>::new());
        assert_eq!(defaults.critical_namespaces, ["kube-system"]);
        assert_eq!(defaults.max_grace_period_seconds, 300);
        assert_eq!(defaults.response_max_age, Duration::from_hours(1));
        assert_eq!(defaults.max_evictions_per_minute_per_namespace, 10);
        assert_eq!(defaults.max_evictions_per_minute, 60);
        assert!(!defaults.allow_pod_deletion);
        assert!(!defaults.webhook);
        assert_eq!(defaults.retention_max_age, Duration::from_hours(168));
        assert_eq!(defaults.retention_max_incidents_per_namespace, 1_000);
        assert_eq!(defaults.retention_max_incidents, 20_000);
        let changed = configured(&[
            // As the chart sets an empty list.
            "--critical-namespaces=",
            "--exempt-namespaces=a,b",
            "--response-max-grace-period-seconds=30",
            "--response-max-age=5m",
            "--response-max-evictions-per-minute-per-namespace=1",
            "--response-max-evictions-per-minute=2",
            "--response-allow-pod-deletion=true",
            "--webhook=true",
            "--retention-max-age=24h",
            "--retention-max-incidents-per-namespace=3",
            "--retention-max-incidents=4",
        ])
        .unwrap();
        assert_eq!(changed.critical_namespaces, Vec::<String>::new());
        assert_eq!(changed.exempt_namespaces, ["a", "b"]);
        assert_eq!(changed.max_grace_period_seconds, 30);
        assert_eq!(changed.response_max_age, Duration::from_mins(5));
        assert_eq!(changed.max_evictions_per_minute_per_namespace, 1);
        assert_eq!(changed.max_evictions_per_minute, 2);
        assert!(changed.allow_pod_deletion);
        assert!(changed.webhook);
        assert_eq!(changed.retention_max_age, Duration::from_hours(24));
        assert_eq!(changed.retention_max_incidents_per_namespace, 3);
        assert_eq!(changed.retention_max_incidents, 4);
    }

    #[test]
    fn the_size_of_the_ring_buffer_is_a_power_of_two() {
        assert_eq!(power_of_two("65536"), Ok(65_536));
        for bad in ["4096", "70000", "8Mi"] {
            assert!(power_of_two(bad).is_err(), "{bad}");
        }
    }
}
