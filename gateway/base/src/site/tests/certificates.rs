//! What the authority signs, and what it takes back.

use std::fs;

use protocol::Instant;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::identity::{Identity, Role};
use crate::site::revocation::RevocationLists;
use crate::site::testing::{Site, now};
use crate::site::*;
use crate::tls::files::{Authorities, parsed_list, revocation_lists};
use crate::tls::{Content, Revoked, ServerFiles, TlsFile, certificate_expiry, door_server_config};

fn role(door: &str) -> Role {
    Role::Door(door.parse().unwrap())
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn revoked(site: &Site) -> Revoked {
    Revoked::read(&site.folder.ca_certificate(), &site.folder.crl()).unwrap()
}

fn list_number(site: &Site) -> u64 {
    let file = TlsFile { content: Content::RevocationList, path: site.folder.crl() };
    let authorities = Authorities::read(&site.folder.ca_certificate(), now()).unwrap();
    let lists = revocation_lists(&file.path, &authorities).unwrap();
    u64::try_from(parsed_list(&file, lists.first().unwrap()).unwrap().crl_number().unwrap()).unwrap()
}

#[test]
fn a_certificate_says_whose_it_is_and_how_long() {
    let site = Site::with_doors(&[]);
    let (desk, satgas) = ("desk".parse().unwrap(), "satgas".parse().unwrap());
    for role in [role("main-in"), Role::Monitor(desk), Role::Helper(satgas), Role::Gateway] {
        let issued = site.authority().issue(&role, Validity::days(now(), CERTIFICATE_DAYS)).unwrap();
        let identity = Identity::of(&site.id, &der(&issued.certificate_pem)).unwrap();
        assert_eq!(identity.role, role);
        assert_eq!(identity.serial, issued.serial);
        assert_eq!(identity.serial.len(), 16);
        assert_eq!(identity.not_after, issued.not_after);
        assert_eq!(issued.certificate_pem.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(!format!("{issued:?}").contains("PRIVATE KEY"));
    }
}

#[test]
fn no_certificate_outlives_the_authority() {
    let site = Site::with_doors(&[]);
    let issued = site.authority().issue(&role("main-in"), Validity::days(now(), 20_000)).unwrap();
    assert_eq!(issued.not_after, certificate_expiry(&site.folder.ca_certificate()).unwrap());

    let validity = Validity { from: now(), until: now() };
    let error = site.authority().issue(&role("main-in"), validity).unwrap_err();
    assert!(matches!(error, SiteError::Validity { .. }), "{error}");
}

#[test]
fn the_authority_of_another_site_is_refused() {
    let site = Site::with_doors(&[]);
    let error = Authority::open(&site.folder, &"harbour".parse().unwrap()).unwrap_err();
    assert!(matches!(&error, SiteError::OtherSite { found, .. } if found == "regency"), "{error}");

    let other = Site::with_doors(&[]);
    fs::copy(other.folder.ca_key(), site.folder.ca_key()).unwrap();
    let message = Authority::open(&site.folder, &site.id).unwrap_err().to_string();
    assert!(message.contains("ca.key") && message.contains("does not belong to"), "{message}");
}

/// Asks for everything that it must not get.
fn greedy_request(key: &KeyPair) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "regency gateway");
    params.subject_alt_names = vec![
        SanType::URI("urn:gapura:regency:gateway".try_into().unwrap()),
        SanType::DnsName("localhost".try_into().unwrap()),
    ];
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.serialize_request(key).unwrap().pem().unwrap()
}

#[test]
fn only_the_key_is_taken_from_a_request() {
    let site = Site::with_doors(&[]);
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let validity = Validity::days(now(), 30);
        let pem = site.authority().sign_csr(greedy_request(&key).as_bytes(), &role("main-in"), validity).unwrap();
        let der = der(&pem);
        assert_eq!(Identity::of(&site.id, &der).unwrap().role, role("main-in"));
        let (_, x509) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(x509.public_key().subject_public_key.data.as_ref(), rcgen::PublicKeyData::der_bytes(&key));
        assert!(!x509.is_ca());
        assert_eq!(x509.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 1);
        let usage = x509.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
    }
}

