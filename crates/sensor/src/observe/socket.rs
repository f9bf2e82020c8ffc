//! The socket that `bailiff observe` connects to.
//!
//! Here: who may connect, how many, what they ask for. Not here: what is observed (`observe`).
//! Invariant: the socket has an abstract name, so it exists in the network namespace of the sensor's pod alone, and takes
//! callers with the user of the sensor alone. At most [`CALLERS`] are served; a request is bounded in bytes and time.

use super::{Line, Observer, PodName};
use bailiff_api::keys::OBSERVE_SOCKET;
use serde_json::json;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};

/// Most callers at a time.
const CALLERS: usize = 4;
/// Most bytes of a request: two names of Kubernetes, and what separates them.
const REQUEST_BYTES: u64 = 600;
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller may leave a line unread until another one gets its place.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves callers for as long as the sensor runs. If the socket cannot be opened, the log says so: observing is not what
/// a sensor is for.
pub(crate) async fn serve(joining: mpsc::Sender<Observer>) {
    let listener = match listen(OBSERVE_SOCKET) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, "Could not open the socket of `bailiff observe`");
            return;
        }
    };
    let callers = Arc::new(Semaphore::new(CALLERS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "Could not accept a connection of `bailiff observe`");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let (place, joining) = (Arc::clone(&callers).try_acquire_owned(), joining.clone());
        tokio::spawn(async move {
            let served = match place {
                Ok(_place) => call(stream, joining).await,
                Err(_) => refuse(stream, &format!("{CALLERS} others observe this sensor")).await,
            };
            // Whoever left does not need an answer.
            if let Err(error) = served {
                tracing::debug!(%error, "An observer left");
            }
        });
    }
}

fn listen(name: &str) -> io::Result<UnixListener> {
    let address = SocketAddr::from_abstract_name(name)?;
    let listener = StdListener::bind_addr(&address)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// From a request to the end of the connection. The request is `NAMESPACE/NAME` of a pod, or empty for each pod, and a
/// line feed.
async fn call(stream: UnixStream, joining: mpsc::Sender<Observer>) -> io::Result<()> {
    if stream.peer_cred()?.uid() != nix::unistd::getuid().as_raw() {
        return refuse(stream, "only the user of the sensor can observe it").await;
    }
    let (reading, writing) = stream.into_split();
    let mut reading = BufReader::new(reading.take(REQUEST_BYTES));
    let mut request = String::new();
    let read = tokio::time::timeout(REQUEST_TIMEOUT, reading.read_line(&mut request));
    if !matches!(read.await, Ok(Ok(_))) || !request.ends_with('\n') {
        return Ok(());
    }
    let named = request.trim_end_matches('\n');
    let pod = PodName::parse(named);
    if pod.is_none() && !named.is_empty() {
        let stream = reading.into_inner().into_inner().reunite(writing);
        let stream = stream.map_err(io::Error::other)?;
        return refuse(stream, "a pod is named NAMESPACE/NAME").await;
    }
    let (observer, mut lines) = Observer::new(pod);
    if joining.send(observer).await.is_err() {
        return Ok(());
    }
    let (mut writing, mut rest) = (writing, [0; 1]);
    let mut reading = reading.into_inner().into_inner();
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(Line { text, .. }) => {
                    let written = tokio::time::timeout(WRITE_TIMEOUT, writing.write_all(text.as_bytes()));
                    written.await??;
                }
                None => return Ok(()),
            },
            // A caller says nothing more: this is its end.
            _ = reading.read(&mut rest) => return Ok(()),
        }
    }
}

async fn refuse(mut stream: UnixStream, reason: &str) -> io::Result<()> {
    let mut text = json!({"kind": "Refused", "reason": reason}).to_string();
    text.push('\n');
    stream.write_all(text.as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::pods::Pods;
    use crate::observe::Observers;

    fn connected(joining: mpsc::Sender<Observer>) -> BufReader<UnixStream> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        tokio::spawn(call(theirs, joining));
        BufReader::new(ours)
    }

    async fn line(stream: &mut BufReader<UnixStream>) -> String {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        line
    }

    #[tokio::test]
    async fn a_caller_is_told_whether_its_pod_is_on_this_node() {
        let (joining, joined) = mpsc::channel(1);
        let mut stream = connected(joining);
        stream.write_all(b"shop/web\n").await.unwrap();
        let mut observers = Observers::new("node-1", joined);
        while observers.all.is_empty() {
            observers.refresh(&Pods::default());
            tokio::task::yield_now().await;
        }
        assert_eq!(
            line(&mut stream).await,
            "{\"kind\":\"Started\",\"node\":\"node-1\",\"podFound\":false}\n"
        );
        drop(stream);
        while !observers.all.is_empty() {
            observers.refresh(&Pods::default());
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_request_that_names_no_pod_is_refused() {
        let (joining, _joined) = mpsc::channel(1);
        let mut stream = connected(joining);
        stream.write_all(b"web\n").await.unwrap();
        assert_eq!(
            line(&mut stream).await,
            "{\"kind\":\"Refused\",\"reason\":\"a pod is named NAMESPACE/NAME\"}\n"
        );
    }

    #[tokio::test]
    async fn a_request_without_an_end_is_not_waited_for() {
        let (joining, _joined) = mpsc::channel(1);
        let mut stream = connected(joining);
        stream.write_all(&[b'x'; 4096]).await.unwrap();
        let mut answer = String::new();
        // The rest of the request is unread when the connection ends, which may be an error here.
        drop(stream.read_line(&mut answer).await);
        assert_eq!(answer, "");
    }
}
