//! The right side: the person in the middle, contacts around, and around these their own.

use std::collections::{BTreeMap, HashMap};
use std::f64::consts::TAU;

use super::plan::{GRAPH_X, MARGIN, Plan, Row, TOP, WIDTH};
use super::svg::{Anchor, Svg, shortened};
use crate::Person;

pub(super) const HEIGHT: f64 = 500.0;

const MIDDLE: (f64, f64) = (f64::midpoint(GRAPH_X, WIDTH - MARGIN), TOP + HEIGHT / 2.0);
/// How far the first generation is from the middle: alone, and with another one around it.
const ALONE: f64 = 150.0;
const INNER: f64 = 105.0;
const OUTER: f64 = 165.0;
const NODE_MAX: f64 = 9.0;

/// Somebody around the person in the middle.
struct Node<'a> {
    row: &'a Row<'a>,
    angle: f64,
    radius: f64,
    at: (f64, f64),
    /// Nobody stands behind it, so there is room for its name.
    free: bool,
}

pub(super) fn draw(svg: &mut Svg, plan: &Plan<'_>) {
    let nodes = nodes(plan);
    let ring = nodes.values().map(|node| node.radius).fold(ALONE, f64::min);
    let on_ring = nodes.values().filter(|node| node.radius <= ring).count().max(1);
    let size = (ring * TAU / on_ring as f64 / 2.0 - 0.5).clamp(3.0, NODE_MAX);
    let most = plan.rows.iter().map(|row| row.contact.minutes_max).max().unwrap_or(1).max(1);
    for row in plan.rows.iter().rev() {
        let Some(to) = nodes.get(&row.contact.person) else { continue };
        let from = nodes.get(&row.contact.of).map_or(MIDDLE, |node| node.at);
        let width = 1.0 + size * 0.7 * row.contact.minutes_max as f64 / most as f64;
        let colour = if row.contact.generation == 1 { "#5a5a5a" } else { "#a0a0a0" };
        svg.explained(&format!("{} – {}: {}", row.via.name, row.name.name, row.minutes()));
        svg.line(from, to.at, colour, width, !row.is_certain());
        svg.end();
    }
    for node in nodes.values() {
        let certain = node.row.is_certain();
        let (fill, ink) = if certain { ("#1a1a1a", "#ffffff") } else { ("#ffffff", "#1a1a1a") };
        svg.node(node.at, size, fill, ink, &node.row.number.to_string());
        if node.free {
            name(svg, node, size);
        }
    }
    svg.node(MIDDLE, 16.0, "#d55e00", "#ffffff", "");
    svg.over((MIDDLE.0, MIDDLE.1 + 32.0), 12, &shortened(&plan.title.name, 24));
}

/// Outside of the node, along the ray from the middle; never upside down.
fn name(svg: &mut Svg, node: &Node<'_>, size: f64) {
    let left = node.angle.cos() < 0.0;
    let degrees = node.angle.to_degrees();
    let (degrees, anchor) = if left { (degrees + 180.0, Anchor::End) } else { (degrees, Anchor::Start) };
    let name = shortened(&node.row.name.name, 13);
    svg.turned(place(node.angle, node.radius + size + 4.0), degrees % 360.0, anchor, &name);
}

/// Everybody's place: each of the first generation has a part of the circle that has room for those behind.
fn nodes<'a>(plan: &'a Plan<'a>) -> BTreeMap<&'a Person, Node<'a>> {
    let of_generation = |generation| plan.rows.iter().filter(move |row| row.contact.generation == generation);
    let mut behind: HashMap<&Person, Vec<&Row<'_>>> = HashMap::new();
    let mut nodes: BTreeMap<&Person, Node<'_>> = BTreeMap::new();
    let mut seen: Vec<&Person> = Vec::new();
    for row in of_generation(2) {
        // Whoever is behind several stands behind the one they were with longest.
        if !seen.contains(&&row.contact.person) {
            seen.push(&row.contact.person);
            behind.entry(&row.contact.of).or_default().push(row);
        }
    }
    let first = if behind.is_empty() { ALONE } else { INNER };
    let weight = |row: &Row<'_>| behind.get(&row.contact.person).map_or(1, Vec::len) as f64;
    let total: f64 = of_generation(1).map(weight).sum::<f64>().max(1.0);
    // From the top, clockwise.
    let mut angle = -TAU / 4.0;
    let node = |row, angle, radius, free| Node { row, angle, radius, at: place(angle, radius), free };
    for row in of_generation(1) {
        let part = TAU * weight(row) / total;
        let behind = behind.get(&row.contact.person).map_or(&[][..], Vec::as_slice);
        nodes.insert(&row.contact.person, node(row, angle + part / 2.0, first, behind.is_empty()));
        let step = part / behind.len().max(1) as f64;
        for (index, other) in behind.iter().enumerate() {
            let angle = angle + step * (index as f64 + 0.5);
            nodes.insert(&other.contact.person, node(other, angle, OUTER, true));
        }
        angle += part;
    }
    nodes
}

fn place(angle: f64, radius: f64) -> (f64, f64) {
    (MIDDLE.0 + radius * angle.cos(), MIDDLE.1 + radius * angle.sin())
}
