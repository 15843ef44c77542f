//! The ledgers as others use them: questions, how far they reflect the log, and what is to be forgotten.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::civil::Date;
use protocol::Instant;
use thiserror::Error;
use tokio::sync::mpsc;

use super::calendar::{day_number, day_of_number};
use super::follower::{Command, Follower};
use super::history::Histories;
use super::locks::lock;
use super::shared::{LedgerContext, NotDeleted, Position, Shared};
use super::tables::{TablesError, View};
use super::trace::{FOLLOWED_MAX, Trace};
use super::{Attendance, Contact, ContactQuery, Person, PresenceNow, Restricted, Stay, present, working_days};
use protocol::api::{Problem, Severity};

/// Events behind the log's end from which the status warns.
const BEHIND_MAX: u64 = 10_000;
/// Days of everybody's attendance that are read at a time.
const DAYS_AT_A_TIME: usize = 7;

/// Why a question is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LedgerStoreError {
    /// The ledgers are being rebuilt from the log.
    #[error(
        "attendance, presence and contacts are being rebuilt from the log, event {through} of {last}; try again later"
    )]
    Rebuilding {
        /// Number of the last event that they reflect.
        through: u64,
        /// Number of the last event in the log.
        last: u64,
    },
    /// The person has more contacts than can be followed to their contacts.
    #[error(
        "the person has {contacts} contacts, contacts of at most {FOLLOWED_MAX} are looked for; take a shorter period or \
         more minutes"
    )]
    TooMany {
        /// How many.
        contacts: usize,
    },
    /// The ledgers have been stopped.
    #[error("the gateway is stopping; try again")]
    Stopped,
}

