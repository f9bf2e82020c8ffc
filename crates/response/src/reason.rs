//! Why a response waits, and why there is none.
//!
//! Here: the reasons, and which condition reason each has. Not here: when each applies (`plan`,
//! `rejection`) and its sentence (`messages`).
//! Invariant: every variant has exactly one reason of the condition `Responded`.

use crate::guard::Paused;
use crate::ledger::Limit;
use bailiff_api::PauseReason;
use bailiff_api::condition::responded;
use jiff::Timestamp;

/// Reasons of the condition `Responded` as values without details, for what is matched by kind.
macro_rules! kinds {
    ($(#[$doc:meta])+ $kind:ident { $($(#[$of:meta])+ $variant:ident = $reason:ident,)+ }) => {
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $kind { $($(#[$of])+ $variant,)+ }

        impl $kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The reason of the condition `Responded`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => responded::$reason,)+ }
            }

            /// The kind with this reason; none: it is none of these, or of a newer version.
            #[must_use]
            pub fn of(reason: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.as_str() == reason)
            }
        }
    };
}

kinds! {
    /// What a response waits for, without its details.
    WaitKind {
        /// See [`WaitReason::Cooldown`].
        Cooldown = COOLDOWN,
        /// See [`WaitReason::RateLimited`].
        RateLimited = RATE_LIMITED,
        /// See [`WaitReason::DisruptionBudget`].
        DisruptionBudget = WAITING_FOR_DISRUPTION_BUDGET,
        /// See [`WaitReason::BlockedByWebhook`].
        BlockedByWebhook = BLOCKED_BY_WEBHOOK,
        /// See [`WaitReason::PermissionMissing`].
        PermissionMissing = PERMISSION_MISSING,
        /// See [`WaitReason::IncidentsNotProtected`].
        IncidentsNotProtected = INCIDENTS_NOT_PROTECTED,
        /// See [`WaitReason::ResponsesSwitchedOff`].
        ResponsesSwitchedOff = RESPONSES_SWITCHED_OFF,
        /// See [`WaitReason::CircuitBreakerOpen`].
        CircuitBreakerOpen = CIRCUIT_BREAKER_OPEN,
        /// See [`WaitReason::PolicyPaused`].
        PolicyPaused = POLICY_PAUSED,
        /// See [`WaitReason::WaitingForNextExec`].
        WaitingForNextExec = WAITING_FOR_NEXT_EXEC,
        /// See [`WaitReason::ApiRequestFailed`].
        ApiRequestFailed = API_REQUEST_FAILED,
    }
}

kinds! {
    /// Why Bailiff takes no action, without details.
    NoActionKind {
        /// See [`NoActionReason::AuditOnly`].
        AuditOnly = AUDIT_ONLY,
        /// See [`NoActionReason::EvaluationFailed`].
        EvaluationFailed = EVALUATION_FAILED,
        /// See [`NoActionReason::FoundRunning`].
        FoundRunning = FOUND_RUNNING,
        /// See [`NoActionReason::PodNotFound`].
        PodNotFound = POD_NOT_FOUND,
        /// See [`NoActionReason::AlreadyTerminating`].
        AlreadyTerminating = ALREADY_TERMINATING,
        /// See [`NoActionReason::Unmanaged`].
        Unmanaged = UNMANAGED,
        /// See [`NoActionReason::MirrorPod`].
        MirrorPod = MIRROR_POD,
        /// See [`NoActionReason::BailiffPod`].
        BailiffPod = BAILIFF_POD,
        /// See [`NoActionReason::ExemptNamespace`].
        ExemptNamespace = EXEMPT_NAMESPACE,
        /// See [`NoActionReason::CriticalPod`].
        CriticalPod = CRITICAL_POD,
        /// See [`NoActionReason::PolicyChanged`].
        PolicyChanged = POLICY_CHANGED,
        /// See [`NoActionReason::PodMismatch`].
        PodMismatch = POD_MISMATCH,
        /// See [`NoActionReason::EvictionDeadlineExceeded`].
        EvictionDeadlineExceeded = EVICTION_DEADLINE_EXCEEDED,
        /// See [`NoActionReason::MultipleDisruptionBudgets`].
        MultipleDisruptionBudgets = MULTIPLE_DISRUPTION_BUDGETS,
        /// See [`NoActionReason::RequestRejected`].
        RequestRejected = REQUEST_REJECTED,
        /// See [`NoActionReason::ViolationTooOld`].
        ViolationTooOld = VIOLATION_TOO_OLD,
    }
}

