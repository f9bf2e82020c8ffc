//! `bailiff renderer`: image policies as `ValidatingAdmissionPolicies`, which the API server enforces while
//! Bailiff is down.
//!
//! Here: what is written (`plan`), writing it (`apply`), when (`run`), and what the cluster needs (`platform`). Not here: the rendered rules
//! (`bailiff_policy::image`).
//! Invariant: the renderer writes only objects whose name starts with
//! [`bailiff_policy::image::RENDERED_PREFIX`], and statuses of image policies and bindings.

mod apply;
mod metrics;
mod plan;
mod platform;
mod run;
mod status;

pub use bailiff_policy::image::Mode;
pub use plan::Settings;
pub use run::{Config, Error, run};
