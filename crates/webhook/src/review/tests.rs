use super::*;
use bailiff_policy::Reads;
use bailiff_policy::image::{pod_reads, template_reads};
use serde_json::json;
use std::sync::Arc;

/// Decodes everything.
fn decode(body: &[u8]) -> Result<Review, Malformed> {
    super::decode(body, Keep::Everything)
}

fn review(request: &Json) -> String {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request})
        .to_string()
}

/// A review as an API server writes it: kind and version first, then the UID.
fn as_written(object: &str) -> String {
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u-1","kind":{{"group":"","version":"v1","kind":"Pod"}},"resource":{{"group":"","version":"v1","resource":"pods"}},"name":"web","namespace":"shop","operation":"CREATE","userInfo":{{"username":"jane","groups":["a"]}},"object":{object},"oldObject":null,"dryRun":false,"options":null}}}}"#
    )
}

#[test]
fn a_review_is_decoded() {
    let found = decode(as_written(r#"{"metadata":{"name":"web"}}"#).as_bytes()).unwrap();
    assert_eq!(
        found,
        Review {
            identity: Identity {
                uid: "u-1".to_owned(),
                namespace: "shop".to_owned()
            },
            group: String::new(),
            resource: "pods".to_owned(),
            subresource: String::new(),
            operation: Operation::Create,
            groups: vec!["a".to_owned()],
            dry_run: false,
            kept: Keep::Everything,
            kept_bytes: found.kept_bytes,
            object: json!({"metadata": {"name": "web"}}),
            old_object: Json::Null,
        }
    );
    assert_eq!(found.to_string(), "pods");
}

#[test]
fn what_is_null_or_absent_is_empty() {
    let null = json!({
        "uid": "u-1", "resource": null, "subResource": null, "namespace": null,
        "operation": null, "userInfo": {"username": null, "groups": null, "extra": null},
        "object": null, "oldObject": null, "dryRun": null, "options": null,
    });
    let found = decode(review(&null).as_bytes()).unwrap();
    assert_eq!(
        found,
        decode(review(&json!({"uid": "u-1"})).as_bytes()).unwrap()
    );
    assert_eq!(found.operation, Operation::Other);
    assert!(found.groups.is_empty() && found.object.is_null());
    let lists = json!({"uid": "u-1", "object": {"metadata": null, "spec": {"containers": null}}});
    let found = decode(review(&lists).as_bytes()).unwrap();
    assert_eq!(
        found.object,
        json!({"metadata": null, "spec": {"containers": null}})
    );
}

#[test]
fn what_is_no_review_is_malformed() {
    for (body, want) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        (
            "[]",
            "it is not an AdmissionReview of admission.k8s.io/v1 with a request",
        ),
        (
            "{}",
            "it is not an AdmissionReview of admission.k8s.io/v1 with a request",
        ),
        (
            r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","request":{}}"#,
            "it is not an AdmissionReview of admission.k8s.io/v1 with a request",
        ),
        (
            r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":null}"#,
            "it is not an AdmissionReview of admission.k8s.io/v1 with a request",
        ),
        (
            r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"object":[]}}"#,
            "the field object has an unexpected type",
        ),
    ] {
        assert_eq!(
            decode(body.as_bytes()).unwrap_err().to_string(),
            want,
            "{body}"
        );
    }
}

