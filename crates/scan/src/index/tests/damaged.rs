//! Files that somebody damaged, cut or wrote.

use super::*;
use crate::severity::{CveSource, Statement};
use layout::{HEADER_SIZE, SLOT_SIZE};

const CVE: &str = "CVE-2025-1";

/// Two advisories about two packages each.
fn two() -> Vec<Advisory> {
    let mut first = record("X-1", "2025-01-02T00:00:00Z", ("npm", "a"), "1.2");
    first
        .affected
        .extend(record("X-1", "2025-01-02T00:00:00Z", ("PyPI", "b"), "2").affected);
    first.affected[0].versions = ["1.0", "1.1"].into_iter().collect();
    first.aliases.push("CVE-2025-1".to_owned());
    let mut second = record("X-2", "2025-01-03T00:00:00Z", ("npm", "a"), "1.3");
    second
        .affected
        .extend(record("X-2", "2025-01-02T00:00:00Z", ("Go", "c"), "3").affected);
    vec![first, second]
}

/// A small index with each part.
fn small() -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut builder = Builder::new(&mut file, now(), None).unwrap();
    let source = builder.source(SourceKind::Osv, "osv".to_owned());
    for advisory in two() {
        builder.add(source, "record", advisory).unwrap();
    }
    let catalog =
        r#"{"vulnerabilities": [{"cveID": "CVE-2021-44228", "dateAdded": "2021-12-10"}]}"#;
    builder.add_known_exploited(source, KnownExploited::read(catalog.as_bytes()).unwrap());
    builder.add_cve(source, "record", cve_record());
    builder.finish().unwrap();
    file.into_inner()
}

fn cve_record() -> CveRecord {
    CveRecord {
        id: CVE.to_owned(),
        is_rejected: false,
        title: "Title".to_owned(),
        statements: vec![
            Statement::of_cve(
                CveSource::Nvd,
                "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
            )
            .unwrap(),
        ],
    }
}

/// Everything that an index says: each part, or the error of it.
#[derive(Debug, PartialEq)]
struct All {
    built: Timestamp,
    sources: Result<Vec<Source>, IndexError>,
    exploited: Result<Option<KnownExploited>, IndexError>,
    advisories: Vec<Result<Vec<Found>, IndexError>>,
    cve: Result<Option<CveRecord>, IndexError>,
}

impl All {
    fn of(file: &[u8], packages: &BTreeSet<(Ecosystem, String)>) -> Result<Self, IndexError> {
        let index = Index::open(file)?;
        let other = (Ecosystem::Npm, "no such package".to_owned());
        let packages = packages.iter().chain([&other]);
        Ok(Self {
            built: index.built(),
            sources: index.sources(),
            exploited: index.known_exploited(),
            advisories: packages
                .map(|(ecosystem, name)| index.get(ecosystem, name))
                .collect(),
            cve: index.cve(CVE),
        })
    }

    /// Whether each part is an error or as it was.
    fn is_honest(&self, of: &Self) -> bool {
        let advisories = self.advisories.iter().zip(&of.advisories);
        self.built == of.built
            && (self.sources.is_err() || self.sources == of.sources)
            && (self.cve.is_err() || self.cve == of.cve)
            && (self.exploited.is_err() || self.exploited == of.exploited)
            && advisories.into_iter().all(|(a, b)| a.is_err() || a == b)
    }
}

#[test]
fn a_file_with_a_changed_byte_has_errors_or_the_same_answers() {
    let mut file = small();
    let packages = named(&two());
    assert!(packages.len() == 3 && file.len() < 2048, "{}", file.len());
    let all = All::of(&file, &packages).unwrap();
    let mut errors = 0;
    for at in 0..file.len() {
        for change in [1, 0x80, 0xff] {
            file[at] ^= change;
            match All::of(&file, &packages) {
                Ok(changed) => {
                    assert!(changed.is_honest(&all), "byte {at}");
                    errors += usize::from(changed != all);
                    // Nothing is changed without a trace.
                    assert_eq!(Index::open(&file).unwrap().verify(), Err(IndexError::Hash));
                }
                Err(_) => errors += 1,
            }
            file[at] ^= change;
        }
    }
    // Only bytes of the hash itself are no part of an answer.
    assert_eq!(errors, 3 * (file.len() - 32));
}

