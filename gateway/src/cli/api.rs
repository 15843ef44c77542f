//! The running gateway, as commands ask it over its own HTTP API.

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use protocol::api::{BEHIND, LAST_EVENT, LAST_RECORD, MORE, ProblemDetails, THROUGH};
use reqwest::Method;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use super::table::printable;
use crate::config::{Config, TOKEN};
use base::tls;
use base::tokens::ADMIN;

/// The longest silence of the gateway while it answers.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Where the gateway answers, and with which token it is asked.
#[derive(Clone, Debug, Args)]
pub(super) struct Api {
    /// Where the gateway answers, like https://gate.example:8443; as in [http] listen if not given.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The authority of its certificate; the site's own if not given.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A file that holds the access token; else the variable GAPURA_TOKEN does.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A gateway that can be asked.
pub(super) struct Gateway {
    base: String,
    token: String,
    client: reqwest::Client,
    runtime: Rc<Runtime>,
}

/// What it is asked.
#[derive(Clone)]
pub(super) struct Request {
    method: Method,
    /// The levels of the path below `/api/v1`, as they are before they are encoded.
    path: Vec<String>,
    /// The parameters, encoded.
    query: String,
    body: Option<serde_json::Value>,
    /// What to do about a conflict.
    on_conflict: Option<&'static str>,
}

/// A good answer, whose body is still to be read.
pub(super) struct Answer {
    /// How many events of the log it leaves out, and the last one that it takes into account.
    pub(super) behind: Option<(u64, u64)>,
    /// Number of the event or audit record behind which the next page begins.
    pub(super) last: Option<u64>,
    /// Whether there is a next page.
    pub(super) more: Option<bool>,
    base: String,
    response: reqwest::Response,
    runtime: Rc<Runtime>,
}

impl Api {
    /// The gateway at that address, which is not asked anything yet.
    pub(super) fn gateway(&self, config: &Config) -> Result<Gateway> {
        let base = self.url.clone().unwrap_or_else(|| own_url(config));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Gateway { base, token: self.token()?, client: self.client(config)?, runtime: Rc::new(runtime) })
    }

    fn token(&self) -> Result<String> {
        let text = match &self.token_file {
            Some(file) => {
                std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?
            }
            None => std::env::var(TOKEN).map_err(|_| {
                anyhow!("an access token is needed: in the variable {TOKEN}, or in the file that --token-file names")
            })?,
        };
        Ok(text.trim().to_owned())
    }

    fn client(&self, config: &Config) -> Result<reqwest::Client> {
        let ca = self.ca.clone().unwrap_or_else(|| config.folder().ca_certificate());
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::http_client_config(&ca)?)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(TIMEOUT)
            .read_timeout(TIMEOUT)
            .build()?;
        Ok(client)
    }
}

impl Request {
    pub(super) fn new(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|level| (*level).to_owned()).collect();
        Self { method, path, query: String::new(), body: None, on_conflict: None }
    }

    pub(super) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// With these parameters, those that have a value.
    pub(super) fn query(self, query: &impl Serialize) -> Result<Self> {
        Ok(Self { query: serde_urlencoded::to_string(query)?, ..self })
    }

    pub(super) fn body(self, body: &impl Serialize) -> Result<Self> {
        Ok(Self { body: Some(serde_json::to_value(body)?), ..self })
    }

    /// With advice for the case that the gateway refuses because of how things stand.
    pub(super) fn on_conflict(self, advice: Option<&'static str>) -> Self {
        Self { on_conflict: advice, ..self }
    }
}

impl Gateway {
    /// Asks, and waits for the head of the answer.
    ///
    /// # Errors
    /// When the gateway cannot be reached or does not do it: what it says, and what to do. No part of the request is
    /// repeated, because it may name a person.
    pub(super) fn ask(&self, request: Request) -> Result<Answer> {
        let base = &self.base;
        let wrong = || anyhow!("--url {base} must be an address like https://gate.example:8443");
        let mut url = reqwest::Url::parse(base).map_err(|_| wrong())?;
        url.path_segments_mut().map_err(|()| wrong())?.clear().extend(["api", "v1"]).extend(&request.path);
        if !request.query.is_empty() {
            url.set_query(Some(&request.query));
        }
        let mut asked = self.client.request(request.method, url).bearer_auth(&self.token);
        if let Some(body) = &request.body {
            asked = asked.json(body);
        }
        let response = self.runtime.block_on(async { asked.send().await }).map_err(|error| {
            let why = if error.is_connect() { "is the gateway running?" } else { "try again" };
            anyhow!("{base} does not answer ({why}): {}", innermost(&error.without_url()))
        })?;
        let number = |name| header(response.headers(), name)?.parse::<u64>().ok();
        let (through, behind) = (number(THROUGH).unwrap_or(0), number(BEHIND).unwrap_or(0));
        let answer = Answer {
            behind: (behind > 0).then_some((behind, through)),
            last: number(LAST_EVENT).or_else(|| number(LAST_RECORD)),
            more: header(response.headers(), MORE).and_then(|more| more.parse().ok()),
            base: base.clone(),
            runtime: Rc::clone(&self.runtime),
            response,
        };
        if answer.response.status().is_success() { Ok(answer) } else { Err(answer.refusal(request.on_conflict)) }
    }
}

