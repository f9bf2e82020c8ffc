//! Lists objects page by page and decodes each by itself.
//!
//! Here: pages, and the error of an object that cannot be decoded. Not here: what the objects mean.
//! Invariant: an object that cannot be decoded never hides another one; at most one page is in memory
//! as JSON.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::api::ListParams;
use kube::core::Request;
use kube::{Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// Objects in a page. An Incident has up to 16 KiB, so a page of them stays below 2 MiB.
const PAGE_LIMIT: u32 = 100;

/// An object that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DecodeError {
    /// Its namespace; empty for cluster-scoped kinds.
    pub(crate) namespace: String,
    /// Its name; empty if the object has none.
    pub(crate) name: String,
    /// The error with the path of the field.
    pub(crate) cause: String,
}

/// A page as the API server returns it.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: ListMeta,
    items: Vec<Json>,
}

/// Decodes an object.
///
/// # Errors
/// If a field of the object has an unknown value or the wrong type.
pub(crate) fn decode<K: DeserializeOwned>(object: &Json) -> Result<K, DecodeError> {
    K::deserialize(object).map_err(|error| {
        let text = |field: &str| {
            let value = object.pointer(field).and_then(Json::as_str);
            value.unwrap_or_default().to_owned()
        };
        DecodeError {
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            cause: error.to_string(),
        }
    })
}

/// Objects of a kind, as far as they can be decoded.
#[derive(Debug)]
pub(crate) struct Objects<K> {
    /// Decoded objects.
    pub(crate) items: Vec<K>,
    /// Objects that cannot be decoded.
    pub(crate) undecodable: Vec<DecodeError>,
}

/// Lists all objects of a cluster-scoped kind.
///
/// # Errors
/// If the API server rejects a request or is unavailable.
pub(crate) async fn list_all<K>(client: &Client) -> Result<Objects<K>, kube::Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let (mut items, mut undecodable) = (Vec::new(), Vec::new());
    list(client, None, ListParams::default(), |read| match read {
        Ok(object) => items.push(object),
        Err(error) => undecodable.push(error),
    })
    .await?;
    Ok(Objects { items, undecodable })
}

/// Lists objects of a kind and passes each to `visit`, or the error why it cannot be decoded.
/// `namespace`: `None` lists all namespaces. `params`: selectors; the page size is set here.
///
/// # Errors
/// If the API server rejects a request or is unavailable.
pub(crate) async fn list<K>(
    client: &Client,
    namespace: Option<&str>,
    mut params: ListParams,
    mut visit: impl FnMut(Result<K, DecodeError>),
) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let requests = Request::new(K::url_path(&(), namespace));
    params.limit = Some(PAGE_LIMIT);
    loop {
        let request = requests.list(&params).map_err(kube::Error::BuildRequest)?;
        let page: Page = client.request(request).await?;
        for object in &page.items {
            visit(decode(object));
        }
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_api::RuntimePolicy;
    use bailiff_testing::{ApiServer, Call};
    use serde_json::json;

    #[test]
    fn a_decode_error_names_the_object_and_the_cause() {
        let object = json!({
            "apiVersion": "bailiff.dev/v1alpha1",
            "kind": "RuntimePolicy",
            "metadata": {"name": "p"},
            "spec": {"severity": "Extreme", "validations": [{"expression": "true"}]},
        });
        assert_eq!(
            decode::<RuntimePolicy>(&object).unwrap_err(),
            DecodeError {
                namespace: String::new(),
                name: "p".to_owned(),
                cause:
                    "unknown variant `Extreme`, expected one of `Low`, `Medium`, `High`, `Critical`"
                        .to_owned(),
            }
        );
    }

    #[tokio::test]
    async fn pages_are_read_to_the_end_and_a_bad_object_hides_no_other() {
        let path = "/apis/bailiff.dev/v1alpha1/runtimepolicies";
        let policy = |name: &str, severity: &str| {
            json!({
                "metadata": {"name": name},
                "spec": {"severity": severity, "validations": [{"expression": "true"}]},
            })
        };
        let (server, client) = ApiServer::playing([
            vec![Call::get(&format!("{path}?&limit=100")).gives(json!({
                "metadata": {"continue": "token"},
                "items": [policy("bad", "Extreme"), policy("a", "Low")],
            }))],
            vec![
                Call::get(&format!("{path}?&limit=100&continue=token"))
                    .gives(json!({"metadata": {}, "items": [policy("b", "High")]})),
            ],
        ]);
        let objects = list_all::<RuntimePolicy>(&client).await.unwrap();
        let names: Vec<_> = objects
            .items
            .iter()
            .map(|p| p.metadata.name.as_deref())
            .collect();
        assert_eq!(names, [Some("a"), Some("b")]);
        assert_eq!(objects.undecodable[0].name, "bad");
        server.finish();
    }
}
