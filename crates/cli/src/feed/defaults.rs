//! The public sources of all ecosystems.
//!
//! Here: their URLs. Not here: reading them.
//! Invariant: each ecosystem that Bailiff knows has a source.

use super::place::{Place, SourceArg};
use bailiff_scan::index::SourceKind;
use http::Uri;

/// The ecosystems of which OSV publishes an archive each.
const OSV: &[&str] = &[
    "Alpine",
    "Debian",
    "Go",
    "Maven",
    "PyPI",
    "Ubuntu",
    "crates.io",
    "npm",
];

/// The releases of Alpine in its security database. Those that have ended stay there.
const ALPINE: &[&str] = &[
    "v3.10", "v3.11", "v3.12", "v3.13", "v3.14", "v3.15", "v3.16", "v3.17", "v3.18", "v3.19",
    "v3.20", "v3.21", "v3.22",
];

/// Sources with one URL.
const OTHERS: &[(SourceKind, &str)] = &[
    (
        SourceKind::DebianTracker,
        "https://security-tracker.debian.org/tracker/data/json",
    ),
    (
        SourceKind::DebianList,
        "https://salsa.debian.org/security-tracker-team/security-tracker/-/raw/master/data/DSA/list",
    ),
    (
        SourceKind::DebianList,
        "https://salsa.debian.org/security-tracker-team/security-tracker/-/raw/master/data/DLA/list",
    ),
    (
        SourceKind::KnownExploited,
        "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
    ),
    (
        SourceKind::CveList,
        "https://codeload.github.com/CVEProject/cvelistV5/zip/refs/heads/main",
    ),
];

/// The sources.
pub(super) fn sources() -> Vec<SourceArg> {
    let osv = OSV.iter().map(|ecosystem| {
        let url = format!("https://osv-vulnerabilities.storage.googleapis.com/{ecosystem}/all.zip");
        (SourceKind::Osv, url)
    });
    let alpine = ALPINE.iter().flat_map(|release| {
        ["main", "community"].map(|repository| {
            let url = format!("https://secdb.alpinelinux.org/{release}/{repository}.json");
            (SourceKind::AlpineSecdb, url)
        })
    });
    let others = OTHERS.iter().map(|(kind, url)| (*kind, (*url).to_owned()));
    osv.chain(alpine)
        .chain(others)
        .filter_map(|(kind, url)| {
            let url: Uri = url.parse().ok()?;
            Some(SourceArg {
                kind,
                place: Place::Url(url),
            })
        })
        .collect()
}
