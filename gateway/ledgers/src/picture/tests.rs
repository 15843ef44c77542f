//! What stands in the picture.

use jiff::tz::TimeZone;
use protocol::Instant;

use super::*;
use crate::stays::{Arrival, Bounds, Evidence};
use crate::{Contact, Encounter, Person, Stay};

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

fn met(zone: &str, from: &str, to: &str, certain: bool) -> Encounter {
    let (from, to) = (at(from), at(to));
    let certain = certain.then_some((from, to));
    let evidence = Evidence::Exit;
    Encounter {
        from,
        to,
        certain,
        zone: zone.into(),
        evidence_of: evidence,
        evidence,
        late: false,
        clock_doubtful: false,
    }
}

fn contact(generation: u8, of: &str, person: &str, minutes: (i64, i64), encounters: Vec<Encounter>) -> Contact {
    let grade = if minutes.0 >= 15 { Grade::Certain } else { Grade::Possible };
    Contact {
        generation,
        of: Person::new(of),
        person: Person::new(person),
        grade,
        minutes_min: minutes.0,
        minutes_max: minutes.1,
        reached_at: encounters[0].from,
        encounters,
    }
}

/// Somebody met `first` people, of whom each third met another one.
fn contacts(first: usize) -> Vec<Contact> {
    let zones = ["bapenda", "main", "canteen", "complex", "dinkes"];
    let mut contacts = Vec::new();
    for n in 0..first {
        let (day, hour, minute) = (16 + n % 5, 8 + n % 7, (n * 13) % 60);
        let zone = zones[n % zones.len()];
        let from = format!("2026-11-{day}T{hour:02}:{minute:02}:00+08:00");
        let to = format!("2026-11-{day}T{:02}:{minute:02}:00+08:00", hour + 1 + n % 3);
        let id = format!("P-{n:04}");
        let minutes = 60 + 60 * (n as i64 % 3);
        let sure = n % 4 != 3;
        let mut encounters = vec![met(zone, &from, &to, sure)];
        if n % 2 == 0 {
            encounters.push(met(
                zones[(n + 1) % 5],
                "2026-11-20T15:10:00+08:00",
                "2026-11-20T15:55:00+08:00",
                n % 3 != 0,
            ));
        }
        contacts.push(contact(1, "P-9000", &id, (if sure { minutes } else { 0 }, minutes), encounters));
        if n % 3 == 0 {
            let other = vec![met("main", "2026-11-20T16:10:00+08:00", "2026-11-20T17:00:00+08:00", true)];
            contacts.push(contact(2, &id, &format!("Q-{n:04}"), (50, 50), other));
        }
    }
    contacts
}

fn stays() -> Vec<Stay> {
    let instant = |at: Instant| Bounds { earliest: at, latest: at };
    let stay = |day: u8, zone: &str, from: &str, to: &str| Stay {
        zone: zone.into(),
        from: instant(at(&format!("2026-11-{day}T{from}:00+08:00"))),
        arrival: Arrival::Entry,
        to: instant(at(&format!("2026-11-{day}T{to}:00+08:00"))),
        evidence: Evidence::Exit,
        entry: None,
        exit: None,
        late: false,
        clock_doubtful: false,
    };
    let days = (16..=20).flat_map(|day| [(day, "main", "07:31", "08:10"), (day, "bapenda", "08:10", "16:02")]);
    days.map(|(day, zone, from, to)| stay(day, zone, from, to)).collect()
}

fn known(id: &str) -> Option<(&'static str, &'static str)> {
    let names =
        ["Contoh Satu", "Bunga Contoh Wijayanti", "Made Contoh", "Contoh <Tiga> & \"Co\"", "Dewa Contoh Putra Utama"];
    match (id, id.strip_prefix("P-").and_then(|number| number.parse::<usize>().ok())) {
        ("P-9000", _) => Some(("Ayu Contoh", "Badan Pendapatan Daerah")),
        (_, Some(number)) => Some((names[number % 5], ["Bapenda", "Dinkes", ""][number % 3])),
        _ => None,
    }
}

fn picture(contacts: &[Contact]) -> String {
    let (person, stays) = (Person::new("P-9000"), stays());
    let traced = Traced {
        person: &person,
        from: at("2026-11-16T00:00:00+08:00"),
        to: at("2026-11-21T00:00:00+08:00"),
        minutes: 15,
        stays: &stays,
        contacts,
    };
    contacts_svg(&traced, known, &TimeZone::get("Asia/Makassar").unwrap())
}

/// How often something stands in it.
fn count(picture: &str, what: &str) -> usize {
    picture.matches(what).count()
}

