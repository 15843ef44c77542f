//! The section `[http]` of the configuration.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::HttpError;

/// How HTTP is served. Times are in milliseconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port. Plain HTTP on a loopback address; any other address needs TLS.
    pub listen: SocketAddr,
    /// PEM file of the certificate chain. Without it, the site's own certificate serves where TLS is needed.
    pub certificate: Option<PathBuf>,
    /// PEM file of the certificate's private key; comes with `certificate`.
    pub key: Option<PathBuf>,
    /// Names that clients may use in `Host` beside `localhost` and loopback addresses, such as a reverse proxy's.
    /// On other addresses: the only names, when there are any.
    pub host_names: Vec<String>,
    /// Open connections, TLS handshakes included.
    pub connections_max: usize,
    /// Open connections of one client address.
    pub connections_per_address_max: usize,
    /// TLS handshakes at the same time; one more drops the oldest.
    pub handshakes_max: usize,
    /// Time for a TLS handshake.
    pub handshake_timeout_ms: u64,
    /// Requests at the same time. `/livez` is not counted.
    pub requests_max: usize,
    /// Requests for events and lists of people's days, contacts and places at the same time: each may hold 10,000 rows and
    /// more in memory.
    pub events_requests_max: usize,
    /// Time until an answer must be ready.
    pub request_timeout_ms: u64,
    /// Size of a request's line and headers.
    pub head_bytes_max: usize,
    /// Size of a request's body, where one is taken; some routes take less.
    pub body_bytes_max: usize,
    /// Time for a request's body.
    pub body_timeout_ms: u64,
    /// Time from the first byte of a request to the end of its headers.
    pub head_timeout_ms: u64,
    /// Time that a connection may stay open without a request.
    pub idle_timeout_ms: u64,
    /// Time from a request to the last byte of its answer, however slowly the client reads.
    pub answer_timeout_ms: u64,
    /// How long the refusal of a wrong token is held back.
    pub token_delay_ms: u64,
    /// Time for answers in flight when the gateway stops.
    pub shutdown_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            certificate: None,
            key: None,
            host_names: Vec::new(),
            connections_max: 256,
            connections_per_address_max: 64,
            handshakes_max: 64,
            handshake_timeout_ms: 5_000,
            requests_max: 64,
            events_requests_max: 4,
            request_timeout_ms: 10_000,
            head_bytes_max: 16_384,
            body_bytes_max: 65_536,
            body_timeout_ms: 10_000,
            head_timeout_ms: 10_000,
            idle_timeout_ms: 60_000,
            answer_timeout_ms: 60_000,
            token_delay_ms: 1_000,
            shutdown_timeout_ms: 5_000,
        }
    }
}

