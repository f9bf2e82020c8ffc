//! Two lists one after the other.
//!
//! Here: lists that `+` makes without copying, because it costs one whatever their length (cel-go,
//! common/types/list.go, `concatList`). Not here: lists whose elements lie together (`List`).
//! Invariant: an element is found in a few steps; the deepest of them are copied.

use super::{ELEMENTS_LIMIT, List, Value};
use std::sync::Arc;

/// Up to this length lists are copied.
const SHORT: usize = 64;
/// Up to this many lists within each other are kept.
const DEPTH: u8 = 16;

/// Two lists one after the other.
#[derive(Debug)]
pub struct Joined<'a> {
    first: List<'a>,
    second: List<'a>,
    length: usize,
    depth: u8,
}

impl<'a> Joined<'a> {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) const fn parts(&self) -> [&List<'a>; 2] {
        [&self.first, &self.second]
    }

    pub(super) fn get(&self, index: usize) -> Option<Value<'a>> {
        match index.checked_sub(self.first.len()) {
            Some(index) => self.second.get(index),
            None => self.first.get(index),
        }
    }
}

impl List<'_> {
    /// This list and another; nothing where more would have to be copied than may be made.
    pub(crate) fn joined(&self, other: &Self) -> Option<Self> {
        if self.is_empty() {
            return Some(other.clone());
        }
        if other.is_empty() {
            return Some(self.clone());
        }
        let length = self.len().saturating_add(other.len());
        let depth = self.depth().max(other.depth()).saturating_add(1);
        if length <= SHORT || depth > DEPTH {
            let copied = || Self::of(self.iter().chain(other.iter()).collect());
            return (length <= ELEMENTS_LIMIT).then(copied);
        }
        let joined = Joined {
            first: self.clone(),
            second: other.clone(),
            length,
            depth,
        };
        Some(Self::Joined(Arc::new(joined)))
    }

    fn depth(&self) -> u8 {
        match self {
            Self::Joined(joined) => joined.depth,
            Self::Made(_) | Self::Json(_) | Self::Host(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_joined_without_copying() {
        let list = |from: i64, until: i64| List::of((from..until).map(Value::Int).collect());
        let short = list(0, 2).joined(&list(2, 3)).unwrap();
        assert!(matches!(&short, List::Made(made) if made.len() == 3));
        let mut all = list(0, 100);
        for part in 1..40 {
            all = all.joined(&list(part * 100, part * 100 + 100)).unwrap();
            assert_eq!(matches!(all, List::Made(_)), part % 17 == 0, "{part}");
        }
        assert_eq!(all.len(), 4000);
        let places = all.iter().zip(0..);
        assert!(
            places
                .into_iter()
                .all(|(element, at)| element == Value::Int(at))
        );
        assert_eq!(all.get(4000), None);
        // A list of itself and itself, again and again, is never gone through.
        let doubled = (0..16).fold(list(0, 4000), |list, _| list.joined(&list).unwrap());
        assert!(doubled.joined(&doubled).is_none());
    }
}
