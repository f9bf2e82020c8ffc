//! The certificates and kubeconfigs of the cluster.
//!
//! Here: one authority, a certificate for each component, a kubeconfig for each client, and what the API
//! server calls webhooks with. Not here: who uses them.
//! Invariant: keys never leave the state folder, whose files only root can read.

use crate::{network, state};
use anyhow::Result;
use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

/// What the API server reads for the plugins that call webhooks (`--admission-control-config-file`).
pub(crate) const ADMISSION: &str = "admission.json";
/// The certificates of the authority that the API server's client certificate for webhooks is signed with.
pub(crate) const WEBHOOK_CLIENT_CA: &str = "pki/webhook-client-ca.crt";
/// The host of the webhooks that it presents this certificate to.
const WEBHOOK: &str = "bailiff-webhook.bailiff-system.svc";

/// Makes everything below `pki/` and `kubeconfigs/`.
pub(crate) fn make() -> Result<()> {
    let (issuer, ca) = authority("bailiff-testbed")?;
    state::write("pki/ca.crt", &ca)?;

    let service = network::SERVICE_OF_API_SERVER;
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "localhost",
        "127.0.0.1",
        network::HOST,
        service,
    ];
    issue(&issuer, "apiserver", "kube-apiserver", None, &names)?;
    issue(&issuer, "registry", "registry", None, &[network::HOST])?;
    // Tokens of service accounts are signed with a key of their own.
    let tokens = KeyPair::generate()?;
    state::write("pki/service-account.key", tokens.serialize_pem())?;
    state::write("pki/service-account.pub", tokens.public_key_pem())?;

    let clients = [
        ("admin", "bailiff-testbed-admin", Some("system:masters")),
        (
            "kube-controller-manager",
            "system:kube-controller-manager",
            None,
        ),
        ("kube-scheduler", "system:kube-scheduler", None),
        ("kube-proxy", "system:kube-proxy", None),
    ];
    for (file, name, group) in clients {
        let (certificate, key) = issue(&issuer, file, name, group, &[])?;
        kubeconfig(file, &ca, &certificate, &key)?;
    }
    issue(
        &issuer,
        "apiserver-kubelet-client",
        "kube-apiserver-kubelet-client",
        Some("system:masters"),
        &[],
    )?;
    for node in network::NODES {
        let address = network::address(node);
        let (certificate, key) = issue(
            &issuer,
            node,
            &format!("system:node:{node}"),
            Some("system:nodes"),
            &[node, &address],
        )?;
        kubeconfig(node, &ca, &certificate, &key)?;
    }
    webhook_client()
}

/// Makes an authority, and its certificate.
fn authority(common_name: &str) -> Result<(Issuer<'static, KeyPair>, String)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let certificate = params.self_signed(&key)?.pem();
    Ok((Issuer::new(params, key), certificate))
}

/// Makes the certificate with which the API server calls webhooks, of an authority for this alone, and the
/// files that tell the API server of it. It presents the certificate only to a webhook that asks for one.
fn webhook_client() -> Result<()> {
    let (issuer, ca) = authority("bailiff-testbed-webhook-client")?;
    state::write(WEBHOOK_CLIENT_CA, ca)?;
    issue(&issuer, "webhook-client", "kube-apiserver", None, &[])?;
    let user = serde_json::json!({
        "client-certificate": state::text("pki/webhook-client.crt"),
        "client-key": state::text("pki/webhook-client.key"),
    });
    let kubeconfig = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "users": [{"name": WEBHOOK, "user": user}],
    });
    let kubeconfig = state::write("kubeconfigs/webhooks", kubeconfig.to_string())?;
    let plugins = ["MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"].map(|name| {
        serde_json::json!({
            "name": name,
            "configuration": {
                "apiVersion": "apiserver.config.k8s.io/v1",
                "kind": "WebhookAdmissionConfiguration",
                "kubeConfigFile": kubeconfig,
            },
        })
    });
    let admission = serde_json::json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": plugins,
    });
    state::write(ADMISSION, admission.to_string()).map(drop)
}

/// Makes a certificate for a client, and for a server too where it has names.
fn issue(
    issuer: &Issuer<'_, KeyPair>,
    file: &str,
    common_name: &str,
    organization: Option<&str>,
    names: &[&str],
) -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    let mut params =
        CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        params
            .distinguished_name
            .push(DnType::OrganizationName, organization);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    let certificate = params.signed_by(&key, issuer)?.pem();
    let key = key.serialize_pem();
    state::write(format!("pki/{file}.crt"), &certificate)?;
    state::write(format!("pki/{file}.key"), &key)?;
    Ok((certificate, key))
}

/// Writes a kubeconfig whose one context is called `bailiff-testbed`.
fn kubeconfig(name: &str, ca: &str, certificate: &str, key: &str) -> Result<()> {
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bailiff-testbed",
        "contexts": [{"name": "bailiff-testbed", "context": {"cluster": "bailiff-testbed", "user": name}}],
        "clusters": [{"name": "bailiff-testbed", "cluster": {
            "server": format!("https://{}:6443", network::HOST),
            "certificate-authority-data": base64(ca),
        }}],
        "users": [{"name": name, "user": {
            "client-certificate-data": base64(certificate),
            "client-key-data": base64(key),
        }}],
    });
    state::write(
        format!("kubeconfigs/{name}"),
        serde_json::to_vec_pretty(&config)?,
    )
    .map(drop)
}
