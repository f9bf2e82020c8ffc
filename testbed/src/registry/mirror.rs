//! A mirror of the open registry that lies to one node.
//!
//! Here: its answers, and the node's trust in it. Not here: the registries (`registry`).
//! Invariant: it answers for one repository. For others the node asks the registry, so that nothing else that
//! runs there notices.

use super::OPEN;
use crate::cluster::Cluster;
use crate::image::{Architecture, Contents, Image, MANIFEST, digest};
use crate::network;
use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The longest head of a request, in bytes.
const HEAD_LIMIT: u64 = 64 << 10;
/// How long a client may take for its request.
const PATIENCE: Duration = Duration::from_mins(1);

/// A mirror that serves one image for every tag and every digest of a repository. It ends when this is dropped.
#[derive(Debug)]
#[must_use]
pub struct LyingMirror {
    node: String,
    address: SocketAddr,
    over: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<String>>>,
    server: Option<JoinHandle<()>>,
}

/// What it serves.
struct Lie {
    /// `/v2/REPOSITORY/`
    prefix: String,
    contents: Contents,
}

impl Cluster {
    /// Lets a node pull the images of a repository of the open registry from a mirror first, which serves
    /// `image` whatever is asked for. The answers claim to have the digest that was asked for.
    ///
    /// # Errors
    /// When the node's configuration cannot be written, or no port is free.
    pub fn lying_mirror(&self, node: &str, repository: &str, image: &Image) -> Result<LyingMirror> {
        let listener = TcpListener::bind((network::HOST, 0)).context("no port is free")?;
        let address = listener.local_addr()?;
        let lie = Lie {
            prefix: format!("/v2/{repository}/"),
            contents: image.contents(Architecture::HERE),
        };
        let over = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, log) = (Arc::clone(&over), Arc::clone(&asked));
        let server = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if seen.load(Ordering::Relaxed) {
                    return;
                }
                // Who goes away while it is answered asks again, or not.
                if connection
                    .and_then(|connection| lie.answer(connection, &log))
                    .is_err()
                {}
            }
        });
        let mirror = LyingMirror {
            node: node.to_owned(),
            address,
            over,
            asked,
            server: Some(server),
        };
        OPEN.trusted_by(node, Some(&format!("http://{address}")))?;
        Ok(mirror)
    }
}

impl LyingMirror {
    /// The requests so far, as `METHOD PATH`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for LyingMirror {
    fn drop(&mut self) {
        // A folder that is gone went with the cluster.
        let _written = OPEN.trusted_by(&self.node, None);
        self.over.store(true, Ordering::Relaxed);
        // Wakes up the thread that waits for a connection.
        let _connected = TcpStream::connect(self.address);
        if self
            .server
            .take()
            .is_some_and(|server| server.join().is_err())
        {}
    }
}

impl Lie {
    /// Answers the request of a connection, and closes it.
    fn answer(&self, mut connection: TcpStream, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.set_write_timeout(Some(PATIENCE))?;
        let mut lines = BufReader::new(connection.try_clone()?.take(HEAD_LIMIT)).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        for line in lines {
            if line?.is_empty() {
                break;
            }
        }
        let mut words = request.split_whitespace();
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let path = target.split('?').next().unwrap_or(target);
        log.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(format!("{method} {path}"));
        let Some((media_type, claimed, body)) = self.content(path) else {
            return connection.write_all(
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nDocker-Content-Digest: {claimed}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes())?;
        if method != "HEAD" {
            connection.write_all(body)?;
        }
        connection.flush()
    }

    /// Media type, claimed digest and body; none: the path is not of the repository.
    fn content(&self, path: &str) -> Option<(&'static str, String, &[u8])> {
        let (kind, reference) = path.strip_prefix(&self.prefix)?.split_once('/')?;
        let Contents {
            layer,
            config,
            manifest,
        } = &self.contents;
        let (media_type, body) = match kind {
            "manifests" => (MANIFEST, manifest.as_bytes()),
            "blobs" if reference == digest(config.as_bytes()) => {
                ("application/octet-stream", config.as_bytes())
            }
            "blobs" => ("application/octet-stream", layer.as_slice()),
            _ => return None,
        };
        let claimed = if reference.starts_with("sha256:") {
            reference.to_owned()
        } else {
            digest(body)
        };
        Some((media_type, claimed, body))
    }
}
