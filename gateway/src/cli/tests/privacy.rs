//! What a privacy officer does.

use axum::http::StatusCode;

use super::{Canned, Fake};

#[test]
fn audit_records_are_shown_with_those_that_were_refused() {
    let lines = concat!(
        r#"{"number":4,"at":"2026-11-23T01:00:00Z","token":"desk","role":"operator","what":"presence/people","query":"zone=main","status":200}"#,
        "\n",
        r#"{"number":5,"at":"2026-11-23T01:01:00Z","token":"door-7","role":"viewer","what":"contacts","query":"","purpose":"a case","person":"C-0001","status":403}"#,
        "\n",
        r#"{"number":6,"at":"2026-11-23T01:02:00Z","token":"dpo","role":"privacy-officer","what":"privacy-delete","query":"","status":100}"#,
        "\n"
    );
    let page = |more: &str| Canned::json(lines).with("gapura-last-look", "6").with("gapura-more", more);
    let gateway = Fake::new([page("true"), Canned::json("").with("gapura-more", "false"), Canned::json(lines)]);
    let line = "privacy audit --token desk --person C-0001 --from 2026-11-23 --to 2026-11-23 --after 3";
    assert_eq!(
        gateway.gapura(line).well(),
        "\
RECORD  TIME                 TOKEN   ROLE             WHAT             PERSON  PURPOSE  ANSWER
     4  2026-11-23 09:00:00  desk    operator         presence/people                   done
     5  2026-11-23 09:01:00  door-7  viewer           contacts         C-0001  a case   refused (403)
     6  2026-11-23 09:02:00  dpo     privacy-officer  privacy-delete                    begun

3 records
"
    );
    let asked = "GET /api/v1/privacy/looks?token=desk&person=C-0001&from=2026-11-22T16%3A00%3A00.000Z\
                 &to=2026-11-23T16%3A00%3A00.000Z";
    assert_eq!(gateway.asked(), [format!("{asked}&after=3&limit=1000"), format!("{asked}&after=6&limit=997")]);
    assert_eq!(gateway.gapura("privacy audit --json").well(), lines);
}

#[test]
fn everything_about_a_person_is_an_overview_or_a_file() {
    let everything = r#"{"person":"C-0001","directory":{"class":"asn","valid_from":"2026-01-01T00:00:00Z","groups":["a","b"]},
        "restriction":null,"events":[{},{}],"attendance":[{}],"looks":[]}"#;
    let gateway = Fake::new([Canned::json(everything), Canned::json(everything)]);
    assert_eq!(
        gateway.gapura("privacy export C-0001 --purpose her_request").well(),
        "\
person                        C-0001
directory class               asn
directory valid from          2026-01-01 08:00:00 +08:00
directory groups              a, b
restriction                   none
events                        2 records
attendance                    1 record
looks                         0 records

the whole: with --out FILE, or --json
"
    );
    let file = gateway.path("c-0001.json");
    gateway.gapura(&format!("privacy export C-0001 --purpose her_request --out {}", file.display())).well();
    assert_eq!(std::fs::read_to_string(file).unwrap(), everything);
    assert_eq!(gateway.asked(), ["GET /api/v1/privacy/people/C-0001?purpose=her+request"; 2]);
    assert!(gateway.gapura("privacy export C-0001").error().contains("--purpose <WHY>"));
}

#[test]
fn a_restriction_is_set_and_lifted() {
    let record = r#"{"reason":"disputed"}"#;
    let gone = Canned { status: StatusCode::NO_CONTENT, ..Canned::json("") };
    let gateway = Fake::new([Canned::json(record), Canned::json(record), gone]);
    let told = gateway.gapura("privacy restrict a/b --reason disputed");
    assert_eq!(told.well(), "a/b: restricted; `gapura privacy lift` ends it\n");
    assert_eq!(gateway.gapura("privacy restrict C-0001 --reason disputed --json").well(), record);
    assert_eq!(gateway.gapura("privacy lift C-0001").well(), "C-0001: no longer restricted\n");
    assert_eq!(
        gateway.asked(),
        [
            r#"PUT /api/v1/privacy/people/a%2Fb/restriction {"reason":"disputed"}"#,
            r#"PUT /api/v1/privacy/people/C-0001/restriction {"reason":"disputed"}"#,
            "DELETE /api/v1/privacy/people/C-0001/restriction"
        ]
    );
}

#[test]
fn an_erasure_wants_the_id_typed_again() {
    let erased = r#"{"person":"C-0001","keys_destroyed":3,"views_rows":40,"directory_removed":true}"#;
    let gateway = Fake::new([Canned::json(erased)]);
    let line = "privacy erase C-0001 --purpose her_request";
    let told = gateway.gapura_typing(line, Some("C-0002\n"));
    assert_eq!(told.error(), "that is another id: nothing was erased");
    assert_eq!(told.errors, "Everything about C-0001 will be erased for ever. Type the id again to confirm: ");
    assert_eq!(gateway.gapura_typing(line, Some("")).error(), "that is another id: nothing was erased");
    assert!(gateway.gapura(line).error().ends_with("say so with --yes"));
    assert!(gateway.asked().is_empty());
    let told = gateway.gapura_typing(line, Some("C-0001\n"));
    assert_eq!(told.ended, Ok(()));
    assert_eq!(
        told.out,
        "C-0001: erased\nkeys destroyed                3\nviews rows                    40\ndirectory removed             yes\n"
    );
    assert_eq!(gateway.asked(), ["DELETE /api/v1/privacy/people/C-0001?purpose=her+request"]);
}

#[test]
fn an_erasure_of_somebody_inside_needs_force() {
    let inside = Canned::problem(409, "Still inside", "the person is inside; erase after they have left");
    let gateway = Fake::new([inside, Canned::json(r#"{"person":"C-0001"}"#)]);
    let line = "privacy erase C-0001 --purpose her_request --yes";
    let told = gateway.gapura(line);
    assert!(told.error().ends_with("erase after they have left; --force erases all the same"), "{}", told.error());
    assert_eq!(gateway.gapura(&format!("{line} --force --json")).well(), r#"{"person":"C-0001"}"#);
    let asked = gateway.asked();
    assert_eq!(asked.last().unwrap(), "DELETE /api/v1/privacy/people/C-0001?purpose=her+request&force=true");
}

#[test]
fn no_other_path_is_reached_by_an_id() {
    let gateway = Fake::new([]);
    assert_eq!(gateway.gapura("privacy lift ..").error(), "\"..\" is no person's id");
    assert!(gateway.asked().is_empty());
}

#[test]
fn retention_shows_days_and_the_last_run() {
    let purposes = r#"{"purposes":[{"purpose":"events","days":90},{"purpose":"looks","days":730}],"last_run":"#;
    let never = Canned::json(&format!("{purposes}null}}"));
    let ran =
        Canned::json(&format!(r#"{purposes}{{"at":"2026-11-23T01:00:00Z","removed":{{"events":7,"looks":0}}}}}}"#));
    let gateway = Fake::new([never, ran]);
    let table = "KEPT FOR  DAYS\nevents      90\nlooks      730\n\n";
    assert_eq!(gateway.gapura("privacy retention").well(), format!("{table}nothing was deleted yet\n"));
    assert_eq!(
        gateway.gapura("privacy retention").well(),
        format!(
            "{table}last run at                   2026-11-23 09:00:00 +08:00\n\
             last run removed events       7\nlast run removed looks        0\n"
        )
    );
    assert_eq!(gateway.asked(), ["GET /api/v1/privacy/retention"; 2]);
}
