//! One live session as others see it: what they command it to do, and when it has ended.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use base::identity::Identity;

/// Decisions on assist requests that wait for one door's session; beyond, the oldest is dropped.
const PENDING_DECISIONS_MAX: usize = 16;

/// One live session as others see it.
pub(super) struct Client {
    pub(super) identity: Identity,
    /// Where it has connected from.
    pub(super) address: IpAddr,
    pending: AtomicU8,
    commanded: Notify,
    /// Decisions that the door has not asked for.
    decisions: Mutex<VecDeque<Bytes>>,
    ended: AtomicBool,
    end: Notify,
}

/// What others command a session to do; a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Command(u8);

impl Command {
    pub(super) const TAKEOVER: Self = Self(1);
    pub(super) const REVOKED: Self = Self(2);
    pub(super) const SHUTDOWN: Self = Self(4);
    pub(super) const CONFIG: Self = Self(8);
    pub(super) const DECISIONS: Self = Self(16);
    pub(super) const ANY: Self = Self(u8::MAX);

    pub(super) fn has(self, command: Self) -> bool {
        self.0 & command.0 != 0
    }
}

impl Client {
    pub(super) fn new(identity: Identity, address: IpAddr) -> Self {
        Self {
            identity,
            address,
            pending: AtomicU8::new(0),
            commanded: Notify::new(),
            decisions: Mutex::default(),
            ended: AtomicBool::new(false),
            end: Notify::new(),
        }
    }

    /// Completes when there may be new commands.
    pub(super) async fn commanded(&self) {
        self.commanded.notified().await;
    }

    /// Completes when the session must end at once, even in the middle of a write.
    pub(super) async fn must_end(&self) {
        while !self.commands().has(Command(Command::TAKEOVER.0 | Command::REVOKED.0)) {
            self.commanded().await;
        }
        // The session still has to see why.
        self.commanded.notify_one();
    }

    /// What is commanded and not yet applied.
    pub(super) fn commands(&self) -> Command {
        Command(self.pending.load(Ordering::Acquire))
    }

    /// Strikes a command that is applied.
    pub(super) fn applied(&self, command: Command) {
        self.pending.fetch_and(!command.0, Ordering::AcqRel);
    }

    pub(super) fn tell(&self, decision: Bytes) {
        let mut told = self.decisions.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= PENDING_DECISIONS_MAX {
            told.pop_front();
        }
        told.push_back(decision);
        drop(told);
        self.command(Command::DECISIONS);
    }

    /// Takes the decisions that the door has not asked for.
    pub(super) fn take_pending_decisions(&self) -> VecDeque<Bytes> {
        std::mem::take(&mut self.decisions.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn command(&self, command: Command) {
        self.pending.fetch_or(command.0, Ordering::AcqRel);
        self.commanded.notify_one();
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.end.notify_waiters();
    }

    pub(super) async fn ended(&self) {
        let mut end = std::pin::pin!(self.end.notified());
        end.as_mut().enable();
        if !self.ended.load(Ordering::Acquire) {
            end.await;
        }
    }
}
