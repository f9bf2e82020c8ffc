//! Waits for the replacements of removed pods.
//!
//! Here: one watch for each recovering workload, and the deadlines. Not here: what counts as a
//! replacement (`super`).
//! Invariant: nothing polls; at most [`WATCHES`] workloads are watched at once, as far as there is memory
//! for their pods, and the rest waits for its turn, with its deadlines; what was found is reported once.

mod memory;
mod pods;

use super::{ClaimScope, PodSource, creator, find_replacement, pod_source};
use crate::cache::News;
use crate::reconcile::{Controller, Stop};
use crate::waits::until;
use bailiff_api::condition::{responded, types};
use bailiff_api::{Incident, WorkloadReference};
use bailiff_kube::decode::{Decoded, UndecodableObjects};
use bailiff_kube::list_watch::ListWatchError;
use bailiff_kube::watch::{Event, Watch, objects_of};
use bailiff_response::{Recovery, WorkloadKey, is_final};
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use kube::runtime::watcher;
use kube::{Api, Client};
use memory::{Limits, Share};
use pods::{Kept, Pods};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Most watches of one connection: the API server lets one have 100 requests, and a watch that is opened
/// anew can be one twice for a moment.
const CONNECTION_WATCHES: usize = 90;
/// Most workloads that are watched at once: each has a watch of itself and one of its pods.
const WATCHES: usize = CONNECTION_WATCHES / 2;
/// Most pods of a workload that are known, as far as there is memory for them; a replacement among further
/// ones is not found.
const PODS_LIMIT: usize = 1_000;
/// Changes that follow each other are processed together.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How long it is remembered that an Incident's recovery was reported: the watch of Incidents can be
/// behind.
const REMEMBERED: Duration = Duration::from_mins(10);
/// How long a list of pods can take that no watch follows.
const LISTING: Duration = Duration::from_mins(1);
/// The least pause before a deadline that has passed is checked again.
const RETRY: Duration = Duration::from_secs(1);
/// The longest pause before a status that could not be written is written again.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// A workload that recovers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    workload: Option<WorkloadKey>,
    /// UID of the pod, if it has no workload.
    pod_uid: Option<String>,
    /// One of the workload's Jobs, where it creates pods by Jobs.
    job: Option<String>,
}

/// Waits for replacements until the controller stops.
/// `watches` has a connection that carries nothing else.
pub(crate) async fn follow(
    controller: Arc<Controller>,
    watches: Client,
    mut incidents: mpsc::UnboundedReceiver<Box<Incident>>,
    news: mpsc::UnboundedSender<News>,
) {
    let limits = Limits::default();
    let mut groups: BTreeMap<Group, mpsc::UnboundedSender<Box<Incident>>> = BTreeMap::new();
    let mut running: JoinSet<(Group, Vec<Incident>)> = JoinSet::new();
    let mut late: Vec<Incident> = Vec::new();
    let mut done: BTreeMap<String, Instant> = BTreeMap::new();
    let (reported, mut reports) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            biased;
            () = controller.stopping().cancelled() => return,
            Some(uid) = reports.recv() => {
                done.retain(|_, at: &mut Instant| at.elapsed() < REMEMBERED);
                done.insert(uid, Instant::now());
                // What a breaker waits for may have come.
                if news.send(News::Reason(responded::CIRCUIT_BREAKER_OPEN)).is_err() {
                    return;
                }
            }
            Some(ended) = running.join_next() => match ended {
                Ok((group, came_late)) => {
                    groups.remove(&group);
                    late.extend(came_late);
                }
                Err(error) => {
                    tracing::error!(%error, "Waiting for a replacement ended in a panic");
                    groups.retain(|_, group| !group.is_closed());
                }
            },
            Some(mut incident) = next(&mut late, &mut incidents) => {
                let uid = incident.metadata.uid.clone().unwrap_or_default();
                if done.contains_key(&uid) || is_final(&incident, types::RECOVERED) {
                    continue;
                }
                let key = group_of(&incident);
                // A group that just ended takes no more: another begins.
                if let Some(group) = groups.get(&key) {
                    match group.send(incident) {
                        Ok(()) => continue,
                        Err(returned) => incident = returned.0,
                    }
                }
                let (send, receive) = mpsc::unbounded_channel();
                groups.insert(key.clone(), send);
                let (controller, limits) = (Arc::clone(&controller), limits.clone());
                let (watches, reported) = (watches.clone(), reported.clone());
                running.spawn(async move {
                    let recovering =
                        Recovering::begin(controller, watches, limits, incident, receive, reported);
                    (key, recovering.run().await)
                });
            }
        }
    }
}

