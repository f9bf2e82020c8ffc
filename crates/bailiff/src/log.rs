//! Structured logs of the components.
//!
//! Here: format and level. Not here: the log entries.
//! Invariant: logs go to standard error, one line per entry.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Selects what components log, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct LogArgs {
    /// Log format
    #[arg(
        long,
        value_name = "FORMAT",
        env = "BAILIFF_LOG_FORMAT",
        default_value = "json"
    )]
    log_format: Format,
    /// Minimum level of log entries
    #[arg(
        long,
        value_name = "LEVEL",
        env = "BAILIFF_LOG_LEVEL",
        default_value = "info"
    )]
    log_level: Level,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Json,
    Text,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

impl LogArgs {
    /// Installs the subscriber.
    pub(crate) fn start(&self) {
        let level = match self.log_level {
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
        };
        // Libraries log each request at level debug; only their warnings are needed.
        let own = [
            "bailiff",
            "bailiff_controller",
            "bailiff_kube",
            "bailiff_sensor",
        ];
        let targets = Targets::new()
            .with_default(level.min(LevelFilter::WARN))
            .with_targets(own.map(|target| (target, level)));
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let registry = tracing_subscriber::registry().with(targets);
        match self.log_format {
            Format::Json => registry.with(lines.json().flatten_event(true)).init(),
            Format::Text => registry.with(lines.with_ansi(false)).init(),
        }
    }
}
