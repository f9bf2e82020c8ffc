//! Image references, digests, manifests, layers, and patterns of repositories.
//!
//! Here: the one normal form of a reference, which repositories a pattern matches, what a registry
//! says about an image, what of it is persisted, what manifests and configurations mean, with the feature `layers` the
//! tree of an image, and with the feature `registry` asking a registry. Not here: what a policy does with them (`policy`).
//! Invariant: a reference, a digest and a pattern are valid from the start, have a bounded size and
//! are ASCII. An invalid text is an error with a reason, never a value.
#![warn(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm
)]

mod digest;
mod excerpt;
mod grammar;
mod hash;
pub mod image;
mod json;
#[cfg(feature = "layers")]
pub mod layer;
mod lookup;
mod manifest;
mod pattern;
pub mod persisted;
mod reference;
#[cfg(feature = "registry")]
pub mod registry;
#[cfg(feature = "layers")]
pub mod tree;

pub use digest::{Algorithm, Digest, InvalidDigest};
pub use excerpt::Excerpt;
pub use hash::Hasher;
pub use lookup::{Failure, ImageFacts, Lookup, ManifestKind, Missing, Source};
pub use manifest::{ManifestAnswer, ManifestContent};
pub use pattern::{
    InvalidPattern, InvalidPatterns, MAX_PATTERN_BYTES, MAX_PATTERNS, MAX_REGEXES, Pattern,
    PatternFault, Patterns, Shape,
};
pub use reference::{InvalidReference, MAX_REFERENCE_BYTES, Reference, ShortNames};