#[test]
fn every_contact_is_in_the_list_and_in_the_graph_and_every_encounter_a_bar() {
    let contacts = contacts(9);
    let picture = picture(&contacts);
    assert_eq!(contacts.len(), 12);
    // Twelve in each, and the person in the middle.
    assert_eq!(count(&picture, "<circle"), 25);
    assert_eq!(count(&picture, ">Contacts of contacts<"), 1);
    assert_eq!(count(&picture, ">with Contoh Satu<"), 1);
    let possible = contacts.iter().flat_map(|contact| &contact.encounters).filter(|met| met.certain.is_none());
    // The first is the legend's.
    assert_eq!(count(&picture, "fill=\"url(#hatched"), possible.count() + 1);
    assert_eq!(count(&picture, "stroke-dasharray"), 3);
    assert_eq!(count(&picture, "7 certain, 2 possible, and 3 contacts of these"), 1);
    for day in ["Mon 16 Nov", "Fri 20 Nov"] {
        assert_eq!(count(&picture, &format!(">{day}<")), 1, "{day}");
    }
    assert_eq!(count(&picture, ">0–120 min<"), 1);
    assert_eq!(count(&picture, "canteen: 18 Nov 10:26 to 18 Nov 13:26 (certain 18 Nov 10:26 to 18 Nov 13:26)"), 1);
}

#[test]
fn the_longest_contact_comes_first() {
    let picture = picture(&contacts(9));
    let place = |text| picture.find(text).unwrap();
    assert!(place(">180 min<") < place(">120 min<") && place(">120 min<") < place(">60 min<"));
    assert!(place(">60 min<") < place(">0–120 min<"));
}

#[test]
fn the_picture_is_bounded_and_says_what_it_leaves_out() {
    let contacts = contacts(90);
    let picture = picture(&contacts);
    assert_eq!(count(&picture, "<circle"), 2 * CONTACTS_MAX + 1);
    assert_eq!((contacts.len(), count(&picture, "60 are drawn, 60 further are left out")), (120, 1));
}

#[test]
fn the_same_contacts_give_the_same_picture_in_any_order() {
    let mut contacts = contacts(26);
    let one = picture(&contacts);
    contacts.reverse();
    assert!(one == picture(&contacts));
}

#[test]
fn names_are_escaped_and_nothing_is_loaded_or_run() {
    let picture = picture(&contacts(9));
    assert!(picture.contains("Contoh &lt;Tiga&gt; &amp; &quot;Co&quot;") && !picture.contains("<Tiga>"));
    for word in ["<script", "<style", "href", "@import", "url(http", "onload"] {
        assert!(!picture.contains(word), "{word}");
    }
    let (opened, closed) = (count(&picture, "<g>"), count(&picture, "</g>"));
    assert!(opened == closed && picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert!(!picture.contains("NaN") && !picture.contains("inf"));
}

#[test]
fn who_met_nobody_has_a_picture_that_says_so() {
    let picture = picture(&[]);
    assert!(picture.contains("Nobody was with the person for so long."));
    assert_eq!(count(&picture, "<circle"), 1);
    assert!(!picture.contains("NaN"));
}

#[test]
fn a_time_over_midnight_is_drawn_on_both_days() {
    let encounters = vec![met("main", "2026-11-17T22:00:00+08:00", "2026-11-18T02:00:00+08:00", true)];
    let picture = picture(&[contact(1, "P-9000", "P-0001", (240, 240), encounters)]);
    assert!(picture.contains(">Tuesday 17 Nov 2026<") && picture.contains(">Wednesday 18 Nov 2026<"));
}

#[test]
fn of_a_long_time_the_last_days_are_drawn() {
    let day = |day: i32| format!("2026-{}-{:02}T09:00:00+08:00", 10 + (day - 1) / 31, (day - 1) % 31 + 1);
    let encounters = (1..=40).map(|n| met("main", &day(n), &day(n).replace("T09", "T10"), true)).collect();
    let contact = contact(1, "P-9000", "P-0001", (60, 60), encounters);
    let person = Person::new("P-9000");
    let (from, to) = (at("2026-10-01T00:00:00+08:00"), at("2026-11-21T00:00:00+08:00"));
    let traced =
        Traced { person: &person, from, to, minutes: 15, stays: &[], contacts: std::slice::from_ref(&contact) };
    let picture = contacts_svg(&traced, known, &TimeZone::get("Asia/Makassar").unwrap());
    assert_eq!(count(&picture, ">earlier days left out: 9<"), 1);
    assert_eq!((count(&picture, ">Oct<"), count(&picture, ">Nov<"), count(&picture, ">31<")), (1, 1, 1));
}
