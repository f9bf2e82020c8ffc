//! The certificates of the webhook.
//!
//! Here: when a pass is made (`run`), what it changes (`plan`), what is written (`apply`), the content of the
//! Secret of the authority (`authority`), one certificate (`certificate`). Not here: serving a certificate
//! (`bailiff-webhook`).
//! Invariant: the bundle that the API server trusts verifies what a replica serves, also a replica that learns of
//! a new certificate ten minutes late; the key of the authority is in no other object, no log and no error.

mod apply;
mod authority;
mod certificate;
mod plan;
mod run;
#[cfg(test)]
mod tests;

pub(crate) use run::run;
