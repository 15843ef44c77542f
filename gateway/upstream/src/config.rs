//! What can be set of the way upstream: section `[upstream]`.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;

/// Section `[upstream]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where batches are posted: `https`, or `http` to a loopback address. No user name or password in it.
    pub url: String,
    /// PEM file with the certificates of the CA that the upstream's certificate must come from. Needed for `https`.
    pub ca: PathBuf,
    /// PEM file with the certificate that the gateway shows, and its chain. Needed for `https`.
    pub certificate: PathBuf,
    /// PEM file with that certificate's private key. Needed for `https`.
    pub key: PathBuf,
    /// Most events in one batch.
    pub batch_events_max: usize,
    /// Most bytes of one batch as JSON, before compression. A single event that is larger goes alone.
    pub batch_bytes_max: usize,
    /// How long one request may take, from connecting to the last byte of the answer.
    pub request_timeout_ms: u64,
    /// The first failed try is followed by a random wait of at most this; each further one doubles it.
    pub backoff_ms_min: u64,
    /// Longest wait between two tries, also where the upstream asks for a longer one.
    pub backoff_ms_max: u64,
    /// Most bytes that are read of an answer.
    pub answer_bytes_max: usize,
    /// Most events in quarantine. Beyond it, an event that is refused for good is retried for ever instead, so that an
    /// upstream that refuses everything cannot make the gateway pass over the whole log.
    pub quarantined_events_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            ca: PathBuf::new(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            batch_events_max: 500,
            batch_bytes_max: 1 << 20,
            request_timeout_ms: 30_000,
            backoff_ms_min: 200,
            backoff_ms_max: 30_000,
            answer_bytes_max: 64 << 10,
            quarantined_events_max: 1_000,
        }
    }
}

impl Config {
    /// Checks every field.
    ///
    /// # Errors
    /// The field that is wrong and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        if self.parsed_url()?.scheme() == "https" {
            for (field, path) in [("ca", &self.ca), ("certificate", &self.certificate), ("key", &self.key)] {
                if path == Path::new("") {
                    return Err(format!("{field} is missing: an https url needs a PEM file"));
                }
            }
        }
        let sizes: [(&str, usize, RangeInclusive<usize>); 3] = [
            ("batch_events_max", self.batch_events_max, 1..=10_000),
            ("batch_bytes_max", self.batch_bytes_max, 4 << 10..=16 << 20),
            ("answer_bytes_max", self.answer_bytes_max, 64..=1 << 20),
        ];
        for (field, value, allowed) in sizes {
            within(field, &value, &allowed)?;
        }
        let numbers: [(&str, u64, RangeInclusive<u64>); 4] = [
            ("request_timeout_ms", self.request_timeout_ms, 100..=600_000),
            ("backoff_ms_min", self.backoff_ms_min, 1..=60_000),
            ("backoff_ms_max", self.backoff_ms_max, self.backoff_ms_min..=3_600_000),
            ("quarantined_events_max", self.quarantined_events_max, 0..=1_000_000),
        ];
        numbers.iter().try_for_each(|(field, value, allowed)| within(field, value, allowed))
    }

    /// The url, or what is wrong with it.
    pub(super) fn parsed_url(&self) -> Result<Url, String> {
        if self.url.is_empty() {
            return Err("url is missing: give the address that batches are posted to, https://…".into());
        }
        let url: Url = self.url.parse().map_err(|error| format!("url is no URL: {error}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "url has a user name or password in it: the upstream knows the gateway by its certificate".into()
            );
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if is_loopback(&url) => Ok(url),
            "http" => Err("url is http to another machine: use https (http is for a loopback address only)".into()),
            scheme => Err(format!("url has the scheme {scheme:?}, allowed are https, and http to a loopback address")),
        }
    }
}

fn within<T: PartialOrd + std::fmt::Display>(
    field: &str,
    value: &T,
    allowed: &RangeInclusive<T>,
) -> Result<(), String> {
    if allowed.contains(value) {
        Ok(())
    } else {
        Err(format!("{field} is {value}, allowed are {} to {}", allowed.start(), allowed.end()))
    }
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(toml: &str) -> Result<(), String> {
        toml::from_str::<Config>(toml).map_err(|error| error.to_string())?.validate()
    }

    #[test]
    fn a_plain_url_is_for_loopback_only() {
        for (url, good) in [
            ("http://127.0.0.1:8080/events", true),
            ("http://[::1]:8080/events", true),
            ("http://localhost/events", true),
            ("http://127.0.0.1.example.org/events", false),
            ("http://upstream.example.org/events", false),
            ("https://upstream.example.org/events", true),
            ("https://user:secret@upstream.example.org/events", false),
            ("ftp://127.0.0.1/", false),
            ("upstream", false),
            ("", false),
        ] {
            let config = format!("url = {url:?}\nca = 'a'\ncertificate = 'b'\nkey = 'c'");
            assert_eq!(of(&config).is_ok(), good, "{url}");
        }
    }

    #[test]
    fn an_error_names_the_field_and_what_it_may_be() {
        let plain = "url = 'http://127.0.0.1/'\n";
        for (more, expected) in [
            ("batch_events_max = 0", "batch_events_max is 0, allowed are 1 to 10000"),
            ("batch_bytes_max = 1", "batch_bytes_max is 1, allowed are 4096 to 16777216"),
            ("request_timeout_ms = 1", "request_timeout_ms is 1, allowed are 100 to 600000"),
            ("backoff_ms_max = 100", "backoff_ms_max is 100, allowed are 200 to 3600000"),
            ("batch = 1", "unknown field `batch`"),
        ] {
            let error = of(&format!("{plain}{more}")).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(of("url = 'https://h/'\nca = 'a'").unwrap_err().starts_with("certificate is missing"));
        assert_eq!(of(plain), Ok(()));
    }
}
