//! What the sensor cannot evaluate, though it should.
//!
//! Here: counting and naming it. Not here: the Event about it (`coverage`), processes that were not
//! evaluated one by one (`metrics`).
//! Invariant: what is kept is bounded, also with the longest names of objects; a gap that is over is no
//! longer reported, nor is one of an object that a new list does not name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Most objects that are remembered for a gap, and most that are named in a report.
const OBJECTS_LIMIT: usize = 1000;
const NAMED_LIMIT: usize = 5;

/// Why something is not evaluated, or not as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Gap {
    /// The parts of the Pod or Namespace that policies read take too many bytes.
    ObjectTooLarge,
    /// So many containers, probes or hooks, or so many pods, that some of the pod's are not known.
    ContainersTooLarge,
    /// The object cannot be decoded.
    DecodeError,
    /// Processes of the pod were not evaluated, because too many waited.
    QueueFull,
    /// The pod's processes run in a sandbox with a kernel of its own, of which the sensor sees nothing.
    Sandboxed,
    /// Processes that run already were not all found. The object is the cause.
    RunningProcesses,
}

impl Gap {
    /// Those that are counted by their reason; `Sandboxed` has a metric of its own.
    pub(crate) const COUNTED: [Self; 5] = [
        Self::ObjectTooLarge,
        Self::ContainersTooLarge,
        Self::DecodeError,
        Self::QueueFull,
        Self::RunningProcesses,
    ];

    /// What it means, and what to do.
    const fn sentence(self) -> &'static str {
        match self {
            Self::ObjectTooLarge => {
                "Policies that read these objects cannot be evaluated, because what they read is too large to keep; make the objects smaller"
            }
            Self::ContainersTooLarge => {
                "Containers or probes of these pods are not known, because they are too large to keep; make the pods smaller"
            }
            Self::DecodeError => {
                "These objects cannot be decoded and do not count; see the log of the sensor"
            }
            Self::QueueFull => {
                "Some processes of these pods were not evaluated, because too many waited for their pod"
            }
            Self::Sandboxed => {
                "Processes of these pods are not monitored, because their RuntimeClass runs them in a sandbox with its own kernel (sensor.sandboxRuntimeClasses); run the pods that policies must cover with another RuntimeClass"
            }
            Self::RunningProcesses => {
                "Processes that started before the sensor, or while events were lost, are not evaluated until they execute something"
            }
        }
    }
}

/// Those that an object has for what it is, for as long as it exists.
const OF_OBJECTS: [Gap; 4] = [
    Gap::ObjectTooLarge,
    Gap::ContainersTooLarge,
    Gap::DecodeError,
    Gap::Sandboxed,
];

/// The kind of an object that is named after it.
fn kind_of(object: &str) -> &str {
    object.split_once(' ').map_or(object, |(kind, _)| kind)
}

