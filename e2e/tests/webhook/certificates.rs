//! Certificates of the webhook that are replaced while pods are created.

use super::load::during;
use super::{REPLICAS, begin_alone};
use bailiff_e2e::images::{bind, until_pinned};
use bailiff_e2e::{NAMESPACE, Story};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const AUTHORITY: &str = "bailiff-webhook-ca";
const SERVED: &str = "bailiff-webhook-tls";
/// How long a certificate may take to reach all replicas.
const PATIENCE: Duration = Duration::from_mins(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);

/// The data of a Secret of Bailiff's; null without data.
fn data(story: &Story, secret: &str) -> Value {
    story.cluster.get(&["secret", secret, "-n", NAMESPACE])["data"].clone()
}

/// Changes keys of a Secret's data: text is set, null is removed.
fn change(story: &Story, secret: &str, data: &Value) {
    patch(story, secret, &json!({ "data": data }));
}

fn patch(story: &Story, secret: &str, patch: &Value) {
    let patch = patch.to_string();
    let patch = ["patch", "secret", secret, "-n", NAMESPACE, "-p", &patch];
    let _patched = story.cluster.kubectl(&patch);
}

/// Waits until the data of a Secret are so; they.
fn until(story: &Story, secret: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let data = data(story, secret);
        if is_so(&data) {
            return data;
        }
        let keys = data.as_object().into_iter().flatten();
        let keys: Vec<_> = keys.map(|(key, _)| key).collect();
        assert!(Instant::now() < deadline, "{secret} has {keys:?}");
        std::thread::sleep(PAUSE);
    }
}

/// How often each replica has loaded a certificate.
fn loaded(story: &Story) -> Vec<usize> {
    let of_pod = |pod: &Value| {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let log = story.cluster.kubectl(&["logs", name, "-n", NAMESPACE]);
        log.matches("Loaded the certificate").count()
    };
    story.webhook_pods().iter().map(of_pod).collect()
}

/// Replaces something, and waits until another certificate is issued for it and every replica serves that.
fn reissued(story: &Story, replace: impl FnOnce()) {
    let (before, times) = (data(story, SERVED), loaded(story));
    replace();
    let is_new = |data: &Value| data["tls.crt"].is_string() && data["tls.crt"] != before["tls.crt"];
    let _data = until(story, SERVED, is_new);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = loaded(story);
        if now.iter().zip(&times).all(|(now, before)| now > before) {
            return;
        }
        assert!(Instant::now() < deadline, "{times:?}, now {now:?}");
        std::thread::sleep(PAUSE);
    }
}

/// Brings the authorities into the state that they have half a year later: another one issues next, and all
/// entries trust both. Its certificates are the controller's own.
fn with_a_next_authority(story: &Story) {
    let first = data(story, AUTHORITY);
    // Without its key, an authority is replaced at once.
    reissued(story, || change(story, AUTHORITY, &json!({"ca.key": null})));
    let second = data(story, AUTHORITY);
    assert_ne!(first["ca.crt"], second["ca.crt"]);
    let both = json!({
        "ca.crt": first["ca.crt"], "ca.key": first["ca.key"],
        "next.crt": second["ca.crt"], "next.key": second["ca.key"],
        "next.published": null, "previous.crt": null, "previous.until": null,
    });
    reissued(story, || change(story, AUTHORITY, &both));
    let _data = until(story, AUTHORITY, |data| data["next.published"].is_string());
}

#[test]
fn certificate_and_authority_are_replaced_without_a_lost_review() {
    let story = begin_alone("certificates");
    let registry = story.registry();
    let web = registry.repository("web");
    let digest = registry.push("web", "1", "first");
    bind(&story, "digest: {pin: true}, onPending: Allow", "Deny");
    with_a_next_authority(&story);
    let (tag, pinned) = (format!("{web}:1"), format!("{web}@{digest}"));
    let _text = until_pinned(&story, &tag, &pinned);
    let before = data(&story, AUTHORITY);

    let answers = during(&story, &tag, 50, || {
        // Somebody removes the certificate: the replicas serve it until they have another one.
        reissued(&story, || {
            change(&story, SERVED, &json!({"tls.crt": null, "tls.key": null}));
        });
        // The ten minutes in which each API server learns of the next authority are over.
        let long_ago = json!({"next.published": "2001-01-01T00:00:00Z"});
        let long_ago = json!({ "stringData": long_ago });
        reissued(&story, || patch(&story, AUTHORITY, &long_ago));
    });
    assert_eq!(answers.failed, Vec::<String>::new());
    let after = data(&story, AUTHORITY);
    assert_eq!(after["ca.crt"], before["next.crt"]);
    assert_eq!(after["previous.crt"], before["ca.crt"]);
    assert_eq!(after["next.crt"], Value::Null);
    story.webhook_settles(REPLICAS);
    story.end();
}
