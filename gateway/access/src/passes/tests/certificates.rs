//! Health certificates, and the colours that they give.

use protocol::HealthStatus::{Black, Green, Yellow};
use protocol::{HealthStatus, Instant};
use serde_json::{Value, json};

use super::makers::{
    HealthSigner, after_hours, health_payload, health_text, now, put, recovery, test, vaccination, zlib,
};
use crate::passes::cose::encoded;
use crate::passes::{Fault, HealthRules, INFLATED_BYTES_MAX, Passes, base45};

const NAAT: &str = "LP6464-4";
const ANTIGEN: &str = "LP217198-3";
const POSITIVE: &str = "260373001";
const NEGATIVE: &str = "260415000";

fn fault(passes: &Passes, text: &str) -> Option<Fault> {
    passes.check(text, now()).unwrap().fault
}

fn status_at(passes: &Passes, text: &str, at: Instant) -> Option<HealthStatus> {
    passes.check(text, at).unwrap().claims.unwrap().status
}

#[test]
fn the_rules_give_each_certificate_its_colour() {
    let signer = HealthSigner::new(&[]);
    let passes = signer.trusted();
    for (case, certificate, colour) in [
        ("complete, 14 days", vaccination(2, 2, 14), Some(Green)),
        ("complete, 13 days", vaccination(2, 2, 13), Some(Yellow)),
        ("one of two", vaccination(1, 2, 30), Some(Yellow)),
        ("one of one", vaccination(1, 1, 30), Some(Green)),
        ("a booster, today", vaccination(3, 3, 0), Some(Green)),
        ("a second dose after one", vaccination(2, 1, 0), Some(Green)),
        ("365 days", vaccination(2, 2, 365), Some(Green)),
        ("366 days", vaccination(2, 2, 366), Some(Yellow)),
        ("tomorrow", vaccination(2, 2, -1), None),
        ("no count of doses", vaccination(2, 0, 30), None),
        ("negative, 72 hours", test(NAAT, NEGATIVE, 72), Some(Green)),
        ("negative, 73 hours", test(NAAT, NEGATIVE, 73), None),
        ("negative antigen", test(ANTIGEN, NEGATIVE, 1), Some(Green)),
        ("negative, in an hour", test(NAAT, NEGATIVE, -1), None),
        ("positive, today", test(ANTIGEN, POSITIVE, 1), Some(Black)),
        ("positive, 14 days", test(NAAT, POSITIVE, 14 * 24), Some(Black)),
        ("positive, 15 days", test(NAAT, POSITIVE, 15 * 24), None),
        ("inconclusive", test(NAAT, "419984006", 1), None),
        ("recovered", recovery(30, 19, -150), Some(Green)),
        ("recovered, 10 days", recovery(10, 9, -150), Some(Black)),
        ("recovered, before its issuer's window", recovery(30, -1, -150), Some(Black)),
        ("recovered, its issuer's last day", recovery(30, 19, 0), Some(Green)),
        ("recovered, after its issuer's window", recovery(30, 19, 1), Some(Yellow)),
        ("recovered, 181 days", recovery(181, 170, -10), Some(Yellow)),
    ] {
        let checked = passes.check(&signer.certify(&certificate), now()).unwrap();
        assert_eq!((checked.fault, checked.claims.unwrap().status), (None, colour), "{case}: {:?}", checked.detail);
    }
}

#[test]
fn another_diseases_certificate_gives_no_colour() {
    let signer = HealthSigner::new(&[]);
    for (group, mut certificate) in
        [("v", vaccination(2, 2, 30)), ("t", test(NAAT, POSITIVE, 1)), ("r", recovery(30, 19, -150))]
    {
        certificate[group][0]["tg"] = "6142004".into();
        assert_eq!(status_at(&signer.trusted(), &signer.certify(&certificate), now()), None, "{group}");
    }
}

#[test]
fn the_colour_changes_with_time_although_the_certificate_is_remembered() {
    let signer = HealthSigner::new(&[]);
    let passes = signer.trusted();
    let text = signer.certify(&test(NAAT, NEGATIVE, 1));
    for (hours, colour) in [(0, Some(Green)), (72, None), (71, Some(Green))] {
        assert_eq!(status_at(&passes, &text, after_hours(hours)), colour, "{hours}");
    }
}

