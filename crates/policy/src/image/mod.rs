//! Which images a pod can use, by an `ImageAdmissionPolicy`.
//!
//! Here: the images of a pod, compiling a policy, the verdict, and the same verdict rendered as a
//! `ValidatingAdmissionPolicy`. Not here: writing rendered policies (`renderer`).
//! Invariant: [`evaluate`] and the rendered policy have the same verdict and the same message for every
//! pod, so that it makes no difference which of the two a pod meets.

mod compile;
mod evaluate;
mod images;
mod messages;
mod render;

pub use compile::{CompiledImagePolicy, compile};
pub use evaluate::{Rule, Verdict, Violation, evaluate};
pub use images::{Image, ImageUser, images};
pub use render::{Exemptions, RENDERED_PREFIX, binding, policy, rendered_name};

#[cfg(test)]
mod tests;
