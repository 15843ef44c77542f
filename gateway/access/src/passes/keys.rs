//! Keys that passes are verified with: their kinds, their own validity, and what they may sign.

use std::fmt;

use protocol::Instant;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA256_ASN1, ED25519, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Bytes of the key id that a health certificate names its signer by: the first of the SHA-256 of the certificate.
const DERIVED_KEY_ID_BYTES: usize = 8;

/// Length of an uncompressed point of the curve P-256, in bytes.
const P256_POINT_BYTES: usize = 65;

/// Length of an uncompressed point of the curve P-384, and of a signature with it, in bytes.
const P384_POINT_BYTES: usize = 97;
const P384_SIGNATURE_BYTES: usize = 96;

/// The signature algorithms that are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// Ed25519 (RFC 8032).
    EdDsa,
    /// ECDSA on P-256 with SHA-256, the signature as two numbers of 32 bytes.
    Es256,
    /// RSASSA-PSS with SHA-256, keys of 2048 bits and more.
    Ps256,
}

impl Algorithm {
    /// The algorithm of a COSE label.
    pub(super) const fn of_label(label: i64) -> Option<Self> {
        match label {
            -8 => Some(Self::EdDsa),
            -7 => Some(Self::Es256),
            -37 => Some(Self::Ps256),
            _ => None,
        }
    }

    pub(super) const fn label(self) -> i64 {
        match self {
            Self::EdDsa => -8,
            Self::Es256 => -7,
            Self::Ps256 => -37,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Ps256 => "PS256",
        }
    }
}

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum PublicKey {
    /// The 32 bytes of RFC 8032.
    Ed25519(Vec<u8>),
    /// An uncompressed point.
    P256(Vec<u8>),
    /// An uncompressed point of the larger curve, with which some issuers of health certificates sign ES256: RFC 9053
    /// ties that name to SHA-256 and to no curve.
    P384(Vec<u8>),
    /// Modulus and exponent, big-endian without leading zeros.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// Of a kind that signs no pass. Kept, so that a national list with one odd key can be used.
    Unusable,
}

impl PublicKey {
    /// The key in an X.509 structure.
    pub(super) fn of(info: &SubjectPublicKeyInfo<'_>) -> Self {
        let bytes = info.subject_public_key.data.as_ref();
        let parameter = info.algorithm.parameters.as_ref().and_then(|parameter| parameter.as_oid().ok());
        match info.algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" if bytes.len() == 32 => Self::Ed25519(bytes.to_vec()),
            "1.2.840.10045.2.1" => {
                let curve = parameter.map(|oid| oid.to_id_string());
                match (curve.as_deref(), bytes) {
                    (Some("1.2.840.10045.3.1.7"), _) => Self::p256(bytes),
                    (Some("1.3.132.0.34"), [4, ..]) if bytes.len() == P384_POINT_BYTES => Self::P384(bytes.to_vec()),
                    _ => Self::Unusable,
                }
            }
            "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10" => match RSAPublicKey::from_der(bytes) {
                Ok((_, key)) => Self::rsa(key.modulus, key.exponent),
                Err(_) => Self::Unusable,
            },
            _ => Self::Unusable,
        }
    }

    /// The key of an uncompressed point on P-256.
    pub(super) fn p256(point: &[u8]) -> Self {
        match point {
            [4, ..] if point.len() == P256_POINT_BYTES => Self::P256(point.to_vec()),
            _ => Self::Unusable,
        }
    }

    /// The key of a modulus and an exponent, big-endian.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        let stripped = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
        let (modulus, exponent) = (stripped(modulus), stripped(exponent));
        if (256..=1024).contains(&modulus.len()) { Self::Rsa { modulus, exponent } } else { Self::Unusable }
    }

    /// What this key signs with.
    pub(super) const fn algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::Ed25519(_) => Some(Algorithm::EdDsa),
            Self::P256(_) | Self::P384(_) => Some(Algorithm::Es256),
            Self::Rsa { .. } => Some(Algorithm::Ps256),
            Self::Unusable => None,
        }
    }

    /// Whether `signature` over `message` was made with this key's private part.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok(),
            Self::P256(key) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature).is_ok(),
            Self::P384(key) => der_signature(signature).is_some_and(|signature| {
                UnparsedPublicKey::new(&ECDSA_P384_SHA256_ASN1, key).verify(message, &signature).is_ok()
            }),
            Self::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PSS_2048_8192_SHA256, message, signature)
                .is_ok(),
            Self::Unusable => false,
        }
    }
}

