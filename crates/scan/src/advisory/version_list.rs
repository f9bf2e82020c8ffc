//! Versions that an advisory lists one by one.
//!
//! Here: a list in two allocations, however many versions it has: advisories of `PyPI` and Maven list hundreds. Not
//! here: which versions are affected (`versions`).
//! Invariant: equal lists have equal versions in the same order.

use std::fmt;

/// Versions in the order in which they were published.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct VersionList {
    /// The versions, without anything between them.
    texts: String,
    /// Where each one ends.
    ends: Vec<usize>,
}

impl VersionList {
    /// An empty list with space for this number of versions.
    pub(crate) fn with_capacity(versions: usize) -> Self {
        Self {
            texts: String::new(),
            ends: Vec::with_capacity(versions),
        }
    }

    /// Adds a version at the end.
    pub(crate) fn push(&mut self, version: &str) {
        self.texts.push_str(version);
        self.ends.push(self.texts.len());
    }

    /// The versions.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(&self.ends);
        // Each end is that of a whole text.
        ranges.filter_map(|(start, end)| self.texts.get(start..*end))
    }

    /// The number of versions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes that it takes, without what an allocator adds.
    pub(crate) fn size(&self) -> usize {
        self.texts.len() + size_of_val(&*self.ends)
    }
}

impl<T: AsRef<str>> FromIterator<T> for VersionList {
    fn from_iter<I: IntoIterator<Item = T>>(versions: I) -> Self {
        let mut list = Self::default();
        for version in versions {
            list.push(version.as_ref());
        }
        list
    }
}

impl fmt::Debug for VersionList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_its_versions_in_their_order() {
        for versions in [&[][..], &["1.0"], &["2", "", "1.0", "ä", "2"]] {
            let list: VersionList = versions.iter().collect();
            assert_eq!(list.iter().collect::<Vec<_>>(), versions);
            assert_eq!(
                (list.len(), list.is_empty()),
                (versions.len(), versions.is_empty())
            );
        }
        let list = |versions: &[&str]| versions.iter().collect::<VersionList>();
        // The same texts together are not the same versions.
        assert_ne!(list(&["1", "2"]), list(&["12"]));
        assert_ne!(list(&["12", ""]), list(&["12"]));
        assert_eq!(format!("{:?}", list(&["1", "2"])), r#"["1", "2"]"#);
    }
}
