//! Prints as YAML what confines sensors, first who writes Incidents, for the namespace given or `bailiff-system`.
#![allow(clippy::print_stdout, reason = "that is what this program is for")]

use bailiff_api::protection::{self, policy_status};

fn main() -> Result<(), serde_yaml_ng::Error> {
    let namespace = std::env::args().nth(1);
    let namespace = namespace.as_deref().unwrap_or("bailiff-system");
    print!(
        "{}---\n{}---\n{}---\n{}",
        serde_yaml_ng::to_string(&protection::policy(namespace))?,
        serde_yaml_ng::to_string(&protection::binding())?,
        serde_yaml_ng::to_string(&policy_status::policy(namespace))?,
        serde_yaml_ng::to_string(&policy_status::binding())?
    );
    Ok(())
}
