//! Staff and visitor passes.

use protocol::Instant;

use super::makers::{add, after_hours, key, new_pass, now, trusting};
use crate::passes::claims::hex;
use crate::passes::cose::{Sign1, encoded};
use crate::passes::keys::Algorithm;
use crate::passes::revoked::Revoked;
use crate::passes::{CHARS_MAX, Fault, NewPass, Passes, SigningAlgorithm, SigningKey, base45};

const BOTH: [SigningAlgorithm; 2] = [SigningAlgorithm::Ed25519, SigningAlgorithm::Es256];

fn fault_at(passes: &Passes, text: &str, at: Instant) -> Option<Fault> {
    passes.check(text, at).unwrap().fault
}

fn bytes(text: &str) -> Vec<u8> {
    base45::decode(text.strip_prefix("GP1:").unwrap()).unwrap()
}

fn text(bytes: &[u8]) -> String {
    format!("GP1:{}", base45::encode(bytes))
}

fn revoked(list: &str) -> Revoked {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), list).unwrap();
    Revoked::read(file.path()).unwrap()
}

#[test]
fn a_good_pass_says_everything_that_was_signed() {
    for algorithm in BOTH {
        let key = key(algorithm, b"key-1");
        let pass = NewPass { host: Some("P-0002".into()), one_time: true, valid_from: Some(now()), ..new_pass() };
        let checked = trusting(&key).check(&key.issue(&pass).unwrap(), now()).unwrap();
        assert_eq!(checked.fault, None, "{:?}", checked.detail);
        let claims = checked.claims.unwrap();
        assert_eq!(
            (&claims.issuer, claims.subject.as_deref(), claims.class, claims.opd.as_deref(), claims.host.as_deref()),
            (&pass.issuer, Some("P-0001"), pass.class, Some("health-office"), Some("P-0002"))
        );
        assert_eq!((claims.status, claims.status_since), (pass.status.map(|s| s.0), pass.status.map(|s| s.1)));
        assert_eq!(
            (claims.valid_from, claims.valid_until, claims.one_time, claims.issued_id.clone()),
            (Some(now()), pass.valid_until, true, Some(hex(&pass.id)))
        );
    }
}

#[test]
fn a_pass_is_valid_from_its_first_moment_until_before_its_last() {
    let key = key(SigningAlgorithm::Ed25519, b"key-1");
    let passes = trusting(&key);
    let pass = NewPass { valid_from: Some(after_hours(1)), valid_until: after_hours(2), ..new_pass() };
    let pass = key.issue(&pass).unwrap();
    let almost = |hours| Instant::from_unix_ms(after_hours(hours).unix_ms() - 1);
    // The first check fills the cache: the others are hits, which ask again what changes with time.
    for (at, fault) in [
        (after_hours(1), None),
        (almost(1), Some(Fault::NotYetValid)),
        (almost(2), None),
        (after_hours(2), Some(Fault::Expired)),
        (after_hours(1), None),
    ] {
        assert_eq!(fault_at(&passes, &pass, at), fault, "{at}");
    }
}

#[test]
fn the_signing_keys_own_validity_is_asked_on_every_check() {
    let key = key(SigningAlgorithm::Ed25519, b"key-1");
    let mut passes = Passes::nobody();
    add(&mut passes.staff, &key, Some(after_hours(3)));
    let pass = key.issue(&new_pass()).unwrap();
    assert_eq!(fault_at(&passes, &pass, after_hours(3)), None);
    assert_eq!(fault_at(&passes, &pass, after_hours(4)), Some(Fault::KeyNotValid));
}

