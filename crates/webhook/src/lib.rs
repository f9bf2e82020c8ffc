//! `bailiff webhook`: reviews pods before the API server persists them.
//!
//! Here: the HTTPS server (`server`), who can send reviews (`callers`), decoding them (`review`), the entries (`entries`), the policies in
//! force (`rules`), the answers of registries (`facts`) and their `ConfigMaps` (`persistence`), Events about denied pods (`events`). Not here: the
//! decision about a pod (`bailiff_policy::image`), requests to registries (`oci`), certificates
//! (`controller`).
//! Invariant: under the failure policy Ignore, whatever is not a response admits the pod. Therefore
//! each review has one.

mod admission;
mod budget;
mod callers;
mod certificate;
mod compute;
mod credentials;
mod deadlines;
mod edges;
mod entries;
mod events;
mod facts;
mod lookups;
mod metrics;
mod namespace_objects;
mod persistence;
mod registries;
mod reports;
mod response;
pub mod review;
mod rules;
mod run;
mod server;
mod text;
mod watches;

pub use bailiff_oci::registry::Registries;
pub use bailiff_policy::image::Mode;
pub use callers::{CallerVerification, Callers, InvalidCallers};
pub use edges::EdgesConfig;
pub use lookups::{Lookups, NoRegistries, Wanted};
pub use registries::RegistryLookups;
pub use reports::{Logged, Reports, Templates};
pub use response::AdmissionResponse;
pub use run::{Config, Edges, Error, run};
#[cfg(feature = "measure")]
pub use server::always_allow::{CannotServe, always_allow};
