//! What tests of several rooms share: a mock API server.
//!
//! Here: scenarios of requests and their replies. Not here: a real API server (`testbed`).
//! Invariant: only ever a dependency of tests.
#![allow(
    clippy::panic,
    clippy::expect_used,
    reason = "a panic is the report of a test"
)]

mod api_server;

pub use api_server::{ApiServer, Call};

#[cfg(test)]
mod tests;
