//! The `bailiff` binary: components for the cluster and commands for people.
//!
//! Here: the subcommands and what they share: logs, signals, exit codes. Not here: their flags (`args`)
//! and their work (`controller`, `sensor`, `renderer`, `webhook`, `cli`), and what the process does that reads layers
//! of images (`image`).
//! Invariant: exit code 0 is success, 1 an error that was reported, 2 an invalid command line. Commands that
//! judge images or packages add 3 and 4 (`bailiff_cli::Outcome`, `bailiff_cli::scan::ScanOutcome`).

mod args;
mod log;

use anyhow::Context as _;
use args::{Bailiff, Command, ControllerArgs, RendererArgs, SensorArgs, WebhookArgs};
use bailiff_cli::incidents::Terminal;
use clap::{CommandFactory as _, Parser as _};
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    // Before anything else: this process enters a sandbox, which needs it to have one thread and nothing open.
    if bailiff_image::child::is_requested(std::env::args_os()) {
        return bailiff_image::child::run(bailiff_image::reading::Readers::default());
    }
    // As the kubectl plugin `kubectl-bailiff`, help texts have to say `kubectl bailiff`.
    let plugin = std::env::args_os()
        .next()
        .is_some_and(|name| name.to_string_lossy().ends_with("kubectl-bailiff"));
    let bailiff = if plugin {
        let command = Bailiff::command().bin_name("kubectl bailiff");
        match <Bailiff as clap::FromArgMatches>::from_arg_matches(&command.get_matches()) {
            Ok(bailiff) => bailiff,
            Err(error) => error.exit(),
        }
    } else {
        Bailiff::parse()
    };
    match run(bailiff.command) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed too, the error cannot be reported.
            drop(writeln!(std::io::stderr(), "bailiff: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// `bailiff incidents | head` succeeds.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match command {
        Command::Version(args) => {
            bailiff_cli::version::run(&args, args::VERSION, args::COMMIT, &mut out)?;
        }
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Bailiff::command(), "bailiff", &mut out);
        }
        Command::Incidents(args) => {
            let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
            let color = args.color.is_on(out.is_terminal(), no_color);
            let to = Terminal {
                out: &mut out,
                err: &mut std::io::stderr(),
                color,
            };
            runtime()?.block_on(bailiff_cli::incidents::run(&args, to))?;
        }
        Command::Check(args) => {
            let (mut input, mut err) = (std::io::stdin().lock(), std::io::stderr());
            let check = bailiff_cli::check::run(&args, &mut input, &mut out, &mut err);
            return Ok(runtime()?.block_on(check)?.exit_code().into());
        }
        Command::Images(args) => {
            let (mut input, mut err) = (std::io::stdin().lock(), std::io::stderr());
            let images = bailiff_cli::images::run(&args, &mut input, &mut out, &mut err);
            return Ok(runtime()?.block_on(images)?.exit_code().into());
        }
        Command::Eval(args) => {
            let mut input = std::io::stdin().lock();
            if !bailiff_cli::eval::run(&args, &mut input, &mut out)? {
                out.flush()?;
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Feed(args) => {
            let mut err = std::io::stderr();
            runtime()?.block_on(bailiff_cli::feed::run(&args, &mut out, &mut err))?;
        }
        Command::Observe(args) => {
            bailiff_cli::observe::run(&args, &mut out, &mut std::io::stderr())?;
        }
        Command::Preview(args) => {
            let mut err = std::io::stderr();
            runtime()?.block_on(bailiff_cli::preview::run(&args, &mut out, &mut err))?;
        }
        Command::Scan(args) => {
            let (mut input, mut err) = (std::io::stdin().lock(), std::io::stderr());
            let scan = bailiff_cli::scan::run(&args, &mut input, &mut out, &mut err);
            return Ok(scan?.exit_code().into());
        }
        Command::Status(args) => {
            runtime()?.block_on(bailiff_cli::status::run(&args, &mut out))?;
        }
        Command::Controller(args) => {
            drop(out);
            controller(args)?;
        }
        Command::Renderer(args) => {
            drop(out);
            renderer(args)?;
        }
        Command::Webhook(args) => {
            drop(out);
            webhook(args)?;
        }
        Command::Sensor(args) => {
            drop(out);
            sensor(args)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn controller(args: ControllerArgs) -> anyhow::Result<()> {
    args.component.log.start();
    component(async |shutdown| {
        let config = args.config()?;
        let clients = bailiff_controller::Clients::in_cluster()?;
        Ok(bailiff_controller::run(config, clients, shutdown).await?)
    })
}

fn renderer(args: RendererArgs) -> anyhow::Result<()> {
    args.component.log.start();
    component(async |shutdown| {
        let client = bailiff_kube::client::in_cluster()?;
        Ok(bailiff_renderer::run(args.config(), client, shutdown).await?)
    })
}

fn webhook(args: WebhookArgs) -> anyhow::Result<()> {
    args.component.log.start();
    component(async |shutdown| {
        let client = bailiff_kube::client::in_cluster()?;
        let (config, edges) = args.config()?;
        let edges = bailiff_webhook::Edges::new(client.clone(), edges)?;
        let webhook = bailiff_webhook::run(config, client, edges, shutdown);
        Ok(Box::pin(webhook).await?)
    })
}

fn sensor(args: SensorArgs) -> anyhow::Result<()> {
    args.component.log.start();
    component(async |shutdown| {
        let client = bailiff_kube::client::in_cluster()?;
        Ok(Box::pin(bailiff_sensor::run(args.config(), client, shutdown)).await?)
    })
}

/// Runs a component of the cluster until a signal stops it.
fn component(run: impl AsyncFnOnce(CancellationToken) -> anyhow::Result<()>) -> anyhow::Result<()> {
    runtime()?.block_on(async { run(on_signal()?).await })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// A token that SIGTERM (from the kubelet) or SIGINT cancels.
fn on_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("Received a signal to stop");
        cancel.cancel();
    });
    Ok(token)
}
