//! Lists objects page by page and decodes each by itself.
//!
//! Here: pages, and what cannot be decoded. Not here: decoding (`bailiff_kube::decode`), and what the
//! objects mean.
//! Invariant: an object that cannot be decoded never hides another one; at most one page is in memory
//! beside what the caller keeps.

use bailiff_kube::decode::Decoded;
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

/// Objects in a page. An Incident has up to 16 KiB, so a page of them stays below 2 MiB.
const PAGE_LIMIT: u32 = 100;

/// What of an object cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Namespace of the object; empty for cluster-scoped kinds.
    pub(crate) namespace: String,
    /// Name of the object; empty if it cannot be decoded either.
    pub(crate) name: String,
    /// The field and the error.
    pub(crate) cause: String,
    /// Only a part of the status cannot be decoded, so the rest of the object counts.
    pub(crate) is_partial: bool,
}

/// Objects of a kind, as far as they can be decoded.
#[derive(Debug)]
pub(crate) struct Objects<K> {
    /// Decoded objects.
    pub(crate) items: Vec<K>,
    /// What cannot be decoded.
    pub(crate) problems: Vec<Problem>,
}

/// The object, if it can be decoded. What cannot be decoded is added to `problems`.
pub(crate) fn decoded<K: Resource>(object: Decoded<K>, problems: &mut Vec<Problem>) -> Option<K> {
    let problem = |metadata: &kube::core::ObjectMeta, cause: String, is_partial| Problem {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        cause,
        is_partial,
    };
    for error in object.ignored() {
        problems.push(problem(object.meta(), error.to_string(), true));
    }
    match object.into_result() {
        Ok(object) => Some(object),
        Err(error) => {
            problems.push(problem(&error.metadata, error.error.to_string(), false));
            None
        }
    }
}

/// Lists all objects of a cluster-scoped kind.
///
/// # Errors
/// If the API server rejects a request or is unavailable.
pub(crate) async fn list_all<K>(client: &Client) -> Result<Objects<K>, kube::Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug,
{
    let mut items = Vec::new();
    let api = Api::all(client.clone());
    let problems = list(&api, ListParams::default(), |object| items.push(object)).await?;
    Ok(Objects { items, problems })
}

/// Lists objects and passes each one that can be decoded to `visit`. Returns what cannot be decoded.
/// `params`: selectors; the page size is set here.
///
/// # Errors
/// If the API server rejects a request or is unavailable.
pub(crate) async fn list<K>(
    api: &Api<Decoded<K>>,
    mut params: ListParams,
    mut visit: impl FnMut(K),
) -> Result<Vec<Problem>, kube::Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug,
{
    let mut problems = Vec::new();
    let mut next = Some(None);
    while let Some(token) = next {
        params.continue_token = token;
        let page = page(api, &mut params).await?;
        page.objects.items.into_iter().for_each(&mut visit);
        problems.extend(page.objects.problems);
        next = page.next.map(Some);
    }
    Ok(problems)
}

/// A page of objects.
#[derive(Debug)]
pub(crate) struct Page<K> {
    /// The objects.
    pub(crate) objects: Objects<K>,
    /// The token of the next page; `None` if this is the last one.
    pub(crate) next: Option<String>,
}

/// Lists a page of objects. `params`: selectors and the token of the page; the page size is set here.
///
/// # Errors
/// If the API server rejects a request or is unavailable.
pub(crate) async fn page<K>(
    api: &Api<Decoded<K>>,
    params: &mut ListParams,
) -> Result<Page<K>, kube::Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug,
{
    params.limit = Some(PAGE_LIMIT);
    let page = api.list(params).await?;
    let mut problems = Vec::new();
    let items = page.items.into_iter();
    let items = items
        .filter_map(|object| decoded(object, &mut problems))
        .collect();
    Ok(Page {
        objects: Objects { items, problems },
        next: page.metadata.continue_.filter(|token| !token.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_api::RuntimePolicy;
    use bailiff_testing::{ApiServer, Call};
    use serde_json::json;

    #[tokio::test]
    async fn pages_are_read_to_the_end_and_a_bad_object_hides_no_other() {
        let path = "/apis/bailiff.dev/v1alpha1/runtimepolicies";
        let policy = |name: &str, expression: serde_json::Value, time: &str| {
            json!({
                "metadata": {"name": name},
                "spec": {"validations": [{"expression": expression}]},
                "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "R",
                    "message": "", "lastTransitionTime": time}]},
            })
        };
        let time = "2026-01-01T00:00:00Z";
        let (server, client) = ApiServer::playing([
            vec![Call::get(&format!("{path}?&limit=100")).gives(json!({
                "metadata": {"continue": "token"},
                "items": [policy("bad", json!(1), time), policy("a", json!("true"), time)],
            }))],
            vec![
                Call::get(&format!("{path}?&limit=100&continue=token")).gives(json!({
                    "metadata": {},
                    "items": [policy("b", json!("true"), "2026-01-01T00:00:00+99:99")],
                })),
            ],
        ]);
        let objects = list_all::<RuntimePolicy>(&client).await.unwrap();
        let names: Vec<_> = objects
            .items
            .iter()
            .map(|p| p.metadata.name.as_deref())
            .collect();
        assert_eq!(names, [Some("a"), Some("b")]);
        let problems: Vec<_> = objects
            .problems
            .iter()
            .map(|p| (p.name.as_str(), p.is_partial, p.cause.as_str()))
            .collect();
        assert_eq!(problems[0].0, "bad");
        assert!(!problems[0].1, "{problems:?}");
        assert!(
            problems[0]
                .2
                .starts_with("spec.validations[0].expression: "),
            "{problems:?}"
        );
        assert_eq!((problems[1].0, problems[1].1), ("b", true));
        server.finish();
    }
}
