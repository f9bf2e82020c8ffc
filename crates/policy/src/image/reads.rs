//! The parts of a pod that the verdict about its images depends on.
//!
//! Here: which parts those are, for a pod and for an object with a pod template. Not here: what of an expression
//! reads which part (`cel`), keeping them (`projection`).
//! Invariant: a decision is the same for a pod and for these parts of it.

use super::compile::CompiledImagePolicy;
use super::images::ImageUser;
use super::validations;
use crate::Reads;
use bailiff_api::ImageAdmissionPolicySpec;

/// What tells who a pod is and whose it is. Reports and selectors read it.
const IDENTITY: [&[&str]; 9] = [
    &["apiVersion"],
    &["kind"],
    &["metadata", "name"],
    &["metadata", "generateName"],
    &["metadata", "namespace"],
    &["metadata", "uid"],
    &["metadata", "labels"],
    &["metadata", "annotations"],
    &["metadata", "ownerReferences"],
];
const TEMPLATE: [&str; 2] = ["spec", "template"];
const JOB_TEMPLATE: [&str; 2] = ["spec", "jobTemplate"];

/// The parts of a Pod that decisions with these policies depend on.
#[must_use]
pub fn pod_reads<'a>(policies: impl IntoIterator<Item = &'a CompiledImagePolicy>) -> Reads {
    let mut reads = identity();
    for user in ImageUser::ALL {
        for field in ["name", "image"] {
            reads.merge(&Reads::path(&["spec", user.field(), "*", field]));
        }
    }
    for policy in policies {
        reads.merge(&policy.pod_reads);
    }
    reads
}

/// The parts of an object with a pod template, such as a Deployment or a CronJob, if `pod` are those of a Pod.
#[must_use]
pub fn template_reads(pod: &Reads) -> Reads {
    let mut reads = identity();
    let template = pod.clone().at(&TEMPLATE);
    reads.merge(&template.clone().at(&JOB_TEMPLATE));
    reads.merge(&template);
    reads
}

fn identity() -> Reads {
    let mut reads = Reads::default();
    for path in IDENTITY {
        reads.merge(&Reads::path(path));
    }
    reads
}

/// The parts of a Pod that the expressions of a policy read.
pub(super) fn of_expressions(spec: &ImageAdmissionPolicySpec) -> Reads {
    let mut reads = validations::reads("object", spec);
    let of_container = validations::reads("container", spec);
    for user in ImageUser::ALL {
        reads.merge(&of_container.clone().at(&["spec", user.field(), "*"]));
    }
    reads
}
