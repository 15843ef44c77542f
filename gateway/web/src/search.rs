//! Search in the log: events that fit, page by page. Whose they are, the ledgers know; what these do not know yet is looked for in the
//! log itself.

use std::time::{Duration, Instant as Moment};

use protocol::api::{EventsQuery, PAGE_ROWS};
use protocol::{Event, EventKind, Instant};

use access::shadow::Events;

/// Events that are read at once.
const READ_EVENTS: usize = 4_096;

/// Events that one page goes through at most, whatever it finds.
const PAGE_EVENTS_MAX: u64 = 200_000;

/// How long one page may take.
const PAGE_TIME: Duration = Duration::from_secs(4);

/// What the ledgers know of somebody's events.
pub(super) struct Indexed {
    /// Their numbers, in order.
    pub(super) numbers: Vec<u64>,
    /// Number of the last event that the ledgers reflect.
    pub(super) through: u64,
}

/// What the ledgers know of the events of a person (first) behind a number (second); `None` where they cannot tell.
pub(super) type Index<'a> = dyn Fn(&str, u64) -> Option<Indexed> + 'a;

/// What the ledgers know of when events happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastUntil {
    /// Number of the last event that happened before some moment, or soon after it.
    pub(super) number: u64,
    /// Number of the last event that the ledgers reflect: of those between the two, none happened before.
    pub(super) through: u64,
}

/// What the ledgers know of the events before a moment; `None` where they cannot tell.
pub(super) type Until<'a> = dyn Fn(Instant) -> Option<LastUntil> + 'a;

/// A page of events.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) events: Vec<Event>,
    /// Number of the last event that was looked at: where the next page goes on.
    pub(super) last: u64,
    /// Whether there may be more behind it.
    pub(super) more: bool,
}

/// How far a page may still go.
struct Page<'a> {
    request: &'a EventsQuery,
    limit: usize,
    started: Moment,
    /// Where events end that happened before the end of the request's time. Late ones are kept behind others.
    until: Option<LastUntil>,
    found: Found,
}

/// Goes through the log until the page is full, the log ends, or it was enough for one request.
pub(super) fn search(
    request: &EventsQuery,
    log: &Events<'_>,
    index: &Index<'_>,
    until: &Until<'_>,
) -> Result<Found, String> {
    let mut last = request.after.unwrap_or(0);
    if let Some(from) = request.from {
        // Nothing is decided before it happens.
        last = last.max(log.first_since(from)?.saturating_sub(1));
    }
    let found = Found { events: Vec::new(), last, more: false };
    let limit = request.limit.unwrap_or(PAGE_ROWS);
    let until = request.to.and_then(until);
    let mut page = Page { request, limit, started: Moment::now(), until, found };
    let indexed = indexed_person(request).and_then(|person| index(person, last));
    let ended = match indexed {
        Some(indexed) => page.add_indexed(log, indexed)?,
        None => false,
    };
    if !ended {
        page.add_scanned(log)?;
    }
    Ok(page.found)
}

impl Page<'_> {
    /// Adds what the ledgers know of; whether the page is over with that.
    fn add_indexed(&mut self, log: &Events<'_>, Indexed { numbers, through }: Indexed) -> Result<bool, String> {
        for number in numbers.into_iter().take_while(|number| *number <= through) {
            let read = (log.read)(number.saturating_sub(1), 1)?;
            self.found.last = number;
            let fits = |event: &Event| event.number == number && admits(self.request, event);
            self.found.events.extend(read.into_iter().filter(fits));
            if self.is_full() || self.started.elapsed() > PAGE_TIME {
                self.found.more = self.found.last < log.newest;
                return Ok(true);
            }
        }
        self.found.last = self.found.last.max(through);
        Ok(false)
    }

    /// Adds what is found by reading on in the log.
    fn add_scanned(&mut self, log: &Events<'_>) -> Result<(), String> {
        let first = self.found.last;
        loop {
            self.pass_over();
            // Without a filter, no more is read than is shown.
            let room = self.limit.saturating_sub(self.found.events.len());
            let read_max = if filters(self.request) { READ_EVENTS } else { room.min(READ_EVENTS) };
            let read = (log.read)(self.found.last, read_max)?;
            if read.is_empty() {
                return Ok(());
            }
            for event in read {
                if self.until.is_some_and(|until| (until.number + 1..=until.through).contains(&event.number)) {
                    break;
                }
                self.found.last = event.number;
                if admits(self.request, &event) {
                    self.found.events.push(event);
                }
                if self.is_full() {
                    self.found.more = self.found.last < log.newest;
                    return Ok(());
                }
            }
            let gone_through = self.found.last.saturating_sub(first);
            if gone_through >= PAGE_EVENTS_MAX || self.started.elapsed() > PAGE_TIME {
                self.found.more = self.found.last < log.newest;
                return Ok(());
            }
        }
    }

    /// Passes over events that all happened too late.
    fn pass_over(&mut self) {
        if let Some(LastUntil { number, through }) = self.until
            && self.found.last >= number
        {
            self.found.last = self.found.last.max(through);
        }
    }

    fn is_full(&self) -> bool {
        self.found.events.len() == self.limit
    }
}

