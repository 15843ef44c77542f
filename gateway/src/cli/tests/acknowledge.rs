//! Missing scans are acknowledged on the command line.

use super::{Canned, Fake};

#[test]
fn the_gateway_is_asked_for_one_door_and_the_count_is_told() {
    let json = r#"{"door":"main-in","acknowledged_scans":3}"#;
    let gateway = Fake::new([Canned::json(json), Canned::json(json), Canned::json(&json.replace('3', "1"))]);
    assert_eq!(gateway.gapura("door acknowledge main-in").well(), "main-in: 3 missing scans acknowledged\n");
    assert_eq!(gateway.gapura("door acknowledge main-in --json").well(), format!("{json}\n"));
    assert_eq!(gateway.gapura("door acknowledge main-in").well(), "main-in: 1 missing scan acknowledged\n");
    assert_eq!(gateway.asked(), ["POST /api/v1/doors/main-in/acknowledge"; 3]);
    assert!(gateway.gapura("door acknowledge No_Door").ended.is_err());
}

#[test]
fn whose_token_may_not_do_it_is_told_so() {
    let gateway = Fake::new([Canned::forbidden("it may not", &["operator", "admin"])]);
    assert!(gateway.gapura("door acknowledge main-in").error().contains("--role operator"));
}
