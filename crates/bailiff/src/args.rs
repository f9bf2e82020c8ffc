//! Subcommands and their flags.
//!
//! Here: names, defaults and help. Not here: what they do.
//! Invariant: every flag of a component can be set by an environment variable of the same name,
//! `BAILIFF_…`, and every duration is one, so that the chart sets all of them.

use crate::log::LogArgs;
use anyhow::ensure;
use bailiff_cli::eval::EvalArgs;
use bailiff_cli::incidents::IncidentsArgs;
use bailiff_cli::status::StatusArgs;
use bailiff_cli::version::VersionArgs;
use jiff::SignedDuration;
use std::net::SocketAddr;
use std::time::Duration;

/// Version of the program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commit that it was built from; empty where the build did not say.
pub(crate) const COMMIT: &str = match option_env!("BAILIFF_COMMIT") {
    Some(commit) => commit,
    None => "",
};

/// Kubernetes-native security: notices suspicious processes in containers and has their pods
/// evicted.
#[derive(Debug, clap::Parser)]
#[command(
    name = "bailiff",
    version = VERSION,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Examples:\n  bailiff incidents -A        what happened in this cluster\n  bailiff incidents --help    more about a command"
)]
pub(crate) struct Bailiff {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the program does.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List, watch and show incidents: what ran, and what was done about it
    Incidents(IncidentsArgs),
    /// Try an expression of a policy on objects of yours
    Eval(EvalArgs),
    /// Say whether Bailiff works in this cluster
    Status(StatusArgs),
    /// Print the version
    Version(VersionArgs),
    /// Print a shell's completions
    #[command(
        after_help = "Examples:\n  source <(bailiff completions bash)\n  bailiff completions zsh > ~/.zfunc/_bailiff"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// In a cluster: answer incidents (started by the chart)
    #[command(
        after_help = "Example:\n  bailiff controller --namespace bailiff-system --pod-name $(POD_NAME)"
    )]
    Controller(ControllerArgs),
    /// In a cluster: see the processes of this node (started by the chart)
    #[command(
        after_help = "Example:\n  bailiff sensor --namespace bailiff-system --node-name $(NODE_NAME) --pod-name $(POD_NAME) --pod-uid $(POD_UID)"
    )]
    Sensor(SensorArgs),
}

/// A duration as `500ms`, `15s`, `5m` or `1h 30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Result<SignedDuration, _> = text.parse();
    parsed
        .ok()
        .and_then(|d| Duration::try_from(d).ok())
        .ok_or_else(|| "write a duration such as 500ms, 15s, 5m or 1h".to_owned())
}

fn power_of_two(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(bytes) if bytes.is_power_of_two() && bytes >= 65_536 => Ok(bytes),
        Ok(_) | Err(_) => Err(
            "write a number of bytes that is a power of two and at least 65536, such as 8388608"
                .to_owned(),
        ),
    }
}

/// Flags of `bailiff controller`.
#[derive(Debug, clap::Args)]
pub(crate) struct ControllerArgs {
    /// Namespace that Bailiff runs in
    #[arg(long, value_name = "NAME", env = "BAILIFF_NAMESPACE")]
    namespace: String,
    /// Name of this replica: its pod's name
    #[arg(long, value_name = "NAME", env = "BAILIFF_POD_NAME")]
    pod_name: String,
    /// Namespaces whose pods are never evicted, separated by commas
    #[arg(
        long,
        value_name = "NAMES",
        env = "BAILIFF_EXEMPT_NAMESPACES",
        value_delimiter = ','
    )]
    exempt_namespaces: Vec<String>,
    /// Address of metrics and health
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "BAILIFF_BIND_ADDRESS",
        default_value = "[::]:8080"
    )]
    bind_address: SocketAddr,
    /// How long the Lease holds when its holder is gone
    #[arg(long, value_name = "DURATION", env = "BAILIFF_LEASE_DURATION", default_value = "15s", value_parser = duration)]
    lease_duration: Duration,
    /// How long a leader goes on that can't renew the Lease; less than it holds
    #[arg(long, value_name = "DURATION", env = "BAILIFF_LEASE_RENEW_DEADLINE", default_value = "10s", value_parser = duration)]
    lease_renew_deadline: Duration,
    /// How often the Lease is looked at
    #[arg(long, value_name = "DURATION", env = "BAILIFF_LEASE_RETRY", default_value = "2s", value_parser = duration)]
    lease_retry: Duration,
    /// How long a replacement is waited for
    #[arg(long, value_name = "DURATION", env = "BAILIFF_REPLACEMENT_DEADLINE", default_value = "5m", value_parser = duration)]
    replacement_deadline: Duration,
    /// How often a replacement is looked for
    #[arg(long, value_name = "DURATION", env = "BAILIFF_REPLACEMENT_POLL_INTERVAL", default_value = "1s", value_parser = duration)]
    replacement_poll_interval: Duration,
    /// First pause after a `PodDisruptionBudget` refused; it doubles
    #[arg(long, value_name = "DURATION", env = "BAILIFF_EVICTION_INITIAL_BACKOFF", default_value = "1s", value_parser = duration)]
    eviction_backoff: Duration,
    /// Longest such pause
    #[arg(long, value_name = "DURATION", env = "BAILIFF_EVICTION_MAX_BACKOFF", default_value = "30s", value_parser = duration)]
    eviction_max_backoff: Duration,
    /// How long an answer waits for the protection of incidents to be back
    #[arg(long, value_name = "DURATION", env = "BAILIFF_PROTECTION_TIMEOUT", default_value = "2m", value_parser = duration)]
    protection_timeout: Duration,
    /// Least time between two looks at an incident whose violations go on
    #[arg(long, value_name = "DURATION", env = "BAILIFF_INCIDENT_RECHECK_INTERVAL", default_value = "30s", value_parser = duration)]
    incident_recheck_interval: Duration,
    /// How often statuses of policies and bindings are made anew
    #[arg(long, value_name = "DURATION", env = "BAILIFF_STATUS_RESYNC_INTERVAL", default_value = "30s", value_parser = duration)]
    status_resync_interval: Duration,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

