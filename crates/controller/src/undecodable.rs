//! Reports policies and bindings that cannot be decoded, on the objects themselves.
//!
//! Here: the condition Ready of such an object. Not here: which ones there are
//! (`bailiff_kube::decode`), the metric.
//! Invariant: each fault of an object is written once; the rest of its status stays, as nothing of it
//! can be read.

use bailiff_api::condition::{ready, types};
use bailiff_kube::decode::{Problem, UndecodableObjects};
use bailiff_response::messages::escaped;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most characters of the cause in the condition.
const CAUSE_LIMIT: usize = 512;

/// The UID and generation of an object, and why it cannot be decoded.
type Fault = (Option<String>, Option<i64>, String);

/// What was written, by kind and name.
#[derive(Debug, Default)]
pub(crate) struct Reported(BTreeMap<(String, String), Fault>);

impl Reported {
    /// Reports the objects of a kind that cannot be decoded now. What the API server does not take
    /// is tried again the next time.
    pub(crate) async fn report<K>(&mut self, client: &Client, undecodable: &UndecodableObjects)
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let kind = K::kind(&()).into_owned();
        let problems = undecodable.of_kind(&kind);
        let problems = problems.iter().filter(|problem| !problem.usable);
        let now: BTreeMap<_, _> = problems
            .filter_map(|problem| Some((problem.metadata.name.clone()?, problem)))
            .collect();
        self.0
            .retain(|(of, name), _| *of != kind || now.contains_key(name));
        let api = Api::<K>::all(client.clone());
        for (name, problem) in now {
            let metadata = &problem.metadata;
            let fault = (
                metadata.uid.clone(),
                metadata.generation,
                problem.error.clone(),
            );
            let key = (kind.clone(), name);
            if self.0.get(&key) == Some(&fault) {
                continue;
            }
            let patch = Patch::Merge(status(problem, Timestamp::now()));
            match api
                .patch_status(&key.1, &PatchParams::default(), &patch)
                .await
            {
                // The response is the object, which still cannot be decoded.
                Ok(_) | Err(kube::Error::SerdeError(_)) => {
                    self.0.insert(key, fault);
                }
                Err(error) => {
                    tracing::warn!(%error, kind, name = key.1, "Cannot write the status of an object that cannot be decoded");
                }
            }
        }
    }
}

fn status(problem: &Problem, now: Timestamp) -> Value {
    let generation = problem.metadata.generation;
    let cause = escaped(&problem.error, CAUSE_LIMIT);
    json!({
        "metadata": {"uid": problem.metadata.uid},
        "status": {
            "observedGeneration": generation,
            "conditions": [{
                "type": types::READY,
                "status": "False",
                "reason": ready::DECODE_ERROR,
                "message": format!(
                    "This version of Bailiff cannot decode the object, so it never enforces. {cause}. Correct the field, or upgrade Bailiff."
                ),
                "observedGeneration": generation,
                "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            }],
        },
    })
}
