//! Contacts as a picture to read and to print: who was with the person when and where, and who is connected with whom.
//!
//! An SVG without scripts, styles or fonts of its own, so that it is shown the same from a file, in a page and on paper. The
//! same contacts give the same bytes.

mod graph;
mod svg;
mod timeline;

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use protocol::Instant;

use self::svg::Svg;
use super::{Contact, Grade, Person, Stay};

/// Most contacts that are drawn; a line list has them all.
pub const CONTACTS_MAX: usize = 60;

const WIDTH: f64 = 1400.0;
const MARGIN: f64 = 24.0;
/// Where the graph begins.
const GRAPH_X: f64 = 880.0;
/// Where the timeline and the graph begin below the head.
const TOP: f64 = 96.0;
const LEGEND_ROW: f64 = 20.0;

/// Colours of zones that are told apart by everybody (Okabe and Ito, 2008); further zones share the last.
const COLOURS: [&str; 8] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7400", "#666666"];

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

/// The picture. `known` gives a person's name and office, which may be empty.
pub fn contacts_svg<'k>(
    traced: &Traced<'_>,
    known: impl Fn(&str) -> Option<(&'k str, &'k str)>,
    time_zone: &TimeZone,
) -> String {
    let plan = Plan::new(traced, &known, time_zone);
    let timeline = timeline::Timeline::new(&plan);
    let beside = graph::HEIGHT + LEGEND_ROW * (plan.zones.len() as f64 + 6.0);
    let height = TOP + timeline.height().max(beside) + MARGIN;

    let mut svg = Svg::new(WIDTH, height);
    plan.colours().for_each(|(index, colour)| svg.hatching(index, colour));
    head(&mut svg, &plan);
    timeline.draw(&mut svg);
    graph::draw(&mut svg, &plan);
    legend(&mut svg, &plan, TOP + graph::HEIGHT + LEGEND_ROW);
    svg.finish()
}

/// What is drawn: everything in its order, and how it is called.
struct Plan<'a> {
    traced: &'a Traced<'a>,
    time_zone: &'a TimeZone,
    /// What the person is called.
    title: Name,
    /// Those that are drawn, the longest of each generation first.
    rows: Vec<Row<'a>>,
    /// Contacts that are not drawn.
    left_out: usize,
    /// Zones and the colours that they have.
    zones: BTreeMap<&'a str, usize>,
}

/// One contact, with its number in the picture.
struct Row<'a> {
    number: usize,
    contact: &'a Contact,
    name: Name,
    /// Through whom, in the second generation.
    via: Name,
}

struct Name {
    /// The name, or the id where there is none.
    name: String,
    opd: String,
}

impl<'a> Plan<'a> {
    fn new<'k>(
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
    fn colours(&self) -> impl Iterator<Item = (usize, &'static str)> {
        COLOURS.into_iter().enumerate().take(self.zones.len())
    }

    fn colour(&self, zone: &str) -> (usize, &'static str) {
        let index = self.zones.get(zone).copied().unwrap_or(COLOURS.len() - 1);
        (index, COLOURS.get(index).copied().unwrap_or("#666666"))
    }

    fn local(&self, at: Instant, format: &str) -> String {
        self.time_zone.to_datetime(at.timestamp()).strftime(format).to_string()
    }
}

impl Row<'_> {
    fn is_certain(&self) -> bool {
        self.contact.grade == Grade::Certain
    }

    /// The minutes that were proved, and those that may have been.
    fn minutes(&self) -> String {
        match (self.contact.minutes_min, self.contact.minutes_max) {
            (min, max) if min == max => format!("{min} min"),
            (min, max) => format!("{min}–{max} min"),
        }
    }
}

fn head(svg: &mut Svg, plan: &Plan<'_>) {
    let Traced { person, from, to, minutes, contacts, .. } = plan.traced;
    let Name { name, opd } = &plan.title;
    let id = if *name == person.as_str() { String::new() } else { format!(" · {}", person.as_str()) };
    let opd = if opd.is_empty() { String::new() } else { format!(" · {opd}") };
    svg.bold(MARGIN, 40.0, 22, &format!("Contacts of {name}{id}{opd}"));
    let count = |generation, grade| {
        contacts.iter().filter(|contact| contact.generation == generation && contact.grade == grade).count()
    };
    let time = |at| plan.local(at, "%a %-d %b %Y %H:%M");
    let (certain, possible) = (count(1, Grade::Certain), count(1, Grade::Possible));
    let second = count(2, Grade::Certain) + count(2, Grade::Possible);
    let second = if second == 0 { String::new() } else { format!(", and {second} contacts of these") };
    svg.text(
        MARGIN,
        62.0,
        13,
        &format!(
            "{} to {} · at least {minutes} min together within 24 hours · {certain} certain, {possible} possible{second}",
            time(*from),
            time(*to),
        ),
    );
    if plan.left_out > 0 {
        let (drawn, left_out) = (plan.rows.len(), plan.left_out);
        let text = format!("{drawn} are drawn, {left_out} further are left out; the line list (CSV) has them all.");
        svg.bold(MARGIN, 82.0, 13, &text);
    }
    if plan.rows.is_empty() {
        svg.text(MARGIN, 82.0, 13, "Nobody was with the person for so long.");
    }
}

/// Below the graph, so that it is seen beside a long list as well.
fn legend(svg: &mut Svg, plan: &Plan<'_>, y: f64) {
    let x = GRAPH_X + 40.0;
    let mut lines = (0..).map(|line| y + LEGEND_ROW * f64::from(line));
    let mut next = || lines.next().unwrap_or(y);
    let explain = |svg: &mut Svg, y: f64, text: &str| svg.text(x + 38.0, y, 12, text);
    let y = next();
    svg.bar(x, y - 9.0, 26.0, 10.0, "#444444");
    explain(svg, y, "together for certain");
    let y = next();
    svg.hatched_bar(x, y - 9.0, 26.0, 10.0, svg::NEUTRAL, "#444444");
    explain(svg, y, "together possibly: a scan is missing");
    let y = next();
    svg.line((x, y - 4.0), (x + 26.0, y - 4.0), "#444444", 3.0, false);
    explain(svg, y, "certain contact, the wider the longer");
    let y = next();
    svg.line((x, y - 4.0), (x + 26.0, y - 4.0), "#444444", 3.0, true);
    explain(svg, y, "possible contact");
    svg.bold(x, next(), 12, "Zones");
    for zone in plan.zones.keys() {
        let y = next();
        svg.bar(x, y - 9.0, 26.0, 10.0, plan.colour(zone).1);
        explain(svg, y, &svg::shortened(zone, 44));
    }
}

#[cfg(test)]
mod tests;