#[test]
fn a_file_that_was_cut_or_continued_is_no_index() {
    let mut file = small();
    let stated = file.len() as u64;
    for found in 0..file.len() {
        let error = Index::open(&file[..found]).unwrap_err();
        if found < HEADER_SIZE {
            assert_eq!(error, IndexError::NotAnIndex);
        } else {
            let found = found as u64;
            assert_eq!(error, IndexError::Length { found, stated });
        }
    }
    file.push(0);
    let error = Index::open(&file).unwrap_err().to_string();
    let found = file.len();
    assert_eq!(
        error,
        format!("it has {found} bytes, and had {stated} when it was built")
    );
    let mut other = small();
    other[8] = 2;
    assert_eq!(
        Index::open(&other).unwrap_err().to_string(),
        "it has format 2, and this version of Bailiff reads format 1"
    );
    assert_eq!(
        Index::open(b"PK\x03\x04").unwrap_err().to_string(),
        "it is not an index of advisories"
    );
}

/// Writes the checks of a file again, as somebody does who writes one.
fn seal(file: &mut [u8], heads: &[u64]) {
    let number = |file: &[u8], at: usize| {
        let bytes = file
            .get(at..at + 8)
            .map_or([0; 8], |bytes| bytes.try_into().unwrap());
        usize::try_from(u64::from_le_bytes(bytes)).unwrap()
    };
    for offset in heads {
        let at = usize::try_from(*offset).unwrap();
        let length = u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let end = (at + 8).saturating_add(length as usize);
        if let Some(bytes) = file.get(at + 8..end) {
            let start = layout::head_start(*offset, length, bytes);
            file[at..at + 8].copy_from_slice(&start);
        }
    }
    let (slots, count) = (number(file, 64), number(file, 72));
    for slot in 0..count {
        let at = slots + slot * SLOT_SIZE;
        let (offset, length) = (
            number(file, at),
            u32::from_le_bytes(file[at + 8..at + 12].try_into().unwrap()),
        );
        if let Some(block) = file.get(offset..offset.saturating_add(length as usize)) {
            let entry = layout::slot(slot as u64, offset as u64, length, block);
            file[at..at + SLOT_SIZE].copy_from_slice(&entry);
        }
    }
    for at in [80, 100] {
        let (offset, length) = (number(file, at), number(file, at + 8));
        let check = crc32fast::hash(&file[offset..offset + length]);
        file[at + 16..at + 20].copy_from_slice(&check.to_le_bytes());
    }
    let mut check = crc32fast::Hasher::new();
    check.update(&file[..12]);
    check.update(&file[48..HEADER_SIZE]);
    let check = check.finalize();
    file[12..16].copy_from_slice(&check.to_le_bytes());
}

/// Where the heads of an index are.
fn heads(file: &[u8], packages: &BTreeSet<(Ecosystem, String)>) -> Vec<u64> {
    let index = Index::open(file).unwrap();
    let mut heads = BTreeSet::new();
    for (ecosystem, name) in packages {
        let item = index
            .item(Key::of(&ecosystem.to_string(), name))
            .unwrap()
            .unwrap();
        let package: Package<'_> = decode(item, "block").unwrap();
        heads.extend(package.records.iter().map(|record| record.head));
    }
    heads.into_iter().collect()
}

