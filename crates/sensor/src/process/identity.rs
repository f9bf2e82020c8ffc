//! Which pod and container a process belongs to, by the path of its cgroup.
//!
//! Here: every layout of kubelets and runtimes that is known. Not here: asking anybody.
//! Invariant: the pod is that of the OUTERMOST kubepods part: what lies below it is made by the
//! pod's own processes (a cluster in a container, say) and proves nothing.

/// Who a process is, as far as its cgroup tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// The path above the kubepods part: one for each kubelet, of which several can share a
    /// kernel (as kind's nodes do).
    pub(crate) kubelet: String,
    /// UID of the pod; for a static pod the hash that the kubelet uses in its place.
    pub(crate) pod_uid: String,
    /// ID of the container; absent for a process beside the containers, such as a sandbox that
    /// the runtime keeps in the pod's own cgroup.
    pub(crate) container_id: Option<String>,
}

/// Reads a cgroup's path, as `/kubepods/burstable/pod…/…`.
///
/// With the cgroupfs driver the parts are `kubepods`, an optional class, `pod<uid>`, the
/// container's ID; with systemd's `kubepods.slice`, `kubepods-<class>.slice`,
/// `kubepods-<class>-pod<uid with underscores>.slice`, `<runtime>-<id>.scope`. A kubelet with a
/// `cgroupRoot`, as on kind's nodes, has systemd's driver put its name before each slice:
/// `kubelet.slice/kubelet-kubepods.slice/…`
/// (k8s.io/kubernetes v1.37, `pkg/kubelet/cm/cgroup_manager_linux.go`).
pub(crate) fn identity(cgroup: &str) -> Option<Identity> {
    located(cgroup).map(|(identity, _)| identity)
}

/// Where parts of a cgroup's path end, in bytes. [`identity`] reads nothing behind the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The pod's.
    pub(crate) pod: usize,
    /// The container's; that of the pod if there is none.
    pub(crate) container: usize,
}

/// Where the parts end that [`identity`] reads; none where it finds no pod.
pub(crate) fn ends_of(cgroup: &str) -> Option<Ends> {
    located(cgroup).map(|(_, ends)| ends)
}

fn located(cgroup: &str) -> Option<(Identity, Ends)> {
    let mut end = 0_usize;
    let parts = cgroup.split('/').map(|part| {
        let end_of_part = end.saturating_add(part.len());
        end = end_of_part.saturating_add(1);
        (part, end_of_part)
    });
    let mut parts = parts.filter(|(part, _)| !part.is_empty());
    let mut kubelet = String::new();
    loop {
        let (part, _) = parts.next()?;
        if is_kubepods(part) {
            break;
        }
        kubelet.push('/');
        kubelet.push_str(part);
    }
    let (mut part, mut pod) = parts.next()?;
    if is_class(part) {
        (part, pod) = parts.next()?;
    }
    let pod_uid = pod_uid(part)?;
    // systemd's driver on containerd: …-pod<uid>.slice:cri-containerd:<id> below another tree is
    // the shape of the OCI path, and never that of a cgroup.
    let container = parts
        .next()
        .and_then(|(part, end)| Some((container_id(part)?, end)));
    let (container_id, container) = container.unzip();
    let identity = Identity {
        kubelet,
        pod_uid,
        container_id,
    };
    let container = container.unwrap_or(pod);
    Some((identity, Ends { pod, container }))
}

fn is_kubepods(part: &str) -> bool {
    part == "kubepods" || part == "kubepods.slice" || part.ends_with("-kubepods.slice")
}

fn is_class(part: &str) -> bool {
    let name = part.strip_suffix(".slice").map_or(part, |name| {
        name.rsplit_once("kubepods-")
            .map_or(name, |(_, class)| class)
    });
    matches!(name, "burstable" | "besteffort" | "guaranteed")
}

fn pod_uid(part: &str) -> Option<String> {
    let uid = match part.strip_suffix(".slice") {
        Some(name) => name
            .rsplit_once("-pod")
            .map(|(_, uid)| uid)?
            .replace('_', "-"),
        None => part.strip_prefix("pod")?.to_owned(),
    };
    let valid = !uid.is_empty()
        && uid.len() <= 64
        && uid
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    valid.then_some(uid)
}

