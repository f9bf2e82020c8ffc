//! Responds to an Incident that waits for a limit, like another one of its workload a moment ago.
//!
//! Here: a pass that reads the pod and the switch alone. Not here: the pass that reads everything (`super`), which
//! owners are remembered (`crate::remembered_owners`), and which plans count (`Controls::decide_wait`).
//! Invariant: such a pass ends with a wait for a limit, or is followed by one that reads everything; it removes no
//! pod. It is the first of its Incident: whose turn has come is read.

use super::report::Timings;
use super::{Controller, Stop, Work, verified};
use crate::gather::{gather_remembered, pod_namespace};
use crate::remembered_owners::RememberedOwners;
use bailiff_api::Incident;
use bailiff_kube::owner::DirectOwner;
use bailiff_response::{Facts, Finished, LimitedWait, Owner};
use jiff::Timestamp;
use std::sync::{MutexGuard, PoisonError};

impl Controller {
    /// Reports a wait for a limit that follows from a remembered owner. None: everything has to be read.
    ///
    /// # Errors
    /// As a pass that reads everything.
    pub(super) async fn reconcile_remembered(
        &self,
        incident: &mut Incident,
    ) -> Result<Option<Finished>, Stop> {
        let Some(namespace) = pod_namespace(&self.config, incident).map(str::to_owned) else {
            return Ok(None);
        };
        let labels = &incident.spec.pod.labels;
        let expected = self
            .owners()
            .expects_wait(&namespace, labels, Timestamp::now());
        if !expected {
            return Ok(None);
        }
        let mut timings = Timings::begin();
        let workload_of = |pod: &_| self.owners().workload(&namespace, pod, Timestamp::now());
        let (client, cache, config) = (&self.client, &self.cache, &self.config);
        let gathering = gather_remembered(client, cache, config, incident, workload_of);
        let Some(mut facts) = Box::pin(gathering).await else {
            return Ok(None);
        };
        timings.read();
        let Some(wait) = self.decide_wait(incident, &mut facts) else {
            if let Some(workload) = facts.owner.workload() {
                self.owners().forget(&namespace, &workload.uid);
            }
            return Ok(None);
        };
        let (outcome, finished) = wait.into_report();
        let verified = verified(&facts);
        let report = self.report(incident, &verified, &outcome, &timings);
        report.await?;
        Ok(Some(finished))
    }

    fn decide_wait(&self, incident: &Incident, facts: &mut Facts) -> Option<LimitedWait> {
        let mut work = self.work();
        let Work { queue, controls } = &mut *work;
        controls.decide_wait(queue, incident, facts, Timestamp::now())
    }

    /// Remembers the owner of a pod that was read and waits for a limit.
    pub(super) fn remember_owner(
        &self,
        facts: &Facts,
        direct: Option<DirectOwner>,
        finished: &Finished,
    ) {
        if let (Owner::Workload(workload), Finished::Limited { .. }, Some(direct)) =
            (&facts.owner, finished, direct)
        {
            let (namespace, now) = (&facts.violation.namespace, Timestamp::now());
            let mut owners = self.owners();
            owners.remember(namespace, direct, workload.clone(), now);
        }
    }

    /// Hold them for a moment only.
    fn owners(&self) -> MutexGuard<'_, RememberedOwners> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
