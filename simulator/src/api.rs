//! The gateway's HTTP API, as far as the simulator asks it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Client, Response, StatusCode};
use rustls::RootCertStore;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::audit::LoggedEvent;
use crate::tls;

/// A gateway's HTTP API.
#[derive(Clone, Debug)]
pub struct GatewayApi {
    client: Client,
    base: String,
    token: Option<String>,
}

/// The gateway's status, as far as the simulator reads it.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// The durable log.
    pub log: LogStatus,
    /// The way upstream, where there is one.
    pub upstream: Option<UpstreamStatus>,
}

/// The durable log.
#[derive(Clone, Debug, Deserialize)]
pub struct LogStatus {
    /// Number of the newest event; 0 when there is none.
    pub last_event: u64,
}

/// The way upstream.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct UpstreamStatus {
    /// Every event up to this number is safe upstream or in quarantine.
    pub acked_through: u64,
    /// Ranges that the upstream refused for good, first and last event.
    #[serde(default)]
    pub quarantined: Vec<(u64, u64)>,
    /// Why the upstream does not take events at the moment.
    pub error: Option<String>,
}

/// What a ledger answers.
#[derive(Clone, Debug)]
pub enum Ledger<T> {
    /// The answer, and how many events of the log are not in it yet.
    Answer(T, u64),
    /// It is being made anew: the gateway's own words.
    Rebuilding(String),
}

const TIMEOUT: Duration = Duration::from_secs(30);
/// Events asked for at once.
const PAGE: u32 = 10_000;
/// Longest question to a ledger.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(120);

impl GatewayApi {
    /// The API at `url`, with the administrator's token, and the site's CA for `https`.
    ///
    /// # Errors
    /// When the CA cannot be used.
    pub fn new(url: &str, token: Option<&str>, ca: Option<&Path>) -> Result<Self> {
        let roots = match ca {
            Some(ca) => tls::roots(ca)?,
            None => Arc::new(RootCertStore::empty()),
        };
        let client = Client::builder()
            .tls_backend_preconfigured(tls::anonymous(roots)?)
            .timeout(TIMEOUT)
            .build()
            .context("cannot set up the HTTP client")?;
        Ok(Self { client, base: url.trim_end_matches('/').to_owned(), token: token.map(Into::into) })
    }

    /// The gateway's status.
    ///
    /// # Errors
    /// When the gateway does not answer as expected.
    pub async fn status(&self) -> Result<Status> {
        self.get("/api/v1/status").await?.json().await.context("the gateway's status cannot be read")
    }

    /// A page of the events after number `after`; empty at the end.
    ///
    /// # Errors
    /// When the gateway does not answer as expected.
    pub async fn events(&self, after: u64) -> Result<Vec<LoggedEvent>> {
        let page = self.get(&format!("/api/v1/events?after={after}&limit={PAGE}")).await?.bytes().await?;
        page.split(|byte| *byte == b'\n')
            .filter(|line| !line.trim_ascii().is_empty())
            .map(|line| serde_json::from_slice(line).context("an event of the gateway cannot be read"))
            .collect()
    }

    /// What a ledger answers.
    ///
    /// # Errors
    /// When the gateway does not answer as expected.
    pub async fn ledger<T: DeserializeOwned>(&self, path: &str) -> Result<Ledger<T>> {
        let answer = self.send(path, LEDGER_TIMEOUT).await?;
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            return Ok(Ledger::Rebuilding(words(answer).await));
        }
        let answer = expected(path, answer).await?;
        let behind = answer.headers().get("gapura-behind").and_then(|behind| behind.to_str().ok()?.parse().ok());
        let behind = behind.with_context(|| format!("the answer to GET {path} has no header gapura-behind"))?;
        let body = answer.bytes().await.with_context(|| format!("the answer to GET {path} broke off"))?;
        // Only where: the error's own words repeat what was read.
        let read = serde_json::from_slice(&body).map_err(|error| (error.line(), error.column()));
        match read {
            Ok(read) => Ok(Ledger::Answer(read, behind)),
            Err((line, column)) => bail!("the answer to GET {path} cannot be read, line {line} column {column}"),
        }
    }

    async fn get(&self, path: &str) -> Result<Response> {
        expected(path, self.send(path, TIMEOUT).await?).await
    }

    async fn send(&self, path: &str, timeout: Duration) -> Result<Response> {
        let request = self.client.get(format!("{}{path}", self.base)).timeout(timeout);
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.with_context(|| format!("no answer from the gateway at {}", self.base))
    }
}

async fn expected(path: &str, answer: Response) -> Result<Response> {
    let status = answer.status();
    if !status.is_success() {
        bail!("the gateway answered GET {path} with {status}: {}", words(answer).await);
    }
    Ok(answer)
}

async fn words(answer: Response) -> String {
    answer.text().await.unwrap_or_default().chars().take(500).collect()
}
