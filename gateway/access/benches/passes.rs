//! What a check of a pass costs: new, remembered, and bad in each way, the last as a ratio to a good new one.
//!
//! `cargo bench -p access --bench passes`

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may stop at what it did not expect")]

use std::fs;
use std::hint::black_box;
use std::io::Write;
use std::time::Instant as Stopwatch;

use access::passes::{Fault, HealthRules, NewPass, Passes, SigningAlgorithm, SigningKey};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use protocol::{HealthStatus, Instant, PersonClass};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

/// Passes of each kind.
const PASSES: usize = 2000;

fn main() {
    // `cargo test --benches` runs it too, with nothing to measure.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let now = Instant::from(jiff::Timestamp::now());
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("passes")).unwrap();
    fs::create_dir(folder.path().join("health")).unwrap();
    let keys = [(SigningAlgorithm::Ed25519, "ed"), (SigningAlgorithm::Es256, "es")].map(|(algorithm, id)| {
        let der = SigningKey::generate(algorithm).unwrap();
        let key = SigningKey::from_pkcs8(&der, Some(id.as_bytes())).unwrap();
        fs::write(folder.path().join(format!("passes/{id}.jwks")), key.public_jwks(None).to_string()).unwrap();
        key
    });
    let signer = HealthSigner::new();
    fs::write(folder.path().join("health/signer.der"), &signer.certificate).unwrap();
    let trusting = || Passes::read(folder.path(), HealthRules::default()).unwrap();

    let ed25519 = issued(&keys[0], now);
    let es256 = issued(&keys[1], now);
    let health: Vec<_> = (0..PASSES).map(|number| signer.certify(number, now)).collect();
    let good = report("new pass, Ed25519", &trusting(), &ed25519, None, now, None);
    report("new pass, ES256", &trusting(), &es256, None, now, Some(good));
    let good_health = report("new health certificate, ES256", &trusting(), &health, None, now, Some(good));
    let passes = trusting();
    for (name, list) in [("remembered pass", &ed25519), ("remembered health certificate", &health)] {
        list.iter().for_each(|text| drop(passes.check(text, now)));
        report(name, &passes, list, None, now, Some(good));
    }
    println!("bad passes, against a good new one of their kind:");
    for (fault, list) in bad_passes(&ed25519) {
        report(fault.as_str(), &trusting(), &list, Some(fault), now, Some(good));
    }
    for (fault, list) in bad_certificates(&signer) {
        report(&format!("{fault} (HC1)"), &trusting(), &list, Some(fault), now, Some(good_health));
    }
    let late = Instant::from_unix_ms(now.unix_ms() + 1_000_000_000_000);
    report("pass-expired", &trusting(), &ed25519, Some(Fault::Expired), late, Some(good));
}

