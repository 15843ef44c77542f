//! What is drawn, in which order, and where.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use protocol::Instant;

use super::super::{Contact, Grade, Person, Stay};

/// Most contacts that are drawn; a line list has them all.
pub const CONTACTS_MAX: usize = 60;

pub(super) const WIDTH: f64 = 1400.0;
pub(super) const MARGIN: f64 = 24.0;
/// Where the graph begins.
pub(super) const GRAPH_X: f64 = 880.0;
/// Where the timeline and the graph begin below the head.
pub(super) const TOP: f64 = 96.0;
pub(super) const LEGEND_ROW: f64 = 20.0;

/// Colours of zones that are told apart by everybody (Okabe and Ito, 2008); further zones share the last.
pub(super) const COLOURS: [&str; 8] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7400", "#666666"];

/// Whose contacts are drawn, and what was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Traced<'a> {
    /// The person.
    pub person: &'a Person,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
    /// Minutes within 24 hours that make a contact.
    pub minutes: u32,
    /// Where the person was in that time.
    pub stays: &'a [Stay],
    /// The contacts.
    pub contacts: &'a [Contact],
}

/// What is drawn: everything in its order, and how it is called.
pub(super) struct Plan<'a> {
    pub(super) traced: &'a Traced<'a>,
    pub(super) time_zone: &'a TimeZone,
    /// What the person is called.
    pub(super) title: Name,
    /// Those that are drawn, the longest of each generation first.
    pub(super) rows: Vec<Row<'a>>,
    /// Contacts that are not drawn.
    pub(super) left_out: usize,
    /// Zones and the colours that they have.
    pub(super) zones: BTreeMap<&'a str, usize>,
}

/// One contact, with its number in the picture.
pub(super) struct Row<'a> {
    pub(super) number: usize,
    pub(super) contact: &'a Contact,
    pub(super) name: Name,
    /// Through whom, in the second generation.
    pub(super) via: Name,
}

pub(super) struct Name {
    /// The name, or the id where there is none.
    pub(super) name: String,
    pub(super) opd: String,
}

impl<'a> Plan<'a> {
    pub(super) fn new<'k>(
        traced: &'a Traced<'a>,
        known: &impl Fn(&str) -> Option<(&'k str, &'k str)>,
        time_zone: &'a TimeZone,
    ) -> Self {
        let name = |person: &Person| {
            let (name, opd) = known(person.as_str()).unwrap_or_default();
            Name { name: if name.is_empty() { person.as_str() } else { name }.to_owned(), opd: opd.to_owned() }
        };
        let mut contacts: Vec<&Contact> = traced.contacts.iter().collect();
        contacts.sort_by_key(|one| {
            (one.generation, -one.minutes_min, -one.minutes_max, one.person.clone(), one.of.clone())
        });
        let left_out = contacts.len().saturating_sub(CONTACTS_MAX);
        contacts.truncate(CONTACTS_MAX);
        let drawn = contacts.iter().flat_map(|contact| &contact.encounters).map(|met| &*met.zone);
        let zones: BTreeSet<&str> = drawn.chain(traced.stays.iter().map(|stay| &*stay.zone)).collect();
        let zones = zones.into_iter().enumerate().map(|(index, zone)| (zone, index.min(COLOURS.len() - 1))).collect();
        let rows = (1..).zip(contacts);
        let row = |(number, contact): (usize, &'a Contact)| {
            let (name, via) = (name(&contact.person), name(&contact.of));
            Row { number, contact, name, via }
        };
        Self { traced, time_zone, title: name(traced.person), rows: rows.map(row).collect(), left_out, zones }
    }

    /// The colours that are in use, by their index.
    pub(super) fn colours(&self) -> impl Iterator<Item = (usize, &'static str)> {
        COLOURS.into_iter().enumerate().take(self.zones.len())
    }

    pub(super) fn colour(&self, zone: &str) -> (usize, &'static str) {
        let index = self.zones.get(zone).copied().unwrap_or(COLOURS.len() - 1);
        (index, COLOURS.get(index).copied().unwrap_or("#666666"))
    }

    pub(super) fn local(&self, at: Instant, format: &str) -> String {
        self.time_zone.to_datetime(at.timestamp()).strftime(format).to_string()
    }
}

impl Row<'_> {
    pub(super) fn is_certain(&self) -> bool {
        self.contact.grade == Grade::Certain
    }

    /// The minutes that were proved, and those that may have been.
    pub(super) fn minutes(&self) -> String {
        match (self.contact.minutes_min, self.contact.minutes_max) {
            (min, max) if min == max => format!("{min} min"),
            (min, max) => format!("{min}–{max} min"),
        }
    }
}
