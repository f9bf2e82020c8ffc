//! One pass: read everything, write what differs, report.
//!
//! Here: the requests and their order. Not here: what differs (`plan`).
//! Invariant: a request that fails stops no other; a pass without the release's `ClusterRole` writes
//! nothing, because the release is being uninstalled.

use crate::metrics::Metrics;
use crate::plan::{Cluster, Plan, SELECTOR, Write, plan};
use crate::status;
use bailiff_api::{ImageAdmissionPolicy, ImageAdmissionPolicyBinding};
use bailiff_kube::decode::{Decoded, Undecodable};
use bailiff_kube::watch::PAGE_LIMIT;
use bailiff_policy::image::{Exemptions, rendered_name};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// The `ClusterRole` of the release, which owns rendered bindings.
const OWNER: &str = "bailiff-renderer";
/// The field manager of all writes.
const MANAGER: &str = "bailiff-renderer";

/// What a pass came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Everything is as it should be.
    Complete,
    /// A request failed; the next pass repeats it.
    Incomplete,
    /// The release is being uninstalled.
    Uninstalling,
}

/// Makes one pass.
///
/// # Errors
/// When something cannot be read; nothing was written then.
pub(crate) async fn pass(
    client: &Client,
    exempt: &Exemptions,
    metrics: &Metrics,
) -> Result<Pass, kube::Error> {
    let Some(owner) = owner(client).await? else {
        return Ok(Pass::Uninstalling);
    };
    let mut cluster = Cluster {
        policies: all(client, &ListParams::default()).await?,
        bindings: all(client, &ListParams::default()).await?,
        rendered_policies: rendered(client).await?,
        rendered_bindings: rendered(client).await?,
        owner,
    };
    let plan = plan(&cluster, exempt);
    let rejected = write(client, &plan, &mut cluster, metrics).await;
    let reported = report(client, &plan, &cluster, &rejected, metrics).await;
    Ok(if rejected.is_empty() && reported {
        Pass::Complete
    } else {
        Pass::Incomplete
    })
}

/// The reference to the release's `ClusterRole`; none: it is gone or going.
async fn owner(client: &Client) -> Result<Option<OwnerReference>, kube::Error> {
    let api = Api::<Decoded<ClusterRole>>::all(client.clone());
    let found = api.get_opt(OWNER).await?;
    Ok(found
        .filter(|role| role.meta().deletion_timestamp.is_none())
        .map(|role| OwnerReference {
            api_version: ClusterRole::api_version(&()).into_owned(),
            kind: ClusterRole::kind(&()).into_owned(),
            name: OWNER.to_owned(),
            uid: role.uid().unwrap_or_default(),
            ..OwnerReference::default()
        }))
}

/// All objects of a kind, page by page, each decoded by itself.
async fn all<K>(
    client: &Client,
    params: &ListParams,
) -> Result<Vec<Result<K, Undecodable>>, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api = Api::<Decoded<K>>::all(client.clone());
    let mut params = params.clone().limit(PAGE_LIMIT);
    let mut found = Vec::new();
    loop {
        let page = api.list(&params).await?;
        let next = page.metadata.continue_.filter(|next| !next.is_empty());
        found.extend(page.items.into_iter().map(Decoded::into_result));
        match next {
            Some(next) => params.continue_token = Some(next),
            None => return Ok(found),
        }
    }
}

/// The rendered objects of a kind. One that cannot be decoded counts as absent, and is replaced.
async fn rendered<K>(client: &Client) -> Result<BTreeMap<String, K>, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let params = ListParams::default().labels(SELECTOR);
    let found = all::<K>(client, &params).await?;
    let decoded = found.into_iter().filter_map(Result::ok);
    Ok(decoded.map(|object| (object.name_any(), object)).collect())
}

/// Makes the writes of a plan; what was rejected, by name of the rendered object.
async fn write(
    client: &Client,
    plan: &Plan,
    cluster: &mut Cluster,
    metrics: &Metrics,
) -> BTreeMap<(&'static str, String), String> {
    let mut rejected = BTreeMap::new();
    for write in &plan.writes {
        let (kind, name, result) = match write {
            Write::Policy(wanted) => {
                let name = wanted.name_any();
                let result = put(client, &**wanted).await.map(|applied| {
                    cluster.rendered_policies.insert(name.clone(), applied);
                });
                (POLICY, name, result)
            }
            Write::Binding(wanted) => {
                let name = wanted.name_any();
                let result = put(client, &**wanted).await.map(drop);
                (BINDING, name, result)
            }
            Write::DeleteBinding(name, uid) => {
                let result =
                    delete::<ValidatingAdmissionPolicyBinding>(client, name, uid.as_ref()).await;
                (BINDING, name.clone(), result)
            }
            Write::DeletePolicy(name, uid) => {
                let result = delete::<ValidatingAdmissionPolicy>(client, name, uid.as_ref()).await;
                (POLICY, name.clone(), result)
            }
        };
        match result {
            Ok(()) => tracing::info!(kind, name, "Wrote a rendered object"),
            Err(error) => {
                tracing::warn!(%error, kind, name, "Cannot write a rendered object");
                metrics.write_errors.inc();
                rejected.insert((kind, name), cause(&error));
            }
        }
    }
    rejected
}

