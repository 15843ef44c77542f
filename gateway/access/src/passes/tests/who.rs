//! The WHO's certificates by the WHO's model, and what both models leave to their base: audience, well-formed CBOR.

use protocol::HealthStatus::{self, Black, Green};
use serde_json::{Value, json};

use super::makers::{HealthSigner, after_hours, days_ago, health_payload, health_text, now, put, test};
use crate::passes::cose::encoded;
use crate::passes::{Checked, Fault, cbor};

/// A core data set with one of the two statements; both a result and a certificate are of its time.
fn core(name: &str, statement: &Value, period: &Value) -> Value {
    json!({
        "name": "Ayu Contoh", "birthDate": "1990-01-31", name: statement,
        "certificate": { "issuer": "MOH", "hcid": { "value": "HC-1" }, "version": "RC2", "period": period },
    })
}

fn who_test(pathogen: &str, kind: &str, result: &str) -> Value {
    json!({
        "pathogen": { "code": pathogen }, "type": { "code": kind }, "result": { "code": result },
        "country": { "code": "IDN" }, "date": after_hours(-2).to_string(),
    })
}

fn check(core: &Value) -> Checked {
    let signer = HealthSigner::new(&[]);
    signer.trusted().check(&signer.certify(core), now()).unwrap()
}

fn colour(statement: &Value) -> Option<HealthStatus> {
    let checked = check(&core("test", statement, &json!({ "end": "2027-06-30" })));
    assert_eq!(checked.fault, None, "{:?}", checked.detail);
    checked.claims.unwrap().status
}

#[test]
fn the_preferred_codes_give_their_colours() {
    let address = "http://id.who.int/icd/entity/1334426561";
    for kind in ["1334426561", "2056159157", "LP6464-4", "LP217198-3", address, "other"] {
        for disease in ["XN109", "RA01", "840539006", "840533007"] {
            for (result, expected) in [
                ("RA01.0", Some(Black)),
                ("260373001", Some(Black)),
                ("QA02", Some(Green)),
                ("260415000", Some(Green)),
                ("419984006", None),
            ] {
                assert_eq!(colour(&who_test(disease, kind, result)), expected, "{kind} {disease} {result}");
            }
        }
    }
    for (name, more) in [("no result", json!(null)), ("no map", json!({ "code": "else" }))] {
        let mut without = who_test("XN109", "1334426561", "QA02");
        without["result"] = more;
        assert_eq!(colour(&without), None, "{name}");
    }
}

#[test]
fn a_test_or_vaccination_for_another_disease_gives_no_colour_and_says_why() {
    let influenza = who_test("6142004", "LP6464-4", "260415000");
    let vaccination = json!({
        "vaccine": { "code": "XM0GQ8" }, "brand": { "code": "XM8NQ0" }, "date": days_ago(30), "dose": 2,
        "totalDoses": 2, "country": { "code": "IDN" }, "disease": { "code": "1E30" },
    });
    for (name, statement) in [("test", &influenza), ("vaccination", &vaccination)] {
        let checked = check(&core(name, statement, &json!({})));
        assert_eq!((checked.fault, checked.claims.unwrap().status), (None, None), "{name}");
        assert!(checked.detail.is_some_and(|detail| detail.contains("another disease")), "{name}");
    }
    let mut covid = vaccination.clone();
    covid["disease"]["code"] = "RA01".into();
    let checked = check(&core("vaccination", &covid, &json!({})));
    assert_eq!((checked.claims.unwrap().status, checked.detail), (Some(Green), None));
}

#[test]
fn the_sample_has_a_date_under_the_models_name_or_the_older_one() {
    for (names, good) in [(&["date"][..], true), (&["sampleDate"], true), (&["date", "sampleDate"], true), (&[], false)]
    {
        let mut statement = who_test("XN109", "1334426561", "QA02");
        let date = statement.as_object_mut().unwrap().remove("date").unwrap();
        for name in names {
            statement[name] = date.clone();
        }
        let fault = check(&core("test", &statement, &json!({}))).fault;
        assert_eq!(fault, if good { None } else { Some(Fault::Claims) }, "{names:?}");
    }
}

