//! The oracle: where somebody is, asked minute by minute, and from nothing but the scan before and the scan after.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, DateTime};
use protocol::{Direction, Instant};

use super::site::MINUTE_MS;
use crate::rules::{days_after, plus_ms};
use crate::{Evidence, Passage, Person, Rules};

/// One person's scans, doubles left out.
pub struct Naive<'a> {
    person: Person,
    rules: &'a Rules,
    kept: Vec<Passage>,
    now: Instant,
}

/// From the first to the last scan of a session, by their places among those kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub first: usize,
    pub last: usize,
}

impl<'a> Naive<'a> {
    pub fn new(person: &Person, passages: &[Passage], rules: &'a Rules, now: Instant) -> Self {
        let is_double = |index: usize| {
            index > 0 && {
                let (before, this) = (&passages[index - 1], &passages[index]);
                before.door == this.door
                    && before.direction == this.direction
                    && (this.at.unix_ms() - before.at.unix_ms()) / 1_000 <= i64::from(rules.double_scan_seconds)
            }
        };
        let kept =
            (0..passages.len()).filter(|index| !is_double(*index)).map(|index| passages[index].clone()).collect();
        Self { person: person.clone(), rules, kept, now }
    }

    /// Where the person is right after a scan.
    fn position(&self, scan: usize) -> Option<String> {
        let scan = &self.kept[scan];
        match scan.direction {
            Direction::In => Some(scan.zone.to_string()),
            Direction::Out => self.rules.zones.around(&scan.zone).first().cloned(),
        }
    }

    fn path(&self, zone: &str) -> Vec<String> {
        let mut path = vec![zone.to_owned()];
        path.extend(self.rules.zones.around(zone).iter().cloned());
        path
    }

    /// The next scan, if the person is still believed to be there by then.
    fn next_in_time(&self, scan: usize) -> Option<usize> {
        let next = self.kept.get(scan + 1)?;
        (next.at.unix_ms() - self.kept[scan].at.unix_ms() <= i64::from(self.rules.stay_hours_max) * 60 * MINUTE_MS)
            .then_some(scan + 1)
    }

    /// Whether the scan and the next are of one session.
    fn goes_on(&self, scan: usize) -> bool {
        let (Some(next), Some(position)) = (self.next_in_time(scan), self.position(scan)) else { return false };
        let next = &self.kept[next];
        let outermost = self.rules.zones.around(&next.zone).is_empty();
        let again = self.path(&position).iter().any(|zone| **zone == *next.zone);
        !(next.direction == Direction::In && outermost && again)
    }

