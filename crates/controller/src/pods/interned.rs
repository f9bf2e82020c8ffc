//! Values that many pods share.
//!
//! Here: each value once, by number, and its memory. Not here: which values there are.
//! Invariant: a value is kept for as long as a pod has it; a number is of one value at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a slot and of its place among the free numbers, in vectors that are half full.
const SLOT_BYTES: usize = 2 * (size_of::<Option<Slot<u64>>>() + size_of::<u32>());
/// Bytes of an entry of the map, whose nodes are half full, and of the shared allocation.
const ENTRY_BYTES: usize = 2 * (size_of::<Arc<u64>>() + size_of::<u32>()) + 32;

/// What a value takes.
pub(super) trait Weight {
    /// Bytes of memory of the value itself and of what it owns.
    fn bytes(&self) -> usize;
}

impl Weight for String {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.len() + 16
    }
}

#[derive(Debug)]
struct Slot<T> {
    value: Arc<T>,
    uses: u32,
}

/// Values by number.
#[derive(Debug)]
pub(super) struct Interned<T> {
    numbers: BTreeMap<Arc<T>, u32>,
    slots: Vec<Option<Slot<T>>>,
    free: Vec<u32>,
    value_bytes: usize,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self {
            numbers: BTreeMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            value_bytes: 0,
        }
    }
}

pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl<T: Ord + Weight> Interned<T> {
    /// The number of a value, which one more pod has.
    pub(super) fn acquire(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            if let Some(Some(slot)) = self.slots.get_mut(index(*number)) {
                slot.uses = slot.uses.saturating_add(1);
            }
            return *number;
        }
        self.value_bytes = self.value_bytes.saturating_add(value.bytes());
        let value = Arc::new(value);
        let slot = Slot {
            value: Arc::clone(&value),
            uses: 1,
        };
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.slots.get_mut(index(number)) {
            *place = Some(slot);
        }
        self.numbers.insert(value, number);
        number
    }

    /// One pod less has the value of a number.
    pub(super) fn release(&mut self, number: u32) {
        let Some(place) = self.slots.get_mut(index(number)) else {
            return;
        };
        let Some(slot) = place else {
            return;
        };
        slot.uses = slot.uses.saturating_sub(1);
        if slot.uses > 0 {
            return;
        }
        self.value_bytes = self.value_bytes.saturating_sub(slot.value.bytes());
        self.numbers.remove(&slot.value);
        *place = None;
        self.free.push(number);
        if self.numbers.is_empty() {
            // The memory of many that were here before.
            *self = Self::default();
        }
    }

    /// The values, each at the index of its number.
    pub(super) fn values(&self) -> impl Iterator<Item = Option<&T>> {
        self.slots
            .iter()
            .map(|slot| slot.as_ref().map(|slot| &*slot.value))
    }

    /// How many bytes of memory `acquire` would add.
    pub(super) fn added_bytes(&self, value: &T) -> usize {
        if self.numbers.contains_key(value) {
            return 0;
        }
        let slot = if self.free.is_empty() { SLOT_BYTES } else { 0 };
        value.bytes().saturating_add(ENTRY_BYTES + slot)
    }

    /// Upper limit of the memory that is taken.
    pub(super) fn bytes(&self) -> usize {
        let slots = self.slots.len().saturating_mul(SLOT_BYTES);
        let entries = self.numbers.len().saturating_mul(ENTRY_BYTES);
        slots
            .saturating_add(entries)
            .saturating_add(self.value_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_once_and_as_long_as_one_has_it() {
        let mut values = Interned::default();
        let word = str::to_owned;
        let acquire = |values: &mut Interned<String>, value: &str| {
            let value = word(value);
            let bytes = values.bytes() + values.added_bytes(&value);
            let number = values.acquire(value);
            assert_eq!(values.bytes(), bytes);
            number
        };
        let a = acquire(&mut values, "a");
        assert_eq!(acquire(&mut values, "a"), a);
        let b = acquire(&mut values, "b");
        assert_ne!(a, b);
        let kept = |values: &Interned<String>| {
            let all = values.values().map(Option::<&String>::cloned);
            all.collect::<Vec<_>>()
        };
        values.release(a);
        assert_eq!(kept(&values), [Some(word("a")), Some(word("b"))]);
        let full = values.bytes();
        values.release(a);
        assert_eq!(kept(&values), [None, Some(word("b"))]);
        assert!(values.bytes() < full);
        // What is released once too often takes nothing of others.
        values.release(a);
        assert_eq!(acquire(&mut values, "c"), a);
        values.release(a);
        values.release(b);
        assert_eq!(values.bytes(), 0);
    }
}
