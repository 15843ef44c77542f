//! JSON web keys (RFC 7517, 8037): the kinds that sign passes, each with an optional validity of its own.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use protocol::Instant;
use serde_json::Value;

use super::keys::{PublicKey, TrustedKey, Usage, Validity};

/// The keys of a JWK set, of a bare list of keys, or of a single key.
///
/// A key's `kid` stands for the bytes of its text and, where it reads as base64, for the bytes that it encodes: staff
/// passes name their key in the first way, lists of health signers in the second.
pub(super) fn parse(text: &[u8]) -> Result<Vec<TrustedKey>, String> {
    let document: Value = serde_json::from_slice(text).map_err(|error| format!("no JSON: {error}"))?;
    let keys = match &document {
        Value::Array(keys) => keys.as_slice(),
        Value::Object(set) => match set.get("keys") {
            Some(Value::Array(keys)) => keys.as_slice(),
            Some(_) => return Err("\"keys\" must be a list of keys".into()),
            None => std::slice::from_ref(&document),
        },
        _ => return Err("neither a JWK set nor a key".into()),
    };
    let key = |(at, jwk)| key(jwk).map_err(|reason| format!("key {} {reason}", at + 1));
    keys.iter().enumerate().map(key).collect()
}

fn key(jwk: &Value) -> Result<TrustedKey, String> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if jwk.get("d").is_some() || jwk.get("k").is_some() {
        return Err("is a private key: only public keys belong here; replace it, it has been exposed".into());
    }
    if text("use").is_some_and(|usage| usage != "sig") {
        return Err("is not for signatures (\"use\" must be \"sig\" or absent)".into());
    }
    let (public, mut certified) = (public_key(jwk)?, certificate(jwk)?);
    if certified.as_ref().is_some_and(|certified| certified.public != public) {
        return Err("has an \"x5c\" certificate of another key".into());
    }
    let fits = |name: &str| public.algorithm().is_some_and(|algorithm| algorithm.as_str() == name);
    if let Some(name) = text("alg").filter(|name| !fits(name) && *name != "Ed25519") {
        return Err(format!(
            "has the algorithm {name:?}, which is not the one that this kind of key signs passes with"
        ));
    }
    let mut ids = certified.as_mut().map(|certified| std::mem::take(&mut certified.ids)).unwrap_or_default();
    if let Some(id) = text("kid").filter(|id| !id.is_empty()) {
        ids.push(id.as_bytes().to_vec());
        ids.extend(base64(id).filter(|bytes| !bytes.is_empty()));
    }
    if ids.is_empty() {
        return Err("has no \"kid\": give it the key id that its passes carry".into());
    }
    let mut validity = certified.as_ref().map(|certified| certified.validity).unwrap_or_default();
    validity = Validity { from: moment(jwk, "nbf")?.or(validity.from), until: moment(jwk, "exp")?.or(validity.until) };
    Ok(TrustedKey { ids, public, validity, usage: certified.map_or(Usage::ALL, |certified| certified.usage) })
}

fn public_key(jwk: &Value) -> Result<PublicKey, String> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let number = |name: &str| {
        text(name).and_then(base64).ok_or_else(|| format!("has no {name:?} in base64url, which its kind needs"))
    };
    match (text("kty"), text("crv")) {
        (Some("OKP"), Some("Ed25519")) => match number("x")? {
            key if key.len() == 32 => Ok(PublicKey::Ed25519(key)),
            _ => Err("has an \"x\" that is not 32 bytes long".into()),
        },
        (Some("EC"), Some("P-256")) => match PublicKey::p256(&[&[4], &*number("x")?, &*number("y")?].concat()) {
            PublicKey::Unusable => Err("has an \"x\" or \"y\" that is not 32 bytes long".into()),
            key => Ok(key),
        },
        (Some("RSA"), _) => match PublicKey::rsa(&number("n")?, &number("e")?) {
            PublicKey::Unusable => Err("is not an RSA key of 2048 to 8192 bits".into()),
            key => Ok(key),
        },
        (kind, curve) => Err(format!(
            "is of the kind {:?}; use OKP with Ed25519, EC with P-256, or RSA",
            [kind, curve].into_iter().flatten().collect::<Vec<_>>().join(" ")
        )),
    }
}

fn certificate(jwk: &Value) -> Result<Option<TrustedKey>, String> {
    let Some(chain) = jwk.get("x5c") else { return Ok(None) };
    let der = chain.get(0).and_then(Value::as_str).and_then(base64);
    let certified = der.and_then(|der| TrustedKey::of_certificate(&der));
    certified.map(Some).ok_or_else(|| "has an \"x5c\" that does not begin with a certificate".into())
}

/// Seconds since 1970.
fn moment(jwk: &Value, name: &str) -> Result<Option<Instant>, String> {
    let Some(value) = jwk.get(name) else { return Ok(None) };
    let seconds = value.as_i64().ok_or_else(|| format!("has a {name:?} that is not a number of seconds since 1970"))?;
    Ok(Some(Instant::from_unix_ms(seconds.saturating_mul(1000))))
}

/// Base64 in either alphabet, padded or not.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    URL_SAFE_NO_PAD.decode(text).or_else(|_| STANDARD.decode(padded(text))).ok()
}

fn padded(text: &str) -> String {
    let missing = (4 - text.len() % 4) % 4;
    format!("{text}{}", "=".repeat(missing))
}
