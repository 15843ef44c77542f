//! What can be set of the way upstream: section `[upstream]`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;

use base::settings::SettingError;

base::settings! {
    /// Where every event is sent, at least once and in order. Absent: events stay in the log.
    #[derive(Clone, Debug)]
    pub struct Config {
        /// Where batches of events are posted.
        pub url: String = String::new()
            => "URL", must "`https`, or `http` to a loopback address; no user name or password", example "https://attendance.example/gapura/events";
        /// The certificates of the authority that the upstream's certificate must come from.
        pub ca: PathBuf = PathBuf::new() => "PEM file", must "needed for `https`", example "pki/upstream-ca.pem";
        /// The certificate that the gateway shows to the upstream, and its chain.
        pub certificate: PathBuf = PathBuf::new() => "PEM file", must "needed for `https`", example "pki/gateway.pem";
        /// The private key of that certificate.
        pub key: PathBuf = PathBuf::new() => "PEM file", must "needed for `https`", example "pki/gateway.key";
        /// Events in one batch.
        pub batch_events_max: usize = 500 => "events", in 1..=10_000;
        /// Size of one batch as JSON, before compression; a single event that is larger goes alone.
        pub batch_bytes_max: usize = 1 << 20 => "bytes", in 4 << 10..=16 << 20;
        /// Time for one request, from connecting to the last byte of the answer.
        pub request_timeout_ms: u64 = 30_000 => "milliseconds", in 100..=600_000;
        /// The first failed try is followed by a random wait of at most this; each further one doubles it.
        pub backoff_ms_min: u64 = 200 => "milliseconds", in 1..=60_000;
        /// Longest wait between two tries, also where the upstream asks for a longer one.
        pub backoff_ms_max: u64 = 30_000 => "milliseconds", in 1..=3_600_000, at_least backoff_ms_min;
        /// Size of the part of an answer that is read.
        pub answer_bytes_max: usize = 64 << 10 => "bytes", in 64..=1 << 20;
        /// Events in quarantine; beyond, an event that is refused for good is retried for ever instead, so that an upstream that
        /// refuses everything does not make the gateway skip the whole log.
        pub quarantined_events_max: u64 = 1_000 => "events", in 0..=1_000_000;
    }
    also has_a_good_url, has_the_files_of_https;
}

impl Config {
    fn has_a_good_url(&self) -> Result<(), SettingError> {
        self.parsed_url().map(drop)
    }

    fn has_the_files_of_https(&self) -> Result<(), SettingError> {
        let files = [("ca", &self.ca), ("certificate", &self.certificate), ("key", &self.key)];
        let missing = files.into_iter().find(|(_, path)| *path == Path::new(""));
        match missing {
            Some((setting, _)) if self.parsed_url()?.scheme() == "https" => {
                Err(SettingError::new(setting, "is missing: an https url needs a PEM file"))
            }
            _ => Ok(()),
        }
    }

    /// The url, or what is wrong with it.
    pub(super) fn parsed_url(&self) -> Result<Url, SettingError> {
        let error = |reason: String| SettingError::new("url", reason);
        if self.url.is_empty() {
            return Err(error("is missing: give the address that batches are posted to, https://…".into()));
        }
        let url: Url = self.url.parse().map_err(|cause| error(format!("is no URL: {cause}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(error(
                "has a user name or password in it: the upstream knows the gateway by its certificate".into(),
            ));
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if is_loopback(&url) => Ok(url),
            "http" => Err(error("is http to another machine: use https (http is for a loopback address only)".into())),
            scheme => {
                Err(error(format!("has the scheme {scheme:?}, allowed are https, and http to a loopback address")))
            }
        }
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
        let config: Config = toml::from_str(toml).map_err(|error| error.to_string())?;
        config.validate().map_err(|error| error.to_string())
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
            ("backoff_ms_max = 100", "backoff_ms_max is 100, allowed is at least backoff_ms_min, which is 200"),
            ("batch = 1", "unknown field `batch`"),
        ] {
            let error = of(&format!("{plain}{more}")).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(of("url = 'https://h/'\nca = 'a'").unwrap_err().starts_with("certificate is missing"));
        assert_eq!(of(plain), Ok(()));
    }
}
