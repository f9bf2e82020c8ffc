//! Flags of `bailiff webhook`.
//!
//! Here: names, defaults, help texts, and the files that they name. Not here: what the files mean
//! (`bailiff_webhook`).
//! Invariant: as for all flags (`super`).

use super::{ComponentArgs, ImagePolicyArgs, duration, names};
use anyhow::Context as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Flags of `bailiff webhook`.
#[derive(Debug, clap::Args)]
pub(crate) struct WebhookArgs {
    /// Name of this replica: its pod's name
    #[arg(
        long,
        value_name = "NAME",
        env = "BAILIFF_POD_NAME",
        default_value = "bailiff-webhook"
    )]
    pod_name: String,
    /// File with the registries that Bailiff asks, their mirrors, certificates and credentials. If unset,
    /// Bailiff asks only registries that a policy names
    #[arg(long, value_name = "FILE", env = "BAILIFF_REGISTRIES")]
    registries: Option<PathBuf>,
    /// How old the last digest of a tag can be that is used if the registry does not answer
    #[arg(
        long,
        value_name = "DURATION",
        env = "BAILIFF_TAG_STALE_IF_ERROR",
        default_value = "24h",
        value_parser = duration
    )]
    tag_stale_if_error: Duration,
    #[command(flatten)]
    policies: ImagePolicyArgs,
    /// Address of reviews
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "BAILIFF_WEBHOOK_BIND_ADDRESS",
        default_value = "[::]:9443"
    )]
    webhook_bind_address: SocketAddr,
    /// Address ranges of the API servers, as the webhook sees them, separated by commas. If set, connections
    /// from other addresses are closed
    #[arg(
        long,
        value_name = "CIDRS",
        env = "BAILIFF_API_SERVER_CIDRS",
        value_delimiter = ','
    )]
    api_server_cidrs: Vec<String>,
    /// File with the PEM certificates of the authority that signs the client certificate of the API servers. If
    /// set, callers without such a certificate are rejected
    #[arg(long, value_name = "FILE", env = "BAILIFF_CLIENT_CA")]
    client_ca: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) component: ComponentArgs,
}

impl WebhookArgs {
    /// What the webhook runs with, and what it needs of registries and of the API server. Both have the same
    /// callers.
    pub(crate) fn config(
        self,
    ) -> anyhow::Result<(bailiff_webhook::Config, bailiff_webhook::EdgesConfig)> {
        let registries = match &self.registries {
            Some(file) => {
                let text = read(file, "registries.yaml")?;
                let parsed = bailiff_webhook::Registries::parse(&text);
                parsed.with_context(|| format!("cannot use {}", file.display()))?
            }
            None => bailiff_webhook::Registries::default(),
        };
        let client_ca = self
            .client_ca
            .as_deref()
            .map(|file| read(file, "client-ca.crt"));
        let client_ca = client_ca.transpose()?;
        let api_servers = names(self.api_server_cidrs);
        let client_ca = client_ca.as_deref().map(str::as_bytes);
        let callers = bailiff_webhook::CallerVerification::new(&api_servers, client_ca)
            .context("cannot verify callers")?;
        let edges = bailiff_webhook::EdgesConfig {
            namespace: self.component.namespace.clone(),
            pod_name: self.pod_name,
            registries,
            callers: callers.callers(),
            tag_stale_if_error: self.tag_stale_if_error,
        };
        let config = bailiff_webhook::Config {
            address: self.component.bind_address,
            webhook_address: self.webhook_bind_address,
            namespace: self.component.namespace,
            exempt: names(self.policies.exempt_namespaces),
            mode: self.policies.image_policies_mode.into(),
            callers,
        };
        Ok((config, edges))
    }
}

