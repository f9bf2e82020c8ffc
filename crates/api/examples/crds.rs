//! Prints the `CustomResourceDefinition`s as one YAML stream; `make generate` puts it into the chart.

#![expect(clippy::print_stdout, reason = "a program whose output is the point")]

fn main() -> Result<(), serde_yaml_ng::Error> {
    for crd in bailiff_api::crds() {
        print!("---\n{}", serde_yaml_ng::to_string(&crd)?);
    }
    Ok(())
}
