//! The registry client: asks a registry about an image reference, and for the image.
//!
//! Here: which hosts and addresses are asked, with which credential, and what an answer means. Not
//! here: remembering answers, and which namespace can use which credential (`webhook`).
//! Invariant: nothing that a tenant wrote selects a host that is asked. A registry is asked if the
//! configuration lists it, a policy names it or a person typed it, and connections go only to addresses that were
//! checked after the name was resolved. Whatever a registry sends is bounded before it
//! is stored, and what is not an answer is a [`Failure`] with its cause.
//!
//! Proxies of the environment (`HTTPS_PROXY`) are not used: the proxy would resolve names and
//! connect, so no address could be checked. Credentials are user names and passwords; what a cloud
//! gives out in exchange for a workload's identity is not supported.

mod addresses;
mod answer;
mod auth;
mod client;
mod config;
mod connect;
mod credential;
mod endpoint;
mod hops;
mod limits;
mod tokens;
mod turns;

pub use addresses::address_allowed;
pub use client::{PullError, PullLimits, PulledManifest, RegistryClient};
pub use config::{
    CredentialSource, InvalidRegistries, LabelRequirement, NamespaceSelector, Operator, Registries,
};
pub use connect::{InvalidClient, Resolve};
pub use credential::{Credential, InvalidCredential};
pub use endpoint::Origin;
pub use hops::{Content, Hop, hop};
pub use limits::Limits;

use crate::lookup::Failure;

/// The most bytes of a configuration: what a `ConfigMap` holds.
const MAX_CONFIG_BYTES: usize = 1 << 20;

/// A future that is sent between threads.
type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
