//! Which waiting Incidents an event wakes.

use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, from_value, json};

fn policy(uid: &str, generation: i64) -> RuntimePolicy {
    from_value(json!({
        "metadata": {"name": "no-shells", "uid": uid, "generation": generation},
        "spec": {"validations": [{"expression": "true"}]},
    }))
    .unwrap()
}

fn binding(policy: &str, change: impl FnOnce(&mut Value)) -> RuntimePolicyBinding {
    let mut binding = json!({
        "metadata": {"name": "b", "uid": "b", "generation": 1},
        "spec": {"policyName": policy, "responseActions": ["Evict"]},
    });
    change(&mut binding);
    from_value(binding).unwrap()
}

fn deleted(name: &str, uid: &str) -> Box<ObjectMeta> {
    let metadata = json!({"name": name, "uid": uid});
    Box::new(from_value(metadata).unwrap())
}

fn cache() -> Cache {
    Cache::new(UndecodableObjects::default())
}

fn news(uids: &[&str]) -> Vec<News> {
    uids.iter()
        .map(|uid| News::Policy((*uid).to_owned()))
        .collect()
}

#[test]
fn a_changed_policy_wakes_what_waits_for_it() {
    let cache = cache();
    for (event, want) in [
        (Event::Init, vec![]),
        (Event::InitApply(policy("one", 1)), vec![]),
        (Event::InitDone, vec![News::All]),
        (Event::Apply(policy("one", 1)), vec![]),
        (Event::Apply(policy("one", 2)), news(&["one", "one"])),
        // Deleted and created again, as the watch brings it after a gap.
        (Event::Apply(policy("two", 1)), news(&["one", "two"])),
        (Event::Delete(deleted("no-shells", "two")), news(&["two"])),
        (Event::Apply(policy("three", 1)), news(&["three"])),
    ] {
        let what = format!("{event:?}");
        assert_eq!(cache.policy(event), want, "{what}");
    }
    assert!(
        cache.rules().policy("no-shells").is_some(),
        "it is compiled"
    );
}

#[test]
fn a_changed_binding_wakes_what_waits_for_its_policy() {
    let cache = cache();
    cache.policy(Event::Apply(policy("one", 1)));
    let same = |_: &mut Value| ();
    let resumed = |b: &mut Value| {
        b["metadata"]["annotations"] = json!({"bailiff.dev/resume": "1/1"});
    };
    let paused = |b: &mut Value| {
        resumed(b);
        b["status"] = json!({"observedGeneration": 1});
    };
    for (event, want) in [
        (Event::Init, vec![]),
        (Event::InitApply(binding("no-shells", same)), vec![]),
        (Event::InitDone, vec![News::All]),
        (Event::Apply(binding("no-shells", same)), vec![]),
        (Event::Apply(binding("no-shells", resumed)), news(&["one"])),
        (Event::Apply(binding("no-shells", paused)), vec![]),
        (Event::Delete(deleted("b", "b")), news(&["one"])),
        // Nothing waits for a policy that does not exist.
        (Event::Apply(binding("unknown", same)), vec![]),
        (Event::Delete(deleted("b", "b")), vec![]),
    ] {
        let what = format!("{event:?}");
        assert_eq!(cache.binding(event), want, "{what}");
    }
}

#[test]
fn protection_and_switch_wake_what_waits_for_them() {
    let not_protected = || vec![News::Reason("IncidentsNotProtected")];
    for (change, want) in [
        (Change::None, vec![]),
        (Change::Of("x".to_owned()), not_protected()),
        (Change::Any, not_protected()),
    ] {
        assert_eq!(protection(&change), want, "{change:?}");
    }
    let off = || vec![News::Reason("ResponsesSwitchedOff")];
    for (event, want) in [
        (Event::Init, vec![]),
        (Event::InitApply(ConfigMap::default()), vec![]),
        // Also where it does not exist.
        (Event::InitDone, off()),
        (Event::Apply(ConfigMap::default()), off()),
        (Event::Delete(deleted("bailiff-response", "u")), off()),
    ] {
        assert_eq!(switched(&event), want, "{event:?}");
    }
}