async fn next(
    late: &mut Vec<Incident>,
    incidents: &mut mpsc::UnboundedReceiver<Box<Incident>>,
) -> Option<Box<Incident>> {
    match late.pop() {
        Some(incident) => Some(Box::new(incident)),
        None => incidents.recv().await,
    }
}

fn group_of(incident: &Incident) -> Group {
    let workload = WorkloadKey::of_incident(incident);
    let scope = ClaimScope::of(incident);
    let reference = incident
        .status
        .as_ref()
        .and_then(|s| s.workload_ref.as_ref());
    let job = scope.filter(|_| reference.is_some_and(|w| w.kind == "CronJob"));
    Group {
        pod_uid: workload.is_none().then(|| incident.spec.pod.uid.clone()),
        workload,
        job: job.map(|scope| scope.place().to_owned()),
    }
}

/// The Incidents of one workload that wait for replacements.
struct Recovering {
    controller: Arc<Controller>,
    /// The client of the watches.
    watches: Client,
    limits: Limits,
    workload: Option<WorkloadReference>,
    waiting: BTreeMap<(Timestamp, String), Box<Incident>>,
    incoming: mpsc::UnboundedReceiver<Box<Incident>>,
    reported: mpsc::UnboundedSender<String>,
    source: Option<PodSource>,
    pods: BTreeMap<String, Kept>,
    /// How much memory they take, and how much they can.
    bytes: usize,
    share: Share,
    /// There was no memory for its pods, so it waits for as much as one workload can take.
    crowded: bool,
    /// All pods are known.
    listed: bool,
    /// The list of the workload's watch that is not complete yet.
    coming: Option<PodSource>,
    /// When what was found is reported again, as its status could not be written; and how long that pause was.
    retry: Option<(Instant, Duration)>,
}

impl Recovering {
    fn begin(
        controller: Arc<Controller>,
        watches: Client,
        limits: Limits,
        incident: Box<Incident>,
        incoming: mpsc::UnboundedReceiver<Box<Incident>>,
        reported: mpsc::UnboundedSender<String>,
    ) -> Self {
        let workload = incident
            .status
            .as_ref()
            .and_then(|s| s.workload_ref.clone());
        let mut recovering = Self {
            controller,
            watches,
            workload,
            waiting: BTreeMap::new(),
            incoming,
            reported,
            source: None,
            pods: BTreeMap::new(),
            bytes: 0,
            share: Share::free(&limits),
            crowded: false,
            limits,
            listed: false,
            coming: None,
            retry: None,
        };
        recovering.add(incident);
        recovering
    }

    /// Takes an Incident whose pod was removed.
    fn add(&mut self, incident: Box<Incident>) {
        let response = incident.status.as_ref().and_then(|s| s.response.as_ref());
        let (Some(response), Some(uid)) = (response, &incident.metadata.uid) else {
            return;
        };
        let key = (response.time.0, uid.clone());
        if let Some(scope) = ClaimScope::of(&incident) {
            self.controller.claims().wait(&scope, key.0, uid);
        }
        self.waiting.insert(key, incident);
    }

