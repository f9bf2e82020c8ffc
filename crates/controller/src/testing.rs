//! What several of this crate's tests start from.
//!
//! Here: a violation, and the cluster that it is read from. Not here: what is tested.
//! Invariant: the baseline is a violation that is responded to by an eviction; a test changes one
//! thing of it.

use crate::cache::Cache;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::reconcile::Controller;
use crate::store::Store;
use bailiff_api::{Incident, protection};
use bailiff_kube::decode::UndecodableObjects;
use bailiff_kube::watch::Event;
use bailiff_testing::Call;
use kube::{Client, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Where things are.
pub(crate) const POD: &str = "/api/v1/namespaces/shop/pods/web-5d8f-x7k2p";
pub(crate) const EVICTION: &str = "/api/v1/namespaces/shop/pods/web-5d8f-x7k2p/eviction";
pub(crate) const SET: &str = "/apis/apps/v1/namespaces/shop/replicasets/web-5d8f";
pub(crate) const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
pub(crate) const INCIDENT: &str = "/apis/bailiff.dev/v1alpha1/namespaces/shop/incidents/inc-1";
pub(crate) const STATUS: &str = "/apis/bailiff.dev/v1alpha1/namespaces/shop/incidents/inc-1/status";
pub(crate) const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/shop/events";
const BINDINGS: &str = "/apis/bailiff.dev/v1alpha1/runtimepolicybindings";
const POLICY: &str = "/apis/bailiff.dev/v1alpha1/runtimepolicies/no-shells";
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
pub(crate) const SWITCH: &str = "/api/v1/namespaces/bailiff-system/configmaps/bailiff-response";

/// An Incident of a pod of Deployment web in shop, as JSON.
pub(crate) fn incident_json(status: &Value) -> Value {
    json!({
        "apiVersion": "bailiff.dev/v1alpha1", "kind": "Incident",
        "metadata": {"name": "inc-1", "namespace": "shop", "uid": "inc-uid", "generation": 1},
        "spec": {
            "type": "Violation", "severity": "High", "nodeName": "node-1",
            "policyRef": {"name": "no-shells", "uid": "policy-uid", "generation": 1},
            "bindingRefs": [{"name": "a", "uid": "a-uid"}],
            "pod": {
                "name": "web-5d8f-x7k2p", "namespace": "shop", "uid": "pod-uid",
                "labels": {"app": "web", "pod-template-hash": "5d8f"},
            },
            "container": {"name": "app"},
            "process": {
                "executable": "/bin/sh", "invokedPath": "/bin/sh", "names": ["sh"],
                "args": ["sh", "-c", "SECRET"], "executableSource": "Image", "origin": "Exec",
                "uid": 0, "gid": 0, "pid": 7, "startTime": "2026-01-01T00:00:00.000000Z",
            },
            "violations": [{"expressionIndex": 0, "message": "sh -c SECRET was started"}],
            "execTime": "2026-01-01T00:00:00.000000Z",
        },
        "status": status,
    })
}

/// The same as an object.
pub(crate) fn incident(status: &Value) -> Incident {
    serde_json::from_value(incident_json(status)).expect("an Incident")
}

/// What there is to be read about it. Null is not there.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) pod: Value,
    pub(crate) namespace: Value,
    pub(crate) policy: Value,
    pub(crate) bindings: Vec<(&'static str, Value)>,
    pub(crate) protection: Value,
    pub(crate) switch: Value,
}

/// A binding of the policy that asks for an action.
pub(crate) fn binding(name: &str, action: &str) -> Value {
    json!({
        "apiVersion": "bailiff.dev/v1alpha1", "kind": "RuntimePolicyBinding",
        "metadata": {"name": name, "uid": format!("{name}-uid"), "resourceVersion": "3", "generation": 1},
        "spec": {"policyName": "no-shells", "responseActions": [action]},
    })
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            pod: json!({
                "metadata": {
                    "name": "web-5d8f-x7k2p", "namespace": "shop", "uid": "pod-uid",
                    "labels": {"app": "web", "pod-template-hash": "5d8f"},
                    "ownerReferences": [owner("ReplicaSet", "web-5d8f", "set-uid")],
                },
                "spec": {"nodeName": "node-1", "containers": [{"name": "app"}]},
                "status": {"phase": "Running"},
            }),
            namespace: json!({"metadata": {"name": "shop", "uid": "shop-uid", "resourceVersion": "1",
                "labels": {"team": "shop"}}}),
            policy: json!({
                "apiVersion": "bailiff.dev/v1alpha1", "kind": "RuntimePolicy",
                "metadata": {"name": "no-shells", "uid": "policy-uid", "generation": 1, "resourceVersion": "2"},
                "spec": {"validations": [{"expression": "process.origin != 'Exec'"}]},
            }),
            bindings: vec![("a", binding("a", "Evict"))],
            protection: serde_json::to_value(protection::policy("bailiff-system")).expect("JSON"),
            switch: json!({"metadata": {"name": "bailiff-response"}, "data": {"mode": "Enforce"}}),
        }
    }

    /// The one round of reads that a response makes.
    pub(crate) fn reads(&self) -> Vec<Call> {
        let read = |path: &str, object: &Value| {
            let call = Call::get(path);
            if object.is_null() {
                call.is_missing()
            } else {
                call.gives(object.clone())
            }
        };
        let name = "bailiff-incident-protection";
        let bound = serde_json::to_value(protection::binding()).expect("JSON");
        let mut reads = vec![
            read(POD, &self.pod),
            Call::get(SET).gives(named("set-uid", &owner("Deployment", "web", "web-uid"))),
            Call::get(DEPLOYMENT).gives(named("web-uid", &Value::Null)),
            read("/api/v1/namespaces/shop", &self.namespace),
            read(POLICY, &self.policy),
            read(
                &format!("{ADMISSION}/validatingadmissionpolicies/{name}"),
                &self.protection,
            ),
            read(
                &format!("{ADMISSION}/validatingadmissionpolicybindings/{name}"),
                &bound,
            ),
            read(SWITCH, &self.switch),
        ];
        for (name, binding) in &self.bindings {
            reads.push(read(&format!("{BINDINGS}/{name}"), binding));
        }
        reads
    }

    /// A cache that has what there is.
    pub(crate) fn cache(&self) -> Cache {
        let cache = Cache::new(UndecodableObjects::default());
        {
            let mut rules = cache.rules();
            fill(&mut rules.policies, [&self.policy]);
            fill(
                &mut rules.bindings,
                self.bindings.iter().map(|(_, binding)| binding),
            );
            fill(&mut rules.namespaces, [&self.namespace]);
            fill(&mut rules.protection, [&self.protection]);
            let bound = serde_json::to_value(protection::binding()).expect("JSON");
            fill(&mut rules.protection_binding, [&bound]);
            let policies: Vec<_> = rules.policies.all().values().cloned().collect();
            for policy in policies {
                rules.compiled.apply(&policy.name_any(), &policy);
            }
        }
        cache
    }

    /// A controller that knows what there is, and what it has to recover.
    pub(crate) fn controller(
        &self,
        client: Client,
        config: Config,
    ) -> (Arc<Controller>, mpsc::UnboundedReceiver<Box<Incident>>) {
        let (send, recovering) = mpsc::unbounded_channel();
        let (cache, stopping) = (self.cache(), CancellationToken::new());
        let metrics = Metrics::default();
        let controller = Controller::new(client, config, cache, metrics, send, stopping);
        (Arc::new(controller), recovering)
    }

    /// The same, changed.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

fn fill<'a, K: ResourceExt + DeserializeOwned>(
    store: &mut Store<K>,
    objects: impl IntoIterator<Item = &'a Value>,
) {
    for object in objects.into_iter().filter(|object| !object.is_null()) {
        let object = serde_json::from_value(object.clone()).expect("an object");
        store.apply(Event::InitApply(object));
    }
    store.apply(Event::InitDone);
}

pub(crate) fn owner(kind: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true})
}

/// Metadata of an owner, itself with an owner or none.
pub(crate) fn named(uid: &str, owner: &Value) -> Value {
    let owners = if owner.is_null() {
        json!([])
    } else {
        json!([owner])
    };
    json!({
        "metadata": {"name": "x", "uid": uid, "ownerReferences": owners, "labels": {"app": "web"}},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
    })
}
