//! `gapura run`: the gateway with this process's signals.

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::output::print_line;
use crate::app::{self, Addresses, Signals};
use crate::config::Config;
use crate::descriptors;
use base::clock::Clock;

/// Runs the gateway until it is told to stop.
pub(super) fn run(mut config: Config, clock: Clock) -> Result<()> {
    for variable in config.ignored_variables() {
        tracing::warn!(variable, "is no setting, which have the form GAPURA_{{SECTION}}__{{FIELD}}: passed over");
    }
    if let Some(lowered) = descriptors::fit(&mut config, raise_open_files_limit()) {
        tracing::warn!("{lowered}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let signals = signals()?;
        app::run(config, clock, signals, announce).await
    })
}

/// SIGTERM and SIGINT stop, SIGHUP reloads.
fn signals() -> Result<Signals> {
    let (stop, stopped) = watch::channel(false);
    let (reload, reloads) = watch::channel(0);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hang_up = signal(SignalKind::hangup())?;
    // With a handler, a file that reaches its size limit is a failed commit instead of the end of the process.
    let file_size = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
    tokio::spawn(async move {
        let _file_size = file_size;
        loop {
            tokio::select! {
                _ = terminate.recv() => stop.send_replace(true),
                _ = interrupt.recv() => stop.send_replace(true),
                _ = hang_up.recv() => { reload.send_modify(|times| *times += 1); false }
            };
        }
    });
    Ok(Signals { stop: stopped, reload: reloads })
}

fn announce(addresses: Addresses) {
    #[derive(serde::Serialize)]
    struct Listening {
        event: &'static str,
        #[serde(flatten)]
        addresses: Addresses,
    }
    let line = serde_json::to_string(&Listening { event: "listening", addresses }).unwrap_or_default();
    print_line(format_args!("{line}")).ok();
    sd_notify::notify(&[sd_notify::NotifyState::Ready]).ok();
    tracing::info!(mqtt = %addresses.mqtt, http = %addresses.http, "listening");
}

/// Every door is an open file. The limit that holds from now on.
fn raise_open_files_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
