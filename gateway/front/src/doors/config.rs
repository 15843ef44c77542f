//! What an operator may set of the front: section `[mqtt]` of the configuration.

use std::net::SocketAddr;
use std::time::Duration;

use base::settings::SettingError;

base::settings! {
    /// Where door readers and monitors connect: MQTT 3.1.1 and 5, with a certificate of this site.
    #[derive(Clone, Debug)]
    pub struct Config {
        /// Where readers and monitors connect with TLS.
        pub listen: SocketAddr = SocketAddr::from(([0, 0, 0, 0], 8883)) => "address:port";
        /// Where they connect without TLS, for development; absent: nowhere.
        pub plaintext_listen: Option<SocketAddr> = None
            => "address:port", must "a loopback address", example "127.0.0.1:1883";
        /// Time for the TLS handshake and the CONNECT packet together.
        pub connect_timeout_ms: u64 = 10_000 => "milliseconds", in 100..=120_000;
        /// Clients that are connected at the same time; further ones are refused.
        pub connections_max: usize = 12_000 => "connections", in 1..=100_000;
        /// Connections that have not sent CONNECT yet; one more drops the oldest.
        pub handshakes_max: usize = 8192 => "connections", in 1..=100_000;
        /// Connections of one client address (IPv6: of one /64 network) that have not sent CONNECT yet; one more drops the oldest.
        pub handshakes_per_address_max: usize = 1024 => "connections", in 1..=100_000, at_most handshakes_max;
        /// Largest packet that a client may send; a scan with the longest credential needs the minimum.
        pub packet_bytes_max: usize = 24_576 => "bytes", in protocol::scan::SCAN_BYTES_MAX + 512..=1 << 20;
        /// Keep-alive of clients that ask for none, and the longest that an MQTT 5 client gets.
        pub keep_alive_s_max: u16 = 300 => "seconds", in 5..=43_200;
        /// Time for one write to a client; a client that reads more slowly is disconnected.
        pub write_timeout_ms: u64 = 5_000 => "milliseconds", in 100..=60_000;
        /// Scans of one door without an answer yet, and messages to one client without an acknowledgement; MQTT 5 clients are
        /// told it as the receive maximum.
        pub in_flight_max: u16 = 64 => "messages", in 1..=1024;
        /// Packets a second of one client on average, acknowledgements not counted; a client that sends more is read more slowly.
        pub scans_per_second_max: u32 = 200 => "packets per second", in 1..=1_000_000;
        /// Packets that one client may send at once.
        pub scans_burst_max: u32 = 400 => "packets", in 1..=1_000_000;
        /// Subscriptions of one client.
        pub subscriptions_max: usize = 16 => "subscriptions", in 1..=1000;
        /// Messages that wait for a client that is slow or away; one more drops the oldest.
        pub outbox_messages_max: usize = 256 => "messages", in 1..=10_000;
        /// Longest time for which the session of a door that is away is kept.
        pub session_expiry_s_max: u32 = 3600 => "seconds", in 0..=604_800;
        /// Sessions of doors that are away; one more drops the one that would expire first.
        pub sessions_kept_max: usize = 12_000 => "sessions", in 0..=100_000;
        /// Time after which a door is told `unavailable` when its scan has no answer.
        pub answer_timeout_ms: u64 = 2_000 => "milliseconds", in 10..=60_000;
        /// Time that a new connection waits for an older one of the same client to end.
        pub takeover_timeout_ms: u64 = 2_000 => "milliseconds", in 10..=60_000;
    }
    also is_on_loopback;
}

impl Config {
    fn is_on_loopback(&self) -> Result<(), SettingError> {
        match self.plaintext_listen {
            Some(address) if !address.ip().is_loopback() => Err(SettingError::new(
                "plaintext_listen",
                format!("is {address}: only a loopback address may be served without TLS"),
            )),
            _ => Ok(()),
        }
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
        let error = |text: &str| toml::from_str::<Config>(text).unwrap().validate().unwrap_err().to_string();
        assert_eq!(error("in_flight_max = 0"), "in_flight_max is 0, allowed are 1 to 1024");
        assert!(error("plaintext_listen = '192.0.2.1:1883'").starts_with("plaintext_listen is 192.0.2.1:1883"));
        assert!(error("handshakes_max = 10").starts_with("handshakes_per_address_max"));
        assert!(toml::from_str::<Config>("in_flight = 3").is_err());
    }
}
