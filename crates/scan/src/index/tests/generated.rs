//! Generated advisories are read as they were stored.

use super::*;
use crate::advisory::{Affected, End, Event, FixDate, Kind, Note, Range};
use crate::severity::{CveSource, CvssVersion, Statement};
use jiff::civil::Date;

const ECOSYSTEMS: &[&str] = &[
    "Debian:12",
    "Debian:13",
    "Ubuntu:22.04:LTS",
    "Ubuntu:Pro:22.04:LTS",
    "Alpine:v3.18",
    "PyPI",
    "npm",
    "Go",
    "crates.io",
    "Maven",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(&["", "0", "1.0", "1.2.3", "2:1~rc1", "a"][..]).prop_map(str::to_owned),
        1 => ".{0,12}",
    ]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..4)
}

fn ranges() -> impl Strategy<Value = Vec<Range>> {
    let event = (0_u8..4, text()).prop_map(|(kind, version)| match kind {
        0 => Event::Introduced(version),
        1 => Event::Fixed(version),
        2 => Event::LastAffected(version),
        _ => Event::Limit(version),
    });
    let range = prop::collection::vec(event, 0..4).prop_map(|events| Range { events });
    prop::collection::vec(range, 0..3)
}

fn statements() -> impl Strategy<Value = Vec<Statement>> {
    let statement = (0_u8..9, text()).prop_map(|(kind, text)| match kind {
        0 => Statement::UbuntuPriority(text),
        1 => Statement::Word(text),
        2 => Statement::Cvss(CvssVersion::V20, text),
        3 => Statement::Cvss(CvssVersion::V30, text),
        4 => Statement::Cvss(CvssVersion::V31, text),
        5 => Statement::Cve(CveSource::Cna, CvssVersion::V31, text),
        6 => Statement::Cve(CveSource::CisaAdp, CvssVersion::V40, text),
        7 => Statement::Cve(CveSource::Nvd, CvssVersion::V20, text),
        _ => Statement::Cvss(CvssVersion::V40, text),
    });
    prop::collection::vec(statement, 0..3)
}

fn time() -> impl Strategy<Value = Timestamp> {
    (-10_i64..10, 0_i32..3)
        .prop_map(|(second, nanosecond)| Timestamp::new(second, nanosecond).unwrap())
}

fn entry() -> impl Strategy<Value = Affected> {
    let kind = (0_u8..3, text()).prop_map(|(kind, word)| match kind {
        0 => Kind::Vulnerability,
        1 => Kind::Malicious,
        _ => Kind::Informational(word),
    });
    let last_known = (0_u8..5, text()).prop_map(|(kind, version)| match kind {
        0 => None,
        1 => Some(End::Open),
        2 => Some(End::Fixed(version)),
        3 => Some(End::LastAffected(version)),
        _ => Some(End::Before(version)),
    });
    let date = (text(), 1_i16..9999, 1_i8..13, 1_i8..29, text()).prop_map(
        |(version, year, month, day, source)| FixDate {
            version,
            date: Date::new(year, month, day).unwrap(),
            source,
        },
    );
    let note = (0_u8..5, text()).prop_map(|(kind, reason)| match kind {
        0 => Note::Unimportant,
        1 => Note::Undetermined(reason),
        2 => Note::Postponed(reason),
        3 => Note::WontFix(reason),
        _ => Note::EndOfLife(reason),
    });
    let more = (
        prop::collection::vec(note, 0..3),
        prop::collection::vec(date, 0..3),
    );
    let name = prop::sample::select(&["a", "b", "a/b", "ä"][..]);
    let ecosystem = prop::sample::select(ECOSYSTEMS);
    let package = (ecosystem, name, kind, statements());
    (package, ranges(), ranges(), texts(), last_known, more).prop_map(
        |(
            (ecosystem, name, kind, statements),
            ranges,
            custom_ranges,
            versions,
            last_known,
            (notes, fix_dates),
        )| Affected {
            ecosystem: Ecosystem::parse(ecosystem).unwrap(),
            name: name.to_owned(),
            kind,
            statements,
            ranges,
            custom_ranges,
            versions: versions.iter().collect(),
            last_known,
            notes,
            fix_dates,
        },
    )
}

fn advisory() -> impl Strategy<Value = Advisory> {
    let id = (0_u8..6).prop_map(|number| format!("X-{number}"));
    let names = (id, texts(), texts(), text());
    let affected = prop::collection::vec(entry(), 0..4);
    (
        names,
        prop::option::of(time()),
        any::<bool>(),
        statements(),
        affected,
    )
        .prop_map(
            |((id, aliases, upstream, title), modified, withdrawn, statements, affected)| {
                Advisory {
                    id,
                    aliases,
                    upstream,
                    title,
                    modified,
                    withdrawn,
                    statements,
                    affected,
                }
            },
        )
}

/// What is found of a package, by rules that share nothing with the builder.
fn expected(
    sources: &[Vec<Advisory>],
    ecosystem: &Ecosystem,
    name: &str,
) -> Vec<(Advisory, Vec<u32>)> {
    let mut states: Vec<(Advisory, Vec<u32>)> = Vec::new();
    for (number, source) in (0..).zip(sources) {
        for (index, advisory) in source.iter().enumerate() {
            let same = |other: &&Advisory| other.id == advisory.id;
            let is_first_newest = source[..index]
                .iter()
                .filter(same)
                .all(|other| other.modified < advisory.modified)
                && source[index..]
                    .iter()
                    .filter(same)
                    .all(|other| other.modified <= advisory.modified);
            let mut state = advisory.clone();
            state
                .affected
                .retain(|e| e.ecosystem.without_subscription() == *ecosystem && e.name == name);
            if !is_first_newest || state.affected.is_empty() {
                continue;
            }
            match states.iter_mut().find(|(other, _)| *other == state) {
                Some((_, of)) => of.push(number),
                None => states.push((state, vec![number])),
            }
        }
    }
    states
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_found_is_what_was_added(
        sources in prop::collection::vec(prop::collection::vec(advisory(), 0..5), 0..4),
    ) {
        let file = built(&sources);
        let index = Index::open(&file).unwrap();
        let all: Vec<_> = sources.iter().flatten().cloned().collect();
        for (ecosystem, name) in named(&all) {
            let found = index.get(&ecosystem, &name).unwrap().into_iter();
            let found: Vec<_> = found
                .map(|found| (found.advisory, found.sources.iter().map(|of| of.0).collect::<Vec<_>>()))
                .collect();
            prop_assert_eq!(found, expected(&sources, &ecosystem, &name));
        }
        prop_assert_eq!(index.get(&Ecosystem::Npm, "other"), Ok(Vec::new()));
    }
}
