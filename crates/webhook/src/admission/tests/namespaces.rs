//! The namespace of a pod: when it is read, and what is not asked about.

use super::*;

#[tokio::test]
async fn a_namespace_that_the_watch_did_not_bring_yet_is_read() {
    let path = "/api/v1/namespaces/new";
    let object = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": {"name": "new", "labels": {"team": "shop"}}});
    let (server, client) = ApiServer::playing([
        vec![Call::get(path).gives(object)],
        vec![Call::get(path).fails(500, "InternalError", "no")],
        vec![Call::get(path).is_missing()],
    ]);
    let cluster = cluster(client, &[("p", allowed(), "Deny")]);
    let response = cluster.validate("new", "nginx").await;
    assert_eq!(response.denied.as_deref(), Some(DENIED));
    for _ in 0..2 {
        let review = review("new", pod("nginx"));
        let evaluated = cluster
            .admission
            .evaluate(Entry::ValidatePods, review, deadlines());
        let error = evaluated.await.unwrap_err().to_string();
        assert_eq!(error, "namespace new cannot be read. Retry");
    }
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_about_a_namespace_that_a_caller_can_have_invented() {
    let (server, client) = ApiServer::playing([]);
    let mut spec = allowed();
    spec["digest"] = json!({"pin": true});
    let mut cluster = cluster(client, &[("p", spec, "Deny")]);
    cluster.admission.callers = Callers::Unverified;
    let admission = &cluster.admission;
    let evaluate = |name: &str| {
        let review = review(name, pod("ghcr.io/a/web:1"));
        admission.evaluate(Entry::MutatePods, review, deadlines())
    };
    let error = evaluate("invented").await.unwrap_err().to_string();
    assert_eq!(error, "namespace invented cannot be read. Retry");
    assert!(cluster.registries.0.lock().unwrap().is_empty());
    // It is new, and the watch brings it, after another one.
    let brings = async {
        for name in ["another", "new"] {
            tokio::time::sleep(NAMESPACE_TIMEOUT / 4).await;
            let object = json!({"metadata": {"name": name, "labels": {"team": "shop"}}});
            let object = object.to_string().into_bytes();
            admission.namespaces.apply(&ObjectEvent::Applied(object));
        }
    };
    let (response, ()) = futures::join!(evaluate("new"), brings);
    assert_eq!(response.unwrap().patch.len(), 3);
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn a_new_namespace_is_read_while_the_watch_does_not_work() {
    let path = "/api/v1/namespaces/new";
    let object = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": {"name": "new", "labels": {"team": "shop"}}});
    let (server, client) = ApiServer::playing([
        vec![Call::get(path).gives(object.clone())],
        vec![Call::get(path).is_missing()],
    ]);
    let mut cluster = cluster(client, &[("p", allowed(), "Deny")]);
    cluster.admission.callers = Callers::Unverified;
    let admission = &cluster.admission;
    let evaluate = || {
        let review = review("new", pod("nginx"));
        admission.evaluate(Entry::ValidatePods, review, deadlines())
    };
    admission.namespaces.failed();
    let denied = evaluate().await.unwrap().denied;
    assert_eq!(denied.as_deref(), Some(DENIED));
    let error = evaluate().await.unwrap_err().to_string();
    assert_eq!(error, "namespace new cannot be read. Retry");
    // Reviews of namespaces that do not exist can have all permits; what the watch brings counts all the same.
    let permits = admission.reads.try_acquire_many(8).unwrap();
    let brings = async {
        tokio::time::sleep(NAMESPACE_TIMEOUT / 4).await;
        let object = object.to_string().into_bytes();
        admission.namespaces.apply(&ObjectEvent::Applied(object));
    };
    let (response, ()) = futures::join!(evaluate(), brings);
    assert_eq!(response.unwrap().denied.as_deref(), Some(DENIED));
    drop(permits);
    // It works again, so nothing is asked.
    let gone = json!({"metadata": {"name": "new"}})
        .to_string()
        .into_bytes();
    admission.namespaces.apply(&ObjectEvent::Deleted(gone));
    let error = evaluate().await.unwrap_err().to_string();
    assert_eq!(error, "namespace new cannot be read. Retry");
    server.finish();
}
