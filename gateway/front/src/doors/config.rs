//! What an operator may set of the front: section `[mqtt]` of the configuration.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

/// Section `[mqtt]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where doors and monitors connect with TLS.
    pub listen: SocketAddr,
    /// Where they connect without TLS, for development; loopback only, absent for none.
    pub plaintext_listen: Option<SocketAddr>,
    /// Time for the TLS handshake and the CONNECT packet together, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Connected clients; more are refused.
    pub connections_max: usize,
    /// Connections that have not sent CONNECT yet; one more drops the oldest.
    pub handshakes_max: usize,
    /// The same for one address (IPv6: one /64 network).
    pub handshakes_per_address_max: usize,
    /// Largest packet that a client may send, in bytes.
    pub packet_bytes_max: usize,
    /// Keep-alive of clients that ask for none, and the most that an MQTT 5 client gets, in seconds.
    pub keep_alive_s_max: u16,
    /// Time for one write to a client, in milliseconds; a client that reads slower is disconnected.
    pub write_timeout_ms: u64,
    /// Unanswered scans of one door, and unacknowledged messages to one client. The MQTT 5 receive maximum.
    pub in_flight_max: u16,
    /// Packets (other than acknowledgements) a second of one client, on average; beyond, its socket is not read.
    pub scans_per_second_max: u32,
    /// Packets of one client at once.
    pub scans_burst_max: u32,
    /// Subscriptions of one client.
    pub subscriptions_max: usize,
    /// Messages that wait for a slow or absent client; beyond, the oldest is dropped.
    pub outbox_messages_max: usize,
    /// How long the session of an absent door is kept at most, in seconds.
    pub session_expiry_s_max: u32,
    /// Sessions of absent doors that are kept; beyond, the one that expires first is forgotten.
    pub sessions_kept_max: usize,
    /// Time after which a door is told `unavailable` when its scan has no answer, in milliseconds.
    pub answer_timeout_ms: u64,
    /// How long a new connection waits for the old one of the same client to end, in milliseconds.
    pub takeover_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8883)),
            plaintext_listen: None,
            connect_timeout_ms: 10_000,
            connections_max: 12_000,
            handshakes_max: 8192,
            handshakes_per_address_max: 1024,
            packet_bytes_max: 8192,
            keep_alive_s_max: 300,
            write_timeout_ms: 5_000,
            in_flight_max: 64,
            scans_per_second_max: 200,
            scans_burst_max: 400,
            subscriptions_max: 16,
            outbox_messages_max: 256,
            session_expiry_s_max: 3600,
            sessions_kept_max: 12_000,
            answer_timeout_ms: 2_000,
            takeover_timeout_ms: 2_000,
        }
    }
}

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// Names the first field that is out of its range, and the range.
    pub fn validate(&self) -> Result<(), String> {
        if let Some(address) = self.plaintext_listen
            && !address.ip().is_loopback()
        {
            return Err(format!("plaintext_listen is {address}: only a loopback address may be served without TLS"));
        }
        within("connect_timeout_ms", self.connect_timeout_ms, 100..=120_000)?;
        within("connections_max", self.connections_max, 1..=100_000)?;
        within("handshakes_max", self.handshakes_max, 1..=100_000)?;
        within("handshakes_per_address_max", self.handshakes_per_address_max, 1..=self.handshakes_max)?;
        // A scan with the longest credential must fit, with its topic and properties.
        within("packet_bytes_max", self.packet_bytes_max, protocol::PAYLOAD_BYTES_MAX + 512..=1 << 20)?;
        within("keep_alive_s_max", self.keep_alive_s_max, 5..=43_200)?;
        within("write_timeout_ms", self.write_timeout_ms, 100..=60_000)?;
        within("in_flight_max", self.in_flight_max, 1..=1024)?;
        within("scans_per_second_max", self.scans_per_second_max, 1..=1_000_000)?;
        within("scans_burst_max", self.scans_burst_max, 1..=1_000_000)?;
        within("subscriptions_max", self.subscriptions_max, 1..=1000)?;
        within("outbox_messages_max", self.outbox_messages_max, 1..=10_000)?;
        within("session_expiry_s_max", self.session_expiry_s_max, 0..=604_800)?;
        within("sessions_kept_max", self.sessions_kept_max, 0..=100_000)?;
        within("answer_timeout_ms", self.answer_timeout_ms, 10..=60_000)?;
        within("takeover_timeout_ms", self.takeover_timeout_ms, 10..=60_000)
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(super) fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }

    pub(super) fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.answer_timeout_ms)
    }

    pub(super) fn takeover_timeout(&self) -> Duration {
        Duration::from_millis(self.takeover_timeout_ms)
    }
}

fn within<T: PartialOrd + std::fmt::Display>(field: &str, value: T, range: RangeInclusive<T>) -> Result<(), String> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(format!("{field} is {value}, allowed are {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_an_empty_section_gives_them() {
        Config::default().validate().unwrap();
        let empty: Config = toml::from_str("").unwrap();
        assert_eq!(empty.listen.port(), 8883);
    }

    #[test]
    fn what_is_out_of_range_is_named_with_its_range() {
        let error = |text: &str| toml::from_str::<Config>(text).unwrap().validate().unwrap_err();
        assert_eq!(error("in_flight_max = 0"), "in_flight_max is 0, allowed are 1 to 1024");
        assert!(error("plaintext_listen = '192.0.2.1:1883'").starts_with("plaintext_listen is 192.0.2.1:1883"));
        assert!(error("handshakes_max = 10").starts_with("handshakes_per_address_max"));
        assert!(toml::from_str::<Config>("in_flight = 3").is_err());
    }
}
