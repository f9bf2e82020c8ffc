//! Reads the metadata of an object.
//!
//! Here: the request. Not here: decoding (`decode`), metadata of lists and watches (`list_watch`).
//! Invariant: metadata that cannot be decoded is a value and never an error of the request.

use crate::decode::Decoded;
use k8s_openapi::ClusterResourceScope;
use kube::core::{PartialObjectMeta, Request};
use kube::{Client, Resource, api::GetParams};

/// The metadata of an object without a namespace; none: it does not exist.
///
/// # Errors
/// If the API server rejects the request or gives no response.
pub async fn get<K>(
    client: &Client,
    name: &str,
) -> Result<Option<Decoded<PartialObjectMeta<K>>>, kube::Error>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope>,
{
    let request = Request::new(K::url_path(&(), None))
        .get_metadata(name, &GetParams::default())
        .map_err(kube::Error::BuildRequest)?;
    match client.request(request).await {
        Ok(decoded) => Ok(Some(decoded)),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
