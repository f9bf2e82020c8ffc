//! What was not evaluated: objects that cannot be decoded, and pods whose evaluation fails.

use super::*;

#[tokio::test]
async fn an_object_of_another_kind_is_not_evaluated() {
    let cluster = cluster(ApiServer::silent(), &[]);
    for (entry, resource, subresource, want) in [
        (Entry::ValidatePods, "secrets", "", "secrets"),
        (Entry::MutatePods, "pods", "status", "pods/status"),
        (Entry::ValidateWorkloads, "pods", "", "pods"),
        (Entry::ValidatePolicies, "pods", "", "pods"),
    ] {
        let mut review = review("shop", pod("nginx"));
        review.resource = resource.to_owned();
        review.subresource = subresource.to_owned();
        let evaluated = cluster.admission.evaluate(entry, review, deadlines());
        let error = evaluated.await.unwrap_err().to_string();
        assert!(error.contains(&format!(" sends {want} here.")), "{error}");
    }
    let mut ephemeral = review("shop", pod("nginx"));
    ephemeral.subresource = "ephemeralcontainers".to_owned();
    let response = cluster.respond(Entry::ValidatePods, ephemeral).await;
    assert_eq!(response, AdmissionResponse::allowed());
}

#[tokio::test]
async fn what_was_not_evaluated_is_rejected_if_a_policy_that_can_apply_says_so() {
    let pods = "Bailiff did not check the images of the pod, because too many reviews are in progress. Retry.";
    let denied = format!("{pods} ImageAdmissionPolicy p requires images that were checked.");
    let denied = AdmissionResponse::denied(denied);
    let warned = AdmissionResponse::warned(pods.to_owned());
    let none = AdmissionResponse::allowed();
    let (mut lenient, strict) = (allowed(), allowed());
    lenient["onError"] = json!("Allow");
    let one = |spec: &Json, action: &'static str| vec![("p", spec.clone(), action)];
    for (policies, namespace, want) in [
        (one(&strict, "Deny"), "shop", &denied),
        (one(&strict, "Deny"), "new", &denied),
        (one(&strict, "Deny"), "", &denied),
        (one(&strict, "Deny"), "other", &none),
        (one(&strict, "Deny"), "kube-system", &none),
        (one(&strict, "Warn"), "shop", &warned),
        (one(&lenient, "Deny"), "shop", &warned),
        (
            vec![
                ("a", lenient.clone(), "Deny"),
                ("p", strict.clone(), "Deny"),
            ],
            "shop",
            &denied,
        ),
        (Vec::new(), "shop", &none),
    ] {
        let admission = cluster(ApiServer::silent(), &policies).admission;
        let identity = Identity {
            uid: "u".to_owned(),
            namespace: namespace.to_owned(),
        };
        let respond = |entry| admission.not_evaluated(entry, &identity, &NotEvaluated::Overloaded);
        assert_eq!(
            respond(Entry::ValidatePods),
            *want,
            "{policies:?} {namespace}"
        );
        assert_eq!(respond(Entry::MutatePods), none);
        for (entry, what) in [
            (Entry::ValidateWorkloads, "pod template"),
            (Entry::ValidatePolicies, "policy"),
        ] {
            let response = respond(entry);
            assert_eq!(response.denied, None);
            assert_eq!(
                response.warnings,
                [format!(
                    "Bailiff did not check the {what}, because too many reviews are in progress. Retry."
                )]
            );
        }
    }
}

#[tokio::test]
async fn what_an_expression_reads_of_a_pod_is_kept_and_none_is_evaluated_without_it() {
    let spec = json!({"validations": [{
        "expression": "object.spec.hostNetwork != true", "message": "no host network"}]});
    let cluster = cluster(ApiServer::silent(), &[("p", spec, "Deny")]);
    let mut object = pod("nginx");
    object["spec"]["hostNetwork"] = true.into();
    let body = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "u", "namespace": "shop", "operation": "CREATE", "resource": {"resource": "pods"},
        "object": object}});
    let decode = |keep| crate::review::decode(body.to_string().as_bytes(), keep).unwrap();
    for entry in [Entry::MutatePods, Entry::ValidatePods] {
        let kept = decode(cluster.admission.keep(entry));
        assert_eq!(kept.object["spec"]["hostNetwork"], true);
    }
    let whole = decode(cluster.admission.keep(Entry::ValidatePods));
    let response = cluster.respond(Entry::ValidatePods, whole).await;
    let message = response.denied.unwrap_or_default();
    assert!(message.contains("no host network"), "{message}");

    // The first policy with expressions came after the review was decoded.
    let part = decode(Snapshot::default().keep(Entry::ValidatePods));
    assert!(part.object["spec"]["hostNetwork"].is_null());
    let evaluated = cluster
        .admission
        .evaluate(Entry::ValidatePods, part, deadlines())
        .await;
    assert!(matches!(evaluated, Err(NotEvaluated::PoliciesChanged)));
}

#[tokio::test]
async fn a_pod_that_cannot_be_evaluated_because_of_itself_is_rejected_whatever_on_error_says() {
    let mut spec = allowed();
    spec["onError"] = json!("Allow");
    let cluster = cluster(ApiServer::silent(), &[("p", spec, "Deny")]);
    let identity = Identity {
        uid: "u".to_owned(),
        namespace: "shop".to_owned(),
    };
    for (cause, is_denied) in [
        (NotEvaluated::TooLarge, true),
        (NotEvaluated::TooManyImages, true),
        (NotEvaluated::TooManyValues, true),
        (NotEvaluated::TimedOut, true),
        (NotEvaluated::Panicked, true),
        (NotEvaluated::Overloaded, false),
        (NotEvaluated::Stopping, false),
    ] {
        let response = cluster
            .admission
            .not_evaluated(Entry::ValidatePods, &identity, &cause);
        assert_eq!(response.denied.is_some(), is_denied, "{cause}");
    }
    let mut many = pod("nginx");
    let container = json!({"name": "web", "image": "nginx"});
    many["spec"]["containers"] = vec![container; 1025].into();
    let evaluated = cluster
        .admission
        .evaluate(Entry::MutatePods, review("shop", many), deadlines())
        .await;
    assert!(matches!(evaluated, Err(NotEvaluated::TooManyImages)));
}
