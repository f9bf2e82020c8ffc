//! A server that follows a script.
//!
//! Here: sockets, and reading requests. Not here: what the scripts are.
//! Invariant: a server keeps each request that it got, and sends bytes exactly as the script says.

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What a server does, one after the other.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends bytes again and again, until the client has enough.
    Repeat(Vec<u8>),
    /// Sends bytes again and again with a pause after each time, until the client goes.
    Trickle(Vec<u8>, Duration),
    /// Sends nothing until the client goes.
    Hang,
    /// Resets the connection.
    Reset,
}

/// A request that a server got.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Method and path.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

type Script = Arc<dyn Fn(&Request) -> Vec<Act> + Send + Sync>;

pub(crate) struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<Mutex<usize>>,
}

/// An answer with a length.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<Act> {
    let mut text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    vec![Act::Send(format!("{text}\r\n{body}").into_bytes())]
}

/// An answer to HEAD or GET with a body, which HEAD leaves out.
pub(crate) fn answer_to(
    request: &Request,
    status: u16,
    headers: &[(&str, &str)],
    body: &str,
) -> Vec<Act> {
    if request.method == "HEAD" {
        answer(status, headers, "")
    } else {
        answer(status, headers, body)
    }
}

/// Certificates for tests.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// What clients trust.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a host, and its key.
    pub(crate) fn pem_for(&self, host: &str) -> (String, String) {
        let (certificate, key) = self.issue(host, 2999);
        (certificate.pem(), key.serialize_pem())
    }

    fn issue(&self, host: &str, until: i32) -> (Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate, key)
    }

    /// TLS with a certificate for a host, valid until the end of a year.
    pub(crate) fn server(&self, host: &str, until: i32) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue(host, until);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

impl Server {
    /// A server without TLS.
    pub(crate) async fn start(
        script: impl Fn(&Request) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        Self::serve(None, Arc::new(script)).await
    }

    /// A server with TLS.
    pub(crate) async fn start_tls(
        tls: Arc<ServerConfig>,
        script: impl Fn(&Request) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        Self::serve(Some(tls), Arc::new(script)).await
    }

    async fn serve(tls: Option<Arc<ServerConfig>>, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let (kept, count) = (Arc::clone(&requests), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *count.lock().unwrap() += 1;
                let (script, kept, tls) = (Arc::clone(&script), Arc::clone(&kept), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, &script, &kept).await,
                        Some(tls) => {
                            // A client that rejects the certificate ends the handshake.
                            if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                                converse(stream, &script, &kept).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            port,
            requests,
            connections,
        }
    }

    /// The registry's name in references.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A configuration that lists the server, without TLS.
    pub(crate) fn plain_entry(&self) -> String {
        format!("registries: {{'{}': {{plainHTTP: true}}}}", self.host())
    }

    /// The requests until now.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Method and path of the requests until now.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.requests().iter().map(Request::line).collect()
    }

    /// How many connections there were until now.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

/// A configuration that lists servers with TLS of one authority.
pub(crate) fn tls_entries(servers: &[&Server], authority: &Authority) -> String {
    let entries: serde_json::Map<_, _> = servers
        .iter()
        .map(|server| {
            (
                server.host(),
                serde_json::json!({ "caBundle": authority.pem }),
            )
        })
        .collect();
    serde_json::json!({ "registries": entries }).to_string()
}

/// A configuration whose entry of a server names another host in a field.
pub(crate) fn naming(config: &str, server: &Server, field: &str, host: &str) -> String {
    let mut config: serde_json::Value = serde_json::from_str(config).unwrap();
    config["registries"][server.host()][field] = serde_json::json!([host]);
    config.to_string()
}

/// Answers requests as the script says, until the client has gone.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Reset + Unpin,
    script: &Script,
    kept: &Mutex<Vec<Request>>,
) {
    while let Some(request) = read_request(&mut stream).await {
        kept.lock().unwrap().push(request.clone());
        for act in script(&request) {
            match act {
                Act::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
                Act::Repeat(bytes) => while stream.write_all(&bytes).await.is_ok() {},
                Act::Trickle(bytes, pause) => {
                    while stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok() {
                        tokio::time::sleep(pause).await;
                    }
                }
                Act::Hang => {
                    let mut rest = [0; 64];
                    while matches!(stream.read(&mut rest).await, Ok(1..)) {}
                    return;
                }
                Act::Reset => return stream.reset(),
            }
        }
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ').map(str::to_owned);
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Some(Request {
        method: words.next()?,
        path: words.next()?,
        headers,
    })
}

/// A stream that can be reset.
trait Reset {
    fn reset(self);
}

impl Reset for TcpStream {
    fn reset(self) {
        self.set_zero_linger().unwrap();
    }
}

impl Reset for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(self) {
        self.into_inner().0.reset();
    }
}
