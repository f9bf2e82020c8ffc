//! Watches that fail, and definitions of policies that are deleted and installed again.

use super::*;
use bailiff_kube::list_watch::{ListWatch, ListWatchError};
use bailiff_testing::{ApiServer, Call};
use futures::StreamExt as _;
use serde_json::Value;

const POLICIES: &str = "/apis/bailiff.dev/v1alpha1/runtimepolicies";

fn as_value(policy: &[u8], version: &str) -> Value {
    let mut policy: Value = serde_json::from_slice(policy).unwrap();
    policy["metadata"]["resourceVersion"] = json!(version);
    policy
}

fn list(version: &str, policies: &[Value]) -> Call {
    let list = json!({"metadata": {"resourceVersion": version}, "items": policies});
    Call::get(POLICIES).gives(list)
}

fn no_kind() -> Call {
    let message = "the server could not find the requested resource";
    Call::get(POLICIES).fails(404, "NotFound", message)
}

/// A policy `any` that was created after the definition was installed again.
fn anew() -> Value {
    let mut policy = as_value(&policy("any", 1, "false"), "21");
    policy["metadata"]["uid"] = json!("any-2");
    policy
}

/// The names and UIDs of the policies that a process violates.
async fn violated(sensor: &mut Sensor, pid: u32) -> Vec<(String, String)> {
    sensor.exec(exec(pid, "a")).await;
    let found = sensor.findings().into_iter();
    found
        .map(|found| (found.policy.name, found.policy.uid))
        .collect()
}

fn of(policies: &[(&str, &str)]) -> Vec<(String, String)> {
    policies
        .iter()
        .map(|(name, uid)| ((*name).to_owned(), (*uid).to_owned()))
        .collect()
}

/// Lets the sensor follow a watch for so many events; how many of them were failures.
async fn follow(
    sensor: &mut Sensor,
    events: &mut (impl futures::Stream<Item = Result<Watched, ListWatchError>> + Unpin),
    number: usize,
) -> usize {
    let mut failures = 0;
    for _ in 0..number {
        let event = events.next().await.unwrap();
        failures += usize::from(event.is_err());
        sensor.state.policy(event);
    }
    failures
}

#[tokio::test(start_paused = true)]
async fn policies_stay_while_their_definition_is_away_and_new_ones_count_without_a_restart() {
    let known = [
        as_value(&policy("any", 1, "false"), "1"),
        as_value(&policy("web", 1, "container.name != 'web'"), "2"),
    ];
    let (server, client) = ApiServer::playing([
        vec![list("5", &known)],
        vec![no_kind()],
        vec![no_kind()],
        vec![Call::get(POLICIES).fails(410, "Expired", "too old resource version")],
        vec![list("21", &[anew()])],
    ]);
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(running("a", ID)).await;
    let mut events = ListWatch::new(POLICIES, None).stream(client);
    assert_eq!(follow(&mut sensor, &mut events, 4).await, 0);
    let both = of(&[("any", "any"), ("web", "web")]);
    assert_eq!(violated(&mut sensor, 10).await, both);
    assert_eq!(follow(&mut sensor, &mut events, 2).await, 2);
    assert_eq!(
        violated(&mut sensor, 11).await,
        both,
        "a watch that fails deletes nothing"
    );
    // There are objects of the new definition only.
    assert_eq!(follow(&mut sensor, &mut events, 4).await, 1);
    assert_eq!(violated(&mut sensor, 12).await, of(&[("any", "any-2")]));
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn policies_that_are_deleted_with_their_definition_apply_no_more() {
    let known = as_value(&policy("any", 1, "false"), "1");
    let deleted = json!({"type": "DELETED", "object": as_value(&policy("any", 1, "false"), "9")});
    let (server, client) = ApiServer::playing([
        vec![list("5", &[known])],
        vec![Call::get(POLICIES).gives(deleted)],
        vec![no_kind()],
        vec![Call::get(POLICIES).fails(410, "Expired", "too old resource version")],
        vec![list("21", &[anew()])],
    ]);
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(running("a", ID)).await;
    let mut events = ListWatch::new(POLICIES, None).stream(client);
    assert_eq!(follow(&mut sensor, &mut events, 3).await, 0);
    assert_eq!(violated(&mut sensor, 10).await, of(&[("any", "any")]));
    assert_eq!(follow(&mut sensor, &mut events, 2).await, 1);
    assert_eq!(violated(&mut sensor, 11).await, []);
    assert_eq!(follow(&mut sensor, &mut events, 4).await, 1);
    assert_eq!(violated(&mut sensor, 12).await, of(&[("any", "any-2")]));
    server.finish();
}

#[tokio::test]
async fn what_is_missing_is_named_in_the_order_in_which_it_comes() {
    let (sender, _violations) = mpsc::channel(1);
    let mut state = State::new(&config(MINUTE), Metrics::default(), sender, 0);
    let own = "a process of its own that the kernel reports";
    let missing = |state: &State, want: &[&str]| assert_eq!(state.missing(), want);
    let lists = [
        "the list of RuntimePolicies",
        "the list of RuntimePolicyBindings",
    ];
    missing(&state, &[own, lists[0], lists[1]]);
    state.kubelet_cgroup = Some(String::new());
    let cause = || ListWatchError::Ended("no".to_owned());
    state.policy(Err(cause()));
    missing(
        &state,
        &[
            "the list of RuntimePolicies (the API server ended the watch: no)",
            lists[1],
        ],
    );
    state.policy(Ok(Watched::Complete));
    missing(&state, &lists[1..]);
    state.binding(Ok(Watched::Complete));
    missing(
        &state,
        &["the list of pods of this node", "the list of namespaces"],
    );
    state.namespace(Ok(Watched::Complete));
    state.pod(Err(cause())).await;
    missing(
        &state,
        &["the list of pods of this node (the API server ended the watch: no)"],
    );
    state.pod(Ok(Watched::Complete)).await;
    missing(&state, &[]);
    assert!(state.synced());
}
