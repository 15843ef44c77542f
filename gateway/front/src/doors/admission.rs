//! Who a connection belongs to, and whether it may stay: from its first byte to CONNACK.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::DoorId;
use rustls::CertificateError;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::backlog::Backlog;
use super::codec;
use super::config::Config;
use super::context::FrontContext;
use super::framing::{self, Cut};
use super::limits::Bucket;
use super::outbox::Intake;
use super::packet::{Connect, Packet, Version};
use super::pending::PendingSlot;
use super::publish::TOPIC_ALIAS_MAX;
use super::reason::{Reason, Refusal};
use super::registry::Presence;
use super::reply::{self, Welcome};
use super::rights::{believed, check_rights, last_will};
use super::scans::PendingScans;
use super::session::{DoorSession, HelperSession, LastWill, MonitorSession, Session, SessionRole};
use super::stored_sessions::StoredSession;
use super::wire::{Stream, Wire};
use crate::monitors::{ConnectError, MonitorConnection};
use base::identity::{Identity, Role};

/// Enough of a CONNECT to tell its version.
const CONNECT_HEAD_BYTES: usize = 16;

/// Time between two looks at the clock: it may be set right while a session lives, which then ends with its certificate all the
/// same.
const CLOCK_LOOK_INTERVAL: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });

/// How a connection proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// By its certificate.
    Certificate,
    /// Not at all: its client id is believed.
    None,
}

/// A connection that has sent its CONNECT.
struct Caller {
    wire: Wire,
    version: Version,
    connect: Box<Connect>,
    /// By its certificate.
    identity: Option<Result<Identity, ()>>,
    /// Under which its certificate was judged.
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl Caller {
    /// Largest packet that it takes, in bytes.
    fn packet_bytes_max(&self) -> usize {
        usize::try_from(self.connect.packet_bytes_max).unwrap_or(usize::MAX)
    }
}

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
        listened = listen(&context, socket, proof, deadline) => listened,
    };
    let mut caller = listened?;
    drop(slot);
    let admitted = judge(&context, &mut caller).await;
    let greeted = admitted.and_then(|admitted| Ok((greet(&context, &mut caller, &admitted)?, admitted)));
    match greeted {
        Ok((greeting, admitted)) => Some(session(&context, caller, greeting, admitted)),
        Err((reason, counted_as)) => {
            context.metrics.refuse_connection(counted_as);
            tracing::debug!(%address, reason = reason.0, counted_as, "connection refused");
            if caller.packet_bytes_max() >= reply::REFUSAL_BYTES {
                reply::refusal(&mut caller.wire.out, caller.version, reason);
            }
            caller.wire.close().await;
            None
        }
    }
}

/// Hears a connection up to its CONNECT.
async fn listen(context: &Arc<FrontContext>, socket: TcpStream, proof: Proof, deadline: Instant) -> Option<Caller> {
    let (stream, identity, tls) = match proof {
        Proof::None => (Stream::Plain(socket), None, None),
        Proof::Certificate => {
            let tls = context.tls.load_full();
            let accepting = TlsAcceptor::from(Arc::clone(&tls)).accept(socket).into_fallible();
            let stream = match timeout_at(deadline, accepting).await {
                Ok(Ok(stream)) => stream,
                Ok(Err((error, socket))) => {
                    context.metrics.fail_tls(tls_failure(&error));
                    // The alert says what is wrong with a certificate: a reset must not overtake it.
                    Box::pin(Wire::new(Stream::Plain(socket), context.config.write_timeout()).close()).await;
                    return None;
                }
                Err(_) => {
                    context.metrics.fail_tls("timeout");
                    return None;
                }
            };
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let identity = certificate.and_then(|certificate| Identity::of(&context.site, certificate).ok());
            (Stream::Tls(Box::new(stream)), Some(identity.ok_or(())), Some(tls))
        }
    };
    let mut wire = Wire::new(stream, context.config.write_timeout());
    match timeout_at(deadline, first_packet(context, &mut wire)).await {
        Ok(Ok((version, connect))) => Some(Caller { wire, version, connect, identity, tls }),
        Ok(Err(counted_as)) => {
            context.metrics.refuse_connection(counted_as);
            Box::pin(wire.close()).await;
            None
        }
        Err(_) => {
            context.metrics.refuse_connection("connect_timeout");
            None
        }
    }
}

