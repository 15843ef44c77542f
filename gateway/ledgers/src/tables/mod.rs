//! `views.redb`: what the ledgers know of the log, by day and person, in numbers.
//!
//! # What is on disk
//!
//! One redb file, mode 0600, derived from the log. Days are days since 1970 on the site's calendar, persons are numbers of the
//! vault; the file has no id of anybody.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `sightings` | day, person | who was at which door when, in the order of time |
//! | `totals` | day | how many values `sightings` has of the day, and their checksums together |
//! | `events` | day | number of the last event that happened on it |
//! | `stays` | day, zone | everybody's stays that began then and there; zone [`HEADER`]: which zones there are, by which rules |
//! | `names` | number | the name of a door or a zone |
//! | `meta` | `state` | [`State`] |
//!
//! `stays` is a cache: what it says follows from `sightings` and the rules. It holds days that are over and settled.
//!
//! # Invariants
//!
//! - The state, and with it the number of the last event, is written together with the rows of the events up to it.
//! - Every value begins with a checksum of its key and itself (`pack.rs`). A missing row shows in `totals` when a day is read as
//!   a whole.
//! - To take in an event again changes nothing.

mod error;
mod names;
mod pack;
mod read;
mod write;

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use minicbor::{Decode, Encode};
use protocol::{Event, Instant};
use redb::{Database, ReadableDatabase, TableDefinition};
use store::file::FileKind;

pub use error::TablesError;
pub use names::Names;
pub use pack::{Filed, PackedStay, Row, hash};
pub use read::{SightingRows, View};
pub use write::Batch;

const KIND: FileKind = FileKind {
    what: "a file of ledgers",
    format: pack::FORMAT as u64,
    if_foreign: "it is rebuilt from the log",
    if_damaged: "delete the file, so that it is rebuilt,",
};

type Sightings = TableDefinition<'static, (i32, u64), &'static [u8]>;

const SIGHTINGS: Sightings = TableDefinition::new("sightings");
const TOTALS: TableDefinition<'static, i32, &[u8]> = TableDefinition::new("totals");
const EVENTS: TableDefinition<'static, i32, &[u8]> = TableDefinition::new("events");
const STAYS: TableDefinition<'static, (i32, u32), &[u8]> = TableDefinition::new("stays");
const NAMES: TableDefinition<'static, u32, &[u8]> = TableDefinition::new("names");
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
const STATE: &str = "state";

/// The zone of a day's header in `stays`; names are fewer.
const HEADER: u32 = u32::MAX;

/// By what the tables go into checksums.
mod tag {
    pub const SIGHTINGS: u8 = 1;
    pub const TOTALS: u8 = 2;
    pub const EVENTS: u8 = 3;
    pub const STAYS: u8 = 4;
    pub const NAMES: u8 = 5;
    pub const META: u8 = 6;
}

const STATE_PLACE: pack::RowKey = pack::RowKey(tag::META, 0, 0);

/// How far the file reflects the log, and what it was made by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct State {
    /// Number of the last event that it reflects; 0: none.
    #[n(0)]
    pub through: u64,
    /// [`identity`] of that event, by which another log is noticed.
    #[n(1)]
    pub identity: u64,
    /// The newest time of a decision, in Unix milliseconds.
    #[n(2)]
    pub newest_ms: i64,
    /// The time zone by which days are told.
    #[n(3)]
    pub time_zone: String,
    /// Whether it has reached the log's end since it was made.
    #[n(4)]
    pub complete: bool,
    /// Sightings of earlier days are deleted.
    #[n(5)]
    pub sightings_from: Option<i32>,
    /// Stays of earlier days are deleted.
    #[n(6)]
    pub stays_from: Option<i32>,
}

/// How many values a day has in `sightings`, and the exclusive-or of their checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Total {
    #[n(0)]
    values: u64,
    #[n(1)]
    checksums: u64,
}

/// Which zones have stays on a day, and by which rules they were made.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Header {
    /// The rules' fingerprint.
    #[n(0)]
    rules: u64,
    /// As they were known at this moment, Unix milliseconds.
    #[n(1)]
    at_ms: i64,
    /// Zones, each with the checksum of its stays.
    #[n(2)]
    zones: Vec<(u32, u64)>,
}

/// The open file.
pub struct Tables {
    database: Database,
    /// Ahead of what is committed, never behind.
    names: ArcSwap<Vec<Arc<str>>>,
}

impl Tables {
    /// Opens the file, or makes an empty one.
    ///
    /// # Errors
    /// [`OpenError::InUse`](store::file::OpenError::InUse) where it is open elsewhere. After any other the file had better be deleted.
    pub fn open(path: &Path, cache_bytes: usize, time_zone: &str) -> Result<Self, TablesError> {
        let is_new = std::fs::metadata(path).map_or(true, |file| file.len() == 0);
        let mut database = KIND.open(path, cache_bytes)?;
        // Pages have checksums that nobody else looks at, and a damaged one can make redb panic twice, which ends the process.
        if !is_new && !matches!(database.check_integrity(), Ok(true)) {
            std::mem::forget(database);
            return Err(TablesError::Damaged("a page is damaged"));
        }
        let tables = Self { database, names: ArcSwap::default() };
        if is_new {
            tables.create(time_zone)?;
        }
        let view = tables.view()?;
        if view.state()?.time_zone != time_zone {
            return Err(TablesError::Damaged("its days are those of another time zone"));
        }
        tables.names.store(Arc::new(view.names()?));
        Ok(tables)
    }

    /// What is committed now.
    pub fn view(&self) -> Result<View, TablesError> {
        View::new(&self.database.begin_read()?, || self.names.load_full())
    }

    fn create(&self, time_zone: &str) -> Result<(), TablesError> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        transaction.open_table(SIGHTINGS)?;
        transaction.open_table(TOTALS)?;
        transaction.open_table(EVENTS)?;
        transaction.open_table(STAYS)?;
        transaction.open_table(NAMES)?;
        let state = State { time_zone: time_zone.into(), ..State::default() };
        transaction.open_table(META)?.insert(STATE, pack::encode(STATE_PLACE, &state)?.as_slice())?;
        Ok(transaction.commit()?)
    }
}

/// By what an event is recognised, sealed or not.
pub fn identity(event: &Event) -> u64 {
    let text = format!("{} {} {}", event.number, event.door.as_str(), event.received_at.unix_ms());
    pack::hash(&[text.as_bytes()])
}

/// The moment of [`State::newest_ms`].
pub fn newest(state: &State) -> Instant {
    Instant::from_unix_ms(state.newest_ms)
}
