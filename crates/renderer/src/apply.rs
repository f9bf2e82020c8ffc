//! One pass: read everything, write what differs, report.
//!
//! Here: the requests and their order. Not here: what differs (`plan`).
//! Invariant: a request that fails stops no other; a pass without the owner of what is rendered writes nothing but
//! statuses, and one without the namespace nothing at all, because the release is being uninstalled.

use crate::metrics::Metrics;
use crate::plan::{self, Cluster, Owner, Plan, RENDERER, Settings, Write, plan};
use crate::platform::Reading;
use crate::status;
use bailiff_api::{ImageAdmissionPolicy, ImageAdmissionPolicyBinding, TypeChecking, keys};
use bailiff_kube::decode::{Decoded, Undecodable};
use bailiff_kube::watch::PAGE_LIMIT;
use bailiff_policy::image::{Actions, RENDERED_PREFIX, rendered_name};
use jiff::Timestamp;
use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// Most objects that cannot be decoded whose conditions are remembered.
const REPORTED_LIMIT: usize = 1000;

/// What a pass came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Everything was as it should be.
    Settled,
    /// Rendered objects were written. Whether they stay so, the next pass tells.
    Wrote,
    /// A request failed; the next pass repeats it.
    Incomplete,
    /// The owner of rendered bindings does not exist, and each policy and binding says so.
    OwnerNotFound,
    /// The release is being uninstalled.
    Uninstalling,
}

/// Makes one pass. `platform` is what is known about the cluster without it.
///
/// # Errors
/// When something cannot be read; nothing was written then.
pub(crate) async fn pass(
    client: &Client,
    settings: &Settings,
    platform: &Reading,
    metrics: &Metrics,
    reported: &mut Reported,
) -> Result<Pass, kube::Error> {
    let owner = match owner(client, settings).await? {
        Owner::Found(owner) => Some(owner),
        Owner::NotFound => {
            tracing::warn!(
                name = keys::RENDERED_OWNER,
                "The ValidatingWebhookConfiguration that owns the rendered bindings does not exist, so the API server does not enforce image policies; restore it with `helm upgrade`"
            );
            None
        }
        Owner::Uninstalling => return Ok(Pass::Uninstalling),
    };
    let has_owner = owner.is_some();
    let mut cluster = Cluster {
        policies: all(client).await?,
        bindings: all(client).await?,
        rendered_policies: rendered(client).await?,
        rendered_bindings: rendered(client).await?,
        owner,
    };
    let plan = plan(&cluster, settings);
    let written = write(client, &plan, &mut cluster, metrics).await;
    let is_reported = report(
        client,
        &plan,
        &cluster,
        &written.rejected,
        (settings, platform),
        reported,
        metrics,
    )
    .await;
    Ok(
        match (written.is_complete && is_reported, plan.writes.is_empty()) {
            (true, _) if !has_owner => Pass::OwnerNotFound,
            (true, true) => Pass::Settled,
            (true, false) => Pass::Wrote,
            (false, _) => Pass::Incomplete,
        },
    )
}

/// The owner of rendered bindings.
async fn owner(client: &Client, settings: &Settings) -> Result<Owner, kube::Error> {
    let owner = metadata::<ValidatingWebhookConfiguration>(client, keys::RENDERED_OWNER).await?;
    let namespace = metadata::<Namespace>(client, &settings.namespace).await?;
    Ok(plan::owner(owner.as_ref(), namespace.as_ref()))
}

/// The metadata of an object without a namespace, whether or not the rest can be decoded; none: it does not exist.
async fn metadata<K>(client: &Client, name: &str) -> Result<Option<ObjectMeta>, kube::Error>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope>,
{
    let found = bailiff_kube::metadata::get::<K>(client, name).await?;
    Ok(found.map(|object| object.meta().clone()))
}

/// All objects of a kind, page by page, each decoded by itself.
async fn all<K>(client: &Client) -> Result<Vec<Result<K, Undecodable>>, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api = Api::<Decoded<K>>::all(client.clone());
    let mut params = ListParams::default().limit(PAGE_LIMIT);
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

/// The rendered objects of a kind, told by their name: other tools overwrite labels. One that cannot be
/// decoded counts as empty, and is replaced.
async fn rendered<K>(client: &Client) -> Result<BTreeMap<String, K>, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Default + DeserializeOwned,
{
    let found = all::<K>(client).await?.into_iter().map(|object| {
        object.unwrap_or_else(|undecodable| {
            let mut empty = K::default();
            *empty.meta_mut() = *undecodable.metadata;
            empty
        })
    });
    let ours = found.filter(|object| object.name_any().starts_with(RENDERED_PREFIX));
    Ok(ours.map(|object| (object.name_any(), object)).collect())
}

/// What became of the writes of a plan.
#[derive(Default)]
struct Written {
    /// None failed.
    is_complete: bool,
    /// The causes of rejections, by kind and name of the rendered object. A conflict is none: the next
    /// pass reads what is there then.
    rejected: BTreeMap<(&'static str, String), String>,
}

/// The conditions of objects that cannot be decoded, by UID, as they were written last: what the objects
/// themselves say cannot be read.
#[derive(Debug, Default)]
pub(crate) struct Reported(BTreeMap<String, Vec<Condition>>);

impl Reported {
    /// The conditions that an object has.
    fn conditions(&self, uid: Option<&String>) -> &[Condition] {
        uid.and_then(|uid| self.0.get(uid))
            .map_or(&[], Vec::as_slice)
    }
}

/// Makes the writes of a plan.
async fn write(client: &Client, plan: &Plan, cluster: &mut Cluster, metrics: &Metrics) -> Written {
    let mut written = Written {
        is_complete: true,
        ..Written::default()
    };
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
            Ok(()) => tracing::info!(kind, name, "Wrote or deleted a rendered object"),
            Err(error) => {
                tracing::warn!(%error, kind, name, "Cannot write a rendered object");
                metrics.write_errors.inc();
                written.is_complete = false;
                if !matches!(&error, kube::Error::Api(status) if status.code == 409) {
                    written.rejected.insert((kind, name), cause(&error));
                }
            }
        }
    }
    written
}

