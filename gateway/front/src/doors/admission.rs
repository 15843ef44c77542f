//! Whether a caller may stay, and what its session begins with: from its CONNECT to CONNACK.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::DoorId;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::backlog::Backlog;
use super::config::Config;
use super::context::FrontContext;
use super::handshake::{Caller, Proof, listen};
use super::limits::Bucket;
use super::outbox::Intake;
use super::packet::Version;
use super::pending::PendingSlot;
use super::publish::TOPIC_ALIAS_MAX;
use super::reason::{Reason, Refusal};
use super::registry::Presence;
use super::reply::{self, Welcome};
use super::rights::{believed, check_rights, last_will};
use super::scans::PendingScans;
use super::session::{DoorSession, HelperSession, LastWill, MonitorSession, Session, SessionRole};
use super::stored_sessions::StoredSession;
use crate::monitors::{ConnectError, MonitorConnection};
use base::identity::{Identity, Role};

/// Time between two looks at the clock: it may be set right while a session lives, which then ends with its certificate all the
/// same.
const CLOCK_LOOK_INTERVAL: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });

/// Leads a new connection to its session; `None` when it did not get that far.
pub(super) async fn admit(
    context: Arc<FrontContext>,
    socket: TcpStream,
    address: IpAddr,
    proof: Proof,
    mut slot: PendingSlot,
) -> Option<Box<Session>> {
    let deadline = Instant::now() + context.config.connect_timeout();
    let listened = tokio::select! {
        biased;
        () = slot.lost() => return None,
        listened = listen(&context, socket, address, proof, deadline) => listened,
    };
    let mut caller = listened?;
    drop(slot);
    let admitted = judge(&context, &mut caller).await;
    let greeted = admitted.and_then(|admitted| Ok((greet(&context, &mut caller, &admitted)?, admitted)));
    match greeted {
        Ok((greeting, admitted)) => Some(session(&context, caller, greeting, admitted)),
        Err((reason, counted_as)) => {
            context.refuse_connection(address, caller.name.take(), counted_as);
            if caller.packet_bytes_max() >= reply::REFUSAL_BYTES {
                reply::refusal(&mut caller.wire.out, caller.version, reason);
            }
            caller.wire.close().await;
            None
        }
    }
}

/// A caller that is let in.
struct Admitted {
    /// Before the presence, so that its place among the monitors is free before the next of the same client comes.
    role: AdmittedRole,
    presence: Presence,
}

/// What a caller may be.
enum JudgedRole {
    Door(DoorId, Option<Box<LastWill>>),
    /// A helper's device is one that may also speak.
    Monitor(Option<DoorId>),
}

enum AdmittedRole {
    Door(DoorId, Option<Box<LastWill>>),
    Monitor(Box<MonitorConnection>, Option<DoorId>),
}

/// Judges a caller, and makes it the one connection of its client.
async fn judge(context: &Arc<FrontContext>, caller: &mut Caller) -> Result<Admitted, Refusal> {
    let Caller { address, version, connect, identity, tls, .. } = caller;
    if connect.wants_authentication {
        return Err((Reason::BAD_AUTHENTICATION_METHOD, "authentication_method"));
    }
    let identity = match identity.take() {
        Some(identity) => identity.map_err(|reason| (Reason::NOT_AUTHORIZED, reason))?,
        None => believed(&connect.client_id)?,
    };
    check_rights(context, &identity, connect)?;
    let will = connect.will.take();
    let role = match &identity.role {
        Role::Door(door) => {
            let will = will.map(|will| last_will(context, door, will)).transpose()?;
            JudgedRole::Door(door.clone(), will)
        }
        Role::Monitor(_) | Role::Helper(_) if will.is_some() => return Err((Reason::NOT_AUTHORIZED, "will")),
        Role::Monitor(name) | Role::Helper(name) => {
            let helper = matches!(identity.role, Role::Helper(_)).then(|| name.clone());
            JudgedRole::Monitor(helper)
        }
        Role::Gateway => return Err((Reason::NOT_AUTHORIZED, "role")),
    };
    let mqtt = if *version == Version::V5 { "5" } else { "3.1.1" };
    let presence = context.registry.join(identity, mqtt, *address).await?;
    // A revocation may have come between the handshake and the join: it has not seen this connection, and the handshake has
    // not seen it. The client may try again.
    if tls.as_ref().is_some_and(|tls| !Arc::ptr_eq(tls, &context.tls.load())) {
        return Err((Reason::SERVER_UNAVAILABLE, "tls_reloaded"));
    }
    // A place among the monitors is taken after that of the one before is free: one client never has two.
    let role = match role {
        JudgedRole::Door(door, will) => AdmittedRole::Door(door, will),
        JudgedRole::Monitor(helper) => {
            let connection = context.monitors.connect().map_err(|error| match error {
                ConnectError::Full { .. } => (Reason::SERVER_BUSY, "monitors_max"),
                ConnectError::Stopped(_) => (Reason::SERVER_UNAVAILABLE, "monitors_stopped"),
            })?;
            AdmittedRole::Monitor(Box::new(connection), helper)
        }
    };
    Ok(Admitted { role, presence })
}

