//! One object that a field selector selects by its name.
//!
//! Here: whether it exists, as a list and the watch after it say. Not here: the requests (`list_watch`), and what the
//! object has.
//! Invariant: an object is missing only if a complete list did not bring it, or if it was deleted. While a list is
//! incomplete, what was known stays.

use super::ObjectEvent;

/// What is known of the object after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// It exists; its JSON.
    Found(&'a [u8]),
    /// It exists, and has more than [`super::OBJECT_LIMIT_BYTES`].
    TooLarge,
    /// It does not exist.
    Missing,
}

/// Follows the object.
#[derive(Clone, Copy, Debug, Default)]
pub struct NamedObject {
    /// A list began and did not bring it yet.
    is_absent: bool,
}

impl NamedObject {
    /// Takes the next event; none: it says nothing new.
    pub fn apply<'a>(&mut self, event: &'a ObjectEvent) -> Option<Named<'a>> {
        let was_absent = std::mem::take(&mut self.is_absent);
        match event {
            ObjectEvent::Listing => {
                self.is_absent = true;
                None
            }
            ObjectEvent::Listed(object) | ObjectEvent::Applied(object) => {
                Some(Named::Found(object))
            }
            ObjectEvent::TooLarge => Some(Named::TooLarge),
            ObjectEvent::Complete => was_absent.then_some(Named::Missing),
            ObjectEvent::Deleted(_) => Some(Named::Missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_missing_if_a_complete_list_does_not_bring_it() {
        let object = || b"{}".to_vec();
        let mut named = NamedObject::default();
        for (event, want) in [
            (ObjectEvent::Listing, None),
            // The list was cut off, and another one begins.
            (ObjectEvent::Listing, None),
            (ObjectEvent::Complete, Some(Named::Missing)),
            (ObjectEvent::Applied(object()), Some(Named::Found(b"{}"))),
            (ObjectEvent::Listing, None),
            (ObjectEvent::Listed(object()), Some(Named::Found(b"{}"))),
            (ObjectEvent::Complete, None),
            (ObjectEvent::Deleted(object()), Some(Named::Missing)),
            (ObjectEvent::Listing, None),
            (ObjectEvent::TooLarge, Some(Named::TooLarge)),
            (ObjectEvent::Complete, None),
            (ObjectEvent::TooLarge, Some(Named::TooLarge)),
        ] {
            assert_eq!(named.apply(&event), want, "{event:?}");
        }
    }
}
