//! Condition types and reasons of Bailiff's objects.
//!
//! Here: the vocabulary of `status.conditions`, and when the time of a transition stays. Not here: when
//! each is set (`response`, `controller`, `renderer`).
//! Invariant: types are adjectives or past participles and reasons upper camel case, as the API
//! conventions ask; each is documented in `docs/operating.md`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// A condition with a transition at this time; [`succeeding`] keeps the time of the one before. `message` is stored
/// as it is: whoever has text of others in it escapes it and cuts it before.
#[must_use]
pub fn new(
    type_: &str,
    status: &str,
    reason: &str,
    message: String,
    generation: Option<i64>,
    now: Time,
) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: now,
    }
}

/// The successor of the condition of its type: the time of its last transition stays unless its status
/// differs.
#[must_use]
pub fn succeeding(before: &[Condition], mut new: Condition) -> Condition {
    let old = before.iter().find(|old| old.type_ == new.type_);
    if let Some(old) = old.filter(|old| old.status == new.status) {
        new.last_transition_time = old.last_transition_time.clone();
    }
    new
}

/// Condition types.
pub mod types {
    /// A policy: it compiles, and sensors can evaluate it. A binding: its policy exists and is Ready.
    pub const READY: &str = "Ready";
    /// A binding: its selectors match at least one pod now.
    pub const PODS_MATCHED: &str = "PodsMatched";
    /// A policy: an expression of its current generation could not be evaluated on some node.
    /// Present or absent, never False: that no evaluation failed anywhere cannot be known.
    pub const EVALUATION_FAILED: &str = "EvaluationFailed";
    /// An image policy: the API server has a ValidatingAdmissionPolicy of its current generation.
    pub const RENDERED: &str = "Rendered";
    /// A binding of an image policy with the action Deny: the namespaces that the cluster is known to need are exempt, so
    /// an outage of the webhook keeps none of their pods from starting.
    pub const PLATFORM_EXEMPT: &str = "PlatformExempt";
    /// A binding: its responses wait, because it would remove pods of too many workloads.
    pub const PAUSED: &str = "Paused";
    /// An Incident: the response, with the outcome as reason. `Unknown` while it is open.
    pub const RESPONDED: &str = "Responded";
    /// An Incident: the workload has a Ready replacement, or needs none.
    pub const RECOVERED: &str = "Recovered";
}

/// Reasons of [`types::READY`] and [`types::PODS_MATCHED`].
pub mod ready {
    /// Every expression compiled.
    pub const COMPILED: &str = "Compiled";
    /// An expression does not compile; the message has the position.
    pub const COMPILE_ERROR: &str = "CompileError";
    /// The object cannot be decoded; the message has the cause. It never enforces.
    pub const DECODE_ERROR: &str = "DecodeError";
    /// The binding's policy exists and is Ready.
    pub const POLICY_READY: &str = "PolicyReady";
    /// No policy has the name that the binding asks for.
    pub const POLICY_NOT_FOUND: &str = "PolicyNotFound";
    /// The binding's policy exists and is not Ready.
    pub const POLICY_NOT_READY: &str = "PolicyNotReady";
    /// The binding has the action Delete, which the chart value `response.allowPodDeletion` does not
    /// allow.
    pub const POD_DELETION_NOT_ALLOWED: &str = "PodDeletionNotAllowed";
    /// A selector of the object is not valid.
    pub const INVALID_SELECTOR: &str = "InvalidSelector";
    /// The API server rejected the rendered binding, or did not respond.
    pub const REQUEST_REJECTED: &str = "RequestRejected";
    /// What owns the rendered bindings does not exist, so that the API server enforces none.
    pub const OWNER_NOT_FOUND: &str = "OwnerNotFound";
    /// The policy has rules that only the webhook enforces, and the webhook is disabled.
    pub const WEBHOOK_DISABLED: &str = "WebhookDisabled";
    /// The webhook applies the binding.
    pub const WEBHOOK_APPLIES: &str = "WebhookApplies";
    /// At least one pod matches.
    pub const MATCHING_PODS_FOUND: &str = "MatchingPodsFound";
    /// No pod matches now.
    pub const NO_MATCHING_PODS: &str = "NoMatchingPods";
}

/// Reasons of [`types::RENDERED`].
pub mod rendered {
    /// The API server has the current generation.
    pub const RENDERED: &str = "Rendered";
    /// The policy is not Ready; an earlier generation can be in force.
    pub const POLICY_NOT_READY: &str = "PolicyNotReady";
    /// The API server rejected the rendered policy, or did not respond.
    pub const REQUEST_REJECTED: &str = "RequestRejected";
    /// What owns the rendered bindings does not exist, so that the API server enforces none.
    pub const OWNER_NOT_FOUND: &str = "OwnerNotFound";
}

/// Reasons of [`types::PLATFORM_EXEMPT`].
pub mod platform_exempt {
    /// Status True: no namespace is known that the cluster needs and that is not exempt.
    pub const NOTHING_LOCKED_OUT: &str = "NothingLockedOut";
    /// Status False: failurePolicy is Fail, and there are such namespaces.
    pub const LOCKED_OUT: &str = "LockedOut";
    /// Status False: failurePolicy is Ignore, and there are such namespaces.
    pub const WOULD_BE_LOCKED_OUT: &str = "WouldBeLockedOut";
    /// Status Unknown: the objects that the cluster needs could not be read.
    pub const API_REQUEST_FAILED: &str = "APIRequestFailed";
}

/// Reasons of [`types::EVALUATION_FAILED`].
pub mod evaluation_failed {
    /// Status True: the policy has `failurePolicy: Fail`, so that Incidents report it.
    pub const FAILURE_REPORTED: &str = "FailureReported";
    /// Status True: the policy has `failurePolicy: Ignore`.
    pub const FAILURE_IGNORED: &str = "FailureIgnored";
}

