//! What the webhook would say about the images of pods.
//!
//! Here: policies, what registries say, and the verdict about each image, for the commands `check` and
//! `images`. Not here: the decision (`bailiff_policy::image`), where pods are from (`manifests`, `images`).
//! Invariant: verdicts are those of the functions that the webhook calls. An image whose registry was not
//! asked is never allowed on its account.

mod policies;
mod registry;
mod settings;
#[cfg(test)]
mod tests;
mod verdict;

pub(crate) use policies::Policies;
pub use registry::RegistryArgs;
pub(crate) use registry::{
    Answers, Asked, CONFIG_MAP as REGISTRIES, Registry, RegistrySource, Wanted, of_file,
    registries_of,
};
pub(crate) use settings::Settings;
pub(crate) use verdict::{Finding, ImageVerdict, Verdict, namespace_object, verdicts, wanted};

/// How the result of a command is told to CI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Each image is allowed.
    Allowed,
    /// At least one image is denied.
    Denied,
    /// None is denied, and at least one could not be checked.
    NotChecked,
}

impl Outcome {
    /// The exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Allowed => 0,
            Self::Denied => 3,
            Self::NotChecked => 4,
        }
    }

    /// The outcome of verdicts. `fail_on_warnings`: a warning counts as a denial.
    pub(crate) fn of(verdicts: impl IntoIterator<Item = Verdict>, fail_on_warnings: bool) -> Self {
        let mut outcome = Self::Allowed;
        for verdict in verdicts {
            match verdict {
                Verdict::Denied => return Self::Denied,
                Verdict::Warned if fail_on_warnings => return Self::Denied,
                Verdict::NotChecked => outcome = Self::NotChecked,
                Verdict::Exempt
                | Verdict::Uncovered
                | Verdict::Allowed
                | Verdict::Audited
                | Verdict::Warned => {}
            }
        }
        outcome
    }
}
