//! Trust folders: what may lie in them, and how mistakes are named.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData};
use serde_json::json;

use super::makers::{HealthSigner, after_hours, key, new_pass, now, vaccination};
use crate::passes::keys::TrustedKey;
use crate::passes::{Fault, HealthRules, Passes, SigningAlgorithm, SigningKey};

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn read(folder: &Path) -> Result<Passes, String> {
    Passes::read(folder, HealthRules::default()).map_err(|error| error.to_string())
}

fn put(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let file = folder.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

#[test]
fn certificates_and_keys_are_read_in_every_form() {
    let signers: Vec<_> = (0..4).map(|_| HealthSigner::new(&[])).collect();
    let jwk = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "x", "x5c": [STANDARD.encode(&signers[3].certificate)],
        "x": "", "y": "" }] });
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "health/one.pem", format!("Signer one\n{}", pem("CERTIFICATE", &signers[0].certificate)));
    put(folder.path(), "health/two.der", &signers[1].certificate);
    put(folder.path(), "health/three.txt", format!("{}\n", STANDARD.encode(&signers[2].certificate)));
    put(folder.path(), "health/.hidden", "anything");
    let passes = read(folder.path()).unwrap();
    assert_eq!(passes.keys(), 3);
    for signer in &signers[..3] {
        assert_eq!(passes.check(&signer.certify(&vaccination(2, 2, 30)), now()).unwrap().fault, None);
    }
    put(folder.path(), "health/four.json", jwk.to_string());
    assert!(read(folder.path()).unwrap_err().contains("32 bytes"), "a key that its certificate contradicts");
}

#[test]
fn a_bare_public_key_goes_by_its_hash_and_a_jwk_by_its_kid() {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let bare = SigningKey::from_pkcs8(&pair.serialize_der(), None).unwrap();
    let named = key(SigningAlgorithm::Ed25519, b"office-2026");
    let binary = key(SigningAlgorithm::Ed25519, &[0, 1, 2, 250]);
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "passes/bare.pem", pem("PUBLIC KEY", &pair.subject_public_key_info()));
    put(folder.path(), "passes/named.jwks", named.public_jwks(None).to_string());
    put(folder.path(), "passes/binary.jwks", binary.public_jwks(Some(after_hours(1))).to_string());
    let passes = read(folder.path()).unwrap();
    for key in [&bare, &named, &binary] {
        assert_eq!(passes.check(&key.issue(&new_pass()).unwrap(), now()).unwrap().fault, None);
    }
    let late = passes.check(&binary.issue(&new_pass()).unwrap(), after_hours(2)).unwrap();
    assert_eq!(late.fault, Some(Fault::KeyNotValid));
}

#[test]
fn a_folder_that_is_absent_trusts_nobody() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(read(folder.path()).unwrap().keys(), 0);
}

#[test]
fn a_certificate_with_an_odd_key_is_kept_so_that_a_national_list_can_be_used() {
    for (algorithm, fault) in [(&PKCS_ECDSA_P384_SHA384, Fault::WrongSignature), (&PKCS_ED25519, Fault::Algorithm)] {
        let signer = HealthSigner::new(&[]);
        let pair = KeyPair::generate_for(algorithm).unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&pair).unwrap();
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "health/odd.der", certificate.der());
        let mut passes = read(folder.path()).unwrap();
        assert_eq!(passes.keys(), 1);
        let mut key = TrustedKey::of_certificate(certificate.der()).unwrap();
        key.ids = vec![signer.id()];
        passes.health.add(key);
        assert_eq!(passes.check(&signer.certify(&vaccination(2, 2, 30)), now()).unwrap().fault, Some(fault));
    }
}

#[test]
fn mistakes_are_named_with_their_file() {
    let private = SigningKey::generate(SigningAlgorithm::Ed25519).unwrap();
    let jwk = |fields: serde_json::Value| json!({ "keys": [fields] }).to_string();
    for (name, content, word) in [
        ("notes.txt", "remember the keys".into(), "neither a certificate nor a public key"),
        ("empty.pem", String::new(), "neither"),
        ("key.pem", pem("PRIVATE KEY", &private), "private key"),
        ("list.pem", pem("X509 CRL", &private), "X509 CRL"),
        ("bad.pem", pem("CERTIFICATE", b"no certificate"), "section 1 (CERTIFICATE)"),
        ("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n".into(), "damaged PEM"),
        ("none.jwks", "{\"keys\":[]}".into(), "holds no key"),
        ("bad.jwks", "{\"keys\":".into(), "no JSON"),
        ("oct.jwks", jwk(json!({ "kty": "oct", "k": "AAAA", "kid": "x" })), "key 1 is a private key"),
        ("rsa.jwks", jwk(json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "x" })), "2048"),
        ("x.jwks", jwk(json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "x" })), "32 bytes"),
        ("curve.jwks", jwk(json!({ "kty": "EC", "crv": "P-384", "kid": "x" })), "EC P-384"),
    ] {
        for folder_name in ["passes", "health"] {
            let folder = tempfile::tempdir().unwrap();
            put(folder.path(), &format!("{folder_name}/{name}"), &content);
            let error = read(folder.path()).unwrap_err();
            assert!(error.contains(name) && error.contains(word), "{error:?} does not say {word:?}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "revoked.toml", "keys = [\n\"xyz\"]\n");
    assert!(read(folder.path()).unwrap_err().contains("revoked.toml:2"));
}
