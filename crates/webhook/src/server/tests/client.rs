//! A client of the server, as an API server is one.

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value as Json, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A review of a pod with a name.
pub(crate) fn review(uid: &str, name: &str) -> String {
    padded(uid, name, 0)
}

/// The same with so many bytes more.
pub(crate) fn padded(uid: &str, name: &str, bytes: usize) -> String {
    // The fields of the request in the order of the API server.
    let object = json!({"metadata": {"name": name, "annotations": {"a": "x".repeat(bytes)}}});
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"{uid}","namespace":"shop","operation":"CREATE","object":{object}}}}}"#
    )
}

/// A client certificate and its key.
pub(crate) type Identity = (CertificateDer<'static>, Arc<PrivateKeyDer<'static>>);

#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    /// Address that it connects from.
    from: IpAddr,
    roots: Arc<RootCertStore>,
    identity: Option<Identity>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, trusted: CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(trusted).unwrap();
        Self {
            address,
            from: Ipv4Addr::UNSPECIFIED.into(),
            roots: Arc::new(roots),
            identity: None,
        }
    }

    /// The same from another address of this machine.
    pub(crate) fn from(self, from: IpAddr) -> Self {
        Self { from, ..self }
    }

    /// The same with a certificate.
    pub(crate) fn with(self, identity: Identity) -> Self {
        Self {
            identity: Some(identity),
            ..self
        }
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection for a protocol.
    pub(crate) async fn tls(&self, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots));
        let mut config = match &self.identity {
            Some((certificate, key)) => config
                .with_client_auth_cert(vec![certificate.clone()], key.clone_key())
                .unwrap(),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        let stream = socket.connect(self.address).await?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    pub(crate) async fn http1(&self) -> Http1 {
        let stream = TokioIo::new(self.tls("http/1.1").await.unwrap());
        let (sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Http1(sender)
    }

    /// The status of a review over a new connection.
    ///
    /// # Errors
    /// The server closed it, before or after the handshake.
    pub(crate) async fn try_review(&self) -> Result<u16, Box<dyn std::error::Error>> {
        let stream = TokioIo::new(self.tls("http/1.1").await?);
        let (mut sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection);
        let request = request("POST", "/validate/pods", review("u", "web"));
        Ok(sender.send_request(request).await?.status().as_u16())
    }

    pub(crate) async fn http2(&self) -> Http2 {
        let stream = TokioIo::new(self.tls("h2").await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        Http2(sender)
    }
}

fn request(method: &str, path: &str, body: String) -> Request<Full<Bytes>> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost");
    request.body(Full::new(Bytes::from(body))).unwrap()
}

async fn decode(response: hyper::Response<Incoming>) -> (u16, Json) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// The body of a response.
pub(crate) async fn body(response: hyper::Response<Incoming>) -> Json {
    decode(response).await.1
}

pub(crate) struct Http1(http1::SendRequest<Full<Bytes>>);

impl Http1 {
    pub(crate) async fn post(&mut self, path: &str, body: String) -> (u16, Json) {
        let response = self.send(path, body).await.unwrap();
        decode(response).await
    }

    pub(crate) async fn send(
        &mut self,
        path: &str,
        body: String,
    ) -> hyper::Result<hyper::Response<Incoming>> {
        self.0.ready().await?;
        self.0.send_request(request("POST", path, body)).await
    }

    pub(crate) async fn status(&mut self, method: &str, path: &str, body: &str) -> u16 {
        self.0.ready().await.unwrap();
        let request = request(method, path, body.to_owned());
        let response = self.0.send_request(request).await.unwrap();
        decode(response).await.0
    }
}

pub(crate) struct Http2(http2::SendRequest<Full<Bytes>>);

impl Http2 {
    pub(crate) async fn post(&mut self, path: &str, body: String) -> (u16, Json) {
        self.0.ready().await.unwrap();
        let uri = format!("https://localhost{path}");
        let response = self.0.send_request(request("POST", &uri, body)).await;
        decode(response.unwrap()).await
    }
}