    /// The sessions: runs of scans that go on, and those between which the person was hardly away.
    pub fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for scan in 0..self.kept.len() {
            match runs.last_mut() {
                Some(run) if self.goes_on(run.last) || self.hardly_away(run.last) => run.last = scan,
                _ => runs.push(Run { first: scan, last: scan }),
            }
        }
        runs
    }

    fn hardly_away(&self, scan: usize) -> bool {
        let next = &self.kept[scan + 1];
        self.position(scan).is_none()
            && next.direction == Direction::In
            && next.at.unix_ms() - self.kept[scan].at.unix_ms() < i64::from(self.rules.gap_minutes) * MINUTE_MS
    }

    /// The working day of a session that begins with this scan.
    pub fn working_day(&self, first: usize) -> Date {
        let scan = &self.kept[first];
        match scan.direction {
            Direction::In => self.rules.day_of_arrival(&self.person, scan.at),
            Direction::Out => self.rules.day_of_departure(&self.person, scan.at),
        }
    }

    /// The first minute at which the person is said to be gone, if no scan comes after this one: step by step through
    /// the minutes until the clock on the wall shows it.
    fn rule_end(&self, scan: usize) -> Instant {
        let last = self.kept[scan].at;
        let clock = |at: Instant| self.rules.time_zone.to_datetime(at.timestamp());
        // Sessions of which short absences were taken out end as those that go on only.
        let mut first = scan;
        while first > 0 && self.goes_on(first - 1) {
            first -= 1;
        }
        let day = self.working_day(first);
        let end: Option<DateTime> = self.rules.hours.shift(&self.person, day).map(|shift| {
            let day = if shift.end <= shift.start { days_after(day, 1) } else { day };
            day.to_datetime(shift.end)
        });
        let mut at = last;
        loop {
            let over = match end {
                Some(end) if end > clock(last) => clock(at) >= end,
                _ => clock(at).date() > clock(last).date(),
            };
            if over || at.ms_since(last) >= i64::from(self.rules.stay_hours_max) * 60 * MINUTE_MS {
                return at;
            }
            at = plus_ms(at, MINUTE_MS);
        }
    }

    /// The first minute at which the person is said to have been there, if this scan is the first that tells of it.
    fn rule_begin(&self, scan: usize) -> Instant {
        let left = (0..scan).rev().find(|before| self.position(*before).is_none()).map(|before| self.kept[before].at);
        self.rules.begin_by_rule(&self.person, self.kept[scan].at, left)
    }

    fn until_now(&self, scan: usize) -> (Instant, bool) {
        let (end, last) = (self.rule_end(scan), self.kept[scan].at);
        if self.kept.len() == scan + 1 && self.now <= end { (self.now.max(last), true) } else { (end, false) }
    }

    /// The zone in which the person is right before a scan.
    fn before(&self, scan: usize) -> Option<String> {
        let scan = &self.kept[scan];
        match scan.direction {
            Direction::In => self.rules.zones.around(&scan.zone).first().cloned(),
            Direction::Out => Some(scan.zone.to_string()),
        }
    }

    /// Zones that somebody must cross between two places who turns back nowhere: those that hold one of the two only, and the
    /// innermost that holds both.
    fn on_the_way(&self, one: Option<String>, other: Option<String>) -> BTreeSet<String> {
        let path = |zone: Option<String>| zone.map_or(Vec::new(), |zone| self.path(&zone));
        let (one, other) = (path(one), path(other));
        let both = one.iter().find(|zone| other.contains(zone)).cloned();
        let only_one = one.iter().filter(|zone| !other.contains(zone));
        let only_other = other.iter().filter(|zone| !one.contains(zone));
        only_one.chain(only_other).cloned().chain(both).collect()
    }

    /// The innermost zones in which the person may be in that minute.
    pub fn possible(&self, minute: Instant) -> BTreeSet<String> {
        let believed = i64::from(self.rules.stay_hours_max) * 60 * MINUTE_MS;
        let before = self.kept.iter().rposition(|scan| scan.at <= minute);
        let next = before.map_or(0, |scan| scan + 1);
        let is_next_near = self.kept.get(next).is_some_and(|next| next.at.ms_since(minute) <= believed);
        if let Some(scan) = before
            && self.next_in_time(scan).is_some()
        {
            let ways = self.on_the_way(self.position(scan), self.before(next));
            return if self.position(scan).is_some() || is_next_near { ways } else { BTreeSet::new() };
        }
        let mut zones = BTreeSet::new();
        if let Some(scan) = before {
            let (end, inside) = self.until_now(scan);
            let (mut ways, mut until) = (self.on_the_way(self.position(scan), None), end);
            if inside {
                ways = self.position(scan).into_iter().collect();
            } else {
                until = plus_ms(self.kept[scan].at, believed);
                if self.kept.len() == next {
                    until = until.min(self.now);
                }
            }
            if minute < until {
                zones.extend(ways);
            }
        }
        if is_next_near {
            zones.extend(self.on_the_way(None, self.before(next)));
        }
        zones
    }

    /// Whether the person must have come through a door with a reader and was not seen there, in a session of these scans.
    pub fn entry_missed(&self, run: Run) -> bool {
        let coming = |scan: &usize| *scan == run.first || !self.goes_on(scan - 1);
        (run.first..=run.last).filter(coming).any(|scan| {
            let seen_leaving = self.kept[scan].direction == Direction::Out;
            let ways = self.on_the_way(None, self.before(scan));
            seen_leaving || ways.iter().any(|zone| self.rules.entrances.contains(zone))
        })
    }

    /// The innermost zone in which the scans before and after prove the person to be.
    pub fn certain(&self, minute: Instant) -> Option<String> {
        let scan = self.kept.iter().rposition(|scan| scan.at <= minute)?;
        let (position, next) = (self.position(scan)?, &self.kept[self.next_in_time(scan)?]);
        let door_of = match next.direction {
            Direction::Out => Some(next.zone.to_string()),
            Direction::In => self.rules.zones.around(&next.zone).first().cloned(),
        };
        (door_of.as_ref() == Some(&position)).then_some(position)
    }

    /// All zones, inner and outer, in which the person may be.
    pub fn possible_around(&self, minute: Instant) -> BTreeSet<String> {
        self.possible(minute).iter().flat_map(|zone| self.path(zone)).collect()
    }

    /// All zones, inner and outer, in which the person is and out of which no scan tells of a way.
    pub fn certain_around(&self, minute: Instant) -> BTreeSet<String> {
        let Some(scan) = self.kept.iter().rposition(|scan| scan.at <= minute) else { return BTreeSet::new() };
        let (Some(position), Some(next)) = (self.position(scan), self.next_in_time(scan)) else {
            return BTreeSet::new();
        };
        let next = &self.kept[next];
        // Right before the next scan the person was in its zone, or, when they go in, right outside.
        let mut before_next = self.path(&next.zone);
        if next.direction == Direction::In {
            before_next.remove(0);
        }
        self.path(&position).into_iter().filter(|zone| before_next.contains(zone)).collect()
    }

    /// How the session ends, and when by rule.
    pub fn end(&self, run: Run) -> (Evidence, Instant) {
        let last = run.last;
        if self.position(last).is_none() {
            (Evidence::Exit, self.kept[last].at)
        } else if let Some(next) = self.next_in_time(last) {
            (Evidence::NextDoor, self.rule_end(last).min(self.kept[next].at))
        } else {
            let (end, inside) = self.until_now(last);
            (if inside { Evidence::Inside } else { Evidence::Rule }, end)
        }
    }

    /// When the session began: seen, or by rule.
    pub fn begin(&self, run: Run) -> (bool, Instant) {
        match self.kept[run.first].direction {
            Direction::In => (true, self.kept[run.first].at),
            Direction::Out => (false, self.rule_begin(run.first)),
        }
    }

    /// Minutes of one day's sessions: proven, and by rule.
    pub fn minutes(&self, runs: &[Run]) -> (i64, i64) {
        let count = |from: Instant, to: Instant| {
            (0..).take_while(|minute| plus_ms(from, minute * MINUTE_MS) < to).count() as i64
        };
        let seen = runs.iter().map(|run| count(self.kept[run.first].at, self.kept[run.last].at)).sum();
        (seen, runs.iter().map(|run| count(self.begin(*run).1, self.end(*run).1)).sum())
    }

    pub fn scan(&self, index: usize) -> &Passage {
        &self.kept[index]
    }

    /// Who is inside at `now`: the zone, since when, and whether the shift is over.
    pub fn present(&self) -> Option<(String, Instant, bool)> {
        let last = self.kept.len().checked_sub(1)?;
        let since = self.kept[last].at;
        let position = self.position(last)?;
        let believed_ms = i64::from(self.rules.stay_hours_max) * 60 * MINUTE_MS;
        (self.now.unix_ms() - since.unix_ms() <= believed_ms).then(|| (position, since, self.now > self.rule_end(last)))
    }
}

