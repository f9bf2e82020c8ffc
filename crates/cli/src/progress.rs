//! Progress of work that takes long.
//!
//! Here: when it is reported. Not here: the work.
//! Invariant: work that ends within [`INTERVAL`] reports nothing.

use std::io::Write;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, interval_at};

/// Time before the first report, and between reports.
const INTERVAL: Duration = Duration::from_secs(2);

/// Does work, and writes a line about it at each interval.
pub(crate) async fn reporting<T>(
    work: impl Future<Output = T>,
    err: &mut impl Write,
    line: impl Fn() -> String,
) -> T {
    let mut work = pin!(work);
    let mut ticks = interval_at(Instant::now() + INTERVAL, INTERVAL);
    loop {
        tokio::select! {
            biased;
            result = &mut work => return result,
            _ = ticks.tick() => {
                // Progress that cannot be written does not stop the work.
                drop(writeln!(err, "{}", line()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn only_work_that_takes_long_is_reported() {
        for (seconds, want) in [(1, ""), (5, "2 done\n4 done\n")] {
            let mut err = Vec::new();
            let done = Cell::new(0);
            let work = async {
                for _ in 0..seconds {
                    tokio::time::sleep(Duration::from_millis(999)).await;
                    done.set(done.get() + 1);
                }
                "result"
            };
            let line = || format!("{} done", done.get());
            assert_eq!(reporting(work, &mut err, line).await, "result");
            assert_eq!(String::from_utf8(err).unwrap(), want);
        }
    }
}
