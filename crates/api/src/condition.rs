//! Condition types and reasons of Bailiff's objects.
//!
//! Here: the vocabulary of `status.conditions`. Not here: when each is set (`response`,
//! `controller`, `sensor`).
//! Invariant: types are adjectives or past participles and reasons upper camel case, as the API
//! conventions ask; each is documented in `docs/operating.md`.

/// Condition types.
pub mod types {
    /// A policy: it compiles, and sensors may run it. A binding: its policy exists and is Ready.
    pub const READY: &str = "Ready";
    /// A binding: its selectors match at least one pod now.
    pub const MATCHING: &str = "Matching";
    /// A policy: an expression of its present generation failed at run time on some node, which it
    /// ignores. There or not there, never False: nobody knows that none failed anywhere.
    pub const EVALUATION_FAILED: &str = "EvaluationFailed";
    /// An Incident: what was done about it, with the outcome as reason. `Unknown` while under way.
    pub const ANSWERED: &str = "Answered";
    /// An Incident: the workload has a Ready replacement, or nothing had to be replaced.
    pub const RECOVERED: &str = "Recovered";
}

/// Reasons of [`types::READY`] and [`types::MATCHING`].
pub mod ready {
    /// Every expression compiled.
    pub const COMPILED: &str = "Compiled";
    /// An expression does not compile; the message has the position.
    pub const COMPILE_ERROR: &str = "CompileError";
    /// The binding's policy exists and is Ready.
    pub const BOUND: &str = "Bound";
    /// No policy has the name that the binding asks for.
    pub const POLICY_NOT_FOUND: &str = "PolicyNotFound";
    /// The binding's policy is there and does not compile.
    pub const POLICY_NOT_READY: &str = "PolicyNotReady";
    /// A selector of the object is not valid.
    pub const INVALID_SELECTOR: &str = "InvalidSelector";
    /// At least one pod matches.
    pub const PODS_MATCH: &str = "PodsMatch";
    /// No pod matches now.
    pub const NO_PODS_MATCH: &str = "NoPodsMatch";
}

/// Reasons of [`types::EVALUATION_FAILED`].
pub mod evaluation_failed {
    /// Status True: the policy has `failurePolicy: Ignore`, so that the process was left alone.
    pub const FAILURE_IGNORED: &str = "FailureIgnored";
}

/// Reasons of [`types::ANSWERED`]: every way in which an answer can end or wait.
pub mod answered {
    /// Status True: the Eviction was accepted.
    pub const EVICTED: &str = "Evicted";
    /// Status True: the pod was deleted, as the binding asks.
    pub const DELETED: &str = "Deleted";
    /// Status True: another answer, or its owner, had already ended the pod.
    pub const ALREADY_TERMINATING: &str = "AlreadyTerminating";
    /// Status True: the pod no longer exists.
    pub const POD_GONE: &str = "PodGone";
    /// Status True: the binding asks for `Audit` alone.
    pub const AUDIT_ONLY: &str = "AuditOnly";
    /// Status True: an expression failed at run time, which never leads to an eviction.
    pub const EVALUATION_FAILED: &str = "EvaluationFailed";
    /// Status False: the pod has no controller, and the binding does not ask for `evictUnmanaged`.
    pub const UNMANAGED: &str = "Unmanaged";
    /// Status False: a static pod; the kubelet would start it again from its file.
    pub const MIRROR_POD: &str = "MirrorPod";
    /// Status False: a pod of Bailiff's own.
    pub const OWN_POD: &str = "OwnPod";
    /// Status False: the pod's namespace is exempt by configuration.
    pub const EXEMPT_NAMESPACE: &str = "ExemptNamespace";
    /// Status False: the policy or its binding is no longer there, or no longer the same.
    pub const POLICY_CHANGED: &str = "PolicyChanged";
    /// Status False: the Incident does not agree with the live pod.
    pub const NOT_CONFIRMED: &str = "NotConfirmed";
    /// Status Unknown for a while, then False: the shipped confinement of Incidents is missing or
    /// was changed.
    pub const NOT_CONFINED: &str = "NotConfined";
    /// Status False: PodDisruptionBudgets did not allow it in time.
    pub const DISRUPTION_BUDGET: &str = "DisruptionBudget";
    /// Status False: two PodDisruptionBudgets select the pod; the Eviction API refuses such pods.
    pub const SEVERAL_DISRUPTION_BUDGETS: &str = "SeveralDisruptionBudgets";
    /// Status False: the API server refused the eviction.
    pub const REFUSED: &str = "Refused";
    /// Status Unknown: waits for the cooldown of the workload.
    pub const COOLDOWN: &str = "Cooldown";
    /// Status Unknown: waits for the rate limit.
    pub const RATE_LIMITED: &str = "RateLimited";
    /// Status Unknown: waits for a PodDisruptionBudget.
    pub const WAITING_FOR_DISRUPTION_BUDGET: &str = "WaitingForDisruptionBudget";
    /// Status Unknown: something could not be read; it is tried again.
    pub const COULD_NOT_CHECK: &str = "CouldNotCheck";
}

/// Reasons of [`types::RECOVERED`].
pub mod recovered {
    /// Status True: a replacement is Ready.
    pub const REPLACEMENT_READY: &str = "ReplacementReady";
    /// Status True: nothing was taken away, so nothing had to come back.
    pub const NOTHING_TO_REPLACE: &str = "NothingToReplace";
    /// Status False: no replacement was Ready in time.
    pub const NO_REPLACEMENT: &str = "NoReplacement";
    /// Status False: the owner does not make a new pod (a finished Job, a pod without owner).
    pub const NOT_REPLACED: &str = "NotReplaced";
    /// Status Unknown: waiting for the replacement.
    pub const WAITING: &str = "WaitingForReplacement";
}
