//! Decisions about reviews, with a cluster and registries that the tests script.

mod namespaces;
mod not_evaluated;

use super::*;
use crate::review::Operation;
use crate::rules::Snapshot;
use bailiff_kube::list_watch::ObjectEvent;
use bailiff_oci::{Digest, ImageFacts, Lookup, ManifestKind, Source};
use bailiff_policy::image::Mode;
use bailiff_testing::{ApiServer, Call};
use serde_json::json;
use std::sync::Mutex;
use tokio::time::Instant;

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// Registries that have every image but those with `absent` in their names, what was asked, and what was
/// admitted.
#[derive(Default)]
struct Registries(
    Mutex<Vec<(Vec<Wanted>, String, Instant)>>,
    Mutex<Vec<String>>,
);

impl Lookups for Registries {
    fn lookup<'a>(
        &'a self,
        wanted: Vec<Wanted>,
        namespace: &'a str,
        _: &'a BTreeMap<String, String>,
        deadline: Instant,
    ) -> BoxFuture<'a, BTreeMap<String, Lookup>> {
        let found = || Lookup::Found {
            facts: ImageFacts {
                digest: Digest::parse(DIGEST).unwrap(),
                kind: ManifestKind::Index,
            },
            source: Source::Registry,
        };
        let answers = wanted.iter().map(|wanted| {
            let name = wanted.reference.to_string();
            let answer = if name.contains("pending") {
                Lookup::Pending
            } else {
                found()
            };
            (name, answer)
        });
        let answers = answers.collect();
        let asked = (wanted, namespace.to_owned(), deadline);
        self.0.lock().unwrap().push(asked);
        Box::pin(std::future::ready(answers))
    }

    fn admitted(&self, wanted: Vec<Wanted>, namespace: &str, labels: &BTreeMap<String, String>) {
        assert_eq!(labels["team"], "shop");
        for wanted in wanted {
            let image = format!("{namespace} {}", wanted.reference);
            self.1.lock().unwrap().push(image);
        }
    }
}

#[derive(Default)]
struct Reported(Mutex<Vec<(String, Json, String)>>);

impl Reports for Reported {
    fn denied(&self, namespace: &str, pod: &Json, message: &str) {
        let report = (namespace.to_owned(), pod.clone(), message.to_owned());
        self.0.lock().unwrap().push(report);
    }
}

struct Cluster {
    admission: Admission,
    registries: Arc<Registries>,
    reported: Arc<Reported>,
}

/// Policies `NAME` with these specs, each with a binding of an action in namespaces with the label
/// `team=shop`; the namespaces `shop`, which has it, and `other`.
fn cluster(client: Client, policies: &[(&str, Json, &str)]) -> Cluster {
    let metrics = Metrics::default();
    let rules = Rules::new(Mode::Enforce, metrics.clone());
    let text = |object: Json| ObjectEvent::Applied(object.to_string().into_bytes());
    for (name, spec, action) in policies {
        rules.policy(&text(json!({"metadata": {"name": name}, "spec": spec})));
        rules.binding(&text(json!({"metadata": {"name": name}, "spec": {
            "policyName": name, "validationActions": [action],
            "matchResources": {"namespaceSelector": {"matchLabels": {"team": "shop"}}}}})));
    }
    let namespaces = Namespaces::default();
    for (name, team) in [("shop", "shop"), ("kube-system", "shop"), ("other", "x")] {
        namespaces.apply(&text(
            json!({"metadata": {"name": name, "labels": {"team": team}}}),
        ));
    }
    let (registries, reported) = (Arc::default(), Arc::default());
    Cluster {
        admission: Admission {
            rules: Arc::new(rules),
            namespaces: Arc::new(namespaces),
            exempt: ["kube-system".to_owned()].into(),
            callers: Callers::Verified,
            lookups: Arc::clone(&registries) as Arc<dyn Lookups>,
            reports: Arc::clone(&reported) as Arc<dyn Reports>,
            namespace_objects: NamespaceObjects::new(client.clone()),
            client,
            metrics,
            reads: Admission::reads(),
            compiles: Admission::compiles(),
        },
        registries,
        reported,
    }
}

fn pod(image: &str) -> Json {
    json!({"metadata": {"name": "web-1", "labels": {"app": "web"}, "ownerReferences": [{"kind": "ReplicaSet"}]},
        "spec": {"containers": [{"name": "web", "image": image}]}})
}

