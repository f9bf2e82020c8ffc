//! Verdicts about images, grouped by workload.
//!
//! Here: the rows, and their text. Not here: the verdict.
//! Invariant: at most [`ROWS_LIMIT`] rows of bounded size are kept, and what is left out is counted.

use crate::admission::{ImageVerdict, Verdict};
use crate::table;
use crate::verdicts::{cells, image_json, summary};
use bailiff_response::messages::escaped;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Rows that are kept.
pub(super) const ROWS_LIMIT: usize = 5_000;
/// Characters of a reference or name. What is longer is not valid.
const TEXT_LIMIT: usize = 512;

/// What makes pods one row.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    namespace: String,
    workload: String,
    field: &'static str,
    container: String,
    image: String,
    verdict: Verdict,
    messages: Vec<String>,
}

/// The rows of a run.
#[derive(Debug)]
pub(super) struct Rows {
    /// Images that no policy selects are listed.
    uncovered: bool,
    /// Images that are not allowed are listed.
    violating: bool,
    listed: BTreeMap<Key, (ImageVerdict, usize)>,
    /// Images of each verdict, listed or not.
    counts: BTreeMap<Verdict, usize>,
    /// Images that would be listed beyond the limit.
    pub(super) left_out: usize,
}

impl Rows {
    pub(super) fn new(uncovered: bool, violating: bool) -> Self {
        Self {
            uncovered,
            violating: violating && !uncovered,
            listed: BTreeMap::new(),
            counts: BTreeMap::new(),
            left_out: 0,
        }
    }

    fn lists(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Uncovered => self.uncovered,
            Verdict::Audited | Verdict::Warned | Verdict::NotChecked | Verdict::Denied => {
                self.violating
            }
            Verdict::Exempt | Verdict::Allowed => false,
        }
    }

    /// Adds an image of a pod.
    pub(super) fn add(&mut self, namespace: &str, workload: &str, mut image: ImageVerdict) {
        *self.counts.entry(image.verdict).or_default() += 1;
        if !self.lists(image.verdict) {
            return;
        }
        image.image = cut(&image.image);
        let key = Key {
            namespace: namespace.to_owned(),
            workload: workload.to_owned(),
            field: image.user.field(),
            container: image.container.clone(),
            image: image.image.clone(),
            verdict: image.verdict,
            messages: image
                .findings
                .iter()
                .map(|finding| finding.message.clone())
                .collect(),
        };
        if self.listed.len() >= ROWS_LIMIT && !self.listed.contains_key(&key) {
            self.left_out += 1;
            return;
        }
        self.listed.entry(key).or_insert((image, 0)).1 += 1;
    }

    /// The verdict about each image of each pod, as often as there are.
    pub(super) fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        self.counts.keys().copied()
    }

    /// The lines of the table.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for (key, (image, pods)) in &self.listed {
            let subject = [
                escaped(&key.namespace, TEXT_LIMIT),
                escaped(&key.workload, TEXT_LIMIT),
                pods.to_string(),
            ];
            rows.extend(cells(&subject, image));
        }
        let summary = summary(
            self.counts
                .iter()
                .map(|(verdict, count)| (*verdict, *count)),
        );
        let summary = format!("Running pods have {summary}");
        if rows.is_empty() {
            return vec![summary];
        }
        let headers = [
            "NAMESPACE",
            "WORKLOAD",
            "PODS",
            "CONTAINER",
            "IMAGE",
            "PINNED TO",
            "VERDICT",
            "REASON",
        ];
        let mut lines = table::lines(Some(&headers), &rows);
        lines.extend([String::new(), summary]);
        lines
    }

    /// The rows for programs.
    pub(super) fn json(&self, notes: &[String], errors: &[String]) -> Json {
        let rows: Vec<_> = self
            .listed
            .iter()
            .map(|(key, (image, pods))| {
                let mut row = image_json(image);
                row["namespace"] = key.namespace.clone().into();
                row["workload"] = key.workload.clone().into();
                row["pods"] = (*pods).into();
                row
            })
            .collect();
        let counts: BTreeMap<_, _> = self
            .counts
            .iter()
            .map(|(verdict, count)| (verdict.as_str(), count))
            .collect();
        json!({"images": rows, "verdicts": counts, "leftOut": self.left_out, "notes": notes, "errors": errors})
    }
}

/// A text without what is beyond the limit.
fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The workload of a pod as its owner reference names it, such as `deployment/web`. References are not
/// verified: the result only groups pods.
pub(super) fn workload(pod: &Pod) -> String {
    let metadata = &pod.metadata;
    let owners = metadata.owner_references.iter().flatten();
    let mut owners = owners.filter(|owner| owner.controller == Some(true));
    let Some(owner) = owners.next() else {
        return cut(&format!(
            "pod/{}",
            metadata.name.as_deref().unwrap_or_default()
        ));
    };
    let labels = metadata.labels.as_ref();
    let hash = labels.and_then(|labels| labels.get("pod-template-hash"));
    let deployment = hash
        .filter(|_| owner.kind == "ReplicaSet")
        .and_then(|hash| {
            let name = owner.name.strip_suffix(hash.as_str())?;
            name.strip_suffix('-')
        });
    cut(&match deployment {
        Some(name) => format!("deployment/{name}"),
        None => format!("{}/{}", owner.kind.to_lowercase(), owner.name),
    })
}
