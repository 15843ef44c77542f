//! The gateway's HTTP API, as far as the simulator asks it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Client, Response};
use rustls::RootCertStore;
use serde::Deserialize;

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

const TIMEOUT: Duration = Duration::from_secs(30);
/// Events asked for at once.
const PAGE: u32 = 10_000;

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

    async fn get(&self, path: &str) -> Result<Response> {
        let request = self.client.get(format!("{}{path}", self.base));
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.with_context(|| format!("no answer from the gateway at {}", self.base))?;
        let status = answer.status();
        if !status.is_success() {
            let words: String = answer.text().await.unwrap_or_default().chars().take(500).collect();
            bail!("the gateway answered GET {path} with {status}: {words}");
        }
        Ok(answer)
    }
}