impl Config {
    /// Checks every field's range and what must fit together.
    ///
    /// # Errors
    /// A sentence that names the first wrong field and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        for (field, value, range) in [
            ("connections_max", count(self.connections_max), 1..=100_000),
            ("connections_per_address_max", count(self.connections_per_address_max), 1..=100_000),
            ("handshakes_max", count(self.handshakes_max), 1..=100_000),
            ("handshake_timeout_ms", self.handshake_timeout_ms, 100..=60_000),
            ("requests_max", count(self.requests_max), 1..=256),
            ("events_requests_max", count(self.events_requests_max), 1..=64),
            ("request_timeout_ms", self.request_timeout_ms, 100..=300_000),
            ("head_bytes_max", count(self.head_bytes_max), 1_024..=131_072),
            ("body_bytes_max", count(self.body_bytes_max), 1_024..=16_777_216),
            ("body_timeout_ms", self.body_timeout_ms, 100..=60_000),
            ("head_timeout_ms", self.head_timeout_ms, 100..=60_000),
            ("idle_timeout_ms", self.idle_timeout_ms, 100..=3_600_000),
            ("answer_timeout_ms", self.answer_timeout_ms, 100..=3_600_000),
            ("token_delay_ms", self.token_delay_ms, 0..=10_000),
            ("shutdown_timeout_ms", self.shutdown_timeout_ms, 0..=60_000),
        ] {
            if !range.contains(&value) {
                return Err(format!("{field} is {value}, allowed are {} to {}", range.start(), range.end()));
            }
        }
        for (field, value, ceiling, limit) in [
            ("connections_per_address_max", self.connections_per_address_max, "connections_max", self.connections_max),
            ("handshakes_max", self.handshakes_max, "connections_max", self.connections_max),
            ("events_requests_max", self.events_requests_max, "requests_max", self.requests_max),
        ] {
            if value > limit {
                return Err(format!("{field} is {value}, allowed is at most {ceiling}, which is {limit}"));
            }
        }
        if self.answer_timeout_ms < self.request_timeout_ms {
            return Err(format!(
                "answer_timeout_ms is {}, allowed is at least request_timeout_ms, which is {}",
                self.answer_timeout_ms, self.request_timeout_ms
            ));
        }
        if self.certificate.is_some() != self.key.is_some() {
            return Err("certificate and key come together or not at all".into());
        }
        match self.host_names.iter().find(|name| !is_host_name(name)) {
            Some(name) => Err(format!("host_names has {name:?}: give names or addresses without scheme, port or path")),
            None => Ok(()),
        }
    }

    /// Checks that other machines reach it through TLS only: the companion of [`Self::validate`], for when it is known
    /// whether there is TLS.
    ///
    /// # Errors
    /// [`HttpError::Exposed`] when `listen` is no loopback address and there is no TLS.
    pub fn check_exposure(&self, has_tls: bool) -> Result<(), HttpError> {
        check_exposure(self.listen, has_tls)
    }

    pub(super) fn shutdown_timeout(&self) -> Duration {
        Duration::from_millis(self.shutdown_timeout_ms)
    }
}

/// Whether `address` may be served, given that there is TLS or not.
pub(super) fn check_exposure(address: SocketAddr, has_tls: bool) -> Result<(), HttpError> {
    if has_tls || address.ip().to_canonical().is_loopback() { Ok(()) } else { Err(HttpError::Exposed { address }) }
}

fn is_host_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && (name.parse::<IpAddr>().is_ok() || name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_stays_on_this_machine() {
        let config: Config = toml::from_str("").unwrap();
        assert_eq!((config.validate(), config.listen.to_string().as_str()), (Ok(()), "127.0.0.1:8080"));
        config.check_exposure(false).unwrap();
    }

    #[test]
    fn a_wrong_field_is_named_with_what_is_allowed() {
        for (text, message) in [
            ("requests_max = 0", "requests_max is 0, allowed are 1 to 256"),
            ("head_bytes_max = 10", "head_bytes_max is 10, allowed are 1024 to 131072"),
            ("token_delay_ms = 60000", "token_delay_ms is 60000, allowed are 0 to 10000"),
            (
                "connections_max = 8",
                "connections_per_address_max is 64, allowed is at most connections_max, which is 8",
            ),
            ("answer_timeout_ms = 100", "answer_timeout_ms is 100, allowed is at least request_timeout_ms"),
            ("key = \"a.key\"", "certificate and key come together"),
            ("host_names = [\"http://gate\"]", "host_names has \"http://gate\""),
            ("host_names = [\"gate:80\"]", "host_names has \"gate:80\""),
        ] {
            let config: Config = toml::from_str(text).unwrap();
            let error = config.validate().unwrap_err();
            assert!(error.starts_with(message), "{text}: {error}");
        }
        assert!(toml::from_str::<Config>("lissten = \"127.0.0.1:1\"").unwrap_err().to_string().contains("lissten"));
        assert_eq!(toml::from_str::<Config>("host_names = [\"gate.lan\", \"::1\"]").unwrap().validate(), Ok(()));
    }

    #[test]
    fn other_machines_need_tls() {
        for (address, exposed) in [
            ("127.0.0.1:80", false),
            ("127.8.8.8:80", false),
            ("[::1]:80", false),
            ("[::ffff:127.0.0.1]:80", false),
            ("0.0.0.0:80", true),
            ("[::]:80", true),
            ("10.0.0.5:80", true),
        ] {
            let config = Config { listen: address.parse().unwrap(), ..Config::default() };
            assert_eq!(config.check_exposure(false).is_err(), exposed, "{address}");
            config.check_exposure(true).unwrap();
        }
    }
}
