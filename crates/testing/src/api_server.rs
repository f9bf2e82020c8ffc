//! A mock API server behind a kube client: the requests that a scenario expects, in rounds.
//!
//! Here: the expectations, and a client that meets them. Not here: what an object means.
//! Invariant: the requests of a round are answered only when all of them have come, so code that
//! reads one after the other what it could read at once does not get through; a request too
//! many, too few or with another body fails the test, and at once: code that tries again for
//! ever would else never end.

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tower::BoxError;

/// How long a request waits for the others of its round.
const ROUND_LIMIT: Duration = Duration::from_secs(10);

/// A request that is expected, with what is answered.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    path: String,
    body: Option<Value>,
    after: Duration,
    reply: Reply,
}

#[derive(Clone, Debug)]
enum Reply {
    Answer(u16, Value),
    Silence,
    Cut,
}

impl Call {
    fn new(method: Method, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            body: None,
            after: Duration::ZERO,
            reply: Reply::Answer(200, json!({})),
        }
    }

    /// A GET of a path. With a `?`, the query must be the same, too.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    /// A POST to a path.
    #[must_use]
    pub fn post(path: &str) -> Self {
        Self::new(Method::POST, path)
    }

    /// A PUT to a path.
    #[must_use]
    pub fn put(path: &str) -> Self {
        Self::new(Method::PUT, path)
    }

    /// A PATCH of a path.
    #[must_use]
    pub fn patch(path: &str) -> Self {
        Self::new(Method::PATCH, path)
    }

    /// A DELETE of a path.
    #[must_use]
    pub fn delete(path: &str) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// What the body must have: every field that is named here, with this value.
    #[must_use]
    pub fn with(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Answers 200 with an object.
    #[must_use]
    pub fn gives(mut self, object: Value) -> Self {
        self.reply = Reply::Answer(200, object);
        self
    }

    /// Answers with a failure: its code, reason and message as the API server words them.
    #[must_use]
    pub fn fails(self, code: u16, reason: &str, message: &str) -> Self {
        self.fails_with(
            code,
            json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "metadata": {},
                "code": code, "reason": reason, "message": message}),
        )
    }

    /// Answers with a failure as a whole `Status`.
    #[must_use]
    pub fn fails_with(mut self, code: u16, status: Value) -> Self {
        self.reply = Reply::Answer(code, status);
        self
    }

    /// Answers that nothing of that name is there.
    #[must_use]
    pub fn is_missing(self) -> Self {
        self.fails(404, "NotFound", "not found")
    }

    /// Answers only after a time.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// Takes the request and never answers.
    #[must_use]
    pub fn is_silent(mut self) -> Self {
        self.reply = Reply::Silence;
        self
    }

    /// Takes the request and cuts the connection.
    #[must_use]
    pub fn is_cut(mut self) -> Self {
        self.reply = Reply::Cut;
        self
    }

    fn takes(&self, request: &Request<Body>) -> bool {
        let uri = request.uri();
        let path = if self.path.contains('?') {
            uri.path_and_query().map_or("", |whole| whole.as_str())
        } else {
            uri.path()
        };
        self.method == *request.method() && self.path == path
    }
}

struct Scenario {
    /// Rounds that are still to come; of the first, the calls that did not come yet.
    rounds: Vec<Vec<Call>>,
    done: usize,
    faults: Vec<String>,
}

/// A scenario that is played to a client.
pub struct ApiServer {
    scenario: Arc<Mutex<Scenario>>,
}

impl ApiServer {
    /// A client whose requests must be those of the rounds, one round after the other.
    #[must_use]
    pub fn playing(rounds: impl IntoIterator<Item = Vec<Call>>) -> (Self, Client) {
        let scenario = Arc::new(Mutex::new(Scenario {
            rounds: rounds.into_iter().collect(),
            done: 0,
            faults: Vec::new(),
        }));
        let server = Self {
            scenario: Arc::clone(&scenario),
        };
        let (rounds_done, _) = watch::channel(0);
        let service = tower::service_fn(move |request: Request<Body>| {
            serve(Arc::clone(&scenario), rounds_done.clone(), request)
        });
        (server, Client::new(service, "default"))
    }