const POLICY: &str = "ValidatingAdmissionPolicy";
const BINDING: &str = "ValidatingAdmissionPolicyBinding";

/// Creates the object, or replaces the one of the resource version that `wanted` has. Not by server-side
/// apply: a value that somebody added to a set would stay beside ours.
async fn put<K>(client: &Client, wanted: &K) -> Result<K, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let api = Api::<K>::all(client.clone());
    let params = PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    };
    if wanted.meta().resource_version.is_some() {
        api.replace(&wanted.name_any(), &params, wanted).await
    } else {
        api.create(&params, wanted).await
    }
}

async fn delete<K>(client: &Client, name: &str, uid: Option<&String>) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: uid.cloned(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match Api::<K>::all(client.clone()).delete(name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

/// What the API server says to a request; none of the connection's details.
fn cause(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        _ => "the API server is unavailable".to_owned(),
    }
}

/// Writes the conditions that changed. False: one of them was not written.
async fn report(
    client: &Client,
    plan: &Plan,
    cluster: &Cluster,
    rejected: &BTreeMap<(&'static str, String), String>,
    metrics: &Metrics,
) -> bool {
    let now = Timestamp::now();
    let mut complete = true;
    let (mut ready, mut not_ready) = (0, 0);
    let mut count = |said: &[(&'static str, (bool, &'static str, String))], is_policy: bool| match (
        said.iter().all(|(_, (value, ..))| *value),
        is_policy,
    ) {
        (true, true) => ready += 1,
        (true, false) => {}
        (false, _) => not_ready += 1,
    };
    let rejection = |kind, name: &str| rejected.get(&(kind, rendered_name(name)));
    for policy in &cluster.policies {
        let metadata = match policy {
            Ok(policy) => &policy.metadata,
            Err(undecodable) => &undecodable.metadata,
        };
        let name = metadata.name.clone().unwrap_or_default();
        let Some(state) = plan.policies.get(&name) else {
            continue;
        };
        let live = cluster.rendered_policies.get(&rendered_name(&name));
        let said = status::policy(
            &name,
            state,
            live,
            rejection(POLICY, &name).map(String::as_str),
        );
        count(&said, true);
        let before = policy
            .as_ref()
            .ok()
            .and_then(|policy| policy.status.as_ref());
        let before = before.map_or(&[][..], |status| &status.conditions);
        let conditions = status::changed(said, before, metadata.generation, now);
        complete &= patch::<ImageAdmissionPolicy>(client, metadata, conditions).await;
    }
    for binding in &cluster.bindings {
        let (metadata, object) = match binding {
            Ok(binding) => (&binding.metadata, Some(binding)),
            Err(undecodable) => (&*undecodable.metadata, None),
        };
        let name = metadata.name.clone().unwrap_or_default();
        let Some(state) = plan.bindings.get(&name) else {
            continue;
        };
        let said = status::binding(
            object.map(|binding| &binding.spec),
            state,
            rejection(BINDING, &name).map(String::as_str),
        );
        count(&said, false);
        let before = object.and_then(|binding| binding.status.as_ref());
        let before = before.map_or(&[][..], |status| &status.conditions);
        let conditions = status::changed(said, before, metadata.generation, now);
        complete &= patch::<ImageAdmissionPolicyBinding>(client, metadata, conditions).await;
    }
    metrics.policies_rendered.set(ready);
    metrics.not_rendered.set(not_ready);
    complete
}

/// Writes conditions. False: the API server did not take them.
async fn patch<K>(
    client: &Client,
    metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    conditions: Option<Vec<Condition>>,
) -> bool
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let (Some(conditions), Some(name)) = (conditions, metadata.name.as_deref()) else {
        return true;
    };
    let body = json!({
        "metadata": {"uid": metadata.uid},
        "status": {"observedGeneration": metadata.generation, "conditions": conditions},
    });
    let params = PatchParams::default();
    let api = Api::<Decoded<K>>::all(client.clone());
    match api.patch_status(name, &params, &Patch::Merge(body)).await {
        Ok(_) => true,
        Err(error) => {
            let kind = K::kind(&());
            tracing::warn!(%error, %kind, name, "Cannot write the status");
            false
        }
    }
}