/// Which limit of removals a minute is used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// `maxEvictionsPerMinute` of a binding; its name.
    Binding(String),
    /// The limit of the pod's namespace.
    Namespace,
    /// The limit of the cluster.
    Cluster,
}

/// What a response waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// A pod of the workload was removed within the cooldown period.
    Cooldown,
    /// A limit of removals a minute is used up.
    RateLimited(RateLimit),
    /// A `PodDisruptionBudget` blocks the eviction; its name, if the API server reported it.
    DisruptionBudget(Option<String>),
    /// An admission webhook rejected the request; its message.
    BlockedByWebhook(String),
    /// The controller lacks a permission: what it cannot do.
    PermissionMissing(String),
    /// The protection of Incidents is missing or modified; how.
    IncidentsNotProtected(String),
    /// Responses are switched to audit; or the switch is not available, and why.
    ResponsesSwitchedOff(Option<String>),
    /// Replacements of the workload violate the policy as soon as they start.
    CircuitBreakerOpen {
        /// When the next response is tried.
        until: Timestamp,
    },
    /// The bad-policy guard pauses the binding.
    PolicyPaused(Paused),
    /// The policy changed, and the evidence does not suffice for its new expressions; the error, if
    /// one could not be evaluated.
    WaitingForNextExec(Option<String>),
    /// A request to the API server failed; which and why.
    ApiRequestFailed(String),
}

impl WaitReason {
    /// What a limit that is used up comes to.
    #[must_use]
    pub fn of(limit: Limit) -> Self {
        match limit {
            Limit::Workload(_) => Self::Cooldown,
            Limit::Binding(name) => Self::RateLimited(RateLimit::Binding(name)),
            Limit::Namespace(_) => Self::RateLimited(RateLimit::Namespace),
            Limit::Cluster => Self::RateLimited(RateLimit::Cluster),
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> WaitKind {
        match self {
            Self::Cooldown => WaitKind::Cooldown,
            Self::RateLimited(_) => WaitKind::RateLimited,
            Self::DisruptionBudget(_) => WaitKind::DisruptionBudget,
            Self::BlockedByWebhook(_) => WaitKind::BlockedByWebhook,
            Self::PermissionMissing(_) => WaitKind::PermissionMissing,
            Self::IncidentsNotProtected(_) => WaitKind::IncidentsNotProtected,
            Self::ResponsesSwitchedOff(_) => WaitKind::ResponsesSwitchedOff,
            Self::CircuitBreakerOpen { .. } => WaitKind::CircuitBreakerOpen,
            Self::PolicyPaused(_) => WaitKind::PolicyPaused,
            Self::WaitingForNextExec(_) => WaitKind::WaitingForNextExec,
            Self::ApiRequestFailed(_) => WaitKind::ApiRequestFailed,
        }
    }

    /// The reason of the condition `Responded`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        self.kind().as_str()
    }

    /// Whether only a response that enforces waits for it: under `Audit` nothing does.
    pub(crate) const fn enforces(&self) -> bool {
        match self {
            Self::Cooldown
            | Self::RateLimited(_)
            | Self::DisruptionBudget(_)
            | Self::BlockedByWebhook(_)
            | Self::PermissionMissing(_)
            | Self::ResponsesSwitchedOff(_)
            | Self::CircuitBreakerOpen { .. }
            | Self::PolicyPaused(_)
            | Self::WaitingForNextExec(_) => true,
            Self::IncidentsNotProtected(_) | Self::ApiRequestFailed(_) => false,
        }
    }

    /// What pauses the response after this wait, by what paused it before. What is decided before the
    /// pause, and what may have failed anywhere, ends none: else one failed read would.
    pub(crate) const fn paused(&self, before: Option<PauseReason>) -> Option<PauseReason> {
        match self {
            Self::ResponsesSwitchedOff(_) => Some(PauseReason::ResponsesSwitchedOff),
            Self::PolicyPaused(_) => Some(PauseReason::PolicyPaused),
            // Protection is waited for without end: an upgrade that replaces it closes nothing.
            Self::IncidentsNotProtected(_)
            | Self::WaitingForNextExec(_)
            | Self::ApiRequestFailed(_) => before,
            // Nothing paused it any more when a guardrail after the pause was reached.
            Self::Cooldown
            | Self::RateLimited(_)
            | Self::DisruptionBudget(_)
            | Self::BlockedByWebhook(_)
            | Self::PermissionMissing(_)
            | Self::CircuitBreakerOpen { .. } => None,
        }
    }
}

/// What blocked an eviction until its deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// A `PodDisruptionBudget`; its name, if the API server reported it.
    DisruptionBudget(Option<String>),
    /// An admission webhook; its message.
    Webhook(String),
    /// Requests had no answer, as when an admission webhook takes longer than the controller waits.
    NoAnswer,
}