/// The two numbers of a signature with P-384 as the DER that the library wants for it.
fn der_signature(signature: &[u8]) -> Option<Vec<u8>> {
    if signature.len() != P384_SIGNATURE_BYTES {
        return None;
    }
    let mut numbers = Vec::with_capacity(P384_SIGNATURE_BYTES + 6);
    for number in signature.chunks_exact(P384_SIGNATURE_BYTES / 2) {
        let digits: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        // A first bit of one would make the number negative.
        let padding: &[u8] = if digits.first().is_none_or(|byte| byte & 0x80 != 0) { &[0] } else { &[] };
        numbers.extend([2, u8::try_from(padding.len() + digits.len()).ok()?]);
        numbers.extend_from_slice(padding);
        numbers.extend(digits);
    }
    let length = u8::try_from(numbers.len()).ok().filter(|length| *length < 0x80)?;
    Some([&[0x30, length], numbers.as_slice()].concat())
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm().map_or("unusable key", Algorithm::as_str))
    }
}

/// From when until when something may be used; a missing end is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: Option<Instant>,
    pub(super) until: Option<Instant>,
}

impl Validity {
    pub(super) fn holds(&self, at: Instant) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at <= until)
    }
}

/// Kinds of health statements, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage(u8);

impl Usage {
    pub(super) const TEST: Self = Self(1);
    pub(super) const VACCINATION: Self = Self(2);
    pub(super) const RECOVERY: Self = Self(4);
    /// A certificate that names none may sign all.
    pub(super) const ALL: Self = Self(7);

    pub(super) const fn allows(self, statement: Self) -> bool {
        self.0 & statement.0 != 0
    }

    /// What the extended key usage of a signer's certificate allows.
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let extension = certificate.extended_key_usage().ok().flatten();
        let named = extension.into_iter().flat_map(|usage| &usage.value.other);
        let bits = named.filter_map(Self::of_purpose).fold(0, |bits, usage| bits | usage.0);
        if bits == 0 { Self::ALL } else { Self(bits) }
    }

    /// The statement of one purpose: those of the EU's certificate governance, and those that its first issuers used.
    fn of_purpose(purpose: &Oid<'_>) -> Option<Self> {
        match purpose.to_id_string().as_str() {
            "1.3.6.1.4.1.1847.2021.1.1" | "1.3.6.1.4.1.0.1847.2021.1.1" => Some(Self::TEST),
            "1.3.6.1.4.1.1847.2021.1.2" | "1.3.6.1.4.1.0.1847.2021.1.2" => Some(Self::VACCINATION),
            "1.3.6.1.4.1.1847.2021.1.3" | "1.3.6.1.4.1.0.1847.2021.1.3" => Some(Self::RECOVERY),
            _ => None,
        }
    }
}

/// A key that somebody trusts.
#[derive(Clone, Debug)]
pub(super) struct TrustedKey {
    /// What passes may name it by.
    pub(super) ids: Vec<Vec<u8>>,
    pub(super) public: PublicKey,
    pub(super) validity: Validity,
    pub(super) usage: Usage,
}

impl TrustedKey {
    /// The key of a DER certificate; `None` when it is none.
    pub(super) fn of_certificate(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        let moment = |time: x509_parser::time::ASN1Time| Instant::from_unix_ms(time.timestamp().saturating_mul(1000));
        rest.is_empty().then(|| Self {
            ids: vec![derived_key_id(der)],
            public: PublicKey::of(certificate.public_key()),
            validity: Validity {
                from: Some(moment(certificate.validity().not_before)),
                until: Some(moment(certificate.validity().not_after)),
            },
            usage: Usage::of(&certificate),
        })
    }

    /// A bare DER public key (SubjectPublicKeyInfo); `None` when it is none.
    pub(super) fn of_public_key(der: &[u8]) -> Option<Self> {
        let (rest, info) = SubjectPublicKeyInfo::from_der(der).ok()?;
        rest.is_empty().then(|| Self {
            ids: vec![derived_key_id(der)],
            public: PublicKey::of(&info),
            validity: Validity::default(),
            usage: Usage::ALL,
        })
    }
}

/// The id that a key has when nothing else names it.
pub(super) fn derived_key_id(der: &[u8]) -> Vec<u8> {
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    digest.as_ref().iter().copied().take(DERIVED_KEY_ID_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_signature_become_der_without_needless_zeros_and_never_negative() {
        let mut signature = [0; P384_SIGNATURE_BYTES];
        (signature[47], signature[94], signature[95]) = (1, 0x80, 2);
        assert_eq!(der_signature(&signature).unwrap(), [0x30, 8, 2, 1, 1, 2, 3, 0, 0x80, 2]);
        assert_eq!(der_signature(&[0; P384_SIGNATURE_BYTES]).unwrap(), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        assert_eq!(der_signature(&[0xff; P384_SIGNATURE_BYTES]).unwrap().len(), 2 + 2 * (2 + 49));
        assert_eq!(der_signature(&[1; 64]), None);
    }
}