#[test]
fn sealing_is_what_building_does() {
    let file = small();
    let mut sealed = file.clone();
    seal(&mut sealed, &heads(&file, &named(&two())));
    assert!(sealed == file);
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 2000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_file_that_somebody_wrote_has_answers_or_errors(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        thread_local! {
            static SMALL: (Vec<u8>, BTreeSet<(Ecosystem, String)>, Vec<u64>) = {
                let file = small();
                let packages = named(&two());
                let heads = heads(&file, &packages);
                (file, packages, heads)
            };
        }
        SMALL.with(|(file, packages, heads)| {
            let mut file = file.clone();
            for (at, byte) in changes {
                let at = HEADER_SIZE + at.index(file.len() - HEADER_SIZE);
                file[at] = byte;
            }
            seal(&mut file, heads);
            let all = All::of(&file, packages).unwrap();
            for found in all.advisories.into_iter().flatten().flatten() {
                for entry in &found.advisory.affected {
                    drop(entry.evaluate("1.0"));
                }
            }
        });
    }
}

#[test]
fn a_list_that_is_named_often_takes_bounded_memory() {
    // 300 entries name one list of 3,000 versions: a small file, and 12 MiB of advisories.
    let versions = (0..3_000).map(|number| format!("{number}.0")).collect();
    let mut advisory = record("X-1", "2025-01-02T00:00:00Z", ("npm", "a"), "1");
    advisory.affected[0].versions = versions;
    let entry = advisory.affected[0].clone();
    advisory.affected.resize(300, entry);
    let file = built(&[vec![advisory]]);
    assert!(file.len() < 64 << 10, "{}", file.len());
    let index = Index::open(&file).unwrap();
    let error = index.get_within(1 << 20, &Ecosystem::Npm, "a").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the advisories of one package take more than 1 MiB"
    );
    assert!(index.get_within(64 << 20, &Ecosystem::Npm, "a").is_ok());
}

#[test]
fn a_lookup_reads_a_slot_a_block_and_heads_alone() {
    let few = published();
    let mut many = few.clone();
    for number in 0..9 {
        many.extend(few.iter().map(|advisory| {
            let mut advisory = advisory.clone();
            advisory.id = format!("{}-{number}", advisory.id);
            for entry in &mut advisory.affected {
                entry.name = format!("{}-{number}", entry.name);
            }
            advisory
        }));
    }
    let package = (Ecosystem::PyPi, "django".to_owned());
    let read = |advisories: Vec<Advisory>| {
        let file = built(&[advisories]);
        let index = Index::open(&file).unwrap();
        let want = index.get(&package.0, &package.1).unwrap();
        assert!(!want.is_empty());
        // All other bytes are 0.
        let mut bare = vec![0; file.len()];
        let mut count = 0;
        let mut keep = |from: usize, to: usize| {
            bare[from..to].copy_from_slice(&file[from..to]);
            count += to - from;
        };
        keep(0, HEADER_SIZE);
        let slots = index.header.slots;
        let slot = Key::of(&package.0.to_string(), &package.1).slot(slots.count);
        let at = usize::try_from(slots.offset + slot * SLOT_SIZE as u64).unwrap();
        keep(at, at + SLOT_SIZE);
        let block = layout::block(&file, &slots, slot).unwrap();
        let at = usize::try_from(u64::from_le_bytes(file[at..at + 8].try_into().unwrap())).unwrap();
        keep(at, at + block.len());
        for head in heads(&file, &[package.clone()].into()) {
            let bytes = layout::head(&file, head).unwrap();
            let head = usize::try_from(head).unwrap();
            keep(head, head + 8 + bytes.len());
        }
        let bare = Index::open(&bare).unwrap();
        assert_eq!(bare.get(&package.0, &package.1).unwrap(), want);
        (count, file.len())
    };
    let (few, many) = (read(few), read(many));
    assert!(many.1 > 8 * few.1, "{few:?} {many:?}");
    // Other packages can be in the same block.
    assert!(many.0 < few.0 + 4096, "{few:?} {many:?}");
}
