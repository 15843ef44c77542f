//! The writer's end: one commit at a time, each durable before it is confirmed.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant as Stopwatch;

use protocol::Event;
use redb::{ReadableTableMetadata, WriteTransaction};
use tokio::sync::watch;

use super::segment;
use super::store::{self, CHECKPOINTS, CURSORS, QUARANTINE, SEGMENTS, Store, Tail, writing};
use super::{Config, LogError, LogReader, Metrics, Quarantined};
use crate::file::Opener;
use crate::vault::Vault;
use base::clock::Clock;

/// Checkpoints that are kept: the newest, and one more for the case that it is damaged.
const CHECKPOINTS_KEPT: u64 = 2;

/// The writer's end of the log; one thread owns it. Dropping it closes the file, also for readers.
pub struct Log {
    store: Arc<Store>,
    opener: Opener,
    clock: Clock,
    tail: Tail,
    state: State,
    /// What readers wait for.
    last_event: watch::Sender<u64>,
}

/// What one commit keeps, all of it or nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Commit<'a> {
    /// Events, numbered from [`Log::next_number`] without a gap; may be empty.
    pub events: &'a [Event],
    /// Followers' names, and the last event that each is done with, or what else it must remember.
    pub cursors: &'a [(&'a str, u64)],
    /// A range that the upstream has refused for good.
    pub quarantined: Option<&'a Quarantined>,
    /// State that covers all events up to this commit's last.
    pub checkpoint: Option<&'a [u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// A commit has failed: whether it is on disk is unknown.
    Indeterminate,
}

/// A commit's rows, encoded before anything is written.
struct Prepared {
    segment: Option<(u64, Vec<u8>)>,
    checkpoint: Option<Vec<u8>>,
    quarantined: Option<(u64, Vec<u8>)>,
    /// Where the log ends with this commit.
    tail: Tail,
}

impl Log {
    /// Opens the log in the file at `path`, which is made when there is none. What tells who its events are about is encrypted
    /// with keys of `vault`.
    ///
    /// # Errors
    /// When the folder is missing, another process has the file, or it is not a log that this version reads and whose
    /// newest segment is whole.
    pub fn open(
        path: &Path,
        config: &Config,
        metrics: Metrics,
        clock: Clock,
        vault: Vault,
    ) -> Result<(Self, LogReader), LogError> {
        Self::open_with(store::file_opener(path, config.cache_bytes), path, config, metrics, clock, vault)
    }

    pub(super) fn open_with(
        opener: Opener,
        path: &Path,
        config: &Config,
        metrics: Metrics,
        clock: Clock,
        vault: Vault,
    ) -> Result<(Self, LogReader), LogError> {
        let database = opener()?;
        let tail = store::prepare(path, &database)?;
        metrics.last_event.set(tail.last_event);
        let store = Arc::new(Store::new(path, config, metrics, vault, database));
        let (last_event, newest) = watch::channel(tail.last_event);
        let reader = LogReader::new(Arc::clone(&store), newest);
        Ok((Self { store, opener, clock, tail, state: State::Ready, last_event }, reader))
    }

    /// The number of the next event.
    pub fn next_number(&self) -> u64 {
        self.tail.last_event.saturating_add(1)
    }

    /// Keeps `commit` in one transaction, and returns when it is on disk. An empty commit is a fine way to learn
    /// whether the disk works again.
    ///
    /// # Errors
    /// [`LogError::NotContiguous`], [`LogError::TooManyEvents`] and [`LogError::Encode`] are the caller's fault and
    /// leave the log as it was. After any other error the log takes no commit until it is reopened; whether this one is
    /// on disk is unknown until then.
    pub fn commit(&mut self, commit: &Commit<'_>) -> Result<(), LogError> {
        self.check(commit)?;
        let stopwatch = Stopwatch::now();
        self.store.commit_started.set(self.clock.now());
        let prepared = Prepared::new(commit, self.tail, &self.store.vault);
        let written = prepared.and_then(|prepared| self.write(commit, &prepared).map(|()| prepared.tail));
        self.store.commit_started.clear();
        let tail = self.conclude(written, commit.events.len(), stopwatch)?;
        self.advance(tail);
        Ok(())
    }

