//! The section `[http]` of the configuration.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::HttpError;
use base::settings::SettingError;

base::settings! {
    /// Status page, API, health and metrics.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Config {
        /// Where HTTP is served: without TLS on a loopback address, with TLS on any other.
        pub listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)) => "address:port";
        /// The certificate chain; absent: the site's own certificate serves where TLS is needed.
        pub certificate: Option<PathBuf> = None => "PEM file", must "comes with `key`", example "pki/gateway.pem";
        /// The certificate's private key.
        pub key: Option<PathBuf> = None => "PEM file", must "comes with `certificate`", example "pki/gateway.key";
        /// Names that clients may use in `Host` beside `localhost` and loopback addresses, such as a reverse proxy's; on other
        /// addresses they are the only names, and any name is taken where there are none.
        pub host_names: Vec<String> = Vec::new()
            => "names or addresses", must "without scheme, port and path", example ["gate.example"];
        /// Open connections, TLS handshakes included.
        pub connections_max: usize = 256 => "connections", in 1..=100_000;
        /// Open connections of one client address.
        pub connections_per_address_max: usize = 64 => "connections", in 1..=100_000, at_most connections_max;
        /// TLS handshakes at the same time; one more drops the oldest.
        pub handshakes_max: usize = 64 => "connections", in 1..=100_000, at_most connections_max;
        /// Time for a TLS handshake.
        pub handshake_timeout_ms: u64 = 5_000 => "milliseconds", in 100..=60_000;
        /// Requests at the same time; `/livez` is not counted.
        pub requests_max: usize = 64 => "requests", in 1..=256;
        /// Requests for events, attendance, contacts and people in zones at the same time: each may hold 10,000 rows and more
        /// in memory.
        pub events_requests_max: usize = 4 => "requests", in 1..=64, at_most requests_max;
        /// Time until an answer must be ready.
        pub request_timeout_ms: u64 = 10_000 => "milliseconds", in 100..=300_000;
        /// Size of a request's line and headers.
        pub head_bytes_max: usize = 16_384 => "bytes", in 1_024..=131_072;
        /// Size of a request's body, where one is taken; some routes take less.
        pub body_bytes_max: usize = 65_536 => "bytes", in 1_024..=16_777_216;
        /// Time for a request's body.
        pub body_timeout_ms: u64 = 10_000 => "milliseconds", in 100..=60_000;
        /// Time from the first byte of a request to the end of its headers.
        pub head_timeout_ms: u64 = 10_000 => "milliseconds", in 100..=60_000;
        /// Time for which a connection may stay open without a request.
        pub idle_timeout_ms: u64 = 60_000 => "milliseconds", in 100..=3_600_000;
        /// Time from a request to the last byte of its answer, however slowly the client reads.
        pub answer_timeout_ms: u64 = 60_000 => "milliseconds", in 100..=3_600_000, at_least request_timeout_ms;
        /// Time for which the refusal of a wrong token is held back.
        pub token_delay_ms: u64 = 1_000 => "milliseconds", in 0..=10_000;
        /// Time for answers that are under way when the gateway stops.
        pub shutdown_timeout_ms: u64 = 5_000 => "milliseconds", in 0..=60_000;
    }
    also has_certificate_and_key, has_good_host_names;
}

impl Config {
    fn has_certificate_and_key(&self) -> Result<(), SettingError> {
        match (&self.certificate, &self.key) {
            (Some(_), None) | (None, Some(_)) => {
                Err(SettingError::new("certificate", "and key come together or not at all"))
            }
            _ => Ok(()),
        }
    }

    fn has_good_host_names(&self) -> Result<(), SettingError> {
        match self.host_names.iter().find(|name| !is_host_name(name)) {
            Some(name) => {
                let reason = format!("has {name:?}: give names or addresses without scheme, port or path");
                Err(SettingError::new("host_names", reason))
            }
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
            let error = config.validate().unwrap_err().to_string();
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