/// The median of each text's check, in microseconds.
fn report(name: &str, passes: &Passes, texts: &[String], fault: Option<Fault>, at: Instant, good: Option<f64>) -> f64 {
    let mut micros: Vec<f64> = texts
        .iter()
        .map(|text| {
            let start = Stopwatch::now();
            let checked = black_box(passes.check(black_box(text), at));
            let micros = start.elapsed().as_secs_f64() * 1e6;
            assert_eq!(checked.and_then(|checked| checked.fault), fault, "{name}");
            micros
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    let median = micros[micros.len() / 2];
    let ratio = good.map_or_else(String::new, |good| format!("  {:6.3} x", median / good));
    println!("{name:<40} {median:9.2} µs{ratio}");
    median
}

fn issued(key: &SigningKey, now: Instant) -> Vec<String> {
    let hours = |hours: i64| Instant::from_unix_ms(now.unix_ms() + hours * 3_600_000);
    let pass = |number: usize| NewPass {
        issuer: "regency".into(),
        subject: format!("P-{number:05}"),
        id: number.to_be_bytes().repeat(2),
        issued: hours(-1),
        valid_from: None,
        valid_until: hours(24),
        class: Some(PersonClass::Asn),
        opd: Some("health-office".into()),
        host: None,
        status: Some((HealthStatus::Green, hours(-2))),
        one_time: false,
    };
    (0..PASSES).map(|number| key.issue(&pass(number)).unwrap()).collect()
}

/// Changes the sign in each text that `place` gives, to another one of base45.
fn changed(texts: &[String], place: impl Fn(&str) -> usize) -> Vec<String> {
    let change = |text: &String| {
        let mut bytes = text.clone().into_bytes();
        let at = place(text);
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        String::from_utf8(bytes).unwrap()
    };
    texts.iter().map(change).collect()
}

fn bad_passes(good: &[String]) -> Vec<(Fault, Vec<String>)> {
    let numbered = |bytes: &dyn Fn(usize) -> Vec<u8>| -> Vec<String> {
        (0..PASSES).map(|number| format!("GP1:{}", base45(&bytes(number)))).collect()
    };
    let head = |number: usize| u16::try_from(number).unwrap().to_be_bytes().to_vec();
    // As long as a text may be, and as many items as may be read, with maps whose keys all must be compared.
    let deep = |number| [vec![0x81; 2600], head(number)].concat();
    let maps = |number| {
        let map = |_| [vec![0xb8, 63], (0..63).flat_map(|key| [0x18, 0x18 + key, 0]).collect()].concat();
        [vec![0x98, 32], (0..14).flat_map(map).collect(), head(number)].concat()
    };
    vec![
        (Fault::Oversize, (0..PASSES).map(|number| format!("GP1:{}", "0".repeat(5000 + number))).collect()),
        (Fault::NotBase45, good.iter().map(|text| format!("{text}a")).collect()),
        (Fault::Malformed, changed(good, |_| 4)),
        (Fault::TooDeep, numbered(&deep)),
        (Fault::TooDeep, numbered(&maps)),
        (Fault::UnknownKey, good.iter().map(|text| with_key_id(text)).collect()),
        (Fault::WrongSignature, changed(good, |text| text.len() - 60)),
    ]
}

/// The same pass by a key that nobody knows.
fn with_key_id(text: &str) -> String {
    let mut bytes = unbase45(text.trim_start_matches("GP1:"));
    let at = bytes.windows(2).position(|pair| pair == b"ed").unwrap();
    bytes[at] = b'x';
    format!("GP1:{}", base45(&bytes))
}

fn bad_certificates(signer: &HealthSigner) -> Vec<(Fault, Vec<String>)> {
    let packed = |bytes: &dyn Fn(usize) -> Vec<u8>| -> Vec<String> {
        (0..PASSES).map(|number| format!("HC1:{}", base45(&bytes(number)))).collect()
    };
    let messages: Vec<_> = (0..PASSES)
        .map(|number| {
            let mut message = signer.message(number, Instant::from(jiff::Timestamp::now()));
            let last = message.len() - 1;
            message[last] ^= 1;
            message
        })
        .collect();
    vec![
        (Fault::InflatesTooFar, packed(&|number| zlib(&vec![0; 2_000_000 + number]))),
        (Fault::NotCompressed, packed(&|number| number.to_be_bytes().repeat(300))),
        (Fault::NotCompressed, packed(&|number| zlib(&messages[number])[..200].to_vec())),
        (Fault::TooDeep, packed(&|number| zlib(&[vec![0x81; 4000], number.to_be_bytes().to_vec()].concat()))),
        (Fault::WrongSignature, packed(&|number| zlib(&messages[number]))),
    ]
}

struct HealthSigner {
    certificate: Vec<u8>,
    key_id: Vec<u8>,
    pair: EcdsaKeyPair,
}

impl HealthSigner {
    fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2090, 1, 1);
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        let key_id = ring::digest::digest(&ring::digest::SHA256, &certificate).as_ref()[..8].to_vec();
        let der = key.serialize_der();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &SystemRandom::new()).unwrap();
        Self { certificate, key_id, pair }
    }

    fn certify(&self, number: usize, now: Instant) -> String {
        format!("HC1:{}", base45(&zlib(&self.message(number, now))))
    }

    fn message(&self, number: usize, now: Instant) -> Vec<u8> {
        let seconds = now.unix_ms() / 1000;
        let protected = encoded(|e| e.map(2)?.i64(1)?.i64(-7)?.i64(4)?.bytes(&self.key_id)?.ok());
        let payload = encoded(|e| {
            e.map(4)?.i64(1)?.str("ID")?.i64(6)?.i64(seconds - 60)?.i64(4)?.i64(seconds + 86_400)?;
            e.i64(-260)?.map(1)?.i64(1)?.map(4)?.str("ver")?.str("1.3.0")?.str("dob")?.str("1990-01-31")?;
            e.str("nam")?.map(4)?;
            for (field, text) in [("fn", "Contoh"), ("gn", "Ayu"), ("fnt", "CONTOH"), ("gnt", "AYU")] {
                e.str(field)?.str(text)?;
            }
            e.str("v")?.array(1)?.map(10)?.str("dn")?.u8(2)?.str("sd")?.u8(2)?;
            e.str("ci")?.str(&format!("URN:UVCI:01:ID:{number}"))?;
            for (field, text) in [
                ("tg", "840539006"),
                ("vp", "1119349007"),
                ("mp", "EU/1/20/1528"),
                ("ma", "ORG-100030215"),
                ("dt", "2021-05-29"),
                ("co", "ID"),
                ("is", "Ministry of Health"),
            ] {
                e.str(field)?.str(text)?;
            }
            e.ok()
        });
        let signed = encoded(|e| e.array(4)?.str("Signature1")?.bytes(&protected)?.bytes(&[])?.bytes(&payload)?.ok());
        let signature = self.pair.sign(&SystemRandom::new(), &signed).unwrap();
        encoded(|e| {
            e.tag(minicbor::data::Tag::new(18))?.array(4)?.bytes(&protected)?.map(0)?;
            e.bytes(&payload)?.bytes(signature.as_ref())?.ok()
        })
    }
}

type Encoder<'a> = minicbor::Encoder<&'a mut Vec<u8>>;

fn encoded(
    write: impl FnOnce(&mut Encoder<'_>) -> Result<(), minicbor::encode::Error<std::convert::Infallible>>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut Encoder::new(&mut bytes)).unwrap();
    bytes
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

fn base45(bytes: &[u8]) -> String {
    let group = |pair: &[u8]| {
        let mut value = pair.iter().fold(0, |value, byte| value << 8 | usize::from(*byte));
        let mut signs = Vec::new();
        for _ in 0..=pair.len() {
            signs.push(char::from(ALPHABET[value % 45]));
            value /= 45;
        }
        signs
    };
    bytes.chunks(2).flat_map(group).collect()
}

fn unbase45(text: &str) -> Vec<u8> {
    let digit = |sign: &u8| ALPHABET.iter().position(|other| other == sign).unwrap();
    let group = |signs: &[u8]| {
        let value = signs.iter().rev().fold(0, |value, sign| value * 45 + digit(sign));
        value.to_be_bytes()[size_of::<usize>() - (signs.len() - 1)..].to_vec()
    };
    text.as_bytes().chunks(3).flat_map(group).collect()
}