    /// Closes the file and opens it again, to go on after a failed commit with what really is on disk:
    /// [`Log::next_number`] then tells whether the failed commit is there. Readers get [`LogError::Reopening`] meanwhile,
    /// and until it succeeds.
    ///
    /// # Errors
    /// Those of [`Log::open`], and [`LogError::EventsLost`]. It may be called again.
    pub fn reopen(&mut self) -> Result<(), LogError> {
        self.state = State::Indeterminate;
        self.store.commit_started.set(self.clock.now());
        let reopened = self.open_again();
        self.store.commit_started.clear();
        let (database, tail) = reopened.inspect_err(|_| self.store.failing_since.set_once(self.clock.now()))?;
        self.store.put(database);
        self.store.metrics.reopens.inc();
        self.advance(tail);
        self.state = State::Ready;
        Ok(())
    }

    /// Makes every checkpoint that was kept so far unreadable. The caller keeps a new one.
    ///
    /// # Errors
    /// [`LogError::Vault`] when that could not be done.
    pub fn invalidate_checkpoints(&self) -> Result<(), LogError> {
        Ok(self.store.vault.rotate_checkpoint_key()?)
    }

    fn write(&self, commit: &Commit<'_>, prepared: &Prepared) -> Result<(), LogError> {
        let mut transaction = self.store.begin_write()?;
        // With it a start after a crash takes milliseconds, whatever the size of the log.
        transaction.set_quick_repair(true);
        if let Some((first, segment)) = &prepared.segment {
            transaction.open_table(SEGMENTS).map_err(writing)?.insert(first, segment.as_slice()).map_err(writing)?;
        }
        if let Some((first, range)) = &prepared.quarantined {
            transaction.open_table(QUARANTINE).map_err(writing)?.insert(first, range.as_slice()).map_err(writing)?;
        }
        for (name, number) in commit.cursors {
            transaction.open_table(CURSORS).map_err(writing)?.insert(name, number).map_err(writing)?;
        }
        if let Some(checkpoint) = &prepared.checkpoint {
            write_checkpoint(&transaction, prepared.tail.last_event, checkpoint)?;
        }
        transaction.commit().map_err(writing)
    }

    fn open_again(&self) -> Result<(redb::Database, Tail), LogError> {
        self.store.vault.mend()?;
        self.store.take_away();
        let database = (self.opener)()?;
        let tail = store::prepare(&self.store.path, &database)?;
        if tail.last_event < self.tail.last_event {
            return Err(LogError::EventsLost { confirmed: self.tail.last_event, found: tail.last_event });
        }
        Ok((database, tail))
    }

    fn check(&self, commit: &Commit<'_>) -> Result<(), LogError> {
        if self.state == State::Indeterminate {
            return Err(LogError::NeedsReopen);
        }
        let events_max = self.store.config.batch_events_max;
        if commit.events.len() > events_max {
            return Err(LogError::TooManyEvents { events: commit.events.len(), events_max });
        }
        for (expected, event) in (self.next_number()..).zip(commit.events) {
            if event.number != expected {
                return Err(LogError::NotContiguous { expected, found: event.number });
            }
        }
        Ok(())
    }

    fn conclude(
        &mut self,
        written: Result<Tail, LogError>,
        events: usize,
        stopwatch: Stopwatch,
    ) -> Result<Tail, LogError> {
        let metrics = &self.store.metrics;
        let tail = match written {
            Ok(tail) => tail,
            Err(error @ LogError::Encode(_)) => return Err(error),
            Err(error) => {
                self.state = State::Indeterminate;
                metrics.failed_commits.inc();
                self.store.failing_since.set_once(self.clock.now());
                return Err(error);
            }
        };
        metrics.commits.inc();
        metrics.commit_seconds.observe(stopwatch.elapsed().as_secs_f64());
        if let Some(events) = u32::try_from(events).ok().filter(|events| *events > 0) {
            metrics.events.inc_by(events.into());
            metrics.batch_events.observe(events.into());
        }
        self.store.failing_since.clear();
        self.store.last_commit.set(self.clock.now());
        Ok(tail)
    }

