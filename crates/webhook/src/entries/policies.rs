//! The entry for policies.
//!
//! Here: which policies are rejected. Not here: compiling them (`bailiff_policy`).
//! Invariant: whoever removes a label or a finalizer from a policy with a fault can do that.

use crate::entries::NotEvaluated;
use crate::response::AdmissionResponse;
use crate::review::{Operation, Review};
use bailiff_api::{ImageAdmissionPolicy, RuntimePolicy};
use bailiff_kube::decode::Decoded;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// Most characters of a message.
const MESSAGE_LIMIT: usize = 2048;

/// The response to a review of a policy.
///
/// # Errors
/// If the object is of a kind that the entry is not for.
pub(crate) fn response(review: &Review) -> Result<AdmissionResponse, NotEvaluated> {
    let faults: fn(&Json) -> Vec<String> = match (review.group.as_str(), review.resource.as_str()) {
        ("bailiff.dev", "imageadmissionpolicies") => image_policy,
        ("bailiff.dev", "runtimepolicies") => runtime_policy,
        _ => return Err(NotEvaluated::UnexpectedResource(review.to_string())),
    };
    match review.operation {
        Operation::Create => {}
        Operation::Update => {
            let (new, old) = (&review.object, &review.old_object);
            if new["spec"] == old["spec"] {
                return Ok(AdmissionResponse::allowed());
            }
        }
        Operation::Delete | Operation::Other => return Ok(AdmissionResponse::allowed()),
    }
    let faults = faults(&review.object);
    if faults.is_empty() {
        return Ok(AdmissionResponse::allowed());
    }
    Ok(AdmissionResponse::denied(printable(&faults.join("\n"))))
}

fn image_policy(object: &Json) -> Vec<String> {
    decoded::<ImageAdmissionPolicy>(object).map_or_else(
        |fault| vec![fault],
        |policy| texts(bailiff_policy::image::compile(&policy).err()),
    )
}

fn runtime_policy(object: &Json) -> Vec<String> {
    decoded::<RuntimePolicy>(object).map_or_else(
        |fault| vec![fault],
        |policy| texts(bailiff_policy::compile(&policy).err()),
    )
}

fn texts(faults: Option<Vec<bailiff_policy::FieldError>>) -> Vec<String> {
    let faults = faults.into_iter().flatten();
    faults.map(|fault| fault.to_string()).collect()
}

fn decoded<K: Resource + DeserializeOwned>(object: &Json) -> Result<K, String> {
    let decoded = Decoded::<K>::from_text(&object.to_string());
    decoded.into_result().map_err(|undecodable| {
        format!(
            "{}. Correct the field. If a newer version of Bailiff has it, upgrade Bailiff.",
            undecodable.error
        )
    })
}

/// The message with its line breaks and the positions in them, otherwise printable ASCII.
fn printable(message: &str) -> String {
    let allowed = |c: char| c == '\n' || c == ' ' || c.is_ascii_graphic();
    message
        .chars()
        .map(|c| if allowed(c) { c } else { '?' })
        .take(MESSAGE_LIMIT)
        .collect()
}

#[cfg(test)]
mod tests;
