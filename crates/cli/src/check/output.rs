//! Verdicts about manifests as a table and as JSON.
//!
//! Here: the text. Not here: the verdict.
//! Invariant: text of manifests is escaped before it reaches a terminal.

use super::{LabelSource, Report};
use crate::table;
use crate::verdicts::{cells, image_json, summary};
use bailiff_response::messages::escaped;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Characters of a text.
const TEXT_LIMIT: usize = 1024;

/// The lines of the table.
pub(super) fn lines(report: &Report) -> Vec<String> {
    let mut rows = Vec::new();
    for object in &report.objects {
        let name = object.object.name();
        for image in &object.images {
            let subject = [escaped(&object.namespace, TEXT_LIMIT), name.clone()];
            rows.extend(cells(&subject, image));
        }
    }
    let images = report.objects.iter().flat_map(|object| &object.images);
    let summary = summary(images.map(|image| (image.verdict, 1)));
    if rows.is_empty() {
        return vec![summary];
    }
    let headers = [
        "NAMESPACE",
        "OBJECT",
        "CONTAINER",
        "IMAGE",
        "PINNED TO",
        "VERDICT",
        "REASON",
    ];
    let mut lines = table::lines(Some(&headers), &rows);
    lines.extend([String::new(), summary, labels(report)]);
    lines
}

/// Where the labels of namespaces are from.
fn labels(report: &Report) -> String {
    let mut sources: BTreeMap<&str, LabelSource> = BTreeMap::new();
    for object in &report.objects {
        sources.insert(&object.namespace, object.labels);
    }
    let of = |wanted: LabelSource, from: &str| {
        let names: Vec<_> = sources
            .iter()
            .filter(|(_, source)| **source == wanted)
            .map(|(name, _)| escaped(name, TEXT_LIMIT))
            .collect();
        (!names.is_empty()).then(|| format!("of {} {from}", names.join(", ")))
    };
    let all = [
        of(LabelSource::Cluster, "from the cluster"),
        of(LabelSource::Manifests, "from the manifests"),
        of(LabelSource::Name, "unknown, except for the name"),
    ];
    let all: Vec<_> = all.into_iter().flatten().collect();
    format!("Namespace labels: {}.", all.join("; "))
}

/// The kinds that have no pods.
pub(super) fn skipped(report: &Report) -> Option<String> {
    if report.skipped.is_empty() {
        return None;
    }
    let kinds: Vec<_> = report
        .skipped
        .iter()
        .map(|(kind, count)| format!("{} ({count})", escaped(kind, TEXT_LIMIT)))
        .collect();
    Some(format!(
        "not checked, because these kinds have no pods that Bailiff knows: {}",
        escaped(&kinds.join(", "), TEXT_LIMIT)
    ))
}

/// The verdicts for programs.
pub(super) fn json(report: &Report) -> Json {
    let objects: Vec<_> = report
        .objects
        .iter()
        .map(|checked| {
            let (object, place) = (&checked.object, &checked.object.place);
            let images: Vec<_> = checked.images.iter().map(image_json).collect();
            json!({
                "file": place.file,
                "document": place.document,
                "item": place.item,
                "apiVersion": object.text("/apiVersion"),
                "kind": object.text("/kind"),
                "namespace": checked.namespace,
                "name": object.text("/metadata/name"),
                "namespaceLabels": checked.labels.as_str(),
                "images": images,
            })
        })
        .collect();
    json!({
        "objects": objects,
        "skippedKinds": report.skipped,
        "notes": report.notes,
        "errors": report.errors,
    })
}