const POLICY: &str = "ValidatingAdmissionPolicy";
const BINDING: &str = "ValidatingAdmissionPolicyBinding";

/// Creates the object, or replaces the one of the resource version that `wanted` has. Not by server-side
/// apply: a value that others added to a set would stay beside ours.
async fn put<K>(client: &Client, wanted: &K) -> Result<K, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let api = Api::<K>::all(client.clone());
    let params = PostParams {
        field_manager: Some(RENDERER.to_owned()),
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

/// Writes the statuses that changed. False: one of them was not written.
async fn report(
    client: &Client,
    plan: &Plan,
    cluster: &Cluster,
    rejected: &BTreeMap<(&'static str, String), String>,
    (settings, platform): (&Settings, &Reading),
    reported: &mut Reported,
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
            metadata.generation,
            live,
            rejection(POLICY, &name).map(String::as_str),
            cluster.owner.is_some(),
        );
        count(&said, true);
        let before = match policy {
            Ok(policy) => policy.status.as_ref().map_or(&[][..], |s| &s.conditions),
            Err(_) => reported.conditions(metadata.uid.as_ref()),
        };
        let conditions = status::changed(said, before, metadata.generation, now);
        let object = policy.as_ref().ok();
        let now_checked = object.and_then(|policy| status::type_checking(policy, state));
        let checked = object.and_then(|policy| policy.status.as_ref()?.type_checking.as_ref());
        let checked = [checked, now_checked.as_ref()];
        let unreadable = object.is_none().then_some(&mut *reported);
        complete &=
            patch::<ImageAdmissionPolicy>(client, metadata, conditions, checked, unreadable).await;
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
        let policy = object.map_or("", |binding| binding.spec.policy_name.as_str());
        let rendered = &cluster.rendered_policies;
        let said = status::binding(
            policy,
            rendered.contains_key(&rendered_name(policy)),
            state,
            rejection(BINDING, &name).map(String::as_str),
        );
        count(&said, false);
        let before = conditions_before(binding, reported);
        let mut conditions = status::conditions(said, before, metadata.generation, now);
        conditions.extend(object.and_then(|of| of_platform(of, settings, platform, before, now)));
        let conditions = (conditions != before).then_some(conditions);
        let unreadable = object.is_none().then_some(&mut *reported);
        complete &= patch::<ImageAdmissionPolicyBinding>(
            client, metadata, conditions, [None; 2], unreadable,
        )
        .await;
    }
    metrics.policies_rendered.set(ready);
    metrics.not_rendered.set(not_ready);
    complete
}

/// The conditions that a binding has, or had last if it cannot be decoded.
fn conditions_before<'a>(
    binding: &'a Result<ImageAdmissionPolicyBinding, Undecodable>,
    reported: &'a Reported,
) -> &'a [Condition] {
    match binding {
        Ok(binding) => binding.status.as_ref().map_or(&[], |s| &s.conditions),
        Err(undecodable) => reported.conditions(undecodable.metadata.uid.as_ref()),
    }
}

/// What the condition of a binding says about an outage of the webhook. None without the webhook.
fn of_platform(
    binding: &ImageAdmissionPolicyBinding,
    settings: &Settings,
    platform: &Reading,
    before: &[Condition],
    now: Timestamp,
) -> Option<Condition> {
    let denies = Actions::of(&binding.spec.validation_actions, settings.mode).deny;
    let generation = binding.metadata.generation;
    let condition = status::platform(platform, denies, before, generation, now);
    condition.filter(|_| settings.webhook)
}

/// Remembers the conditions of an object that cannot be decoded.
fn keep(reported: &mut Reported, metadata: &ObjectMeta, conditions: Vec<Condition>) {
    // A user who creates so many and replaces them all the time has their statuses written again.
    if reported.0.len() >= REPORTED_LIMIT {
        reported.0.clear();
    }
    let uid = metadata.uid.clone().unwrap_or_default();
    reported.0.insert(uid, conditions);
}

/// Writes a status if something changed: the conditions, or the type checking from the first to the
/// second. `unreadable` remembers what an object says that cannot be decoded. False: the API server did not
/// take it.
async fn patch<K>(
    client: &Client,
    metadata: &ObjectMeta,
    conditions: Option<Vec<Condition>>,
    type_checking: [Option<&TypeChecking>; 2],
    unreadable: Option<&mut Reported>,
) -> bool
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let generation = metadata.generation;
    let status = status::patch(conditions.as_deref(), type_checking, generation);
    let (Some(status), Some(name)) = (status, metadata.name.as_deref()) else {
        return true;
    };
    let body = json!({"metadata": {"uid": metadata.uid}, "status": status});
    let params = PatchParams::default();
    let api = Api::<Decoded<K>>::all(client.clone());
    match api.patch_status(name, &params, &Patch::Merge(body)).await {
        Ok(_) => {
            if let (Some(reported), Some(conditions)) = (unreadable, conditions) {
                keep(reported, metadata, conditions);
            }
            true
        }
        Err(error) => {
            let kind = K::kind(&());
            tracing::warn!(%error, %kind, name, "Cannot write the status");
            false
        }
    }
}

#[cfg(test)]
mod tests;