#[test]
fn passes_subjects_and_keys_can_be_revoked_also_after_they_were_seen() {
    let key = key(SigningAlgorithm::Ed25519, b"key-1");
    let mut passes = trusting(&key);
    let pass = key.issue(&new_pass()).unwrap();
    let id = passes.check(&pass, now()).unwrap().claims.unwrap().id_hex();
    for (list, fault) in [
        (format!("passes = [\"{id}\"]"), Some(Fault::Revoked)),
        (format!("passes = [\"{}\"]", hex(&[7; 16]).to_uppercase()), Some(Fault::Revoked)),
        ("subjects = [\"P-0001\"]".into(), Some(Fault::SubjectRevoked)),
        (format!("keys = [\"{}\"]", hex(b"key-1")), Some(Fault::KeyRevoked)),
        ("passes = [\"00112233445566778899aabbccddeeff\"]\nsubjects = [\"P-0002\"]".into(), None),
    ] {
        passes.revoked = revoked(&list);
        assert_eq!(fault_at(&passes, &pass, now()), fault, "{list}");
    }
}

#[test]
fn whatever_byte_is_changed_the_pass_is_never_valid() {
    for algorithm in BOTH {
        let key = key(algorithm, b"key-1");
        let passes = trusting(&key);
        let good = bytes(&key.issue(&new_pass()).unwrap());
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(fault_at(&passes, &text(&bad), now()).is_some(), "byte {at}, bit {bit}");
            }
        }
    }
}

#[test]
fn a_pass_by_another_key_is_forged_and_one_by_an_unknown_key_says_so() {
    let (ours, theirs) = (key(SigningAlgorithm::Ed25519, b"key-1"), key(SigningAlgorithm::Ed25519, b"key-1"));
    let passes = trusting(&ours);
    let forged = theirs.issue(&new_pass()).unwrap();
    for _ in 0..2 {
        assert_eq!(fault_at(&passes, &forged, now()), Some(Fault::WrongSignature));
    }
    let unknown = key(SigningAlgorithm::Ed25519, b"key-2").issue(&new_pass()).unwrap();
    assert_eq!(fault_at(&passes, &unknown, now()), Some(Fault::UnknownKey));
    assert_eq!(fault_at(&Passes::nobody(), &forged, now()), Some(Fault::UnknownKey));
}

#[test]
fn several_keys_may_go_by_one_id() {
    let keys = [key(SigningAlgorithm::Es256, b"key-1"), key(SigningAlgorithm::Es256, b"key-1")];
    let mut passes = trusting(&keys[0]);
    add(&mut passes.staff, &keys[1], None);
    for key in &keys {
        assert_eq!(fault_at(&passes, &key.issue(&new_pass()).unwrap(), now()), None);
    }
}

#[test]
fn the_algorithm_cannot_be_swapped() {
    for algorithm in BOTH {
        let key = key(algorithm, b"key-1");
        let passes = trusting(&key);
        let good = Sign1::strict(&bytes(&key.issue(&new_pass()).unwrap())).unwrap();
        // ES256, EdDSA, PS256, HMAC, ES384, RS1, and no algorithm at all.
        for label in [-7_i64, -8, -37, 5, -35, -65535, 0] {
            if label == good.algorithm.label() {
                continue;
            }
            let protected = encoded(|e| e.map(2)?.i64(1)?.i64(label)?.i64(4)?.bytes(b"key-1")?.ok());
            let swapped = encoded(|e| {
                e.tag(minicbor::data::Tag::new(18))?.array(4)?.bytes(&protected)?.map(0)?;
                e.bytes(&good.payload)?.bytes(&good.signature)?.ok()
            });
            assert_eq!(fault_at(&passes, &text(&swapped), now()), Some(Fault::Algorithm), "{label}");
        }
    }
}

#[test]
fn a_health_certificates_algorithm_is_not_for_passes_nor_its_keys() {
    let key = key(SigningAlgorithm::Ed25519, b"key-1");
    let mut passes = Passes::nobody();
    add(&mut passes.health, &key, None);
    assert_eq!(fault_at(&passes, &key.issue(&new_pass()).unwrap(), now()), Some(Fault::UnknownKey));
}

