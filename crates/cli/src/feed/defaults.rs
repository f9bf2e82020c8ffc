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

/// Sources with one URL.
const OTHERS: &[(SourceKind, &str)] = &[(
    SourceKind::KnownExploited,
    "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
)];

/// The sources.
pub(super) fn sources() -> Vec<SourceArg> {
    let osv = OSV.iter().map(|ecosystem| {
        let url = format!("https://osv-vulnerabilities.storage.googleapis.com/{ecosystem}/all.zip");
        (SourceKind::Osv, url)
    });
    let others = OTHERS.iter().map(|(kind, url)| (*kind, (*url).to_owned()));
    osv.chain(others)
        .filter_map(|(kind, url)| {
            let url: Uri = url.parse().ok()?;
            Some(SourceArg {
                kind,
                place: Place::Url(url),
            })
        })
        .collect()
}