impl ControllerArgs {
    pub(crate) fn config(self) -> anyhow::Result<bailiff_controller::Config> {
        ensure!(
            self.lease_renew_deadline < self.lease_duration,
            "--lease-renew-deadline must be less than --lease-duration, or two replicas could lead at once"
        );
        ensure!(
            self.lease_retry < self.lease_renew_deadline,
            "--lease-retry must be less than --lease-renew-deadline, or a leader gives up before it tries again"
        );
        ensure!(
            !self.replacement_poll_interval.is_zero()
                && !self.status_resync_interval.is_zero()
                && !self.lease_retry.is_zero(),
            "--replacement-poll-interval, --status-resync-interval and --lease-retry must be more than 0s"
        );
        Ok(bailiff_controller::Config {
            namespace: self.namespace,
            identity: self.pod_name,
            exempt_namespaces: self.exempt_namespaces,
            address: self.bind_address,
            lease_duration: self.lease_duration,
            lease_renew: self.lease_renew_deadline,
            lease_retry: self.lease_retry,
            replacement_deadline: self.replacement_deadline,
            replacement_poll_interval: self.replacement_poll_interval,
            eviction_initial_backoff: self.eviction_backoff,
            eviction_max_backoff: self.eviction_max_backoff,
            protection_timeout: self.protection_timeout,
            incident_recheck_interval: self.incident_recheck_interval,
            status_resync_interval: self.status_resync_interval,
        })
    }
}

/// Flags of `bailiff sensor`.
#[derive(Debug, clap::Args)]
pub(crate) struct SensorArgs {
    /// Namespace that Bailiff runs in
    #[arg(long, value_name = "NAME", env = "BAILIFF_NAMESPACE")]
    namespace: String,
    /// Name of the node that this pod runs on
    #[arg(long, value_name = "NAME", env = "BAILIFF_NODE_NAME")]
    node_name: String,
    /// Name of this pod
    #[arg(long, value_name = "NAME", env = "BAILIFF_POD_NAME")]
    pod_name: String,
    /// Address of metrics and health
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "BAILIFF_BIND_ADDRESS",
        default_value = "[::]:8080"
    )]
    bind_address: SocketAddr,
    /// UID of this pod
    #[arg(long, value_name = "UID", env = "BAILIFF_POD_UID")]
    pod_uid: String,
    /// Bytes between kernel and sensor: a power of two
    #[arg(long, value_name = "BYTES", env = "BAILIFF_RING_BUFFER_BYTES", default_value = "8388608", value_parser = power_of_two)]
    ring_buffer_bytes: u32,
    /// How long a process waits for its pod to become known
    #[arg(long, value_name = "DURATION", env = "BAILIFF_POD_LOOKUP_TIMEOUT", default_value = "30s", value_parser = duration)]
    pod_lookup_timeout: Duration,
    /// Minimum interval between the first two updates of an Incident; it doubles, up to 300s
    #[arg(long, value_name = "DURATION", env = "BAILIFF_INCIDENT_UPDATE_INTERVAL", default_value = "1s", value_parser = duration)]
    incident_update_interval: Duration,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

impl SensorArgs {
    pub(crate) fn config(self) -> bailiff_sensor::Config {
        bailiff_sensor::Config {
            namespace: self.namespace,
            node_name: self.node_name,
            ring_buffer_bytes: self.ring_buffer_bytes,
            pod_lookup_timeout: self.pod_lookup_timeout,
            incident_update_interval: self.incident_update_interval,
            address: self.bind_address,
            identity: self.pod_name,
            pod_uid: self.pod_uid,
        }
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
    fn durations_are_written_as_people_do() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_mins(90)));
        for bad in ["", "15", "-1s", "soon"] {
            assert_eq!(
                duration(bad),
                Err("write a duration such as 500ms, 15s, 5m or 1h".to_owned()),
                "{bad}"
            );
        }
    }

    /// What a controller with these flags is told.
    fn controller(flags: &[&str]) -> String {
        let base = ["bailiff", "controller", "--namespace=n", "--pod-name=i"];
        let parsed = <Bailiff as clap::Parser>::try_parse_from(base.iter().chain(flags)).unwrap();
        let Command::Controller(args) = parsed.command else {
            panic!("it is a controller")
        };
        let config = args.config();
        config.err().map_or_else(String::new, |e| e.to_string())
    }

    #[test]
    fn durations_of_the_lease_that_contradict_each_other_are_refused() {
        for (flags, want) in [
            (&[][..], ""),
            (
                &["--lease-duration=10s"],
                "--lease-renew-deadline must be less than --lease-duration, or two replicas could lead at once",
            ),
            (
                &["--lease-retry=10s"],
                "--lease-retry must be less than --lease-renew-deadline, or a leader gives up before it tries again",
            ),
            (
                &["--lease-retry=0s"],
                "--replacement-poll-interval, --status-resync-interval and --lease-retry must be more than 0s",
            ),
        ] {
            assert_eq!(controller(flags), want, "{flags:?}");
        }
    }

    #[test]
    fn a_ring_is_a_power_of_two() {
        assert_eq!(power_of_two("65536"), Ok(65_536));
        for bad in ["4096", "70000", "8Mi"] {
            assert!(power_of_two(bad).is_err(), "{bad}");
        }
    }
}
