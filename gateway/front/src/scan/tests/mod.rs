//! The spine with a real log on a disk that stalls and fails on command.

mod acknowledgements;
mod answers;
mod assists;
mod erasures;
mod failures;
mod model;
mod numbers;
mod upstream;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant as Monotonic};

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use protocol::{Decision, Direction, DoorId, Event, HealthStatus, Instant, PersonClass, Scan, ScanId};
use tokio::sync::mpsc;

use super::{
    Answer, Arrival, Config, Metrics, Payload, ReplyTo, ScanQueue, Spine, SpineContext, SpineStatus, State, WorkQueue,
};
use crate::monitors::Monitors;
use access::{Snapshot, testing};
use base::clock::Clock;
use store::log::LogReader;
use store::log::faulty_disk::Disk;

/// Monday, 2026-11-23, 07:31 in Makassar.
const NOW_MS: i64 = 1_795_390_264_000;

/// Fourteen hours.
const PRESENCE_MS: i64 = 50_400_000;

/// Longest wait for something that happens.
const PATIENCE: Duration = Duration::from_secs(60);

/// A spine at work on `disk`, and a session that hears its answers.
struct Bench {
    disk: Disk,
    config: Config,
    batch_events_max: usize,
    snapshot: Arc<ArcSwap<Snapshot>>,
    now_ms: Arc<AtomicI64>,
    metrics: Metrics,
    status: SpineStatus,
    reader: LogReader,
    queue: Option<ScanQueue>,
    spine: Option<JoinHandle<()>>,
    inbox: mpsc::Sender<Answer>,
    answers: mpsc::Receiver<Answer>,
}

impl Bench {
    fn new() -> Self {
        Self::with(Config { reopen_interval_ms: 10, ..Config::default() }, 1024)
    }

    fn with(config: Config, batch_events_max: usize) -> Self {
        let mut bench = Self::idle(config, batch_events_max);
        bench.start();
        bench
    }

    /// One whose spine does not work yet.
    fn idle(config: Config, batch_events_max: usize) -> Self {
        let disk = Disk::default();
        let (log, reader) = disk.open().unwrap();
        drop(log);
        let (inbox, answers) = mpsc::channel(100_000);
        let person = |id, class, status| testing::Person { id, class, status: Some(status), until: None };
        let people = [
            person("green", PersonClass::Asn, HealthStatus::Green),
            person("yellow", PersonClass::NonAsn, HealthStatus::Yellow),
        ];
        Self {
            disk,
            config,
            batch_events_max,
            snapshot: Arc::new(ArcSwap::from_pointee(testing::snapshot(&people))),
            now_ms: Arc::new(AtomicI64::new(NOW_MS)),
            metrics: Metrics::new(&mut Registry::default()),
            status: SpineStatus::new(&State::default(), Instant::from_unix_ms(NOW_MS)),
            reader,
            queue: None,
            spine: None,
            inbox,
            answers,
        }
    }

    fn start(&mut self) {
        let work = self.open();
        self.work(work);
    }

    /// Opens the log and makes the queue; [`work`](Self::work) lets the spine begin.
    fn open(&mut self) -> (Spine, WorkQueue) {
        let (log, reader) = self.disk.open().unwrap();
        let state = State::rebuild(&reader, PRESENCE_MS).unwrap();
        let now_ms = Arc::clone(&self.now_ms);
        let clock = Clock::new(move || Instant::from_unix_ms(now_ms.load(Ordering::Relaxed)));
        let (queue, work) = ScanQueue::new(self.config.queue_events_max);
        self.status = SpineStatus::new(&state, clock.now());
        let context = SpineContext {
            site: "regency".parse().unwrap(),
            log,
            reader: reader.clone(),
            state,
            snapshot: Arc::clone(&self.snapshot),
            monitors: monitors(),
            clock,
            status: self.status.clone(),
            metrics: self.metrics.clone(),
            presence_ms: PRESENCE_MS,
            batch_events_max: self.batch_events_max,
            config: self.config.clone(),
        };
        let spine = Spine::new(context, queue.clone()).unwrap();
        (self.reader, self.queue) = (reader, Some(queue));
        (spine, work)
    }

