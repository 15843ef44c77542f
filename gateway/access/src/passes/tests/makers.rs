//! Makes signers, passes and health certificates.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use jiff::civil::date;
use protocol::{HealthStatus, Instant, PersonClass};
use rcgen::{CertificateParams, KeyPair as CertificateKey, PKCS_ECDSA_P256_SHA256};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

use crate::passes::cose::{Sign1, encoded};
use crate::passes::keys::{Algorithm, TrustedKey};
use crate::passes::trust::TrustList;
use crate::passes::{HealthRules, NewPass, Passes, SigningAlgorithm, SigningKey, base45, jwk};

/// 2026-11-23T00:00:00Z, the day on which everything in these tests happens.
pub const NOW_MS: i64 = 1_795_392_000_000;

pub fn after_hours(hours: i64) -> Instant {
    Instant::from_unix_ms(NOW_MS + hours * 3_600_000)
}

pub fn now() -> Instant {
    after_hours(0)
}

pub fn key(algorithm: SigningAlgorithm, id: &[u8]) -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap(), Some(id)).unwrap()
}

pub fn new_pass() -> NewPass {
    NewPass {
        issuer: "regency".into(),
        subject: "P-0001".into(),
        id: vec![7; 16],
        issued: after_hours(-1),
        valid_from: None,
        valid_until: after_hours(24),
        class: Some(PersonClass::Asn),
        opd: Some("health-office".into()),
        host: None,
        status: Some((HealthStatus::Green, after_hours(-2))),
        one_time: false,
    }
}

/// Passes that trust `key`, without an end.
pub fn trusting(key: &SigningKey) -> Passes {
    let mut passes = Passes::nobody();
    add(&mut passes.staff, key, None);
    passes
}

pub fn add(list: &mut TrustList, key: &SigningKey, until: Option<Instant>) {
    let jwks = serde_json::to_vec(&key.public_jwks(until)).unwrap();
    jwk::parse(&jwks).unwrap().into_iter().for_each(|key| list.add(key));
}

/// A signer of health certificates with a certificate of its own.
pub struct HealthSigner {
    pub certificate: Vec<u8>,
    pair: EcdsaKeyPair,
}

impl HealthSigner {
    /// One whose certificate is for these purposes, and valid from 2020 to 2030.
    pub fn new(purposes: &[&[u64]]) -> Self {
        let key = CertificateKey::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        params.extended_key_usages =
            purposes.iter().map(|purpose| rcgen::ExtendedKeyUsagePurpose::Other(purpose.to_vec())).collect();
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        let der = key.serialize_der();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &SystemRandom::new()).unwrap();
        Self { certificate, pair }
    }

    pub fn id(&self) -> Vec<u8> {
        TrustedKey::of_certificate(&self.certificate).unwrap().ids[0].clone()
    }

    pub fn trusted(&self) -> Passes {
        let mut health = TrustList::default();
        health.add(TrustedKey::of_certificate(&self.certificate).unwrap());
        Passes { health, ..Passes::nobody() }
    }

    pub fn trusted_with(&self, rules: HealthRules) -> Passes {
        Passes { rules, ..self.trusted() }
    }

    /// The tagged message around a payload.
    pub fn sign(&self, payload: Vec<u8>) -> Vec<u8> {
        let mut message = Sign1::unsigned(Algorithm::Es256, &self.id(), payload);
        message.signature = self.signature(&message.to_be_signed());
        message.to_bytes()
    }

    pub fn signature(&self, signed: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), signed).unwrap().as_ref().to_vec()
    }

    pub fn certify(&self, dcc: &serde_json::Value) -> String {
        health_text(&self.sign(health_payload(dcc)))
    }
}

pub fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn health_text(message: &[u8]) -> String {
    format!("HC1:{}", base45::encode(&zlib(message)))
}

/// The claims around a DCC, valid from an hour ago for thirty days.
pub fn health_payload(dcc: &serde_json::Value) -> Vec<u8> {
    let seconds = |hours| after_hours(hours).unix_ms() / 1000;
    let mut payload = encoded(|e| {
        e.map(4)?.i64(1)?.str("XX")?.i64(6)?.i64(seconds(-1))?.i64(4)?.i64(seconds(720))?;
        e.i64(-260)?.map(1)?.i64(1)?;
        Ok(())
    });
    put(&mut payload, dcc);
    payload
}

/// Appends JSON as CBOR.
pub fn put(bytes: &mut Vec<u8>, json: &serde_json::Value) {
    use serde_json::Value;
    let head = |write: &dyn Fn(&mut minicbor::Encoder<&mut Vec<u8>>)| {
        let mut head = Vec::new();
        write(&mut minicbor::Encoder::new(&mut head));
        head
    };
    match json {
        Value::Null => bytes.push(0xf6),
        Value::Bool(value) => bytes.push(if *value { 0xf5 } else { 0xf4 }),
        Value::Number(number) => bytes.extend(head(&|e| match number.as_i64() {
            Some(value) => assert!(e.i64(value).is_ok()),
            None => assert!(e.f64(number.as_f64().unwrap()).is_ok()),
        })),
        Value::String(text) => bytes.extend(head(&|e| assert!(e.str(text).is_ok()))),
        Value::Array(values) => {
            bytes.extend(head(&|e| assert!(e.array(values.len() as u64).is_ok())));
            values.iter().for_each(|value| put(bytes, value));
        }
        Value::Object(entries) => {
            bytes.extend(head(&|e| assert!(e.map(entries.len() as u64).is_ok())));
            for (key, value) in entries {
                put(bytes, &Value::String(key.clone()));
                put(bytes, value);
            }
        }
    }
}

pub fn days_ago(days: i32) -> String {
    (date(2026, 11, 23) - jiff::Span::new().days(days)).to_string()
}

fn dcc(group: &str, entry: serde_json::Value) -> serde_json::Value {
    let name = serde_json::json!({ "fn": "Contoh", "fnt": "CONTOH", "gn": "Ayu", "gnt": "AYU" });
    serde_json::json!({ "ver": "1.3.0", "nam": name, "dob": "1990-01-31", group: [entry] })
}

pub fn vaccination(dose: u32, doses: u32, days: i32) -> serde_json::Value {
    dcc(
        "v",
        serde_json::json!({
            "tg": "840539006", "vp": "1119349007", "mp": "EU/1/20/1528", "ma": "ORG-100030215", "dn": dose, "sd": doses,
            "dt": days_ago(days), "co": "ID", "is": "Ministry", "ci": "URN:UVCI:01:XX:ABC#1",
        }),
    )
}

pub fn test(kind: &str, result: &str, hours: i64) -> serde_json::Value {
    dcc(
        "t",
        serde_json::json!({
            "tg": "840539006", "tt": kind, "sc": after_hours(-hours).to_string(), "tr": result, "tc": "Laboratory",
            "co": "ID", "is": "Ministry", "ci": "URN:UVCI:01:XX:ABC#2",
        }),
    )
}

pub fn recovery(days: i32, from: i32, until: i32) -> serde_json::Value {
    dcc(
        "r",
        serde_json::json!({
            "tg": "840539006", "fr": days_ago(days), "df": days_ago(from), "du": days_ago(until), "co": "ID",
            "is": "Ministry", "ci": "URN:UVCI:01:XX:ABC#3",
        }),
    )
}
