//! Why there is no way upstream, and why a try has failed.

use std::time::Duration;

use thiserror::Error;

use base::settings::SettingError;

/// Why there is no way upstream.
#[derive(Debug, Error)]
pub enum ForwardError {
    /// The configuration is wrong.
    #[error("[upstream] {0}")]
    Config(SettingError),
    /// Nothing says which upstream to trust.
    #[error("[upstream] url is https: it needs ca, certificate and key")]
    TlsMissing,
    /// TLS cannot be set up.
    #[error("TLS for the upstream cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The client cannot be set up.
    #[error("the HTTP client for the upstream cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// A try that failed; it is made again.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) what: String,
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    /// A try that failed for this reason.
    pub(super) fn new(what: String) -> Self {
        Self { what, retry_after: None }
    }
}
