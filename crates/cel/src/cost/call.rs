//! What a call costs, by what is known of the sizes of its operands.
//!
//! Here: a range for each count of `library::cost` (k8s.io/apiserver v0.37.2,
//! pkg/cel/library/cost.go, `EstimateCallCost`; cel-go v0.29.2, checker/cost.go, `functionCost`,
//! ext/lists.go, ext/sets.go). Not here: which function is counted how, and the count at run time
//! (`library::cost`); what evaluates only some of its operands (`walk`).
//! Invariant: every count that a function can have has a range.

use super::path::{Path, Paths};
use super::{Range, Sizes};
use crate::ast::{Expr, Kind, Literal};
use crate::library::Cost;
use crate::types::{self, Type};

/// Sizes of an address in bytes, as the API server takes them.
const ADDRESS: Range = Range { min: 4, max: 16 };
/// Longest text of a format's name (k8s.io/apiserver v0.37.2, pkg/cel/limits.go,
/// `MaxFormatSize`).
const FORMAT_SIZE: u64 = 64;
/// A quarter of the longest pattern of a format (there, `MaxNameFormatRegexSize`).
const FORMAT_EXPRESSIONS: f64 = 128.0 * 0.25;

/// An operand of a call.
pub(super) struct Operand<'a> {
    pub(super) expr: &'a Expr,
    pub(super) path: Path,
    pub(super) ty: &'a Type,
    /// Its size, as far as it was known when the operand was looked at.
    pub(super) size: Option<Range>,
}

/// A call: its operands, the target first.
pub(super) struct Call<'c, 'a> {
    pub(super) operands: &'c [Operand<'a>],
    pub(super) paths: &'c Paths<'a>,
    pub(super) sizes: &'c dyn Sizes,
    /// Whether a size that was not known is asked for once more: cel-go's own functions do not.
    pub(super) again: bool,
}

impl Call<'_, '_> {
    /// The size of an operand.
    pub(super) fn size(&self, index: usize) -> Range {
        let Some(operand) = self.operands.get(index) else {
            return Range::UNKNOWN;
        };
        let asked = || {
            let again = self.again.then(|| self.ask(operand.path, None, operand.ty));
            again.flatten()
        };
        operand.size.or_else(asked).unwrap_or(Range::UNKNOWN)
    }

    fn ask(&self, path: Path, part: Option<&str>, ty: &Type) -> Option<Range> {
        let parts = self.paths.parts(path);
        match part.filter(|_| !parts.is_empty()) {
            None => self.sizes.size(parts, ty),
            Some(part) => {
                let mut longer = parts.to_vec();
                longer.push(part);
                self.sizes.size(&longer, ty)
            }
        }
    }

    /// The type of the elements of a list, and their size.
    pub(super) fn elements(&self, index: usize) -> Option<(&Type, Range)> {
        let list = self.operands.get(index)?;
        let ty = *list.ty.parameters().first()?;
        let size = self.ask(list.path, Some("@items"), ty);
        Some((ty, size.unwrap_or(Range::UNKNOWN)))
    }

    /// The number that an operand is, where it stands in the expression; 0 for less.
    pub(super) fn number(&self, index: usize) -> Option<u64> {
        match self.operands.get(index)?.expr.kind {
            Kind::Literal(Literal::Int(value)) => Some(u64::try_from(value).unwrap_or_default()),
            _ => None,
        }
    }

    /// One for each element; more for text.
    fn traversal(&self, includes: bool) -> Range {
        let size = self.size(0);
        match self.elements(0) {
            Some((Type::String | Type::Bytes, element)) => {
                size.times(Range::fixed(1).plus(element.scaled(0.1)))
            }
            Some(_) => size.times(Range::fixed(1)),
            None if includes => size.times(Range::fixed(1)),
            None => size.scaled(0.1),
        }
    }

