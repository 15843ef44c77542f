//! Stands in for the head office: takes batches over mutual TLS, keeps a ledger, and does wrong what it is told to.
//!
//! The answer to a batch is the number up to which every event of that gateway, from the first that ever arrived, is in
//! the ledger or was refused for good. A gateway that skips an event is therefore never told that a later one is safe.
//! Working days are taken as well, and counted apart.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::listener::{MutualTlsListener, Peer};
use self::receive::Desk;

pub use self::days::DaysSummary;
pub use self::fault::{Fault, Faults};
pub use self::ledger::{Entries, Entry, Ledger, LedgerSummary, SourceSummary, entries};

mod listener;

mod receive;

mod batch;
mod days;
mod fault;

mod ledger;

#[cfg(test)]
mod tests;

/// How long [`Upstream::stop`] waits for requests that are under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How a receiver is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 for any that is free.
    pub listen: SocketAddr,
    /// PEM file with its certificate, and the chain.
    pub certificate: PathBuf,
    /// PEM file with that certificate's key.
    pub key: PathBuf,
    /// PEM file with the CA that clients must have their certificates from.
    pub client_ca: PathBuf,
    /// Where the ledger is continued or begun; in memory only without it.
    pub ledger: Option<PathBuf>,
    /// Whether a batch is on disk before it is answered, and not only in the hands of the operating system.
    pub sync: bool,
    /// What goes wrong.
    pub faults: Faults,
    /// What chance is made of: the same seed strikes the same batches.
    pub seed: u64,
}

/// Arguments of `gapura-sim upstream`.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Address to listen on; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// PEM file with the server's certificate and its chain
    #[arg(long, value_name = "FILE")]
    pub certificate: PathBuf,
    /// PEM file with that certificate's key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// PEM file with the CA that clients must have their certificates from
    #[arg(long, value_name = "FILE")]
    pub client_ca: PathBuf,
    /// File to which every event that arrives adds a line; in memory only without it
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Sync the ledger to disk before each answer
    #[arg(long)]
    pub sync: bool,
    /// What goes wrong: none, or a list of 400 to 599, slow:MS, cut, lost-answer, refuse:EVENT, each with a probability
    /// such as 503@0.2 if it is not certain
    #[arg(long, value_name = "FAULTS", default_value = "none")]
    pub fault: Faults,
    /// Seed of the faults' chance
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// A receiver that runs.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    desk: Arc<Desk>,
    stop: watch::Sender<bool>,
    task: JoinHandle<std::io::Result<()>>,
}

/// Runs `gapura-sim upstream` until SIGINT or SIGTERM: prints where it listens as one line of JSON,
/// `{"event":"listening","address":"127.0.0.1:1234"}`, and at the end the [`LedgerSummary`] as another.
///
/// # Errors
/// When a file cannot be read or the address cannot be listened on.
pub async fn run(arguments: Arguments) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let upstream = start(arguments.into()).await?;
    println!("{}", serde_json::json!({ "event": "listening", "address": upstream.address() }));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    println!("{}", serde_json::to_string(&upstream.stop().await)?);
    Ok(())
}

/// Starts a receiver.
///
/// # Errors
/// When a file cannot be read, is not what it should be, or the address cannot be listened on.
pub async fn start(options: Options) -> Result<Upstream> {
    let tls = listener::tls(&options.certificate, &options.key, &options.client_ca)?;
    let (path, sync) = (options.ledger, options.sync);
    let ledger = tokio::task::spawn_blocking(move || Ledger::open(path.as_deref(), sync));
    let ledger = ledger.await.context("reading the ledger")??;
    let listener = MutualTlsListener::bind(options.listen, tls).await?;
    let address = listener.address();
    let desk = Arc::new(Desk::new(ledger, options.faults, options.seed));
    let stop = watch::Sender::new(false);
    let mut stopping = stop.subscribe();
    let service = receive::routes(Arc::clone(&desk)).into_make_service_with_connect_info::<Peer>();
    let serve = axum::serve(listener, service).with_graceful_shutdown(async move {
        // A receiver that is dropped without being stopped ends as well.
        drop(stopping.wait_for(|stop| *stop).await);
    });
    Ok(Upstream { address, desk, stop, task: tokio::spawn(serve.into_future()) })
}

impl Upstream {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what goes wrong, from the next batch on.
    pub fn set_fault(&self, faults: Faults) {
        self.desk.set_faults(faults);
    }

    /// What has arrived so far.
    pub fn summary(&self) -> LedgerSummary {
        self.desk.summary()
    }

    /// Answers what is under way, as far as that takes no longer than some seconds, and stops.
    pub async fn stop(mut self) -> LedgerSummary {
        self.stop.send_replace(true);
        if tokio::time::timeout(STOP_TIMEOUT, &mut self.task).await.is_err() {
            self.task.abort();
        }
        self.desk.summary()
    }
}

impl From<Arguments> for Options {
    fn from(arguments: Arguments) -> Self {
        let Arguments { listen, certificate, key, client_ca, ledger, sync, fault, seed } = arguments;
        Self { listen, certificate, key, client_ca, ledger, sync, faults: fault, seed }
    }
}
