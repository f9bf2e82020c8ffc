//! Fields that were read before.
//!
//! Here: what the last reads of objects of JSON found. Not here: what a read costs (`fields`).
//! Invariant: it finds what the object itself would find; the data outlives the evaluation and does
//! not change, so an object is known by where it is.

use super::fields::JsonMap;
use crate::plan::Field;
use serde_json::Value as Json;
use std::num::NonZeroU128;

/// How many reads are kept: a power of two. The rules of a policy ask for the same few fields of the same objects
/// over and over, and each search in an object compares some five names.
const KEPT: usize = 64;

/// Bits of a hash that do not say where a read is kept.
const SPARE: u32 = u64::BITS - KEPT.ilog2();

/// The last reads, each in the place that its object and name lead to.
#[derive(Debug)]
pub(super) struct Lookups<'a>([Option<Lookup<'a>>; KEPT]);

#[derive(Clone, Copy, Debug)]
struct Lookup<'a> {
    object: &'a JsonMap,
    name: NonZeroU128,
    found: Option<&'a Json>,
}

impl Default for Lookups<'_> {
    fn default() -> Self {
        Self([None; KEPT])
    }
}

impl<'a> Lookups<'a> {
    /// The field of an object.
    pub(super) fn find(&mut self, object: &'a JsonMap, field: &Field) -> Option<&'a Json> {
        let Some(name) = field.short else {
            return object.get(&field.name);
        };
        let Some(kept) = self.0.get_mut(place(object, name)) else {
            return object.get(&field.name);
        };
        match kept {
            Some(last) if std::ptr::eq(last.object, object) && last.name == name => last.found,
            _ => {
                let found = object.get(&field.name);
                *kept = Some(Lookup {
                    object,
                    name,
                    found,
                });
                found
            }
        }
    }
}

/// Where a read is kept: below [`KEPT`].
fn place(object: &JsonMap, name: NonZeroU128) -> usize {
    let [a, b] = [name.get(), name.get() >> 64].map(|half| half & u128::from(u64::MAX));
    let name = u64::try_from(a ^ b).unwrap_or_default();
    let object = u64::try_from(std::ptr::from_ref(object).addr()).unwrap_or_default();
    // Multiplying by 2^64 / phi spreads what differs over the highest bits.
    let mixed = (name ^ object.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> SPARE).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Objects that differ, names that begin alike or end with NUL, more of both than are kept: each
    /// read finds what the object has, the second time too.
    #[test]
    fn each_read_finds_what_the_object_has() {
        let names = (0..17).flat_map(|length| {
            let name = "a".repeat(length);
            [format!("{name}\0"), format!("{name}b"), name]
        });
        let fields: Vec<_> = names.map(|name| Field::new(name, None)).collect();
        let objects: Vec<_> = (0..7_usize)
            .map(|number| {
                let known = fields
                    .iter()
                    .enumerate()
                    .filter(|(place, _)| place % 7 != number);
                let entries =
                    known.map(|(place, field)| (field.name.clone(), json!([number, place])));
                entries.collect::<JsonMap>()
            })
            .collect();
        let mut lookups = Lookups::default();
        for _ in 0..2 {
            for field in &fields {
                for object in &objects {
                    for _ in 0..2 {
                        assert_eq!(
                            lookups.find(object, field),
                            object.get(&field.name),
                            "{field:?}"
                        );
                    }
                }
            }
        }
    }
}
