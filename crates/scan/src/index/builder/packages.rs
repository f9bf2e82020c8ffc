//! The bytes of a package.
//!
//! Here: the newest states of its records, with the texts and lists that they need. Not here: adding records (`builder`).
//! Invariant: a state that is not the newest one of its source is not written. Sources that have the same one share it.

use super::{BuildError, Builder, Group, Kept};
use crate::ecosystem::Ecosystem;
use crate::index::stored::{Package, Record};
use std::collections::{BTreeMap, HashMap};
use std::io::{Seek, Write};

impl<W: Write + Seek> Builder<'_, W> {
    /// The bytes of a package.
    pub(super) fn package(
        &self,
        ecosystem: &Ecosystem,
        name: &str,
        group: &Group,
    ) -> Result<Vec<u8>, BuildError> {
        let mut records = self.newest_records(group)?;
        if let Some(previous) = &self.previous {
            let fixes = previous.fixes(ecosystem, name)?;
            for record in &mut records {
                let names = self.names.get(&record.head).map_or(&[][..], Vec::as_slice);
                let names: Vec<_> = names
                    .iter()
                    .map(|name| self.interned.text_of(*name))
                    .collect();
                for entry in &mut record.entries {
                    fixes.date(&names, entry, &self.interned);
                }
            }
        }
        let mut texts = Numbers::default();
        let mut lists = Numbers::default();
        for record in &mut records {
            for entry in std::mem::take(&mut record.entries) {
                let entry = entry.renumbered(|text| texts.of(text), |list| lists.of(list));
                record.entries.push(entry);
            }
        }
        let lists = lists.numbered.iter();
        let lists = lists
            .map(|list| {
                let list = self.interned.list_of(*list).iter();
                list.map(|text| texts.of(*text)).collect()
            })
            .collect();
        let texts = texts.numbered.iter();
        Ok(postcard::to_stdvec(&Package {
            ecosystem: &ecosystem.to_string(),
            name,
            stands_for: Vec::new(),
            texts: texts.map(|text| self.interned.text_of(*text)).collect(),
            lists,
            records,
        })?)
    }

    /// The newest states of the records of a package. Sources that have the same one share it.
    fn newest_records(&self, group: &Group) -> Result<Vec<Record>, BuildError> {
        let mut records: Vec<Record> = Vec::new();
        let mut of_head: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        let mut rest = group.records.as_slice();
        while !rest.is_empty() {
            let (kept, after): (Kept, _) = postcard::take_from_bytes(rest)?;
            rest = after;
            if self.is_newest.get(kept.state) != Some(&true) {
                continue;
            }
            let same_head = of_head.entry(kept.head).or_default();
            let same = same_head.iter().find(|number| {
                records
                    .get(**number)
                    .is_some_and(|r| r.entries == kept.entries)
            });
            if let Some(same) = same.and_then(|number| records.get_mut(*number)) {
                same.sources.push(kept.source);
            } else {
                same_head.push(records.len());
                records.push(Record {
                    head: kept.head,
                    sources: vec![kept.source],
                    entries: kept.entries,
                });
            }
        }
        for record in &mut records {
            record.sources.sort_unstable();
        }
        records.sort_by(|a, b| a.sources.first().cmp(&b.sources.first()));
        Ok(records)
    }
}

/// Numbers of a package for numbers of all packages, in the order in which they are asked for.
#[derive(Default)]
struct Numbers {
    numbers: HashMap<u32, u32>,
    numbered: Vec<u32>,
}

impl Numbers {
    fn of(&mut self, number: u32) -> u32 {
        let next = u32::try_from(self.numbered.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(number).or_insert_with(|| {
            self.numbered.push(number);
            next
        })
    }
}
