//! A client of the server, as an API server is one.

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
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

pub(crate) struct Client {
    address: SocketAddr,
    roots: Arc<RootCertStore>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, trusted: CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(trusted).unwrap();
        Self {
            address,
            roots: Arc::new(roots),
        }
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection for a protocol.
    pub(crate) async fn tls(&self, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TcpStream::connect(self.address).await?;
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
