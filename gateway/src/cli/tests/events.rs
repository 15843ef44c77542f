//! Events, page by page.

use super::{Canned, Fake};

const SCANNED: &str = r#"{"number":9,"door":"main-in","received_at":"2026-11-22T23:31:04Z","decided_at":"2026-11-22T23:31:04Z","subject":{"scan":{"epoch":1,"seq":4,"scanned_at":"2026-11-22T23:31:03Z","direction":"in","credential":"00","clock":"good"}},"verdict":{"outcome":"recorded","open":true,"reason":"granted","mode":"observe","would_be":"denied","person":"C-0001","policies":[],"zone":"main"}}"#;
const ERASED: &str = r#"{"number":10,"door":"main-out","decided_at":"2026-11-22T23:32:00Z","subject":{"scan":{"direction":"out"}},"verdict":{"outcome":"recorded","reason":"exit"},"erased":true}"#;
const SAID: &str = r#"{"number":11,"door":"main-in","decided_at":"2026-11-22T23:33:00Z","subject":{"assist":{"action":"admit","direction":"in","person":"C-0002"}},"verdict":{"outcome":"granted","reason":"helper"}}"#;
const MALFORMED: &str = r#"{"number":12,"door":"main-in","decided_at":"2026-11-22T23:34:00Z","subject":{"malformed":{"payload_bytes":3}},"verdict":{"outcome":"denied","reason":"malformed"}}"#;

fn page(lines: &[&str], last: u64, more: bool) -> Canned {
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Canned::json(&body).with("gapura-last-event", &last.to_string()).with("gapura-more", &more.to_string())
}

#[test]
fn pages_make_one_table() {
    let gateway =
        Fake::new([page(&[SCANNED], 9, true), page(&[], 9_000, true), page(&[ERASED, SAID, MALFORMED], 9_012, false)]);
    assert_eq!(
        gateway.gapura("events --after 3").well(),
        "\
EVENT  TIME                 DOOR     ZONE  WAY  OUTCOME   REASON   PERSON  NOTES
    9  2026-11-23 07:31:04  main-in  main  in   recorded  granted  C-0001  by policy denied
   10  2026-11-23 07:32:00  main-out        out  recorded  exit       (erased)
   11  2026-11-23 07:33:00  main-in         in   granted   helper     C-0002    assist request: admit
   12  2026-11-23 07:34:00  main-in              denied    malformed            was no scan

4 events
"
    );
    assert_eq!(
        gateway.asked(),
        [
            "GET /api/v1/events?after=3&limit=1000",
            "GET /api/v1/events?after=9&limit=999",
            "GET /api/v1/events?after=9000&limit=999"
        ]
    );
}

#[test]
fn filters_are_asked_for_and_lines_passed_through_as_they_are() {
    let gateway = Fake::new([page(&[SCANNED], 9, false)]);
    let line = "events --person C-0001 --door main-in --zone main --from 2026-11-23 --to 2026-11-23T09:00 \
                --outcome denied --reason no-badge --purpose a_case --json";
    assert_eq!(gateway.gapura(line).well(), format!("{SCANNED}\n"));
    let asked = "GET /api/v1/events?person=C-0001&door=main-in&zone=main&from=2026-11-22T16%3A00%3A00.000Z\
                 &to=2026-11-23T01%3A00%3A00.000Z&outcome=denied&reason=no-badge&purpose=a+case&after=0&limit=1000";
    assert_eq!(gateway.asked(), [asked]);
}

#[test]
fn a_limit_ends_the_pages_and_says_where_to_go_on() {
    let gateway = Fake::new([page(&[SCANNED], 9, true), page(&[ERASED], 10, true)]);
    let told = gateway.gapura("events --limit 2 --format ndjson");
    assert_eq!((told.out, told.ended), (format!("{SCANNED}\n{ERASED}\n"), Ok(())));
    assert_eq!(told.errors, "gapura: there is more: go on with --after 10, or take --all\n");
    assert_eq!(gateway.asked(), ["GET /api/v1/events?after=0&limit=2", "GET /api/v1/events?after=9&limit=1"]);
}

#[test]
fn all_goes_on_until_the_end() {
    let thousand: Vec<String> =
        (1..=1_000).map(|number| SCANNED.replace("\"number\":9", &format!("\"number\":{number}"))).collect();
    let thousand: Vec<&str> = thousand.iter().map(String::as_str).collect();
    let gateway = Fake::new([page(&thousand, 1_000, true), page(&[ERASED], 1_001, true), page(&[], 1_001, false)]);
    assert_eq!(gateway.gapura("events --all --json").well().lines().count(), 1_001);
    assert_eq!(gateway.asked().last().unwrap(), "GET /api/v1/events?after=1001&limit=1000");
}

#[test]
fn a_gateway_that_does_not_go_on_is_not_asked_for_ever() {
    let gateway = Fake::new([page(&[SCANNED], 9, true), page(&[], 9, true)]);
    let told = gateway.gapura("events --all --json");
    assert_eq!(told.ended.unwrap_err(), "the gateway says that there is more, but not where; ask again with --after 9");
}

#[test]
fn a_person_is_looked_for_with_a_purpose_only() {
    let gateway = Fake::new([]);
    assert!(gateway.gapura("events --person C-0001").error().contains("--purpose <WHY>"));
    assert!(gateway.gapura("events --all --limit 3").error().contains("cannot be used with"));
    assert!(gateway.gapura("events --limit 0").error().contains("0 is not in 1.."));
    assert!(gateway.asked().is_empty());
}