/// Why Bailiff takes no action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoActionReason {
    /// The bindings only audit.
    AuditOnly,
    /// An expression could not be evaluated.
    EvaluationFailed,
    /// The process already ran when the policy was evaluated.
    FoundRunning,
    /// The pod no longer exists, or another pod has its name.
    PodNotFound,
    /// The pod is terminating or finished; when it was evicted, if it was.
    AlreadyTerminating(Option<Timestamp>),
    /// The pod has no controller.
    Unmanaged,
    /// A static pod.
    MirrorPod,
    /// A pod of Bailiff's own.
    BailiffPod,
    /// An exempt namespace.
    ExemptNamespace,
    /// A pod of a critical priority class in a critical namespace.
    CriticalPod,
    /// The policy or its bindings were deleted, no longer match, only audit, or no longer find a
    /// violation.
    PolicyChanged,
    /// The live pod contradicts the Incident; how.
    PodMismatch(String),
    /// Something blocked the eviction until the deadline.
    EvictionDeadlineExceeded(Blocker),
    /// Several `PodDisruptionBudgets` select the pod. It stays so until the next violation.
    MultipleDisruptionBudgets,
    /// The API server rejected the request; its message.
    RequestRejected(String),
    /// The violation became too old while a person could have let the response continue; what paused it.
    ViolationTooOld(PauseReason),
}

impl NoActionReason {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> NoActionKind {
        match self {
            Self::AuditOnly => NoActionKind::AuditOnly,
            Self::EvaluationFailed => NoActionKind::EvaluationFailed,
            Self::FoundRunning => NoActionKind::FoundRunning,
            Self::PodNotFound => NoActionKind::PodNotFound,
            Self::AlreadyTerminating(_) => NoActionKind::AlreadyTerminating,
            Self::Unmanaged => NoActionKind::Unmanaged,
            Self::MirrorPod => NoActionKind::MirrorPod,
            Self::BailiffPod => NoActionKind::BailiffPod,
            Self::ExemptNamespace => NoActionKind::ExemptNamespace,
            Self::CriticalPod => NoActionKind::CriticalPod,
            Self::PolicyChanged => NoActionKind::PolicyChanged,
            Self::PodMismatch(_) => NoActionKind::PodMismatch,
            Self::EvictionDeadlineExceeded(_) => NoActionKind::EvictionDeadlineExceeded,
            Self::MultipleDisruptionBudgets => NoActionKind::MultipleDisruptionBudgets,
            Self::RequestRejected(_) => NoActionKind::RequestRejected,
            Self::ViolationTooOld(_) => NoActionKind::ViolationTooOld,
        }
    }

    /// The reason of the condition `Responded`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        self.kind().as_str()
    }

    /// Whether nothing was left to do, so that the condition is True; else something was not
    /// done, and it is False.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        match self {
            Self::AuditOnly
            | Self::EvaluationFailed
            | Self::FoundRunning
            | Self::PodNotFound
            | Self::AlreadyTerminating(_) => true,
            Self::Unmanaged
            | Self::MirrorPod
            | Self::BailiffPod
            | Self::ExemptNamespace
            | Self::CriticalPod
            | Self::PolicyChanged
            | Self::PodMismatch(_)
            | Self::EvictionDeadlineExceeded(_)
            | Self::MultipleDisruptionBudgets
            | Self::RequestRejected(_)
            | Self::ViolationTooOld(_) => false,
        }
    }
}
