//! The thread that follows the log. Whatever goes wrong with the file, it is deleted and rebuilt.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant as Monotonic};

use store::file::OpenError;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;

use super::locks::lock;
use super::shared::{NotDeleted, Progress, Shared};
use super::tables::{Tables, TablesError, identity};
use super::upkeep::Upkeep;

/// How much lower the thread's priority is than that of those that serve doors.
const NICE: i32 = 10;
/// How often it looks whether rules have changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long it waits before the log is read again after that has failed, and before the file is rebuilt a second time.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long a file must do for a failure to be the first again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(3_600);

/// What the follower is told. Replies tell how many rows were deleted.
pub(super) enum Command {
    /// End, with everything durable.
    Stop,
    /// Delete everything about these persons.
    Forget(Vec<u64>, Sender<Result<u64, NotDeleted>>),
    /// Delete what is of earlier days.
    Expire { sightings: i32, stays: i32, reply: Sender<Result<u64, NotDeleted>> },
    /// This file could not be read, for a reason.
    GiveUp(Weak<Tables>, String),
}

/// The thread's own.
pub(super) struct Follower {
    shared: Arc<Shared>,
    inbox: UnboundedReceiver<Command>,
    runtime: Runtime,
    /// Files given up one after another.
    failures: u32,
    failed_at: Option<Monotonic>,
    /// It was told to stop: no file is made any more.
    stopping: bool,
}

/// A file that is never closed, unless it is taken out: to close one that is damaged can end the process. It costs a handle and
/// the memory of its pages each time a file is given up.
struct NeverClosed(Option<Arc<Tables>>);

impl Drop for NeverClosed {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(std::mem::forget);
    }
}

/// Whether to go on.
enum Next {
    Go,
    Stop,
}

