//! A reader's connection: how its MQTT client is set up, and the words for what goes wrong with it.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use protocol::{Channel, DoorId, DoorState, DoorStatus, DoorTopic, SiteId};
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, EventLoop, LastWill, MqttOptions, NetworkOptions, QoS, StateError,
    TlsConfiguration, Transport,
};

/// Packets that a reader has in flight at most, as a multiple of its scans in flight: repetitions come on top of those.
pub(super) const PACKETS_PER_SCAN: u16 = 4;

const KEEP_ALIVE: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT_S: u64 = 15;

/// The topics that a reader uses.
#[derive(Debug)]
pub(super) struct Topics {
    pub(super) scan: String,
    pub(super) status: String,
    /// What it listens to.
    pub(super) answers: Vec<String>,
}

impl Topics {
    /// Topics of `door`. From a plain broker that only relays, a reader hears its own scans.
    pub(super) fn new(site: &SiteId, door: &DoorId, relay: bool) -> Self {
        let topic = |channel| DoorTopic::new(site.clone(), door.clone(), channel).to_string();
        let answers =
            if relay { vec![topic(Channel::Scan)] } else { vec![topic(Channel::Decision), topic(Channel::Config)] };
        Self { scan: topic(Channel::Scan), status: topic(Channel::Status), answers }
    }
}

/// The client of one reader: a persistent session, and a last will that says that the door is offline.
pub(super) fn client(
    (host, port): (&str, u16),
    door: &DoorId,
    topics: &Topics,
    tls: Option<rustls::ClientConfig>,
    in_flight: u16,
) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(door.as_str(), host, port);
    options.set_keep_alive(KEEP_ALIVE).set_clean_session(false);
    let will = DoorStatus::new(DoorState::Offline, None).to_json();
    options.set_last_will(LastWill::new(&topics.status, will, QoS::AtLeastOnce, true));
    // Twice as many ids as packets ever are in flight, so that an id is free again when its turn comes.
    let packets = in_flight.saturating_mul(PACKETS_PER_SCAN).saturating_add(4);
    options.set_inflight(packets.saturating_mul(2));
    if let Some(tls) = tls {
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))));
    }
    let (client, mut link) = AsyncClient::new(options, usize::from(packets) + 4);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(CONNECT_TIMEOUT_S);
    link.set_network_options(network);
    (client, link)
}

/// A stable word for what went wrong with a connection.
pub(super) fn error_kind(error: &ConnectionError) -> &'static str {
    let io = |kind| match kind {
        ErrorKind::ConnectionRefused => "connection refused",
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => "connection reset",
        ErrorKind::UnexpectedEof => "connection closed",
        ErrorKind::InvalidData => "tls",
        _ => "network",
    };
    match error {
        ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error)) => io(error.kind()),
        ConnectionError::Tls(_) => "tls",
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => "timeout",
        ConnectionError::MqttState(StateError::ConnectionAborted) => "connection closed",
        ConnectionError::MqttState(StateError::AwaitPingResp | StateError::CollisionTimeout) => "no answer",
        ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized) => "not authorized",
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadClientId) => "client id refused",
        ConnectionError::ConnectionRefused(ConnectReturnCode::ServiceUnavailable) => "server unavailable",
        ConnectionError::ConnectionRefused(_) => "refused",
        _ => "protocol",
    }
}
