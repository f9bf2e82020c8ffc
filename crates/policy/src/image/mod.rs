//! Which images a pod can use, by an `ImageAdmissionPolicy`.
//!
//! Here: the images of a pod, compiling policies and bindings, the decision about a pod, and what needs no
//! registry rendered as a `ValidatingAdmissionPolicy`. Not here: writing rendered policies (`renderer`),
//! asking registries (`oci`), reviews (`webhook`).
//! Invariant: [`decide`] and the rendered policy have the same verdict about references as they are written, and the
//! same message, for every pod, so that it makes no difference which of the two a pod meets. Expressions are not rendered.

mod bind;
mod compile;
mod decide;
mod evaluate;
mod images;
mod messages;
mod pins;
pub mod platform;
mod reads;
mod registry;
mod render;
mod validations;

pub use bind::{
    Actions, BoundPolicy, CompiledImageBinding, Mode, PodLabels, bound, compile_binding,
    possibly_bound,
};
pub use compile::{CompiledImagePolicy, compile};
pub use decide::{Decision, PodReview, Replaced, Stage, decide, references_to_look_up};
pub use evaluate::{RegistryRule, Rule, Violation, WrittenRule};
pub use images::{Image, ImageUser, images, pod_of_template};
pub use pins::{ORIGINAL_IMAGE, ORIGINAL_VOLUME, Pin};
pub use reads::{pod_reads, template_reads};
pub use registry::Lookups;
pub use render::{Exemptions, NOT_A_MIRROR_POD, RENDERED_PREFIX, binding, policy, rendered_name};
pub use validations::type_check;

#[cfg(test)]
mod tests;