/// The ledgers. Cheap to clone; calls block the thread for as long as the disk takes, unless they are `async`.
#[derive(Clone)]
pub struct LedgerStore {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl LedgerStore {
    /// Starts to follow the log, on a thread of its own.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(parts: LedgerContext) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(parts));
        let (commands, inbox) = mpsc::unbounded_channel();
        let follower = Follower::new(Arc::clone(&shared), inbox)?;
        let thread = std::thread::Builder::new().name("ledgers".into()).spawn(move || follower.run())?;
        Ok(Self { shared, commands, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// How far the ledgers reflect the log.
    pub fn position(&self) -> Position {
        self.shared.position()
    }

    /// Waits until the ledgers reflect the event with this number, but not longer than `within`. Says whether they do.
    pub async fn reach(&self, number: u64, within: Duration) -> bool {
        let mut progress = self.shared.progress.subscribe();
        let reached = progress.wait_for(|progress| progress.complete && progress.through >= number);
        matches!(tokio::time::timeout(within, reached).await, Ok(Ok(_)))
    }

    /// Whether everything is done: the log's end is reached, the file is checked, and days that are over are settled.
    pub fn is_at_rest(&self) -> bool {
        let Position { through, last, rebuilding } = self.position();
        !rebuilding && through == last && self.shared.at_rest.load(Ordering::Acquire)
    }

    /// Who is in the site at `now`. Nobody is left out: the list is for an evacuation too.
    ///
    /// # Errors
    /// While the ledgers are being rebuilt.
    pub fn presence(&self, now: Instant) -> Result<PresenceNow, LedgerStoreError> {
        self.ask(Restricted::Included, now, |histories, _| {
            let (rules, today) = (histories.rules, day_number(histories.rules.day_of(now)));
            let everybody = histories.of_everybody(today..=today)?;
            let people = everybody.iter().filter_map(|one| present(&one.person, &one.sessions(rules, now), rules, now));
            Ok(PresenceNow::new(now, people.collect(), rules))
        })
    }

    /// The working days from `from` to `to` of one person, or of everybody who is known by more than a credential, by day and person.
    ///
    /// # Errors
    /// While the ledgers are being rebuilt.
    pub fn attendance(
        &self,
        from: Date,
        to: Date,
        person: Option<&str>,
        restricted: Restricted,
        now: Instant,
    ) -> Result<Vec<Attendance>, LedgerStoreError> {
        self.ask(restricted, now, |histories, _| {
            let rules = histories.rules;
            let mut rows = Vec::new();
            if let Some(person) = person {
                let Some(number) = histories.people.number(person) else { return Ok(rows) };
                // The session of a night shift may begin behind midnight.
                let days = day_number(from)..=day_number(to).saturating_add(1);
                if let Some(one) = histories.of(number, days)? {
                    rows = working_days(&one.person, from, to, &one.sessions(rules, now), rules);
                }
                return Ok(rows);
            }
            // A session may belong to the day before it began: a night shift.
            let days = histories.view.days_of_stays(day_number(from)..=day_number(to), 1)?;
            let days: Vec<i32> = days.into_iter().collect();
            for days in days.chunks(DAYS_AT_A_TIME) {
                let ([first, ..], [.., last]) = (days, days) else { continue };
                for one in histories.of_everybody(*first..=last.saturating_add(1))? {
                    if !one.person.is_anonymous() {
                        let sessions = one.sessions(rules, now);
                        let of_days = |row: &Attendance| days.contains(&day_number(row.day));
                        rows.extend(working_days(&one.person, from, to, &sessions, rules).into_iter().filter(of_days));
                    }
                }
            }
            rows.sort_by(|one, other| (one.day, &one.person).cmp(&(other.day, &other.person)));
            Ok(rows)
        })
    }

    /// The person's contacts. People whose data is restricted have none and are none.
    ///
    /// # Errors
    /// While the ledgers are being rebuilt; [`LedgerStoreError::TooMany`] where contacts of contacts come to too much.
    pub fn contacts(&self, query: &ContactQuery, now: Instant) -> Result<Vec<Contact>, LedgerStoreError> {
        let found = self.ask(Restricted::LeftOut, now, |histories, rules| {
            let Some(number) = histories.people.number(query.person.as_str()) else { return Ok(Ok(Vec::new())) };
            Trace { histories, query, rules, recent: &self.shared.recent }.contacts(number)
        })?;
        found.map_err(|contacts| LedgerStoreError::TooMany { contacts })
    }

    /// Where the person was between `from` and `to`, in order; nowhere where their data are restricted.
    ///
    /// # Errors
    /// While the ledgers are being rebuilt.
    pub fn stays(
        &self,
        person: &Person,
        from: Instant,
        to: Instant,
        now: Instant,
    ) -> Result<Vec<Stay>, LedgerStoreError> {
        self.ask(Restricted::LeftOut, now, |histories, _| {
            let Some(number) = histories.people.number(person.as_str()) else { return Ok(Vec::new()) };
            let day = |at| day_number(histories.rules.day_of(at));
            let Some(history) = histories.of(number, day(from).saturating_sub(1)..=day(to))? else {
                return Ok(Vec::new());
            };
            let stays = history.sessions(histories.rules, now).into_iter().flat_map(|session| session.stays);
            Ok(stays.filter(|stay| stay.from.earliest < to && stay.to.latest > from).collect())
        })
    }

    /// Days on which something was taken in since it was last asked, and the days before them, to which a night shift belongs.
    pub fn changed_days(&self) -> Vec<Date> {
        let changed = std::mem::take(&mut *lock(&self.shared.changed));
        let days: BTreeSet<i32> = changed.into_iter().flat_map(|day| [day.saturating_sub(1), day]).collect();
        days.into_iter().map(day_of_number).collect()
    }

    /// Numbers of the events in which the person stood at a door from `from` until before `to`, let through or not, in order:
    /// at most `limit` of those behind `after`. A late scan counts at the time at which it was made.
    ///
    /// # Errors
    /// While the ledgers are being rebuilt.
    pub fn events_of(
        &self,
        person: &str,
        (from, to): (Option<Instant>, Option<Instant>),
        after: u64,
        limit: usize,
        restricted: Restricted,
    ) -> Result<Vec<u64>, LedgerStoreError> {
        self.ask(restricted, Instant::from_unix_ms(i64::MAX), |histories, _| {
            let Some(number) = histories.people.number(person) else { return Ok(Vec::new()) };
            if histories.person(number).is_none() {
                return Ok(Vec::new());
            }
            let day = |at| day_number(histories.rules.day_of(at));
            let mut numbers = Vec::new();
            for day in histories.view.days(from.map_or(i32::MIN, day)..=to.map_or(i32::MAX, day))? {
                let rows = histories.view.rows_of(day, number)?.into_iter().filter(|row| row.number > after);
                let at = |at: Instant| from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to);
                numbers.extend(rows.filter(|row| at(row.at(day))).map(|row| row.number));
            }
            numbers.sort_unstable();
            numbers.truncate(limit);
            Ok(numbers)
        })
    }

    /// Number of the last event that happened on the day of `to` or before; 0 when there is none.
    ///
    /// # Errors
    /// While the ledgers are being rebuilt.
    pub fn last_number_until(&self, to: Instant) -> Result<u64, LedgerStoreError> {
        self.ask(Restricted::Included, Instant::from_unix_ms(i64::MAX), |histories, _| {
            histories.view.last_event(..=day_number(histories.rules.day_of(to)))
        })
    }

    /// Deletes everything about the persons with these numbers, for good when it returns. Returns how many of their days there
    /// were. Their numbers must have lost their subjects before, so that nothing comes back.
    ///
    /// # Errors
    /// When it is not certain.
    pub fn forget(&self, persons: &[u64]) -> Result<u64, NotDeleted> {
        self.order(|reply| Command::Forget(persons.to_vec(), reply))
    }

    /// Deletes, and from now on leaves out, sightings and stays of earlier days.
    ///
    /// # Errors
    /// When it is not certain.
    pub fn expire(&self, sightings_before: Date, stays_before: Date) -> Result<(), NotDeleted> {
        let (sightings, stays) = (day_number(sightings_before), day_number(stays_before));
        self.order(|reply| Command::Expire { sightings, stays, reply }).map(drop)
    }

    /// Stops following, and makes everything durable. Without it, what is not durable is taken in again after the next start.
    pub fn stop(&self) {
        drop(self.commands.send(Command::Stop));
        let thread = lock(&self.thread).take();
        // It has reported whatever went wrong.
        drop(thread.map(JoinHandle::join));
    }

    /// What is wrong with the ledgers, for the status.
    pub fn problems(&self, now: Instant) -> Vec<Problem> {
        let Position { through, last, rebuilding } = self.position();
        self.shared.parts.metrics.behind.set(last.saturating_sub(through));
        let since = *lock(&self.shared.rebuilding_since);
        let message = if let Some(reason) = &*lock(&self.shared.trouble) {
            format!("attendance, presence and contacts do not follow: {reason}")
        } else if rebuilding && since.is_some_and(|since| now.ms_since(since) > 5_000) {
            format!("attendance, presence and contacts are being rebuilt from the log: event {through} of {last}")
        } else if !rebuilding && last.saturating_sub(through) > BEHIND_MAX {
            format!("attendance, presence and contacts are {} events behind the log", last.saturating_sub(through))
        } else {
            return Vec::new();
        };
        let since = since.filter(|_| rebuilding);
        vec![Problem { severity: Severity::Warning, what: "ledgers".into(), message, since }]
    }

    fn order(
        &self,
        command: impl FnOnce(std::sync::mpsc::Sender<Result<u64, NotDeleted>>) -> Command,
    ) -> Result<u64, NotDeleted> {
        let (reply, answer) = std::sync::mpsc::channel();
        let stopped = || NotDeleted("they have been stopped".into());
        self.commands.send(command(reply)).map_err(|_| stopped())?;
        answer.recv().map_err(|_| stopped())?
    }

    /// Answers a question from one state of the file. Where that fails, whatever the reason, the file is given up.
    fn ask<T>(
        &self,
        restricted: Restricted,
        now: Instant,
        question: impl Fn(&Histories<'_>, u64) -> Result<T, TablesError>,
    ) -> Result<T, LedgerStoreError> {
        let Position { through, last, rebuilding } = self.position();
        let unanswered = LedgerStoreError::Rebuilding { through, last };
        let Some(tables) = self.shared.tables().filter(|_| !rebuilding) else {
            return Err(if self.commands.is_closed() { LedgerStoreError::Stopped } else { unanswered });
        };
        let (rules, fingerprint) = self.shared.rules();
        let people = &*self.shared.parts.people;
        let answer = catch_unwind(AssertUnwindSafe(|| {
            let view: View = tables.view()?;
            if view.state()?.time_zone != rules.time_zone_name() {
                return Ok(None);
            }
            let histories = Histories { view: &view, rules: &rules, people, restricted, now };
            question(&histories, fingerprint).map(Some)
        }));
        let reason = match answer {
            Ok(Ok(Some(answer))) => return Ok(answer),
            // The follower is about to notice.
            Ok(Ok(None)) => return Err(unanswered),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "a question could not be answered".into(),
        };
        drop(self.commands.send(Command::GiveUp(Arc::downgrade(&tables), reason)));
        Err(unanswered)
    }
}
