//! The entry for policies.
//!
//! Here: which policies are rejected. Not here: compiling them (`bailiff_policy`).
//! Invariant: whoever removes a label or a finalizer from a policy with a fault can do that. What is compiled is
//! bounded, whoever sends it.

use crate::entries::NotEvaluated;
use crate::response::AdmissionResponse;
use crate::review::{Operation, Review};
use bailiff_api::{ImageAdmissionPolicy, RuntimePolicy};
use bailiff_kube::decode::Decoded;
use bailiff_policy::text::ascii_lines;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// Most expressions of a list of a policy, and most characters of one, by the schema of both kinds. The API server
/// sends no policy with more.
const EXPRESSIONS_LIMIT: usize = 64;
const EXPRESSION_LIMIT: usize = 10_240;
/// Lists of expressions, and the fields of their entries.
const LISTS: [&str; 3] = ["matchConditions", "variables", "validations"];
const EXPRESSIONS: [&str; 2] = ["expression", "messageExpression"];
/// Most characters of a message.
const MESSAGE_LIMIT: usize = 2048;

/// The response to a review of a policy.
///
/// # Errors
/// If the object is of a kind that the entry is not for, or no object of its kind.
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
    if !is_within_schema(&review.object["spec"]) {
        return Err(NotEvaluated::BeyondSchema);
    }
    let faults = faults(&review.object);
    if faults.is_empty() {
        return Ok(AdmissionResponse::allowed());
    }
    Ok(AdmissionResponse::denied(ascii_lines(
        &faults.join("\n"),
        MESSAGE_LIMIT,
    )))
}

/// Whether a policy has no more and no longer expressions than its schema allows.
fn is_within_schema(spec: &Json) -> bool {
    let lists = LISTS.iter().filter_map(|list| spec[*list].as_array());
    let mut lists = lists.map(|list| (list.len(), list.iter()));
    lists.all(|(count, mut entries)| {
        let is_short = |entry: &Json| {
            let expressions = EXPRESSIONS
                .iter()
                .filter_map(|field| entry[*field].as_str());
            expressions
                .map(|text| text.chars().count())
                .all(|count| count <= EXPRESSION_LIMIT)
        };
        count <= EXPRESSIONS_LIMIT && entries.all(is_short)
    })
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

#[cfg(test)]
mod tests;
