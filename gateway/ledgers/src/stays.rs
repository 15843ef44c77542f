//! From passages to stays: where one person was, from when until when, and how good the evidence is.
//!
//! Somebody who goes in at a door is in its zone; who goes out is in the zone around it, or outside where there is none.
//! Each stay is in the innermost zone that is known. Where a scan was missed, somebody may have been between the two scans
//! around it in any zone on the way from the one to the other: these stays have bounds that say so, and overlap.

use std::sync::Arc;

use jiff::civil::Date;
pub use protocol::api::{Bounds, Evidence};
use protocol::{Direction, Instant};
use serde::Serialize;

use super::rules::plus_ms;
use super::{Passage, Person, Rules};

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
    /// Whether the person was seen coming, if only at an inner door.
    pub entry_seen: bool,
    /// The person was not seen coming at a door that they must have come through.
    pub entry_missed: bool,
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
                self.close_by_rule(open, next.at);
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
            None => self.come(Bounds::at(next.at), next),
            Some(open) if rules.is_within(&open.zone, &next.zone) && rules.around(&next.zone).is_none() => {
                self.close_unseen(open, next);
                self.come(Bounds::at(next.at), next)
            }
            Some(open) => self.go_on(open, next),
        };
        self.open = Some(Open { session, zone: Arc::clone(&next.zone), last: next });
    }

    fn leave(&mut self, open: Option<Open<'a>>, next: &'a Passage) {
        let mut session = match open {
            Some(open) => self.go_on(open, next),
            None => {
                let earliest = self.rules.begin_by_rule(self.person, next.at, self.left_at);
                let session = self.come(Bounds { earliest, latest: next.at }, next);
                let day = self.rules.day_of_departure(self.person, next.at);
                Session { day, entry_seen: false, entry_missed: true, ..session }
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

    /// A session that begins with its first passage, and the way to there, where that was not seen.
    fn come(&self, from: Bounds, first: &Passage) -> Session {
        let way = self.rules.way(None, self.rules.before(first));
        let earliest = plus_ms(first.at, -self.rules.stay_ms());
        let between = Bounds { earliest: earliest.max(self.left_at.unwrap_or(earliest)), latest: first.at };
        Session {
            day: self.rules.day_of_arrival(self.person, first.at),
            from,
            entry_seen: true,
            entry_missed: way.iter().any(|zone| self.rules.entrances.contains(*zone)),
            to: from,
            evidence: Evidence::Inside,
            end_by_rule: first.at,
            began: first.order(),
            stays: unseen(&way, between, [None, Some(first)], Some(first)).collect(),
        }
    }

    /// The session of somebody who is inside, up to the next passage.
    fn go_on(&self, mut open: Open<'a>, next: &Passage) -> Session {
        let before = self.rules.before(next);
        if before == Some(&*open.zone) {
            let evidence = if next.direction == Direction::Out { Evidence::Exit } else { Evidence::NextDoor };
            open.push(Bounds::at(next.at), evidence, Some(next));
        } else {
            let between = Bounds { earliest: open.last.at, latest: next.at };
            self.end_unseen(&mut open, between, Evidence::NextDoor, (Some(next), before));
        }
        open.session
    }

    /// The person comes in again without having left.
    fn close_unseen(&mut self, mut open: Open<'a>, next: &'a Passage) {
        let between = Bounds { earliest: open.last.at, latest: next.at };
        self.end_unseen(&mut open, between, Evidence::NextDoor, (Some(next), None));
        let by_rule = self.rules.end_by_rule(self.person, open.session.day, open.last.at).min(next.at);
        self.end(open.session, between, Evidence::NextDoor, by_rule);
    }

    /// The person was not seen again until `then`.
    fn close_by_rule(&mut self, mut open: Open<'a>, then: Instant) {
        let earliest = open.last.at;
        // The rule is for attendance; where somebody may have been is open until nobody believes it any more.
        let latest = plus_ms(earliest, self.rules.stay_ms()).min(then);
        self.end_unseen(&mut open, Bounds { earliest, latest }, Evidence::Rule, (None, None));
        let by_rule = self.rules.end_by_rule(self.person, open.session.day, earliest);
        self.end(open.session, Bounds { earliest, latest: by_rule }, Evidence::Rule, by_rule);
    }

    /// Ends the last stay somewhere in `between`, on a way that nobody saw, to the next scan in or at the door of a zone.
    fn end_unseen(
        &self,
        open: &mut Open<'_>,
        between: Bounds,
        evidence: Evidence,
        (next, zone): (Option<&Passage>, Option<&str>),
    ) {
        open.push(between, evidence, next);
        let left = Arc::clone(&open.zone);
        let way = self.rules.way(Some(&left), zone);
        let at_door = next.filter(|_| zone.is_some());
        open.session.stays.extend(unseen(&way, between, [Some(open.last), next], at_door));
    }

    fn finish(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let by_rule = self.rules.end_by_rule(self.person, open.session.day, open.last.at);
        if self.now > by_rule {
            return self.close_by_rule(open, self.now);
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

/// Stays in the zones of a way that nobody saw between two scans. Only the end of the last is known, where it was `at_door`.
fn unseen<'w>(
    way: &'w [&str],
    between: Bounds,
    scans: [Option<&'w Passage>; 2],
    at_door: Option<&'w Passage>,
) -> impl Iterator<Item = Stay> + 'w {
    let any = move |test: fn(&Passage) -> bool| scans.into_iter().flatten().any(test);
    let [_, next] = scans;
    let evidence = if next.is_some() { Evidence::NextDoor } else { Evidence::Rule };
    let last = way.len().saturating_sub(1);
    way.iter().enumerate().map(move |(index, zone)| {
        let exit = at_door.filter(|_| index == last);
        Stay {
            zone: (*zone).into(),
            from: between,
            arrival: Arrival::Unseen,
            to: exit.map_or(between, |exit| Bounds::at(exit.at)),
            evidence: match exit.map(|exit| exit.direction) {
                Some(Direction::Out) => Evidence::Exit,
                Some(Direction::In) => Evidence::NextDoor,
                None => evidence,
            },
            entry: None,
            exit: exit.map(|exit| exit.number),
            late: any(|scan| scan.late),
            clock_doubtful: any(|scan| scan.clock_doubtful),
        }
    })
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
                before.entry_missed |= session.entry_missed;
                before.stays.extend(session.stays);
            }
            _ => merged.push(session),
        }
    }
    merged
}