/// A message from parts, as a forger or a careless issuer would write it.
fn message(key: &SigningKey, protected: &[u8], unprotected: &[u8], tail: &[u8]) -> String {
    let good = Sign1::strict(&bytes(&key.issue(&new_pass()).unwrap())).unwrap();
    let mut message = encoded(|e| e.tag(minicbor::data::Tag::new(18))?.array(4)?.bytes(protected)?.ok());
    message.extend_from_slice(unprotected);
    message.extend(encoded(|e| e.bytes(&good.payload)?.bytes(&good.signature)?.ok()));
    message.extend_from_slice(tail);
    text(&message)
}

#[test]
fn a_message_has_one_form_only() {
    let key = key(SigningAlgorithm::Ed25519, b"key-1");
    let passes = trusting(&key);
    let header = encoded(|e| e.map(2)?.i64(1)?.i64(-8)?.i64(4)?.bytes(b"key-1")?.ok());
    let with_more = encoded(|e| e.map(3)?.i64(1)?.i64(-8)?.i64(2)?.array(0)?.i64(4)?.bytes(b"key-1")?.ok());
    let twice = encoded(|e| e.map(2)?.i64(1)?.i64(-8)?.i64(1)?.i64(-8)?.ok());
    let no_key_id = encoded(|e| e.map(1)?.i64(1)?.i64(-8)?.ok());
    let key_id = encoded(|e| e.map(1)?.i64(4)?.bytes(b"key-1")?.ok());
    for (case, text, fault) in [
        ("as it should be", message(&key, &header, &[0xa0], &[]), None),
        ("unprotected header", message(&key, &header, &key_id, &[]), Some(Fault::Malformed)),
        ("key id in the unprotected header", message(&key, &no_key_id, &key_id, &[]), Some(Fault::Malformed)),
        ("no key id", message(&key, &no_key_id, &[0xa0], &[]), Some(Fault::NoKeyId)),
        ("no header at all", message(&key, &[], &[0xa0], &[]), Some(Fault::Algorithm)),
        ("a critical extension", message(&key, &with_more, &[0xa0], &[]), Some(Fault::Malformed)),
        ("the algorithm twice", message(&key, &twice, &[0xa0], &[]), Some(Fault::Malformed)),
        ("bytes behind it", message(&key, &header, &[0xa0], &[0]), Some(Fault::Malformed)),
        ("an empty map of no fixed length", message(&key, &header, &[0xbf, 0xff], &[]), Some(Fault::Malformed)),
        ("a longer length than need be", message(&key, &header, &[0xb8, 0], &[]), Some(Fault::Malformed)),
    ] {
        assert_eq!(fault_at(&passes, &text, now()), fault, "{case}");
    }
}

