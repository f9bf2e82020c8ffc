//! Which parts of a variable expressions read.
//!
//! Here: the tree of parts, and how trees are compared and merged. Not here: finding it out
//! (`reads/trace`).
//! Invariant: an expression has the same value for the variable and for what these parts of it are:
//! whatever is not understood is read as a whole.

mod trace;

pub use trace::reads;

use std::collections::BTreeMap;

/// The parts of a value that expressions read. The default is that the value is there, and of which
/// kind it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    whole: bool,
    fields: BTreeMap<String, Self>,
    elements: Option<Box<Self>>,
    values: Option<Box<Self>>,
}

impl Reads {
    /// Everything.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            whole: true,
            ..Self::default()
        }
    }

    /// What one path of names leads to, as a whole. `*` stands for each element of a list and each
    /// value of a map.
    #[must_use]
    pub fn path(names: &[&str]) -> Self {
        Self::everything().at(names)
    }

    /// These parts of the value that a path of names leads to. `*` stands for each element of a list and each
    /// value of a map.
    #[must_use]
    pub fn at(self, names: &[&str]) -> Self {
        let Some((first, rest)) = names.split_first() else {
            return self;
        };
        let inner = self.at(rest);
        if *first == "*" {
            let inner = Some(Box::new(inner));
            return Self {
                elements: inner.clone(),
                values: inner,
                ..Self::default()
            };
        }
        Self {
            fields: BTreeMap::from([((*first).to_owned(), inner)]),
            ..Self::default()
        }
    }

    /// Whether all of the value is read.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether a text or a number is read, and not only that there is one.
    #[must_use]
    pub const fn is_content(&self) -> bool {
        self.whole || self.elements.is_some() || self.values.is_some()
    }

    /// What is read of a key's value by its name, with what is read of every value.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Self> {
        self.fields.get(name)
    }

    /// What is read of each element of a list; none: not even how many there are.
    #[must_use]
    pub fn elements(&self) -> Option<&Self> {
        self.elements.as_deref()
    }

    /// What is read of each value of a map; none: not even which keys there are.
    #[must_use]
    pub fn values(&self) -> Option<&Self> {
        self.values.as_deref()
    }

    /// Adds what others read.
    pub fn merge(&mut self, other: &Self) {
        self.whole |= other.whole;
        if self.whole {
            // Nothing is more than everything; the names stay, as they may be asked for.
            self.elements = None;
            self.values = None;
        }
        for (name, reads) in &other.fields {
            self.fields.entry(name.clone()).or_default().merge(reads);
        }
        if self.whole {
            return;
        }
        for (mine, theirs) in [
            (&mut self.elements, &other.elements),
            (&mut self.values, &other.values),
        ] {
            if let Some(theirs) = theirs {
                mine.get_or_insert_default().merge(theirs);
            }
        }
        self.spread();
    }

    /// What is read of every value is read of those that have names, too.
    fn spread(&mut self) {
        if let Some(values) = &self.values {
            for field in self.fields.values_mut() {
                field.merge(values);
            }
        }
    }

    /// Whether whoever has these parts has the other ones, too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let part = |mine: Option<&Self>, theirs: Option<&Self>| match (mine, theirs) {
            (_, None) => true,
            (None, Some(_)) => self.whole,
            (Some(mine), Some(theirs)) => self.whole || mine.covers(theirs),
        };
        (self.whole || !other.whole)
            && other.fields.iter().all(|(name, theirs)| {
                let mine = self.field(name).or(self.values());
                self.whole || mine.is_some_and(|mine| mine.covers(theirs))
            })
            && part(self.elements(), other.elements())
            && part(self.values(), other.values())
    }
}

#[cfg(test)]
mod tests;
