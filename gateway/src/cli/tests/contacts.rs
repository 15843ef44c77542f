//! Who shared a zone with a person.

use super::{Canned, Fake};

const CONTACTS: &str = r#"{"person":"C-0001","from":"2026-11-22T16:00:00Z","to":"2026-11-24T16:00:00Z","minutes":15,
    "contacts":[
    {"generation":1,"of":"C-0001","person":"C-0002","grade":"certain","minutes_min":40,"minutes_max":45,
     "reached_at":"2026-11-23T00:00:00Z","encounters":[
      {"from":"2026-11-22T23:40:00Z","to":"2026-11-23T00:20:00Z","certain":["2026-11-22T23:40:00Z","2026-11-23T00:20:00Z"],
       "zone":"hall","evidence_of":"exit","evidence":"exit","late":false,"clock_doubtful":false},
      {"from":"2026-11-23T01:00:00Z","to":"2026-11-23T01:05:00Z","certain":null,
       "zone":"lab","evidence_of":"rule","evidence":"next_door","late":true,"clock_doubtful":true}]},
    {"generation":2,"of":"C-0002","person":"C-0003","grade":"possible","minutes_min":5,"minutes_max":5,
     "reached_at":"2026-11-23T02:00:00Z","encounters":[
      {"from":"2026-11-23T01:50:00Z","to":"2026-11-23T02:10:00Z","certain":["2026-11-23T01:55:00Z","2026-11-23T02:00:00Z"],
       "zone":"hall","evidence_of":"exit","evidence":"inside","late":false,"clock_doubtful":false}]}]}"#;

#[test]
fn each_encounter_is_a_row_with_how_far_it_can_be_relied_on() {
    let gateway = Fake::new([Canned::json(CONTACTS)]);
    let line = "contacts C-0001 --from 2026-11-23 --to 2026-11-24 --purpose a_case --minutes 15 --around --second";
    assert_eq!(
        gateway.gapura(line).well(),
        "\
Contacts of C-0001, 2026-11-23 00:00:00 +08:00 to 2026-11-25 00:00:00 +08:00
15 minutes or more within 24 hours

PERSON  CONTACT OF  SURE      MINUTES  REACHED           ZONE  TOGETHER                NOTES
C-0002  C-0001      certain     40-45  2026-11-23 08:00  hall  2026-11-23 07:40-08:20
                                                         lab   2026-11-23 09:00-09:05  not certain; C-0001 not seen leaving, end by rule; C-0002 seen next at another door; a scan came late; a reader's clock was off
C-0003  C-0002      possible        5  2026-11-23 10:00  hall  2026-11-23 09:50-10:10  certain 2026-11-23 09:55-10:00; C-0003 still inside

2 contacts: 1 certain, 1 possible; 1 of them contacts of contacts
"
    );
    let asked = "GET /api/v1/contacts?person=C-0001&from=2026-11-22T16%3A00%3A00.000Z&to=2026-11-24T16%3A00%3A00.000Z\
                 &minutes=15&scope=around&generations=2&format=json&purpose=a+case";
    assert_eq!(gateway.asked(), [asked]);
}

#[test]
fn a_picture_goes_to_a_file_and_csv_through() {
    let gateway = Fake::new([Canned::json("<svg/>"), Canned::json("person,zone\n")]);
    let file = gateway.path("c.svg");
    let line = "contacts C-0001 --from 2026-11-23T07:30 --to 2026-11-23T09:30:00+08:00 --purpose a_case --format";
    assert_eq!(gateway.gapura(&format!("{line} svg --out {}", file.display())).well(), "");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "<svg/>");
    assert_eq!(gateway.gapura(&format!("{line} csv")).well(), "person,zone\n");
    let asked = |format| {
        format!(
            "GET /api/v1/contacts?person=C-0001&from=2026-11-22T23%3A30%3A00.000Z&to=2026-11-23T01%3A30%3A00.000Z\
             &format={format}&purpose=a+case"
        )
    };
    assert_eq!(gateway.asked(), [asked("svg"), asked("csv")]);
}

#[test]
fn nobody_is_no_table() {
    let none =
        r#"{"person":"C-1","from":"2026-11-22T16:00:00Z","to":"2026-11-23T16:00:00Z","minutes":15,"contacts":[]}"#;
    let gateway = Fake::new([Canned::json(none)]);
    let told = gateway.gapura("contacts C-1 --from 2026-11-23 --to 2026-11-23 --purpose a_case");
    assert!(told.well().ends_with("24 hours\n\n0 contacts: 0 certain, 0 possible\n"), "{}", told.out);
}

#[test]
fn a_purpose_and_a_time_are_needed_before_anything_is_asked() {
    let gateway = Fake::new([]);
    for (line, why) in [
        ("contacts C-1 --from 2026-11-23 --to 2026-11-23", "--purpose <WHY>"),
        ("contacts C-1 --from 2026-11-23 --to 2026-11-23 --purpose _", "--purpose is empty: say why"),
        ("contacts C-1 --from 2026-11-24 --to 2026-11-23 --purpose x", "--to must be after --from"),
        ("contacts C-1 --from monday --to 2026-11-23 --purpose x", "--from is \"monday\": it must be a day"),
    ] {
        let told = gateway.gapura(line);
        assert!(told.error().contains(why), "{line}: {}", told.error());
    }
    assert!(gateway.asked().is_empty());
}
