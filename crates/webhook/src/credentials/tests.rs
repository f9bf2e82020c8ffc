//! Who asks with which credential.

use super::*;
use bailiff_oci::ShortNames;
use serde_json::json;

const REGISTRIES: &str = "
registries:
  ghcr.io:
    credentials:
    - {secret: shop, repositories: ['ghcr.io/shop/**'], namespaceSelector: {matchLabels: {team: shop}}}
    - {secret: all, repositories: ['ghcr.io/acme/**']}
  quay.io:
    credentials: [{secret: all}]
";

fn registries() -> Registries {
    Registries::parse(REGISTRIES).unwrap()
}

fn content(version: &str, auths: &[&str]) -> Vec<u8> {
    let auths: serde_json::Map<_, _> = auths
        .iter()
        .map(|host| {
            let auth = json!({"username": "u", "password": format!("{host} {version}")});
            ((*host).to_owned(), auth)
        })
        .collect();
    json!({"auths": auths}).to_string().into_bytes()
}

/// What an answer that came with this credential is remembered under.
fn key(name: &str, version: &str) -> String {
    format!("{name}@1.{version}")
}

fn secret(version: &str, auths: &[&str]) -> Vec<u8> {
    let config = k8s_openapi::ByteString(content(version, auths));
    json!({"metadata": {"uid": "1", "resourceVersion": version}, "data": {".dockerconfigjson": config}})
        .to_string()
        .into_bytes()
}

fn choice(credentials: &Credentials, image: &str, team: &str, callers: Callers) -> String {
    let reference = Reference::parse(image, ShortNames::DockerHub).unwrap();
    let labels = BTreeMap::from([("team".to_owned(), team.to_owned())]);
    match credentials.choose(&registries(), &reference, &labels, callers) {
        Choice::Anonymous => "anonymous".to_owned(),
        Choice::With(_, key) => key,
        Choice::NotRead => "not read".to_owned(),
        Choice::Unusable => "unusable".to_owned(),
    }
}

#[test]
fn a_namespace_asks_with_the_credentials_that_it_can_use() {
    let credentials = Credentials::default();
    let listed = |name: &str, object: Vec<u8>| {
        credentials.apply(&registries(), name, &ObjectEvent::Listing);
        credentials.apply(&registries(), name, &ObjectEvent::Listed(object));
        credentials.apply(&registries(), name, &ObjectEvent::Complete);
    };
    listed("shop", secret("7", &["ghcr.io"]));
    listed("all", secret("8", &["https://quay.io/v2/"]));
    let (shop, all) = (&*key("shop", "7"), &*key("all", "8"));
    for (image, team, verified, unverified) in [
        ("ghcr.io/shop/web:1", "shop", shop, "anonymous"),
        ("ghcr.io/shop/web:1", "bank", "anonymous", "anonymous"),
        ("ghcr.io/other/web:1", "shop", "anonymous", "anonymous"),
        // The Secret has no entry for this registry.
        ("ghcr.io/acme/web:1", "bank", "unusable", "unusable"),
        ("quay.io/any/web:1", "bank", all, all),
        ("docker.io/any/web:1", "shop", "anonymous", "anonymous"),
    ] {
        let of = |callers| choice(&credentials, image, team, callers);
        assert_eq!(of(Callers::Verified), verified, "{image} {team}");
        assert_eq!(of(Callers::Unverified), unverified, "{image} {team}");
    }
}

#[test]
fn a_credential_is_used_from_its_first_to_its_last_version() {
    let credentials = Credentials::default();
    let apply = |event: ObjectEvent| credentials.apply(&registries(), "shop", &event);
    let now = || {
        choice(
            &credentials,
            "ghcr.io/shop/web:1",
            "shop",
            Callers::Verified,
        )
    };
    let of = |version| secret(version, &["ghcr.io"]);
    assert_eq!(now(), "not read");
    apply(ObjectEvent::Listing);
    assert_eq!(now(), "not read");
    apply(ObjectEvent::Complete);
    assert_eq!(now(), "unusable", "it does not exist");
    apply(ObjectEvent::Applied(of("2")));
    assert_eq!(now(), key("shop", "2"));
    apply(ObjectEvent::Applied(of("3")));
    assert_eq!(now(), key("shop", "3"));
    // A list after a broken watch.
    apply(ObjectEvent::Listing);
    assert_eq!(now(), key("shop", "3"));
    apply(ObjectEvent::Listed(of("4")));
    apply(ObjectEvent::Complete);
    assert_eq!(now(), key("shop", "4"));
    apply(ObjectEvent::Applied(b"{}".to_vec()));
    assert_eq!(now(), "unusable", "it has no data");
    apply(ObjectEvent::Applied(of("5")));
    apply(ObjectEvent::Deleted(of("5")));
    assert_eq!(now(), "unusable", "it was deleted");
    apply(ObjectEvent::Applied(of("6")));
    apply(ObjectEvent::Listing);
    apply(ObjectEvent::Complete);
    assert_eq!(
        now(),
        "unusable",
        "it was deleted while the watch was broken"
    );
}

#[test]
fn a_change_of_the_metadata_of_a_secret_forgets_nothing() {
    let credentials = Credentials::default();
    let mut changed: serde_json::Value =
        serde_json::from_slice(&secret("1", &["ghcr.io"])).unwrap();
    let mut keys = Vec::new();
    for version in ["1", "2"] {
        changed["metadata"]["resourceVersion"] = version.into();
        let object = changed.to_string().into_bytes();
        credentials.apply(&registries(), "shop", &ObjectEvent::Applied(object));
        keys.push(choice(
            &credentials,
            "ghcr.io/shop/web:1",
            "shop",
            Callers::Verified,
        ));
    }
    assert_eq!(keys, [key("shop", "1"), key("shop", "1")]);
}

#[test]
fn why_a_secret_cannot_be_used_is_logged_once_for_each_version() {
    let registries = registries();
    let of = |object: &[u8]| read(&registries, "all", object);
    let half = of(&secret("1", &["quay.io"]));
    let fault =
        "ghcr.io: .dockerconfigjson has no credential for the registry; add one to its auths";
    assert_eq!(half.news(None), [fault]);
    assert_eq!(half.news(Some(&half)), [""; 0]);
    let again = of(&secret("2", &["quay.io"]));
    assert_eq!(again.news(Some(&half)), [fault]);
    assert_eq!(
        of(&secret("3", &["quay.io", "ghcr.io"])).news(Some(&half)),
        [""; 0]
    );
    let missing = Read::faulty("the Secret does not exist");
    assert_eq!(missing.news(Some(&half)), ["the Secret does not exist"]);
    assert_eq!(missing.news(Some(&missing)), [""; 0]);
    let empty = of(b"{}");
    assert_eq!(
        empty.news(None),
        [
            "ghcr.io: it has no .dockerconfigjson",
            "quay.io: it has no .dockerconfigjson"
        ]
    );
    assert_eq!(of(b"[]").news(None), ["the Secret cannot be decoded"]);
}
