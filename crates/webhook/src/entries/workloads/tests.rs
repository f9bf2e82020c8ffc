use super::*;
use crate::review::Identity;
use bailiff_policy::image::WrittenRule;
use serde_json::json;

fn review(resource: (&str, &str), object: Json, old: Json) -> Review {
    Review {
        identity: Identity {
            uid: "u".to_owned(),
            namespace: "shop".to_owned(),
        },
        group: resource.0.to_owned(),
        resource: resource.1.to_owned(),
        subresource: String::new(),
        operation: if old.is_null() {
            Operation::Create
        } else {
            Operation::Update
        },
        groups: Vec::new(),
        dry_run: false,
        kept: crate::review::Keep::Everything,
        kept_bytes: 0,
        object,
        old_object: old,
    }
}

fn template(image: &str) -> Json {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}})
}

#[test]
fn the_pod_is_that_of_the_template() {
    let want = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "nginx"}]},
    });
    for (group, resource) in [
        ("apps", "deployments"),
        ("apps", "statefulsets"),
        ("apps", "daemonsets"),
        ("apps", "replicasets"),
        ("", "replicationcontrollers"),
        ("batch", "jobs"),
    ] {
        let object = json!({"spec": {"template": template("nginx")}});
        let found = pod(&review((group, resource), object, Json::Null));
        assert_eq!(found.as_ref(), Some(&want), "{resource}");
    }
    let object = json!({"spec": {"jobTemplate": {"spec": {"template": template("nginx")}}}});
    let found = pod(&review(("batch", "cronjobs"), object, Json::Null));
    assert_eq!(found, Some(want));
}

#[test]
fn without_a_new_template_there_is_no_pod_to_warn_about() {
    let deployments = ("apps", "deployments");
    let object = |image: &str| json!({"spec": {"replicas": 1, "template": template(image)}});
    let scaled = json!({"spec": {"replicas": 2, "template": template("nginx")}});
    assert_eq!(pod(&review(deployments, scaled, object("nginx"))), None);
    assert!(pod(&review(deployments, object("other"), object("nginx"))).is_some());
    let owned = |controller: Json| {
        let mut object = object("nginx");
        object["metadata"] =
            json!({"ownerReferences": [{"kind": "Rollout", "controller": controller}]});
        pod(&review(deployments, object, Json::Null))
    };
    assert_eq!(owned(json!(true)), None);
    assert!(owned(json!(false)).is_some());
    assert!(owned(Json::Null).is_some());
    for absent in [
        json!({}),
        json!({"spec": null}),
        json!({"spec": {"template": null}}),
    ] {
        assert_eq!(
            pod(&review(("", "replicationcontrollers"), absent, Json::Null)),
            None
        );
    }
    let mut deleted = review(deployments, Json::Null, object("nginx"));
    deleted.operation = Operation::Delete;
    assert_eq!(pod(&deleted), None);
    let pods = review(("", "pods"), object("nginx"), Json::Null);
    assert_eq!((is_workload(&pods), pod(&pods)), (false, None));
}

#[test]
fn warnings_say_what_happens_to_the_pods() {
    let violation = |rule, message: &str| Violation {
        policy: "p".to_owned(),
        rule,
        message: message.to_owned(),
    };
    let written = Rule::Written(WrittenRule::AllowedRepositories);
    let decision = Decision {
        denied: vec![
            violation(written, "A."),
            violation(Rule::Registry(RegistryRule::Answered), "B."),
        ],
        warned: vec![violation(written, "C.")],
        audited: vec![violation(written, "D.")],
        ..Decision::default()
    };
    let review = review(("apps", "statefulsets"), json!({}), Json::Null);
    let found = response(&review, &decision);
    assert_eq!(
        found.warnings,
        ["Pods of this StatefulSet will be rejected. A.", "C."]
    );
    assert_eq!(found.denied, None);
}
