//! Scans in every spelling, and payloads that are none.

use proptest::prelude::*;

use super::*;
use crate::Fault;

const GOOD: &str = r#"{"v":1,"epoch":3,"seq":1042,"scanned_at":"2026-11-23T07:31:04.120+08:00","direction":"in","credential":"GP1:A"}"#;

fn fault(payload: &str) -> (Fault, Option<ScanId>) {
    let error = Scan::from_json(payload.as_bytes()).unwrap_err();
    (error.error.fault, error.id)
}

#[test]
fn the_contracts_example_is_read() {
    let scan = Scan::from_json(GOOD.as_bytes()).unwrap();
    assert_eq!(scan.id(), ScanId { epoch: 3, seq: 1042 });
    assert_eq!((scan.direction, scan.credential.as_str()), (Direction::In, "GP1:A"));
}

#[test]
fn unknown_fields_are_ignored() {
    assert!(Scan::from_json(GOOD.replace("\"v\":1", "\"v\":1,\"lux\":[1,{}]").as_bytes()).is_ok());
}

#[test]
fn each_fault_has_its_own_reason_and_keeps_a_readable_id() {
    let id = Some(ScanId { epoch: 3, seq: 1042 });
    assert_eq!(fault(&GOOD.replace("\"v\":1", "\"v\":2")), (Fault::UnsupportedVersion, id));
    assert_eq!(fault(&GOOD.replace("\"v\":1,", "")), (Fault::UnsupportedVersion, id));
    assert_eq!(fault(&GOOD.replace("\"in\"", "\"up\"")), (Fault::BadField, id));
    assert_eq!(fault(&GOOD.replace("2026-11", "2026-13")), (Fault::BadField, id));
    assert_eq!(fault(&GOOD.replace("GP1:A", "")), (Fault::BadField, id));
    assert_eq!(fault(&GOOD.replace("GP1:A", "a\\u0000b")), (Fault::BadField, id));
    assert_eq!(fault(&GOOD.replace("1042", "9007199254740992")), (Fault::BadField, None));
    assert_eq!(fault(&GOOD.replace("1042", "-1")), (Fault::BadField, None));
    assert_eq!(fault("nonsense"), (Fault::NotJson, None));
    assert_eq!(fault(&"x".repeat(SCAN_BYTES_MAX + 1)), (Fault::TooLarge, None));
}

/// What the error of a payload says, and the direction that was readable.
fn told(payload: &str) -> (String, Option<Direction>) {
    let error = Scan::from_json(payload.as_bytes()).unwrap_err();
    (error.error.message, error.direction)
}

#[test]
fn the_faulty_field_is_named_and_hides_no_other() {
    for (from, to, named) in [
        ("\"in\"", "\"up\"", "\"direction\" must be"),
        ("\"in\"", "7", "\"direction\" must be"),
        ("2026-11", "2026-13", "\"scanned_at\" must be a time"),
        ("+08:00", "", "\"scanned_at\" must be a time"),
        ("1042", "\"1042\"", "\"seq\" must be a whole number"),
        ("1042", "1.5", "\"seq\" must be a whole number"),
        ("\"epoch\":3,", "", "\"epoch\" must be a whole number"),
        ("GP1:A", "", "\"credential\" is empty"),
        ("GP1:A", "\\r", "\"credential\" is empty"),
        ("GP1:A", "a\\u0007b", "control character, U+0007"),
        ("\"GP1:A\"", "null", "\"credential\" must be a text"),
    ] {
        let (message, direction) = told(&GOOD.replace(from, to));
        assert!(message.contains(named), "{message}");
        assert_eq!(direction.is_some(), !named.contains("direction"), "{named}");
    }
    let latin: Vec<u8> =
        GOOD.replace("GP1:A", "caf\u{e9}").chars().map(|char| u8::try_from(u32::from(char)).unwrap()).collect();
    let error = Scan::from_json(&latin).unwrap_err();
    assert_eq!((error.error.fault, error.direction), (Fault::NotJson, Some(Direction::In)));
    assert_eq!(error.id, Some(ScanId { epoch: 3, seq: 1042 }));
}

#[test]
fn a_code_that_breaks_out_of_its_text_says_nothing_of_the_way() {
    let (message, direction) = told(&GOOD.replace("GP1:A", "X\",\"direction\":\"out"));
    assert_eq!((message.as_str(), direction), ("a field stands there twice", None));
}

#[test]
fn neither_errors_nor_debug_repeat_the_credential() {
    let wrong = Scan::from_json(GOOD.replace("\"in\"", "\"GP1:A\"").as_bytes()).unwrap_err();
    assert!(!format!("{wrong} {wrong:?}").contains("GP1"));
    assert!(!format!("{:?}", Scan::from_json(GOOD.as_bytes())).contains("GP1"));
}

proptest! {
    #[test]
    fn a_written_scan_reads_back(epoch: u32, seq in 0..=SEQ_MAX, ms in 0..4_000_000_000_000i64, credential in "[^\\p{Cc}]{1,200}") {
        prop_assume!(!normal_code(&credential).is_empty());
        let scan = Scan::new(ScanId { epoch, seq }, Instant::from_unix_ms(ms), Direction::Out, credential)?;
        prop_assert_eq!(Scan::from_json(&scan.to_json()).unwrap(), scan);
    }

    /// However a scan is spelled, it is the same scan.
    #[test]
    fn every_spelling_of_a_scan_is_read_alike(
        code in "[!-~é ]{0,40}[!-~]",
        around in prop_oneof![Just(("", "")), Just(("", "\r")), Just(("\t]Q1", "\r\n")), Just(("\u{feff}", " "))],
        escaped: bool,
        pointed: bool,
        raw: bool,
        marked: bool,
        ended: bool,
    ) {
        let code = normal_code(&code).to_owned();
        prop_assume!(!code.is_empty());
        let good = Scan::new(ScanId { epoch: 3, seq: 1042 }, Instant::from_unix_ms(5), Direction::In, code.as_str())?;
        let shown = format!("{}{code}{}", around.0, around.1);
        let spelled: String = if escaped {
            shown.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect()
        } else if raw {
            shown.replace('\\', "\\\\").replace('"', "\\\"")
        } else {
            serde_json::to_string(&shown).unwrap().trim_matches('"').to_owned()
        };
        prop_assume!(escaped || raw || !shown.ends_with('"') && !shown.starts_with('"'));
        let point = if pointed { ".0" } else { "" };
        let (mark, end) = (if marked { "\u{feff}" } else { "" }, if ended { "\n\0" } else { "" });
        let payload = format!(
            r#"{mark}{{"v":1{point},"epoch":3{point},"seq":1042{point},"scanned_at":"1970-01-01T00:00:00.005Z","direction":"in","credential":"{spelled}"}}{end}"#
        );
        prop_assert_eq!(Scan::from_json(payload.as_bytes()).unwrap(), good);
    }

    /// The limits hold the longest spelling of whatever is allowed.
    #[test]
    fn the_longest_spelling_of_a_credential_fits(char in prop_oneof![Just('A'), Just('é'), Just('漢'), Just('\u{1F512}')]) {
        let code: String = std::iter::repeat_n(char, CREDENTIAL_BYTES_MAX / char.len_utf8()).collect();
        let spelled: String = code.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let payload = GOOD.replace("GP1:A", &spelled).replace(",", ", \n ");
        prop_assert_eq!(Scan::from_json(payload.as_bytes()).unwrap().credential, code);
    }

    #[test]
    fn no_payload_makes_the_reader_panic(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(Scan::from_json(&payload));
    }
}
