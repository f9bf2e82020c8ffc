//! Bounds how many answers use the API server at once.
//!
//! Here: places, and who gets the next. Not here: what is done on a place (`answer`).
//! Invariant: a place that is given back goes to the next namespace that waits, in turn, so that
//! a flood in one namespace does not hold up another; no place is lost when who waits gives up.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Places, which namespaces get in turn.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    waiting: BTreeMap<String, VecDeque<oneshot::Sender<Place>>>,
    /// The namespace that got the last place.
    last: String,
}

/// A place; it is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Option<Turns>);

impl Turns {
    pub(crate) fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: places,
            waiting: BTreeMap::new(),
            last: String::new(),
        })))
    }

    /// Waits for a place.
    pub(crate) async fn enter(&self, namespace: &str) -> Place {
        loop {
            let waiting = {
                let mut state = self.lock();
                if state.free > 0 {
                    state.free -= 1;
                    return Place(Some(self.clone()));
                }
                let (give, waiting) = oneshot::channel();
                let queue = state.waiting.entry(namespace.to_owned()).or_default();
                queue.push_back(give);
                waiting
            };
            // The other end is kept until a place is sent.
            if let Ok(place) = waiting.await {
                return place;
            }
        }
    }

    /// Gives a place to the next that waits, or sets it free.
    fn give(self) {
        loop {
            let next = {
                let mut state = self.lock();
                let next = state.next();
                if next.is_none() {
                    state.free += 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(Place(Some(self.clone()))) {
                Ok(()) => return,
                // Who waited gave up: the place is for another.
                Err(mut place) => place.0 = None,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        let after = (Excluded(self.last.as_str()), Unbounded);
        let mut later = self.waiting.range::<str, _>(after);
        let (name, _) = later.next().or_else(|| self.waiting.iter().next())?;
        let name = name.clone();
        let queue = self.waiting.get_mut(&name)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&name);
        }
        self.last = name;
        next
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.give();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn no_more_than_the_places_are_in_use() {
        let turns = Turns::new(2);
        let (first, _second) = (turns.enter("a").await, turns.enter("a").await);
        let mut third = Box::pin(turns.enter("a"));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_flood_in_one_namespace_does_not_hold_up_another() {
        let turns = Turns::new(1);
        let place = turns.enter("a").await;
        let (order, mut given) = tokio::sync::mpsc::unbounded_channel();
        for name in ["a", "a", "a", "a", "b", "c"] {
            let mut entering = Box::pin(async {
                let place = turns.enter(name).await;
                order.send(name).unwrap();
                drop(place);
            });
            // It waits before the next does.
            assert!((&mut entering).now_or_never().is_none());
            let turns = turns.clone();
            drop(entering);
            let order = order.clone();
            let mut entering = Box::pin(async move {
                let place = turns.enter(name).await;
                order.send(name).unwrap();
                drop(place);
            });
            assert!((&mut entering).now_or_never().is_none());
            tokio::spawn(entering);
        }
        drop(place);
        let mut names = Vec::new();
        for _ in 0..6 {
            names.push(given.recv().await.unwrap());
        }
        // Those who gave up are passed over.
        assert_eq!(names, ["a", "b", "c", "a", "a", "a"]);
        assert!(
            turns.enter("a").now_or_never().is_some(),
            "no place is lost"
        );
    }
}