    /// It waits no more.
    fn leave(&mut self, key: &(Timestamp, String)) {
        if let Some(incident) = self.waiting.remove(key)
            && let Some(scope) = ClaimScope::of(&incident)
        {
            self.controller.claims().leave(&scope, key.0, &key.1);
        }
    }

    /// Waits for the replacements; the Incidents that came too late for it.
    async fn run(mut self) -> Vec<Incident> {
        while let Some((_permit, share)) = self.turn().await {
            self.share = share;
            self.crowded = false;
            self.watch().await;
            if !self.crowded {
                break;
            }
            // Its memory is for others until it has its turn.
            self.forget_pods();
            self.source = None;
        }
        let waiting: Vec<_> = self.waiting.keys().cloned().collect();
        for key in waiting {
            self.leave(&key);
        }
        self.incoming.close();
        let mut late = Vec::new();
        while let Ok(incident) = self.incoming.try_recv() {
            late.push(*incident);
        }
        late
    }

    /// Waits for the workload's turn to be watched, and what its pods can take of the memory. None:
    /// nothing waits any more.
    async fn turn(&mut self) -> Option<(OwnedSemaphorePermit, Share)> {
        let stopping = self.controller.stopping().clone();
        let (limits, crowded) = (self.limits.clone(), self.crowded);
        let turn = async {
            let share = if crowded {
                Share::whole(&limits).await?
            } else {
                Share::free(&limits)
            };
            let permit = Arc::clone(&limits.watches).acquire_owned().await.ok()?;
            Some((permit, share))
        };
        tokio::pin!(turn);
        loop {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = stopping.cancelled() => return None,
                turn = &mut turn => return turn,
                Some(incident) = self.incoming.recv() => self.add(incident),
                () = tokio::time::sleep_until(deadline) => {
                    let _one_at_a_time = self.limits.reads.clone().acquire_owned().await.ok()?;
                    self.share = Share::Whole;
                    self.read_once().await;
                    self.evaluate().await;
                    self.forget_pods();
                    if self.waiting.is_empty() {
                        return None;
                    }
                }
            }
        }
    }

    /// Makes room for the pods of others.
    fn forget_pods(&mut self) {
        self.pods.clear();
        self.bytes = 0;
        self.listed = false;
        self.share = Share::free(&self.limits);
    }

    /// Watches the workload and its pods until every replacement is known.
    async fn watch(&mut self) {
        let stopping = self.controller.stopping().clone();
        let mut owner = self.owner_watch();
        let mut pods: Option<(PodSource, Pods)> = None;
        // What is not watched is known already.
        let mut due = self.source.is_some().then(Instant::now);
        while !self.waiting.is_empty() && !self.crowded {
            if let Some(source) = &self.source
                && pods
                    .as_ref()
                    .is_none_or(|(of, _)| !of.has_same_pods(source))
            {
                self.pods.clear();
                self.bytes = 0;
                self.listed = false;
                pods = self
                    .pod_watch(&self.watches, source)
                    .map(|watch| (source.clone(), watch));
            }
            let deadline = self.deadline();
            let next_pod = async {
                match &mut pods {
                    Some((_, watch)) => watch.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                Some(incident) = self.incoming.recv() => self.add(incident),
                Some(event) = owner.next() => self.owner(event),
                Some(event) = next_pod => self.pod(event),
                () = until(due) => {
                    due = None;
                    self.evaluate().await;
                    continue;
                }
                () = tokio::time::sleep_until(deadline) => {
                    self.evaluate().await;
                    continue;
                }
            }
            due.get_or_insert(Instant::now() + DEBOUNCE);
        }
    }

    /// When the first of the Incidents has waited long enough.
    fn deadline(&self) -> Instant {
        let now = Timestamp::now();
        let first = self.waiting.keys().next().map(|(since, _)| *since);
        let waited = first
            .map(|since| now.duration_since(since))
            .unwrap_or_default();
        let waited = Duration::try_from(waited).unwrap_or_default();
        let left = self
            .controller
            .config()
            .replacement_deadline
            .saturating_sub(waited);
        // An Incident that could not be reported is tried again, but not at once.
        let deadline = Instant::now() + left.max(RETRY);
        match self.retry {
            Some((at, _)) if left.is_zero() => at,
            Some((at, _)) => at.min(deadline),
            None => deadline,
        }
    }

    fn namespace(&self) -> String {
        let first = self.waiting.values().next();
        first
            .map(|i| i.spec.pod.namespace.clone())
            .unwrap_or_default()
    }

    /// The object that creates the pods.
    fn creator(&self) -> Option<(kube::core::ApiResource, String)> {
        let incident = self.waiting.values().next()?;
        creator(self.workload.as_ref()?, incident)
    }

    fn owner_watch(&mut self) -> Watch<DynamicObject> {
        let Some((resource, name)) = self.creator() else {
            self.source = Some(match self.workload {
                Some(_) => PodSource::PodsThatNameIt,
                None => PodSource::NoMore,
            });
            return futures::stream::pending().boxed();
        };
        let client = self.watches.clone();
        let api =
            Api::<Decoded<DynamicObject>>::namespaced_with(client, &self.namespace(), &resource);
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        objects_of(api, config, &UndecodableObjects::default(), resource.kind)
    }

    fn pod_watch(&self, client: &Client, source: &PodSource) -> Option<Pods> {
        let labels = match source {
            PodSource::Pods(labels, _) => Some(labels.clone()),
            PodSource::PodsThatNameIt => None,
            PodSource::NoMore | PodSource::Unknown => return None,
        };
        Some(pods::watch(client.clone(), &self.namespace(), labels))
    }

    fn owner(&mut self, event: watcher::Result<Event<DynamicObject>>) {
        let Some(workload) = self.workload.clone() else {
            return;
        };
        let kind = self
            .creator()
            .map(|(resource, _)| resource.kind)
            .unwrap_or_default();
        let source = |object: Option<&DynamicObject>| Some(pod_source(&workload, &kind, object));
        match event {
            Ok(Event::Init) => self.coming = None,
            Ok(Event::InitApply(object)) => self.coming = source(Some(&object)),
            Ok(Event::InitDone) => self.source = self.coming.take().or_else(|| source(None)),
            Ok(Event::Apply(object)) => self.source = source(Some(&object)),
            Ok(Event::Delete(_)) => self.source = source(None),
            Err(error) => {
                tracing::warn!(%error, kind, name = workload.name, "Cannot watch a workload that recovers; it is retried");
            }
        }
    }

    fn pod(&mut self, event: Result<Event<Kept>, ListWatchError>) {
        match event {
            Ok(Event::Init) => {
                self.pods.clear();
                self.bytes = 0;
                self.listed = false;
            }
            Ok(Event::InitApply(kept) | Event::Apply(kept)) => self.keep(kept),
            Ok(Event::InitDone) => self.listed = true,
            Ok(Event::Delete(metadata)) => {
                self.forget_pod(metadata.uid.as_deref().unwrap_or_default());
            }
            Err(error) => {
                tracing::warn!(%error, "Cannot watch the pods of a workload that recovers; it is retried");
            }
        }
    }

    /// Keeps a pod, if the workload has not too many and there is memory for it.
    fn keep(&mut self, kept: Kept) {
        let uid = kept.pod.metadata.uid.clone().unwrap_or_default();
        // What it was before is true no more.
        self.forget_pod(&uid);
        let bytes = self.bytes + kept.bytes;
        if self.pods.len() >= PODS_LIMIT || bytes > memory::WORKLOAD_LIMIT {
            return;
        }
        if !self.share.covers(bytes) {
            self.crowded = true;
            return;
        }
        self.bytes = bytes;
        self.pods.insert(uid, kept);
    }

    fn forget_pod(&mut self, uid: &str) {
        if let Some(before) = self.pods.remove(uid) {
            self.bytes -= before.bytes;
        }
    }

    /// Reads the workload and its pods once, without a watch.
    async fn read_once(&mut self) {
        let client = self.controller.client().clone();
        let namespace = self.namespace();
        let workload = self.workload.clone();
        self.source = match (&workload, self.creator()) {
            (None, _) => Some(PodSource::NoMore),
            (Some(_), None) => Some(PodSource::PodsThatNameIt),
            (Some(workload), Some((resource, name))) => {
                let api: Api<Decoded<DynamicObject>> =
                    Api::namespaced_with(client.clone(), &namespace, &resource);
                match api.get_opt(&name).await {
                    Ok(found) => {
                        let found = found.and_then(|found| found.into_result().ok());
                        Some(pod_source(workload, &resource.kind, found.as_ref()))
                    }
                    Err(_) => None,
                }
            }
        };
        let Some(source) = self.source.clone() else {
            return;
        };
        let Some(mut watch) = self.pod_watch(&client, &source) else {
            return;
        };
        // A list is what a watch begins with.
        let listing = async {
            while !self.listed
                && let Some(event) = watch.next().await
            {
                self.pod(event);
            }
        };
        if tokio::time::timeout(LISTING, listing).await.is_err() {
            tracing::warn!("Cannot list the pods of a workload that recovers in time");
        }
    }

    /// Reports what is known of each Incident.
    async fn evaluate(&mut self) {
        if self.retry.is_some_and(|(at, _)| Instant::now() < at) {
            return;
        }
        // Not cloned: they can be much of the memory.
        let kept = std::mem::take(&mut self.pods);
        let pods: Vec<&Pod> = kept.values().map(|kept| &kept.pod).collect();
        self.evaluate_with(&pods).await;
        self.pods = kept;
    }

    async fn evaluate_with(&mut self, pods: &[&Pod]) {
        let before = self.retry.take();
        let Some(source) = self.source.clone() else {
            return;
        };
        let needs_pods = matches!(source, PodSource::Pods(..) | PodSource::PodsThatNameIt);
        let deadline = self.controller.config().replacement_deadline;
        let waiting: Vec<_> = self.waiting.keys().cloned().collect();
        for key in waiting {
            let Some(incident) = self.waiting.get(&key).cloned() else {
                continue;
            };
            let waited = Timestamp::now().duration_since(key.0);
            let over = Duration::try_from(waited).is_ok_and(|waited| waited >= deadline);
            if needs_pods && !self.listed && !over {
                continue;
            }
            let recovery = {
                let controller = Arc::clone(&self.controller);
                let scope = ClaimScope::of(&incident);
                let mut earlier = scope
                    .as_ref()
                    .map_or(0, |scope| controller.claims().earlier(scope, key.0, &key.1));
                let (client, uid) = (controller.client(), &key.1);
                let claim = |pod: &str| {
                    controller
                        .claims()
                        .claim(pod, uid, &mut earlier, Timestamp::now())
                };
                Box::pin(find_replacement(
                    client,
                    &incident,
                    (key.0, deadline),
                    &source,
                    pods,
                    claim,
                ))
                .await
            };
            if recovery == Recovery::Waiting {
                continue;
            }
            match self.controller.report_recovery(&incident, &recovery).await {
                Ok(()) | Err(Stop::NotFound) => {}
                Err(Stop::Stopping) => return,
                // The others are no more likely to be written now.
                Err(Stop::Unwritten(asked)) => {
                    let pause = before.map_or(RETRY, |(_, pause)| pause.saturating_mul(2));
                    let asked = asked.and_then(|asked| Duration::try_from(asked).ok());
                    let pause = pause.max(asked.unwrap_or_default()).min(RETRY_MAX);
                    self.retry = Some((Instant::now() + pause, pause));
                    return;
                }
            }
            self.leave(&key);
            if self.reported.send(key.1).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
