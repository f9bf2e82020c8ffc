//! What the API server says of the Evictions that it served.
//!
//! Here: its histogram, of one run. Not here: how long the controller waited for them (its log).
//! Invariant: what was served before the run is not counted.

use anyhow::Result;
use kube::Client;
use std::collections::BTreeMap;

/// The histogram of the API server (k8s.io/apiserver v0.37.2, `pkg/endpoints/metrics/metrics.go`).
const HISTOGRAM: &str = "apiserver_request_duration_seconds_bucket{";

/// How many Evictions were served within so many microseconds; the last bound is none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Served(BTreeMap<u64, u64>);

impl Served {
    /// As it is now, since the API server started.
    pub(crate) async fn read(client: &Client) -> Result<Self> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        Ok(Self::parse(&client.request_text(request).await?))
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.strip_prefix(HISTOGRAM));
        let evictions = lines.filter(|line| line.contains("subresource=\"eviction\""));
        let mut found = BTreeMap::new();
        for line in evictions {
            let bound = line
                .split("le=\"")
                .nth(1)
                .and_then(|le| le.split('"').next());
            let count = line.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok());
            if let (Some(bound), Some(count)) = (bound.and_then(micros), count) {
                // There is a histogram for each kind of request, dry runs for example.
                *found.entry(bound).or_default() += count;
            }
        }
        Self(found)
    }

    /// What came since an earlier reading.
    pub(crate) fn since(mut self, earlier: &Self) -> Self {
        for (bound, count) in &mut self.0 {
            *count -= earlier.0.get(bound).copied().unwrap_or_default();
        }
        self
    }

    /// Within how many milliseconds so many in a hundred were served, as far as the bounds of the
    /// histogram tell; none: it has none so high, or nothing was served.
    pub(crate) fn within_ms(&self, percent: u64) -> Option<u64> {
        let all = *self.0.get(&u64::MAX)?;
        let enough = |count: u64| all > 0 && count * 100 >= all * percent;
        let (bound, _) = self.0.iter().find(|(_, count)| enough(**count))?;
        (*bound < u64::MAX).then_some(bound / 1000)
    }
}

fn micros(bound: &str) -> Option<u64> {
    if bound == "+Inf" {
        return Some(u64::MAX);
    }
    let duration = std::time::Duration::try_from_secs_f64(bound.parse().ok()?).ok()?;
    u64::try_from(duration.as_micros()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(short: u64, longer: u64, all: u64) -> Served {
        let line = |what: &str, le: &str, count: u64| {
            format!("{HISTOGRAM}resource=\"pods\",subresource=\"{what}\",le=\"{le}\"}} {count}\n")
        };
        let text = line("eviction", "0.005", short)
            + &line("status", "0.005", 1000)
            + &line("eviction", "0.025", longer)
            + &line("eviction", "+Inf", all);
        Served::parse(&text)
    }

    #[test]
    fn what_was_served_in_a_run_is_told_by_the_bounds_of_the_histogram() {
        let run = served(55, 205, 206).since(&served(5, 6, 6));
        assert_eq!(run, served(50, 199, 200));
        assert_eq!(run.within_ms(25), Some(5));
        assert_eq!(run.within_ms(99), Some(25));
        assert_eq!(run.within_ms(100), None, "one took longer than all bounds");
        assert_eq!(served(0, 0, 0).within_ms(99), None);
        assert_eq!(Served::default().within_ms(99), None);
    }
}
