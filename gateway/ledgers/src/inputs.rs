//! What the ledgers are fed from: the log's events, and who hides behind a number.

use std::pin::Pin;
use std::sync::Arc;

use protocol::Event;
use store::log::LogReader;

/// Where events come from. Calls may block as long as the disk takes.
pub trait Source: Send + Sync {
    /// Events with a greater number than `after`, in order, encrypted as they are on disk: at most `events_max`, and about
    /// `bytes_max`, but at least one if there is one.
    ///
    /// # Errors
    /// What is wrong. It is tried again.
    fn read(&self, after: u64, events_max: usize, bytes_max: usize) -> Result<Vec<Event>, String>;

    /// Number of the newest event; 0 when there is none.
    fn last_event(&self) -> u64;

    /// Resolves as soon as there is an event with a greater number than `number`, or when there will be none any more.
    fn wait_beyond(&self, number: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

impl Source for LogReader {
    fn read(&self, after: u64, events_max: usize, bytes_max: usize) -> Result<Vec<Event>, String> {
        self.read_sealed(after, events_max, bytes_max).map_err(|error| error.to_string())
    }

    fn last_event(&self) -> u64 {
        LogReader::last_event(self)
    }

    fn wait_beyond(&self, number: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move { drop(LogReader::wait_beyond(self, number).await) })
    }
}

/// Who hides behind a number. A number without a subject is of somebody who was erased.
pub trait People: Send + Sync {
    /// The number of a subject: a person's id, or `~` and the hash of a credential of nobody.
    fn number(&self, subject: &str) -> Option<u64>;

    /// Whose number it is; `None` when they were erased.
    fn subject(&self, number: u64) -> Option<Arc<str>>;

    /// The subject's number, a new one if need be; `None` where none can be given.
    fn intern(&self, subject: &str) -> Option<u64>;

    /// Whether the person's data may only be kept, not used.
    fn is_restricted(&self, number: u64) -> bool;
}

/// What becomes of people whose data may only be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restricted {
    /// They are left out.
    LeftOut,
    /// They are in it: for their own export.
    Included,
}