/// The gaps of now, with the objects that they are about.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    objects: BTreeMap<Gap, BTreeSet<String>>,
    /// Of each kind that is listed now, the objects with gaps of the list so far.
    listing: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Gaps {
    /// Objects of this kind are listed from here on.
    pub(crate) fn begin_list(&mut self, kind: &'static str) {
        self.listing.insert(kind, BTreeSet::new());
    }

    /// The list is complete: what it did not name does not exist, and has no gap of its own.
    pub(crate) fn end_list(&mut self, kind: &'static str) {
        let listed = self.listing.remove(kind).unwrap_or_default();
        for gap in OF_OBJECTS {
            if let Some(objects) = self.objects.get_mut(&gap) {
                objects.retain(|object| kind_of(object) != kind || listed.contains(object));
            }
        }
    }

    /// An object has this gap. It begins with its kind.
    pub(crate) fn add(&mut self, gap: Gap, object: &str) {
        if let Some(listed) = self.listing.get_mut(kind_of(object))
            && listed.len() < OF_OBJECTS.len() * OBJECTS_LIMIT
        {
            listed.insert(object.to_owned());
        }
        let objects = self.objects.entry(gap).or_default();
        if objects.len() < OBJECTS_LIMIT && !objects.contains(object) {
            tracing::warn!(?gap, object, "Not everything is evaluated");
            objects.insert(object.to_owned());
        }
    }

    /// An object has this gap no more.
    pub(crate) fn remove(&mut self, gap: Gap, object: &str) {
        if let Some(objects) = self.objects.get_mut(&gap) {
            objects.remove(object);
        }
    }

    /// An object has these gaps and no others of its own.
    pub(crate) fn set(&mut self, object: &str, gaps: &[Gap]) {
        for gap in OF_OBJECTS {
            if gaps.contains(&gap) {
                self.add(gap, object);
            } else {
                self.remove(gap, object);
            }
        }
    }

    /// How many objects have this gap.
    pub(crate) fn count(&self, gap: Gap) -> usize {
        self.objects.get(&gap).map_or(0, BTreeSet::len)
    }

    /// How many objects of a kind have this gap.
    pub(crate) fn count_of(&self, gap: Gap, kind: &str) -> usize {
        let objects = self.objects.get(&gap).into_iter().flatten();
        objects.filter(|object| kind_of(object) == kind).count()
    }

    /// A gap that is one moment's is over.
    pub(crate) fn clear(&mut self, gap: Gap) {
        self.objects.remove(&gap);
    }

    /// All of them for people; none where everything is evaluated.
    pub(crate) fn report(&self) -> Option<String> {
        let mut text = String::new();
        for (gap, objects) in self.objects.iter().filter(|(_, o)| !o.is_empty()) {
            let named: Vec<_> = objects
                .iter()
                .take(NAMED_LIMIT)
                .map(String::as_str)
                .collect();
            let more = objects.len().saturating_sub(named.len());
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            // Writing to a String does not fail.
            let written = write!(text, " {}: {}{more}.", gap.sentence(), named.join(", "));
            debug_assert!(written.is_ok());
        }
        (!text.is_empty())
            .then(|| format!("Bailiff does not evaluate everything on this node.{text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_new_list_does_not_name_has_no_gap() {
        let mut gaps = Gaps::default();
        for object in ["pod shop/gone", "pod shop/bad", "RuntimePolicy gone"] {
            gaps.set(object, &[Gap::DecodeError]);
        }
        gaps.add(Gap::ContainersTooLarge, "pod of more than 10 MiB");
        // Not one of the object itself.
        gaps.add(Gap::QueueFull, "pod shop/gone");
        gaps.begin_list("pod");
        gaps.set("pod shop/bad", &[Gap::DecodeError]);
        gaps.end_list("pod");
        let names = |gap| -> Vec<_> { gaps.objects[&gap].iter().map(String::as_str).collect() };
        assert_eq!(
            names(Gap::DecodeError),
            ["RuntimePolicy gone", "pod shop/bad"]
        );
        assert_eq!(names(Gap::ContainersTooLarge), [""; 0]);
        assert_eq!(names(Gap::QueueFull), ["pod shop/gone"]);
    }

    #[test]
    fn gaps_are_reported_until_they_are_over_and_few_are_named() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.report(), None);
        gaps.set("pod shop/web", &[Gap::ObjectTooLarge]);
        assert_eq!(
            gaps.report().as_deref(),
            Some(
                "Bailiff does not evaluate everything on this node. Policies that read these objects cannot be evaluated, because what they read is too large to keep; make the objects smaller: pod shop/web."
            )
        );
        for number in 0..7 {
            gaps.add(Gap::QueueFull, &format!("pod shop/p{number}"));
        }
        let report = gaps.report().unwrap();
        assert!(
            report.ends_with(
                "because too many waited for their pod: pod shop/p0, pod shop/p1, pod shop/p2, pod shop/p3, pod shop/p4 and 2 more."
            ),
            "{report}"
        );
        gaps.set("pod shop/web", &[]);
        gaps.clear(Gap::QueueFull);
        assert_eq!((gaps.report(), gaps.count(Gap::ObjectTooLarge)), (None, 0));
        for number in 0..2 * OBJECTS_LIMIT {
            gaps.add(Gap::DecodeError, &format!("pod shop/p{number}"));
        }
        assert_eq!(gaps.count(Gap::DecodeError), OBJECTS_LIMIT);
    }
}
