//! Measures reviews of pods beside a handler that allows everything, and prints that part of the page.
//!
//! Here: the turns of both sides, what follows from them, and the memory while unknown digests arrive. Not
//! here: the sides (`sides`), what they are asked (`cases`, `load`), what the page says (`page`).
//! Invariant: a bound and whether it was met stand on the same line.

#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a command that runs for minutes says how far it is, and prints a part of a page"
)]

mod cases;
mod load;
mod page;
mod sides;
mod stand_ins;

use anyhow::{Context as _, Result, ensure};
use cases::{ABSENT, NEW_TAGS, SIZES};
use clap::{Parser, Subcommand};
use load::{CONNECTIONS, Connection, MUTATE, Next, Pair, VALIDATE, turn};
use page::{Measured, Memory, Trips};
use serde_json::Value as Json;
use sides::Side;
use stand_ins::Asked;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Measures reviews of pods, and prints that part of the page.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    side: Option<SideCommand>,
    /// How often each side has its turns.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Reviews a second in the turns with a rate.
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// Seconds of a turn.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Number of digests that arrive and do not exist.
    #[arg(long, default_value_t = 10_000)]
    unknown: u64,
}

/// What runs in a process of its own.
#[derive(Subcommand)]
enum SideCommand {
    /// The webhook.
    Webhook {
        /// Where it serves.
        #[arg(long)]
        address: SocketAddr,
        /// URL of the API server.
        #[arg(long)]
        api: String,
        /// URL of the registry.
        #[arg(long)]
        registry: String,
    },
    /// The handler that allows everything.
    AlwaysAllow {
        /// Where it serves.
        #[arg(long)]
        address: SocketAddr,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // As many as `bailiff webhook` has.
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match &arguments.side {
            Some(SideCommand::Webhook {
                address,
                api,
                registry,
            }) => Box::pin(sides::webhook(*address, api, registry)).await,
            Some(SideCommand::AlwaysAllow { address }) => sides::peer(*address).await,
            None => Box::pin(measure(&arguments)).await,
        }
    })
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let (trusted, secret) = sides::certificate()?;
    let api = stand_ins::api_server(&secret).await?;
    let (registry, asked) = stand_ins::registry().await?;
    let of_webhook = ["webhook", "--api", &api, "--registry", &registry];
    let webhook = Side::start("the webhook", &of_webhook, &Json::Null).await?;
    let peer = Side::start("the always-allow handler", &["always-allow"], &secret).await?;
    let mut ours = Connection::open_all(&webhook, &trusted).await?;
    let mut theirs = Connection::open_all(&peer, &trusted).await?;
    let started_with = webhook.memory()?;
    let mut pairs = Vec::new();
    let first = ours.first_mut().context("no connection")?;
    for case in cases::known()? {
        pairs.push(Pair::new(&case, first).await?);
    }
    eprintln!("{} pods are known", pairs.len());
    let trips = trips(first, &asked).await?;
    let all = Arc::new(pairs);
    let next = Arc::new(Next::default());
    let length = Duration::from_secs(arguments.seconds);

    let mut paced = Measured::default();
    for round in 0..arguments.rounds {
        let rate = Some(arguments.rate);
        paced
            .peer
            .push(turn(&peer, &mut theirs, &all, &next, rate, length).await?);
        paced
            .ours
            .push(turn(&webhook, &mut ours, &all, &next, rate, length).await?);
        eprintln!("round {round} with a rate");
    }
    let mut fast = Vec::new();
    for size in SIZES {
        let of_size = all.iter().filter(|pair| pair.size == size).cloned();
        let of_size = Arc::new(of_size.collect::<Vec<_>>());
        let mut measured = Measured::default();
        for round in 0..arguments.rounds {
            let length = length / 2;
            measured
                .peer
                .push(turn(&peer, &mut theirs, &of_size, &next, None, length).await?);
            measured
                .ours
                .push(turn(&webhook, &mut ours, &of_size, &next, None, length).await?);
            eprintln!("round {round} of {size} bytes as fast as possible");
        }
        fast.push((size, measured));
    }
    let memory = memory(&webhook, &mut ours, arguments.unknown, started_with).await?;
    page::print(arguments.rate, length, &paced, &fast, &trips, memory);
    webhook.stop().await?;
    peer.stop().await
}

/// Requests and connections at the registry for one pod with a new image, of each kind.
async fn trips(connection: &mut Connection, asked: &Asked) -> Result<Trips> {
    let mut counts = Vec::new();
    for (number, is_tag, exists) in [
        (cases::NEW - 1, false, true),
        (NEW_TAGS, true, true),
        (NEW_TAGS - 1, false, false),
    ] {
        let pod = cases::single(number, is_tag)?;
        let before = asked.now();
        let response = connection.send(MUTATE, cases::review(&pod).into()).await?;
        let pod = cases::patched(&pod, &load::patch(&response)?)?;
        let response = connection
            .send(VALIDATE, cases::review(&pod).into())
            .await?;
        let allowed = std::str::from_utf8(&response)?.contains(r#""allowed":true"#);
        ensure!(allowed == exists, "a new image: {response:?}");
        let after = asked.now();
        counts.push((
            after.1.saturating_sub(before.1),
            after.0.saturating_sub(before.0),
        ));
    }
    Ok(Trips(counts))
}

/// Memory of the webhook while digests arrive that do not exist, over all connections.
async fn memory(
    side: &Side,
    connections: &mut Vec<Connection>,
    unknown: u64,
    started_with: f64,
) -> Result<Memory> {
    let before = side.memory()?;
    let next = Arc::new(AtomicU64::new(0));
    let mut running = Vec::new();
    for mut connection in connections.drain(..) {
        let next = Arc::clone(&next);
        running.push(tokio::spawn(async move {
            let mut rejected = 0_u64;
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= unknown {
                    return Ok::<_, anyhow::Error>((connection, rejected));
                }
                let pod = cases::single(ABSENT.saturating_add(number), false)?;
                let review = hyper::body::Bytes::from(cases::review(&pod));
                connection.send(MUTATE, review.clone()).await?;
                let response = connection.send(VALIDATE, review).await?;
                let text = std::str::from_utf8(&response)?;
                rejected += u64::from(text.contains(r#""allowed":false"#));
            }
        }));
    }
    let mut most = before;
    while running.iter().any(|running| !running.is_finished()) {
        most = most.max(side.memory()?);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut rejected = 0;
    for running in running {
        let (connection, count) = running.await??;
        connections.push(connection);
        rejected += count;
    }
    ensure!(connections.len() == CONNECTIONS, "a connection is lost");
    Ok(Memory {
        started_with,
        before,
        most: most.max(side.memory()?),
        after: side.memory()?,
        unknown,
        rejected,
    })
}