    /// A client whose requests are never answered, however many there are.
    #[must_use]
    pub fn silent() -> Client {
        let service = tower::service_fn(|_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, BoxError>>()
        });
        Client::new(service, "default")
    }

    /// Ends the scenario.
    ///
    /// # Panics
    /// When a request came that was not expected, or one that was did not come.
    pub fn finish(self) {
        drop(self);
    }
}

impl Drop for ApiServer {
    /// A scenario that nobody finished is finished here.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let scenario = lock(&self.scenario);
        assert!(
            scenario.faults.is_empty() && scenario.rounds.is_empty(),
            "not as expected: {:#?}\ndid not come: {:#?}",
            scenario.faults,
            scenario.rounds,
        );
    }
}

fn lock(scenario: &Mutex<Scenario>) -> MutexGuard<'_, Scenario> {
    scenario.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    scenario: Arc<Mutex<Scenario>>,
    rounds_done: watch::Sender<usize>,
    request: Request<Body>,
) -> Result<Response<Body>, BoxError> {
    let taken = take(&scenario, &request);
    let what = format!("{} {}", request.method(), request.uri());
    let Some((call, round)) = taken else {
        fault(&scenario, format!("{what} is too many"));
    };
    let body = request.into_body().collect().await?.to_bytes();
    if let Some(wanted) = &call.body {
        let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
        if let Some(lack) = lacks(wanted, &sent, "") {
            fault(&scenario, format!("{what}: {lack}"));
        }
    }
    // What came last of a round lets all of it be answered.
    rounds_done.send_replace(lock(&scenario).done);
    let mut done = rounds_done.subscribe();
    let whole = done.wait_for(|done| *done > round);
    if tokio::time::timeout(ROUND_LIMIT, whole).await.is_err() {
        fault(&scenario, format!("{what} came alone, not with its round"));
    }
    tokio::time::sleep(call.after).await;
    match call.reply {
        Reply::Answer(code, object) => answer(code, &object),
        Reply::Silence => std::future::pending().await,
        Reply::Cut => Err("the connection was cut".into()),
    }
}

/// Fails the test: by a panic in the task that made the request, and when the scenario ends.
fn fault(scenario: &Mutex<Scenario>, what: String) -> ! {
    let text = format!("not as expected: {what}");
    lock(scenario).faults.push(what);
    panic!("{text}")
}

/// The call that a request is, with the number of its round.
fn take(scenario: &Mutex<Scenario>, request: &Request<Body>) -> Option<(Call, usize)> {
    let mut scenario = lock(scenario);
    let round = scenario.rounds.first_mut()?;
    let at = round.iter().position(|call| call.takes(request))?;
    let call = round.remove(at);
    let number = scenario.done;
    if scenario.rounds.first().is_some_and(Vec::is_empty) {
        scenario.rounds.remove(0);
        scenario.done += 1;
    }
    Some((call, number))
}

/// The first thing of `wanted` that `sent` has not.
fn lacks(wanted: &Value, sent: &Value, at: &str) -> Option<String> {
    match wanted {
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, wanted)| lacks(wanted, sent.get(name)?, &format!("{at}.{name}")))
            .or_else(|| {
                let missing = fields.keys().find(|name| sent.get(*name).is_none())?;
                Some(format!("{at}.{missing} is missing"))
            }),
        Value::Array(items) => {
            let found = sent.as_array().filter(|sent| sent.len() == items.len());
            let Some(found) = found else {
                return Some(format!("{at} is {sent}, not {wanted}"));
            };
            items
                .iter()
                .zip(found)
                .enumerate()
                .find_map(|(index, (wanted, sent))| lacks(wanted, sent, &format!("{at}[{index}]")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            (wanted != sent).then(|| format!("{at} is {sent}, not {wanted}"))
        }
    }
}

fn answer(code: u16, object: &Value) -> Result<Response<Body>, BoxError> {
    Ok(Response::builder()
        .status(StatusCode::from_u16(code)?)
        .header("content-type", "application/json")
        .body(Body::from(text(object)?.into_bytes()))?)
}

/// The text of an object. An event of a watch has its type first, as the API server writes it.
fn text(object: &Value) -> Result<String, serde_json::Error> {
    match (object.get("type"), object.get("object")) {
        (Some(of), Some(object)) => Ok(format!("{{\"type\":{of},\"object\":{object}}}\n")),
        _ => serde_json::to_string(object),
    }
}
