//! Where a registry may send a request on to.
//!
//! Here: the rule. Not here: following (`client`), and the addresses behind a host (`addresses`).
//! Invariant: a request that leaves its origin carries no credential, and never leaves https.

use super::endpoint::Origin;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A manifest or index: what says which digest a tag has.
    Manifest,
    /// A blob, which is checked by its digest. Registries keep blobs in the storage of a cloud.
    Blob,
}

/// How a redirect is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// To the same origin, with the credential.
    Same,
    /// To another one, without.
    Other,
    /// Not at all.
    Refused,
}

/// Public registries that send requests for manifests to other hosts, with what those hosts end in.
///
/// `registry.k8s.io` has no content of its own: it selects the nearest Artifact Registry.
const BUILT_IN: &[(&str, &str)] = &[("registry.k8s.io", "-docker.pkg.dev")];

/// How a redirect of `content` from one origin to another is followed.
///
/// `is_named` says whether the configuration names `to` for the registry that is asked. That another registry has
/// an entry is no reason to follow: its entry says how it is asked about its own repositories.
#[must_use]
pub fn hop(content: Content, from: &Origin, to: &Origin, is_named: bool) -> Hop {
    if from == to {
        return Hop::Same;
    }
    if !to.is_secure() {
        return Hop::Refused;
    }
    match content {
        Content::Blob => Hop::Other,
        Content::Manifest if is_named || is_built_in(from, to) => Hop::Other,
        Content::Manifest => Hop::Refused,
    }
}

fn is_built_in(from: &Origin, to: &Origin) -> bool {
    from.is_secure()
        && BUILT_IN
            .iter()
            .any(|(host, suffix)| from.authority() == *host && to.authority().ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table of redirects")]
    fn only_blobs_go_where_the_configuration_does_not_name_a_host() {
        use Content::{Blob, Manifest};
        let k8s = "https://registry.k8s.io";
        let pkg = "https://us-west2-docker.pkg.dev";
        let (evil, plain_pkg) = (format!("{pkg}.evil.test"), "http://us-west2-docker.pkg.dev");
        for (content, from, to, unnamed, named) in [
            (
                Manifest,
                "https://r.test",
                "https://r.test",
                Hop::Same,
                Hop::Same,
            ),
            (
                Manifest,
                "https://r.test",
                "https://r.test:443",
                Hop::Same,
                Hop::Same,
            ),
            (
                Manifest,
                "http://r.test",
                "http://r.test",
                Hop::Same,
                Hop::Same,
            ),
            (
                Manifest,
                "https://r.test",
                "https://s.test",
                Hop::Refused,
                Hop::Other,
            ),
            (
                Manifest,
                "https://r.test",
                "https://r.test:444",
                Hop::Refused,
                Hop::Other,
            ),
            (
                Manifest,
                "https://r.test",
                "http://r.test",
                Hop::Refused,
                Hop::Refused,
            ),
            (
                Manifest,
                "https://r.test",
                "http://s.test",
                Hop::Refused,
                Hop::Refused,
            ),
            (
                Manifest,
                "http://r.test",
                "http://s.test",
                Hop::Refused,
                Hop::Refused,
            ),
            (Manifest, k8s, pkg, Hop::Other, Hop::Other),
            (Manifest, k8s, &evil, Hop::Refused, Hop::Other),
            (Manifest, k8s, plain_pkg, Hop::Refused, Hop::Refused),
            (Manifest, "https://r.test", pkg, Hop::Refused, Hop::Other),
            (
                Blob,
                "https://r.test",
                "https://r.test",
                Hop::Same,
                Hop::Same,
            ),
            (
                Blob,
                "https://r.test",
                "https://cdn.test",
                Hop::Other,
                Hop::Other,
            ),
            (
                Blob,
                "https://r.test",
                "http://cdn.test",
                Hop::Refused,
                Hop::Refused,
            ),
            (
                Blob,
                "https://r.test",
                "http://r.test",
                Hop::Refused,
                Hop::Refused,
            ),
            (Blob, "http://r.test", "http://r.test", Hop::Same, Hop::Same),
        ] {
            let origin = |text: &str| Origin::of(&text.parse().unwrap()).unwrap();
            let (from, to) = (origin(from), origin(to));
            let name = format!("{content:?} from {from} to {to}");
            assert_eq!(hop(content, &from, &to, false), unnamed, "{name}");
            assert_eq!(hop(content, &from, &to, true), named, "{name}");
        }
    }
}
