//! Two lists one after the other.
//!
//! Here: lists that `+` makes without copying, because it costs one whatever their length (cel-go,
//! common/types/list.go, `concatList`). Not here: lists whose elements lie together (`List`).
//! Invariant: an element is found in a few steps; short ones and the deepest are copied.

use super::{ELEMENTS_LIMIT, List, Value};
use std::sync::Arc;

/// Up to this length lists are copied.
const SHORT: usize = 64;
/// Up to this many lists within each other are kept.
const DEPTH: u8 = 16;

/// Two lists one after the other.
#[derive(Debug)]
pub struct Joined<'a>(Whole<'a>);

#[derive(Debug)]
enum Whole<'a> {
    Copied(Vec<Value<'a>>),
    Parts {
        first: List<'a>,
        second: List<'a>,
        length: usize,
        depth: u8,
    },
}

impl<'a> Joined<'a> {
    pub(super) fn len(&self) -> usize {
        match &self.0 {
            Whole::Copied(elements) => elements.len(),
            Whole::Parts { length, .. } => *length,
        }
    }

    /// The two lists, or all elements where they were copied.
    pub(super) fn parts(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        let (elements, lists) = match &self.0 {
            Whole::Copied(elements) => (elements.as_slice(), None),
            Whole::Parts { first, second, .. } => (&[][..], Some([first, second])),
        };
        let lists = lists.into_iter().flatten();
        let lists = lists.map(|list| Value::List(list.clone()));
        elements.iter().cloned().chain(lists)
    }

    pub(super) fn get(&self, index: usize) -> Option<Value<'a>> {
        match &self.0 {
            Whole::Copied(elements) => elements.get(index).cloned(),
            Whole::Parts { first, second, .. } => match index.checked_sub(first.len()) {
                Some(index) => second.get(index),
                None => first.get(index),
            },
        }
    }

    fn depth(&self) -> u8 {
        match &self.0 {
            Whole::Copied(_) => 0,
            Whole::Parts { depth, .. } => *depth,
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
        let whole = if length > SHORT && depth <= DEPTH {
            Whole::Parts {
                first: self.clone(),
                second: other.clone(),
                length,
                depth,
            }
        } else if length <= ELEMENTS_LIMIT {
            Whole::Copied(self.iter().chain(other.iter()).collect())
        } else {
            return None;
        };
        Some(Self::Joined(Arc::new(Joined(whole))))
    }

    fn depth(&self) -> u8 {
        match self {
            Self::Joined(joined) => joined.depth(),
            Self::Made(_)
            | Self::Json(_)
            | Self::Host(_)
            | Self::Typed(..)
            | Self::Go(..)
            | Self::Merged(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_copied(list: &List<'_>) -> bool {
        matches!(list, List::Joined(joined) if matches!(joined.0, Whole::Copied(_)))
    }

    #[test]
    fn long_lists_are_joined_without_copying() {
        let list = |from: i64, until: i64| List::of((from..until).map(Value::Int).collect());
        let short = list(0, 2).joined(&list(2, 3)).unwrap();
        assert!(is_copied(&short) && short.len() == 3);
        let mut all = list(0, 100);
        for part in 1..40 {
            all = all.joined(&list(part * 100, part * 100 + 100)).unwrap();
            assert_eq!(is_copied(&all), part % 17 == 0, "{part}");
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