/// What a caller that is let in is told, or finds again.
struct Greeting {
    stored: Option<StoredSession>,
    session_expiry_s: u32,
    keep_alive_s: u16,
    /// What the door's topics start with; empty for a monitor.
    prefix: String,
}

/// Puts CONNACK on the wire of a caller that is let in.
fn greet(
    context: &Arc<FrontContext>,
    caller: &mut Caller,
    Admitted { presence, role }: &Admitted,
) -> Result<Greeting, Refusal> {
    let bytes_max = caller.packet_bytes_max();
    let Caller { wire, version, connect, .. } = caller;
    let (config, version) = (&context.config, *version);
    let (stored, session_expiry_s, prefix) = match role {
        AdmittedRole::Door(door, _) => (
            context.registry.take_stored(door).filter(|_| !connect.clean),
            connect.session_expiry_s.unwrap_or(u32::MAX).min(config.session_expiry_s_max),
            protocol::topic::door_prefix(&context.site, door),
        ),
        AdmittedRole::Monitor(..) => (None, 0, String::new()),
    };
    let keep_alive_s = match connect.keep_alive_s {
        0 => config.keep_alive_s_max,
        // A 3.1.1 client cannot be told of another one.
        asked if version == Version::V311 => asked,
        asked => asked.min(config.keep_alive_s_max),
    };
    let welcome = Welcome {
        session_present: stored.is_some(),
        session_expiry_s: (connect.session_expiry_s != Some(session_expiry_s)).then_some(session_expiry_s),
        receive_max: config.in_flight_max,
        packet_bytes_max: u32::try_from(config.packet_bytes_max).unwrap_or(u32::MAX),
        topic_alias_max: TOPIC_ALIAS_MAX,
        client_id: presence.client.identity.role.client_id().filter(|_| connect.client_id.is_empty()),
        keep_alive_s: (keep_alive_s != connect.keep_alive_s).then_some(keep_alive_s),
        response_information: Some(&*prefix).filter(|prefix| connect.wants_response_information && !prefix.is_empty()),
    };
    if !reply::welcome(&mut wire.out, version, &welcome, bytes_max) {
        return Err((Reason::PACKET_TOO_LARGE, "packet_bytes_max"));
    }
    Ok(Greeting { stored, session_expiry_s, keep_alive_s, prefix })
}

/// Makes the session of a caller that was greeted.
fn session(
    context: &Arc<FrontContext>,
    caller: Caller,
    greeting: Greeting,
    Admitted { presence, role }: Admitted,
) -> Box<Session> {
    let packet_bytes_max = caller.packet_bytes_max();
    let Caller { wire, version, connect, .. } = caller;
    let Greeting { stored, session_expiry_s, keep_alive_s, prefix } = greeting;
    let config = &context.config;
    let now = Instant::now();
    let settings_version =
        stored.as_ref().map_or_else(|| context.registry.settings_version(), |stored| stored.settings_version);
    let (subscriptions, outbox, received) =
        stored.map(|stored| (stored.subscriptions, stored.outbox, stored.received)).unwrap_or_default();
    let role = session_role(config, role, received, settings_version, now);
    let silence_max = Duration::from_millis(u64::from(keep_alive_s) * 1500);
    Box::new(Session {
        context: Arc::clone(context),
        wire,
        intake: Intake {
            version,
            prefix: prefix.into(),
            receive_max: usize::from(connect.receive_max.min(config.in_flight_max)),
            packet_bytes_max,
        },
        expires_at: now + expires_in(context, &presence.client.identity),
        presence,
        role,
        subscriptions,
        outbox,
        aliases: Vec::new(),
        skipped: None,
        silence_max,
        session_expiry_s,
        last_packet: now,
        paused_until: None,
        blocked: false,
        stopping: None,
        timer: Box::pin(tokio::time::sleep_until(now + silence_max)),
    })
}

/// What a door or a monitor that is let in begins with.
fn session_role(
    config: &Config,
    role: AdmittedRole,
    received: Vec<u16>,
    settings_version: u64,
    now: Instant,
) -> SessionRole {
    let scans = || PendingScans::new(usize::from(config.in_flight_max));
    match role {
        AdmittedRole::Door(door, will) => {
            let scans = scans();
            let backlog = Backlog::new(now);
            SessionRole::Door(DoorSession {
                door,
                scans,
                received,
                clock_offset_ms: None,
                backlog,
                settings_version,
                will,
            })
        }
        AdmittedRole::Monitor(connection, helper) => {
            let bucket = Mutex::new(Bucket::new(now));
            let helper = helper.map(|name| HelperSession { name, scans: scans() });
            let (connection, retained) = (*connection, Vec::new());
            SessionRole::Monitor(Box::new(MonitorSession { connection, bucket, retained, missed: 0, helper }))
        }
    }
}

/// How long a certificate is still valid; longer than [`CLOCK_LOOK_INTERVAL`] is not told.
pub(super) fn expires_in(context: &Arc<FrontContext>, identity: &Identity) -> Duration {
    let left_ms = identity.not_after.ms_since(context.clock.now());
    Duration::from_millis(u64::try_from(left_ms).unwrap_or(0)).min(CLOCK_LOOK_INTERVAL)
}
