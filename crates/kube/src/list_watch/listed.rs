//! The objects of a kind, by their names.
//!
//! Here: which of them exist, as a list and the watch after it say. Not here: the requests (`list_watch`), one object
//! (`named`), and what objects have.
//! Invariant: an object goes only if a complete list did not bring it, or if it was deleted. A list that has an object that
//! is too large, whose name is unknown, removes none.

use super::ObjectEvent;
use std::collections::BTreeSet;

/// What keeps the objects of a kind.
pub trait ObjectsByName {
    /// Keeps an object as it is now. Returns its name, if it has one.
    fn keep(&mut self, object: &[u8]) -> Option<String>;
    /// Removes an object; as it was last.
    fn remove(&mut self, object: &[u8]);
    /// Removes all objects but those with these names.
    fn retain(&mut self, names: &BTreeSet<String>);
}

/// Follows the objects of a kind.
#[derive(Clone, Debug, Default)]
pub struct ListedObjects {
    /// The names that the current list brought; none: no list is coming.
    listing: Option<Listing>,
    is_listed: bool,
}

#[derive(Clone, Debug, Default)]
struct Listing {
    names: BTreeSet<String>,
    /// An object was too large, so its name is unknown.
    is_partial: bool,
}

impl ListedObjects {
    /// Whether all objects were listed once.
    #[must_use]
    pub const fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// Takes the next event. True: the objects are as the API server has them, so what follows from them can be another
    /// one. False within a list, which takes effect as a whole, and if the event says nothing about them.
    pub fn apply(&mut self, event: &ObjectEvent, objects: &mut impl ObjectsByName) -> bool {
        match event {
            ObjectEvent::Listing => {
                self.listing = Some(Listing::default());
                false
            }
            ObjectEvent::Listed(object) => {
                let name = objects.keep(object);
                if let (Some(listing), Some(name)) = (&mut self.listing, name) {
                    listing.names.insert(name);
                }
                false
            }
            ObjectEvent::Complete => {
                if let Some(listing) = self.listing.take()
                    && !listing.is_partial
                {
                    objects.retain(&listing.names);
                }
                self.is_listed = true;
                true
            }
            ObjectEvent::Applied(object) => {
                objects.keep(object);
                true
            }
            ObjectEvent::Deleted(object) => {
                objects.remove(object);
                true
            }
            ObjectEvent::TooLarge => {
                if let Some(listing) = &mut self.listing {
                    listing.is_partial = true;
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Objects that are their names. One without a name has none.
    #[derive(Default)]
    struct Names(BTreeSet<String>);

    impl ObjectsByName for Names {
        fn keep(&mut self, object: &[u8]) -> Option<String> {
            let name = String::from_utf8_lossy(object).into_owned();
            (!name.is_empty()).then(|| {
                self.0.insert(name.clone());
                name
            })
        }

        fn remove(&mut self, object: &[u8]) {
            self.0.remove(&*String::from_utf8_lossy(object));
        }

        fn retain(&mut self, names: &BTreeSet<String>) {
            self.0.retain(|name| names.contains(name));
        }
    }

    #[test]
    fn an_object_goes_if_a_complete_list_does_not_bring_it() {
        let of = |name: &str| name.as_bytes().to_vec();
        let (mut listed, mut names) = (ListedObjects::default(), Names::default());
        for (event, is_effective, expected) in [
            (ObjectEvent::Listing, false, ""),
            (ObjectEvent::Listed(of("a")), false, "a"),
            (ObjectEvent::Listed(of("b")), false, "a b"),
            (ObjectEvent::Listed(of("")), false, "a b"),
            (ObjectEvent::Complete, true, "a b"),
            (ObjectEvent::Applied(of("c")), true, "a b c"),
            (ObjectEvent::Deleted(of("a")), true, "b c"),
            // The list was cut off, and another one begins.
            (ObjectEvent::Listing, false, "b c"),
            (ObjectEvent::Listing, false, "b c"),
            (ObjectEvent::Listed(of("c")), false, "b c"),
            (ObjectEvent::Complete, true, "c"),
            // The name of what is too large is unknown.
            (ObjectEvent::Listing, false, "c"),
            (ObjectEvent::TooLarge, false, "c"),
            (ObjectEvent::Complete, true, "c"),
            // It says nothing about the next list.
            (ObjectEvent::TooLarge, false, "c"),
            (ObjectEvent::Listing, false, "c"),
            (ObjectEvent::Complete, true, ""),
        ] {
            let shown = format!("{event:?}");
            let was_listed = listed.is_listed();
            assert_eq!(listed.apply(&event, &mut names), is_effective, "{shown}");
            let all: Vec<_> = names.0.iter().map(String::as_str).collect();
            assert_eq!(all.join(" "), expected, "{shown}");
            let is_listed = was_listed || event == ObjectEvent::Complete;
            assert_eq!(listed.is_listed(), is_listed, "{shown}");
        }
    }
}