#[test]
fn a_bad_request_is_refused_and_nothing_is_issued() {
    let site = Site::with_doors(&[]);
    let before = fs::read_to_string(site.folder.issued()).unwrap();
    let good = greedy_request(&KeyPair::generate().unwrap());
    let mut forged = rustls::pki_types::CertificateSigningRequestDer::from_pem_slice(good.as_bytes()).unwrap().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = testing::pem("CERTIFICATE REQUEST", &forged);
    let certificate = fs::read_to_string(site.folder.ca_certificate()).unwrap();
    let bad = [
        ("", "no certificate signing request"),
        ("nonsense", "openssl req"),
        ("0nonsense", "no certificate signing request"),
        (certificate.as_str(), "no certificate signing request"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n", "PKCS #10"),
        (forged.as_str(), "not signed with the key"),
    ];
    for (request, named) in bad {
        let error =
            site.authority().sign_csr(request.as_bytes(), &role("main-in"), Validity::days(now(), 30)).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
    assert_eq!(fs::read_to_string(site.folder.issued()).unwrap(), before);
}

#[test]
fn revocations_add_up_and_repeat_harmlessly() {
    let site = Site::with_doors(&[]);
    let authority = site.authority();
    let serials: Vec<Vec<u8>> = ["main-in", "main-out", "annex"]
        .iter()
        .map(|door| authority.issue(&role(door), Validity::days(now(), 30)).unwrap().serial)
        .collect();
    let mut number = list_number(&site);
    for (at, serial) in serials.iter().enumerate() {
        assert!(authority.revoke(serial, now()).unwrap());
        let revoked = revoked(&site);
        assert_eq!(revoked.len(), at + 1);
        assert!(serials.iter().take(at + 1).all(|serial| revoked.contains(serial)));
        assert!(list_number(&site) > number);
        number = list_number(&site);
    }
    let before = fs::read(site.folder.crl()).unwrap();
    assert!(!authority.revoke(serials.first().unwrap(), now()).unwrap());
    assert_eq!(fs::read(site.folder.crl()).unwrap(), before);
}

#[test]
fn a_list_that_cannot_be_trusted_is_never_written_over() {
    let site = Site::with_doors(&["main-in"]);
    let other = Site::with_doors(&[]);
    for content in [fs::read(other.folder.crl()).unwrap(), b"damaged".to_vec()] {
        fs::write(site.folder.crl(), &content).unwrap();
        let error = site.authority().revoke(&[0x42; 16], now()).unwrap_err();
        assert!(error.to_string().contains("crl.pem"), "{error}");
        assert_eq!(fs::read(site.folder.crl()).unwrap(), content);
    }
    fs::remove_file(site.folder.crl()).unwrap();
    site.authority().revoke(&[0x42; 16], now()).unwrap_err();
    assert!(!site.folder.crl().exists());
}

#[test]
fn an_old_list_still_counts() {
    let site = Site::with_doors(&[]);
    let authority = site.authority();
    let ago = |days: i64| Instant::from_unix_ms(now().unix_ms() - days * 86_400_000);
    let mut lists = RevocationLists::empty();
    lists.add(&[vec![0x42; 16]], ago(9)).unwrap();
    let key = KeyPair::from_pem(&fs::read_to_string(site.folder.ca_key()).unwrap()).unwrap();
    let certificate = fs::read_to_string(site.folder.ca_certificate()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&certificate, key).unwrap();
    fs::write(site.folder.crl(), lists.signed(&issuer, ago(9), ago(2)).unwrap()).unwrap();

    let folder = &site.folder;
    let (_, old) = door_server_config(&ServerFiles {
        certificate: &folder.gateway_certificate(),
        key: &folder.gateway_key(),
        client_ca: &folder.ca_certificate(),
        crl: &folder.crl(),
    })
    .unwrap();
    assert!(old.contains(&[0x42; 16]));
    assert!(authority.revoke(&[0x43; 16], now()).unwrap());
    assert_eq!(revoked(&site).len(), 2);
}

#[test]
fn a_renewed_gateway_keeps_its_key_and_its_names() {
    let site = Site::with_doors(&[]);
    let folder = &site.folder;
    let before = Identity::of(&site.id, &der(&fs::read_to_string(folder.gateway_certificate()).unwrap())).unwrap();
    let key = fs::read(folder.gateway_key()).unwrap();
    renew_gateway(folder, &["gate2.regency.example".to_owned()], now()).unwrap();
    assert_eq!(fs::read(folder.gateway_key()).unwrap(), key);

    let der = der(&fs::read_to_string(folder.gateway_certificate()).unwrap());
    assert_ne!(Identity::of(&site.id, &der).unwrap().serial, before.serial);
    let (_, x509) = X509Certificate::from_der(&der).unwrap();
    let names = super::super::x509::host_names(&x509);
    for name in ["localhost", "127.0.0.1", "::1", "gate.regency.example", "192.0.2.7", "gate2.regency.example"] {
        assert!(names.iter().any(|known| known == name), "{name} is not in {names:?}");
    }
    assert_eq!(names.len(), 6);
}

#[test]
fn a_monitor_gets_its_own_certificate_and_loses_it() {
    let site = Site::with_doors(&[]);
    let name = "desk".parse().unwrap();
    let handed_out = add_monitor(&site.folder, &name, None, now()).unwrap();
    let identity = Identity::of(&site.id, &der(&fs::read_to_string(&handed_out.certificate).unwrap())).unwrap();
    assert_eq!(identity.role, Role::Monitor(name.clone()));
    add_monitor(&site.folder, &name, None, now()).unwrap();
    assert_eq!(revoke_monitor(&site.folder, &name, now()).unwrap(), 2);
    assert_eq!(revoke_monitor(&site.folder, &name, now()).unwrap(), 0);
    assert!(revoked(&site).contains(&identity.serial));
}

#[test]
fn a_helpers_device_gets_its_own_certificate_and_loses_it() {
    let site = Site::with_doors(&["satgas"]);
    let name = "satgas".parse().unwrap();
    let handed_out = add_helper(&site.folder, &name, None, now()).unwrap();
    assert_eq!(handed_out.certificate, site.folder.helper_certificate(&name));
    let identity = Identity::of(&site.id, &der(&fs::read_to_string(&handed_out.certificate).unwrap())).unwrap();
    assert_eq!(identity.role, Role::Helper(name.clone()));
    assert_eq!(revoke_helper(&site.folder, &name, now()).unwrap(), 1);
    assert!(revoked(&site).contains(&identity.serial));
    // The door of the same name keeps its own.
    let door = &list_doors(&site.folder).unwrap()[0];
    assert!(!door.certificate.as_ref().unwrap().revoked);
}

#[test]
fn a_request_for_an_rsa_key_is_signed_if_the_key_is_long_enough() {
    let site = Site::with_doors(&[]);
    let sign =
        |request: &str| site.authority().sign_csr(request.as_bytes(), &role("main-in"), Validity::days(now(), 30));
    sign(RSA_2048).unwrap();
    for request in [RSA_1024, ECDSA_P521] {
        let error = sign(request).unwrap_err();
        assert!(matches!(error, SiteError::UnsupportedRequest { .. }), "{error}");
        assert!(error.to_string().contains("RSA of 2048 bits or more"), "{error}");
    }
}

#[test]
fn a_request_is_taken_in_every_form_that_tools_write() {
    let site = Site::with_doors(&[]);
    let pem = greedy_request(&KeyPair::generate().unwrap());
    let der = rustls::pki_types::CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec();
    let certificate = fs::read_to_string(site.folder.ca_certificate()).unwrap();
    for (form, request) in [
        ("PEM", pem.clone().into_bytes()),
        ("PEM of older tools", testing::pem("NEW CERTIFICATE REQUEST", &der).into_bytes()),
        ("PEM behind text and a certificate", format!("Request:\r\n{certificate}{pem}").into_bytes()),
        ("PEM with a byte order mark", format!("\u{feff}{pem}").into_bytes()),
        ("PEM with CRLF", pem.replace('\n', "\r\n").into_bytes()),
        ("DER", der.clone()),
        ("P-256 with SHA-384", P256_SHA384.into()),
        ("P-384 with SHA-256", P384_SHA256.into()),
    ] {
        let signed = site.authority().sign_csr(&request, &role("main-in"), Validity::days(now(), 30));
        assert!(signed.is_ok(), "{form}: {signed:?}");
    }
    let after = [&der[..], b"more"].concat();
    let error = site.authority().sign_csr(&after, &role("main-in"), Validity::days(now(), 30)).unwrap_err();
    assert!(error.to_string().contains("PEM or DER"), "{error}");
}

#[test]
fn a_good_key_with_an_unknown_signature_is_told_of_the_signature() {
    let site = Site::with_doors(&[]);
    let sign =
        |request: &str| site.authority().sign_csr(request.as_bytes(), &role("main-in"), Validity::days(now(), 30));
    let error = sign(P256_SHA512).unwrap_err();
    assert!(matches!(error, SiteError::UnsupportedSignature { .. }), "{error}");
    assert!(error.to_string().contains("SHA-256") && !error.to_string().contains("P-256"), "{error}");
    for good in [P256_SHA384, P384_SHA256] {
        let mut forged =
            rustls::pki_types::CertificateSigningRequestDer::from_pem_slice(good.as_bytes()).unwrap().to_vec();
        *forged.last_mut().unwrap() ^= 1;
        let error = site.authority().sign_csr(&forged, &role("main-in"), Validity::days(now(), 30)).unwrap_err();
        assert!(matches!(error, SiteError::ForgedRequest { .. }), "{error}");
    }
}

const RSA_2048: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIICVjCCAT4CAQAwETEPMA0GA1UEAwwGcmVhZGVyMIIBIjANBgkqhkiG9w0BAQEF
AAOCAQ8AMIIBCgKCAQEAweOXg/yfvpiXe6OPI2/oWa/n0tuwvgxeuYKDaXQK1M5Z
qKAPPcUgOp7fKNQag/AbwTgKKcgdkuGlj6Syp4xM+pMKrF11saZmRhS9L6IzhcIa
yEEHiYyNexxKW0ILOZLI1zHEj8EMdpIzT3ugc7FKzQGw5NCONhF9VdxdiMHvZVFm
M4XrhiApiceiriqrZafBr2SrGSiloPPXPFPCENnCU9Z559Sni9S7pUiCsg5KAflw
O1vZn2Jh/1aJEQ0sh6LryBsaeufeBk3vr/Mc/GN+CQ6w4HFDluKDHY4KLRkxZJfL
DUGqIgF1e9btf2YdnopUj8xRO2+GH/HLAvrSXbiwOwIDAQABoAAwDQYJKoZIhvcN
AQELBQADggEBAGnaGimqOm9PvwykM5aImsFjTpvOWGiFvEGKaelFMGP8qxuoPt0D
0gJT2RVv9nApJlXU6OHwi3kVG73DPtteeXPg+jkgKBoNWvf0UKwZGzxYtzXI1dyX
FT1b0P+bKfLnDsnTlcD9a4LKzkZaNDwcBc3p6oXqHP8Mbe9cgit3sZram5z+NtZL
6zF+BBRmqdQexcGMnYMSJwhv4MkMb9s1nEH/uC69mhnNuPoCUZ9+zsDugaa+2lG+
HmAe/3lUdEKUOK5Q26Bytgl7Q1HC/rpZ08SF/HNE/wpO2YzUbQkiRN72m0EB6m4G
zxrTjGYx4JjWU1PePwNsXAMQxBUVAAY7AFk=
-----END CERTIFICATE REQUEST-----
";

const RSA_1024: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIIBUDCBugIBADARMQ8wDQYDVQQDDAZyZWFkZXIwgZ8wDQYJKoZIhvcNAQEBBQAD
gY0AMIGJAoGBANfJkO/VzxkFxO95ArlNaZ8O5fP7qUwgM15xm6DiUN3Kgq90O/XM
tYVp6NnakWKKpvs9udonRvdNg20drTNptHksCO5t0GniFeU4nQeLUxa6rNQMBl2A
kEEMxgBmqKSWFREWRoRwtmRKTj/2ziR2bOxRwpptJAglRkfuFpJ7avEvAgMBAAGg
ADANBgkqhkiG9w0BAQsFAAOBgQC2w9W4K/2pzWcj67MorOZVSa9vvX71dmJ8RLlj
aVN2HOIbi6iBK06MLi3I1WM8r6eEfwzUz+Ilpr0y5eB+U1KbNRxbA40eV2IvnD7H
DZUyfsSUhXNEo5Y6nuxBnDv8Wh1+bC3S/WyWcTp9anp0TB4vEq5tRKCJQbcmi53q
U7d39A==
-----END CERTIFICATE REQUEST-----
";

const ECDSA_P521: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIIBUjCBtgIBADARMQ8wDQYDVQQDDAZyZWFkZXIwgZswEAYHKoZIzj0CAQYFK4EE
ACMDgYYABAATfDDWXNNGbqCRUdV+9dxTKfUTNA4CpA1igbVeYMF01uko0imO8YwA
mekEN752lrj283x5HQ3/50lgo1lV4wYq3ADyPRmoouDZOk/larYX40pxQDVC/00N
P6yQ6d8zJ84R5TSCqSux4QVDV/o6X8hRBtJFpgskM2T5SNRsRNNdfs1pN6AAMAoG
CCqGSM49BAMCA4GKADCBhgJBY9N9ysn8M+Al70BkISi7pXya2Px+Hd2QnwDYpCGa
wyiRLr9w1EJfG+e/8uuKpacoAzmvKic8j+iaA1Ik9GdISl8CQXDIwDjGvxaNYL6j
1ySU59AkDeYswFTjcX6+lu1HqIjsxkol3NaT2mZDC1Bdxef+3N7Mo1/OtNGySsDX
1Vyt+pRB
-----END CERTIFICATE REQUEST-----
";

const P256_SHA512: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIHKMHMCAQAwETEPMA0GA1UEAwwGcmVhZGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEKPJQ+yhKfDNTyS8BSeKSoQtSpLqYfXLEDGruxq2W6BEWaKKtf+dUbPbv
y2fbQEUTuBXNajfEFQLx2lg684bcbaAAMAoGCCqGSM49BAMEA0cAMEQCIC+fHjQa
3EWCcdeQKw4n7plvi0boH/F4CE2GLrGAnnraAiA33Lx1d3GE4ORiuFDzli3dKQUH
WdtQMO88HAmJ6FDUYw==
-----END CERTIFICATE REQUEST-----
";

const P256_SHA384: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIHLMHMCAQAwETEPMA0GA1UEAwwGcmVhZGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEWSD4NaGmIe1/vSHxXLrDTgG5O5/9rCyTtj/+WSCgJ9MCu/1bjScblZVO
D/gdCDJd1ixPVx4pBm6xUCxWD2ryMqAAMAoGCCqGSM49BAMDA0gAMEUCIQCj31lb
fPG4QGwhKkVp8L8FenJUSMsYQD4kVqd3wHycGgIgfelBaf39J34gm9BsclZRCLQC
FhUGt7lWPR2Phb+M8SQ=
-----END CERTIFICATE REQUEST-----
";

const P384_SHA256: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIIBCTCBkAIBADARMQ8wDQYDVQQDDAZyZWFkZXIwdjAQBgcqhkjOPQIBBgUrgQQA
IgNiAAT/DojPKAft890CFy/HHmT8jk7xdEfl/R5W9Pz+HVe+hYsBhRkipgRIJ48g
FjktaL5KY8nGfcC8+YNQwR+A7La2qk8XGtji32uS0EzpkTbUHFNOwdePPr8oVCIr
TD4CaFGgADAKBggqhkjOPQQDAgNoADBlAjEA9pikGK8r5wniPBVFJ/TzeaTUGoXM
tfk6jHCxSzse7CZ0LVSvKJad1xgULPlMaUlvAjAbkbWjN2toNeulzFLBAL8WOUFn
Am7SWy7ZqTcS1ieDSKTrL4LCWValyMLZgCFUY2k=
-----END CERTIFICATE REQUEST-----
";
