//! A lookup at a registry that does whatever it likes has the right answer or the right failure.
//!
//! The registry is a server on loopback that follows a script. It is listed with its port, so that
//! its address is allowed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

mod answers;
mod connections;
mod pull;
mod real;
mod redirects;
mod server;
mod throttling;
mod tokens;

use bailiff_oci::registry::{Credential, Limits, Registries, RegistryClient};
use bailiff_oci::{Failure, Lookup, Reference, ShortNames};
use server::Server;
use std::time::Duration;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The body that servers send, and its digests.
const BODY: &str = "{}";
const SHA256: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const SHA512: &str = "sha512:27c74670adb75075fad058d5ceaf7b20c4e7786c83bae8a32f626f9782af34c9\
                      a33c2046ef60fd2a7878d378e29fec851806bbd9a67878f3a9f1cda4830763fd";
/// The digest of something else.
const OTHER: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A time that no test reaches.
const LONG: Limits = Limits {
    connect: Duration::from_mins(5),
    lookup: Duration::from_mins(5),
};

/// A time that a test waits for.
const SHORT: Duration = Duration::from_millis(300);

fn client(registries: &str, limits: Limits) -> RegistryClient {
    let registries = Registries::parse(registries).unwrap();
    RegistryClient::new(registries, limits).unwrap()
}

/// A client for a server without TLS.
fn plain(server: &Server) -> RegistryClient {
    client(&server.plain_entry(), LONG)
}

fn parse(text: &str) -> Reference {
    Reference::parse(text, ShortNames::Rejected).unwrap()
}

/// What a client says about `acme/web` with a suffix, such as `:1`, at a server.
async fn lookup(client: &RegistryClient, server: &Server, suffix: &str) -> Lookup {
    let reference = parse(&format!("{}/acme/web{suffix}", server.host()));
    client.lookup(&reference, false, None).await
}

fn octo() -> Credential {
    Credential::new("octo", "cat").unwrap()
}

/// What [`octo`] is in a header.
const OCTO: &str = "Basic b2N0bzpjYXQ=";

fn digest_of(lookup: &Lookup) -> String {
    match lookup {
        Lookup::Found { facts, .. } => facts.digest.to_string(),
        other => panic!("{other:?}"),
    }
}

fn failure(lookup: Lookup) -> Failure {
    match lookup {
        Lookup::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

/// The failure of an unexpected answer, as it is printed.
fn unexpected(lookup: Lookup) -> String {
    match failure(lookup) {
        Failure::UnexpectedAnswer(what) => what.to_string(),
        other => panic!("{other:?}"),
    }
}
