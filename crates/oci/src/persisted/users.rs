//! The namespaces whose pods had an image.
//!
//! Here: what is known about them, and how two are merged. Not here: the share that follows (`room`).
//! Invariant: at most [`USERS_LIMIT`] are known. The merge does not depend on order or number, and no namespace has a
//! name that stays known for each image.

use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// Most namespaces of an image that are known.
pub const USERS_LIMIT: usize = 8;

/// The namespaces whose pods had an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Users {
    /// This one alone.
    One(Box<str>),
    /// Several, of which these are known, at most [`USERS_LIMIT`]. None is known of a fact that an earlier version
    /// wrote.
    Several(BTreeSet<Box<str>>),
}

impl Users {
    /// The namespaces of both, for an image.
    #[must_use]
    pub(super) fn merged(self, other: Self, image: &str) -> Self {
        let all = match (self, other) {
            (Self::One(one), Self::One(other)) if one == other => return Self::One(one),
            (Self::One(one), Self::One(other)) => BTreeSet::from([one, other]),
            (Self::One(one), Self::Several(mut all)) | (Self::Several(mut all), Self::One(one)) => {
                all.insert(one);
                all
            }
            (Self::Several(mut all), Self::Several(mut others)) => {
                all.append(&mut others);
                all
            }
        };
        Self::several(all, image)
    }

    /// Several namespaces, of which as many stay known as can be. Which these are follows from a hash with the image:
    /// otherwise, namespaces with the right names would displace the others everywhere.
    #[must_use]
    pub(super) fn several(mut all: BTreeSet<Box<str>>, image: &str) -> Self {
        if all.len() > USERS_LIMIT {
            let mut ranked: Vec<_> = all
                .into_iter()
                .map(|name| (rank(image, &name), name))
                .collect();
            ranked.sort();
            ranked.truncate(USERS_LIMIT);
            all = ranked.into_iter().map(|(_, name)| name).collect();
        }
        Self::Several(all)
    }

    /// Whether a namespace is known to be one of them.
    #[must_use]
    pub fn has(&self, namespace: &str) -> bool {
        match self {
            Self::One(one) => **one == *namespace,
            Self::Several(all) => all.contains(namespace),
        }
    }

    /// The only one; none: there are several.
    #[must_use]
    pub fn only(&self) -> Option<&str> {
        match self {
            Self::One(one) => Some(one),
            Self::Several(_) => None,
        }
    }

    /// Those that are known.
    pub fn known(&self) -> impl Iterator<Item = &str> {
        let (one, several) = match self {
            Self::One(one) => (Some(one), None),
            Self::Several(all) => (None, Some(all)),
        };
        let several = several.into_iter().flatten();
        one.into_iter().chain(several).map(|name| &**name)
    }

    /// Whether any is left without this one, which is not known any more.
    pub(super) fn give_up(&mut self, namespace: Option<&str>) -> bool {
        match (self, namespace) {
            (Self::Several(all), Some(namespace)) => {
                all.remove(namespace);
                !all.is_empty()
            }
            (Self::One(_) | Self::Several(_), _) => false,
        }
    }
}

fn rank(image: &str, namespace: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(image.as_bytes());
    hash.update([0]);
    hash.update(namespace.as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str) -> Users {
        Users::One(name.into())
    }

    fn several(names: &[&str]) -> Users {
        Users::Several(names.iter().map(|&name| name.into()).collect())
    }

    #[test]
    fn who_used_an_image_is_known_as_far_as_there_is_room() {
        let of = |one: Users, other: Users| one.merged(other, "ghcr.io/acme/web:1");
        assert_eq!(of(one("shop"), one("shop")), one("shop"));
        let both = several(&["bank", "shop"]);
        assert_eq!(of(one("shop"), one("bank")), both);
        assert_eq!(of(both.clone(), one("shop")), both);
        assert_eq!(of(one("bank"), several(&["shop"])), both);
        // That there are several stays, also if none is known.
        assert_eq!(of(several(&[]), one("shop")), several(&["shop"]));
        assert_eq!(of(several(&[]), several(&[])), several(&[]));
        assert_eq!(several(&["shop"]).only(), None);
        assert_eq!(one("shop").only(), Some("shop"));
        assert!(both.has("shop") && one("shop").has("shop"));
        assert!(!both.has("other") && !one("shop").has("bank"));
        assert_eq!(both.known().collect::<Vec<_>>(), ["bank", "shop"]);
        assert_eq!(one("shop").known().collect::<Vec<_>>(), ["shop"]);
    }

    /// Namespaces with these names displace the others of some images, and not of each.
    #[test]
    fn no_names_stay_known_for_each_image() {
        let hostile: BTreeSet<Box<str>> =
            (0..USERS_LIMIT).map(|n| format!("a-{n}").into()).collect();
        let honest: BTreeSet<Box<str>> =
            (0..USERS_LIMIT).map(|n| format!("z-{n}").into()).collect();
        let left = |image: &str| {
            let of = |names: &BTreeSet<Box<str>>| Users::Several(names.clone());
            let both = of(&hostile).merged(of(&honest), image);
            assert_eq!(both, of(&honest).merged(of(&hostile), image));
            assert_eq!(both.known().count(), USERS_LIMIT);
            honest.iter().any(|name| both.has(name))
        };
        let images = (0..100).map(|n| format!("ghcr.io/acme/web-{n}:1"));
        let count = images.filter(|image| left(image)).count();
        assert!(count > 95, "{count}");
    }
}
