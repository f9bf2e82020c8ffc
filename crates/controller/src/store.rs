//! All objects of a kind, as a watch brings them.
//!
//! Here: the objects by name. Not here: the watch (`bailiff_kube::watch`) and what the objects mean.
//! Invariant: what is known stays until a new list is complete.

use bailiff_kube::watch::Event;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The objects of a kind, by name.
#[derive(Debug)]
pub(crate) struct Store<K> {
    objects: BTreeMap<String, Arc<K>>,
    coming: BTreeMap<String, Arc<K>>,
    listed: bool,
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            coming: BTreeMap::new(),
            listed: false,
        }
    }
}

/// What an event changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing, or only the status.
    None,
    /// The object of this name.
    Of(String),
    /// Any of them.
    Any,
}

impl<K: ResourceExt> Store<K> {
    /// Applies an event, and returns what it changed.
    pub(crate) fn apply(&mut self, event: Event<K>) -> Change {
        match event {
            Event::Init => self.coming.clear(),
            Event::InitApply(object) => {
                self.coming.insert(object.name_any(), Arc::new(object));
            }
            Event::InitDone => {
                self.objects = std::mem::take(&mut self.coming);
                self.listed = true;
                return Change::Any;
            }
            Event::Apply(object) => {
                let name = object.name_any();
                let same = |old: &Arc<K>| {
                    let (old, new) = (old.meta(), object.meta());
                    old.uid == new.uid
                        && old.generation == new.generation
                        && old.annotations == new.annotations
                        && old.labels == new.labels
                        && new.generation.is_some()
                };
                let unchanged = self.objects.get(&name).is_some_and(same);
                self.objects.insert(name.clone(), Arc::new(object));
                return if unchanged {
                    Change::None
                } else {
                    Change::Of(name)
                };
            }
            Event::Delete(metadata) => {
                let name = metadata.name.unwrap_or_default();
                self.objects.remove(&name);
                return Change::Of(name);
            }
        }
        Change::None
    }

    /// The object of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<K>> {
        self.objects.get(name)
    }

    /// All objects, by name.
    pub(crate) const fn all(&self) -> &BTreeMap<String, Arc<K>> {
        &self.objects
    }

    /// Whether a list was complete.
    pub(crate) const fn is_listed(&self) -> bool {
        self.listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_api::RuntimePolicy;
    use serde_json::json;

    fn policy(generation: i64) -> RuntimePolicy {
        serde_json::from_value(json!({
            "metadata": {"name": "no-shells", "generation": generation},
            "spec": {"validations": [{"expression": "true"}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_change_of_the_spec_is_news_and_one_of_the_status_is_not() {
        let mut store = Store::default();
        let name = || Change::Of("no-shells".to_owned());
        assert_eq!(store.apply(Event::Init), Change::None);
        assert_eq!(store.apply(Event::InitApply(policy(1))), Change::None);
        assert!(!store.is_listed());
        assert_eq!(store.apply(Event::InitDone), Change::Any);
        assert!(store.is_listed());
        assert_eq!(store.apply(Event::Apply(policy(1))), Change::None);
        assert_eq!(store.apply(Event::Apply(policy(2))), name());
        let gone = Box::new(policy(2).metadata);
        assert_eq!(store.apply(Event::Delete(gone)), name());
        assert!(store.all().is_empty());
        // A new list, which no longer names it.
        store.apply(Event::Apply(policy(3)));
        store.apply(Event::Init);
        assert!(
            store.get("no-shells").is_some(),
            "what was known stays until the end"
        );
        store.apply(Event::InitDone);
        assert!(store.all().is_empty());
    }

    #[test]
    fn an_annotation_is_news_as_it_resumes_a_binding() {
        let mut store = Store::default();
        store.apply(Event::Apply(policy(1)));
        let mut resumed = policy(1);
        resumed
            .annotations_mut()
            .insert("bailiff.dev/resume".to_owned(), "1/1".to_owned());
        assert_eq!(
            store.apply(Event::Apply(resumed)),
            Change::Of("no-shells".to_owned())
        );
    }
}
