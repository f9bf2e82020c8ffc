//! Prints Incident protection as YAML for a namespace, by default `bailiff-system`; `make generate`
//! puts it into the chart.
#![allow(clippy::print_stdout, reason = "a program whose output is the point")]

use bailiff_api::protection;

fn main() -> Result<(), serde_yaml_ng::Error> {
    let namespace = std::env::args().nth(1);
    let namespace = namespace.as_deref().unwrap_or("bailiff-system");
    print!(
        "{}---\n{}",
        serde_yaml_ng::to_string(&protection::policy(namespace))?,
        serde_yaml_ng::to_string(&protection::binding())?,
    );
    Ok(())
}