#[test]
fn rules_are_read_with_defaults_and_checked() {
    let rules: HealthRules = toml::from_str("naat_hours = 24\ntest_negative = \"yellow\"\n").unwrap();
    assert_eq!(rules.validate(), Ok(()));
    let signer = HealthSigner::new(&[]);
    let passes = signer.trusted_with(rules);
    assert_eq!(status_at(&passes, &signer.certify(&test(NAAT, NEGATIVE, 24)), now()), Some(Yellow));
    assert_eq!(status_at(&passes, &signer.certify(&test(NAAT, NEGATIVE, 25)), now()), None);
    for (text, word) in [
        ("naat_hours = 0", "naat_hours is 0, allowed are 1 to 720"),
        (
            "vaccination_days_min = 400",
            "vaccination_days_min is 400, allowed is at most vaccination_days_max, which is 365",
        ),
    ] {
        let error = toml::from_str::<HealthRules>(text).unwrap().validate().unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    assert!(toml::from_str::<HealthRules>("naat_days = 3").is_err());
}

#[test]
fn a_certificate_holds_what_its_schema_says() {
    let signer = HealthSigner::new(&[]);
    let passes = signer.trusted();
    let cases: &[(&str, &str, Value, bool)] = &[
        // Where, and what stands there instead; null leaves the field out.
        ("/ver", "ver", Value::Null, false),
        ("/ver", "ver", json!("1.3"), false),
        ("/dob", "dob", json!("1990"), true),
        ("/dob", "dob", json!("1990-01"), true),
        ("/dob", "dob", json!(""), true),
        ("/dob", "dob", json!("1990-01-31T00:00:00"), true),
        ("/dob", "dob", json!("31.01.1990"), false),
        ("/dob", "dob", json!("1890-01-31"), false),
        ("/dob", "dob", Value::Null, false),
        ("/nam", "nam", Value::Null, false),
        ("/nam/fnt", "fnt", Value::Null, false),
        ("/nam/fnt", "fnt", json!("Contoh"), false),
        ("/nam/gnt", "gnt", Value::Null, true),
        ("/nam/fn", "fn", json!("x".repeat(81)), false),
        ("/nam/fn", "fn", json!("é".repeat(80)), true),
        ("/v/0/tg", "tg", Value::Null, false),
        ("/v/0/ma", "ma", Value::Null, false),
        ("/v/0/dn", "dn", json!(0), true),
        ("/v/0/dn", "dn", json!(-1), false),
        ("/v/0/dn", "dn", json!("2"), false),
        ("/v/0/dn", "dn", json!(2.0), true),
        ("/v/0/dn", "dn", json!(1.5), false),
        ("/v/0/dt", "dt", json!("2026-02-30"), false),
        ("/v/0/dt", "dt", json!("2026-02-03T10:00:00Z"), true),
        ("/v/0/dt", "dt", json!("2026-02"), false),
        ("/v/0/co", "co", json!("id"), false),
        ("/v/0/co", "co", json!("XX"), false),
        ("/v/0/co", "co", json!(""), true),
        ("/v/0/co", "co", json!("UNHCR"), true),
        ("/v/0/ma", "ma", json!("ORG-99999999"), false),
        ("/v/0/ma", "ma", json!("Bharat-Biotech"), true),
        ("/dob", "dob", json!("2026-11-23"), false),
        ("/dob", "dob", json!("2026-11-22"), true),
        ("/dob", "dob", json!("2027"), false),
        ("/nam/gnt", "gnt", json!(""), false),
        ("/v/0/ci", "ci", Value::Null, false),
        ("/v/0/new", "new", json!("anything"), true),
        ("/v", "v", json!([]), false),
        ("/t", "t", json!([{}]), false),
        ("/t", "t", Value::Null, true),
    ];
    for (place, field, value, good) in cases {
        let mut certificate = vaccination(2, 2, 30);
        let parent = place.rsplit_once('/').unwrap().0;
        let entries = certificate.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            entries.remove(*field)
        } else {
            entries.insert((*field).into(), value.clone())
        };
        let expected = if *good { None } else { Some(Fault::Claims) };
        assert_eq!(fault(&passes, &signer.certify(&certificate)), expected, "{place} {value}");
    }
    let mut two = vaccination(2, 2, 30);
    two["v"].as_array_mut().unwrap().push(vaccination(1, 2, 60)["v"][0].clone());
    assert_eq!(fault(&passes, &signer.certify(&two)), Some(Fault::Claims));
    two["ver"] = "1.2.1".into();
    let checked = passes.check(&signer.certify(&two), now()).unwrap();
    assert_eq!((checked.fault, checked.claims.unwrap().status), (None, Some(Green)), "the newer dose counts");
    let mut both = vaccination(2, 2, 30);
    both["t"] = test(NAAT, NEGATIVE, 1)["t"].clone();
    assert_eq!(fault(&passes, &signer.certify(&both)), Some(Fault::Claims));
}

