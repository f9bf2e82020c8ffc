//! What is read, and of what.
//!
//! Here: variables and values with the fields, keys and elements that are read of them. Not here:
//! reading (`eval::attribute`).
//! Invariant: how many fields begin an attribute is what its qualifiers say.

use super::Node;
use crate::value::Value;
use std::num::NonZeroU128;

#[derive(Debug)]
pub(crate) struct Attribute {
    pub(crate) root: Root,
    pub(crate) qualifiers: Vec<Qualifier>,
    /// How many of them, from the first on, are fields that have to be there.
    pub(crate) fields: usize,
    /// `has(…)`.
    pub(crate) test: bool,
    /// The name is one that a variable of a loop hides, as `.object` in `all(object, …)`.
    pub(crate) hidden: bool,
}

impl Attribute {
    pub(super) fn of(root: Root) -> Box<Self> {
        Box::new(Self {
            root,
            qualifiers: Vec::new(),
            fields: 0,
            test: false,
            hidden: false,
        })
    }

    /// Whether it has fields or keys that cost nothing: what is read of a hidden variable is read where
    /// the API server counts nothing (cel-go v0.29.2, interpreter/attributes.go, `Resolve` of
    /// `absoluteAttribute`). Keys that are computed are counted here nevertheless, because computing
    /// must not be free.
    pub(crate) fn is_read_for_free(&self) -> bool {
        let is_known = |qualifier: &Qualifier| !matches!(qualifier.key, Key::Computed(_));
        self.hidden && self.qualifiers.iter().all(is_known)
    }

    pub(super) fn push(&mut self, key: Key, optional: bool) {
        let is_field = matches!(key, Key::Field(_)) && !optional;
        if is_field && self.fields == self.qualifiers.len() {
            self.fields = self.fields.saturating_add(1);
        }
        self.qualifiers.push(Qualifier { key, optional });
    }
}

#[derive(Debug)]
pub(crate) enum Root {
    Variable(usize),
    /// The named expressions.
    Named,
    Local(usize),
    Conditional(Node, Node, Node),
    Value(Node),
}

/// What is read of a value.
#[derive(Debug)]
pub(crate) struct Qualifier {
    pub(crate) key: Key,
    pub(crate) optional: bool,
}

#[derive(Debug)]
pub(crate) enum Key {
    Field(Field),
    /// A field of a message, whose type reads it.
    Typed(String),
    Constant(Value<'static>),
    Computed(Node),
}

/// A field or a key of data, by its name.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Its place where the structure is declared.
    pub(crate) place: Option<usize>,
    /// The name as a number, by which it is told from others; nothing where it is too long.
    pub(crate) short: Option<NonZeroU128>,
}

impl Field {
    pub(crate) fn new(name: impl Into<String>, place: Option<usize>) -> Self {
        let name = name.into();
        let short = short(name.as_bytes());
        Self { name, place, short }
    }
}

/// The bytes of a text and their number, as one number; nothing for more than 15 bytes.
fn short(bytes: &[u8]) -> Option<NonZeroU128> {
    let length = u8::try_from(bytes.len())
        .ok()
        .filter(|length| *length < 16)?;
    let mut number = [0; 16];
    for (to, from) in number.iter_mut().zip(bytes) {
        *to = *from;
    }
    // Text that ends with NUL is told from shorter text; the one of no text is not zero.
    if let Some(last) = number.last_mut() {
        *last = length.saturating_add(1);
    }
    NonZeroU128::new(u128::from_le_bytes(number))
}

/// A node as something that can be read of.
///
/// Precondition for reading on from an attribute: it is no test. `has(a.b).c` reads the field of what
/// `has` gives.
pub(super) fn attribute(node: Node) -> Box<Attribute> {
    match node {
        Node::Attribute(attribute) if !attribute.test => attribute,
        other => Attribute::of(Root::Value(other)),
    }
}
