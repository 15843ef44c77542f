//! A disk for tests that keeps a journal of what was done to it and fails on demand, and events to put on it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "only tests have this module")]

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockWriteGuard};

use prometheus_client::registry::Registry;
use protocol::{Event, Instant, Mode, Outcome, Verdict};
use redb::{Database, StorageBackend};

use super::store::KIND;
use super::{Config, Log, LogError, LogReader, Metrics};
use crate::file::Opener;
use crate::vault::Vault;
use base::clock::Clock;
use base::testing;

/// Less than most tests write, so that pages are read again and written early.
const CACHE_BYTES: usize = 32 << 10;

/// A disk with one file, and the vault of a log on it. Clones share both.
#[derive(Clone, Debug)]
pub struct Disk {
    state: Arc<Mutex<State>>,
    /// Held while syncs are to wait.
    stalled: Arc<RwLock<()>>,
    pub vault: Vault,
}

#[derive(Debug, Default)]
struct State {
    file: Vec<u8>,
    journal: Vec<Done>,
    fault: Option<Fault>,
}

/// What was done to the file.
#[derive(Clone, Debug)]
pub enum Done {
    Write(usize, Vec<u8>),
    SetLen(usize),
    Sync,
}

/// From when on which call fails.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub call: Call,
    /// Calls of this kind that still succeed.
    pub passes: u32,
    /// Whether the disk then forgets what was not synced, as some do after a failed sync.
    pub forgets: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Read,
    Write,
    SetLen,
    Sync,
}

impl Disk {
    /// Another disk, with this file and the same vault.
    pub fn with(&self, file: Vec<u8>) -> Self {
        let disk = Self { vault: self.vault.clone(), ..Self::default() };
        disk.state().file = file;
        disk
    }

    /// A vault on this disk, instead of a log.
    pub fn open_vault(&self) -> Vault {
        let disk = self.clone();
        let open = move || Database::builder().create_with_backend(disk.clone());
        Vault::made(Box::new(move || open().map_err(|error| KIND.refused(Path::new("vault.redb"), error)))).unwrap()
    }

    /// Opens the log on this disk.
    pub fn open(&self) -> Result<(Log, LogReader), LogError> {
        let metrics = Metrics::new(&mut Registry::default());
        Log::open_with(self.opener(), Path::new("log.redb"), &Config::default(), metrics, clock(), self.vault.clone())
    }

    pub fn opener(&self) -> Opener {
        let disk = self.clone();
        Box::new(move || {
            Database::builder()
                .set_cache_size(CACHE_BYTES)
                .create_with_backend(disk.clone())
                .map_err(|error| KIND.refused(Path::new("log.redb"), error))
        })
    }

    pub fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    pub fn mend(&self) {
        self.state().fault = None;
    }

    /// Makes every sync wait until what this returns is dropped.
    pub fn stall(&self) -> RwLockWriteGuard<'_, ()> {
        self.stalled.write().unwrap()
    }

    pub fn journal(&self) -> Vec<Done> {
        self.state().journal.clone()
    }

    pub fn journal_len(&self) -> usize {
        self.state().journal.len()
    }

    /// Changes the file behind everybody's back.
    pub fn tamper(&self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.state().file);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self { state: Arc::default(), stalled: Arc::default(), vault: vault() }
    }
}

impl Done {
    pub fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write(offset, bytes) => {
                let end = offset + bytes.len();
                file.resize(file.len().max(end), 0);
                file[*offset..end].copy_from_slice(bytes);
            }
            Self::SetLen(len) => file.resize(*len, 0),
            Self::Sync => {}
        }
    }
}

impl State {
    fn call(&mut self, call: Call) -> io::Result<()> {
        match &mut self.fault {
            Some(fault) if fault.call == call && fault.passes > 0 => fault.passes -= 1,
            Some(fault) if fault.call == call => {
                if fault.forgets {
                    self.forget_unsynced();
                }
                let kind = if call == Call::SetLen { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
                return Err(kind.into());
            }
            _ => {}
        }
        Ok(())
    }

    fn forget_unsynced(&mut self) {
        let synced = self.journal.iter().rposition(|done| matches!(done, Done::Sync)).map_or(0, |last| last + 1);
        self.journal.truncate(synced);
        self.file = Vec::new();
        for done in &self.journal {
            done.apply(&mut self.file);
        }
    }

    fn done(&mut self, done: Done) {
        done.apply(&mut self.file);
        self.journal.push(done);
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().file.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::Read)?;
        let offset = usize::try_from(offset).unwrap();
        let found = state.file.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::SetLen)?;
        state.done(Done::SetLen(usize::try_from(len).unwrap()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let _not_stalled = self.stalled.read().unwrap();
        let mut state = self.state();
        state.call(Call::Sync)?;
        state.done(Done::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::Write)?;
        state.done(Done::Write(usize::try_from(offset).unwrap(), data.to_vec()));
        Ok(())
    }
}

/// A vault of its own.
pub fn vault() -> Vault {
    Vault::in_memory().unwrap()
}

/// A clock that stands still.
pub fn clock() -> Clock {
    Clock::new(|| Instant::from_unix_ms(1_795_390_264_000))
}

/// The event with this number: of one of three doors, its scan's `seq` the same as its number.
pub fn event(number: u64) -> Event {
    let event = testing::event(number);
    let observed =
        Verdict { outcome: Outcome::Recorded, mode: Mode::Observe, reason: "observe".into(), ..event.verdict };
    Event { door: format!("door-{}", number % 3).parse().unwrap(), verdict: observed, ..event }
}

/// The events with these numbers.
pub fn events(numbers: std::ops::RangeInclusive<u64>) -> Vec<Event> {
    numbers.map(event).collect()
}
