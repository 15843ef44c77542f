//! Pieces of certificates: keys, names, serial numbers, dates, PEM text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::{Instant, SiteId};
use rcgen::{DistinguishedName, DnType, KeyPair, SanType};
use rustls::pki_types::ServerName;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

use super::error::SiteError;
use super::random;

/// A new ECDSA key on P-256.
pub(super) fn new_key() -> Result<KeyPair, SiteError> {
    KeyPair::generate().map_err(|source| SiteError::Sign { what: "a key", source })
}

/// A moment as certificates have it, in whole seconds.
pub(super) fn date(moment: Instant) -> Result<ASN1Time, SiteError> {
    ASN1Time::from_timestamp(moment.unix_ms().div_euclid(1000)).map_err(|_| SiteError::Validity {
        from: moment,
        until: moment,
        why: "no certificate can carry that date",
    })
}

/// A section of PEM text (RFC 7468).
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for (at, character) in encoded.chars().enumerate() {
        if at > 0 && at.is_multiple_of(64) {
            text.push('\n');
        }
        text.push(character);
    }
    text + &format!("\n-----END {label}-----\n")
}

/// 16 bytes of which the first is never zero and never has its high bit set: a positive INTEGER of one length
/// (RFC 5280, section 4.1.2.2).
pub(super) fn serial_number() -> Result<[u8; 16], SiteError> {
    let mut serial = random::<16>()?;
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(serial)
}

/// The subject of a certificate, for people: what counts is in the alternative names.
pub(super) fn distinguished_name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Gapura");
    name.push(DnType::CommonName, common_name);
    name
}

/// The subject alternative names: `uri`, and hosts by name or by address.
pub(super) fn alternative_names(uri: Option<&str>, host_names: &[String]) -> Result<Vec<SanType>, SiteError> {
    let mut names = Vec::new();
    for host in host_names {
        let bad = || SiteError::HostName { name: host.clone() };
        names.push(match ServerName::try_from(host.as_str()).map_err(|_| bad())? {
            ServerName::IpAddress(address) => SanType::IpAddress(address.into()),
            _ => SanType::DnsName(host.as_str().try_into().map_err(|_| bad())?),
        });
    }
    if let Some(uri) = uri {
        let uri = uri.try_into().map_err(|source| SiteError::Sign { what: "the certificate", source })?;
        names.push(SanType::URI(uri));
    }
    Ok(names)
}

/// The hosts that a server certificate is for.
pub(super) fn host_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.into_iter().flat_map(|extension| &extension.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
            _ => None,
        })
        .collect()
}

/// What a machine calls itself.
pub(super) fn local_names() -> Vec<String> {
    ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec()
}

/// The local names, and those of `host_names` that are none.
pub(super) fn with_local_names(host_names: &[String]) -> Vec<String> {
    let mut names = local_names();
    for name in host_names {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// The URI that the certificate of a site's authority carries.
pub(super) fn authority_uri(site: &SiteId) -> String {
    format!("urn:gapura:{site}:authority")
}

/// The site of an authority that was made here; `None` for one that was brought along.
pub(super) fn named_site(authority: &X509Certificate<'_>) -> Option<String> {
    let names = authority.subject_alternative_name().ok().flatten()?;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => {
            uri.strip_prefix("urn:gapura:").and_then(|name| name.strip_suffix(":authority")).map(str::to_owned)
        }
        _ => None,
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).into())
}
