//! How large what a function makes may be.
//!
//! Here: a range for each function that says so (the sources of `call`). Not here: loops and
//! conditions (`walk`).
//! Invariant: where a size is not known, it is not guessed.

use super::Range;
use super::call::Call;
use super::range::{double, whole};
use crate::ast::{Kind, Literal};

impl Call<'_, '_> {
    /// The size of what a call gives, where its function tells.
    pub(super) fn growth(&self, function: &str, overload: &str) -> Option<Range> {
        match function {
            "url" | "jsonpatch.escapeKey" | "lowerAscii" | "upperAscii" | "substring" | "trim" => {
                return Some(self.size(0));
            }
            "replace" => return Some(self.replaced()),
            "split" => return Some(self.split()),
            "join" => return Some(self.joined()),
            // Every character is found at most.
            "find" | "findAll" => {
                let max = self.size(0).max;
                return Some(Range { min: 0, max });
            }
            _ => {}
        }
        let size = || self.size(0);
        // The API server's multiplications wrap here.
        match overload {
            "string_to_bytes" => Some(Range {
                min: size().min,
                max: size().max.wrapping_mul(4),
            }),
            "bytes_to_string" => Some(Range {
                min: size().min.wrapping_div(4),
                max: size().max,
            }),
            "strings_quote" => Some(Range {
                min: size().min.wrapping_add(2),
                max: size().max.wrapping_mul(2).wrapping_add(2),
            }),
            "add_string" | "add_bytes" | "add_list" => Some(size().plus(self.size(1))),
            "list_slice" => {
                let start = self.number(1).unwrap_or_default();
                let end = self.number(2).unwrap_or_else(|| size().max);
                Some(Range::fixed(end.wrapping_sub(start)))
            }
            "lists_range" => Some(Range::fixed(self.number(0).unwrap_or(u64::MAX))),
            "list_reverse" | "list_flatten" | "list_flatten_int" => Some(size()),
            "list_distinct" => Some(size().times(size())),
            _ if overload.ends_with("_sortByAssociatedKeys") => {
                Some(self.size(1).times(self.size(1)))
            }
            _ if overload.starts_with("list_") && overload.ends_with("_sort") => {
                Some(size().times(size()))
            }
            _ => None,
        }
    }

    /// The longest and the shortest text that replacing makes.
    fn replaced(&self) -> Range {
        let (text, old, new) = (self.size(0), self.size(1), self.size(2));
        let parts = |text: u64, old: u64| whole((double(text) / double(old)).ceil());
        // Nothing is found between all characters and at both ends.
        let (most, kept_most) = if old.min == 0 {
            (text.max.saturating_add(1), text.max)
        } else if new.max <= old.min {
            (0, text.max)
        } else {
            (parts(text.max, old.min), 0)
        };
        let (least, kept_least) = if old.max == 0 {
            (text.min.saturating_add(1), text.min)
        } else if old.max <= new.min {
            (0, text.min)
        } else {
            (parts(text.min, old.max), 0)
        };
        let count = Range {
            min: least,
            max: most,
        };
        count.times(new).plus(Range {
            min: kept_least,
            max: kept_most,
        })
    }

    /// Every character is a part at most.
    fn split(&self) -> Range {
        let limit = match self.operands.get(2).map(|operand| &operand.expr.kind) {
            Some(Kind::Literal(Literal::Int(limit))) => Some(limit.cast_unsigned()),
            _ => None,
        };
        let max = limit.unwrap_or_else(|| self.size(0).max);
        Range { min: 0, max }
    }

    fn joined(&self) -> Range {
        let list = self.size(0);
        let elements = self
            .elements(0)
            .map_or(Range::fixed(0), |(_, element)| list.times(element));
        if self.operands.len() < 2 {
            return elements;
        }
        let between = Range {
            min: list.min.saturating_sub(1),
            max: list.max.saturating_sub(1),
        };
        elements.plus(self.size(1).times(between))
    }
}
