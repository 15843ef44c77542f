//! A running gateway: its process, and what it says of itself over HTTP.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use reqwest::{Client, Method, Response};
use rustix::process::{Pid, Signal, kill_process};
use rustls::RootCertStore;
use serde_json::Value;
use simulator::tls;

use super::site::Site;
use super::{DEADLINE, eventually};

/// Lines of its standard error that a failed test shows.
const LAST_WORDS: usize = 60;

/// Ports to listen on; 0 is a free one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listen {
    pub mqtt: u16,
    pub http: u16,
}

/// A gateway that runs. Dropped, it is killed; a failed test shows its last words.
#[derive(Debug)]
pub struct Gateway {
    process: Child,
    ended: bool,
    words: Option<JoinHandle<()>>,
    stderr: PathBuf,
    token: String,
    client: Client,
    /// Where doors connect.
    pub mqtt: SocketAddr,
    /// Where people look.
    pub http: SocketAddr,
}

impl Gateway {
    pub(super) async fn start(site: &Site, listen: Listen) -> Self {
        static RUNS: AtomicU32 = AtomicU32::new(1);
        let stderr = site.beside(&format!("stderr-{}.txt", RUNS.fetch_add(1, Ordering::Relaxed)));
        let mut process = site
            .gapura(&["run"])
            .env("GAPURA_MQTT__LISTEN", format!("127.0.0.1:{}", listen.mqtt))
            .env("GAPURA_HTTP__LISTEN", format!("127.0.0.1:{}", listen.http))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the gateway's program starts");
        // Through a pipe, as under systemd, so that a limit on the gateway's own files leaves its words alone.
        let (mut words, mut kept) = (process.stderr.take().unwrap(), File::create(&stderr).unwrap());
        let words = thread::spawn(move || drop(std::io::copy(&mut words, &mut kept)));
        let (tell, told) = mpsc::channel();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        // Reads on to the end, so that the gateway never meets a closed pipe.
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).for_each(|line| tell.send(line).unwrap_or_default())
        });
        let anonymous = tls::anonymous(RootCertStore::empty().into()).unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway = Self {
            process,
            ended: false,
            words: Some(words),
            stderr,
            token: site.token().to_owned(),
            client: Client::builder().tls_backend_preconfigured(anonymous).timeout(DEADLINE).build().unwrap(),
            mqtt: nowhere,
            http: nowhere,
        };
        let line = told.recv_timeout(DEADLINE).expect("the gateway says where it listens");
        let listening: Value = serde_json::from_str(&line).expect("one line of JSON");
        assert_eq!(listening["event"], "listening");
        let address = |of: &str| listening[of].as_str().unwrap().parse().unwrap();
        (gateway.mqtt, gateway.http) = (address("mqtt"), address("http"));
        gateway
    }

    /// The ports that it has, to come back to them.
    pub fn listen(&self) -> Listen {
        Listen { mqtt: self.mqtt.port(), http: self.http.port() }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().try_into().unwrap()).unwrap()
    }

    /// Everything that it has logged.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// Ends it as a power cut would, but for what the kernel holds.
    pub fn kill_9(mut self) {
        self.end();
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(mut self) -> ExitStatus {
        kill_process(self.pid(), Signal::TERM).unwrap();
        self.exit().await
    }

    /// Asks it to read every file again.
    pub fn hang_up(&self) {
        kill_process(self.pid(), Signal::HUP).unwrap();
    }

    /// Waits until it has ended by itself.
    pub async fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        let process = &mut self.process;
        eventually("the gateway ends", async || {
            status = process.try_wait().unwrap();
            status.is_some()
        })
        .await;
        self.ended = true;
        status.unwrap()
    }

    /// Whether its process is still there.
    pub fn runs(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// The status, as the API gives it.
    pub async fn status(&self) -> Value {
        self.get("/api/v1/status").await.json().await.unwrap()
    }

    /// Waits for a status that satisfies `condition`; a failure shows the last one.
    pub async fn status_when(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let mut status = Value::Null;
        let waiting = eventually(what, async || {
            status = self.status().await;
            condition(&status)
        });
        if tokio::time::timeout(DEADLINE * 9 / 10, waiting).await.is_err() {
            panic!("{what}; the last status: {status:#}");
        }
        status
    }

    /// What `/readyz` says: whether it is ready, and the text.
    pub async fn ready(&self) -> (bool, String) {
        let answer = self.get("/readyz").await;
        let code = answer.status().as_u16();
        assert!([200, 503].contains(&code), "/readyz answered {code}");
        (code == 200, answer.text().await.unwrap())
    }

    /// The metrics in the text format of OpenMetrics.
    pub async fn metrics(&self) -> String {
        self.get("/metrics").await.text().await.unwrap()
    }

    /// The sum of a metric over all series whose line starts with `gapura_{name}` and contains every one of `labels`.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let name = format!("gapura_{name}");
        let metrics = self.metrics().await;
        let series = metrics.lines().filter(|line| {
            line.strip_prefix(&name).is_some_and(|rest| rest.starts_with([' ', '{']))
                && labels.iter().all(|label| line.contains(label))
        });
        series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Every event of the log, the oldest first.
    pub async fn events(&self) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        loop {
            let after = events.last().map_or(0, |event| event["number"].as_u64().unwrap());
            let page = self.get(&format!("/api/v1/events?after={after}&limit=10000")).await;
            assert!(page.status().is_success(), "{page:?}");
            let page = page.text().await.unwrap();
            if page.is_empty() {
                return events;
            }
            events.extend(page.lines().map(|line| serde_json::from_str(line).unwrap()));
        }
    }

    /// Waits until the status names a problem with `what`, or no longer does; the problem.
    pub async fn problem_when(&self, what: &str, is_there: bool) -> Option<Value> {
        let of = |status: &Value| {
            let problems = status["problems"].as_array().unwrap().clone();
            problems.into_iter().find(|problem| problem["what"] == what)
        };
        let words = format!("a problem with {what} is {}", if is_there { "there" } else { "gone" });
        of(&self.status_when(&words, |status| of(status).is_some() == is_there).await)
    }

    /// What it answers to a GET with the administrator's token.
    pub async fn get(&self, path: &str) -> Response {
        self.client.get(format!("http://{}{path}", self.http)).bearer_auth(&self.token).send().await.unwrap()
    }

    /// What it answers to a POST of this JSON with this token.
    pub async fn post(&self, path: &str, token: &str, json: Vec<u8>) -> Response {
        let request = self.client.post(format!("http://{}{path}", self.http)).bearer_auth(token);
        request.header("content-type", "application/json").body(json).send().await.unwrap()
    }

    /// What it answers to the administrator's request with this JSON.
    pub async fn ask(&self, method: Method, path: &str, json: Option<Value>) -> Response {
        self.ask_as(&self.token, method, path, json).await
    }

    /// What it answers to a request with this token and this JSON.
    pub async fn ask_as(&self, token: &str, method: Method, path: &str, json: Option<Value>) -> Response {
        let request = self.client.request(method, format!("http://{}{path}", self.http)).bearer_auth(token);
        let request = match json {
            Some(json) => request.header("content-type", "application/json").body(json.to_string()),
            None => request,
        };
        request.send().await.unwrap()
    }

    /// What it answers to a GET without a token.
    pub async fn get_anonymously(&self, path: &str) -> Response {
        self.client.get(format!("http://{}{path}", self.http)).send().await.unwrap()
    }

    /// How often it has `taken` or `refused` a change of its `policy`, `doors`, `directory` or `certificates`.
    pub async fn reloads(&self, what: &str, result: &str) -> f64 {
        self.metric("reloads_total", &[&format!("what=\"{what}\""), &format!("result=\"{result}\"")]).await
    }

    fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.process.kill().unwrap();
            self.process.wait().unwrap();
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.end();
        self.words.take().map(JoinHandle::join);
        if thread::panicking() {
            let words = fs::read_to_string(&self.stderr).unwrap_or_default();
            let lines: Vec<_> = words.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
            eprintln!("the gateway's last words:\n{}", last.join("\n"));
        }
    }
}
