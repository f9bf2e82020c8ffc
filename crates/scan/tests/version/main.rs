//! The orders of versions: vectors, the comparators of the ecosystems, laws and messages.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a panic is the report of a test"
)]

mod differential;
mod generated;
mod laws;
mod messages;
mod vectors;
