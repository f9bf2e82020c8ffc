//! The socket that `bailiff observe` connects to.
//!
//! Here: who may connect, how many, what they ask for. Not here: what is observed (`observe`).
//! Invariant: the socket has an abstract name, so it exists in the network namespace of the sensor's pod alone, and takes
//! callers with the user of the sensor alone. At most [`CALLERS`] are served; a request is bounded in bytes and time. A
//! caller that is gone or stands still loses its place, whether or not a process starts.

use super::{Observer, PodName};
use bailiff_api::keys::OBSERVE_SOCKET;
use serde_json::json;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior};

/// Most callers at a time.
const CALLERS: usize = 4;
/// Most bytes of a request: two names of Kubernetes, and what separates them.
const REQUEST_BYTES: u64 = 600;
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller may leave a line unread until another one gets its place.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a caller is asked whether its output is still read. It answers with a line feed.
const ASKED_EVERY: Duration = Duration::from_secs(15);
/// How long a caller may leave that unanswered.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// What a caller is asked, and need not show.
const ASKED: &str = "{\"kind\":\"Asked\"}\n";

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
    let (mut writing, mut answers) = (writing, [0; 64]);
    let mut reading = reading.into_inner().into_inner();
    let mut answered = Instant::now();
    let mut asking = tokio::time::interval_at(answered + ASKED_EVERY, ASKED_EVERY);
    asking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            // Its answers are read first: they tell that it was there while a line was written.
            read = reading.read(&mut answers) => {
                if read? == 0 {
                    return Ok(());
                }
                answered = Instant::now();
            }
            _ = asking.tick() => {
                if answered.elapsed() > ANSWER_TIMEOUT {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                write(&mut writing, ASKED).await?;
            }
            line = lines.recv() => match line {
                // It has its room until it is written.
                Some(line) => write(&mut writing, &line.text()).await?,
                None => return Ok(()),
            },
        }
    }
}

async fn write(stream: &mut OwnedWriteHalf, text: &str) -> io::Result<()> {
    let written = tokio::time::timeout(WRITE_TIMEOUT, stream.write_all(text.as_bytes()));
    written.await?
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

    /// Lets a caller in, and waits until it has lost its place; when.
    async fn served(
        mut stream: BufReader<UnixStream>,
        joined: mpsc::Receiver<Observer>,
        answers: u32,
    ) -> Duration {
        stream.write_all(b"\n").await.unwrap();
        let mut observers = Observers::new("node-1", joined);
        let begin = Instant::now();
        let mut left = answers;
        loop {
            observers.refresh(&Pods::default());
            let mut said = String::new();
            let read = stream.read_line(&mut said).await.unwrap();
            if read == 0 {
                observers.refresh(&Pods::default());
                assert!(observers.all.is_empty(), "it observes no more");
                return begin.elapsed();
            }
            if said == ASKED && left > 0 {
                left -= 1;
                stream.write_all(b"\n").await.unwrap();
            }
        }
    }

    /// No process starts, and the connection stays open, as that of a caller that was stopped does.
    #[tokio::test(start_paused = true)]
    async fn a_caller_that_does_not_answer_loses_its_place() {
        for (answers, asked) in [(0, 5), (10, 15)] {
            let (joining, joined) = mpsc::channel(1);
            let stream = connected(joining);
            let took = served(stream, joined, answers).await;
            assert_eq!(took.as_secs(), (ASKED_EVERY * asked).as_secs(), "{answers}");
        }
    }
}