#[test]
fn a_field_that_is_there_twice_is_malformed() {
    let request = |text: &str| {
        format!(
            r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{text}}}"#
        )
    };
    for (body, want) in [
        (request(r#"{"uid":"a","uid":"b"}"#), "uid"),
        (request(r#"{"object":null,"object":{}}"#), "object"),
        (request(r#"{"oldObject":{},"oldObject":{}}"#), "oldObject"),
        (
            request(r#"{"subResource":"","subResource":""}"#),
            "subResource",
        ),
        (r#"{"request":null,"request":{}}"#.to_owned(), "request"),
        (r#"{"kind":"a","kind":"a"}"#.to_owned(), "kind"),
        (
            r#"{"apiVersion":"a","apiVersion":"a"}"#.to_owned(),
            "apiVersion",
        ),
    ] {
        let error = decode(body.as_bytes()).unwrap_err().to_string();
        let start = format!("duplicate field `{want}` at line 1 column ");
        assert!(error.starts_with(&start), "{body}: {error}");
    }
}

#[test]
fn each_object_has_a_limit_of_its_own() {
    let object = json!({"metadata": {"name": "web"}});
    let body = review(&json!({"uid": "u-1", "object": object, "oldObject": object}));
    let found = decode(body.as_bytes()).unwrap();
    let each = found.kept_bytes / 2;
    assert!(each > 0);
    let within = |limit| decode_within(body.as_bytes(), Keep::Everything, limit);
    assert_eq!(within(each).unwrap(), found);
    let error = within(each - 1).unwrap_err();
    assert!(matches!(error, Malformed::TooLarge), "{error}");
    let without = decode(review(&json!({"uid": "u-1", "oldObject": object})).as_bytes());
    assert_eq!(without.unwrap().kept_bytes, each);
}

/// A tenant can store managed fields with any nesting; they must not make a review undecodable, and do
/// not overflow the stack.
#[test]
fn managed_fields_are_skipped_however_deep_they_are() {
    let deep = format!("{}{}", r#"{"f:a":"#.repeat(100_000), "{}") + &"}".repeat(100_000);
    let object = format!(
        r#"{{"metadata":{{"name":"web","managedFields":[{{"fieldsV1":{deep}}}],"labels":{{"a":"b"}}}}}}"#
    );
    let found = decode(as_written(&object).as_bytes()).unwrap();
    assert_eq!(
        found.object,
        json!({"metadata": {"name": "web", "labels": {"a": "b"}}})
    );
    // Elsewhere, nothing of a Pod is nested without a bound.
    let elsewhere = as_written(&format!(r#"{{"spec":{deep}}}"#));
    let error = decode(elsewhere.as_bytes()).unwrap_err().to_string();
    assert!(error.starts_with("recursion limit exceeded"), "{error}");
    assert_eq!(identity(elsewhere.as_bytes()).uid, "u-1");
}

#[test]
fn the_start_of_a_review_names_the_request() {
    let large = as_written(&format!(r#"{{"data":"{}"}}"#, "x".repeat(10_000)));
    let want = Identity {
        uid: "u-1".to_owned(),
        namespace: "shop".to_owned(),
    };
    assert_eq!(identity(&large.as_bytes()[..START_BYTES]), want);
    assert_eq!(
        identity(b"{\"request\":{\"uid\":\"u-1\",\"x\":tru"),
        Identity {
            uid: "u-1".to_owned(),
            namespace: String::new()
        }
    );
    // A part of a UID is none, and neither is one of something else.
    for start in [
        &b"{\"request\":{\"uid\":\"u-"[..],
        b"{\"uid\":\"u-1\"}",
        b"{\"request\":{\"uid\":7",
        b"{\"request\":{\"object\":{\"uid\":\"u-1\"",
        b"u-1",
        b"",
    ] {
        assert_eq!(identity(start), Identity::default(), "{start:?}");
    }
}

#[test]
fn of_a_pod_and_a_template_what_the_verdict_depends_on_is_kept() {
    let metadata = json!({"name": "n", "generateName": "g", "namespace": "s", "uid": "u", "labels": {"a": "b"},
        "annotations": {"c": "d"}, "ownerReferences": [{"uid": "o", "controller": true}]});
    let container = json!({"name": "c", "image": "i"});
    let spec = json!({"containers": [container], "initContainers": [container, null],
        "ephemeralContainers": [container], "volumes": [{"name": "v", "image": {"reference": "r"}}, {"name": "e"}]});
    let with = |object: &Json, key: &str, value: Json| {
        let mut object = object.clone();
        object[key] = value;
        object
    };
    let mut large = spec.clone();
    for list in [
        "containers",
        "initContainers",
        "ephemeralContainers",
        "volumes",
    ] {
        large[list][0]["env"] = json!([{"name": "e"}]);
    }
    let large = with(&large, "nodeName", json!("n"));
    let more = with(&metadata, "managedFields", json!([{}]));
    let pod =
        |metadata: &Json, spec: &Json| json!({"kind": "Pod", "metadata": metadata, "spec": spec});
    let pods = pod_reads([]);
    let templates = template_reads(&pods);
    let kept = |object: &Json, reads: &Reads| {
        let body = as_written(&object.to_string());
        let keep = Keep::Parts(Arc::new(reads.clone()));
        super::decode(body.as_bytes(), keep).map(|review| review.object)
    };
    let sent = with(&pod(&more, &large), "status", json!({"phase": "Running"}));
    assert_eq!(kept(&sent, &pods).unwrap(), pod(&metadata, &spec));
    let deployment = |template: Json| json!({"metadata": metadata, "spec": {"template": template}});
    let sent = with(&deployment(pod(&more, &large)), "status", json!({}));
    assert_eq!(
        kept(&sent, &templates).unwrap(),
        deployment(pod(&metadata, &spec))
    );
    let cron_job = |job: Json| json!({"spec": {"jobTemplate": job}});
    assert_eq!(
        kept(&cron_job(deployment(pod(&more, &large))), &templates).unwrap(),
        cron_job(json!({"spec": {"template": pod(&metadata, &spec)}}))
    );
    for (empty, reads) in [
        (json!({"metadata": null, "spec": null}), &pods),
        (json!({"spec": {"containers": null}}), &pods),
        (json!({"spec": {"template": null}}), &templates),
    ] {
        assert_eq!(kept(&empty, reads).unwrap(), empty);
    }
    for (spec, want) in [
        (json!([]), "spec"),
        (json!({"containers": {}}), "containers"),
        (json!({"containers": [[]]}), "containers"),
        (json!({"volumes": ["a"]}), "volumes"),
    ] {
        let in_template = deployment(json!({"spec": spec}));
        for (wrong, reads) in [(json!({"spec": spec}), &pods), (in_template, &templates)] {
            let error = kept(&wrong, reads).unwrap_err().to_string();
            assert_eq!(error, format!("the field {want} has an unexpected type"));
        }
    }
}

#[test]
fn values_are_counted_outside_of_texts_before_anything_is_decoded() {
    let body = |entry: &str, count: usize| {
        format!("{{\"request\": [{}]}}", vec![entry; count].join(",")).into_bytes()
    };
    assert!(!has_too_many_values(&body("{}", 40_000)));
    assert!(!has_too_many_values(&vec![b'['; VALUES_LIMIT]));
    assert!(has_too_many_values(&vec![b'['; VALUES_LIMIT + 1]));
    assert!(has_too_many_values(&body("{}", 60_000)));
    // Texts are no values, whatever is in them.
    let text = format!("\"{}\\\"{}\"", "[{,".repeat(50_000), ",".repeat(100_000));
    assert!(!has_too_many_values(&body(&text, 1)));
}
