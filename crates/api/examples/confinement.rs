//! Prints the confinement of Incidents as YAML, for the namespace given or `bailiff-system`.
#![allow(clippy::print_stdout, reason = "that is what this program is for")]

fn main() -> Result<(), serde_yaml_ng::Error> {
    let namespace = std::env::args().nth(1);
    let namespace = namespace.as_deref().unwrap_or("bailiff-system");
    print!(
        "{}---\n{}",
        serde_yaml_ng::to_string(&bailiff_api::confinement::policy(namespace))?,
        serde_yaml_ng::to_string(&bailiff_api::confinement::binding())?
    );
    Ok(())
}
