//! The commands that ask the running gateway against a gateway that answers what the test has written.

mod acknowledge;
mod agreement;
mod attendance;
mod contacts;
mod events;
mod presence;
mod privacy;
mod refusals;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderName, Method, StatusCode, Uri, header::AUTHORIZATION};
use clap::Parser;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::devices::Door;
use super::inquiry::Inquiry;
use super::queries::{self, Terminal};
use super::{Arguments, Command};
use crate::config::Config;
use access::DEFAULT_POLICY;
use base::site::{self, InitOptions};

/// A gateway that gives these answers, one after the other, and remembers what it was asked.
struct Fake {
    url: String,
    asked: Arc<Mutex<Vec<ReceivedRequest>>>,
    site: TempDir,
    _runtime: Runtime,
}

/// One answer.
struct Canned {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: String,
}

/// One request.
#[derive(Debug)]
struct ReceivedRequest {
    method: Method,
    uri: String,
    body: String,
}

/// What a command has written, and how it ended.
struct Told {
    out: String,
    errors: String,
    ended: Result<(), String>,
}

impl Fake {
    fn new(answers: impl IntoIterator<Item = Canned>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let site = tempfile::tempdir().unwrap();
        let options = InitOptions {
            site: "regency".parse().unwrap(),
            time_zone: "Asia/Makassar".into(),
            host_names: Vec::new(),
            policy_files: DEFAULT_POLICY,
        };
        site::init(&site.path().join("site"), &options, "2026-11-01T00:00:00Z".parse().unwrap()).unwrap();
        std::fs::write(site.path().join("token"), "a-token\n").unwrap();
        let asked = Arc::default();
        let answers = Mutex::new(answers.into_iter().collect::<std::collections::VecDeque<_>>());
        let router = router(Arc::clone(&asked), answers);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { url, asked, site, _runtime: runtime }
    }

    /// Performs a command line, in which words are separated by single spaces and `_` within a word is one.
    fn gapura(&self, line: &str) -> Told {
        self.gapura_typing(line, None)
    }

    fn gapura_typing(&self, line: &str, typed: Option<&str>) -> Told {
        let token = self.path("token");
        let words: Vec<String> = line.split(' ').map(|word| word.replace('_', " ")).collect();
        let fixed = ["--url", &self.url, "--token-file", token.to_str().unwrap()].map(str::to_owned);
        let parsed = Arguments::try_parse_from(std::iter::once("gapura".to_owned()).chain(words).chain(fixed));
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let ended = match parsed {
            Err(error) => Err(error.to_string()),
            Ok(Arguments { command: Command::Query(command), .. }) => {
                let config = Config::read(&self.path("site/gapura.toml"), std::iter::empty()).unwrap();
                let mut typed = typed.map(str::as_bytes);
                let typed = typed.as_mut().map(|typed| typed as &mut dyn std::io::BufRead);
                let terminal = Terminal { out: &mut out, errors: &mut errors, typed };
                queries::perform(&config, command, terminal).map_err(|error| format!("{error:#}"))
            }
            Ok(Arguments { command: Command::Door(Door::Acknowledge(command)), .. }) => {
                let config = Config::read(&self.path("site/gapura.toml"), std::iter::empty()).unwrap();
                let mut inquiry = Inquiry::new(&command.api, &config, &mut errors).unwrap();
                super::acknowledge::perform(&mut inquiry, &mut out, &command).map_err(|error| format!("{error:#}"))
            }
            Ok(_) => panic!("the command asks no gateway"),
        };
        Told { out: String::from_utf8(out).unwrap(), errors: String::from_utf8(errors).unwrap(), ended }
    }

    /// A file in the folder of this test.
    fn path(&self, name: &str) -> PathBuf {
        self.site.path().join(name)
    }

    /// What was asked: method, path and query, and the body if any.
    fn asked(&self) -> Vec<String> {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let line =
            |asked: ReceivedRequest| format!("{} {} {}", asked.method, asked.uri, asked.body).trim_end().to_owned();
        asked.into_iter().map(line).collect()
    }
}

impl Canned {
    fn json(body: &str) -> Self {
        Self { status: StatusCode::OK, headers: Vec::new(), body: body.into() }
    }

    fn problem(status: u16, title: &str, detail: &str) -> Self {
        let body = serde_json::json!({ "title": title, "status": status, "detail": detail }).to_string();
        Self { status: StatusCode::from_u16(status).unwrap(), headers: Vec::new(), body }
    }

    /// What a token of another role than these is answered.
    fn forbidden(detail: &str, roles: &[&str]) -> Self {
        let title = "Not for this access token";
        let body = serde_json::json!({ "title": title, "status": 403, "detail": detail, "roles": roles }).to_string();
        Self { status: StatusCode::FORBIDDEN, headers: Vec::new(), body }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((HeaderName::from_static(name), value.into()));
        self
    }
}

impl Told {
    /// The error that ended it.
    fn error(&self) -> &str {
        assert_eq!(self.out, "");
        self.ended.as_ref().unwrap_err()
    }

    /// What it wrote to standard output, with nothing wrong.
    fn well(&self) -> &str {
        assert_eq!((self.errors.as_str(), &self.ended), ("", &Ok(())));
        &self.out
    }
}

fn router(asked: Arc<Mutex<Vec<ReceivedRequest>>>, answers: Mutex<std::collections::VecDeque<Canned>>) -> Router {
    let answers = Arc::new(answers);
    Router::new().fallback(move |method: Method, uri: Uri, headers: axum::http::HeaderMap, body: Bytes| {
        assert_eq!(headers[AUTHORIZATION], "Bearer a-token");
        let body = String::from_utf8(body.to_vec()).unwrap();
        asked.lock().unwrap().push(ReceivedRequest { method, uri: uri.to_string(), body });
        let answer = answers.lock().unwrap().pop_front();
        async {
            let Canned { status, headers, body } =
                answer.unwrap_or_else(|| Canned::problem(500, "ReceivedRequest too often", ""));
            let mut response = axum::response::Response::new(axum::body::Body::from(body));
            *response.status_mut() = status;
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
    })
}

fn mode(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}
