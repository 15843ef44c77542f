//! From passages to stays: where one person was, from when until when, and how good the evidence is.
//!
//! Somebody who goes in at a door is in its zone; who goes out is in the zone around it, or outside where there is none.
//! Stays of one person follow each other without overlapping: each is in the innermost zone that is known. Where a scan
//! was missed, the end of one stay and the beginning of the next are only known to lie between two scans.

use std::sync::Arc;

use jiff::civil::Date;
use protocol::{Direction, Instant};
use serde::Serialize;

use super::{Passage, Person, Rules};

/// When something happened: not before `earliest`, not after `latest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// Not before.
    pub earliest: Instant,
    /// Not after.
    pub latest: Instant,
}

/// How the end of a stay is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Seen going out.
    Exit,
    /// Seen at the next door.
    NextDoor,
    /// Not seen again: closed by rule at the end of the shift.
    Rule,
    /// Still inside, as far as is known.
    Inside,
}

/// How the beginning of a stay is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// Seen going in.
    Entry,
    /// Seen coming out of a zone inside it.
    Return,
    /// Not seen.
    Unseen,
}

/// One person in one zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stay {
    /// The innermost zone that is known.
    pub zone: Arc<str>,
    /// When it began.
    pub from: Bounds,
    /// How its beginning is known.
    pub arrival: Arrival,
    /// When it ended.
    pub to: Bounds,
    /// How its end is known.
    pub evidence: Evidence,
    /// Number of the event by which it began; absent where that was not seen.
    pub entry: Option<u64>,
    /// Number of the event by which it ended; absent where that was not seen.
    pub exit: Option<u64>,
    /// One of the two scans arrived late.
    pub late: bool,
    /// The time of one of the two scans is doubtful.
    pub clock_doubtful: bool,
}

/// One person in the site without a break: stays that follow each other. Ways between zones are no breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The working day to which it belongs: the one on which it began.
    pub day: Date,
    /// When it began. Where that was not seen, `earliest` is by rule.
    pub from: Bounds,
    /// Whether the person was seen coming.
    pub entry_seen: bool,
    /// When it ended.
    pub to: Bounds,
    /// How its end is known: [`Evidence::NextDoor`] when the person came in again without having left.
    pub evidence: Evidence,
    /// When it ended by rule; the same as `to` where the person was seen leaving.
    pub end_by_rule: Instant,
    /// Time and number of its first passage.
    pub began: (Instant, u64),
    /// Where the person was, in order.
    pub stays: Vec<Stay>,
}

/// The person's sessions in order, as they are known at `now`.
///
/// `passages` are all the person's, or those since a [`break_between`] two of them, sorted by [`Passage::order`].
pub fn sessions(person: &Person, passages: &[Passage], rules: &Rules, now: Instant) -> Vec<Session> {
    let mut walk = Walk { person, rules, now, sessions: Vec::new(), open: None, left_at: None };
    for passage in without_doubles(passages, rules) {
        walk.take(passage);
    }
    walk.finish();
    merge_gaps(walk.sessions, rules)
}

/// The passages without those that are one scan too many.
pub fn without_doubles<'a>(passages: &'a [Passage], rules: &Rules) -> impl Iterator<Item = &'a Passage> {
    let before = std::iter::once(None).chain(passages.iter().map(Some));
    before
        .zip(passages)
        .filter_map(|(before, next)| (!before.is_some_and(|before| rules.is_double(before, next))).then_some(next))
}

/// Whether `next` goes on where `before` ended, so that nobody has left `zone`, which is around both, in between.
pub fn goes_on(before: &Stay, next: &Stay, zone: &str) -> bool {
    // Who goes in at a door was outside before.
    before.to.latest == next.from.latest && (next.arrival != Arrival::Entry || &*next.zone != zone)
}

/// Whether a new session begins with `next` whatever was before `last`, and nothing of an older one lasts until then.
/// Neither is a scan too many.
pub fn break_between(last: &Passage, next: &Passage, rules: &Rules) -> bool {
    is_break(last, next.at, rules)
}

/// Whether a new session begins with whatever is known at `then` or later, and nothing of an older one lasts until then.
pub fn breaks_by(passages: &[Passage], then: Instant, rules: &Rules) -> bool {
    without_doubles(passages, rules).last().is_none_or(|last| is_break(last, then, rules))
}

fn is_break(last: &Passage, next: Instant, rules: &Rules) -> bool {
    let gap_ms = next.ms_since(last.at);
    let left = last.direction == Direction::Out && rules.around(&last.zone).is_none();
    gap_ms >= rules.gap_ms() && (left || gap_ms > rules.stay_ms())
}

impl Bounds {
    /// Known to the scan.
    pub fn at(moment: Instant) -> Self {
        Self { earliest: moment, latest: moment }
    }
}

/// Walks through one person's passages.
struct Walk<'a> {
    person: &'a Person,
    rules: &'a Rules,
    now: Instant,
    sessions: Vec<Session>,
    open: Option<Open<'a>>,
    /// When the person was last known to be outside.
    left_at: Option<Instant>,
}

/// A session that has not ended, and its last stay, which began with the last passage.
struct Open<'a> {
    session: Session,
    zone: Arc<str>,
    last: &'a Passage,
}

impl<'a> Walk<'a> {
    fn take(&mut self, next: &'a Passage) {
        let open = self.open.take().and_then(|open| {
            let forgotten = next.at.ms_since(open.last.at) > self.rules.stay_ms();
            if forgotten {
                self.close_by_rule(open);
                return None;
            }
            Some(open)
        });
        match next.direction {
            Direction::In => self.enter(open, next),
            Direction::Out => self.leave(open, next),
        }
    }

