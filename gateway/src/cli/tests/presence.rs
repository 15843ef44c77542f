//! How full the zones are, and who is in them.

use super::{Canned, Fake, mode};

const ZONES: &str = r#"{"at":"2026-11-23T01:00:00.000Z","zones":[
    {"zone":"hall","capacity":40,"people":12,"weak":1},{"zone":"lab","capacity":2,"people":3,"weak":0},
    {"zone":"main","people":15,"weak":1},{"zone":"store","capacity":0,"people":0,"weak":0}],"more":1}"#;

const PEOPLE: &str = r#"{"at":"2026-11-23T01:00:00.000Z","people":[
    {"person":"C-0001","name":"Ketut Satu","opd":"Archive","zone":"hall",
     "since":{"earliest":"2026-11-22T23:31:04Z","latest":"2026-11-22T23:31:04Z"},"evidence":"inside","event":7},
    {"person":"C-0002","zone":"hall",
     "since":{"earliest":"2026-11-22T23:10:00Z","latest":"2026-11-22T23:40:00Z"},"evidence":"rule","event":null},
    {"person":"~00ff","zone":"lab","since":{"earliest":"2026-11-22T15:00:00Z","latest":"2026-11-22T23:00:00Z"},
     "evidence":"inside","event":3}]}"#;

#[test]
fn zones_are_shown_with_what_is_free() {
    let gateway = Fake::new([Canned::json(ZONES)]);
    let told = gateway.gapura("presence");
    assert_eq!(
        told.well(),
        "\
2026-11-23 09:00:00 +08:00; each zone with the zones inside it

ZONE   PEOPLE  CAPACITY  FREE  NOTES
hall       12        40    28  1 more, not seen leaving
lab         3         2     0  1 too many
main       15                  1 more, not seen leaving
store       0         0     0  full

4 zones, 2 full
"
    );
    assert_eq!(gateway.asked(), ["GET /api/v1/presence"]);
}

#[test]
fn one_zone_is_shown_alone_and_an_unknown_one_is_named() {
    let gateway = Fake::new([Canned::json(ZONES), Canned::json(ZONES)]);
    assert!(gateway.gapura("presence --zone lab").well().ends_with("1 zone, 1 full\n"));
    assert_eq!(gateway.gapura("presence --zone bar").error(), "there is no zone \"bar\"; gapura presence lists them");
}

#[test]
fn people_are_shown_with_how_it_is_known() {
    let gateway = Fake::new([Canned::json(PEOPLE)]);
    let told = gateway.gapura("presence --people --zone main --purpose fire_drill");
    assert_eq!(
        told.well(),
        "\
2026-11-23 09:00:00 +08:00

PERSON  NAME        OPD      ZONE  SINCE                              EVIDENCE
C-0001  Ketut Satu  Archive  hall  2026-11-23 07:31                   inside
C-0002                       hall  2026-11-23 07:10-07:40             shift over, not seen leaving
~00ff                        lab   2026-11-22 23:00-2026-11-23 07:00  inside

3 people, 1 of them not seen leaving
"
    );
    assert_eq!(gateway.asked(), ["GET /api/v1/presence/people?zone=main&format=json&purpose=fire+drill"]);
}

#[test]
fn a_muster_list_is_text_on_the_screen_and_a_page_in_a_file() {
    let gateway = Fake::new([Canned::json(PEOPLE), Canned::json("<html>")]);
    assert_eq!(
        gateway.gapura("presence --muster").well(),
        "\
Muster list, 2026-11-23 09:00:00 +08:00

hall: 2 people
     PERSON  NAME        OPD      SINCE             EVIDENCE
[ ]  C-0001  Ketut Satu  Archive  2026-11-23 07:31  inside
[ ]  C-0002                       2026-11-23 07:40  shift over, not seen leaving

lab: 1 person
     PERSON  NAME  OPD  SINCE             EVIDENCE
[ ]  ~00ff              2026-11-23 07:00  inside

3 people, 1 of them not seen leaving, 2 zones
"
    );
    let page = gateway.path("muster.html");
    assert_eq!(gateway.gapura(&format!("presence --muster --out {}", page.display())).well(), "");
    assert_eq!((std::fs::read_to_string(&page).unwrap().as_str(), mode(&page)), ("<html>", 0o600));
    let asked = ["json", "html"].map(|format| format!("GET /api/v1/presence/people?format={format}"));
    assert_eq!(gateway.asked(), asked);
}

#[test]
fn json_and_csv_are_passed_through_as_they_are() {
    let gateway = Fake::new([Canned::json(ZONES), Canned::json(PEOPLE), Canned::json("person,zone\r\n")]);
    assert_eq!(gateway.gapura("presence --json").well(), ZONES);
    assert_eq!(gateway.gapura("presence --people --json").well(), PEOPLE);
    assert_eq!(gateway.gapura("presence --people --format csv").well(), "person,zone\r\n");
}

#[test]
fn what_does_not_go_together_is_refused_unasked() {
    let gateway = Fake::new([]);
    for (line, why) in [
        ("presence --format csv", "--format csv needs --people or --muster"),
        ("presence --json --zone hall", "--zone does not go with the JSON"),
        ("presence --purpose drill", "--purpose is for --people and --muster"),
        ("presence --people --muster", "cannot be used with"),
        ("presence --people --format svg", "invalid value 'svg'"),
        ("presence --json --format csv", "cannot be used with"),
    ] {
        let told = gateway.gapura(line);
        assert!(told.error().contains(why), "{line}: {}", told.error());
    }
    assert!(gateway.asked().is_empty());
}
