//! A served site and a small client for the tests.

mod answers;
mod assist;
mod fake;
mod ledgers;
mod limits;
mod looks;
mod page;
mod people;
mod policy;
mod site_says_no;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use protocol::api::{
    AssistRefusal, CertificateStatus, DoorRow, LogStatus, Percentiles, PolicyRow, PolicySetRow, PolicyStatus, Problem,
    ScanStatus, Severity, SiteStatus, UpstreamStatus, ZoneRow,
};
use protocol::{DoorId, DoorState, DoorStatus, Event, Instant, Mode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{AcknowledgeError, Config, HttpError, Metrics, Sources, serve};
use base::clock::Clock;
use base::tokens::{Token, TokenRole, Tokens};
use store::audit::AuditTrail;
use store::audit::testing::{Keys, trail};

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(20);
const TOKEN: &str = "an-admin-token";
/// A helper's, for every door.
const HELPER: &str = "a-helpers-token";
/// A helper's, for the door main-in.
const HELPER_OF_MAIN_IN: &str = "another-helpers-token";
/// A helper's that has ended.
const ENDED: &str = "a-token-of-yesterday";

/// A served site.
struct Site {
    address: SocketAddr,
    registry: Arc<Registry>,
    shutdown: watch::Sender<bool>,
    serving: JoinHandle<Result<(), HttpError>>,
    looks: AuditTrail,
    keys: Arc<Keys>,
    _folder: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
struct Reply {
    code: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Site {
    async fn start() -> Self {
        Self::with(Config::default(), |_| {}).await
    }

    async fn with(config: Config, change: impl FnOnce(&mut Sources)) -> Self {
        Self::with_tls(config, None, change).await
    }

    async fn with_tls(
        config: Config,
        tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
        change: impl FnOnce(&mut Sources),
    ) -> Self {
        let mut registry = Registry::with_prefix("gapura");
        let metrics = Metrics::new(&mut registry);
        let registry = Arc::new(registry);
        let keys = Arc::<Keys>::default();
        let (folder, looks) = trail(&keys);
        let mut sources = sources(&registry, &looks);
        change(&mut sources);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, stop) = watch::channel(false);
        let serving = tokio::spawn(serve(config, listener, tls, sources, metrics, stop));
        Self { address, registry, shutdown, serving, looks, keys, _folder: folder }
    }

    async fn connect(&self) -> TcpStream {
        timeout(PATIENCE, TcpStream::connect(self.address)).await.unwrap().unwrap()
    }

    async fn get(&self, target: &str) -> Reply {
        self.get_with(target, "").await
    }

    /// `headers` are whole lines.
    async fn get_with(&self, target: &str, headers: &str) -> Reply {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")).await
    }

    async fn send(&self, request: &str) -> Reply {
        exchange(&mut self.connect().await, request).await
    }

    /// Asks with a token, and JSON in the body where there is any.
    async fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> Reply {
        let head = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
        };
        let authorization = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}{head}\r\n{body}")).await
    }

    async fn events(&self, query: &str) -> Reply {
        self.get_with(&format!("/api/v1/events{query}"), &format!("Authorization: Bearer {TOKEN}\r\n")).await
    }

    /// A metric's value, 0 while it has none; `name` with its labels.
    fn figure(&self, name: &str) -> f64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    fn refused(&self, reason: &str) -> f64 {
        self.figure(&format!("gapura_http_connections_refused_total{{reason=\"{reason}\"}}"))
    }

    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        until(what, || condition(self)).await;
    }
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        let mut values = self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = values.next().unwrap_or("");
        assert_eq!(values.next(), None, "{name} comes twice");
        value
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Checks that it is a problem document, and gives its name and detail.
    fn problem(&self) -> (String, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.code);
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        let name = problem["type"].as_str().unwrap().strip_prefix("urn:gapura:problem:").unwrap();
        (name.to_owned(), problem["detail"].as_str().unwrap().to_owned())
    }
}

fn sources(registry: &Arc<Registry>, looks: &AuditTrail) -> Sources {
    Sources {
        status: Arc::new(status),
        ready: Arc::new(Vec::new),
        metrics: Arc::clone(registry),
        events: Arc::new(|after, limit| Ok((after + 1..=50.min(after + limit as u64)).map(event).collect())),
        last_event: Arc::new(|| 50),
        people: Arc::new(people::One),
        ledgers: Arc::new(fake::Fake::default()),
        audit: looks.clone(),
        policy: Arc::new(policy_status),
        shadow: Arc::new(|_| Err("no log".into())),
        assist: Arc::new(|_| Box::pin(async { Err(AssistRefusal::Unavailable) })),
        acknowledge: Arc::new(|door| {
            Box::pin(async move {
                match door.as_str() {
                    "main-in" => Ok(3),
                    "main-out" => Err(AcknowledgeError::NotKept),
                    _ => Err(AcknowledgeError::UnknownDoor),
                }
            })
        }),
        tokens: Arc::new(ArcSwap::from_pointee(tokens())),
        clock: Clock::new(|| at(0)),
    }
}

