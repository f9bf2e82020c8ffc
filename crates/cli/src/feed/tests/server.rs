//! A server that speaks TLS and answers as a script says.
//!
//! Here: its certificate and its connections. Not here: the scripts.
//! Invariant: what it sends is what the script has, byte for byte.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What is sent for a path.
#[derive(Clone, Default)]
pub(super) struct Answer {
    /// Status, headers and body, as they are.
    pub(super) bytes: Vec<u8>,
    /// Whether the connection stays open then, without more bytes.
    pub(super) hangs: bool,
}

/// A server on the loopback interface.
pub(super) struct Server {
    pub(super) port: u16,
    /// The authority of its certificate.
    pub(super) roots: RootCertStore,
}

impl Server {
    /// Starts a server that answers to these paths. `{}` in an answer stands for its address.
    pub(super) async fn start(answers: BTreeMap<&'static str, Answer>) -> Self {
        let authority = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&authority).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let issuer = Issuer::new(params, authority);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = Arc::new(answers);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let (acceptor, answers) = (acceptor.clone(), Arc::clone(&answers));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => request.push(byte),
                            Err(_) => return,
                        }
                    }
                    let request = String::from_utf8(request).unwrap();
                    let path = request.split(' ').nth(1).unwrap();
                    assert!(
                        request.starts_with("GET ")
                            && request.contains("accept-encoding: identity\r\n"),
                        "{request}"
                    );
                    let missing = Answer {
                        bytes: b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
                        hangs: false,
                    };
                    let answer = answers.get(path).cloned().unwrap_or(missing);
                    // The client may have left, as after too many bytes.
                    drop(stream.write_all(&answer.bytes).await);
                    drop(stream.flush().await);
                    if answer.hangs {
                        tokio::time::sleep(Duration::from_mins(10)).await;
                    }
                    drop(stream.shutdown().await);
                });
            }
        });
        Self { port, roots }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }
}

impl Answer {
    /// A body with its length.
    pub(super) fn body(body: &[u8]) -> Self {
        Self::of(&format!("200 OK\r\ncontent-length: {}", body.len()), body)
    }

    /// A status with headers, and a body.
    pub(super) fn of(head: &str, body: &[u8]) -> Self {
        let mut bytes = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").into_bytes();
        bytes.extend(body);
        Self {
            bytes,
            hangs: false,
        }
    }

    /// A redirect.
    pub(super) fn redirect(to: &str) -> Self {
        Self::of(
            &format!("302 Found\r\nlocation: {to}\r\ncontent-length: 0"),
            b"",
        )
    }

    /// The same, and then silence.
    pub(super) fn then_hangs(self) -> Self {
        Self {
            hangs: true,
            ..self
        }
    }
}
