//! A reader's task: keeps its connection, and hands its hand what happens and when it is time.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{ConnectionError, Event, EventLoop, Outgoing};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::connection::error_kind;
use super::reader_session::ReaderSession;
use super::shared::Shared;

/// Where a fleet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Readers connect.
    Connecting,
    /// They scan; once they have nothing left to do, they stay connected.
    Scanning,
    /// They say goodbye.
    Leaving,
}

/// What a reader's task hears of.
enum Next {
    Event(Result<Event, ConnectionError>),
    Cut,
    Leave,
}

const GOODBYE: Duration = Duration::from_secs(2);

/// Plays one reader until the fleet leaves. Only so many connect at a time as `gate` lets through.
pub(super) async fn play(
    shared: Arc<Shared>,
    mut hand: ReaderSession,
    mut link: EventLoop,
    mut phase: watch::Receiver<Phase>,
    gate: Arc<Semaphore>,
) {
    let mut permit = tokio::select! {
        permit = gate.acquire_owned() => permit.ok(),
        () = leaving(&mut phase) => return,
    };
    let mut timer = std::pin::pin!(sleep(Duration::ZERO));
    let mut failures = 0;
    loop {
        hand.work();
        match next(&shared, &mut hand, &mut link, &mut phase, timer.as_mut()).await {
            Next::Event(Ok(event)) => {
                if hand.event(&event) {
                    // It would wait for ever for an id of a session that is no more.
                    link.state.collision = None;
                }
                permit = None;
                failures = 0;
            }
            Next::Event(Err(error)) => {
                settle_events(&mut hand, &mut link);
                hand.disconnected();
                hand.failed(error_kind(&error), || error.to_string());
                permit = None;
                failures += 1;
                tokio::select! {
                    () = sleep(Duration::from_millis(hand.pause_ms(failures))) => {}
                    () = leaving(&mut phase) => break,
                }
            }
            Next::Cut => {
                settle_events(&mut hand, &mut link);
                link.clean();
                hand.disconnected();
            }
            Next::Leave => break,
        }
    }
    drop(permit);
    hand.leave();
    // Whether the goodbye is heard is the other side's business.
    timeout(GOODBYE, goodbye(&mut link)).await.unwrap_or_default();
}

/// Waits for whatever comes first. `poll` is never dropped half-way, except to cut the connection: it is not
/// cancel-safe, a packet that waits for room on the socket would be lost.
async fn next(
    shared: &Shared,
    hand: &mut ReaderSession,
    link: &mut EventLoop,
    phase: &mut watch::Receiver<Phase>,
    mut timer: Pin<&mut Sleep>,
) -> Next {
    let mut poll = std::pin::pin!(link.poll());
    loop {
        let wake = hand.wake_us().and_then(|us| shared.instant(us)).map(Instant::from_std);
        if let Some(wake) = wake.filter(|wake| timer.deadline() != *wake) {
            timer.as_mut().reset(wake);
        }
        tokio::select! {
            biased;
            event = &mut poll => return Next::Event(event),
            () = timer.as_mut(), if wake.is_some() => {
                if hand.wants_cut() {
                    return Next::Cut;
                }
                hand.work();
            }
            changed = phase.changed() => {
                if changed.is_err() || *phase.borrow_and_update() == Phase::Leaving {
                    return Next::Leave;
                }
                hand.work();
            }
        }
    }
}

/// Hands over what the client had to tell before it lost its connection: it would tell it after the next one.
fn settle_events(hand: &mut ReaderSession, link: &mut EventLoop) {
    for event in link.state.events.drain(..) {
        hand.event(&event);
    }
}

async fn leaving(phase: &mut watch::Receiver<Phase>) {
    // A fleet that is gone has left, too.
    while *phase.borrow_and_update() != Phase::Leaving && phase.changed().await.is_ok() {}
}

async fn goodbye(link: &mut EventLoop) {
    while let Ok(event) = link.poll().await {
        if event == Event::Outgoing(Outgoing::Disconnect) {
            return;
        }
    }
}
