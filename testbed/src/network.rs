//! The network: one bridge on the host, a network namespace for each node.
//!
//! Here: links, addresses, routes. Not here: pod networks, which the CNI plugins make.
//! Invariant: no address of the ranges is reached outside this machine; nothing is masqueraded.

use crate::process::sh;
use anyhow::Result;

/// The names of the nodes.
pub const NODES: [&str; 2] = ["node1", "node2"];
/// The bridge on the host.
const BRIDGE: &str = "bt-bridge";
/// The address of the host, and so of the control plane.
pub(crate) const HOST: &str = "10.203.0.1";
/// Where the registry listens: nodes, pods and the host reach it there.
pub(crate) const REGISTRY: &str = "10.203.0.1:5000";
/// Where the registry with an account listens.
pub(crate) const PRIVATE_REGISTRY: &str = "10.203.0.1:5001";
/// The range of Services.
pub(crate) const SERVICES: &str = "10.205.0.0/16";
/// The address of the Service `kubernetes`.
pub(crate) const SERVICE_OF_API_SERVER: &str = "10.205.0.1";
/// The range of all pods.
pub(crate) const PODS: &str = "10.204.0.0/16";

fn number(node: &str) -> usize {
    NODES
        .iter()
        .position(|name| *name == node)
        .map_or(0, |at| at + 1)
}

/// A node's address on the bridge.
pub(crate) fn address(node: &str) -> String {
    format!("10.203.0.{}", 10 + number(node))
}

/// A node's range of pod addresses.
pub(crate) fn pods_of(node: &str) -> String {
    format!("10.204.{}.0/24", number(node))
}

/// A node's network namespace.
pub(crate) fn namespace(node: &str) -> String {
    format!("bt-{node}")
}

/// The host's end of a node's link.
pub(crate) fn link(node: &str) -> String {
    format!("bt-veth-{node}")
}

/// Makes bridge, namespaces and routes.
pub(crate) fn make() -> Result<()> {
    let run = |line: String| sh(&line).map(drop);
    run(format!("ip link add {BRIDGE} type bridge"))?;
    run(format!("ip address add {HOST}/24 dev {BRIDGE}"))?;
    run(format!("ip link set {BRIDGE} up"))?;
    for node in NODES {
        let (namespace, link, address) = (namespace(node), link(node), address(node));
        run(format!("ip netns add {namespace}"))?;
        run(format!(
            "ip link add {link} type veth peer name eth0 netns {namespace}"
        ))?;
        run(format!("ip link set {link} master {BRIDGE} up"))?;
        run(format!(
            "ip -n {namespace} address add {address}/24 dev eth0"
        ))?;
        run(format!("ip -n {namespace} link set lo up"))?;
        run(format!("ip -n {namespace} link set eth0 up"))?;
        run(format!("ip -n {namespace} route add default via {HOST}"))?;
        run(format!(
            "nsenter --net=/run/netns/{namespace} sysctl -qw net.ipv4.ip_forward=1"
        ))?;
        // Webhooks and aggregated APIs: the API server goes straight to pod addresses.
        run(format!("ip route add {} via {address}", pods_of(node)))?;
        for other in NODES.iter().filter(|other| **other != node) {
            run(format!(
                "ip -n {namespace} route add {} via {}",
                pods_of(other),
                self::address(other)
            ))?;
        }
    }
    Ok(())
}

/// Removes what [`make`] made, as far as it is there; what could not be removed.
pub(crate) fn remove() -> Vec<String> {
    let mut left = Vec::new();
    for node in NODES {
        let namespace = namespace(node);
        if std::path::Path::new("/run/netns").join(&namespace).exists()
            && let Err(error) = sh(&format!("ip netns delete {namespace}"))
        {
            left.push(format!("{error:#}"));
        }
    }
    let links: Vec<_> = NODES
        .iter()
        .map(|node| link(node))
        .chain([BRIDGE.to_owned()])
        .collect();
    for link in links {
        let there = std::path::Path::new("/sys/class/net").join(&link).exists();
        // The link goes with its namespace, and that may happen while this runs.
        if there
            && let Err(error) = sh(&format!("ip link delete {link}"))
            && std::path::Path::new("/sys/class/net").join(&link).exists()
        {
            left.push(format!("{error:#}"));
        }
    }
    left
}

/// Takes a node off the bridge, or puts it back.
pub(crate) fn connect(node: &str, connected: bool) -> Result<()> {
    sh(&format!(
        "ip link set {} {}",
        link(node),
        if connected { "up" } else { "down" }
    ))
    .map(drop)
}