/// Where somebody may be in a minute, and where they are for certain.
type RowKey = (BTreeSet<String>, BTreeSet<String>);

/// The minutes of a period.
pub type Places = Vec<RowKey>;

impl Naive<'_> {
    /// Minute by minute, in innermost zones or in all around them as well.
    pub fn places(&self, period: &[Instant], around: bool) -> Places {
        let place = |minute: &Instant| {
            if around {
                (self.possible_around(*minute), self.certain_around(*minute))
            } else {
                (self.possible(*minute), self.certain(*minute).into_iter().collect())
            }
        };
        period.iter().map(place).collect()
    }
}

/// Minutes in common of two people, from `since` on: for each minute of the period whether possible, whether certain.
pub fn shared(one: &Places, other: &Places, period: &[Instant], since: Instant) -> Vec<(bool, bool)> {
    let minute = |((minute, one), other): ((&Instant, &RowKey), &RowKey)| {
        (*minute >= since && !one.0.is_disjoint(&other.0), *minute >= since && !one.1.is_disjoint(&other.1))
    };
    period.iter().zip(one).zip(other).map(minute).collect()
}

/// A contact as the oracle sees it: certain or not, minutes at least and at most, when reached.
pub type Met = (bool, i64, i64, Instant);

/// Counts the minutes of any 24 hours.
pub fn met(shared: &[(bool, bool)], period: &[Instant], threshold: i64) -> Option<Met> {
    let (mut least, mut most, mut reached) = (0i64, 0i64, None);
    let (mut possible, mut certain) = (0i64, 0i64);
    for (index, minute) in period.iter().enumerate() {
        possible += i64::from(shared[index].0);
        certain += i64::from(shared[index].1);
        if let Some(gone) = index.checked_sub(1_440) {
            possible -= i64::from(shared[gone].0);
            certain -= i64::from(shared[gone].1);
        }
        (least, most) = (least.max(certain), most.max(possible));
        if reached.is_none() && possible >= threshold {
            reached = Some(plus_ms(*minute, MINUTE_MS));
        }
    }
    reached.map(|reached| (least >= threshold, least, most, reached))
}

/// All contacts of a person, and theirs: by generation, of whom, who.
pub fn contacts(
    everybody: &[(Person, Naive<'_>)],
    index: &Person,
    period: &[Instant],
    threshold: i64,
    around: bool,
) -> BTreeMap<(u8, String, String), Met> {
    let places: Vec<(&Person, Places)> =
        everybody.iter().map(|(person, naive)| (person, naive.places(period, around))).collect();
    let of = |who: &Person| &places.iter().find(|(person, _)| *person == who).unwrap().1;
    let mut found = BTreeMap::new();
    let mut first = Vec::new();
    for (other, theirs) in places.iter().filter(|(other, _)| *other != index) {
        if let Some(met) = met(&shared(of(index), theirs, period, period[0]), period, threshold) {
            found.insert((1, index.as_str().into(), other.as_str().into()), met);
            first.push((*other, met.3));
        }
    }
    for (source, since) in &first {
        for (other, theirs) in &places {
            if *other == index || first.iter().any(|(person, _)| person == other) {
                continue;
            }
            if let Some(met) = met(&shared(of(source), theirs, period, *since), period, threshold) {
                found.insert((2, source.as_str().into(), other.as_str().into()), met);
            }
        }
    }
    found
}
