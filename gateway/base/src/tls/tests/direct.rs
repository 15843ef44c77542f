//! Only what the site's authority has issued itself counts, for one name, towards a client that speaks MQTT.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};

use super::*;
use crate::identity::IdentityError;

/// A certificate in which these URIs stand.
fn params(uris: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn site_issuer(site: &Site) -> Issuer<'static, KeyPair> {
    let certificate = certificates(&site.folder.ca_certificate(), Content::Authority).unwrap().remove(0);
    let key = KeyPair::try_from(&private_key(&site.folder.ca_key()).unwrap()).unwrap();
    Issuer::from_ca_cert_der(&certificate, key).unwrap()
}

/// A certificate of `issuer` for `params`, with `chain` behind it, in files.
fn issued(
    site: &Site,
    name: &str,
    params: &CertificateParams,
    issuer: &Issuer<'_, impl rcgen::SigningKey>,
    chain: &str,
) -> Files {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let files = (format!("{name}.pem"), format!("{name}.key"));
    (site.write(&files.0, &(certificate.pem() + chain)), site.write(&files.1, &key.serialize_pem()))
}

#[test]
fn an_authority_below_the_sites_own_issues_nothing_that_counts() {
    let site = Site::with_doors(&["main-in"]);
    let (server, _) = server(&site).unwrap();
    let mut below = CertificateParams::default();
    below.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    below.distinguished_name.push(DnType::CommonName, "Contoh below");
    let below = CertifiedIssuer::signed_by(below, KeyPair::generate().unwrap(), &site_issuer(&site)).unwrap();
    let door = ["urn:gapura:regency:door:main-in"];
    let files = issued(&site, "below", &params(&door), &below, &below.pem());
    take_refused_name();
    for version in BOTH {
        let error = shake(&client(&site, Some(&files), version), &server, "localhost").unwrap_err();
        assert!(matches!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer)), "{error:?}");
        assert_eq!(take_refused_name().as_deref(), Some("regency:door:main-in"));
        assert_eq!(take_refused_name(), None);
    }
    // What is sent along with a certificate of the site's own does no harm.
    let files = issued(&site, "direct", &params(&door), &site_issuer(&site), &below.pem());
    shake(&client(&site, Some(&files), &TLS13), &server, "localhost").unwrap();
    assert_eq!(take_refused_name(), None);
}

#[test]
fn a_stranger_is_known_by_what_its_certificate_shows_and_that_is_bounded() {
    let site = Site::with_doors(&[]);
    let (server, _) = server(&site).unwrap();
    let mut stranger = params(&[]);
    stranger.distinguished_name.push(DnType::CommonName, format!("Contoh\n\u{202e}{}", "x".repeat(300)));
    let own = CertifiedIssuer::self_signed(CertificateParams::default(), KeyPair::generate().unwrap()).unwrap();
    let files = issued(&site, "stranger", &stranger, &own, "");
    take_refused_name();
    shake(&client(&site, Some(&files), &TLS13), &server, "localhost").unwrap_err();
    let shown = take_refused_name().unwrap();
    assert!(shown.starts_with("Contoh??xx") && shown.len() == 64, "{shown}");
}

#[test]
fn a_certificate_with_two_names_of_ours_names_nobody() {
    let site = Site::with_doors(&["main-in"]);
    let (server, _) = server(&site).unwrap();
    for (name, second, expected) in [
        ("two", "urn:gapura:regency:door:main-out", false),
        ("elsewhere", "urn:gapura:elsewhere:door:main-in", false),
        ("other", "https://example.test/main-in", true),
    ] {
        let uris = ["urn:gapura:regency:door:main-in", second];
        let files = issued(&site, name, &params(&uris), &site_issuer(&site), "");
        let (_, session) = shake(&client(&site, Some(&files), &TLS13), &server, "localhost").unwrap();
        let identity = Identity::of(&site.id, session.peer_certificates().unwrap().first().unwrap());
        assert_eq!(matches!(identity, Err(IdentityError::TwoNames)), !expected, "{name}: {identity:?}");
        assert_eq!(identity.is_ok(), expected, "{name}");
    }
}

#[test]
fn a_client_that_speaks_something_else_is_refused_and_one_that_does_not_say_is_not() {
    let site = Site::with_doors(&["main-in"]);
    let folder = &site.folder;
    let (doors, _) = server(&site).unwrap();
    let http = http_server_config(&folder.gateway_certificate(), &folder.gateway_key()).unwrap();
    for (server, own, other) in [(&doors, "mqtt", "http/1.1"), (&http, "http/1.1", "mqtt")] {
        for (offered, accepted) in
            [(&[][..], true), (&[own], true), (&["h2", own], true), (&[other], false), (&["h2"], false)]
        {
            for version in BOTH {
                let mut client = client(&site, Some(&door_files(&site, "main-in")), version);
                client.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
                let shaken = shake(&client, server, "localhost");
                assert_eq!(shaken.is_ok(), accepted, "{offered:?}");
                assert!(accepted || matches!(shaken, Err(Error::NoApplicationProtocol)), "{offered:?}");
            }
        }
    }
}
