//! Objects of a kind as they are in force.
//!
//! Here: which generation of each is. Not here: watching them (`watches`), and which of them exist
//! (`bailiff_kube::list_watch`).
//! Invariant: an object that cannot be decoded or compiled changes nothing: the generation before stays in
//! force. If there is none, the object has no effect and is reported.

use bailiff_kube::decode::{Decoded, Undecodable};
use bailiff_kube::list_watch::{ListedObjects, ObjectEvent, ObjectsByName};
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
    objects: Objects<K>,
    listed: ListedObjects,
}

struct Objects<K: Compile>(BTreeMap<String, Kept<K::Compiled>>);

struct Kept<C> {
    uid: Option<String>,
    in_force: Option<Arc<C>>,
    fault: Option<String>,
}

impl<K: Compile> Default for Store<K> {
    fn default() -> Self {
        Self {
            objects: Objects(BTreeMap::new()),
            listed: ListedObjects::default(),
        }
    }
}

impl<K: Compile> Store<K> {
    /// Whether all objects were listed once.
    pub(crate) const fn is_listed(&self) -> bool {
        self.listed.is_listed()
    }

    /// What is in force, by name of the object.
    pub(crate) fn in_force(&self) -> BTreeMap<String, Arc<K::Compiled>> {
        let kept = self.objects.0.iter();
        kept.filter_map(|(name, kept)| Some((name.clone(), Arc::clone(kept.in_force.as_ref()?))))
            .collect()
    }

    /// How many objects are not in force as they are now.
    pub(crate) fn faulty(&self) -> usize {
        let kept = self.objects.0.values();
        kept.filter(|kept| kept.fault.is_some()).count()
    }

    /// Takes an event; true: what is in force can differ from before.
    pub(crate) fn apply(&mut self, event: &ObjectEvent) -> bool {
        if *event == ObjectEvent::TooLarge {
            let kind = K::kind(&());
            tracing::warn!(%kind, "An object is too large to be read; what was in force stays");
        }
        self.listed.apply(event, &mut self.objects)
    }
}

impl<K: Compile> ObjectsByName for Objects<K> {
    fn keep(&mut self, object: &[u8]) -> Option<String> {
        let decoded = decode::<K>(object);
        let (name, uid) = (decoded.meta().name.clone()?, decoded.meta().uid.clone());
        let compiled = match decoded.into_result() {
            Ok(object) => object.compile(),
            Err(Undecodable { error, .. }) => Err(error.to_string()),
        };
        let before = self.0.remove(&name);
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
        self.0.insert(name.clone(), kept);
        Some(name)
    }

    fn remove(&mut self, object: &[u8]) {
        let decoded = decode::<K>(object);
        let name = decoded.meta().name.as_deref().unwrap_or_default();
        self.0.remove(name);
    }

    fn retain(&mut self, names: &BTreeSet<String>) {
        self.0.retain(|name, _| names.contains(name));
    }
}

fn decode<K: Compile>(object: &[u8]) -> Decoded<K> {
    Decoded::from_text(&String::from_utf8_lossy(object))
}
