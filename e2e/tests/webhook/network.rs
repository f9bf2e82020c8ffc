//! The webhook in the network of its nodes, for API servers that do not reach pods.

use super::{REPLICAS, begin_alone};
use bailiff_e2e::images::{bind, until_pinned};
use bailiff_e2e::{Story, helm, install_arguments, upgrade};
use serde_json::Value;
use std::collections::BTreeSet;

/// The installation of other stories, when this is dropped, also in a story that fails.
struct AsInstalled<'a>(&'a Story);

impl Drop for AsInstalled<'_> {
    fn drop(&mut self) {
        let arguments = install_arguments();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let output = helm(&self.0.cluster, &arguments);
        if !output.success {
            eprintln!("{}{}", output.stdout, output.stderr);
        }
    }
}

#[test]
fn in_the_host_network_the_api_server_reaches_it() {
    let story = begin_alone("host-network");
    let registry = story.registry();
    let web = registry.repository("web");
    let digest = registry.push("web", "1", "first");
    bind(&story, "digest: {pin: true}", "Deny");
    let restored = AsInstalled(&story);
    let _said = upgrade(&story.cluster, &["--set", "webhook.hostNetwork=true"]);
    story.webhook_settles(REPLICAS);
    let pods = story.webhook_pods();
    let on_host = |pod: &&Value| pod["status"]["podIP"] == pod["status"]["hostIP"];
    assert_eq!(pods.iter().filter(on_host).count(), REPLICAS, "{pods:#?}");
    // Each node has the ports once.
    let nodes = pods.iter().map(|pod| pod["spec"]["nodeName"].as_str());
    assert_eq!(nodes.collect::<BTreeSet<_>>().len(), REPLICAS);
    // Under Fail, a webhook that is not reached rejects every pod.
    let pinned = format!("{web}@{digest}");
    let _text = until_pinned(&story, &format!("{web}:1"), &pinned);
    drop(restored);
    story.end();
}