/// Whose events are asked for, where the ledgers know all of them: a credential's are filed under whoever carried it, and no
/// person of the directory has a colon in the id.
fn indexed_person(request: &EventsQuery) -> Option<&str> {
    request.person.as_deref().filter(|person| !person.contains(['~', ':']))
}

fn filters(request: &EventsQuery) -> bool {
    let EventsQuery { person, door, zone, outcome, reason, from, to, .. } = request;
    let of_time = from.is_some() || to.is_some();
    of_time || person.is_some() || door.is_some() || zone.is_some() || outcome.is_some() || reason.is_some()
}

fn admits(request: &EventsQuery, event: &Event) -> bool {
    let verdict = &event.verdict;
    let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
    request.from.is_none_or(|from| event.when() >= from)
        && request.to.is_none_or(|to| event.when() < to)
        && request.door.as_ref().is_none_or(|door| *door == event.door)
        && is(&request.zone, verdict.zone.as_deref())
        && is(&request.reason, Some(&verdict.reason))
        && request.outcome.is_none_or(|outcome| outcome == verdict.outcome)
        && request.person.as_deref().is_none_or(|person| tells_of(event, person))
}

fn tells_of(event: &Event, person: &str) -> bool {
    let (credential, named) = match &event.subject {
        EventKind::Scan(scan) => (Some(scan.credential), None),
        EventKind::Assist(word) => (word.credential, word.person.as_deref()),
        EventKind::Malformed(_) => (None, None),
    };
    match person.strip_prefix('~') {
        Some(hash) => credential.is_some_and(|credential| credential.to_string() == hash),
        None => event.verdict.person.as_deref() == Some(person) || named == Some(person),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use protocol::Outcome;

    use super::*;
    use base::testing;

    fn at(seconds: u64) -> Instant {
        Instant::from_unix_ms(1_795_390_264_000 + i64::try_from(seconds).unwrap() * 1_000)
    }

    /// At which second event `number` happened: every thirteenth arrived ten seconds late.
    fn happened(number: u64) -> u64 {
        if number.is_multiple_of(13) { number - 10 } else { number }
    }

    /// Event `number` is decided at the second `number`, about P-0 to P-4 in turn.
    fn event(number: u64) -> Event {
        let mut event = testing::event(number);
        event.decided_at = at(number);
        event.happened_at = Some(at(happened(number)));
        event.verdict.person = Some(format!("P-{}", number % 5));
        event.verdict.zone = Some(if number.is_multiple_of(2) { "hall" } else { "main" }.into());
        if number.is_multiple_of(10) {
            event.verdict.outcome = Outcome::Denied;
            event.verdict.reason = "status-red".into();
        }
        event
    }

    fn search(newest: u64, request: &EventsQuery) -> (Vec<u64>, u64, bool) {
        let read = |after: u64, limit: usize| Ok((after + 1..=newest).take(limit).map(event).collect::<Vec<_>>());
        let found = super::search(request, &Events { newest, read: &read }, &|_, _| None, &|_| None).unwrap();
        (found.events.iter().map(|event| event.number).collect(), found.last, found.more)
    }

    /// The same with ledgers that reflect the log up to `through`, and how many events were read.
    fn search_indexed(newest: u64, through: u64, request: &EventsQuery) -> (Vec<u64>, u64, bool, usize) {
        let events_read = Cell::new(0);
        let read = |after: u64, limit: usize| {
            let events: Vec<Event> = (after + 1..=newest).take(limit).map(event).collect();
            events_read.set(events_read.get() + events.len());
            Ok(events)
        };
        // The ledgers may have gone on since they were asked how far they are.
        let index = |person: &str, after: u64| {
            let numbers =
                (after + 1..=newest).filter(|number| event(*number).verdict.person.as_deref() == Some(person));
            Some(Indexed { numbers: numbers.collect(), through })
        };
        let until = |to: Instant| {
            let number = (1..=through).rev().find(|number| at(happened(*number)) < to).unwrap_or(0);
            Some(LastUntil { number, through })
        };
        let found = super::search(request, &Events { newest, read: &read }, &index, &until).unwrap();
        let numbers = found.events.iter().map(|event| event.number).collect();
        (numbers, found.last, found.more, events_read.get())
    }

    fn request(limit: usize) -> EventsQuery {
        EventsQuery { limit: Some(limit), ..EventsQuery::default() }
    }

    #[test]
    fn every_filter_lets_through_what_fits() {
        let person = |person: &str| EventsQuery { person: Some(person.into()), ..request(99) };
        for (request, numbers) in [
            (request(99), (1..=30).collect::<Vec<_>>()),
            (person("P-1"), vec![1, 6, 11, 16, 21, 26]),
            (person("~07070707070707070707070707070707"), (1..=30).collect()),
            (person("~0707"), vec![]),
            (person("P"), vec![]),
            (EventsQuery { door: Some("main-in".parse().unwrap()), ..person("P-2") }, vec![2, 7, 12, 17, 22, 27]),
            (EventsQuery { door: Some("east".parse().unwrap()), ..request(99) }, vec![]),
            (EventsQuery { zone: Some("main".into()), ..person("P-2") }, vec![7, 17, 27]),
            (EventsQuery { outcome: Some(Outcome::Denied), ..request(99) }, vec![10, 20, 30]),
            (EventsQuery { reason: Some("status-red".into()), after: Some(10), ..request(99) }, vec![20, 30]),
            (EventsQuery { from: Some(at(5)), to: Some(at(8)), ..request(99) }, vec![5, 6, 7]),
            (EventsQuery { from: Some(at(5)), after: Some(6), to: Some(at(9)), ..request(99) }, vec![7, 8]),
            // The late ones are found where they belong.
            (EventsQuery { from: Some(at(3)), to: Some(at(5)), ..request(99) }, vec![3, 4, 13]),
            (EventsQuery { from: Some(at(13)), to: Some(at(18)), ..request(99) }, vec![14, 15, 16, 17, 26]),
            (EventsQuery { to: Some(at(4)), ..person("P-3") }, vec![3, 13]),
        ] {
            assert_eq!(search(30, &request).0, numbers);
            for through in [0, 7, 22, 30] {
                assert_eq!(search_indexed(30, through, &request).0, numbers, "{through}");
            }
        }
    }

    #[test]
    fn what_happened_too_late_is_passed_over_where_the_ledgers_know_it() {
        let early = EventsQuery { to: Some(at(100)), ..request(300) };
        let (numbers, last, more, read) = search_indexed(100_000, 100_000, &early);
        assert_eq!(numbers, (1..=99).chain([104]).filter(|number| happened(*number) < 100).collect::<Vec<_>>());
        assert!(!more && last == 100_000 && read <= 2 * READ_EVENTS, "{read} events read");
        // What is newer than the ledgers is looked at.
        let (again, .., read) = search_indexed(100_000, 50_000, &early);
        assert!(again == numbers && read >= 50_000, "{read} events read");
    }

    #[test]
    fn events_of_a_person_are_read_and_no_others() {
        let person = EventsQuery { person: Some("P-3".into()), ..request(300) };
        let (mut after, mut found) = (0, Vec::new());
        loop {
            let page = EventsQuery { after: Some(after), ..person.clone() };
            let (numbers, last, more, read) = search_indexed(10_000, 10_000, &page);
            assert_eq!(read, numbers.len());
            found.extend(numbers);
            after = last;
            if !more {
                break;
            }
        }
        assert_eq!((found, after), ((1..=10_000).filter(|number| number % 5 == 3).collect(), 10_000));
        let nobody = EventsQuery { person: Some("nobody".into()), ..request(1) };
        assert_eq!(search_indexed(1_000_000, 1_000_000, &nobody), (vec![], 1_000_000, false, 0));
    }

    #[test]
    fn pages_go_on_where_the_last_one_ended_and_find_everything_once() {
        let (mut after, mut found, mut pages) = (0, Vec::new(), 0);
        loop {
            let (numbers, last, more) =
                search(10_000, &EventsQuery { after: Some(after), person: Some("P-3".into()), ..request(300) });
            found.extend(numbers);
            (after, pages) = (last, pages + 1);
            if !more {
                break;
            }
        }
        assert_eq!(found, (1..=10_000).filter(|number| number % 5 == 3).collect::<Vec<_>>());
        assert_eq!((pages, after), (7, 10_000));
        assert_eq!(search(30, &request(30)), ((1..=30).collect(), 30, false));
        assert_eq!(search(30, &request(29)), ((1..=29).collect(), 29, true));
    }

    #[test]
    fn a_page_that_finds_little_ends_too() {
        let nobody = EventsQuery { person: Some("nobody".into()), ..request(1) };
        let (numbers, last, more) = search(PAGE_EVENTS_MAX * 2, &nobody);
        assert!(numbers.is_empty() && more && (1..PAGE_EVENTS_MAX * 2).contains(&last));
    }

    #[test]
    fn an_event_whose_keys_were_destroyed_is_nobodys() {
        let read = |after: u64, _: usize| {
            let mut event = event(1);
            event.verdict.person = None;
            Ok(if after == 0 { vec![event] } else { Vec::new() })
        };
        let request = EventsQuery { person: Some("P-1".into()), ..request(9) };
        assert!(
            super::search(&request, &Events { newest: 1, read: &read }, &|_, _| None, &|_| None)
                .unwrap()
                .events
                .is_empty()
        );
    }
}