    fn work(&mut self, (spine, work): (Spine, WorkQueue)) {
        self.spine = Some(thread::spawn(move || spine.run(work)));
    }

    /// Lets go of the queue and waits until the spine has ended.
    fn stop(&mut self) {
        self.queue = None;
        let spine = self.spine.take().unwrap();
        wait_until("the spine has ended", || spine.is_finished());
        spine.join().unwrap();
    }

    fn restart(&mut self) {
        self.stop();
        self.start();
    }

    fn arrival(&self, ticket: u64, door: &DoorId, id: ScanId) -> Arrival {
        let now = Instant::from_unix_ms(self.now_ms.load(Ordering::Relaxed));
        Arrival {
            door: door.clone(),
            received_at: now,
            arrived: Monotonic::now(),
            clock_offset_ms: Some(0),
            maybe_buffered: false,
            payload: Payload::Scan(Scan::new(id, now, Direction::In, "green").unwrap()),
            reply: ReplyTo { answers: self.inbox.clone(), ticket },
        }
    }

    /// Puts a policy in force that denies everything.
    fn close_the_doors(&self) {
        let mut closed = Snapshot::clone(&self.snapshot.load());
        let policy = r#"@id("closed") forbid (principal, action, resource);"#;
        closed.policy = Arc::new(testing::policy_of(policy).unwrap());
        self.snapshot.store(Arc::new(closed));
    }

    fn queue(&self) -> &ScanQueue {
        self.queue.as_ref().unwrap()
    }

    /// Hands in a scan of `door-0`, epoch 1; the ticket is the sequence number.
    fn scan(&self, seq: u64) {
        self.scan_as(seq, 1, seq);
    }

    fn scan_as(&self, ticket: u64, epoch: u32, seq: u64) {
        let arrival = self.arrival(ticket, &door(0), ScanId { epoch, seq });
        self.queue().submit(arrival).unwrap();
    }

    /// The next answer.
    fn answer(&mut self) -> Answer {
        let mut answer = None;
        wait_until("an answer", || {
            answer = self.answers.try_recv().ok();
            assert!(
                answer.is_some() || self.spine.as_ref().is_none_or(|spine| !spine.is_finished()),
                "the spine has ended"
            );
            answer.is_some()
        });
        answer.unwrap()
    }

    /// The next answer, which must be the final one to `ticket`.
    fn kept(&mut self, ticket: u64) -> Decision {
        match self.answer() {
            Answer::Committed { ticket: of, decision, .. } if of == ticket => {
                Decision::from_json(&decision.unwrap()).unwrap()
            }
            other => panic!("no final answer to {ticket}: {other:?}"),
        }
    }

    /// The next answer, which must be that `ticket` is held.
    fn held(&mut self, ticket: u64) {
        match self.answer() {
            Answer::Held { ticket: of, reason: "log-unavailable" } if of == ticket => {}
            other => panic!("{ticket} is not held: {other:?}"),
        }
    }

    fn silent(&mut self) -> bool {
        self.answers.try_recv().is_err()
    }

    /// Waits until the spine is in a commit that the stalled disk does not finish.
    fn wait_for_commit(&self) {
        let now = Instant::from_unix_ms(NOW_MS);
        wait_until("a commit runs", || self.reader.commit_running_for(now).is_some());
    }

    fn events(&self) -> Vec<Event> {
        self.reader.read(0, usize::MAX, usize::MAX).unwrap()
    }

    fn sequence(&self) -> Vec<u64> {
        self.events().iter().map(|event| event.scan_id().unwrap().seq).collect()
    }
}

fn door(number: u64) -> DoorId {
    format!("door-{number}").parse().unwrap()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Monotonic::now() + PATIENCE;
    while !condition() {
        assert!(Monotonic::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Nobody listens.
fn monitors() -> Monitors {
    let metrics = crate::monitors::Metrics::new(&mut Registry::default());
    Monitors::new(crate::monitors::Config::default(), metrics).unwrap().0
}
