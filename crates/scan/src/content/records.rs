//! Databases that consist of records with an empty line between them.
//!
//! Here: where records begin and end, what a value must be, and how faults of records are reported. Not here: what
//! their fields mean (`dpkg`, `apk`).
//! Invariant: a record that cannot be read hides no other. Faults are counted, and the first ones named.

use super::{FAULTS_LIMIT, Fact, not_read};

/// The records of a database with their numbers, from 1 on. A record is a run of lines that are not empty.
pub(super) fn records(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = bytes;
    let mut number = 0;
    std::iter::from_fn(move || {
        while let Some(after) = rest.strip_prefix(b"\n") {
            rest = after;
        }
        if rest.is_empty() {
            return None;
        }
        let end = rest.windows(2).position(|pair| pair == b"\n\n");
        let (record, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        number += 1;
        Some((number, record.strip_suffix(b"\n").unwrap_or(record)))
    })
}

/// Faults of one file.
pub(super) struct Faults {
    what: &'static str,
    count: usize,
}

impl Faults {
    /// `what` is the kind of file, for messages.
    pub(super) const fn of(what: &'static str) -> Self {
        Self { what, count: 0 }
    }

    /// Reports a fault, if not too many were reported.
    pub(super) fn add(&mut self, cause: impl Into<String>, facts: &mut dyn FnMut(Fact)) {
        self.count += 1;
        if self.count <= FAULTS_LIMIT {
            facts(not_read(self.what, cause));
        }
    }

    /// Reports how many more faults there are.
    pub(super) fn finish(self, facts: &mut dyn FnMut(Fact)) {
        if let Some(more @ 1..) = self.count.checked_sub(FAULTS_LIMIT) {
            facts(not_read(
                self.what,
                format!("{more} more parts could not be read"),
            ));
        }
    }
}

/// The value of a field: printable ASCII without spaces, which all names and versions are.
///
/// # Errors
/// If it is empty, longer than the limit, or something else. The error begins with the name of the field.
pub(super) fn text(field: &str, value: &[u8], limit: usize) -> Result<String, String> {
    let value = value.trim_ascii();
    if value.is_empty() {
        return Err(format!("its {field} is empty"));
    }
    if value.len() > limit {
        return Err(format!("its {field} has more than {limit} bytes"));
    }
    match str::from_utf8(value) {
        Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(text.to_owned()),
        Ok(_) | Err(_) => Err(format!(
            "its {field} has other characters than printable ASCII"
        )),
    }
}

/// Sets the value of a field.
///
/// # Errors
/// If it is set already.
pub(super) fn set<T>(field: &str, slot: &mut Option<T>, value: T) -> Result<(), String> {
    if slot.replace(value).is_some() {
        return Err(format!("its {field} is set twice"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_runs_of_lines() {
        let of = |text: &'static str| -> Vec<_> {
            let records = records(text.as_bytes());
            let shown = records.map(|(number, record)| (number, String::from_utf8_lossy(record)));
            shown.collect()
        };
        assert_eq!(of(""), []);
        assert_eq!(of("\n\n\n"), []);
        assert_eq!(of("a"), [(1, "a".into())]);
        assert_eq!(of("a\n"), [(1, "a".into())]);
        assert_eq!(
            of("\na\nb\n\n\n\nc\n \nd\n\n"),
            [(1, "a\nb".into()), (2, "c\n \nd".into())]
        );
    }

    #[test]
    fn faults_are_named_and_then_counted() {
        let mut facts = Vec::new();
        let mut faults = Faults::of("list");
        for number in 0..FAULTS_LIMIT + 3 {
            faults.add(number.to_string(), &mut |fact| facts.push(fact));
        }
        faults.finish(&mut |fact| facts.push(fact));
        assert_eq!(facts.len(), FAULTS_LIMIT + 1);
        assert_eq!(
            facts.last(),
            Some(&not_read("list", "3 more parts could not be read"))
        );
        let mut none = true;
        Faults::of("list").finish(&mut |_| none = false);
        assert!(none);
    }
}
