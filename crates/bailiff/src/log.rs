//! Structured logs of the components.
//!
//! Here: format and level. Not here: what is logged.
//! Invariant: logs go to standard error, a line for each event.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How components log.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct LogArgs {
    /// Format of a line
    #[arg(
        long,
        value_name = "FORMAT",
        env = "BAILIFF_LOG_FORMAT",
        default_value = "json"
    )]
    log_format: Format,
    /// Least level that is logged
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
    /// Starts logging.
    pub(crate) fn start(&self) {
        let level = match self.log_level {
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
        };
        // Libraries log each request at debug; what they warn of is wanted.
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