#[test]
fn what_is_no_pass_is_told_apart() {
    let key = key(SigningAlgorithm::Ed25519, b"key-1");
    let passes = trusting(&key);
    let good = key.issue(&new_pass()).unwrap();
    let deep = [vec![0x81; 40], vec![0]].concat();
    let wide = [vec![0x99, 0x10, 0x00], vec![0; 2000]].concat();
    for (case, text, fault) in [
        ("too long", format!("GP1:{}", "A".repeat(CHARS_MAX)), Fault::Oversize),
        ("lower case", good.to_lowercase().replace("gp1:", "GP1:"), Fault::NotBase45),
        ("a space in front", good.replace("GP1:", "GP1: "), Fault::NotBase45),
        ("nothing", "GP1:".into(), Fault::Malformed),
        ("deep", text(&deep), Fault::TooDeep),
        ("many items", text(&wide), Fault::TooDeep),
        ("huge array", text(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Fault::Malformed),
        ("cut off", text(&bytes(&good)[..40]), Fault::Malformed),
        ("no array", text(&[0xd2, 0xa0]), Fault::Malformed),
    ] {
        assert_eq!(fault_at(&passes, &text, now()), Some(fault), "{case}");
    }
    for badge in ["P-0001", "", "gp1:AB", "GP2:AB", "HC2:AB", "HC1"] {
        assert!(passes.check(badge, now()).is_none(), "{badge}");
    }
}

#[test]
fn signed_claims_must_be_what_they_should_be() {
    let key = key(SigningAlgorithm::Ed25519, b"key-1");
    let passes = trusting(&key);
    let fault = |payload: Vec<u8>| fault_at(&passes, &key.sign(payload).unwrap(), now());
    let end = after_hours(1).unix_ms() / 1000;
    // Issuer, subject, end and id as a whole pass; each case leaves one out or puts something after them.
    let claims = |left_out: i64, more: &[u8]| {
        let count = if left_out == 0 { 4 } else { 3 } + u64::from(!more.is_empty());
        let mut payload = encoded(|e| e.map(count)?.ok());
        for label in [1, 2, 4, 7].into_iter().filter(|label| *label != left_out) {
            payload.extend(encoded(|e| {
                e.i64(label)?;
                match label {
                    4 => e.i64(end)?.ok(),
                    7 => e.bytes(&[9; 8])?.ok(),
                    _ => e.str("x")?.ok(),
                }
            }));
        }
        payload.extend_from_slice(more);
        payload
    };
    assert_eq!(fault(claims(0, &[])), None);
    for left_out in [1, 2, 4, 7] {
        assert_eq!(fault(claims(left_out, &[])), Some(Fault::Claims), "without {left_out}");
    }
    let long = "x".repeat(65);
    for (case, more, wrong) in [
        ("a claim that is unknown here", encoded(|e| e.i64(-80_000)?.str("x")?.ok()), None),
        ("the end twice", encoded(|e| e.i64(4)?.i64(end)?.ok()), Some(Fault::Malformed)),
        ("an audience", encoded(|e| e.i64(3)?.str("x")?.ok()), Some(Fault::Claims)),
        ("a colour that is none", encoded(|e| e.i64(-70_001)?.i64(4)?.ok()), Some(Fault::Claims)),
        ("a negative class", encoded(|e| e.i64(-70_003)?.i64(-1)?.ok()), Some(Fault::Claims)),
        ("a long office", encoded(|e| e.i64(-70_004)?.str(&long)?.ok()), Some(Fault::Claims)),
        ("an unprintable office", encoded(|e| e.i64(-70_004)?.str("a\nb")?.ok()), Some(Fault::Claims)),
        ("one-time as a number", encoded(|e| e.i64(-70_005)?.i64(1)?.ok()), Some(Fault::Claims)),
        ("a start with a fraction", encoded(|e| e.i64(5)?.f64(1.5)?.ok()), Some(Fault::Claims)),
        ("a start before 1970", encoded(|e| e.i64(5)?.i64(-1)?.ok()), Some(Fault::Claims)),
    ] {
        assert_eq!(fault(claims(0, &more)), wrong, "{case}");
    }
    assert_eq!(fault(vec![0x80]), Some(Fault::Malformed));
}

#[test]
fn a_pass_that_no_gateway_would_take_is_not_issued() {
    let key = key(SigningAlgorithm::Ed25519, b"key-1");
    for (pass, word) in [
        (NewPass { issuer: String::new(), ..new_pass() }, "issuer"),
        (NewPass { opd: Some("x".repeat(65)), ..new_pass() }, "office"),
        (NewPass { id: vec![1; 7], ..new_pass() }, "8 to 32"),
        (NewPass { valid_until: after_hours(-1), ..new_pass() }, "before it begins"),
    ] {
        let error = key.issue(&pass).unwrap_err().to_string();
        assert!(error.contains(word), "{error:?} does not say {word:?}");
    }
}

#[test]
fn the_signed_algorithms_are_the_documented_ones() {
    assert_eq!([Algorithm::EdDsa, Algorithm::Es256, Algorithm::Ps256].map(Algorithm::label), [-8, -7, -37]);
}