    fn advance(&mut self, tail: Tail) {
        self.tail = tail;
        self.store.metrics.last_event.set(tail.last_event);
        self.last_event.send_if_modified(|last| std::mem::replace(last, tail.last_event) != tail.last_event);
    }
}

impl Prepared {
    fn new(commit: &Commit<'_>, mut tail: Tail, vault: &Vault) -> Result<Self, LogError> {
        let mut segment = None;
        if let [first, ..] = commit.events {
            let events = vault.encrypt(commit.events)?;
            let (bytes, link) = segment::link(&events, tail.link).map_err(LogError::Encode)?;
            segment = Some((first.number, bytes));
            tail = Tail { last_event: commit.events.last().unwrap_or(first).number, link };
        }
        let checkpoint = commit.checkpoint.map(|bytes| vault.seal_checkpoint(tail.last_event, bytes)).transpose()?;
        let mut quarantined = None;
        if let Some(range) = commit.quarantined {
            let bytes = minicbor::to_vec(range).map_err(|error| LogError::Encode(error.to_string()))?;
            quarantined = Some((range.first, bytes));
        }
        Ok(Self { segment, checkpoint, quarantined, tail })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.store.close();
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("last_event", &self.tail.last_event)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

fn write_checkpoint(transaction: &WriteTransaction, covers: u64, checkpoint: &[u8]) -> Result<(), LogError> {
    let mut table = transaction.open_table(CHECKPOINTS).map_err(writing)?;
    table.insert(covers, checkpoint).map_err(writing)?;
    while table.len().map_err(writing)? > CHECKPOINTS_KEPT {
        table.pop_first().map_err(writing)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use redb::{ReadableDatabase, ReadableTable};

    use protocol::Instant;

    use super::super::faulty_disk::{Call, Disk, Fault, clock, event, events, vault};
    use super::*;

    #[test]
    fn a_commit_is_kept_as_a_whole() {
        let (mut log, reader) = Disk::default().open().unwrap();
        let range = Quarantined { first: 1, last: 2, reason: "422".into(), at: Instant::from_unix_ms(5) };
        let kept = events(1..=3);
        let commit =
            Commit { events: &kept, cursors: &[("a", 2), ("b", 3)], quarantined: Some(&range), checkpoint: Some(b"x") };
        log.commit(&commit).unwrap();
        assert_eq!(reader.read(0, 10, 10_000).unwrap(), kept);
        assert_eq!((reader.cursor("a").unwrap(), reader.cursor("b").unwrap()), (Some(2), Some(3)));
        assert_eq!(reader.cursor("c").unwrap(), None);
        assert_eq!(reader.cursors("").unwrap(), [("a".to_owned(), 2), ("b".to_owned(), 3)]);
        assert_eq!(reader.cursors("b").unwrap(), [("b".to_owned(), 3)]);
        assert_eq!(reader.quarantined().unwrap(), [range]);
        assert_eq!(reader.newest_checkpoint().unwrap(), Some((3, b"x".to_vec())));
    }

    #[test]
    fn a_commit_without_events_leaves_no_segment() {
        let (mut log, reader) = Disk::default().open().unwrap();
        log.commit(&Commit::default()).unwrap();
        log.commit(&Commit { cursors: &[("upstream", 0)], ..Commit::default() }).unwrap();
        assert_eq!(log.next_number(), 1);
        assert_eq!(reader.verify().unwrap(), crate::log::Verified::default());
    }

    #[test]
    fn events_that_do_not_continue_the_log_are_refused_without_harm() {
        let (mut log, reader) = Disk::default().open().unwrap();
        log.commit(&Commit { events: &events(1..=3), ..Commit::default() }).unwrap();
        for (numbers, wrong) in [(vec![3], 3), (vec![5], 5), (vec![4, 6], 6), (vec![4, 4], 4), (vec![0], 0)] {
            let events: Vec<_> = numbers.iter().map(|number| event(*number)).collect();
            match log.commit(&Commit { events: &events, ..Commit::default() }) {
                Err(LogError::NotContiguous { found, .. }) => assert_eq!(found, wrong),
                other => panic!("{numbers:?}: {other:?}"),
            }
        }
        log.commit(&Commit { events: &[event(4)], ..Commit::default() }).unwrap();
        assert_eq!((reader.last_event(), reader.verify().unwrap().segments), (4, 2));
    }

    #[test]
    fn a_commit_is_limited_to_so_many_events() {
        let (mut log, reader) = Disk::default().open().unwrap();
        let limit = Config::default().batch_events_max;
        let too_many = events(1..=u64::try_from(limit).unwrap() + 1);
        let refused = log.commit(&Commit { events: &too_many, ..Commit::default() });
        assert!(matches!(refused, Err(LogError::TooManyEvents { events: 1025, events_max: 1024 })));
        log.commit(&Commit { events: &too_many[..limit], ..Commit::default() }).unwrap();
        assert_eq!(reader.last_event(), 1024);
    }

    #[test]
    fn the_newest_two_checkpoints_are_kept() {
        let (mut log, reader) = Disk::default().open().unwrap();
        for number in 1..=5 {
            let checkpoint = [u8::try_from(number).unwrap()];
            let commit = Commit { events: &[event(number)], checkpoint: Some(&checkpoint), ..Commit::default() };
            log.commit(&commit).unwrap();
        }
        assert_eq!(reader.newest_checkpoint().unwrap(), Some((5, vec![5])));
        assert_eq!(reader.older_checkpoint(5).unwrap(), Some((4, vec![4])));
        assert_eq!(reader.older_checkpoint(4).unwrap(), None);
    }

    #[test]
    fn a_read_that_is_held_open_does_not_keep_the_log_from_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.redb");
        let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
        let config = Config { cache_bytes: 0, ..Config::default() };
        let (mut log, reader) = Log::open(&path, &config, metrics, clock(), vault()).unwrap();
        for number in 1..=100 {
            log.commit(&Commit { events: &[event(number)], ..Commit::default() }).unwrap();
        }
        let held = log.store.begin_read().unwrap().open_table(SEGMENTS).unwrap();
        let mut walk = held.iter().unwrap();
        assert!(walk.next().unwrap().is_ok());
        log.reopen().unwrap();
        let cut_short = walk.find_map(Result::err).expect("the old file is not read any more");
        assert!(matches!(store::reading(cut_short), LogError::Reopening));
        log.commit(&Commit { events: &[event(101)], ..Commit::default() }).unwrap();
        assert_eq!(reader.read(0, 1000, usize::MAX).unwrap(), events(1..=101));
    }

    #[test]
    fn commits_and_failures_are_counted() {
        let disk = Disk::default();
        let (mut log, reader) = disk.open().unwrap();
        log.commit(&Commit { events: &events(1..=3), ..Commit::default() }).unwrap();
        disk.fail(Fault { call: Call::Sync, passes: 0, forgets: true });
        log.commit(&Commit { events: &[event(4)], ..Commit::default() }).unwrap_err();
        log.commit(&Commit { events: &[event(4)], ..Commit::default() }).unwrap_err();
        let metrics = log.store.metrics.clone();
        assert_eq!((metrics.commits.get(), metrics.failed_commits.get(), metrics.reopens.get()), (1, 1, 0));
        disk.mend();
        log.reopen().unwrap();
        log.commit(&Commit { events: &[event(4)], ..Commit::default() }).unwrap();
        assert_eq!((metrics.commits.get(), metrics.failed_commits.get(), metrics.reopens.get()), (2, 1, 1));
        assert_eq!((metrics.events.get(), metrics.last_event.get(), reader.figures().failed_commits), (4, 4, 1));
    }

    #[test]
    fn a_damaged_newest_segment_is_named_when_the_log_is_opened() {
        let disk = Disk::default();
        let (mut log, _) = disk.open().unwrap();
        log.commit(&Commit { events: &events(1..=3), ..Commit::default() }).unwrap();
        drop(log);
        let database = disk.opener()().unwrap();
        let torn = {
            let segments = database.begin_read().unwrap().open_table(SEGMENTS).unwrap();
            segments.get(1).unwrap().unwrap().value()[..100].to_vec()
        };
        let transaction = database.begin_write().unwrap();
        transaction.open_table(SEGMENTS).unwrap().insert(1, torn.as_slice()).unwrap();
        transaction.commit().unwrap();
        drop(database);
        assert!(matches!(disk.open(), Err(LogError::Damaged { segment: 1, .. })));
    }
}
