//! A log and an upstream for tests: events from memory, and HTTP/1.1 by hand, so that it can be cut anywhere.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use flate2::read::GzDecoder;
use prometheus_client::registry::Registry;
use protocol::{CloudEvent, Event};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use store::log::{CommitError, LogError, UpstreamCursor};

use super::{Config, Forwarder, ForwarderContext, Metrics, Privacy, Progress, client};
use base::clock::Clock;
pub(super) use base::testing::event;

/// Waits until `condition` holds.
pub(super) async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// What the upstream does with a request.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Keeps the batch and acknowledges its last event.
    Ack,
    /// Keeps the batch's events up to this number and acknowledges them.
    AckThrough(u64),
    /// Keeps nothing and answers with this status, header lines and body.
    Answer(u16, &'static str, String),
    /// Keeps nothing and closes the connection.
    Cut,
    /// Keeps the batch and closes the connection.
    LoseAnswer,
    /// Waits for [`FakeUpstream::release`], then goes on as `Ack`.
    Hold,
}

/// Keeps what it is sent, or not, as its script says.
pub(super) struct FakeUpstream {
    pub(super) url: String,
    /// The numbers in every request so far.
    pub(super) requests: Arc<Mutex<Vec<Vec<u64>>>>,
    /// The numbers that were kept, in order of arrival, with duplicates.
    pub(super) kept: Arc<Mutex<Vec<u64>>>,
    /// Every event in every request so far.
    pub(super) posted: Arc<Mutex<Vec<CloudEvent<Value>>>>,
    held: Arc<Semaphore>,
}

impl FakeUpstream {
    /// `script` gets the request's index and its numbers.
    pub(super) async fn start(script: impl Fn(usize, &[u64]) -> Act + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self {
            url: format!("http://{}/events", listener.local_addr().unwrap()),
            requests: Arc::default(),
            kept: Arc::default(),
            posted: Arc::default(),
            held: Arc::new(Semaphore::new(0)),
        };
        let (requests, kept, held) = (upstream.requests.clone(), upstream.kept.clone(), upstream.held.clone());
        let posted = upstream.posted.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(events) = receive(&mut stream).await else { continue };
                // Working days have no numbers.
                let numbers: Vec<u64> = events.iter().filter_map(|event| event.id.parse().ok()).collect();
                posted.lock().unwrap().extend(events);
                let index = {
                    let mut requests = requests.lock().unwrap();
                    requests.push(numbers.clone());
                    requests.len() - 1
                };
                let act = script(index, &numbers);
                if matches!(act, Act::Hold) {
                    held.acquire().await.unwrap().forget();
                }
                let last = numbers.last().copied().unwrap_or(0);
                let through = match act {
                    Act::Ack | Act::Hold | Act::LoseAnswer => last,
                    Act::AckThrough(number) => number,
                    Act::Answer(..) | Act::Cut => 0,
                };
                kept.lock().unwrap().extend(numbers.iter().filter(|number| **number <= through));
                let (status, headers, body) = match act {
                    Act::Answer(status, headers, body) => (status, headers, body),
                    Act::Cut | Act::LoseAnswer => continue,
                    _ => (200, "", format!("{{\"acked_through\":{through}}}")),
                };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
                );
                // The other side may stop reading early.
                stream.write_all(answer.as_bytes()).await.ok();
            }
        });
        upstream
    }

    pub(super) fn release(&self) {
        self.held.add_permits(1);
    }

    pub(super) fn request_count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub(super) fn kept(&self) -> Vec<u64> {
        self.kept.lock().unwrap().clone()
    }
}

/// Reads one request to its end and gives its events.
async fn receive(stream: &mut TcpStream) -> Option<Vec<CloudEvent<Value>>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("post /events http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/cloudevents-batch+json\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    let mut json = Vec::new();
    GzDecoder::new(&body[..]).read_to_end(&mut json).unwrap();
    Some(serde_json::from_slice(&json).unwrap())
}

