//! What those who ask the ledgers and the thread that follows the log have in common.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arc_swap::ArcSwap;
use protocol::Instant;
use thiserror::Error;
use tokio::sync::watch;

use super::locks::lock;
use super::recent::Recent;
use super::tables::Tables;
use super::{Config, Metrics, People, Rules, Source};
use base::clock::Clock;

/// What the ledgers are made of.
pub struct LedgerContext {
    /// `views.redb`; made when there is none.
    pub path: PathBuf,
    /// How it is kept.
    pub config: Config,
    /// The log's events.
    pub source: Arc<dyn Source>,
    /// Who hides behind a number.
    pub people: Arc<dyn People>,
    /// How passages are read. May change at any time.
    pub rules: Arc<ArcSwap<Rules>>,
    /// The gateway's clock, for the status.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
}

/// How far the ledgers reflect the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Number of the last event that they reflect.
    pub through: u64,
    /// Number of the last event in the log.
    pub last: u64,
    /// They have not reached the log's end since they were rebuilt: no question is answered.
    pub rebuilding: bool,
}

/// Why something was not forgotten or deleted.
#[derive(Debug, Error)]
#[error("the ledgers still have what was to be deleted: {0}; try again")]
pub struct NotDeleted(pub(super) String);

/// Up to where the ledgers have got.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    pub through: u64,
    pub complete: bool,
}

/// What those who ask and the follower share.
pub(super) struct Shared {
    pub parts: LedgerContext,
    pub progress: watch::Sender<Progress>,
    /// Nothing is left to do for the follower.
    pub at_rest: AtomicBool,
    /// Earlier sightings, and earlier stays, are deleted: days.
    pub horizons: Mutex<(Option<i32>, Option<i32>)>,
    /// Since when no question is answered.
    pub rebuilding_since: Mutex<Option<Instant>>,
    /// Days on which something was taken in, until somebody asks.
    pub changed: Mutex<BTreeSet<i32>>,
    /// Stays of days that are not over.
    pub recent: Recent,
    /// Why the log cannot be read.
    pub trouble: Mutex<Option<String>>,
    tables: RwLock<Option<Arc<Tables>>>,
    in_force: Mutex<Option<(Arc<Rules>, u64)>>,
}

impl Shared {
    /// Nothing is known of the log yet.
    pub fn new(parts: LedgerContext) -> Self {
        Self {
            rebuilding_since: Mutex::new(Some(parts.clock.now())),
            parts,
            progress: watch::Sender::default(),
            at_rest: AtomicBool::new(false),
            horizons: Mutex::default(),
            changed: Mutex::default(),
            recent: Recent::default(),
            trouble: Mutex::default(),
            tables: RwLock::default(),
            in_force: Mutex::default(),
        }
    }

    pub fn position(&self) -> Position {
        let Progress { through, complete } = *self.progress.borrow();
        Position { through, last: self.parts.source.last_event().max(through), rebuilding: !complete }
    }

    /// The rules in force, and their fingerprint.
    pub fn rules(&self) -> (Arc<Rules>, u64) {
        let rules = self.parts.rules.load_full();
        let mut in_force = lock(&self.in_force);
        match &*in_force {
            Some((known, fingerprint)) if Arc::ptr_eq(known, &rules) => (rules, *fingerprint),
            _ => {
                let fingerprint = rules.fingerprint();
                *in_force = Some((Arc::clone(&rules), fingerprint));
                (rules, fingerprint)
            }
        }
    }

    /// Puts the file in the place from which questions are answered, or takes it away.
    pub fn put(&self, tables: Option<Arc<Tables>>) {
        let old = std::mem::replace(&mut *self.tables.write().unwrap_or_else(PoisonError::into_inner), tables);
        // Closing may sync: not under the lock.
        drop(old);
    }

    /// The file from which questions are answered, where there is one.
    pub fn tables(&self) -> Option<Arc<Tables>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
