//! Which namespaces are exempt from image policies.
//!
//! Here: those that always are, with those of the value `exemptNamespaces`. Not here: from responses alone
//! (`response`).
//! Invariant: the webhook, the renderer and the commands that preview them exempt the same namespaces.

use crate::keys::ALWAYS_EXEMPT_NAMESPACE;
use std::collections::BTreeSet;

/// The namespaces that no image policy applies to: kube-system, the one that Bailiff runs in, because a policy that
/// denies their pods could not be repaired from within, and others that are given. Empty names are none.
#[must_use]
pub fn exempt_namespaces<'a>(
    namespace: &'a str,
    given: impl IntoIterator<Item = &'a str>,
) -> BTreeSet<String> {
    let always = [ALWAYS_EXEMPT_NAMESPACE, namespace];
    let all = given.into_iter().chain(always);
    let named = all.filter(|name| !name.is_empty());
    named.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kube_system_and_the_own_namespace_are_always_exempt() {
        let of = |given: &[&'static str]| -> Vec<String> {
            let given = given.iter().copied();
            exempt_namespaces("security", given).into_iter().collect()
        };
        assert_eq!(of(&[]), ["kube-system", "security"]);
        assert_eq!(of(&[""]), ["kube-system", "security"]);
        assert_eq!(
            of(&["cni", "kube-system"]),
            ["cni", "kube-system", "security"]
        );
    }
}
