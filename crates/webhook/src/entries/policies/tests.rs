use super::*;
use crate::review::Identity;
use kube::CustomResourceExt as _;
use serde_json::json;

fn review(resource: &str, operation: Operation, spec: Json, old: Json) -> Review {
    let object = |spec: Json| {
        if spec.is_null() {
            return Json::Null;
        }
        json!({"apiVersion": "bailiff.dev/v1alpha1", "kind": "K", "metadata": {"name": "p"}, "spec": spec})
    };
    Review {
        identity: Identity::default(),
        group: "bailiff.dev".to_owned(),
        resource: resource.to_owned(),
        subresource: String::new(),
        operation,
        groups: Vec::new(),
        dry_run: false,
        kept: crate::review::Keep::Everything,
        kept_bytes: 0,
        object: object(spec),
        old_object: object(old),
    }
}

fn denied(review: &Review) -> Option<String> {
    response(review).unwrap().denied
}

#[test]
fn a_policy_that_does_not_compile_is_rejected_with_field_and_position() {
    let image = "imageadmissionpolicies";
    let create =
        |resource: &str, spec: Json| denied(&review(resource, Operation::Create, spec, Json::Null));
    assert_eq!(
        create(image, json!({"allowedRepositories": ["ghcr.io/acme/**"]})),
        None
    );
    let message = create(
        image,
        json!({"allowedRepositories": ["ghcr.io/acme/**", "nginx"]}),
    );
    let message = message.unwrap();
    assert!(
        message.starts_with("spec.allowedRepositories[1]: \"nginx\" is not a pattern: "),
        "{message}"
    );
    let runtime = "runtimepolicies";
    assert_eq!(
        create(
            runtime,
            json!({"validations": [{"expression": "process.uid == 0"}]})
        ),
        None
    );
    let message = create(
        runtime,
        json!({"validations": [{"expression": "true"}, {"expression": "process.uid =="}]}),
    );
    let message = message.unwrap();
    assert!(
        message.starts_with("spec.validations[1].expression: "),
        "{message}"
    );
    assert!(message.contains("1:15"), "{message}");
    assert!(message.lines().count() > 1, "{message}");
    let message = create(runtime, json!({"validations": [{"expression": 7}]}));
    assert_eq!(
        message.as_deref(),
        Some(
            "spec.validations[0].expression: invalid type: integer `7`, expected a string. Correct the field. If a newer version of Bailiff has it, upgrade Bailiff."
        )
    );
}

#[test]
fn a_policy_with_a_fault_can_be_deleted_and_its_metadata_changed() {
    let image = "imageadmissionpolicies";
    let (bad, worse, good) = (
        json!({"allowedRepositories": ["nginx"]}),
        json!({"allowedRepositories": ["nginx", "redis"]}),
        json!({"allowedRepositories": ["ghcr.io/**"]}),
    );
    let update = |new: &Json, old: &Json| {
        denied(&review(image, Operation::Update, new.clone(), old.clone()))
    };
    assert_eq!(update(&bad, &bad), None);
    assert_eq!(update(&good, &bad), None);
    assert!(update(&worse, &bad).is_some());
    assert!(update(&bad, &good).is_some());
    let delete = review(image, Operation::Delete, Json::Null, bad);
    assert_eq!(denied(&delete), None);
}

#[test]
fn another_kind_is_no_policy() {
    let mut other = review("incidents", Operation::Create, json!({}), Json::Null);
    let text = |review: &Review| response(review).unwrap_err().to_string();
    assert_eq!(
        text(&other),
        "the webhook configuration of Bailiff sends bailiff.dev/incidents here. Run `helm upgrade` to restore it"
    );
    other.group = "example.com".to_owned();
    other.resource = "runtimepolicies".to_owned();
    assert!(text(&other).contains("example.com/runtimepolicies"));
}

#[test]
fn a_policy_that_no_api_server_sends_is_not_compiled() {
    let crds = [RuntimePolicy::crd(), ImageAdmissionPolicy::crd()];
    for crd in crds.map(|crd| serde_json::to_value(crd).unwrap()) {
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        let spec = crd.pointer(spec).unwrap();
        let lists = LISTS.iter().filter(|list| spec[*list].is_object());
        for list in lists.map(|list| &spec[list]) {
            assert_eq!(list["maxItems"], EXPRESSIONS_LIMIT);
            let fields = &list["items"]["properties"];
            for field in EXPRESSIONS
                .iter()
                .filter(|field| fields[*field].is_object())
            {
                assert_eq!(fields[field]["maxLength"], EXPRESSION_LIMIT);
            }
        }
    }
    let of = |expressions: usize, length: usize| {
        let expression = format!("true{}", " ".repeat(length - 4));
        let spec = json!({"validations": vec![json!({"expression": expression}); expressions]});
        let create = review("runtimepolicies", Operation::Create, spec, Json::Null);
        response(&create).map(|response| response.denied)
    };
    assert_eq!(of(64, 10_240).unwrap(), None);
    for beyond in [of(65, 10), of(1, 10_241)] {
        assert_eq!(
            beyond.unwrap_err().to_string(),
            "it has more or longer expressions than the schema of its kind allows. Report this as a bug"
        );
    }
}
