//! The demo's gateway: a process of its own, which ends with the demo, whatever happens.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// A running gateway. Dropped, it is asked to end, and made to if it does not in time.
#[derive(Debug)]
pub struct GatewayProcess {
    process: Child,
    last_words: Arc<Mutex<VecDeque<String>>>,
    stderr: Option<JoinHandle<()>>,
    ended: bool,
}

/// Where it listens, as it says itself once it does.
#[derive(Clone, Debug, Deserialize)]
pub struct Listening {
    /// For doors.
    pub mqtt: SocketAddr,
    /// For people.
    pub http: SocketAddr,
}

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Lines of its standard error that are remembered, and the length to which they are cut.
const LAST_WORDS_MAX: usize = 30;
const LINE_BYTES_MAX: u64 = 4_096;

impl GatewayProcess {
    /// Starts `command`, and waits until it listens.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not listen in time; with its last words.
    pub async fn start(mut command: Command) -> Result<(Self, Listening)> {
        // A group of its own: Ctrl-C is the demo's to handle, which ends the gateway after its readers.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut process = command.spawn().context("cannot start the gateway")?;
        let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let mut gateway = Self { process, last_words: last_words.clone(), stderr: None, ended: false };
        let (heard, listening) = oneshot::channel();
        if let (Some(stdout), Some(stderr)) = (stdout, stderr) {
            let mut heard = Some(heard);
            thread::spawn(move || {
                read_lines(stdout, |line| {
                    if let (Ok(listening), Some(heard)) = (serde_json::from_str(&line), heard.take()) {
                        // The receiver is gone only when the demo has given up waiting.
                        heard.send(listening).unwrap_or_default();
                    }
                });
            });
            gateway.stderr = Some(thread::spawn(move || read_lines(stderr, |line| remember(&last_words, line))));
        }
        match timeout(START_TIMEOUT, listening).await {
            Ok(Ok(listening)) => Ok((gateway, listening)),
            Ok(Err(_)) => Err(gateway.ended().await),
            Err(_) => {
                gateway.stop();
                bail!("the gateway did not listen within {} s{}", START_TIMEOUT.as_secs(), gateway.last_words())
            }
        }
    }

    /// Waits until it ends by itself, which is always an error.
    pub async fn ended(&mut self) -> anyhow::Error {
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) => {
                    self.ended = true;
                    return anyhow!("the gateway ended ({status}){}", self.last_words());
                }
                Ok(None) => sleep(LOOK_EVERY).await,
                Err(error) => return anyhow!(error).context("the gateway cannot be watched"),
            }
        }
    }

    /// Asks it to end, and makes it if it does not in time. Blocks meanwhile.
    pub fn stop(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        let asked =
            i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).map(|pid| kill_process(pid, Signal::TERM));
        let deadline = Instant::now() + STOP_TIMEOUT;
        while matches!(asked, Some(Ok(()))) && Instant::now() < deadline {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(LOOK_EVERY);
        }
        eprintln!("the gateway did not end within {} s and is killed", STOP_TIMEOUT.as_secs());
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait()) {
            eprintln!("the gateway, process {}, cannot be killed: {error}", self.process.id());
        }
    }

    fn last_words(&mut self) -> String {
        if let Some(stderr) = self.stderr.take().filter(|_| self.ended) {
            stderr.join().unwrap_or_default();
        }
        let lines = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            return " without a word".into();
        }
        lines.iter().fold("; its last words:".into(), |words, line| format!("{words}\n  {line}"))
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        self.stop();
    }
}

fn remember(last_words: &Mutex<VecDeque<String>>, line: String) {
    let mut lines = last_words.lock().unwrap_or_else(PoisonError::into_inner);
    if lines.len() == LAST_WORDS_MAX {
        lines.pop_front();
    }
    lines.push_back(line);
}

/// Hands over every line, cut to what is kept of one, until the other end is closed.
fn read_lines(from: impl Read, mut take: impl FnMut(String)) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => take(String::from_utf8_lossy(&line).trim_end().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const LISTENING: &str =
        r#"echo '{"event":"listening","mqtt":"127.0.0.1:1","plaintext":null,"http":"127.0.0.1:2"}'"#;

    #[tokio::test]
    async fn a_gateway_that_dies_early_is_quoted() {
        let error = GatewayProcess::start(shell("echo no such policy >&2; exit 3")).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no such policy"), "{error}");
    }

    #[tokio::test]
    async fn a_gateway_that_listens_is_asked_to_end_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        let script =
            format!("trap 'echo > {}; exit 0' TERM; {LISTENING}; while :; do sleep 0.01; done", told.display());
        let (gateway, listening) = GatewayProcess::start(shell(&script)).await.unwrap();
        assert_eq!((listening.mqtt.port(), listening.http.port()), (1, 2));
        drop(gateway);
        assert!(told.exists());
    }

    #[tokio::test]
    async fn a_gateway_that_ends_later_is_noticed() {
        let (mut gateway, _) =
            GatewayProcess::start(shell(&format!("{LISTENING}; echo late >&2; exit 1"))).await.unwrap();
        assert!(gateway.ended().await.to_string().contains("late"));
    }

    #[test]
    fn only_so_many_last_words_are_remembered() {
        let words = Mutex::new(VecDeque::new());
        (0..100).for_each(|n| remember(&words, n.to_string()));
        let words = words.into_inner().unwrap();
        assert_eq!((words.len(), words.back().unwrap().as_str()), (LAST_WORDS_MAX, "99"));
    }
}
