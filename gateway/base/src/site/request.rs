//! Requests for certificates (PKCS #10, RFC 2986), as devices and their tools write them.

use std::error::Error;

use rcgen::SubjectPublicKeyInfo;
use ring::signature::{self, UnparsedPublicKey};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::error::X509Error;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_NIST_EC_P384, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, Oid,
};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use super::error::SiteError;

/// The shortest RSA key that TLS accepts from a client.
const RSA_BITS_MIN: usize = 2048;

/// What a request is called in PEM (RFC 7468, section 7: the second is what older tools write).
const LABELS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];

/// What some editors put before text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The public key of a request in PEM or DER that `from` made, if it was signed with the private one.
pub(super) fn requested_key(request: &[u8], from: &str) -> Result<SubjectPublicKeyInfo, SiteError> {
    let no_request = |source| SiteError::NotARequest { from: from.to_owned(), source };
    let der = der_of(request).map_err(no_request)?;
    let (rest, request) = X509CertificationRequest::from_der(&der).map_err(|error| no_request(error.into()))?;
    if !rest.is_empty() {
        return Err(no_request("something follows the request".into()));
    }
    let unsupported = |source| SiteError::UnsupportedRequest { from: from.to_owned(), source };
    let requested = &request.certification_request_info.subject_pki;
    let key = SubjectPublicKeyInfo::from_der(requested.raw).map_err(|error| unsupported(error.into()))?;
    if let Ok(PublicKey::RSA(rsa)) = requested.parsed()
        && rsa.key_size() < RSA_BITS_MIN
    {
        return Err(unsupported(format!("an RSA key of {} bits", rsa.key_size()).into()));
    }
    verify(&request, from)?;
    Ok(key)
}

/// The request's bytes: the first section of PEM text that has one of [`LABELS`], or DER as it is.
fn der_of(request: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    // A SEQUENCE: no text begins so.
    if request.first() == Some(&0x30) && std::str::from_utf8(request).is_err() {
        return Ok(request.to_vec());
    }
    let mut labels = Vec::new();
    let text = request.strip_prefix(BYTE_ORDER_MARK).unwrap_or(request);
    for section in Pem::iter_from_buffer(text) {
        let section = section?;
        if LABELS.contains(&section.label.as_str()) {
            return Ok(section.contents);
        }
        labels.push(section.label);
    }
    Err(match labels.first() {
        Some(label) => format!("it has a section {label:?} and no {:?}", LABELS[0]).into(),
        None => format!("it has no line -----BEGIN {}-----", LABELS[0]).into(),
    })
}

/// Whether the request is signed with the key that it names.
fn verify(request: &X509CertificationRequest<'_>, from: &str) -> Result<(), SiteError> {
    let key = &request.certification_request_info.subject_pki;
    let forged = |source| SiteError::ForgedRequest { from: from.to_owned(), source };
    let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    if let Some(algorithm) = curve.as_ref().and_then(|curve| ecdsa(curve, &request.signature_algorithm.algorithm)) {
        let (signed, signature) = (request.certification_request_info.raw, &request.signature_value.data);
        return UnparsedPublicKey::new(algorithm, &key.subject_public_key.data)
            .verify(signed, signature)
            .map_err(|_| forged("the signature does not fit".into()));
    }
    let known_curve = curve.is_none_or(|curve| curve == OID_EC_P256 || curve == OID_NIST_EC_P384);
    request.verify_signature().map_err(|error| match error {
        X509Error::SignatureUnsupportedAlgorithm if known_curve => {
            SiteError::UnsupportedSignature { from: from.to_owned(), source: error.into() }
        }
        X509Error::SignatureUnsupportedAlgorithm => {
            SiteError::UnsupportedRequest { from: from.to_owned(), source: error.into() }
        }
        _ if known_curve => forged(error.into()),
        _ => SiteError::UnsupportedRequest { from: from.to_owned(), source: error.into() },
    })
}

/// How to check a signature with a key on this curve; `None` for what is not ECDSA on P-256 or P-384 with SHA-256 or SHA-384.
fn ecdsa(curve: &Oid<'_>, signature: &Oid<'_>) -> Option<&'static dyn signature::VerificationAlgorithm> {
    let (p256, p384) = (*curve == OID_EC_P256, *curve == OID_NIST_EC_P384);
    let (sha256, sha384) = (*signature == OID_SIG_ECDSA_WITH_SHA256, *signature == OID_SIG_ECDSA_WITH_SHA384);
    match (p256, p384, sha256, sha384) {
        (true, _, true, _) => Some(&signature::ECDSA_P256_SHA256_ASN1),
        (true, _, _, true) => Some(&signature::ECDSA_P256_SHA384_ASN1),
        (_, true, true, _) => Some(&signature::ECDSA_P384_SHA256_ASN1),
        (_, true, _, true) => Some(&signature::ECDSA_P384_SHA384_ASN1),
        _ => None,
    }
}