/// Reads CONNECT, or says what came instead. What is to be answered to that is in the wire already.
async fn first_packet(context: &Arc<FrontContext>, wire: &mut Wire) -> Result<(Version, Box<Connect>), &'static str> {
    let frame = loop {
        match framing::peek(&wire.input, context.config.packet_bytes_max) {
            Ok(Cut::Whole(frame)) => break frame,
            Ok(Cut::TooLarge(frame)) => match codec::version(&wire.input, frame) {
                Some(version) => {
                    reply::refusal(&mut wire.out, version.unwrap_or_else(|version| version), Reason::PACKET_TOO_LARGE);
                    return Err("packet_too_large");
                }
                None if wire.input.len() > CONNECT_HEAD_BYTES => return Err("not_mqtt"),
                None => {}
            },
            Ok(Cut::Part) => {}
            Err(_) => return Err("not_mqtt"),
        }
        if matches!(wire.read().await, Ok(0) | Err(_)) {
            return Err("no_connect");
        }
    };
    let version = match codec::version(&wire.input, frame) {
        Some(Ok(version)) => version,
        Some(Err(version)) => {
            reply::refusal(&mut wire.out, version, Reason::UNSUPPORTED_VERSION);
            return Err("protocol_version");
        }
        None => return Err("no_connect"),
    };
    let packet = frame.take(&mut wire.input).freeze();
    match codec::decode(version, frame, &packet) {
        Ok(Packet::Connect(connect)) => Ok((version, connect)),
        Ok(_) => Err("no_connect"),
        Err(reason) => {
            context.metrics.packets_malformed.inc();
            reply::refusal(&mut wire.out, version, reason);
            Err("malformed")
        }
    }
}

/// A caller that is let in.
struct Admitted {
    presence: Presence,
    role: AdmittedRole,
}

enum AdmittedRole {
    Door(DoorId, Option<Box<LastWill>>),
    /// A helper's device is one that may also speak.
    Monitor(Box<MonitorConnection>, Option<DoorId>),
}

/// Judges a caller, and makes it the one connection of its client.
async fn judge(context: &Arc<FrontContext>, caller: &mut Caller) -> Result<Admitted, Refusal> {
    let Caller { version, connect, identity, tls, .. } = caller;
    if connect.wants_authentication {
        return Err((Reason::BAD_AUTHENTICATION_METHOD, "authentication_method"));
    }
    let identity = match identity.take() {
        Some(identity) => identity.map_err(|()| (Reason::NOT_AUTHORIZED, "certificate"))?,
        None => believed(&connect.client_id)?,
    };
    check_rights(context, &identity, connect)?;
    let will = connect.will.take();
    let role = match &identity.role {
        Role::Door(door) => {
            let will = will.map(|will| last_will(context, door, will)).transpose()?;
            AdmittedRole::Door(door.clone(), will)
        }
        Role::Monitor(_) | Role::Helper(_) if will.is_some() => return Err((Reason::NOT_AUTHORIZED, "will")),
        Role::Monitor(name) | Role::Helper(name) => {
            let connection = context.monitors.connect().map_err(|error| match error {
                ConnectError::Full { .. } => (Reason::SERVER_BUSY, "monitors_max"),
                ConnectError::Stopped(_) => (Reason::SERVER_UNAVAILABLE, "monitors_stopped"),
            })?;
            let helper = matches!(identity.role, Role::Helper(_)).then(|| name.clone());
            AdmittedRole::Monitor(Box::new(connection), helper)
        }
        Role::Gateway => return Err((Reason::NOT_AUTHORIZED, "role")),
    };
    let mqtt = if *version == Version::V5 { "5" } else { "3.1.1" };
    let presence = context.registry.join(identity, mqtt).await?;
    // A revocation may have come between the handshake and the join: it has not seen this connection, and the handshake has
    // not seen it. The client may try again.
    if tls.as_ref().is_some_and(|tls| !Arc::ptr_eq(tls, &context.tls.load())) {
        return Err((Reason::SERVER_UNAVAILABLE, "tls_reloaded"));
    }
    Ok(Admitted { presence, role })
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

fn tls_failure(error: &io::Error) -> &'static str {
    use rustls::Error as Tls;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>()) {
        Some(Tls::NoCertificatesPresented) => "no_certificate",
        Some(Tls::InvalidCertificate(error)) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
            // The reader's certificate or one of the two clocks is wrong.
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not_yet_valid",
            CertificateError::Revoked => "revoked",
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmContext { .. } => "unknown_ca",
            _ => "bad_certificate",
        },
        _ => "other",
    }
}