fn read(file: &Path, name: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(file)
        .with_context(|| format!("cannot read {}; mount {name} there", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Bailiff, Command};
    use bailiff_webhook::{Callers, Config, EdgesConfig};

    /// What the webhook runs with with these flags.
    fn configured(flags: &[&str]) -> anyhow::Result<(Config, EdgesConfig)> {
        let base = ["bailiff", "webhook", "--namespace=security"];
        let parsed = <Bailiff as clap::Parser>::try_parse_from(base.iter().chain(flags))?;
        let Command::Webhook(args) = parsed.command else {
            panic!("it is a webhook")
        };
        args.config()
    }

    #[test]
    fn the_webhook_reads_its_registries_from_a_file() {
        let edges = |flags: &[&str]| configured(flags).map(|(_, edges)| edges);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("registries.yaml");
        let flag = format!("--registries={}", file.display());
        let name = file.display();
        let error = format!("{:#}", edges(&[&flag]).unwrap_err());
        assert!(
            error.starts_with(&format!(
                "cannot read {name}; mount registries.yaml there: "
            )),
            "{error}"
        );
        std::fs::write(&file, "registries: {GHCR.io: {}}").unwrap();
        let error = format!("{:#}", edges(&[&flag]).unwrap_err());
        assert!(
            error.starts_with(&format!(
                "cannot use {name}: registries[\"GHCR.io\"]: must be"
            )),
            "{error}"
        );
        std::fs::write(&file, "registries: {ghcr.io: {}}").unwrap();
        assert!(edges(&[&flag]).unwrap().registries.is_listed("ghcr.io"));
        let edges = edges(&[]).unwrap();
        assert!(!edges.registries.is_listed("ghcr.io"));
        assert_eq!(edges.tag_stale_if_error, Duration::from_hours(24));
        assert_eq!(edges.callers, Callers::Unverified);
    }

    #[test]
    fn callers_are_verified_if_a_flag_says_what_with() {
        let callers = |flags: &[&str]| {
            let (config, edges) = configured(flags)?;
            assert_eq!(config.callers.callers(), edges.callers);
            anyhow::Ok(edges.callers)
        };
        // As the chart sets an empty list.
        assert_eq!(
            callers(&["--api-server-cidrs="]).unwrap(),
            Callers::Unverified
        );
        let ranges = "--api-server-cidrs=192.0.2.10/32,2001:db8::1/128";
        assert_eq!(callers(&[ranges]).unwrap(), Callers::Verified);
        let error = callers(&["--api-server-cidrs=192.0.2.10"]).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "cannot verify callers: apiServerCIDRs[0]: must be a range of addresses such as 192.0.2.10/32, not \"192.0.2.10\""
        );
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("client-ca.crt");
        let (flag, name) = (format!("--client-ca={}", file.display()), file.display());
        let error = format!("{:#}", callers(&[&flag]).unwrap_err());
        assert!(
            error.starts_with(&format!("cannot read {name}; mount client-ca.crt there: ")),
            "{error}"
        );
        // An empty file verifies nobody; it must not serve everybody.
        std::fs::write(&file, "").unwrap();
        assert_eq!(
            format!("{:#}", callers(&[&flag]).unwrap_err()),
            "cannot verify callers: clientCA: must have one or more certificates in PEM"
        );
    }

    #[test]
    fn the_webhook_enforces_unless_its_mode_is_audit() {
        let configured = |flags: &[&str]| Some(configured(flags).ok()?.0);
        let defaults = configured(&["--exempt-namespaces="]).unwrap();
        assert_eq!(defaults.mode, bailiff_webhook::Mode::Enforce);
        assert_eq!(defaults.webhook_address.port(), 9443);
        let audit = configured(&["--image-policies-mode=Audit", "--exempt-namespaces=cni,csi"]);
        let audit = audit.unwrap();
        assert_eq!(audit.mode, bailiff_webhook::Mode::Audit);
        assert_eq!(audit.exempt, ["cni", "csi"]);
        assert!(configured(&["--image-policies-mode=off"]).is_none());
    }
}