#[test]
fn times_of_samples_are_read_in_the_forms_that_issuers_write() {
    let signer = HealthSigner::new(&[]);
    let passes = signer.trusted();
    for (time, good) in [
        ("2026-11-22T10:00:00Z", true),
        ("2026-11-22T10:00:00.123Z", true),
        ("2026-11-22T10:00:00+08:00", true),
        ("2026-11-22T10:00:00+0800", true),
        ("2026-11-22T10:00:00+08", true),
        ("2026-11-22T10:00:00", true),
        ("2026-11-22T10:00Z", true),
        ("2026-11-22", false),
        ("yesterday", false),
    ] {
        let mut certificate = test(NAAT, NEGATIVE, 1);
        certificate["t"][0]["sc"] = time.into();
        let expected = if good { None } else { Some(Fault::Claims) };
        assert_eq!(fault(&passes, &signer.certify(&certificate)), expected, "{time}");
    }
}

#[test]
fn a_signer_signs_only_what_its_certificate_is_for() {
    let purposes: [&[u64]; 2] = [&[1, 3, 6, 1, 4, 1, 1847, 2021, 1], &[1, 3, 6, 1, 4, 1, 0, 1847, 2021, 1]];
    for prefix in purposes {
        for purpose in 1..=3 {
            let purpose_oid = [prefix, &[purpose]].concat();
            let signer = HealthSigner::new(&[&purpose_oid]);
            let passes = signer.trusted();
            let certificates = [test(NAAT, NEGATIVE, 1), vaccination(2, 2, 30), recovery(30, 19, -150)];
            for (kind, certificate) in (1..).zip(&certificates) {
                let expected = if kind == purpose { None } else { Some(Fault::KeyNotValid) };
                assert_eq!(fault(&passes, &signer.certify(certificate)), expected, "{purpose_oid:?} for {kind}");
            }
        }
    }
    let signer = HealthSigner::new(&[&[1, 3, 6, 1, 5, 5, 7, 3, 1]]);
    assert_eq!(fault(&signer.trusted(), &signer.certify(&vaccination(2, 2, 30))), None);
}

#[test]
fn a_signers_certificate_must_be_valid_at_the_time_of_the_check() {
    let signer = HealthSigner::new(&[]);
    let passes = signer.trusted();
    let text = signer.certify(&vaccination(2, 2, 30));
    assert_eq!(fault(&passes, &text), None);
    let mut expired = signer.trusted();
    expired.health = crate::passes::trust::TrustList::default();
    let mut key = crate::passes::keys::TrustedKey::of_certificate(&signer.certificate).unwrap();
    key.validity.until = Some(after_hours(-1));
    expired.health.add(key);
    assert_eq!(fault(&expired, &text), Some(Fault::KeyNotValid));
}

#[test]
fn certificates_expire_and_begin() {
    let signer = HealthSigner::new(&[]);
    let passes = signer.trusted();
    let text = signer.certify(&vaccination(2, 2, 30));
    let fault = |hours| passes.check(&text, after_hours(hours)).unwrap().fault;
    assert_eq!([-2, -1, 720, 721].map(fault), [Some(Fault::NotYetValid), None, None, Some(Fault::Expired)]);
}

