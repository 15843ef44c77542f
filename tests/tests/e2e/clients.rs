//! The gateway as clients meet it that others have written: mosquitto's and paho's.
//!
//! They must be installed (`apt-get install mosquitto-clients`, `pip install 'paho-mqtt==2.*'`), so these tests run only
//! when asked for: `cargo test -p e2e clients:: -- --ignored`. `GAPURA_E2E_PYTHON` names the Python that has paho.

mod mosquitto;
mod paho;

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::attacks::certificates::{Flaw, issue_with};
use crate::harness::{Gateway, SITE, Site, eventually};

/// The door of these tests, and one that is not its own.
const DOOR: &str = "main-in";
const OTHER: &str = "main-out";

/// A client that runs as a process of its own. Dropped, it is killed.
struct Running {
    process: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reading: Vec<JoinHandle<()>>,
}

/// How a client ended, and all that it said.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    lines: Vec<String>,
}

async fn start() -> (Site, Gateway) {
    let site = Site::make(&[DOOR, OTHER]);
    let gateway = site.run().await;
    (site, gateway)
}

/// One of a door's topics.
fn topic(door: &str, channel: &str) -> String {
    format!("gapura/v1/{SITE}/{door}/{channel}")
}

/// A certificate for [`DOOR`] with this flaw, once the gateway knows of it.
async fn flawed(site: &Site, gateway: &Gateway, flaw: Flaw) -> PathBuf {
    let reloads = async || gateway.metric("reloads_total", &["certificates"]).await;
    let before = reloads().await;
    let path = issue_with(site, DOOR, flaw, "flawed");
    if flaw == Flaw::Revoked {
        gateway.hang_up();
        eventually("the revocation is in force", async || reloads().await > before).await;
    }
    path
}

impl Running {
    /// Starts a client; `remedy` is how it gets installed.
    fn start(command: &mut Command, remedy: &str) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process =
            command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start ({error}): {remedy}"));
        let lines = Arc::default();
        let (stdout, stderr) = (process.stdout.take().unwrap(), process.stderr.take().unwrap());
        let reading = vec![collect(stdout, &lines), collect(stderr, &lines)];
        Self { process, lines, reading }
    }

    /// Waits until it has said a line with `words` in it.
    async fn says(&self, words: &str) {
        eventually(words, async || self.lines.lock().unwrap().iter().any(|line| line.contains(words))).await;
    }

    /// Waits until it has ended.
    async fn end(mut self) -> Ended {
        let mut code = None;
        eventually("the client ends", async || {
            let status = self.process.try_wait().unwrap();
            code = status.and_then(|status| status.code());
            status.is_some()
        })
        .await;
        self.reading.drain(..).for_each(|reading| reading.join().unwrap());
        let lines = std::mem::take(&mut *self.lines.lock().unwrap());
        Ended { code, lines }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().unwrap_or_default();
        self.process.wait().unwrap();
    }
}

impl Ended {
    /// Whether it said this somewhere.
    fn said(&self, words: &str) -> bool {
        self.lines.iter().any(|line| line.contains(words))
    }
}

fn collect(source: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            lines.lock().unwrap().push(line);
        }
    })
}
