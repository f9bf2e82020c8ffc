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

/// An API server with a policy that is bound, and this certificate.
fn playing(secret: &Secret) -> (ApiServer, Client) {
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
    ApiServer::playing([
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
            Call::get(secrets).gives(json!({"type": "MODIFIED", "object": with_name(secret)})),
        ],
        vec![Call::get(secrets).is_silent()],
    ])
}

#[tokio::test]
async fn it_is_ready_with_rules_and_certificate_and_stops_when_all_is_answered() {
    let (secret, trusted) = secret();
    let (server, client) = playing(&secret);
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
        loaded: Box::pin(std::future::ready(())),
        save: Box::pin(std::future::ready(())),
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
        loaded: Box::pin(std::future::ready(())),
        save: Box::pin(std::future::ready(())),
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

/// The status of a probe.
async fn probe(address: SocketAddr) -> u16 {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut http, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::get("/readyz").header("host", "localhost");
    let request = request.body(String::new()).unwrap();
    http.send_request(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn metrics_and_health_are_for_whoever_asks_and_reviews_for_api_servers() {
    let (secret, trusted) = secret();
    let (server, client) = playing(&secret);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // A port of an address that nothing else on this machine listens on.
    let free = TcpListener::bind("127.0.0.80:0").await.unwrap();
    let probes = free.local_addr().unwrap();
    drop(free);
    let config = Config {
        address: probes,
        webhook_address: address,
        namespace: "security".to_owned(),
        exempt: Vec::new(),
        mode: Mode::Enforce,
        callers: CallerVerification::new(&["127.0.0.2/32".to_owned()], None).unwrap(),
    };
    let edges = Edges {
        lookups: Arc::new(NoRegistries),
        reports: Arc::new(Logged),
        background: Box::pin(std::future::ready(())),
        loaded: Box::pin(std::future::ready(())),
        save: Box::pin(std::future::ready(())),
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
    // The kubelet has no address of an API server.
    assert_eq!(probe(probes).await, 200);
    let reviews = Reviews::new(address, trusted);
    assert!(reviews.try_review().await.is_err());
    let api_server = reviews.from([127, 0, 0, 2].into());
    // An entry does not know its resource; it is the server that responds.
    assert_eq!(api_server.try_review().await.unwrap(), 200);
    assert_eq!(probe(probes).await, 200);
    shutdown.cancel();
    webhook.await.unwrap().unwrap();
    server.finish();
}
