//! The public sources of all ecosystems.
//!
//! Here: their URLs. Not here: reading them, and which releases there are (`bailiff_scan::release`).
//! Invariant: each ecosystem that Bailiff knows has a source, and each release of Alpine that its table of last days has
//! since the first one of the security database.

use super::place::{Place, SourceArg};
use bailiff_scan::index::SourceKind;
use bailiff_scan::release::alpine_releases;
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

/// The oldest release of Alpine in its security database. Those that have ended stay there.
const FIRST_OF_ALPINE: &str = "v3.10";

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
    let releases = alpine_releases().skip_while(|release| *release != FIRST_OF_ALPINE);
    let alpine = releases.flat_map(|release| {
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
