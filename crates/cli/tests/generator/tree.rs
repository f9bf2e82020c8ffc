//! A made expression as the tree of its parts, so that a part can be replaced by another.
//!
//! Here: the tree, its text, and what it may be reduced to. Not here: how it is made
//! (`generator`), which reduction is kept (`reduce`).
//! Invariant: a reduction is never longer than what it was made of.

use super::templates::simplest;
use std::fmt;

/// A template with its parts filled in.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// The type that was asked for.
    pub(crate) gives: &'static str,
    pub(crate) pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Text(String),
    Part(Tree),
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => f.write_str(text)?,
                Piece::Part(tree) => write!(f, "{tree}")?,
            }
        }
        Ok(())
    }
}

impl Tree {
    /// A tree without parts.
    pub(crate) fn text(gives: &'static str, text: impl Into<String>) -> Self {
        let pieces = vec![Piece::Text(text.into())];
        Self { gives, pieces }
    }

    fn parts(&self) -> impl Iterator<Item = &Self> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Part(tree) => Some(tree),
            Piece::Text(_) => None,
        })
    }

    /// This tree and all below it.
    fn all(&self) -> Vec<&Self> {
        let mut found = vec![self];
        for part in self.parts() {
            found.extend(part.all());
        }
        found
    }

    /// This tree with the part of a number, counted as [`Self::all`] gives them, replaced.
    fn with(&self, number: usize, other: &Self) -> Self {
        let mut left = number;
        self.replaced(&mut left, other)
    }

    fn replaced(&self, left: &mut usize, other: &Self) -> Self {
        if *left == 0 {
            *left = usize::MAX;
            return other.clone();
        }
        *left = left.saturating_sub(1);
        let pieces = self
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Part(part) if *left < usize::MAX / 2 => {
                    Piece::Part(part.replaced(left, other))
                }
                other => other.clone(),
            })
            .collect();
        Self {
            gives: self.gives,
            pieces,
        }
    }

    /// Smaller trees, the smallest first: a part becomes one of its own parts, or the simplest
    /// expression of its type.
    pub(crate) fn reductions(&self) -> Vec<Self> {
        let mut made: Vec<(usize, Self)> = Vec::new();
        for (number, tree) in self.all().iter().enumerate() {
            let length = tree.to_string().len();
            let simple = Self::text(tree.gives, simplest(tree.gives));
            let below = tree.all().into_iter().skip(1).cloned();
            for other in below.chain([simple]) {
                if other.to_string().len() < length {
                    let reduced = self.with(number, &other);
                    made.push((reduced.to_string().len(), reduced));
                }
            }
        }
        made.sort_by_key(|(length, _)| *length);
        made.into_iter().map(|(_, tree)| tree).collect()
    }
}

#[test]
fn a_tree_is_reduced_to_its_parts() {
    let part = |text: &str| Piece::Part(Tree::text("int", text));
    let sum = Tree {
        gives: "int",
        pieces: vec![part("22"), Piece::Text(" + ".to_owned()), part("333")],
    };
    let texts: Vec<_> = sum.reductions().iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["1", "22", "333", "22 + 1", "1 + 333"]);
}
