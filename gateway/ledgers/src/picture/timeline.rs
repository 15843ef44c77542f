//! The left side: a row for each contact, a column for each day, bars where they were together.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime};
use protocol::Instant;

use super::plan::{GRAPH_X, MARGIN, Plan, Row, TOP};
use super::svg::{Anchor, Svg, shortened};
use crate::rules::days_after;
use crate::{Arrival, Encounter};

/// Most days that are drawn, the last ones.
const DAYS_MAX: usize = 31;

const LABELS: f64 = 262.0;
const HEAD: f64 = 40.0;
const ROW: f64 = 26.0;
const BAR: f64 = 14.0;
/// Between two generations.
const BREAK: f64 = 24.0;
const GAP: f64 = 6.0;
const RIGHT: f64 = GRAPH_X - 30.0;
/// A day's minutes.
const DAY: f64 = 1_440.0;

pub(super) struct Timeline<'a> {
    plan: &'a Plan<'a>,
    days: Vec<Date>,
    /// Days on which they met that are not drawn.
    days_left_out: usize,
    /// From which minute of each day until which.
    minutes: (f64, f64),
}

/// A part of one day, in minutes.
struct Piece {
    day: Date,
    from: f64,
    to: f64,
}

impl<'a> Timeline<'a> {
    pub(super) fn new(plan: &'a Plan<'a>) -> Self {
        let met = |row: &'a Row<'a>| row.contact.encounters.iter();
        let pieces: Vec<Piece> =
            plan.rows.iter().flat_map(met).flat_map(|met| pieces(plan, met.from, met.to)).collect();
        let mut days: Vec<Date> = pieces.iter().map(|piece| piece.day).collect::<BTreeSet<_>>().into_iter().collect();
        let days_left_out = days.len().saturating_sub(DAYS_MAX);
        days.drain(..days_left_out);
        let from = pieces.iter().map(|piece| piece.from).fold(DAY, f64::min);
        let to = pieces.iter().map(|piece| piece.to).fold(0.0, f64::max);
        let (from, to) = ((from / 60.0).floor() * 60.0, (to / 60.0).ceil() * 60.0);
        let minutes = if from < to { (from, to) } else { (0.0, DAY) };
        Self { plan, days, days_left_out, minutes }
    }

    pub(super) fn height(&self) -> f64 {
        let rows = self.plan.rows.len() as f64 + 1.0;
        HEAD + rows * ROW + if self.second_generation().is_some() { BREAK } else { 0.0 }
    }

    pub(super) fn draw(&self, svg: &mut Svg) {
        self.grid(svg);
        let mut y = TOP + HEAD;
        self.own_row(svg, y);
        y += ROW;
        let second = self.second_generation();
        for row in &self.plan.rows {
            if second == Some(row.number) {
                svg.bold(MARGIN, y + 17.0, 11, "Contacts of contacts");
                y += BREAK;
            }
            self.row(svg, row, y);
            y += ROW;
        }
    }

    /// Number of the first contact of the second generation.
    fn second_generation(&self) -> Option<usize> {
        self.plan.rows.iter().find(|row| row.contact.generation > 1).map(|row| row.number)
    }

    fn grid(&self, svg: &mut Svg) {
        let (from, to) = self.minutes;
        let bottom = TOP + self.height();
        let width = self.column();
        let step = [60.0, 120.0, 180.0, 240.0, 360.0, 720.0].into_iter();
        let step = step.clone().find(|step| step / (to - from) * width >= 24.0).unwrap_or(DAY);
        for day in &self.days {
            let Some(left) = self.x(*day, from) else { continue };
            svg.bar(left, TOP + 20.0, width, bottom - TOP - 20.0, "#f4f4f4");
            let format = match width {
                width if width >= 110.0 => "%A %-d %b %Y",
                width if width >= 58.0 => "%a %-d %b",
                width if width >= 34.0 => "%-d %b",
                _ => "%-d",
            };
            let middle = left + width / 2.0;
            svg.label((middle, TOP + 12.0), 11, "#1a1a1a", Anchor::Middle, &day.strftime(format).to_string());
            if width < 34.0 && (day.day() == 1 || self.days.first() == Some(day)) {
                svg.label((left, TOP + 31.0), 10, "#5a5a5a", Anchor::Start, &day.strftime("%b").to_string());
            }
            let mut minute = (from / step).ceil() * step;
            while minute <= to {
                let x = left + (minute - from) / (to - from) * width;
                svg.line((x, TOP + 34.0), (x, bottom), "#d8d8d8", 0.6, false);
                if step < DAY && minute < to {
                    let hour = format!("{:02.0}", minute / 60.0);
                    svg.label((x, TOP + 31.0), 9, "#5a5a5a", Anchor::Middle, &hour);
                }
                minute += step;
            }
        }
        if self.days_left_out > 0 {
            let text = format!("earlier days left out: {}", self.days_left_out);
            svg.text(MARGIN, TOP + 12.0, 11, &text);
        } else if self.days.len() > 1 {
            svg.text(MARGIN, TOP + 12.0, 11, "days with contacts only");
        }
    }

