//! The response to a review.
//!
//! Here: its JSON. Not here: the texts in it (`text`), the decision (`entries`).
//! Invariant: a rejection has the code 403. A client retries others by itself, or takes them for an outage.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// A response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdmissionResponse {
    /// Why the request is rejected; none: it is allowed.
    pub denied: Option<String>,
    /// Warnings for the client.
    pub warnings: Vec<String>,
    /// Audit annotations; the API server puts the name of the entry before each key.
    pub audit: BTreeMap<String, String>,
    /// Operations of a JSON patch; empty: the object stays as it is.
    pub patch: Vec<Json>,
}

impl AdmissionResponse {
    /// The request is allowed.
    #[must_use]
    pub fn allowed() -> Self {
        Self::default()
    }

    /// The request is allowed with a warning.
    #[must_use]
    pub fn warned(warning: String) -> Self {
        Self {
            warnings: vec![warning],
            ..Self::default()
        }
    }

    /// The request is rejected.
    #[must_use]
    pub fn denied(message: String) -> Self {
        Self {
            denied: Some(message),
            ..Self::default()
        }
    }

    /// The `AdmissionReview` that answers the request with this UID.
    #[must_use]
    pub fn encode(&self, uid: &str) -> Vec<u8> {
        let mut response = json!({"uid": uid, "allowed": self.denied.is_none()});
        if let Some(message) = &self.denied {
            response["status"] = json!({
                "status": "Failure", "code": 403, "reason": "Forbidden", "message": message,
            });
        }
        if !self.warnings.is_empty() {
            response["warnings"] = json!(self.warnings);
        }
        if !self.audit.is_empty() {
            response["auditAnnotations"] = json!(self.audit);
        }
        if !self.patch.is_empty() {
            let patch = Json::from(self.patch.as_slice()).to_string();
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(STANDARD.encode(patch));
        }
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response,
        });
        review.to_string().into_bytes()
    }
}
