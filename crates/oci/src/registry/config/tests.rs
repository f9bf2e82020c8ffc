use super::*;
use crate::reference::ShortNames;

#[test]
fn a_configuration_lists_registries() {
    for text in [
        "",
        "{}",
        "registries:\ndenyCIDRs:\n",
        "{\"registries\": {}, \"denyCIDRs\": []}",
    ] {
        let registries = Registries::parse(text).unwrap();
        assert!(!registries.is_listed("docker.io"), "{text}");
    }
    let registries = Registries::parse(
        "
        registries:
          ghcr.io:
          docker.io:
            endpoint: https://mirror.test:5000/v2/hub
            credentials:
              - secret: hub
                repositories: [docker.io/acme/**]
                namespaceSelector:
                  matchLabels: {team: web}
                  matchExpressions: [{key: tier, operator: In, values: [prod]}]
              - secret: fallback
          plain.test:5000:
            plainHTTP: true
        denyCIDRs: [10.96.0.0/12, 'fd00:10:96::/112']
        ",
    )
    .unwrap();
    assert!(registries.is_listed("ghcr.io") && registries.is_listed("plain.test:5000"));
    assert!(!registries.is_listed("plain.test"));
    assert_eq!(registries.denied().len(), 2);
    let key = |registry| registries.entry(registry).unwrap().endpoint.to_string();
    assert_eq!(
        key("docker.io"),
        "https://mirror.test:5000/v2/hub?ns=docker.io"
    );
    assert_eq!(key("plain.test:5000"), "http://plain.test:5000/v2");
    let [hub, fallback] = registries.credentials("docker.io") else {
        panic!("{registries:?}");
    };
    assert_eq!(
        (hub.secret.as_str(), fallback.secret.as_str()),
        ("hub", "fallback")
    );
    let selector = hub.namespace_selector.as_ref().unwrap();
    assert_eq!(selector.match_labels.get("team").unwrap(), "web");
    let operators: Vec<_> = selector
        .match_expressions
        .iter()
        .map(|of| of.operator)
        .collect();
    assert_eq!(operators, [Operator::In]);
    assert_eq!(fallback.namespace_selector, None);
    for (text, is_of_hub) in [("acme/web", true), ("nginx", false)] {
        let reference = Reference::parse(text, ShortNames::DockerHub).unwrap();
        assert_eq!(hub.covers(&reference), is_of_hub, "{text}");
        assert!(fallback.covers(&reference), "{text}");
    }
    assert!(registries.credentials("ghcr.io").is_empty());
    assert!(registries.credentials("quay.io").is_empty());
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of errors")]
fn an_invalid_configuration_says_where_and_what_to_write() {
    for (text, expected) in [
        (
            "registries: []",
            "registries.yaml: registries: invalid type: sequence, expected a map at line 1 column 13",
        ),
        (
            "registry: {}",
            "registries.yaml: unknown field `registry`, expected `registries` or `denyCIDRs`",
        ),
        (
            "registries: {ghcr.io: {endpont: x}}",
            "registries.yaml: registries.ghcr.io: unknown field `endpont`, expected one of `endpoint`, \
             `caBundle`, `plainHTTP`, `tokenServers`, `redirectHosts`, `credentials` at line 1 column 24",
        ),
        (
            "registries: {ghcr.io: {credentials: [{secret: a, namespaceSelector: {matchLabel: {}}}]}}",
            "registries.yaml: registries.ghcr.io.credentials[0].namespaceSelector: unknown field \
             `matchLabel`, expected `matchLabels` or `matchExpressions` at line 1 column 70",
        ),
        (
            "registries: {GHCR.io: {}}",
            "registries[\"GHCR.io\"]: must be a registry host as image references name it, such as \
             ghcr.io or registry.example.com:5000",
        ),
        (
            "registries: {'https://ghcr.io': {}}",
            "registries[\"https://ghcr.io\"]: must be a registry host as image references name it, \
             such as ghcr.io or registry.example.com:5000",
        ),
        (
            "registries: {ghcr: {}}",
            "registries[\"ghcr\"]: must be a registry host as image references name it, such as \
             ghcr.io or registry.example.com:5000",
        ),
        (
            "registries: {'r.test:70000': {}}",
            "registries[\"r.test:70000\"]: must be a host that can be connected to",
        ),
        (
            "registries: {index.docker.io: {}}",
            "registries[\"index.docker.io\"]: must be docker.io, as image references name Docker Hub",
        ),
        (
            "registries: {ghcr.io: {endpoint: 'https://a b'}}",
            "registries[\"ghcr.io\"].endpoint: must be host[:port][/path], such as \
             https://mirror.example.com/v2/docker-hub",
        ),
        (
            "registries: {ghcr.io: {endpoint: 'http://mirror.test'}}",
            "registries[\"ghcr.io\"].endpoint: must start with https://; for a registry without TLS, \
             set plainHTTP: true",
        ),
        (
            "registries: {ghcr.io: {endpoint: 'https://mirror.test', plainHTTP: true}}",
            "registries[\"ghcr.io\"].endpoint: must start with http://, or remove plainHTTP",
        ),
        (
            "registries: {ghcr.io: {caBundle: LS0tLS1CRUdJTg==}}",
            "registries[\"ghcr.io\"].caBundle: must be one or more PEM certificates of authorities; \
             write the text that starts with -----BEGIN CERTIFICATE-----",
        ),
        (
            "registries: {ghcr.io: {caBundle: \"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\"}}",
            "registries[\"ghcr.io\"].caBundle: must be one or more PEM certificates of authorities; \
             write the text that starts with -----BEGIN CERTIFICATE-----",
        ),
        (
            "registries: {ghcr.io: {caBundle: x, plainHTTP: true}}",
            "registries[\"ghcr.io\"].caBundle: must be unset with plainHTTP, which has no certificate",
        ),
        (
            "registries: {ghcr.io: {tokenServers: [auth.test, 'https://auth.test']}}",
            "registries[\"ghcr.io\"].tokenServers[1]: must be host[:port] without scheme and path, such as \
             auth.example.com",
        ),
        (
            "registries: {ghcr.io: {redirectHosts: ['*.pkg.dev']}}",
            "registries[\"ghcr.io\"].redirectHosts[0]: must be host[:port] without scheme and path, such \
             as auth.example.com",
        ),
        (
            "registries: {ghcr.io: {tokenServers: [auth.test], plainHTTP: true}}",
            "registries[\"ghcr.io\"].tokenServers: must be unset with plainHTTP: what leads to another \
             host can be changed on the way",
        ),
        (
            "registries: {ghcr.io: {credentials: [{secret: A}]}}",
            "registries[\"ghcr.io\"].credentials[0].secret: must be the name of a Secret in the \
             namespace of Bailiff",
        ),
        (
            "registries: {ghcr.io: {credentials: [{secret: a, repositories: [acme/web]}]}}",
            "registries[\"ghcr.io\"].credentials[0].repositories: repository pattern 0 is invalid: \
             \"acme\" is not a registry host; start with the host, such as docker.io/library/nginx \
             (byte 0)",
        ),
        (
            "registries: {ghcr.io: {credentials: [{secret: a, repositories: [ghcr.io/a, quay.io/a]}]}}",
            "registries[\"ghcr.io\"].credentials[0].repositories[1]: must start with ghcr.io/, because \
             the credential is of that registry",
        ),
        (
            "registries: {ghcr.io: {credentials: [{secret: a, namespaceSelector: {matchExpressions: \
             [{key: a, operator: In}]}}]}}",
            "registries[\"ghcr.io\"].credentials[0].namespaceSelector.matchExpressions[0]: must have \
             values with operator In",
        ),
        (
            "registries: {ghcr.io: {credentials: [{secret: a, namespaceSelector: {matchExpressions: \
             [{key: a, operator: Exists, values: [b]}]}}]}}",
            "registries[\"ghcr.io\"].credentials[0].namespaceSelector.matchExpressions[0]: must have \
             no values with operator Exists",
        ),
        (
            "denyCIDRs: [10.0.0.0/8, 10.0.0.1]",
            "denyCIDRs[1]: must be a range of addresses such as 10.96.0.0/12, not \"10.0.0.1\"",
        ),
    ] {
        assert_eq!(
            Registries::parse(text).unwrap_err().to_string(),
            expected,
            "{text}"
        );
    }
    let long = "#".repeat(MAX_CONFIG_BYTES + 1);
    assert_eq!(
        Registries::parse(&long).unwrap_err().to_string(),
        "registries.yaml: must have at most 1048576 bytes; remove entries"
    );
}

#[test]
fn a_namespace_selector_has_the_meaning_of_kubernetes() {
    let selects = |selector: &str, labels: &[(&str, &str)]| {
        let selector: NamespaceSelector = serde_yaml_ng::from_str(selector).unwrap();
        let labels = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        selector.matches(&labels.collect())
    };
    let shop = [("team", "shop"), ("tier", "web")];
    for (selector, shop_matches, nothing_matches) in [
        ("{}", true, true),
        ("{matchLabels: {team: shop}}", true, false),
        ("{matchLabels: {team: shop, tier: db}}", false, false),
        (
            "{matchExpressions: [{key: team, operator: In, values: [bank, shop]}]}",
            true,
            false,
        ),
        (
            "{matchExpressions: [{key: team, operator: In, values: [bank]}]}",
            false,
            false,
        ),
        (
            "{matchExpressions: [{key: team, operator: NotIn, values: [shop]}]}",
            false,
            true,
        ),
        (
            "{matchExpressions: [{key: team, operator: NotIn, values: [bank]}]}",
            true,
            true,
        ),
        (
            "{matchExpressions: [{key: team, operator: Exists}]}",
            true,
            false,
        ),
        (
            "{matchExpressions: [{key: team, operator: DoesNotExist}]}",
            false,
            true,
        ),
        (
            "{matchLabels: {tier: web}, matchExpressions: [{key: team, operator: DoesNotExist}]}",
            false,
            false,
        ),
    ] {
        assert_eq!(selects(selector, &shop), shop_matches, "{selector}");
        assert_eq!(selects(selector, &[]), nothing_matches, "{selector}");
    }
}
