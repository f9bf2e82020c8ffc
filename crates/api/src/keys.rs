//! Label and annotation keys and well-known names.
//!
//! Here: the names that the chart, the controller and the sensor share. Not here:
//! condition types (`condition`) and Event reasons (`event`).
//! Invariant: a key that is served is never reused with another meaning.

/// Label of an Incident: the name of the policy.
pub const LABEL_POLICY: &str = "bailiff.dev/policy";
/// Label of an Incident: the name of the node of the process.
pub const LABEL_NODE: &str = "bailiff.dev/node";
/// Label of an Incident: the UID of the pod.
pub const LABEL_POD_UID: &str = "bailiff.dev/pod-uid";
/// Label of Bailiff's own pods, as the chart sets it. Bailiff never removes such pods.
pub const LABEL_APP_NAME: &str = "app.kubernetes.io/name";
/// Value of [`LABEL_APP_NAME`] of Bailiff's own pods.
pub const APP_NAME: &str = "bailiff";
/// Label of Bailiff's own pods: the component.
pub const LABEL_APP_COMPONENT: &str = "app.kubernetes.io/component";
/// Value of [`LABEL_APP_COMPONENT`] of the sensor pods.
pub const COMPONENT_SENSOR: &str = "sensor";
/// Annotation that the kubelet sets on the API copy of a static pod.
pub const ANNOTATION_MIRROR_POD: &str = "kubernetes.io/config.mirror";
/// Annotation that the kubelet sets on a static pod and its API copy: the hash that the static pod
/// has for a UID (k8s.io/kubernetes v1.37, `pkg/kubelet/config/common.go`).
pub const ANNOTATION_STATIC_POD_UID: &str = "kubernetes.io/config.hash";
/// Name of the `ValidatingAdmissionPolicy`, and of its binding, that protects Incidents.
pub const INCIDENT_PROTECTION: &str = "bailiff-incident-protection";
/// The ValidatingAdmissionPolicies, and their bindings of the same names, that hold the webhook's account to what it
/// needs.
pub const WEBHOOK_PROTECTIONS: [&str; 2] =
    ["bailiff-facts-protection", "bailiff-webhook-protection"];
/// Name of the `ValidatingAdmissionPolicy`, and of its binding, that holds the sensors' Events to their own node and
/// pod, and those of the controller to its name.
pub const EVENT_PROTECTION: &str = "bailiff-event-protection";
/// Name of the `ValidatingAdmissionPolicy`, and of its binding, that keeps the controller's account
/// from removing pods in exempt namespaces.
pub const EVICTION_PROTECTION: &str = "bailiff-eviction-protection";
/// Abstract name of the Unix socket of a sensor, in the network namespace of its pod, that `bailiff observe` connects to.
/// A request is `NAMESPACE/NAME` of a pod, or empty, and a line feed; the answer is a line of JSON for each process.
pub const OBSERVE_SOCKET: &str = "bailiff-observe";
/// Annotation of a RuntimePolicyBinding: resumes responses that the bad-policy guard paused. Its
/// value is the generation of the policy and that of the binding, as `3/1`.
pub const ANNOTATION_RESUME: &str = "bailiff.dev/resume";
/// Name of the ConfigMap that switches all responses; the chart creates it. Its mode is that of
/// [`RESPONSE_SWITCH_MODE`], or of [`RESPONSE_SWITCH_DEFAULT_MODE`] if that key is absent: `Enforce` or
/// `Audit`. With any other value, or without both keys, responses wait.
pub const RESPONSE_SWITCH: &str = "bailiff-response";
/// Key of [`RESPONSE_SWITCH`] that an operator sets. The chart never renders it, so that no upgrade,
/// rollback or GitOps tool turns a switch back.
pub const RESPONSE_SWITCH_MODE: &str = "mode";
/// Key of [`RESPONSE_SWITCH`] that the chart sets, from `response.mode`.
pub const RESPONSE_SWITCH_DEFAULT_MODE: &str = "defaultMode";
/// Name of the ConfigMap in which the controller publishes for the sensors which limits on the number
/// of Incidents are reached; the chart creates it without data. Missing or unreadable: nothing is limited.
pub const INCIDENT_LIMITS: &str = "bailiff-incident-limits";
/// Key of [`INCIDENT_LIMITS`]; `IncidentLimits` as JSON.
pub const INCIDENT_LIMITS_KEY: &str = "limits";
/// Most open Incidents of pods of a namespace that are created in Bailiff's namespace.
pub const FALLBACK_LIMIT: usize = 100;
/// Name of the Lease of the leader election.
pub const CONTROLLER_LEASE: &str = "bailiff-controller";
/// `reportingController` of the Events that the controller creates.
pub const REPORTING_CONTROLLER: &str = "bailiff.dev/controller";
/// `reportingController` of the Events that a sensor creates about its Node.
pub const REPORTING_SENSOR: &str = "bailiff.dev/sensor";
/// `reportingController` of the Events that the webhook creates.
pub const REPORTING_WEBHOOK: &str = "bailiff.dev/webhook";
/// Service account of the sensor, as the chart names it.
pub const SENSOR_SERVICE_ACCOUNT: &str = "bailiff-sensor";
/// Service account of the controller, as the chart names it.
pub const CONTROLLER_SERVICE_ACCOUNT: &str = "bailiff-controller";

/// Name of both webhook configurations, as the chart names them.
pub const WEBHOOK_CONFIGURATION: &str = "bailiff";
/// Name of the `ValidatingWebhookConfiguration` without entries that owns the rendered bindings of image policies, as
/// the chart names it. With it, the API server stops enforcing them.
pub const RENDERED_OWNER: &str = "bailiff-renderer";
/// Name of the Service of the webhook, as the chart names it.
pub const WEBHOOK_SERVICE: &str = "bailiff-webhook";
/// Name of the Secret with the authority of the webhook's certificates. The chart creates it without data; the
/// controller alone reads and writes it.
pub const WEBHOOK_CA_SECRET: &str = "bailiff-webhook-ca";
/// Name of the Secret with the certificate that the webhook serves, `tls.crt` and `tls.key`. The chart creates
/// it without data; the controller writes it and the webhook reads it.
pub const WEBHOOK_TLS_SECRET: &str = "bailiff-webhook-tls";
/// Annotation of a webhook configuration: when the certificate ends that the webhook serves, in RFC 3339. For
/// people who can read no Secrets; the controller writes it.
pub const ANNOTATION_CERTIFICATE_EXPIRES: &str = "bailiff.dev/certificate-expires";

/// Kinds of workloads that Bailiff reads, with their API group and the version that every supported
/// release serves. Owners of other kinds could need any permission, and are not verified.
pub const WORKLOAD_KINDS: &[(&str, &str, &str)] = &[
    ("apps", "v1", "ReplicaSet"),
    ("apps", "v1", "Deployment"),
    ("apps", "v1", "StatefulSet"),
    ("apps", "v1", "DaemonSet"),
    ("batch", "v1", "Job"),
    ("batch", "v1", "CronJob"),
    ("", "v1", "ReplicationController"),
];

/// Namespace that is always exempt from responses and image policies: the cluster depends on its pods, and
/// whoever can create pods there has other ways.
pub const ALWAYS_EXEMPT_NAMESPACE: &str = "kube-system";
