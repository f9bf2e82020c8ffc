//! Values that are remembered for a while.
//!
//! Here: a TTL cache. Not here: what is in it.
//! Invariant: what is remembered is bounded.

use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Most values that are remembered.
const REMEMBERED_LIMIT: usize = 1024;

/// Values that are remembered for a time.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    time: Duration,
    values: BTreeMap<K, (V, Instant)>,
}

impl<K: Ord, V> Recent<K, V> {
    /// Nothing is remembered yet.
    pub(super) const fn new(time: Duration) -> Self {
        Self {
            time,
            values: BTreeMap::new(),
        }
    }

    pub(super) fn get(&self, key: &K, now: Instant) -> Option<&V> {
        let (value, at) = self.values.get(key)?;
        (now - *at < self.time).then_some(value)
    }

    pub(super) fn put(&mut self, key: K, value: V, now: Instant) {
        let time = self.time;
        if self.values.len() >= REMEMBERED_LIMIT {
            self.values.retain(|_, (_, at)| now - *at < time);
        }
        // Full of what is still used: all of it is read again.
        if self.values.len() >= REMEMBERED_LIMIT {
            self.values.clear();
        }
        self.values.insert(key, (value, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_a_time_and_a_bound() {
        let time = Duration::from_mins(1);
        let (mut recent, start) = (Recent::new(time), Instant::now());
        recent.put(0, "a", start);
        let last = start + time - Duration::from_nanos(1);
        assert_eq!(recent.get(&0, last), Some(&"a"));
        assert_eq!(recent.get(&0, start + time), None);
        for number in 1..10 * REMEMBERED_LIMIT {
            recent.put(number, "b", start);
            assert!(recent.values.len() <= REMEMBERED_LIMIT);
            assert_eq!(recent.get(&number, start), Some(&"b"));
        }
    }
}
