//! Who can send reviews: the API server, by its address and its client certificate.

use super::begin_alone;
use bailiff_e2e::workload::{BUSYBOX, pod};
use bailiff_e2e::{NAMESPACE, Story};

/// Connections that were rejected for a reason.
fn rejected(story: &Story, reason: &str) -> u64 {
    let metric = "bailiff_webhook_rejected_connections_total";
    story.webhook_counts(&format!("{metric}{{reason=\"{reason}\"}}"))
}

#[test]
fn only_the_api_server_is_served() {
    let story = begin_alone("callers");
    // As docs/operating.md tells to find out.
    let output = story.cluster.try_apply(
        "{apiVersion: bailiff.dev/v1alpha1, kind: RuntimePolicy, metadata: {name: check}, spec: {validations: [{expression: no_such_variable}]}}",
    );
    let denied = "admission webhook \"policies.bailiff.dev\" denied the request";
    assert!(
        !output.success && output.stderr.contains(denied),
        "{}{}",
        output.stdout,
        output.stderr
    );
    // No credential is left unused.
    let status = story.cluster.bailiff(&["status"]).stdout;
    assert!(status.contains("webhook/pods.bailiff.dev"), "{status}");
    assert!(!status.contains("webhook/callers"), "{status}");

    let webhook = story.webhook_pods().swap_remove(0);
    // From the API server's address, without its certificate: so are pods of the host network there.
    let name = webhook["metadata"]["name"].as_str().unwrap();
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/https:{name}:9443/proxy/validate/pods");
    let before = rejected(&story, "certificate");
    let output = story.cluster.try_kubectl(&["get", "--raw", &path]);
    assert!(!output.success, "{}", output.stdout);
    assert_eq!(rejected(&story, "certificate"), before + 1);

    // From a pod.
    story.apply(&pod("caller", BUSYBOX, None));
    let caller = story.ready_pod("app=caller");
    let address = webhook["status"]["podIP"].as_str().unwrap();
    let before = rejected(&story, "address");
    // The connection is closed: otherwise it would stay open for a minute.
    let connect = ["timeout", "60", "nc", address, "9443"];
    let connected = story.exec(&caller, &connect);
    assert!(connected.success, "{}", connected.stderr);
    assert_eq!(connected.stdout, "");
    assert_eq!(rejected(&story, "address"), before + 1);
    story.end();
}
