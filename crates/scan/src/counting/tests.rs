//! What counts of the findings of a package.

use super::*;
use crate::advisory::osv;
use crate::ecosystem::Ecosystem;
use crate::matching::{NotCounted, match_packages};
use crate::package::Package;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// A record about `npm/a`: all versions before the fixed one are affected.
fn record(id: &str, fixed: Option<&str>, informational: &Json) -> String {
    let mut events = vec![json!({"introduced": "0"})];
    events.extend(fixed.map(|fixed| json!({"fixed": fixed})));
    json!({"id": id, "affected": [{
        "package": {"ecosystem": "npm", "name": "a"},
        "ranges": [{"type": "SEMVER", "events": events}],
        "database_specific": {"informational": informational},
    }]})
    .to_string()
}

fn standings(counting: &Counting) -> Vec<String> {
    let records = [
        record("CVE-2025-1", Some("2.0.0"), &Json::Null),
        record("CVE-2025-2", None, &Json::Null),
        record("CVE-2025-3", Some("latest"), &Json::Null),
        record("MAL-1", None, &Json::Null),
        record("X-1", None, &json!("unmaintained")),
    ];
    let records = records.map(|record| Arc::new(osv::decode(record.as_bytes()).unwrap()));
    let package = Package {
        ecosystem: Ecosystem::Npm,
        name: "a".to_owned(),
        version: "1.0.0".to_owned(),
        source: None,
        path: None,
    };
    let matches = match_packages(&[package], |_, _| records.to_vec(), None);
    let shown = matches.findings.iter().map(|finding| {
        let standing = match counting.standing(finding) {
            Standing::Counted => "counted".to_owned(),
            Standing::Ignored(entry) => format!("ignored by {}", entry.number),
            Standing::NotCounted(NotCounted::Informational(word)) => word.clone(),
            Standing::NotCounted(why) => why.to_string(),
            Standing::NotFixed => "not fixed".to_owned(),
            Standing::Settled(settled) => format!("settled by {}", settled.owners.join(", ")),
            Standing::OfOwner(owners) => format!("of {}", owners.join(", ")),
        };
        assert_eq!(counting.counts(finding), standing == "counted");
        format!("{} {}: {standing}", finding.id, finding.state.as_str())
    });
    shown.collect()
}

#[test]
fn what_cannot_be_determined_and_malicious_packages_count_without_a_fix() {
    let mut counting = Counting::all("2026-02-01".parse().unwrap());
    assert_eq!(
        standings(&counting),
        [
            "CVE-2025-1 Fixed: counted",
            "CVE-2025-2 Open: counted",
            "CVE-2025-3 Unknown: counted",
            "MAL-1 Open: counted",
            "X-1 Open: unmaintained",
        ]
    );
    counting.only_fixed = true;
    assert_eq!(
        standings(&counting),
        [
            "CVE-2025-1 Fixed: counted",
            "CVE-2025-2 Open: not fixed",
            "CVE-2025-3 Unknown: counted",
            "MAL-1 Open: counted",
            "X-1 Open: unmaintained",
        ]
    );
    let entry =
        |id: &str| json!({"id": id, "package": "npm/a", "reason": "r", "expires": "2026-02-01"});
    let entries = ["CVE-2025-2", "X-1", "CVE-2025-3"].map(entry);
    counting.ignore = IgnoreList::of(entries.to_vec()).unwrap();
    assert_eq!(
        standings(&counting),
        [
            "CVE-2025-1 Fixed: counted",
            "CVE-2025-2 Open: ignored by 1",
            "CVE-2025-3 Unknown: ignored by 3",
            "MAL-1 Open: counted",
            "X-1 Open: ignored by 2",
        ]
    );
}