    /// Two values that are of one type that only its own functions know.
    fn same_opaque(&self) -> Option<Range> {
        let [left, right] = self.operands else {
            return None;
        };
        if left.ty != right.ty {
            return None;
        }
        match left.ty {
            Type::Opaque(types::IP | types::CIDR, _) => Some(Range::fixed(1)),
            Type::Object(object) => match object.name() {
                types::QUANTITY | types::SEMVER => Some(Range::fixed(1)),
                types::FORMAT => Some(
                    Range {
                        min: 1,
                        max: FORMAT_SIZE,
                    }
                    .scaled(0.1),
                ),
                types::URL => {
                    let max = right.size.map_or(1, |size| size.max);
                    Some(Range { min: 1, max }.scaled(0.1))
                }
                name if name.starts_with("kubernetes.authorization.") => Some(Range::fixed(1)),
                _ => None,
            },
            _ => None,
        }
    }

    /// At most the smaller of both, at least something unless one has no size at all.
    fn smaller(&self) -> Range {
        let max = self.size(0).max.min(self.size(1).max);
        Range {
            min: max.min(1),
            max,
        }
        .scaled(0.1)
    }

    fn text(&self, index: usize) -> Range {
        self.size(index).scaled(0.1)
    }

    /// What a call costs, without what its operands cost.
    pub(super) fn cost(&self, cost: Cost, made: Option<Range>) -> Range {
        let made = made.unwrap_or(Range::UNKNOWN);
        let list = |factor| made.scaled(factor).plus(Range::fixed(11));
        match cost {
            Cost::Fixed(cost) => Range::fixed(cost),
            Cost::Equals => self.same_opaque().unwrap_or_else(|| self.smaller()),
            Cost::Smaller => self.smaller(),
            Cost::Joined => made.scaled(0.1),
            Cost::Scan { argument, times } | Cost::PlainScan { argument, times } => {
                let factor = if times == 2 { 2.0 * 0.1 } else { 0.1 };
                self.size(argument).scaled(factor)
            }
            Cost::Result => made.scaled(0.1),
            Cost::Size => self.size(1).scaled(1.0),
            Cost::Regex | Cost::PlainRegex => {
                let text = self.size(0).plus(Range::fixed(1)).scaled(0.1);
                text.times(self.size(1).scaled(0.25))
            }
            Cost::Contains => self.text(0).times(self.text(1)),
            Cost::Traversal { includes } => self.traversal(includes),
            Cost::Sets(times) => {
                let compared = self.size(0).times(self.size(1));
                let factor = if times == 2 { 2.0 } else { 1.0 };
                compared.scaled(factor).plus(Range::fixed(1))
            }
            Cost::MadeList => list(1.0),
            Cost::Flatten => {
                let depth = match self.operands {
                    [_] => Some(1),
                    _ => self.number(1),
                };
                list(super::range::double(depth.unwrap_or(u64::MAX)))
            }
            Cost::SelfCompare { text, .. } => list(if text { 2.0 + 0.1 } else { 2.0 }),
            Cost::ContainsIp { parsed } => {
                let compared = ADDRESS.plus(ADDRESS).scaled(0.1);
                compared.plus(self.parsed(parsed))
            }
            Cost::ContainsCidr { parsed } => {
                let compared = ADDRESS.plus(ADDRESS).scaled(0.1);
                let masked = ADDRESS.scaled(0.1).plus(Range::fixed(1));
                compared.plus(masked).plus(self.parsed(parsed))
            }
            Cost::Validate => self.text(1).scaled(FORMAT_EXPRESSIONS),
            Cost::Selector => {
                let size = self.size(1);
                let requirements = size.scaled(0.5).scaled(50.0);
                Range::fixed(10).plus(size.scaled(0.1)).plus(requirements)
            }
        }
    }

    /// Text that an address or a prefix is read from.
    fn parsed(&self, parsed: bool) -> Range {
        if parsed {
            self.text(1)
        } else {
            Range::fixed(0)
        }
    }
}
