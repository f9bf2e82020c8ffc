//! Objects of a kind as they are in force.
//!
//! Here: which generation of each is. Not here: watching them (`watches`).
//! Invariant: an object that cannot be decoded or compiled changes nothing: the generation before stays in
//! force. If there is none, the object has no effect and is reported.

use bailiff_kube::decode::{Decoded, Undecodable};
use bailiff_kube::list_watch::ObjectEvent;
use kube::Resource;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A kind that is compiled.
pub(crate) trait Compile: Resource<DynamicType = ()> + DeserializeOwned {
    /// What is in force of it.
    type Compiled;

    /// Compiles the object.
    ///
    /// # Errors
    /// Every fault, in one line.
    fn compile(&self) -> Result<Self::Compiled, String>;
}

/// The objects of a kind.
pub(crate) struct Store<K: Compile> {
    objects: BTreeMap<String, Kept<K::Compiled>>,
    /// The names that the current list brought; none: no list is coming.
    listing: Option<Listing>,
    is_listed: bool,
}

struct Listing {
    names: BTreeSet<String>,
    /// An object was too large, so its name is unknown.
    is_partial: bool,
}

struct Kept<C> {
    uid: Option<String>,
    in_force: Option<Arc<C>>,
    fault: Option<String>,
}

impl<K: Compile> Default for Store<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            listing: None,
            is_listed: false,
        }
    }
}

impl<K: Compile> Store<K> {
    /// Whether all objects were listed once.
    pub(crate) const fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// What is in force, by name of the object.
    pub(crate) fn in_force(&self) -> BTreeMap<String, Arc<K::Compiled>> {
        let kept = self.objects.iter();
        kept.filter_map(|(name, kept)| Some((name.clone(), Arc::clone(kept.in_force.as_ref()?))))
            .collect()
    }

    /// How many objects are not in force as they are now.
    pub(crate) fn faulty(&self) -> usize {
        let kept = self.objects.values();
        kept.filter(|kept| kept.fault.is_some()).count()
    }

    /// Takes an event; true: what is in force can differ from before.
    pub(crate) fn apply(&mut self, event: ObjectEvent) -> bool {
        match event {
            ObjectEvent::Listing => {
                self.listing = Some(Listing {
                    names: BTreeSet::new(),
                    is_partial: false,
                });
                false
            }
            ObjectEvent::Listed(object) => {
                let name = self.keep(&object);
                if let (Some(listing), Some(name)) = (&mut self.listing, name) {
                    listing.names.insert(name);
                }
                // The list takes effect as a whole.
                false
            }
            ObjectEvent::Complete => {
                if let Some(listing) = self.listing.take()
                    && !listing.is_partial
                {
                    self.objects.retain(|name, _| listing.names.contains(name));
                }
                self.is_listed = true;
                true
            }
            ObjectEvent::Applied(object) => {
                self.keep(&object);
                true
            }
            ObjectEvent::Deleted(object) => {
                let decoded = decode::<K>(&object);
                let name = decoded.meta().name.as_deref().unwrap_or_default();
                self.objects.remove(name);
                true
            }
            ObjectEvent::TooLarge => {
                let kind = K::kind(&());
                tracing::warn!(%kind, "An object is too large to be read; what was in force stays");
                if let Some(listing) = &mut self.listing {
                    listing.is_partial = true;
                }
                false
            }
        }
    }

    /// Keeps an object; its name, if it has one.
    fn keep(&mut self, object: &[u8]) -> Option<String> {
        let decoded = decode::<K>(object);
        let (name, uid) = (decoded.meta().name.clone()?, decoded.meta().uid.clone());
        let compiled = match decoded.into_result() {
            Ok(object) => object.compile(),
            Err(Undecodable { error, .. }) => Err(error.to_string()),
        };
        let before = self.objects.remove(&name);
        // An object of the same name with another UID has no generation before.
        let before = before.filter(|before| before.uid == uid);
        let (in_force, fault) = match compiled {
            Ok(compiled) => (Some(Arc::new(compiled)), None),
            Err(fault) => {
                let (in_force, reported) = before.map_or((None, None), |b| (b.in_force, b.fault));
                if reported.as_ref() != Some(&fault) {
                    let kind = K::kind(&());
                    let effect = if in_force.is_some() {
                        "its generation before stays in force"
                    } else {
                        "it has no effect"
                    };
                    tracing::warn!(%kind, name, fault, effect, "Cannot use an object");
                }
                (in_force, Some(fault))
            }
        };
        let kept = Kept {
            uid,
            in_force,
            fault,
        };
        self.objects.insert(name.clone(), kept);
        Some(name)
    }
}

fn decode<K: Compile>(object: &[u8]) -> Decoded<K> {
    Decoded::from_text(&String::from_utf8_lossy(object))
}
