//! What an expression costs at least and at most, before it is evaluated.
//!
//! Here: the API server's static estimates (cel-go v0.29.2, checker/cost.go; k8s.io/apiserver
//! v0.37.2, pkg/cel/library/cost.go, `EstimateCallCost`), and who knows how large data may be. Not
//! here: how a call is counted at run time, and which count a function has (`library::cost`).
//! Invariant: an estimate is a function of the expression and of the sizes; it never wraps where
//! the API server's does not.

mod call;
mod growth;
mod limits;
mod path;
mod range;
mod walk;

pub use limits::{CRD_LIMIT, Estimated, MATCH_CONDITIONS_BUDGET, RULE_LIMIT, exceeds_budget};
pub use range::Range;

use crate::schema::Declaration;
use crate::types::Type;
use std::collections::HashMap;

pub(crate) use walk::estimate;

/// Knows how large data may be: characters of text, bytes, elements of a list, entries of a map.
pub trait Sizes {
    /// The size of what lies at a path, or nothing where it is not known.
    ///
    /// A path begins with the name of a variable, then come names of fields, `@items` for the
    /// elements of a list, `@indices` for their places, `@keys` and `@values` for those of a map.
    /// It is empty for what does not lie in a variable, such as the result of a function. The type
    /// is the one that the compiler found.
    fn size(&self, path: &[&str], ty: &Type) -> Option<Range>;
}

/// Nothing is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unknown;

impl Sizes for Unknown {
    fn size(&self, _: &[&str], _: &Type) -> Option<Range> {
        None
    }
}

/// Sizes by path, its parts joined by dots: `object.spec.containers.@items.name`.
#[derive(Clone, Debug, Default)]
pub struct SizesByPath(HashMap<String, Range>);

impl SizesByPath {
    /// Says that what lies at this path has at most this size.
    #[must_use]
    pub fn at_most(self, path: &str, max: u64) -> Self {
        self.within(path, Range { min: 0, max })
    }

    /// Says which size what lies at this path has.
    #[must_use]
    pub fn within(mut self, path: &str, size: Range) -> Self {
        self.0.insert(path.to_owned(), size);
        self
    }
}

impl Sizes for SizesByPath {
    fn size(&self, path: &[&str], _: &Type) -> Option<Range> {
        self.0.get(&path.join(".")).copied()
    }
}

/// Sizes that the schemas of variables tell: those of `object` and `oldObject` in a policy, of `self` and
/// `oldSelf` in a rule of a custom resource (k8s.io/apiextensions-apiserver v0.37.2,
/// pkg/apiserver/schema/cel/compilation.go, `EstimateSize`).
#[derive(Clone, Copy, Debug)]
pub struct Declared<'a>(pub &'a [(&'a str, &'a Declaration)]);

impl Sizes for Declared<'_> {
    fn size(&self, path: &[&str], _: &Type) -> Option<Range> {
        let (variable, rest) = path.split_first()?;
        let &(_, mut part) = self.0.iter().find(|(name, _)| name == variable)?;
        for name in rest {
            part = match *name {
                "@items" | "@values" => part.element()?,
                "@keys" => part.key()?,
                field => part.field(field)?,
            };
        }
        let max = u64::try_from(part.max_elements()).ok()?;
        Some(Range { min: 0, max })
    }
}
