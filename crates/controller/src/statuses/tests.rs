//! When a status is computed and written.

use super::*;
use crate::config::Config;
use crate::testing::World;
use bailiff_kube::decode::Decoded;
use bailiff_kube::serve::Health;
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value, json};

const POLICIES: &str = "/apis/bailiff.dev/v1alpha1/runtimepolicies";
const BINDINGS: &str = "/apis/bailiff.dev/v1alpha1/runtimepolicybindings";
const SWITCH: &str = "/api/v1/namespaces/bailiff-system/configmaps/bailiff-response";

/// A controller that keeps statuses, and what these count.
struct Test {
    world: World,
    counted: Counted,
    metrics: Metrics,
}

impl Test {
    fn new(world: World) -> Self {
        let counted = Counted {
            pods: Arc::default(),
            monitored: Monitored::new(None),
        };
        Self {
            world,
            counted,
            metrics: Metrics::default(),
        }
    }

    /// Plays a scenario while statuses are kept, with changes of the cluster in between.
    async fn keeps<F: Future<Output = ()>>(
        &self,
        rounds: Vec<Vec<Call>>,
        meanwhile: impl FnOnce(Arc<Controller>, Cache) -> F,
    ) {
        let (server, client) = ApiServer::playing(rounds);
        let config = Config {
            status_resync_interval: Duration::from_hours(1),
            ..Config::default()
        };
        let (responder, _recovering) = self.world.controller(client, config);
        let cache = self.world.cache();
        let heartbeat = Health::default().register_loop("statuses", Duration::from_mins(1));
        let meanwhile = meanwhile(Arc::clone(&responder), cache.clone());
        let (counted, metrics) = (self.counted.clone(), self.metrics.clone());
        tokio::select! {
            () = run(responder, cache, counted, metrics, heartbeat) => panic!("it ended"),
            () = meanwhile => {}
        }
        server.finish();
    }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn switch() -> Vec<Call> {
    vec![Call::get(SWITCH).gives(json!({"metadata": {}, "data": {"mode": "Enforce"}}))]
}

/// A world with a policy alone, of this version.
fn policy_alone() -> World {
    World::new().with(|w| {
        w.policy["metadata"]["resourceVersion"] = json!("5");
        w.bindings.clear();
    })
}

fn write(kind: &str, name: &str, body: Value) -> Call {
    Call::patch(&format!("{kind}/{name}/status")).with(body)
}

#[tokio::test(start_paused = true)]
async fn a_status_is_written_over_the_version_that_it_was_made_from() {
    let ready = json!({"metadata": {"resourceVersion": "5"},
        "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}});
    let conflict = || {
        let call = write(POLICIES, "no-shells", ready.clone());
        vec![call.fails(409, "Conflict", "the object has been modified")]
    };
    // It is computed again each second, from what the watch has brought by then.
    let rounds = std::iter::once(switch()).chain((0..5).map(|_| conflict()));
    let test = Test::new(policy_alone());
    test.keeps(rounds.collect(), |_, _| seconds(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_written_is_written_with_the_next_change() {
    let fails = |code, reason: &str| {
        let call = write(POLICIES, "no-shells", json!({}));
        vec![call.fails(code, reason, "no")]
    };
    let rounds = vec![
        switch(),
        fails(404, "NotFound"),
        fails(500, "InternalError"),
    ];
    let test = Test::new(policy_alone());
    let meanwhile = |_, cache: Cache| async move {
        seconds(5).await;
        cache.changed();
        seconds(5).await;
    };
    test.keeps(rounds, meanwhile).await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_reports_nothing_new_is_not_written() {
    let world = policy_alone().with(|w| {
        w.policy["status"] = json!({"observedGeneration": 1, "typeChecking": {}, "conditions": [
            {"type": "Ready", "status": "True", "reason": "Compiled", "observedGeneration": 1,
                "message": "Every expression compiles.", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    });
    let test = Test::new(world);
    let off = Call::get(SWITCH).gives(json!({"metadata": {}, "data": {"mode": "Audit"}}));
    let metrics = test.metrics.clone();
    let meanwhile = |_, cache: Cache| async move {
        seconds(5).await;
        assert_eq!(metrics.responses_enabled.get(), 1);
        assert_eq!(metrics.incidents_protected.get(), 1);
        cache.rules().protection = crate::store::Store::default();
        cache.changed();
        seconds(3600).await;
    };
    test.keeps(vec![switch(), vec![off]], meanwhile).await;
    assert_eq!(test.metrics.responses_enabled.get(), 0);
    assert_eq!(test.metrics.incidents_protected.get(), 0);
}

/// Lists two pods of an application on two nodes, and one of another.
async fn list_pods(counted: Counted, cache: Cache) {
    let pod = |uid: &str, app: &str, node: &str| {
        json!({"metadata": {"name": uid, "uid": uid, "namespace": "shop", "labels": {"app": app},
            "ownerReferences": [crate::testing::owner("ReplicaSet", "web", "set-uid")]},
            "spec": {"nodeName": node}})
    };
    let items = [
        pod("a", "web", "node-1"),
        pod("b", "web", "node-2"),
        pod("c", "db", "node-3"),
    ];
    let list = json!({"metadata": {"resourceVersion": "5"}, "items": items});
    let pods = "/api/v1/pods";
    let (server, client) = ApiServer::playing([
        vec![Call::get(pods).gives(list)],
        vec![Call::get(pods).is_silent()],
    ]);
    let heartbeat = Health::default().register_loop("pods", Duration::from_mins(1));
    let following = crate::pods::follow(client, cache, counted.pods, heartbeat);
    tokio::select! {
        () = following => panic!("it ended"),
        () = seconds(5) => {}
    }
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_reported_at_once_and_its_coverage_when_pods_were_counted() {
    let ready = |kind, name| {
        let conditions = json!([{"type": "Ready", "status": "True"}]);
        vec![write(
            kind,
            name,
            json!({"status": {"conditions": conditions}}),
        )]
    };
    let coverage = json!({"matchingNodes": 2, "monitoredNodes": 1});
    let policy = json!({"status": {"coverage": coverage}});
    let binding = json!({"status": {"coverage": coverage, "conditions": [
        {"type": "Ready", "status": "True"},
        {"type": "PodsMatched", "status": "True", "reason": "MatchingPodsFound"}]}});
    let rounds = vec![
        switch(),
        ready(POLICIES, "no-shells"),
        ready(BINDINGS, "a"),
        vec![write(POLICIES, "no-shells", policy)],
        vec![write(BINDINGS, "a", binding)],
    ];
    // The policy matches less than the binding.
    let world = World::new().with(|w| {
        let web = json!({"objectSelector": {"matchLabels": {"app": "web"}}});
        w.policy["spec"]["matchConstraints"] = web;
    });
    let test = Test::new(world);
    let counted = test.counted.clone();
    let meanwhile = |_, cache: Cache| async move {
        seconds(5).await;
        let matched = |cache: &Cache| cache.rules().matched_workloads.get("a").copied();
        assert_eq!(matched(&cache), None);
        let nodes = ["node-1".to_owned()].into();
        counted.monitored.send_replace(Some(nodes));
        list_pods(counted, cache.clone()).await;
        assert_eq!(matched(&cache), Some(1));
    };
    test.keeps(rounds, meanwhile).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_list_of_the_sensors_no_node_counts() {
    let rounds = || {
        let write = |kind, name| vec![write(kind, name, json!({}))];
        [write(POLICIES, "no-shells"), write(BINDINGS, "a")]
    };
    let test = Test::new(World::new());
    let counted = test.counted.clone();
    let meanwhile = |_, cache: Cache| async move {
        // What was counted with other selectors does not count.
        cache.rules().matched_workloads.insert("a".to_owned(), 7);
        seconds(5).await;
        list_pods(counted, cache.clone()).await;
        assert!(cache.rules().matched_workloads.is_empty());
    };
    let rounds = [vec![switch()], rounds().to_vec(), rounds().to_vec()].concat();
    test.keeps(rounds, meanwhile).await;
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_is_paused_is_reported_once_the_status_is_written() {
    let created = json!("2026-01-01T00:00:00Z");
    let world = World::new().with(|w| {
        w.policy["metadata"]["creationTimestamp"] = created.clone();
        w.bindings[0].1["metadata"]["creationTimestamp"] = created.clone();
    });
    let policy = || vec![write(POLICIES, "no-shells", json!({}))];
    let paused = || {
        let conditions = json!([{"type": "Ready"}, {"type": "PodsMatched"},
            {"type": "Paused", "status": "True", "reason": "TooManyWorkloads"}]);
        let paused = json!({"policyUID": "policy-uid", "policyGeneration": 1, "bindingGeneration": 1,
            "workloads": 11, "maxWorkloads": 10});
        write(
            BINDINGS,
            "a",
            json!({"status": {"conditions": conditions, "paused": paused}}),
        )
    };
    let event = json!({"reason": "BindingPaused", "type": "Warning",
        "regarding": {"kind": "RuntimePolicyBinding", "name": "a", "uid": "a-uid"}});
    let rounds = vec![
        switch(),
        policy(),
        vec![write(BINDINGS, "a", json!({}))],
        policy(),
        vec![paused().fails(409, "Conflict", "the object has been modified")],
        policy(),
        vec![paused()],
        vec![Call::post("/apis/events.k8s.io/v1/namespaces/default/events").with(event)],
    ];
    let test = Test::new(world);
    let counted = test.counted.clone();
    let meanwhile = |controller: Arc<Controller>, cache: Cache| async move {
        seconds(5).await;
        for number in 0..11 {
            let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web",
                "uid": format!("w{number}")});
            let waiting = json!({"reason": "RateLimited", "enforced": true, "startTime": "2026-01-01T01:00:00.000000Z"});
            let mut incident = crate::testing::incident_json(
                &json!({"workloadRef": workload, "waiting": waiting}),
            );
            incident["metadata"]["uid"] = json!(format!("inc-{number}"));
            incident["spec"]["process"]["origin"] = json!("Entrypoint");
            let incident = serde_json::from_value(incident).unwrap();
            controller.work().controls.guards.observe(&incident);
        }
        counted
            .monitored
            .send_replace(Some(std::collections::BTreeSet::new()));
        list_pods(counted, cache).await;
    };
    test.keeps(rounds, meanwhile).await;
    assert_eq!(test.metrics.bindings_paused.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_was_paused_is_not_reported_again() {
    let world = World::new().with(|w| {
        w.bindings[0].1["status"] = json!({"observedGeneration": 1, "paused": {
            "policyUID": "policy-uid", "policyGeneration": 1, "bindingGeneration": 1,
            "startTime": "2026-01-01T00:00:00Z", "workloads": 12, "maxWorkloads": 10}});
    });
    let policy = || vec![write(POLICIES, "no-shells", json!({}))];
    let binding = || vec![write(BINDINGS, "a", json!({}))];
    let rounds = vec![switch(), policy(), binding(), policy(), binding()];
    let test = Test::new(world);
    let counted = test.counted.clone();
    let meanwhile = |_, cache: Cache| async move {
        counted
            .monitored
            .send_replace(Some(std::collections::BTreeSet::new()));
        seconds(5).await;
        list_pods(counted, cache).await;
    };
    test.keeps(rounds, meanwhile).await;
    assert_eq!(test.metrics.bindings_paused.get(), 1);
}

#[test]
fn counting_pods_takes_a_small_part_of_the_time() {
    let ms = Duration::from_millis;
    for (took, want) in [(ms(0), ms(50)), (ms(2), ms(50)), (ms(100), ms(2_000))] {
        assert_eq!(pause(took), want, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_decoded_is_told_on_itself_and_stops_no_other() {
    let world = World::new().with(|w| w.policy = Value::Null);
    let object = |spec: Value| {
        json!({"metadata": {"name": "bad", "uid": "bad", "generation": 3, "resourceVersion": "5"},
            "spec": spec})
    };
    let binding = object(json!({"policyName": "none", "responseActions": ["Isolate"]}));
    let policy = object(json!({"validations": [{"expression": 7}]}));
    let told = |kind, bad: &Value, cause: &str| {
        let message = format!(
            "This version of Bailiff cannot decode the object, so it never enforces. {cause}. Correct the field, or upgrade Bailiff."
        );
        let condition = json!({"type": "Ready", "status": "False", "reason": "DecodeError",
            "observedGeneration": 3, "message": message});
        let status = json!({"observedGeneration": 3, "conditions": [condition]});
        let told = json!({"metadata": {"uid": "bad"}, "status": status});
        vec![write(kind, "bad", told).gives(bad.clone())]
    };
    let actions = "spec.responseActions[0]: unknown variant `Isolate`, expected one of `Audit`, `Evict`, `Delete`";
    let expression = "spec.validations[0].expression: invalid type: integer `7`, expected a string";
    let not_found = json!({"status": {"conditions": [{"reason": "PolicyNotFound"}]}});
    let rounds = vec![
        switch(),
        told(POLICIES, &policy, expression),
        told(BINDINGS, &binding, actions),
        vec![write(BINDINGS, "a", not_found).gives(crate::testing::binding("a", "Evict"))],
    ];
    let test = Test::new(world);
    let (server, client) = ApiServer::playing(rounds);
    let (responder, _recovering) = test.world.controller(client, Config::default());
    let cache = test.world.cache();
    let bad = &cache.undecodable;
    let decoded = Decoded::<RuntimePolicyBinding>::from_text(&binding.to_string());
    assert!(bad.observe("RuntimePolicyBinding", decoded));
    let decoded = Decoded::<RuntimePolicy>::from_text(&policy.to_string());
    assert!(bad.observe("RuntimePolicy", decoded));
    let heartbeat = Health::default().register_loop("statuses", Duration::from_mins(1));
    let keeping = run(responder, cache, test.counted, test.metrics, heartbeat);
    let ended = tokio::time::timeout(Duration::from_secs(5), keeping).await;
    assert!(ended.is_err());
    server.finish();
}

#[test]
fn what_is_absent_in_the_new_status_is_removed() {
    let warned = json!({
        "typeChecking": {"expressionWarnings": [{"fieldRef": "a"}]},
        "coverage": {"matchingNodes": 1},
    });
    for (before, now, patch) in [
        (json!({"a": 1}), json!({"a": 2}), json!({"a": 2})),
        (
            warned.clone(),
            json!({"typeChecking": {}}),
            json!({"typeChecking": {"expressionWarnings": null}, "coverage": null}),
        ),
        (
            warned.clone(),
            json!({}),
            json!({"typeChecking": null, "coverage": null}),
        ),
        (Value::Null, warned.clone(), warned),
    ] {
        assert_eq!(merged(&before, &now), patch);
    }
}