/// A message whose parts lie where the caller wants them.
fn message(signer: &HealthSigner, tags: &[u64], protected: &[u8], unprotected: &[u8], payload: &[u8]) -> String {
    let signed = encoded(|e| e.array(4)?.str("Signature1")?.bytes(protected)?.bytes(&[])?.bytes(payload)?.ok());
    let mut bytes = Vec::new();
    for tag in tags {
        bytes.extend(encoded(|e| e.tag(minicbor::data::Tag::new(*tag))?.ok()));
    }
    bytes.extend(encoded(|e| e.array(4)?.bytes(protected)?.ok()));
    bytes.extend_from_slice(unprotected);
    bytes.extend(encoded(|e| e.bytes(payload)?.bytes(&signer.signature(&signed))?.ok()));
    health_text(&bytes)
}

#[test]
fn headers_and_tags_may_be_where_issuers_put_them() {
    let signer = HealthSigner::new(&[]);
    let passes = signer.trusted();
    let payload = health_payload(&vaccination(2, 2, 30));
    let both = encoded(|e| e.map(2)?.i64(1)?.i64(-7)?.i64(4)?.bytes(&signer.id())?.ok());
    let algorithm = encoded(|e| e.map(1)?.i64(1)?.i64(-7)?.ok());
    let key_id = encoded(|e| e.map(1)?.i64(4)?.bytes(&signer.id())?.ok());
    let other_id = encoded(|e| e.map(1)?.i64(4)?.bytes(&[1; 8])?.ok());
    let long_id = encoded(|e| e.map(1)?.i64(4)?.bytes(&[&signer.id()[..], &[0]].concat())?.ok());
    let other_both = encoded(|e| e.map(2)?.i64(1)?.i64(-7)?.i64(4)?.bytes(&[1; 8])?.ok());
    let none: &[u8] = &[0xa0];
    for (case, tags, protected, unprotected, expected) in [
        ("one tag", &[18][..], &both, none, None),
        ("no tag", &[], &both, none, None),
        ("two tags", &[61, 18], &both, none, None),
        ("the web token's tag only", &[61], &both, none, None),
        ("another tag", &[98], &both, none, Some(Fault::Malformed)),
        ("the tag twice", &[18, 18], &both, none, Some(Fault::Malformed)),
        ("key id unprotected", &[18], &algorithm, &key_id, None),
        ("all unprotected", &[18], &Vec::new(), &both, Some(Fault::Algorithm)),
        ("the algorithm unprotected", &[18], &key_id, &algorithm, Some(Fault::Algorithm)),
        ("another key id unprotected too", &[18], &both, &other_id, None),
        ("another key id protected", &[18], &other_both, &key_id, Some(Fault::UnknownKey)),
        ("no key id", &[18], &algorithm, none, Some(Fault::NoKeyId)),
        ("a longer key id", &[18], &algorithm, &long_id, Some(Fault::UnknownKey)),
        ("no algorithm", &[18], &key_id, none, Some(Fault::Algorithm)),
    ] {
        assert_eq!(fault(&passes, &message(&signer, tags, protected, unprotected, &payload)), expected, "{case}");
    }
}

#[test]
fn times_may_be_numbers_with_a_fraction_and_the_end_must_be_there() {
    let signer = HealthSigner::new(&[]);
    let passes = signer.trusted();
    let seconds = |hours: i64| after_hours(hours).unix_ms() as f64 / 1000.0;
    let payload = |start: i64, end: Option<f64>| {
        let mut payload = encoded(|e| {
            e.map(2 + u64::from(end.is_some()))?.i64(5)?.f64(seconds(start))?;
            if let Some(end) = end {
                e.i64(4)?.f64(end)?;
            }
            e.i64(-260)?.map(1)?.i64(1)?.ok()
        });
        put(&mut payload, &vaccination(2, 2, 30));
        payload
    };
    for (start, end, expected) in [
        (-1, Some(seconds(1) + 0.5), None),
        (1, Some(seconds(2)), Some(Fault::NotYetValid)),
        (-2, Some(seconds(0) - 1.0), Some(Fault::Expired)),
        (-1, None, Some(Fault::Claims)),
        (-1, Some(f64::NAN), Some(Fault::Claims)),
        (-1, Some(f64::INFINITY), Some(Fault::Claims)),
        (-1, Some(1e300), Some(Fault::Claims)),
    ] {
        let text = health_text(&signer.sign(payload(start, end)));
        assert_eq!(fault(&passes, &text), expected, "{start} {end:?}");
    }
}