/// `<id>`, `<runtime>-<id>.scope`, `crio-<id>`; the ID is 64 hexadecimal digits. CRI-O's monitor
/// of a container has its ID, too, and is none (cri-o v1.36, `internal/config/cgmgr`).
fn container_id(part: &str) -> Option<String> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    if name.starts_with("crio-conmon-") {
        return None;
    }
    let id = name.rsplit('-').next().unwrap_or(name);
    (id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0f5b6d3e-7c1a-4e53-9d0c-3a1f5f6f7a8b";
    const FLAT: &str = "0f5b6d3e_7c1a_4e53_9d0c_3a1f5f6f7a8b";
    const ID: &str = "8a4e0c6e2b1f4f5fa7a0a1d5c3b2e1f08a4e0c6e2b1f4f5fa7a0a1d5c3b2e1f0";

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table of real paths")]
    fn paths_of_real_nodes_tell_pod_and_container() {
        let other = "1".repeat(64);
        for (name, path, container) in [
            (
                "cgroupfs, best effort",
                format!("/kubepods/besteffort/pod{UID}/{ID}"),
                true,
            ),
            (
                "cgroupfs, burstable",
                format!("/kubepods/burstable/pod{UID}/{ID}"),
                true,
            ),
            (
                "cgroupfs, guaranteed",
                format!("/kubepods/pod{UID}/{ID}"),
                true,
            ),
            (
                "cgroupfs below a root of its own",
                format!("/bt-node1/kubepods/besteffort/pod{UID}/{ID}"),
                true,
            ),
            (
                "systemd, containerd",
                format!(
                    "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{FLAT}.slice/cri-containerd-{ID}.scope"
                ),
                true,
            ),
            (
                "systemd, guaranteed",
                format!("/kubepods.slice/kubepods-pod{FLAT}.slice/cri-containerd-{ID}.scope"),
                true,
            ),
            (
                "systemd, CRI-O",
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{FLAT}.slice/crio-{ID}.scope"
                ),
                true,
            ),
            (
                "CRI-O with a container of its own below",
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{FLAT}.slice/crio-{ID}.scope/container"
                ),
                true,
            ),
            (
                "cgroupfs, CRI-O",
                format!("/kubepods/burstable/pod{UID}/crio-{ID}"),
                true,
            ),
            (
                "CRI-O below a cgroup root",
                format!(
                    "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{FLAT}.slice/crio-{ID}.scope"
                ),
                true,
            ),
            (
                "CRI-O with a container of its own below, and an exec with CPUs of its own",
                format!("/kubepods.slice/kubepods-pod{FLAT}.slice/crio-{ID}.scope/container/exec"),
                true,
            ),
            (
                "cgroupfs, CRI-O's monitor",
                format!("/kubepods/burstable/pod{UID}/crio-conmon-{ID}"),
                false,
            ),
            (
                "CRI-O's monitor below its unit",
                format!(
                    "/kubepods.slice/kubepods-pod{FLAT}.slice/crio-conmon-{ID}.scope/supervisor"
                ),
                false,
            ),
            (
                "CRI-O's cgroup of a sandbox without processes",
                format!("/kubepods.slice/kubepods-pod{FLAT}.slice/crio-{ID}"),
                true,
            ),
            (
                "CRI-O's monitor is no container",
                format!("/kubepods.slice/kubepods-pod{FLAT}.slice/crio-conmon-{ID}.scope"),
                false,
            ),
            (
                "systemd in the container",
                format!("/kubepods/pod{UID}/{ID}/init.scope"),
                true,
            ),
            (
                "a node in a container",
                format!(
                    "/docker/{other}/kubelet.slice/kubepods.slice/kubepods-pod{FLAT}.slice/cri-containerd-{ID}.scope"
                ),
                true,
            ),
            (
                "a cluster in a pod",
                format!("/kubepods/pod{UID}/{ID}/kubepods/burstable/podevil/{other}"),
                true,
            ),
            (
                "kind: systemd below a cgroup root",
                format!(
                    "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{FLAT}.slice/cri-containerd-{ID}.scope"
                ),
                true,
            ),
            (
                "kind, guaranteed",
                format!(
                    "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{FLAT}.slice/cri-containerd-{ID}.scope"
                ),
                true,
            ),
            (
                "the pod's own cgroup",
                format!("/kubepods/besteffort/pod{UID}"),
                false,
            ),
        ] {
            let found = identity(&path).unwrap_or_else(|| panic!("{name}: {path}"));
            let ends = ends_of(&path).unwrap();
            assert_eq!(
                identity(&path[..ends.container]).as_ref(),
                Some(&found),
                "{name}"
            );
            let of_pod = identity(&path[..ends.pod]).unwrap();
            assert_eq!(
                (of_pod.pod_uid, of_pod.container_id),
                (found.pod_uid.clone(), None)
            );
            let beyond = if container { UID.len() + 1 } else { 0 };
            assert!(ends.container >= ends.pod + beyond, "{name}");
            assert_eq!(found.pod_uid, UID, "{name}");
            let want = container.then_some(ID);
            assert_eq!(found.container_id.as_deref(), want, "{name}");
        }
    }

    #[test]
    fn kubelets_that_share_a_kernel_are_told_apart() {
        let of = |root: &str| {
            identity(&format!("{root}/kubepods/besteffort/pod{UID}/{ID}"))
                .unwrap()
                .kubelet
        };
        assert_eq!(of(""), "");
        assert_eq!(of("/docker/node1/kubelet"), "/docker/node1/kubelet");
    }

    #[test]
    fn other_paths_tell_nothing() {
        for path in [
            "/",
            "",
            "/system.slice/containerd.service",
            "/kubepods",
            "/kubepods/besteffort",
            "/kubepods/besteffort/evil",
            "/kubepods/pod",
            "/kubepods/pod../x",
            "/kubepods.slice/kubepods-evil.slice",
            "/kubepodsx/podabc",
            "/my-kubepods/podabc",
            "/kubepods.slice-x/podabc",
            "/docker/abc",
        ] {
            assert_eq!(identity(path), None, "{path}");
        }
    }

    #[test]
    fn a_static_pod_has_a_hash_for_a_uid() {
        let found = identity(&format!(
            "/kubepods/burstable/pod3a1f5f6f7a8b3a1f5f6f7a8b3a1f5f6f/{ID}"
        ))
        .unwrap();
        assert_eq!(found.pod_uid, "3a1f5f6f7a8b3a1f5f6f7a8b3a1f5f6f");
    }
}