#[test]
fn the_certificates_own_period_holds_too_and_includes_its_last_day() {
    let statement = who_test("XN109", "1334426561", "QA02");
    for (period, expected) in [
        (json!({ "start": "2026-01-01", "end": "2027-06-30" }), None),
        (json!({ "end": "2026-11-22" }), Some(Fault::Expired)),
        (json!({ "end": "2026-11-23" }), None),
        (json!({ "end": "2026-10" }), Some(Fault::Expired)),
        (json!({ "end": "2026-11" }), None),
        (json!({ "end": "2025" }), Some(Fault::Expired)),
        (json!({ "end": "2026" }), None),
        (json!({ "end": "2026-11-22T23:59:59Z" }), Some(Fault::Expired)),
        (json!({ "start": "2026-11-23" }), None),
        (json!({ "start": "2026-11-24" }), Some(Fault::NotYetValid)),
        (json!({ "start": "2026-11-23T00:00:01Z" }), Some(Fault::NotYetValid)),
        (json!({ "start": "2026-12" }), Some(Fault::NotYetValid)),
        (json!({ "start": "2027" }), Some(Fault::NotYetValid)),
        (json!({ "end": "soon" }), Some(Fault::Claims)),
        (json!({ "start": 7 }), Some(Fault::Claims)),
        // Beyond the web token's own end.
        (json!({ "end": "2030-01-01" }), None),
    ] {
        assert_eq!(check(&core("test", &statement, &period)).fault, expected, "{period}");
    }
    // The web token's end is not put off by a later period, nor its own start brought forward.
    let signer = HealthSigner::new(&[]);
    let text = signer.certify(&core("test", &statement, &json!({ "start": "2020-01-01", "end": "2030-01-01" })));
    let fault = |hours| signer.trusted().check(&text, after_hours(hours)).unwrap().fault;
    assert_eq!([-2, 0, 721].map(fault), [Some(Fault::NotYetValid), None, Some(Fault::Expired)]);
}

#[test]
fn a_tests_name_is_limited_from_version_1_3_0_on() {
    let long = "x".repeat(300);
    for (version, good) in [("1.0.0", true), ("1.1.0", true), ("1.2.1", true), ("1.3.0", false), ("1.3.2", false)] {
        let mut certificate = test("LP6464-4", "260415000", 1);
        certificate["ver"] = version.into();
        certificate["t"][0]["nm"] = long.as_str().into();
        assert_eq!(check(&certificate).fault, if good { None } else { Some(Fault::Claims) }, "{version}");
    }
}

#[test]
fn a_certificate_for_an_audience_is_refused() {
    let signer = HealthSigner::new(&[]);
    let dcc = test("LP6464-4", "260415000", 1);
    for (audience, expected) in [
        (json!("https://elsewhere.example"), Some(Fault::Claims)),
        (json!(["a", "b"]), Some(Fault::Claims)),
        (json!(""), Some(Fault::Claims)),
        (json!(null), None),
    ] {
        let mut payload = health_payload(&dcc);
        // One more entry, behind the last.
        payload[0] += 1;
        payload.extend(encoded(|e| e.i64(3)?.ok()));
        put(&mut payload, &audience);
        let text = health_text(&signer.sign(payload));
        assert_eq!(signer.trusted().check(&text, now()).unwrap().fault, expected, "{audience}");
    }
}

/// RFC 8949, appendix F.1: examples of what is not well-formed, of each kind.
const NOT_WELL_FORMED: &str = "18 19 1a 1b 1901 1a0102 1b01020304050607 38 58 78 98 9a01ff00 b8 d8 f8 f900 fa0000 \
    fb000000 41 61 5affffffff00 5bffffffffffffffff010203 7affffffff00 7b7fffffffffffffff010203 81 818181818181818181 \
    8200 a1 a20102 a100 a2000000 c0 5f4100 7f6100 9f 9f0102 bf bf01020102 819f 9f8000 9f9f9f9f9fffffffff 9f819f819f9fffffff \
    1c 1d 1e 3c 3d 3e 5c 5d 5e 7c 7d 7e 9c 9d 9e bc bd be dc dd de fc fd fe f800 f801 f810 f818 f81f 5f00ff 5f21ff 5f6100ff \
    5f80ff 5fa0ff 5fc000ff 5fe0ff 7f4100ff 5f5f4100ffff 7f7f6100ffff ff 81ff 8200ff a1ff a1ff00 a100ff a20000ff 9f81ff \
    9f829f819f9fffffffff bf00ff bf000000ff 1f 3f df c0ff";

#[test]
fn what_is_not_well_formed_is_refused_and_what_is_well_formed_is_not() {
    let bytes = |hex: &str| {
        let digits = hex.as_bytes().chunks(2);
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect::<Vec<_>>()
    };
    for hex in NOT_WELL_FORMED.split_whitespace() {
        assert!(cbor::parse(&bytes(hex)).is_err(), "{hex}");
    }
    for value in 0..=255 {
        assert_eq!(cbor::parse(&[0xf8, value]).is_ok(), value >= 32, "f8{value:02x}");
    }
    for hex in ["e0", "f0", "f6", "f7", "f90001", "5fff", "7fff", "9fff", "bfff", "5f4100ff", "7f6161ff", "c000"] {
        assert!(cbor::parse(&bytes(hex)).is_ok(), "{hex}");
    }
}