    fn enter(&mut self, open: Option<Open<'a>>, next: &'a Passage) {
        let rules = self.rules;
        let session = match open {
            None => self.begin(Bounds::at(next.at), next),
            Some(open) if rules.is_within(&open.zone, &next.zone) && rules.around(&next.zone).is_none() => {
                self.close_unseen(open, next);
                self.begin(Bounds::at(next.at), next)
            }
            Some(mut open) => {
                // Through the door from one zone into the next the time is known; else a scan was missed.
                let to = if rules.around(&next.zone) == Some(&*open.zone) {
                    Bounds::at(next.at)
                } else {
                    Bounds { earliest: open.last.at, latest: next.at }
                };
                open.push(to, Evidence::NextDoor, Some(next));
                open.session
            }
        };
        self.open = Some(Open { session, zone: Arc::clone(&next.zone), last: next });
    }

    fn leave(&mut self, open: Option<Open<'a>>, next: &'a Passage) {
        let mut session = match open {
            Some(mut open) if open.zone == next.zone => {
                open.push(Bounds::at(next.at), Evidence::Exit, Some(next));
                open.session
            }
            Some(mut open) => {
                let between = Bounds { earliest: open.last.at, latest: next.at };
                open.push(between, Evidence::NextDoor, Some(next));
                open.session.stays.push(unseen_entry(between, next));
                open.session
            }
            None => {
                let earliest = self.rules.begin_by_rule(self.person, next.at, self.left_at);
                let from = Bounds { earliest, latest: next.at };
                let mut session = self.begin(from, next);
                session.entry_seen = false;
                session.day = self.rules.day_of_departure(self.person, next.at);
                session.stays.push(unseen_entry(from, next));
                session
            }
        };
        match self.rules.around(&next.zone) {
            Some(outer) => self.open = Some(Open { session, zone: outer.into(), last: next }),
            None => {
                (session.to, session.evidence) = (Bounds::at(next.at), Evidence::Exit);
                session.end_by_rule = next.at;
                self.left_at = Some(next.at);
                self.sessions.push(session);
            }
        }
    }

    fn begin(&self, from: Bounds, first: &Passage) -> Session {
        Session {
            day: self.rules.day_of_arrival(self.person, first.at),
            from,
            entry_seen: true,
            to: from,
            evidence: Evidence::Inside,
            end_by_rule: first.at,
            began: first.order(),
            stays: Vec::new(),
        }
    }

    /// The person comes in again without having left.
    fn close_unseen(&mut self, mut open: Open<'a>, next: &'a Passage) {
        let between = Bounds { earliest: open.last.at, latest: next.at };
        open.push(between, Evidence::NextDoor, Some(next));
        let by_rule = self.rules.end_by_rule(self.person, open.session.day, open.last.at).min(next.at);
        self.end(open.session, between, Evidence::NextDoor, by_rule);
    }

    fn close_by_rule(&mut self, mut open: Open<'a>) {
        let by_rule = self.rules.end_by_rule(self.person, open.session.day, open.last.at);
        let to = Bounds { earliest: open.last.at, latest: by_rule };
        open.push(to, Evidence::Rule, None);
        self.end(open.session, to, Evidence::Rule, by_rule);
    }

    fn finish(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let by_rule = self.rules.end_by_rule(self.person, open.session.day, open.last.at);
        if self.now > by_rule {
            return self.close_by_rule(open);
        }
        let to = Bounds { earliest: open.last.at, latest: self.now.max(open.last.at) };
        open.push(to, Evidence::Inside, None);
        self.end(open.session, to, Evidence::Inside, to.latest);
    }

    fn end(&mut self, session: Session, to: Bounds, evidence: Evidence, end_by_rule: Instant) {
        self.sessions.push(Session { to, evidence, end_by_rule, ..session });
    }
}

impl Open<'_> {
    /// Ends the stay that began with the last passage.
    fn push(&mut self, to: Bounds, evidence: Evidence, next: Option<&Passage>) {
        self.session.stays.push(Stay {
            zone: Arc::clone(&self.zone),
            from: Bounds::at(self.last.at),
            arrival: match self.last.direction {
                Direction::In => Arrival::Entry,
                Direction::Out => Arrival::Return,
            },
            to,
            evidence,
            entry: Some(self.last.number),
            exit: next.map(|next| next.number),
            late: self.last.late || next.is_some_and(|next| next.late),
            clock_doubtful: self.last.clock_doubtful || next.is_some_and(|next| next.clock_doubtful),
        });
    }
}

/// A stay of which only the end was seen.
fn unseen_entry(from: Bounds, exit: &Passage) -> Stay {
    Stay {
        zone: Arc::clone(&exit.zone),
        from,
        arrival: Arrival::Unseen,
        to: Bounds::at(exit.at),
        evidence: Evidence::Exit,
        entry: None,
        exit: Some(exit.number),
        late: exit.late,
        clock_doubtful: exit.clock_doubtful,
    }
}

/// Joins sessions between which the person was away for less than the rules count, and was seen going and coming.
fn merge_gaps(sessions: Vec<Session>, rules: &Rules) -> Vec<Session> {
    let mut merged: Vec<Session> = Vec::with_capacity(sessions.len());
    for session in sessions {
        match merged.last_mut() {
            Some(before)
                if before.evidence == Evidence::Exit
                    && session.entry_seen
                    && session.from.earliest.ms_since(before.to.latest) < rules.gap_ms() =>
            {
                (before.to, before.evidence) = (session.to, session.evidence);
                before.end_by_rule = session.end_by_rule;
                before.stays.extend(session.stays);
            }
            _ => merged.push(session),
        }
    }
    merged
}
