//! Accepts connections and never waits for one: each is a task of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::{Channel, DoorTopic};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::admission;
use super::context::FrontContext;
use super::door_record::StatusMessage;
use super::handshake::Proof;
use super::pending::Pending;

/// Pause after an error of accepting, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often late wills and expired sessions are looked for.
const TICK: Duration = Duration::from_secs(1);

/// Serves doors and monitors until `shutdown` turns true (or its sender is dropped), then answers what is in flight and returns
/// when the last session has ended.
///
/// `plaintext` is for development: whoever reaches it is believed to be who its client id says.
pub async fn serve(
    context: FrontContext,
    tls_listener: TcpListener,
    plaintext: Option<TcpListener>,
    mut shutdown: watch::Receiver<bool>,
) {
    let context: Arc<FrontContext> = Arc::new(context);
    let config = &context.config;
    let metrics = context.metrics.clone();
    let pending = Pending::new(config.handshakes_max, config.handshakes_per_address_max, metrics);
    let room = Arc::new(Semaphore::new(config.connections_max.saturating_add(config.handshakes_max)));
    // Closed when every connection's task has dropped its end.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (accepted, proof) = tokio::select! {
            _ = shutdown.wait_for(|shutdown| *shutdown) => break,
            _ = tick.tick() => {
                publish_due_wills(&context);
                continue;
            }
            accepted = tls_listener.accept() => (accepted, Proof::Certificate),
            accepted = accept(plaintext.as_ref()) => (accepted, Proof::None),
        };
        match accepted {
            Ok((socket, address)) => match Arc::clone(&room).try_acquire_owned() {
                Ok(place) => spawn(&context, socket, address, proof, &pending, (alive.clone(), place)),
                // Also those that are being closed have a descriptor, and HTTP must keep its own.
                Err(_) => context.metrics.refuse_connection("connections_max"),
            },
            Err(error) => {
                context.metrics.accept_errors.inc();
                // A connection that was gone before it was accepted is no reason to keep others waiting.
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
                    tracing::warn!(%error, "no connection accepted; trying again");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop((tls_listener, plaintext, alive));
    context.registry.close();
    pending.clear();
    // Nothing is ever sent: the channel only closes.
    while all_gone.recv().await.is_some() {}
}

fn spawn(
    context: &Arc<FrontContext>,
    socket: TcpStream,
    address: SocketAddr,
    proof: Proof,
    pending: &Arc<Pending>,
    alive: (mpsc::Sender<()>, OwnedSemaphorePermit),
) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone before it was served");
        return;
    }
    let context = Arc::clone(context);
    // Here and not in the task, so that places are in the order of arrival.
    let slot = pending.enter(address.ip());
    // Boxed: a handshake needs far more room than a session, and gives it back.
    let admitted = Box::pin(admission::admit(context, socket, address.ip(), proof, slot));
    tokio::spawn(async move {
        if let Some(session) = admitted.await {
            session.run().await;
        }
        drop(alive);
    });
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

fn publish_due_wills(context: &Arc<FrontContext>) {
    for (door, StatusMessage { payload, options }) in context.registry.due_wills() {
        let topic = DoorTopic::new(context.site.clone(), door, Channel::Status);
        context.monitors.pass_on(&topic, payload, options);
    }
}