/// Reasons of [`types::PAUSED`].
pub mod paused {
    /// Status True: the binding would remove pods of too many workloads at once.
    pub const TOO_MANY_WORKLOADS: &str = "TooManyWorkloads";
    /// Status False: an annotation of the binding resumed this generation.
    pub const RESUMED: &str = "Resumed";
}

/// Reasons of [`types::RESPONDED`]: every way in which a response can end or wait.
pub mod responded {
    /// Status True: the Eviction was accepted.
    pub const EVICTED: &str = "Evicted";
    /// Status True: the pod was deleted, as the binding asks.
    pub const DELETED: &str = "Deleted";
    /// Status True: the pod was terminating already, and its remaining grace period was shortened.
    pub const GRACE_PERIOD_SHORTENED: &str = "GracePeriodShortened";
    /// Status True: the pod was terminating or finished already.
    pub const ALREADY_TERMINATING: &str = "AlreadyTerminating";
    /// Status True: the pod no longer exists.
    pub const POD_NOT_FOUND: &str = "PodNotFound";
    /// Status True: the binding asks for `Audit` alone.
    pub const AUDIT_ONLY: &str = "AuditOnly";
    /// Status True: an expression could not be evaluated, for which there is no response.
    pub const EVALUATION_FAILED: &str = "EvaluationFailed";
    /// Status True: the process already ran when the policy was evaluated, for which there is no response.
    pub const FOUND_RUNNING: &str = "FoundRunning";
    /// Status False: the pod has no controller, and `unmanagedPodPolicy` is Skip.
    pub const UNMANAGED: &str = "Unmanaged";
    /// Status False: a static pod; the kubelet would start it again from its file.
    pub const MIRROR_POD: &str = "MirrorPod";
    /// Status False: a pod of Bailiff itself.
    pub const BAILIFF_POD: &str = "BailiffPod";
    /// Status False: the pod's namespace is exempt by configuration.
    pub const EXEMPT_NAMESPACE: &str = "ExemptNamespace";
    /// Status False: a pod of a critical priority class in a critical namespace.
    pub const CRITICAL_POD: &str = "CriticalPod";
    /// Status False: the policy or its binding was deleted, no longer matches or only audits.
    pub const POLICY_CHANGED: &str = "PolicyChanged";
    /// Status False: the Incident does not match the pod.
    pub const POD_MISMATCH: &str = "PodMismatch";
    /// Status Unknown: the shipped protection of Incidents is missing or modified.
    pub const INCIDENTS_NOT_PROTECTED: &str = "IncidentsNotProtected";
    /// Status False: PodDisruptionBudgets did not allow the eviction in time.
    pub const EVICTION_DEADLINE_EXCEEDED: &str = "EvictionDeadlineExceeded";
    /// Status False: several PodDisruptionBudgets select the pod; the Eviction API rejects that.
    pub const MULTIPLE_DISRUPTION_BUDGETS: &str = "MultipleDisruptionBudgets";
    /// Status False: the API server rejected the request.
    pub const REQUEST_REJECTED: &str = "RequestRejected";
    /// Status False: the violation became older than `response.maxAge` while the response waited for a
    /// person.
    pub const VIOLATION_TOO_OLD: &str = "ViolationTooOld";
    /// Status Unknown: waits for the cooldown period of the workload.
    pub const COOLDOWN: &str = "Cooldown";
    /// Status Unknown: waits for a rate limit of the binding, the namespace or the cluster.
    pub const RATE_LIMITED: &str = "RateLimited";
    /// Status Unknown: waits for a PodDisruptionBudget.
    pub const WAITING_FOR_DISRUPTION_BUDGET: &str = "WaitingForDisruptionBudget";
    /// Status Unknown: an admission webhook rejected the request; it is retried.
    pub const BLOCKED_BY_WEBHOOK: &str = "BlockedByWebhook";
    /// Status Unknown: replacements violate the policy as soon as they start; responses pause.
    pub const CIRCUIT_BREAKER_OPEN: &str = "CircuitBreakerOpen";
    /// Status Unknown: the policy would remove pods of too many workloads; its binding is paused.
    pub const POLICY_PAUSED: &str = "PolicyPaused";
    /// Status Unknown: the switch of all responses is set to Audit, is missing or unreadable.
    pub const RESPONSES_SWITCHED_OFF: &str = "ResponsesSwitchedOff";
    /// Status Unknown: the policy changed, and the Incident lacks what its expressions read; the
    /// next exec decides.
    pub const WAITING_FOR_NEXT_EXEC: &str = "WaitingForNextExec";
    /// Status Unknown: the controller lacks a permission; it retries without end.
    pub const PERMISSION_MISSING: &str = "PermissionMissing";
    /// Status Unknown: a request to the API server failed; it is retried.
    pub const API_REQUEST_FAILED: &str = "APIRequestFailed";
}

/// Reasons of [`types::RECOVERED`].
pub mod recovered {
    /// Status True: a replacement is Ready.
    pub const REPLACEMENT_READY: &str = "ReplacementReady";
    /// Status True: no pod was removed, so no replacement is needed.
    pub const NOTHING_TO_REPLACE: &str = "NothingToReplace";
    /// Status False: no replacement was Ready in time.
    pub const REPLACEMENT_DEADLINE_EXCEEDED: &str = "ReplacementDeadlineExceeded";
    /// Status False: the owner creates no replacement (a finished Job, a pod without owner).
    pub const NO_REPLACEMENT_EXPECTED: &str = "NoReplacementExpected";
    /// Status Unknown: waiting for the replacement.
    pub const WAITING: &str = "WaitingForReplacement";
}
