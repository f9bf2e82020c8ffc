//! What the charts hold and render.
//!
//! Here: rendering a chart. Not here: the tests (a module for each subject), and a cluster (`e2e`).
//! Invariant: only files and programs of this machine are read, and no cluster.

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

mod alerts;
mod events;
mod facts;
mod generated;
mod incident_limits;
mod installation;
mod match_conditions;
mod permissions;
mod values;
mod webhook;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn render(chart: &str, values: &[&str]) -> Output {
    Command::new("helm")
        .args(["template", chart])
        .arg(format!("charts/{chart}"))
        .args(values)
        .current_dir(root())
        .output()
        .unwrap()
}

/// What the chart of Bailiff renders: its documents by kind and name, or what helm says.
fn bailiff(values: &[&str]) -> Result<Objects, String> {
    let output = Command::new("helm")
        .args(["template", "bailiff", "charts/bailiff", "-n", "security"])
        .args(values)
        .current_dir(root())
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut found = BTreeMap::new();
    for document in serde_yaml_ng::Deserializer::from_slice(&output.stdout) {
        let object = <serde_json::Value as serde::Deserialize>::deserialize(document).unwrap();
        if let (Some(kind), Some(name)) =
            (object["kind"].as_str(), object["metadata"]["name"].as_str())
        {
            found.insert(format!("{kind}/{name}"), object.clone());
        }
    }
    Ok(found)
}

/// What it renders by default, once for all tests: helm takes longer than most of them.
static BY_DEFAULT: LazyLock<Objects> = LazyLock::new(|| bailiff(&[]).unwrap());

const CONTAINER: &str = "/spec/template/spec/containers/0";

type Objects = BTreeMap<String, serde_json::Value>;
