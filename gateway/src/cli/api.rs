//! The running gateway, as commands ask it over its own HTTP API.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::{Config, TOKEN};
use crate::tls;

/// The longest wait for an answer.
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

/// What the gateway says when it does not do what it is asked.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
}

impl Api {
    /// Asks for `path` with these query parameters, and reads the JSON of the answer.
    pub(super) fn get<T: DeserializeOwned>(&self, config: &Config, path: &str, query: &[(&str, String)]) -> Result<T> {
        let base = self.url.clone().unwrap_or_else(|| own_url(config));
        let mut url = reqwest::Url::parse(&base)
            .and_then(|base| base.join(path))
            .with_context(|| format!("--url {base} must be an address like https://gate.example:8443"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let (token, client) = (self.token()?, self.client(config)?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let answer = client.get(url).bearer_auth(token).send().await;
            let answer = answer.map_err(|error| {
                let why = if error.is_connect() { "is the gateway running?" } else { "try again" };
                anyhow!("{base} does not answer ({why}): {}", innermost(&error))
            })?;
            let status = answer.status();
            let body = answer.bytes().await.with_context(|| format!("the answer of {base} broke off; try again"))?;
            if !status.is_success() {
                let Problem { title, detail } = serde_json::from_slice(&body).unwrap_or_default();
                bail!("{base} answers {status}: {title} {detail}");
            }
            serde_json::from_slice(&body).with_context(|| format!("{base} is no gateway of this version"))
        })
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
            .timeout(TIMEOUT)
            .build()?;
        Ok(client)
    }
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