async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> Reply {
    timeout(PATIENCE, stream.write_all(request.as_bytes())).await.unwrap().unwrap();
    let without_body = request.starts_with("HEAD ");
    timeout(PATIENCE, read_reply(stream, without_body)).await.unwrap().expect("an answer")
}

/// The next answer, or `None` when the connection ends first.
async fn read_reply(stream: &mut (impl AsyncRead + Unpin), without_body: bool) -> Option<Reply> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.split("\r\n");
    let code = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap().split(' ').next().unwrap().parse().unwrap();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut reply = Reply { code, headers, body: String::new() };
    if !without_body {
        let length = reply.header("content-length").parse().unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        reply.body = String::from_utf8(body).unwrap();
    }
    Some(reply)
}

/// Waits until the other side has closed.
async fn closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    // A reset is an end, too.
    drop(timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the connection ends"));
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn at(seconds: i64) -> Instant {
    Instant::from_unix_ms(1_795_390_264_000 + seconds * 1_000)
}

fn event(number: u64) -> Event {
    let mut event = base::testing::event(number);
    event.verdict.person = Some("P-0001".into());
    event
}

fn tokens() -> Tokens {
    let token = |name: &str, token: &str, until: Option<Instant>, doors: Option<Vec<DoorId>>| Token {
        name: name.parse().unwrap(),
        role: TokenRole::Helper,
        hash: blake3::hash(token.as_bytes()),
        until,
        doors,
    };
    let of_role = |role: TokenRole| Token { role, ..token(role.as_str(), &token_of(role), None, None) };
    let rest = TokenRole::ALL.into_iter().filter(|role| ![TokenRole::Admin, TokenRole::Helper].contains(role));
    let text = [
        token("everywhere", HELPER, None, None),
        token("at-main-in", HELPER_OF_MAIN_IN, Some(at(60)), Some(vec!["main-in".parse().unwrap()])),
        token("yesterday", ENDED, Some(at(-86_400)), None),
    ];
    let text: String = text.into_iter().chain(rest.map(of_role)).map(|token| token.to_toml()).collect();
    Tokens::parse(&text).unwrap().with_admin(blake3::hash(TOKEN.as_bytes())).unwrap()
}

/// The token of somebody who has this role.
fn token_of(role: TokenRole) -> String {
    match role {
        TokenRole::Admin => TOKEN.into(),
        TokenRole::Helper => HELPER.into(),
        other => format!("the-{other}s-token"),
    }
}

fn problem(severity: Severity, what: &str) -> Problem {
    Problem { severity, what: what.into(), message: format!("the {what}\nneeds help"), since: Some(at(-60)) }
}

fn policy_status() -> PolicyStatus {
    let red = PolicyRow { id: "red".into(), reason: "status-red".into(), place: "default.cedar:64".into() };
    let in_force = PolicySetRow { policy_set: "b3:9f2c".into(), texts: 52, policies: vec![red] };
    PolicyStatus { in_force, candidate: None }
}

fn zone(zone: &str) -> ZoneRow {
    ZoneRow { zone: zone.into(), parent: None, occupancy: 0, capacity: None }
}

fn status() -> SiteStatus {
    SiteStatus {
        site: "regency".into(),
        version: "0.1.0".into(),
        now: at(0),
        started_at: at(-3_600),
        problems: vec![problem(Severity::Warning, "upstream")],
        doors: vec![DoorRow {
            mode: Mode::Enforce,
            connected: true,
            since: Some(at(-60)),
            status: Some(DoorStatus::new(DoorState::Online, Some(at(-1)))),
            clock_offset_ms: Some(-20),
            last_scan_at: Some(at(-2)),
            scans: 4,
            highest_epoch: Some(1),
            highest_seq: Some(4),
            ..DoorRow::named("main-in", "lobby")
        }],
        monitors_connected: 1,
        scans: ScanStatus {
            kept: 4,
            per_second: 0.4,
            latency_ms: Some(Percentiles { p50: 0.7, p99: 1.6 }),
            waiting: 0,
        },
        log: LogStatus { last_event: 4, last_commit_at: Some(at(-2)), ..LogStatus::default() },
        upstream: Some(UpstreamStatus { backlog: 2, ..UpstreamStatus::default() }),
        certificates: vec![CertificateStatus { name: "gateway".into(), not_after: at(86_400) }],
        policy_set: "b3:9f2c".into(),
        directory_credentials: 6_900,
        zones: ["hall", "lobby", "main"].map(zone).into(),
        policy_candidate: None,
        directory_changed_at: None,
        trusted_keys: 0,
        refusals: Vec::new(),
    }
}