impl Follower {
    pub fn new(shared: Arc<Shared>, inbox: UnboundedReceiver<Command>) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_time().build()?;
        Ok(Self { shared, inbox, runtime, failures: 0, failed_at: None, stopping: false })
    }

    /// Follows until it is told to stop, or nobody is left who could.
    pub fn run(mut self) {
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "the ledgers' thread keeps its priority");
        }
        loop {
            let (reason, may_be_good) = match catch_unwind(AssertUnwindSafe(|| self.follow())) {
                Ok(Ok(())) => break,
                Ok(Err(error @ TablesError::Open(OpenError::InUse { .. }))) => (error.to_string(), true),
                Ok(Err(error)) => (error.to_string(), false),
                Err(_) => ("an event could not be taken in".to_owned(), false),
            };
            if self.stopping {
                tracing::warn!(reason, "the ledgers were not made durable; what is missing is taken in again");
                break;
            }
            if let Next::Stop = self.begin_anew(&reason, may_be_good) {
                break;
            }
        }
        self.shared.put(None);
        self.shared.progress.send_replace(Progress::default());
    }

    fn begin_anew(&mut self, reason: &str, may_be_good: bool) -> Next {
        let Shared { parts, progress, rebuilding_since, .. } = &*self.shared;
        self.shared.put(None);
        self.shared.recent.forget();
        self.shared.at_rest.store(false, Ordering::Release);
        progress.send_replace(Progress::default());
        lock(rebuilding_since).get_or_insert_with(|| parts.clock.now());
        if may_be_good {
            tracing::warn!(file = %parts.path.display(), reason, "the ledgers cannot be opened");
        } else {
            parts.metrics.rebuilds.inc();
            tracing::warn!(file = %parts.path.display(), reason, "the ledgers are rebuilt from the log");
        }
        if !may_be_good
            && let Err(error) = std::fs::remove_file(&parts.path)
            && parts.path.exists()
        {
            tracing::error!(file = %parts.path.display(), %error, "the ledgers cannot be deleted; check the folder");
        }
        // What fails again and again is tried less and less often.
        let lasted = self.failed_at.replace(Monotonic::now()).is_none_or(|before| before.elapsed() > FORGIVEN_AFTER);
        self.failures = if lasted { 1 } else { self.failures.saturating_add(1) };
        match self.failures {
            1 if !may_be_good => Next::Go,
            failures => self.pause(PAUSE.saturating_mul(1 << failures.min(6)).min(PAUSE_MAX)),
        }
    }

    /// Waits; whoever wants something deleted is told how it stands.
    fn pause(&mut self, pause: Duration) -> Next {
        let until = Monotonic::now() + pause;
        loop {
            let rest = until.saturating_duration_since(Monotonic::now());
            let inbox = &mut self.inbox;
            let command = self.runtime.block_on(async { tokio::time::timeout(rest, inbox.recv()).await });
            let gone = !self.shared.parts.path.exists();
            let answer = || if gone { Ok(0) } else { Err(NotDeleted("their file cannot be opened".into())) };
            match command {
                Err(_) => return Next::Go,
                Ok(None | Some(Command::Stop)) => return Next::Stop,
                Ok(Some(Command::Forget(_, reply))) => drop(reply.send(answer())),
                Ok(Some(Command::Expire { sightings, stays, reply })) => {
                    *lock(&self.shared.horizons) = (Some(sightings), Some(stays));
                    drop(reply.send(answer()));
                }
                Ok(Some(Command::GiveUp(..))) => {}
            }
        }
    }

    /// Opens the file and follows the log. Ends well only when it is told to stop.
    fn follow(&mut self) -> Result<(), TablesError> {
        let shared = Arc::clone(&self.shared);
        let mut upkeep = Upkeep::open(&shared)?;
        let mut kept_open = NeverClosed(Some(Arc::clone(&upkeep.tables)));
        self.follow_with(&shared, &mut upkeep)?;
        kept_open.0 = None;
        Ok(())
    }

    fn follow_with(&mut self, shared: &Shared, upkeep: &mut Upkeep<'_>) -> Result<(), TablesError> {
        if let Next::Stop = self.recognise(upkeep)? {
            return Ok(());
        }
        shared.put(Some(Arc::clone(&upkeep.tables)));
        upkeep.tell();
        loop {
            if let Next::Stop = self.obey(upkeep)? {
                return upkeep.sync();
            }
            upkeep.look_at_rules()?;
            match upkeep.take_in() {
                Ok(false) => {}
                Ok(true) => continue,
                Err(Ok(error)) => return Err(error),
                Err(Err(trouble)) => {
                    if let Next::Stop = self.wait_out(upkeep, trouble)? {
                        return upkeep.sync();
                    }
                    continue;
                }
            }
            upkeep.reached_end()?;
            upkeep.sync_if_due()?;
            if upkeep.keep_in_order()? {
                continue;
            }
            shared.at_rest.store(true, Ordering::Release);
            if let Next::Stop = self.wait(upkeep)? {
                return upkeep.sync();
            }
        }
    }

    /// Checks that the file reflects this log.
    fn recognise(&mut self, upkeep: &mut Upkeep<'_>) -> Result<Next, TablesError> {
        let source = Arc::clone(&self.shared.parts.source);
        let through = upkeep.state.through;
        while let Some(before) = through.checked_sub(1) {
            if source.last_event() < through {
                return Err(TablesError::Damaged("it reflects events that are not in the log"));
            }
            match source.read(before, 1, 0) {
                Ok(events) => match events.first() {
                    Some(event) if identity(event) == upkeep.state.identity => break,
                    _ => return Err(TablesError::Damaged("it reflects another log")),
                },
                Err(trouble) => {
                    if let Next::Stop = self.wait_out(upkeep, trouble)? {
                        return Ok(Next::Stop);
                    }
                }
            }
        }
        Ok(Next::Go)
    }

    /// The log cannot be read: waits a little.
    fn wait_out(&mut self, upkeep: &mut Upkeep<'_>, trouble: String) -> Result<Next, TablesError> {
        self.shared.parts.metrics.failed_reads.inc();
        *lock(&self.shared.trouble) = Some(trouble);
        let inbox = &mut self.inbox;
        match self.runtime.block_on(async { tokio::time::timeout(PAUSE, inbox.recv()).await }) {
            Err(_) => Ok(Next::Go),
            Ok(None) => Ok(Next::Stop),
            Ok(Some(command)) => self.carry_out(command, upkeep),
        }
    }

    /// Carries out what it was told meanwhile.
    fn obey(&mut self, upkeep: &mut Upkeep<'_>) -> Result<Next, TablesError> {
        loop {
            match self.inbox.try_recv() {
                Err(TryRecvError::Empty) => return Ok(Next::Go),
                Err(TryRecvError::Disconnected) => return Ok(Next::Stop),
                Ok(command) => {
                    if let Next::Stop = self.carry_out(command, upkeep)? {
                        return Ok(Next::Stop);
                    }
                }
            }
        }
    }

    fn carry_out(&mut self, command: Command, upkeep: &mut Upkeep<'_>) -> Result<Next, TablesError> {
        // Whoever has asked may have gone.
        match command {
            Command::Stop => {
                self.stopping = true;
                return Ok(Next::Stop);
            }
            Command::GiveUp(tables, reason) => {
                if tables.ptr_eq(&Arc::downgrade(&upkeep.tables)) {
                    tracing::warn!(reason, "the ledgers could not be read");
                    return Err(TablesError::Damaged("it could not be read"));
                }
            }
            Command::Forget(persons, reply) => match upkeep.forget(&persons) {
                Ok(rows) => drop(reply.send(Ok(rows))),
                Err(error) => return self.delete_instead(error, &reply),
            },
            Command::Expire { sightings, stays, reply } => {
                *lock(&self.shared.horizons) = (Some(sightings), Some(stays));
                match upkeep.expire() {
                    Ok(()) => drop(reply.send(Ok(0))),
                    Err(error) => return self.delete_instead(error, &reply),
                }
            }
        }
        Ok(Next::Go)
    }

    /// Nothing can be deleted from the file: it is about to be deleted as a whole.
    fn delete_instead(&self, error: TablesError, reply: &Sender<Result<u64, NotDeleted>>) -> Result<Next, TablesError> {
        let removed = std::fs::remove_file(&self.shared.parts.path);
        drop(reply.send(removed.map(|()| 0).map_err(|error| NotDeleted(error.to_string()))));
        Err(error)
    }

    /// Waits for an event, a command, or the time to look after something.
    fn wait(&mut self, upkeep: &mut Upkeep<'_>) -> Result<Next, TablesError> {
        let source = &self.shared.parts.source;
        let through = upkeep.state.through;
        let pause = upkeep.sync_due_in().unwrap_or(LOOK_INTERVAL).min(LOOK_INTERVAL);
        let inbox = &mut self.inbox;
        let command = self.runtime.block_on(async {
            let event = async {
                source.wait_beyond(through).await;
                if source.last_event() <= through {
                    // There will be none any more.
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                command = inbox.recv() => Some(command),
                () = event => None,
                () = tokio::time::sleep(pause) => None,
            }
        });
        match command {
            None => Ok(Next::Go),
            Some(None) => Ok(Next::Stop),
            Some(Some(command)) => self.carry_out(command, upkeep),
        }
    }
}