#[test]
fn what_cannot_be_unpacked_is_told_apart() {
    let signer = HealthSigner::new(&[]);
    let passes = signer.trusted();
    let good = signer.sign(health_payload(&vaccination(2, 2, 30)));
    let packed = |bytes: &[u8]| format!("HC1:{}", base45::encode(bytes));
    let mut corrupt = zlib(&good);
    let middle = corrupt.len() / 2;
    corrupt[middle] ^= 0x55;
    for (case, text, expected) in [
        ("not compressed", packed(&good), Fault::NotCompressed),
        ("damaged", packed(&corrupt), Fault::NotCompressed),
        ("cut off", packed(&zlib(&good)[..middle]), Fault::NotCompressed),
        ("bytes behind", packed(&[zlib(&good), vec![0]].concat()), Fault::NotCompressed),
        ("a bomb", packed(&zlib(&vec![0; 1_000_000])), Fault::InflatesTooFar),
        ("just too far", packed(&zlib(&vec![0; INFLATED_BYTES_MAX + 1])), Fault::InflatesTooFar),
        ("not CBOR", packed(&zlib(b"\xff\xff")), Fault::Malformed),
        ("deep", packed(&zlib(&[vec![0x81; 3000], vec![0]].concat())), Fault::TooDeep),
        ("another structure", packed(&zlib(&[0x83, 1, 2, 3])), Fault::Malformed),
        ("nothing", "HC1:".into(), Fault::NotCompressed),
    ] {
        assert_eq!(fault(&passes, &text), Some(expected), "{case}");
    }
}

#[test]
fn whatever_byte_is_changed_the_certificate_is_never_valid() {
    let signer = HealthSigner::new(&[]);
    let passes = signer.trusted();
    let good = signer.sign(health_payload(&vaccination(2, 2, 30)));
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x01;
        // The unprotected header is not signed; here it is empty, and its head says so.
        assert!(fault(&passes, &health_text(&bad)).is_some(), "byte {at}");
    }
}

#[test]
fn the_core_data_set_of_the_who_is_read_too() {
    let signer = HealthSigner::new(&[]);
    let core = json!({
        "name": "Ayu Contoh", "birthDate": "1990-01-31",
        "vaccination": {
            "vaccine": { "code": "1119349007", "system": "x" }, "brand": { "code": "XM68M6" }, "lot": "1",
            "date": super::makers::days_ago(30), "dose": 2, "totalDoses": 2, "country": { "code": "XXX" },
        },
        "certificate": {
            "hcid": { "value": "HC-1" }, "issuer": { "identifier": { "value": "x" } }, "period": { "end": "2027-01-01" },
        },
    });
    let check = |core: &Value| signer.trusted().check(&signer.certify(core), now()).unwrap();
    let checked = check(&core);
    assert_eq!((checked.fault, checked.claims.unwrap().status), (None, Some(Green)), "{:?}", checked.detail);
    for place in ["/name", "/vaccination/date", "/vaccination/brand", "/certificate/hcid"] {
        let mut bad = core.clone();
        *bad.pointer_mut(place).unwrap() = json!(7);
        assert_eq!(check(&bad).fault, Some(Fault::Claims), "{place}");
    }
}

#[test]
fn nothing_of_the_holder_is_shown_by_accident() {
    let signer = HealthSigner::new(&[]);
    let text = signer.certify(&vaccination(2, 2, 30));
    let shown = format!("{:?}", signer.trusted().check(&text, now()));
    for private in ["Contoh", "CONTOH", "1990", "UVCI"] {
        assert!(!shown.contains(private), "{shown}");
    }
}
