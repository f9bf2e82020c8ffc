//! Reads the containers of a pod that is too large to be read as one.
//!
//! Here: which of them are kept, and what is left out of each. Not here: pods of the common size, and
//! what a container is (`read`).
//! Invariant: a container that was started is known, and what others contain does not change that; a text
//! that is too large is unknown for its own container alone.

use crate::incident::evidence::PATH_LIMIT_BYTES;
use bailiff_policy::{Reads, project};
use k8s_openapi::api::core::v1::{Container as Spec, ContainerStatus};
use serde::Deserialize;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;

/// Most bytes of memory of one container's fields with the images, and without.
const WITH_IMAGES_BYTES: usize = 32 * 1024;
const WITHOUT_IMAGES_BYTES: usize = 4 * 1024;

/// The lists of a pod, as its JSON.
#[derive(Deserialize)]
struct Pod<'a> {
    #[serde(borrow)]
    spec: Option<Lists<'a>>,
    #[serde(borrow)]
    status: Option<Lists<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lists<'a> {
    #[serde(borrow)]
    containers: Option<&'a RawValue>,
    #[serde(borrow)]
    init_containers: Option<&'a RawValue>,
    #[serde(borrow)]
    container_statuses: Option<&'a RawValue>,
    #[serde(borrow)]
    init_container_statuses: Option<&'a RawValue>,
    #[serde(borrow)]
    ephemeral_container_statuses: Option<&'a RawValue>,
}

/// The containers of a pod that were started.
#[derive(Default)]
pub(super) struct Started {
    pub(super) containers: Vec<Spec>,
    pub(super) init_containers: Vec<Spec>,
    pub(super) container_statuses: Vec<ContainerStatus>,
    pub(super) init_container_statuses: Vec<ContainerStatus>,
    pub(super) ephemeral_container_statuses: Vec<ContainerStatus>,
    /// Bytes of memory.
    pub(super) bytes: usize,
    /// Not all of them had room.
    pub(super) left_out: bool,
}

/// Those that have an ID, in at most so many bytes of memory.
///
/// # Errors
/// When its JSON is not that of a Pod.
pub(super) fn started(json: &[u8], limit: usize) -> serde_json::Result<Started> {
    let pod: Pod<'_> = serde_json::from_slice(json)?;
    let (spec, status) = (pod.spec.unwrap_or_default(), pod.status.unwrap_or_default());
    let mut found = Started::default();
    let mut names = HashSet::new();
    for (list, kept) in [
        (status.container_statuses, &mut found.container_statuses),
        (
            status.init_container_statuses,
            &mut found.init_container_statuses,
        ),
        (
            status.ephemeral_container_statuses,
            &mut found.ephemeral_container_statuses,
        ),
    ] {
        each(list, |element| {
            let is_started = |value: &Value| {
                let ids = [
                    &value["containerID"],
                    &value["lastState"]["terminated"]["containerID"],
                ];
                ids.into_iter().any(Value::is_string)
            };
            let room = limit.saturating_sub(found.bytes);
            match fields(element, super::read::STATUS, room) {
                Some((value, bytes)) if is_started(&value) => {
                    if bytes > room {
                        found.left_out = true;
                        return;
                    }
                    let Ok(status) = serde_json::from_value::<ContainerStatus>(value) else {
                        found.left_out = true;
                        return;
                    };
                    found.bytes = found.bytes.saturating_add(bytes);
                    names.insert(status.name.clone());
                    kept.push(status);
                }
                // One that was not started has no process.
                Some(_) => {}
                None => found.left_out = true,
            }
        })?;
    }
    for (list, kept) in [
        (spec.containers, &mut found.containers),
        (spec.init_containers, &mut found.init_containers),
    ] {
        each(list, |element| {
            let room = limit.saturating_sub(found.bytes);
            let Some((value, bytes)) = fields(element, super::read::SPEC, room) else {
                found.left_out = true;
                return;
            };
            if !value["name"]
                .as_str()
                .is_some_and(|name| names.remove(name))
            {
                return;
            }
            // An init container without its restartPolicy would be taken for another type.
            match serde_json::from_value::<Spec>(value) {
                Ok(spec) if bytes <= room => {
                    found.bytes = found.bytes.saturating_add(bytes);
                    kept.push(spec);
                }
                Ok(_) | Err(_) => found.left_out = true,
            }
        })?;
    }
    Ok(found)
}

/// These fields of a container and their bytes of memory, without images where those are too large or
/// there is no room for them. None: it is too large without them.
fn fields(element: &RawValue, names: &[&[&str]], room: usize) -> Option<(Value, usize)> {
    let json = element.get().as_bytes();
    let all = |with_images: bool, limit: usize| {
        let mut reads = Reads::default();
        for name in names {
            if with_images || !matches!(name, ["image" | "imageID"]) {
                reads.merge(&Reads::path(name));
            }
        }
        project(json, &reads, limit).ok()
    };
    let is_short = |value: &Value| {
        let text = |name: &str| value[name].as_str().unwrap_or_default().len();
        ["image", "imageID"]
            .into_iter()
            .all(|name| text(name) <= PATH_LIMIT_BYTES)
    };
    all(true, WITH_IMAGES_BYTES)
        .filter(|(value, bytes)| *bytes <= room && is_short(value))
        .or_else(|| all(false, WITHOUT_IMAGES_BYTES))
}

/// Each element of a list.
fn each(list: Option<&RawValue>, found: impl FnMut(&RawValue)) -> serde_json::Result<()> {
    struct Elements<F>(F);

    impl<'de, F: FnMut(&RawValue)> Visitor<'de> for Elements<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
            while let Some(element) = list.next_element::<&RawValue>()? {
                (self.0)(element);
            }
            Ok(())
        }
    }

    match list {
        None => Ok(()),
        Some(list) => {
            serde_json::Deserializer::from_str(list.get()).deserialize_any(Elements(found))
        }
    }
}
