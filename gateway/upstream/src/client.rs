//! One request upstream: posting a batch, and what its answer means.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use protocol::{BatchAnswer, batch};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use super::batch::Batch;
use super::config::Config;
use super::error::{Failure, ForwardError};

/// What the upstream made of a batch.
#[derive(Debug)]
pub(super) enum Reply {
    /// Everything up to this number is safe.
    AckedThrough(u64),
    /// It will never take this batch as it is, and says so with this status. What else it says may repeat personal data, and is
    /// passed over.
    Refused(StatusCode),
    /// Anything else: try again.
    Failed(Failure),
}

/// The client that posts batches: HTTP/1.1, no redirects, no proxies, no tries of its own. `tls` says which upstream is
/// trusted and which certificate is shown; an `http` url needs none.
///
/// # Errors
/// When the configuration is wrong, or an `https` url comes without `tls`.
pub fn client(config: &Config, tls: Option<rustls::ClientConfig>) -> Result<Client, ForwardError> {
    config.validate().map_err(ForwardError::Config)?;
    let https = config.parsed_url().map_err(ForwardError::Config)?.scheme() == "https";
    let tls = match tls {
        Some(tls) => tls,
        None if https => return Err(ForwardError::TlsMissing),
        None => trusting_nobody()?,
    };
    let timeout = Duration::from_millis(config.request_timeout_ms);
    Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(https)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .user_agent(concat!("gapura/", env!("CARGO_PKG_VERSION")))
        .pool_max_idle_per_host(1)
        .connect_timeout(timeout)
        .timeout(timeout)
        .build()
        .map_err(ForwardError::Client)
}

/// Posts `batch` and reads at most `answer_bytes_max` of the answer.
pub(super) async fn post(client: &Client, url: &Url, batch: &Batch, answer_bytes_max: usize) -> Reply {
    match send(client, url, batch.body.clone(), answer_bytes_max).await {
        Ok(Answer { status, bytes, whole }) if status.is_success() => acknowledgement(status, &bytes, whole),
        Ok(Answer { status, .. }) => Reply::Refused(status),
        Err(failure) => Reply::Failed(failure),
    }
}

/// A final answer.
pub(super) struct Answer {
    /// It is taken, or will never be.
    pub(super) status: StatusCode,
    bytes: Vec<u8>,
    whole: bool,
}

/// Posts CloudEvents, a compressed JSON array, and reads at most `answer_bytes_max` of the answer.
///
/// # Errors
/// When there is no final answer: try again.
pub(super) async fn send(client: &Client, url: &Url, body: Bytes, answer_bytes_max: usize) -> Result<Answer, Failure> {
    let request =
        client.post(url.clone()).header(CONTENT_TYPE, batch::CONTENT_TYPE).header(CONTENT_ENCODING, "gzip").body(body);
    let response = request.send().await.map_err(|error| Failure::new(network(error)))?;
    let status = response.status();
    let retry_after = retry_after(&response);
    let read = read(response, answer_bytes_max).await;
    let (bytes, whole) = read.map_err(|error| Failure { what: network(error), retry_after })?;
    if status.is_success() || is_final(status) {
        Ok(Answer { status, bytes, whole })
    } else {
        Err(Failure { what: complaint(status), retry_after })
    }
}

/// The answer's beginning, and whether that is all of it.
async fn read(mut response: Response, bytes_max: usize) -> reqwest::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = bytes_max.saturating_sub(bytes.len());
        bytes.extend(chunk.iter().take(room));
        if chunk.len() > room {
            return Ok((bytes, false));
        }
    }
    Ok((bytes, true))
}

fn acknowledgement(status: StatusCode, answer: &[u8], whole: bool) -> Reply {
    match serde_json::from_slice::<BatchAnswer>(answer) {
        Ok(BatchAnswer { acked_through }) if whole => Reply::AckedThrough(acked_through),
        _ => Reply::Failed(Failure::new(format!(
            "the upstream answered HTTP {} without a readable {{\"acked_through\": N}}",
            status.as_u16()
        ))),
    }
}

/// Whether the same batch can never succeed with this upstream, whatever happens in between.
fn is_final(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY
    )
}

fn complaint(status: StatusCode) -> String {
    let remedy = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ": have it admit this gateway's certificate",
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => ": check the url",
        status if status.is_redirection() => ": redirects are not followed, check the url",
        _ => "",
    };
    format!("the upstream answered HTTP {status}{remedy}")
}

fn retry_after(response: &Response) -> Option<Duration> {
    // The other form of the header, a date, would need the two clocks to agree; the backoff serves as well.
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A failure on the way, with its causes and without the url.
fn network(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut what = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !what.ends_with(&text) {
            what = format!("{what}: {text}");
        }
        cause = error.source();
    }
    what
}

/// reqwest wants a TLS configuration even where it will never use one.
fn trusting_nobody() -> Result<rustls::ClientConfig, ForwardError> {
    let provider = rustls::crypto::ring::default_provider().into();
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ForwardError::Tls)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_https_url_needs_tls() {
        let path = std::path::PathBuf::from("x.pem");
        let config = Config {
            url: "https://upstream.example.org/".into(),
            ca: path.clone(),
            certificate: path.clone(),
            key: path,
            ..Config::default()
        };
        assert!(matches!(client(&config, None), Err(ForwardError::TlsMissing)));
        assert!(client(&config, Some(trusting_nobody().unwrap())).is_ok());
        assert!(matches!(client(&Config::default(), None), Err(ForwardError::Config(_))));
    }
}