/// A log in memory, with the notes that were kept in it.
#[derive(Clone)]
pub(super) struct FakeLog {
    events: Arc<Mutex<Vec<Event>>>,
    last: watch::Sender<u64>,
    pub(super) notes: Arc<Mutex<Vec<UpstreamCursor>>>,
    /// How many more times keeping a note fails.
    pub(super) keeps_to_fail: Arc<AtomicUsize>,
    /// How many more times reading fails.
    pub(super) reads_to_fail: Arc<AtomicUsize>,
    pub(super) reads: Arc<AtomicUsize>,
}

impl FakeLog {
    pub(super) fn new(numbers: impl IntoIterator<Item = u64>) -> Self {
        let log = Self {
            events: Arc::default(),
            last: watch::Sender::new(0),
            notes: Arc::default(),
            keeps_to_fail: Arc::default(),
            reads_to_fail: Arc::default(),
            reads: Arc::default(),
        };
        log.append(numbers);
        log
    }

    pub(super) fn append(&self, numbers: impl IntoIterator<Item = u64>) {
        let mut events = self.events.lock().unwrap();
        events.extend(numbers.into_iter().map(event));
        self.announce(events.last().map_or(0, |event| event.number));
    }

    /// Says that there is an event of this number, be it true or not.
    pub(super) fn announce(&self, last: u64) {
        self.last.send_replace(last);
    }

    pub(super) fn cursor(&self) -> u64 {
        self.notes.lock().unwrap().last().map_or(0, |note| note.acked_through)
    }

    fn read(&self, after: u64, events_max: usize) -> Result<Vec<Event>, LogError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if take_one(&self.reads_to_fail) {
            return Err(LogError::Reopening);
        }
        let events = self.events.lock().unwrap();
        Ok(events.iter().filter(|event| event.number > after).take(events_max).cloned().collect())
    }

    fn keep(&self, note: UpstreamCursor) -> Result<(), CommitError> {
        if take_one(&self.keeps_to_fail) {
            return Err(CommitError::Failed);
        }
        self.notes.lock().unwrap().push(note);
        Ok(())
    }
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

/// A forwarder that runs between a log and an upstream.
pub(super) struct Running {
    pub(super) progress: Progress,
    pub(super) registry: Registry,
    pub(super) stop: watch::Sender<bool>,
    pub(super) task: JoinHandle<()>,
}

impl Running {
    /// Stops it and waits for its end.
    pub(super) async fn stopped(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(Duration::from_secs(20), self.task).await.expect("it does not stop").unwrap();
    }

    /// The value of a metric, by the line that it starts.
    pub(super) fn metric(&self, name: &str) -> f64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
    }
}

/// A configuration with tiny waits.
pub(super) fn quick(upstream: &FakeUpstream) -> Config {
    Config { url: upstream.url.clone(), backoff_ms_min: 1, backoff_ms_max: 5, ..Config::default() }
}

/// Runs a forwarder from the log's own cursor.
pub(super) fn run(log: &FakeLog, config: Config) -> Running {
    run_with(log, config, Privacy::default())
}

/// The same, with something that does not leave the site.
pub(super) fn run_with(log: &FakeLog, config: Config, privacy: Privacy) -> Running {
    let mut registry = Registry::with_prefix("gapura");
    let (read, beyond, keep) = (log.clone(), log.clone(), log.clone());
    let forwarder = Forwarder::new(ForwarderContext {
        site: "regency".parse().unwrap(),
        client: Arc::new(ArcSwap::from_pointee(client(&config, None).unwrap())),
        read: Arc::new(move |after, events_max, _| read.read(after, events_max)),
        beyond: Arc::new(move |number| {
            let mut last = beyond.last.subscribe();
            Box::pin(async move {
                last.wait_for(|last| *last > number).await.unwrap();
            })
        }),
        keep: Arc::new(move |note| {
            let log = keep.clone();
            Box::pin(async move { log.keep(note) })
        }),
        privacy,
        start_after: log.cursor(),
        quarantined: Vec::new(),
        clock: Clock::system(),
        metrics: Metrics::new(&mut registry),
        config,
    });
    let (forwarder, stop) = (forwarder.unwrap(), watch::Sender::new(false));
    let (progress, newest) = (forwarder.progress(), log.clone());
    progress.register_backlog(&mut registry, move || *newest.last.borrow());
    let task = tokio::spawn(forwarder.run(stop.subscribe()));
    Running { progress, registry, stop, task }
}
