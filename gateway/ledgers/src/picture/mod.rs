//! Contacts as a picture to read and to print: who was with the person when and where, and who is connected with whom.
//!
//! An SVG without scripts, styles or fonts of its own, so that it is shown the same from a file, in a page and on paper. The
//! same contacts give the same bytes.

mod graph;
mod plan;
mod svg;
mod timeline;

use jiff::tz::TimeZone;

pub use self::plan::{CONTACTS_MAX, Traced};

use self::plan::{GRAPH_X, LEGEND_ROW, MARGIN, Name, Plan, TOP, WIDTH};
use self::svg::Svg;
use super::Grade;

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
