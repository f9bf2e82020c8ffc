use super::*;
use crate::certificate::tests::secret;
use crate::lookups::NoRegistries;
use crate::reports::Logged;
use crate::server::tests::client::{Client as Reviews, review};
use bailiff_testing::{ApiServer, Call};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value as Json, json};

fn list(items: &Json) -> Json {
    json!({"metadata": {"resourceVersion": "7"}, "items": items})
}

#[tokio::test]
async fn it_is_ready_with_rules_and_certificate_and_stops_when_all_is_answered() {
    let (secret, trusted) = secret();
    let with_name = |secret: &Secret| {
        let mut secret = serde_json::to_value(secret).unwrap();
        secret["metadata"] = json!({"name": watches::SECRET, "resourceVersion": "8"});
        secret
    };
    let policies = "/apis/bailiff.dev/v1alpha1/imageadmissionpolicies";
    let bindings = "/apis/bailiff.dev/v1alpha1/imageadmissionpolicybindings";
    let (namespaces, secrets) = ("/api/v1/namespaces", "/api/v1/namespaces/security/secrets");
    let policy =
        json!({"metadata": {"name": "p"}, "spec": {"allowedRepositories": ["ghcr.io/**"]}});
    let binding = json!({"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Deny"]}});
    let namespace = json!({"metadata": {"name": "shop"}});
    let (server, client) = ApiServer::playing([
        vec![
            Call::get(policies).gives(list(&json!([policy]))),
            Call::get(bindings).gives(list(&json!([binding]))),
            Call::get(namespaces).gives(list(&json!([namespace]))),
            // As the chart creates it.
            Call::get(&format!(
                "{secrets}?&fieldSelector=metadata.name%3Dbailiff-webhook-tls&resourceVersion=0"
            ))
            .gives(list(&json!([with_name(&Secret::default())]))),
        ],
        vec![
            Call::get(policies).is_silent(),
            Call::get(bindings).is_silent(),
            Call::get(namespaces).is_silent(),
            // As the controller fills it.
            Call::get(secrets).gives(json!({"type": "MODIFIED", "object": with_name(&secret)})),
        ],
        vec![Call::get(secrets).is_silent()],
    ]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let local = "127.0.0.1:0".parse().unwrap();
    let address = listener.local_addr().unwrap();
    let config = Config {
        address: local,
        webhook_address: local,
        namespace: "security".to_owned(),
        exempt: vec![String::new(), "cni".to_owned()],
        mode: Mode::Enforce,
        callers: CallerVerification::default(),
    };
    let edges = Edges {
        lookups: Arc::new(NoRegistries),
        reports: Arc::new(Logged),
        background: Box::pin(std::future::ready(())),
    };
    let (health, shutdown) = (Health::default(), CancellationToken::new());
    let pauses = Pauses {
        leave: Duration::from_millis(10),
        ..PAUSES
    };
    let webhook = tokio::spawn({
        let (health, shutdown) = (health.clone(), shutdown.clone());
        async move { serve_on(listener, &config, client, edges, health, pauses, shutdown).await }
    });
    while !health.is_ready() {
        assert!(!webhook.is_finished());
        tokio::task::yield_now().await;
    }
    let mut http = Reviews::new(address, trusted).http1().await;
    let mut body: Json = serde_json::from_str(&review("u", "web")).unwrap();
    body["request"]["resource"] = json!({"group": "", "version": "v1", "resource": "pods"});
    body["request"]["object"]["spec"] = json!({"containers": [{"name": "web", "image": "nginx"}]});
    for (namespace, allowed) in [
        ("shop", false),
        ("cni", true),
        ("security", true),
        ("kube-system", true),
    ] {
        body["request"]["namespace"] = json!(namespace);
        let (status, response) = http.post("/validate/pods", body.to_string()).await;
        let response = &response["response"];
        assert_eq!(
            (status, &response["allowed"]),
            (200, &json!(allowed)),
            "{namespace}"
        );
    }
    shutdown.cancel();
    // The idle connection does not delay it.
    webhook.await.unwrap().unwrap();
    assert!(!health.is_ready());
    server.finish();
}

#[tokio::test]
async fn without_a_certificate_it_is_not_ready_and_stops_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let local = "127.0.0.1:0".parse().unwrap();
    let config = Config {
        address: local,
        webhook_address: local,
        namespace: "security".to_owned(),
        exempt: Vec::new(),
        mode: Mode::Enforce,
        callers: CallerVerification::default(),
    };
    let edges = Edges {
        lookups: Arc::new(NoRegistries),
        reports: Arc::new(Logged),
        background: Box::pin(std::future::ready(())),
    };
    let (health, shutdown) = (Health::default(), CancellationToken::new());
    shutdown.cancel();
    let served = serve_on(
        listener,
        &config,
        ApiServer::silent(),
        edges,
        health.clone(),
        PAUSES,
        shutdown,
    );
    served.await.unwrap();
    assert!(!health.is_ready());
}
