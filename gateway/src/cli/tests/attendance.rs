//! When people came and went.

use super::{Canned, Fake};

const ROWS: &str = r#"{"from":"2026-11-23","to":"2026-11-24","rows":[
    {"person":"C-0001","name":"Ketut Satu","opd":"Archive","day":"2026-11-23",
     "shift_start":"2026-11-22T23:30:00Z","shift_end":"2026-11-23T08:00:00Z","first_in":"2026-11-22T23:42:00Z",
     "last_out":"2026-11-23T07:45:00Z","sessions":[{"from":"2026-11-22T23:42:00Z","from_seen":true,
     "to":"2026-11-23T07:45:00Z","evidence":"exit"}],"worked_minutes":483,"worked_minutes_by_rule":483,
     "late_minutes":12,"early_minutes":15,"missing_exit":false,"missing_entry":false,"closed_by_rule":false,
     "late_scan":true,"doubtful_clock":true},
    {"person":"C-0002","day":"2026-11-23","shift_start":"2026-11-23T14:00:00Z","shift_end":"2026-11-23T22:00:00Z",
     "first_in":"2026-11-23T13:50:00Z","last_out":"2026-11-23T22:05:00Z","sessions":[],"worked_minutes":495,
     "worked_minutes_by_rule":495,"late_minutes":0,"early_minutes":0,"missing_exit":false,"missing_entry":false,
     "closed_by_rule":false,"late_scan":false,"doubtful_clock":false},
    {"person":"C-0002","day":"2026-11-24","shift_start":null,"shift_end":null,"first_in":null,"last_out":null,
     "sessions":[],"worked_minutes":0,"worked_minutes_by_rule":60,"late_minutes":null,"early_minutes":null,
     "missing_exit":true,"missing_entry":true,"closed_by_rule":true,"late_scan":false,"doubtful_clock":false},
    {"person":"C-0003","day":"2026-11-24","shift_start":"2026-11-23T23:30:00Z","shift_end":"2026-11-24T08:00:00Z",
     "first_in":"2026-11-23T23:20:00Z","last_out":null,"sessions":[{"from":"2026-11-23T23:20:00Z","from_seen":true,
     "to":"2026-11-24T01:00:00Z","evidence":"inside"}],"worked_minutes":100,"worked_minutes_by_rule":100,
     "late_minutes":0,"early_minutes":null,"missing_exit":false,"missing_entry":false,"closed_by_rule":false,
     "late_scan":false,"doubtful_clock":false}]}"#;

const SUMMARY: &str = r#"{"days":[{"day":"2026-11-23","opds":[
    {"opd":"Archive","staff":10,"came":8,"late":2,"early":1,"missing_exit":1,"missing_entry":0,
     "worked_minutes_by_rule":3845,"adoption_percent":80.0},
    {"opd":"Pool","staff":0,"came":0,"late":0,"early":0,"missing_exit":0,"missing_entry":0,
     "worked_minutes_by_rule":0,"adoption_percent":null}],
    "total":{"opd":"","staff":10,"came":8,"late":2,"early":1,"missing_exit":1,"missing_entry":0,
     "worked_minutes_by_rule":3845,"adoption_percent":80.0}}]}"#;

#[test]
fn days_are_shown_in_local_time_with_what_is_missing() {
    let gateway = Fake::new([Canned::json(ROWS)]);
    let told = gateway.gapura("attendance --from 2026-11-23 --to 2026-11-24 --opd Archive");
    assert_eq!(
        told.well(),
        "\
2026-11-23 to 2026-11-24

DAY         PERSON  NAME        OPD         IN        OUT  PROVED  BY RULE  LATE  EARLY  NOTES
2026-11-23  C-0001  Ketut Satu  Archive  07:42      15:45    8:03     8:03  0:12   0:15  a scan came late, a reader's clock was off
2026-11-23  C-0002                       21:50  06:05 +1d    8:15     8:15
2026-11-24  C-0002                                           0:00     1:00               day off, no scan out, no scan in, end by rule
2026-11-24  C-0003                       07:20               1:40     1:40               still inside

3 people, 4 working days: 17:58 proved, 18:58 by rule; 1 late, 1 early, 1 without a scan out, 1 without a scan in
"
    );
    let asked = "GET /api/v1/attendance?from=2026-11-23&to=2026-11-24&opd=Archive&format=json";
    assert_eq!(gateway.asked(), [asked]);
}

#[test]
fn the_gateway_is_left_to_say_what_today_is() {
    let gateway = Fake::new([Canned::json(r#"{"from":"2026-11-23","to":"2026-11-23","rows":[]}"#)]);
    assert_eq!(gateway.gapura("attendance --person C-0001 --purpose an_appeal").well(), "2026-11-23\n\nnobody came\n");
    assert_eq!(gateway.asked(), ["GET /api/v1/attendance?person=C-0001&format=json&purpose=an+appeal"]);
}

#[test]
fn a_summary_shows_each_opd_and_all_of_them() {
    let gateway = Fake::new([Canned::json(SUMMARY)]);
    assert_eq!(
        gateway.gapura("attendance --summary --from 2026-11-23").well(),
        "\
DAY         OPD      STAFF  CAME  PERCENT  LATE  EARLY  NO SCAN OUT  NO SCAN IN  HOURS BY RULE
2026-11-23  Archive     10     8     80.0     2      1            1           0          64:05
2026-11-23  Pool         0     0              0      0            0           0           0:00
2026-11-23  all         10     8     80.0     2      1            1           0          64:05

1 day: of 10 who could come 8 came (80.0 %)
"
    );
    assert_eq!(gateway.asked(), ["GET /api/v1/attendance/summary?from=2026-11-23"]);
}

#[test]
fn other_formats_are_passed_through_as_they_are() {
    let gateway =
        Fake::new([Canned::json(ROWS), Canned::json("{}\n{}\n"), Canned::json("a,b\n"), Canned::json(SUMMARY)]);
    assert_eq!(gateway.gapura("attendance --json").well(), ROWS);
    assert_eq!(gateway.gapura("attendance --format ndjson").well(), "{}\n{}\n");
    assert_eq!(gateway.gapura("attendance --format csv").well(), "a,b\n");
    assert_eq!(gateway.gapura("attendance --summary --json").well(), SUMMARY);
    let asked = gateway.asked();
    assert_eq!(asked.get(1).unwrap(), "GET /api/v1/attendance?format=ndjson");
    assert_eq!(asked.get(2).unwrap(), "GET /api/v1/attendance?format=csv");
}

#[test]
fn a_wrong_day_or_format_is_refused_unasked() {
    let gateway = Fake::new([]);
    for (line, why) in [
        ("attendance --from today", "--from is \"today\": it must be a day like 2026-11-23"),
        ("attendance --to 2026-11-23T07:30", "--to is \"2026-11-23T07:30\": it must be a day like 2026-11-23"),
        (
            "attendance --from 2026-11-23 --to 2026-11-22",
            "--to is before --from: the last day cannot be before the first",
        ),
        ("attendance --summary --format csv", "--format csv is not for --summary: take table or json"),
    ] {
        assert_eq!(gateway.gapura(line).error(), why, "{line}");
    }
    assert!(gateway.gapura("attendance --summary --person C-0001").error().contains("cannot be used with"));
    assert!(gateway.asked().is_empty());
}
