//! The gateway's HTTP API, as far as the simulator asks it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use protocol::Event;
use protocol::api::{Acknowledgement, BEHIND, EventsQuery, PAGE_ROWS_MAX, SiteStatus};
use reqwest::{Client, Response, StatusCode};
use rustls::RootCertStore;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::tls;

/// A gateway's HTTP API.
#[derive(Clone, Debug)]
pub struct GatewayApi {
    client: Client,
    base: String,
    token: Option<String>,
}

/// What a ledger answers.
#[derive(Clone, Debug)]
pub enum Ledger<T> {
    /// The answer, and how many events of the log are not in it yet.
    Answer(T, u64),
    /// It is being rebuilt: the gateway's own words.
    Rebuilding(String),
}

const TIMEOUT: Duration = Duration::from_secs(30);
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
    pub async fn status(&self) -> Result<SiteStatus> {
        self.get("/api/v1/status").await?.json().await.context("the gateway's status cannot be read")
    }

    /// A page of the events after number `after`; empty at the end.
    ///
    /// # Errors
    /// When the gateway does not answer as expected.
    pub async fn events(&self, after: u64) -> Result<Vec<Event>> {
        let query = EventsQuery { after: Some(after), limit: Some(PAGE_ROWS_MAX), ..EventsQuery::default() };
        let page = self.get(&asked("/api/v1/events", &query)?).await?.bytes().await?;
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
        let answer = expected(&format!("GET {path}"), answer).await?;
        let behind = answer.headers().get(BEHIND).and_then(|behind| behind.to_str().ok()?.parse().ok());
        let behind = behind.with_context(|| format!("the answer to GET {path} has no header {BEHIND}"))?;
        let body = answer.bytes().await.with_context(|| format!("the answer to GET {path} broke off"))?;
        // Only where: the error's own words repeat what was read.
        let read = serde_json::from_slice(&body).map_err(|error| (error.line(), error.column()));
        match read {
            Ok(read) => Ok(Ledger::Answer(read, behind)),
            Err((line, column)) => bail!("the answer to GET {path} cannot be read, line {line} column {column}"),
        }
    }

    /// Says as an operator that the scans are known that a door is missing; how many they are.
    ///
    /// # Errors
    /// When the gateway does not answer as expected.
    pub async fn acknowledge(&self, door: &str) -> Result<u64> {
        let path = format!("/api/v1/doors/{door}/acknowledge");
        let request = self.client.post(format!("{}{path}", self.base)).bearer_auth(self.token.as_deref().unwrap_or(""));
        let answer = request.send().await.with_context(|| format!("no answer from the gateway at {}", self.base))?;
        let done: Acknowledgement =
            expected(&format!("POST {path}"), answer).await?.json().await.context("the answer cannot be read")?;
        Ok(done.acknowledged_scans)
    }

    async fn get(&self, path: &str) -> Result<Response> {
        expected(&format!("GET {path}"), self.send(path, TIMEOUT).await?).await
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

/// An address with the parameters of the query.
///
/// # Errors
/// When the query cannot be written as one.
pub fn asked(path: &str, query: &impl Serialize) -> Result<String> {
    Ok(format!("{path}?{}", serde_urlencoded::to_string(query)?))
}

async fn expected(asked: &str, answer: Response) -> Result<Response> {
    let status = answer.status();
    if !status.is_success() {
        bail!("the gateway answered {asked} with {status}: {}", words(answer).await);
    }
    Ok(answer)
}

async fn words(answer: Response) -> String {
    answer.text().await.unwrap_or_default().chars().take(500).collect()
}