fn review(namespace: &str, object: Json) -> Review {
    Review {
        identity: Identity {
            uid: "u".to_owned(),
            namespace: namespace.to_owned(),
        },
        group: String::new(),
        resource: "pods".to_owned(),
        subresource: String::new(),
        operation: Operation::Create,
        groups: Vec::new(),
        dry_run: false,
        kept: Keep::Everything,
        kept_bytes: 0,
        object,
        old_object: Json::Null,
    }
}

fn deadlines() -> Deadlines {
    Deadlines::of(Some("timeout=5s"), Instant::now())
}

impl Cluster {
    async fn respond(&self, entry: Entry, review: Review) -> AdmissionResponse {
        let evaluated = self.admission.evaluate(entry, review, deadlines());
        evaluated.await.unwrap()
    }

    async fn validate(&self, namespace: &str, image: &str) -> AdmissionResponse {
        let review = review(namespace, pod(image));
        self.respond(Entry::ValidatePods, review).await
    }
}

const DENIED: &str = "Container web uses repository docker.io/library/nginx, which is not allowed. ImageAdmissionPolicy p allows ghcr.io/**. Use an image from an allowed repository.";

fn allowed() -> Json {
    json!({"allowedRepositories": ["ghcr.io/**"]})
}

#[tokio::test]
async fn a_pod_is_rejected_where_a_binding_selects_it() {
    let cluster = cluster(ApiServer::silent(), &[("p", allowed(), "Deny")]);
    let response = cluster.validate("shop", "nginx").await;
    assert_eq!(response, AdmissionResponse::denied(DENIED.to_owned()));
    for (namespace, image) in [
        ("shop", "ghcr.io/a/web"),
        ("other", "nginx"),
        ("kube-system", "nginx"),
    ] {
        let response = cluster.validate(namespace, image).await;
        assert_eq!(
            response,
            AdmissionResponse::allowed(),
            "{namespace} {image}"
        );
    }
    let metrics = &cluster.admission.metrics;
    // Of the namespace without a policy.
    assert_eq!(metrics.uncovered_images.get(), 1);
    assert!(cluster.reported.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_rejection_is_counted_once_at_the_step_that_its_pod_reaches() {
    let registered = json!({"validations": [{"expression": "image.registry == 'ghcr.io'"}]});
    for (spec, by_first, by_second) in [
        // The rendered policy rejects the pod between the two.
        (allowed(), 1, 0),
        (registered, 0, 1),
    ] {
        let cluster = cluster(ApiServer::silent(), &[("p", spec, "Deny")]);
        let metrics = &cluster.admission.metrics;
        let count = || metrics.denied.get_or_create(&metrics.policy("p")).get();
        let review = review("shop", pod("nginx"));
        cluster.respond(Entry::MutatePods, review.clone()).await;
        assert_eq!(count(), by_first);
        // Also if nothing is rendered.
        let response = cluster.respond(Entry::ValidatePods, review).await;
        assert!(response.denied.is_some());
        assert_eq!(count(), by_first + by_second);
    }
}

#[tokio::test]
async fn a_tag_that_an_audited_rule_disallows_is_pinned_and_counted() {
    let tags = json!({"validations": [{"expression": "!has(image.tag) || image.tag != 'latest'"}]});
    let pin = json!({"digest": {"pin": true}, "allowedRepositories": ["ghcr.io/**"]});
    for (action, pins, counted) in [("Audit", 3, 1), ("Deny", 0, 0)] {
        let policies = [("pin", pin.clone(), "Deny"), ("tags", tags.clone(), action)];
        let cluster = cluster(ApiServer::silent(), &policies);
        let review = review("shop", pod("ghcr.io/a/web"));
        let response = cluster.respond(Entry::MutatePods, review).await;
        assert_eq!(response.patch.len(), pins, "{action}");
        assert_eq!(response.audit.len(), counted, "{action}");
        let metrics = &cluster.admission.metrics;
        let label = metrics.policy("tags");
        let allowed = metrics.violations_allowed.get_or_create(&label).get();
        assert_eq!(allowed, u64::try_from(counted).unwrap(), "{action}");
    }
}

#[tokio::test]
async fn a_binding_that_warns_or_audits_admits_the_pod_and_is_counted() {
    let cluster = cluster(
        ApiServer::silent(),
        &[("p", allowed(), "Warn"), ("q", allowed(), "Audit")],
    );
    let response = cluster.validate("shop", "nginx").await;
    assert_eq!(response.denied, None);
    assert_eq!(response.warnings, [DENIED]);
    let audited = DENIED.replace("Policy p", "Policy q");
    assert_eq!(response.audit, [("violations".to_owned(), audited)].into());
    let metrics = &cluster.admission.metrics;
    for policy in ["p", "q"] {
        let label = metrics.policy(policy);
        assert_eq!(metrics.violations_allowed.get_or_create(&label).get(), 1);
        assert_eq!(metrics.denied.get_or_create(&label).get(), 0);
    }
}

#[tokio::test]
async fn an_update_is_reviewed_for_its_new_images_by_old_and_new_labels() {
    let mut spec = allowed();
    spec["matchConstraints"] = json!({"objectSelector": {"matchLabels": {"app": "web"}}});
    let cluster = cluster(ApiServer::silent(), &[("p", spec, "Deny")]);
    let mut update = review("shop", pod("nginx"));
    update.operation = Operation::Update;
    update.old_object = pod("nginx");
    let response = cluster.respond(Entry::ValidatePods, update.clone()).await;
    assert_eq!(response, AdmissionResponse::allowed(), "no image is new");
    update.old_object = pod("ghcr.io/a/web");
    update.object["metadata"]["labels"] = json!({"app": "other"});
    let response = cluster.respond(Entry::ValidatePods, update.clone()).await;
    assert_eq!(
        response.denied.as_deref(),
        Some(DENIED),
        "the label is no way out"
    );
    update.old_object["metadata"]["labels"] = Json::Null;
    let response = cluster.respond(Entry::ValidatePods, update).await;
    assert_eq!(response, AdmissionResponse::allowed());
}

#[tokio::test]
async fn the_mutating_entry_pins_and_reports_and_never_rejects() {
    let mut spec = allowed();
    spec["digest"] = json!({"pin": true});
    let cluster = cluster(ApiServer::silent(), &[("p", spec, "Deny")]);
    let deadline = deadlines().lookups;
    let mutate = |image: &str| review("shop", pod(image));
    let response = cluster
        .respond(Entry::MutatePods, mutate("ghcr.io/a/web:1"))
        .await;
    assert_eq!(
        response.patch[0],
        json!({"op": "replace", "path": "/spec/containers/0/image", "value": format!("ghcr.io/a/web@{DIGEST}")})
    );
    assert_eq!(response.patch.len(), 3);
    assert_eq!(*cluster.reported.0.lock().unwrap(), []);
    let (wanted, namespace, until) = cluster.registries.0.lock().unwrap().remove(0);
    assert_eq!((wanted.len(), namespace.as_str()), (1, "shop"));
    assert_eq!(wanted[0].reference.to_string(), "ghcr.io/a/web:1");
    assert!(wanted[0].named_by_policy && until >= deadline);

    let response = cluster.respond(Entry::MutatePods, mutate("nginx:1")).await;
    assert_eq!((response.denied, response.patch.len()), (None, 0));
    let asked = cluster.registries.0.lock().unwrap().len();
    assert_eq!(asked, 0, "a repository that is not allowed");
    let reported = cluster.reported.0.lock().unwrap().pop().unwrap();
    assert_eq!(
        reported,
        ("shop".to_owned(), pod("nginx:1"), DENIED.to_owned())
    );
    let mut dry_run = mutate("nginx:1");
    dry_run.dry_run = true;
    cluster.respond(Entry::MutatePods, dry_run).await;
    assert_eq!(*cluster.reported.0.lock().unwrap(), []);
    // Who updates a pod reads the response; its workload has the pod.
    let mut update = mutate("nginx:1");
    update.operation = Operation::Update;
    update.old_object = pod("ghcr.io/a/web:1");
    cluster.respond(Entry::MutatePods, update).await;
    assert_eq!(*cluster.reported.0.lock().unwrap(), []);
}

#[tokio::test]
async fn what_a_workload_is_going_to_create_is_warned_about() {
    let mut spec = allowed();
    spec["digest"] = json!({"pin": true});
    let cluster = cluster(ApiServer::silent(), &[("p", spec, "Deny")]);
    let deployment = |namespace: &str, image: &str| {
        let mut review = review(namespace, json!({"spec": {"template": pod(image)}}));
        review.group = "apps".to_owned();
        review.resource = "deployments".to_owned();
        review
    };
    let warnings = async |namespace: &str, image: &str| {
        let response = cluster
            .respond(Entry::ValidateWorkloads, deployment(namespace, image))
            .await;
        assert_eq!((response.denied, response.patch.len()), (None, 0));
        response.warnings
    };
    assert_eq!(
        warnings("shop", "nginx").await,
        [format!(
            "Pods of this Deployment will be rejected. {DENIED}"
        )]
    );
    for (namespace, image) in [
        // Its tag will be pinned, and the registry is asked now.
        ("shop", "ghcr.io/a/web:1"),
        ("shop", "ghcr.io/a/pending:1"),
        ("kube-system", "nginx"),
        ("other", "nginx"),
    ] {
        assert_eq!(
            warnings(namespace, image).await,
            Vec::<String>::new(),
            "{image}"
        );
    }
    assert_eq!(*cluster.reported.0.lock().unwrap(), []);
}

#[tokio::test]
async fn a_template_is_decided_about_as_its_pods_are() {
    let mut spec = allowed();
    spec["matchConstraints"] = json!({"objectSelector": {"matchLabels": {"app": "web"}}});
    let cluster = cluster(ApiServer::silent(), &[("p", spec, "Deny")]);
    let denial = async |namespace: &str, template: &Json| {
        cluster.admission.denial(namespace, template).await
    };
    assert_eq!(denial("shop", &pod("nginx")).await.as_deref(), Some(DENIED));
    assert_eq!(denial("shop", &pod("ghcr.io/a/web")).await, None);
    assert_eq!(denial("other", &pod("nginx")).await, None);
    let mut other = pod("nginx");
    other["metadata"]["labels"] = json!({"app": "other"});
    assert_eq!(denial("shop", &other).await, None);
    for no_template in [json!(null), json!({}), json!({"spec": []})] {
        assert_eq!(denial("shop", &no_template).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn one_policy_is_compiled_at_a_time() {
    let cluster = cluster(ApiServer::silent(), &[]);
    let mut policy = review("", json!({"spec": {"validations": [{"expression": "1"}]}}));
    policy.group = "bailiff.dev".to_owned();
    policy.resource = "runtimepolicies".to_owned();
    let evaluate = || {
        cluster
            .admission
            .evaluate(Entry::ValidatePolicies, policy.clone(), deadlines())
    };
    let compiling = cluster.admission.compiles.acquire().await.unwrap();
    let evaluated = evaluate().await;
    assert!(matches!(evaluated, Err(NotEvaluated::Overloaded)));
    drop(compiling);
    assert!(evaluate().await.unwrap().denied.is_some());
}

#[tokio::test]
async fn a_registry_that_no_policy_names_is_asked_as_such() {
    let spec = json!({"digest": {"pin": true}});
    let cluster = cluster(ApiServer::silent(), &[("p", spec, "Deny")]);
    let review = review("shop", pod("nginx:1"));
    cluster.respond(Entry::MutatePods, review).await;
    let (wanted, ..) = cluster.registries.0.lock().unwrap().remove(0);
    assert!(!wanted[0].named_by_policy, "no policy names Docker Hub");
}

#[tokio::test]
async fn only_images_that_registries_have_and_pods_that_are_admitted_are_remembered_as_such() {
    let spec = json!({
        "allowedRepositories": ["ghcr.io/**"], "digest": {"pin": true}, "onPending": "Allow",
    });
    let cluster = cluster(ApiServer::silent(), &[("p", spec, "Deny")]);
    let pinned = format!("ghcr.io/acme/web@{DIGEST}");
    let two = |image: &str| {
        let mut pod = pod(image);
        let other = json!({"name": "other", "image": "ghcr.io/acme/pending:1"});
        pod["spec"]["containers"]
            .as_array_mut()
            .unwrap()
            .push(other);
        pod
    };
    for (name, entry, object, dry_run, admitted) in [
        (
            "a tag",
            Entry::MutatePods,
            pod("ghcr.io/acme/web:1"),
            false,
            Some("shop ghcr.io/acme/web:1"),
        ),
        (
            "a digest",
            Entry::ValidatePods,
            pod(&pinned),
            false,
            Some(&*format!("shop {pinned}")),
        ),
        ("a dry run", Entry::ValidatePods, pod(&pinned), true, None),
        (
            "denied",
            Entry::ValidatePods,
            two("docker.io/acme/web:1"),
            false,
            None,
        ),
        (
            "denied later",
            Entry::MutatePods,
            two("docker.io/acme/web:1"),
            false,
            None,
        ),
        (
            "not answered",
            Entry::ValidatePods,
            pod("ghcr.io/acme/pending:1"),
            false,
            None,
        ),
        (
            "one of two",
            Entry::ValidatePods,
            two(&pinned),
            false,
            Some(&*format!("shop {pinned}")),
        ),
    ] {
        let review = Review {
            dry_run,
            ..review("shop", object)
        };
        cluster.respond(entry, review).await;
        let found = std::mem::take(&mut *cluster.registries.1.lock().unwrap());
        assert_eq!(found, Vec::from_iter(admitted.map(str::to_owned)), "{name}");
    }
}
