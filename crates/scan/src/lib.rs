//! What is known about the packages of an image.
//!
//! Here: packages, the orders of their versions, advisories, and which advisory affects which package. Not here:
//! where bytes come from (`oci`, `cli`) and what is allowed (`policy`).
//! Invariant: pure. Everything is a function over values and readers. What cannot be compared or read is reported
//! as that, and never as a package that is not affected.

#![warn(clippy::wildcard_enum_match_arm, clippy::disallowed_methods)]

pub mod action;
pub mod advisory;
pub mod content;
pub mod counting;
pub mod ecosystem;
pub mod ignore;
pub mod index;
pub mod inventory;
pub mod json;
pub mod known_exploited;
pub mod matching;
pub mod package;
pub mod package_list;
pub mod release;
pub mod result;
pub mod severity;
pub mod version;