impl Answer {
    /// The whole body.
    pub(super) fn bytes(self) -> Result<bytes::Bytes> {
        let Self { base, response, runtime, .. } = self;
        runtime.block_on(async { response.bytes().await }).map_err(|error| broke_off(&base, error))
    }

    /// The body's JSON.
    pub(super) fn json<T: DeserializeOwned>(self) -> Result<T> {
        parse(&self.bytes()?)
    }

    /// Passes the body through as it is.
    pub(super) fn copy_to(mut self, out: &mut dyn Write) -> Result<()> {
        loop {
            let chunk = self.runtime.block_on(self.response.chunk()).map_err(|error| broke_off(&self.base, error))?;
            let Some(chunk) = chunk else { return Ok(()) };
            out.write_all(&chunk)?;
        }
    }

    fn refusal(self, on_conflict: Option<&str>) -> anyhow::Error {
        let (base, status) = (self.base.clone(), self.response.status());
        let retry = header(self.response.headers(), RETRY_AFTER.as_str()).and_then(|text| text.parse::<u64>().ok());
        let body = self.bytes().unwrap_or_default();
        let ProblemDetails { title, detail, roles, .. } = serde_json::from_slice(&body).unwrap_or_default();
        let only_admin = roles == [ADMIN];
        let roles: Vec<&str> = roles.iter().map(String::as_str).filter(|role| *role != ADMIN).collect();
        let mut line = format!("{base} answers {status}");
        for part in [&title, &detail].into_iter().filter(|part| !part.is_empty()) {
            line = format!("{line}: {}", printable(part));
        }
        let advice = match (status.as_u16(), roles.as_slice(), retry) {
            (403, [role, ..], _) => format!(
                "; it takes a token with the role {} or admin, as `gapura token add NAME --role {role}` makes one",
                roles.join(", ")
            ),
            (403, [], _) if only_admin => "; it takes a token with the role admin".to_owned(),
            (409, ..) => on_conflict.map(|advice| format!("; {advice}")).unwrap_or_default(),
            (503 | 429, _, Some(seconds)) if !detail.contains("try again") => format!("; try again in {seconds} s"),
            _ if title.is_empty() && detail.is_empty() => "; is --url the address of a gateway?".to_owned(),
            _ => String::new(),
        };
        anyhow!("{line}{advice}")
    }
}

/// Reads JSON; an error says where it is wrong, and repeats nothing of it.
pub(super) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    match serde_json::from_slice(json) {
        Ok(value) => Ok(value),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            bail!("the gateway is of another version: its answer is not as expected at line {line}, column {column}")
        }
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn broke_off(base: &impl fmt::Display, error: reqwest::Error) -> anyhow::Error {
    anyhow!("the answer of {base} broke off ({}); try again", innermost(&error.without_url()))
}

/// Where a gateway of this configuration answers on its own machine.
fn own_url(config: &Config) -> String {
    let (ip, port) = (config.http.listen.ip().to_canonical(), config.http.listen.port());
    let plain = ip.is_loopback() && config.http.certificate.is_none();
    let ip = if ip.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { ip };
    format!("{}://{}", if plain { "http" } else { "https" }, SocketAddr::new(ip, port))
}

/// What was really wrong: the outer errors only say where.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_asked_where_it_listens() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gapura.toml");
        for (listen, url) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("0.0.0.0:8443", "https://127.0.0.1:8443"),
            ("[::]:8443", "https://127.0.0.1:8443"),
            ("10.0.0.5:8443", "https://10.0.0.5:8443"),
            ("[::1]:80", "http://[::1]:80"),
        ] {
            let site = "[site]\nname = \"regency\"\ntime_zone = \"Asia/Makassar\"\n";
            std::fs::write(&file, format!("{site}[http]\nlisten = \"{listen}\"\n")).unwrap();
            let config = Config::read(&file, std::iter::empty()).unwrap();
            assert_eq!(own_url(&config), url);
        }
    }
}