    fn own_row(&self, svg: &mut Svg, y: f64) {
        let width = RIGHT - MARGIN + 4.0;
        svg.bar(MARGIN - 4.0, y, width, ROW - 2.0, "#e9e9e9");
        svg.bold(MARGIN + 26.0, y + 16.0, 12, &shortened(&self.plan.title.name, 32));
        // What was seen is drawn over what is only possible.
        let (unseen, seen): (Vec<_>, Vec<_>) =
            self.plan.traced.stays.iter().partition(|stay| stay.arrival == Arrival::Unseen);
        for stay in unseen.into_iter().chain(seen) {
            let (_, colour) = self.plan.colour(&stay.zone);
            let text = format!("{}: {}", stay.zone, self.time_span(stay.from.earliest, stay.to.latest));
            svg.explained(&text);
            for (x, width) in self.bars(stay.from.earliest, stay.to.latest) {
                svg.bar(x, y + 8.0, width, 7.0, colour);
            }
            svg.end();
        }
    }

    fn row(&self, svg: &mut Svg, row: &Row<'_>, y: f64) {
        let contact = row.contact;
        let fill = if row.is_certain() { "#1a1a1a" } else { "#ffffff" };
        let ink = if row.is_certain() { "#ffffff" } else { "#1a1a1a" };
        svg.node((MARGIN + 10.0, y + 12.0), 9.0, fill, ink, &row.number.to_string());
        let via = format!("with {}", row.via.name);
        let below: Vec<&str> = [row.name.opd.as_str(), if contact.generation > 1 { &via } else { "" }]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        let name_y = y + if below.is_empty() { 16.0 } else { 11.0 };
        svg.label((MARGIN + 26.0, name_y), 11, "#1a1a1a", Anchor::Start, &shortened(&row.name.name, 28));
        svg.text(MARGIN + 26.0, y + 21.0, 9, &shortened(&below.join(" · "), 36));
        svg.label((MARGIN + LABELS - 10.0, y + 16.0), 11, "#1a1a1a", Anchor::End, &row.minutes());
        contact.encounters.iter().for_each(|met| self.encounter(svg, met, y));
        svg.line((MARGIN, y + ROW - 1.0), (RIGHT, y + ROW - 1.0), "#e4e4e4", 0.6, false);
    }

    fn encounter(&self, svg: &mut Svg, met: &Encounter, y: f64) {
        let (index, colour) = self.plan.colour(&met.zone);
        let top = y + (ROW - BAR) / 2.0 - 1.0;
        let certain =
            met.certain.map_or("possibly".to_owned(), |(from, to)| format!("certain {}", self.time_span(from, to)));
        svg.explained(&format!("{}: {} ({certain})", met.zone, self.time_span(met.from, met.to)));
        if met.certain != Some((met.from, met.to)) {
            for (x, width) in self.bars(met.from, met.to) {
                svg.hatched_bar(x, top, width, BAR, index, colour);
            }
        }
        for (x, width) in met.certain.iter().flat_map(|(from, to)| self.bars(*from, *to)) {
            svg.bar(x, top, width, BAR, colour);
            if met.zone.chars().count() as f64 * 5.6 + 6.0 < width {
                svg.label((x + width / 2.0, top + 10.5), 9, "#ffffff", Anchor::Middle, &met.zone);
            }
        }
        svg.end();
    }

    /// Where a time is drawn: left edge and width, day by day.
    fn bars(&self, from: Instant, to: Instant) -> impl Iterator<Item = (f64, f64)> {
        let (first, last) = self.minutes;
        pieces(self.plan, from, to).into_iter().filter_map(move |piece| {
            let (from, to) = (piece.from.max(first), piece.to.min(last));
            let (left, right) = (self.x(piece.day, from)?, self.x(piece.day, to)?);
            (from < to || piece.from >= piece.to).then_some((left, (right - left).max(1.5)))
        })
    }

    fn x(&self, day: Date, minute: f64) -> Option<f64> {
        let column = self.days.binary_search(&day).ok()? as f64;
        let (from, to) = self.minutes;
        Some(MARGIN + LABELS + column * (self.column() + GAP) + (minute - from) / (to - from) * self.column())
    }

    /// Width of one day.
    fn column(&self) -> f64 {
        let days = self.days.len().max(1) as f64;
        (RIGHT - MARGIN - LABELS - GAP * (days - 1.0)) / days
    }

    fn time_span(&self, from: Instant, to: Instant) -> String {
        format!("{} to {}", self.plan.local(from, "%-d %b %H:%M"), self.plan.local(to, "%-d %b %H:%M"))
    }
}

/// A time, cut into days.
fn pieces(plan: &Plan<'_>, from: Instant, to: Instant) -> Vec<Piece> {
    let (from, to) = (from.max(plan.traced.from), to.min(plan.traced.to));
    let local = |at: Instant| plan.time_zone.to_datetime(at.timestamp());
    let minute = |at: DateTime| f64::from(at.hour()) * 60.0 + f64::from(at.minute()) + f64::from(at.second()) / 60.0;
    let (from, to) = (local(from), local(to));
    let days = std::iter::successors(Some(from.date()), |day| Some(days_after(*day, 1)).filter(|next| next > day));
    let piece = |day: Date| Piece {
        day,
        from: if day == from.date() { minute(from) } else { 0.0 },
        to: if day == to.date() { minute(to) } else { DAY },
    };
    let days = days.take_while(|day| *day <= to.date()).map(piece);
    // A time that ends at midnight has no piece of the next day.
    days.filter(|piece| piece.to > 0.0).collect()
}
