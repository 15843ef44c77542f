//! Handshakes in memory with the files of a real site, and every way in which those files can be wrong.
//!
//! Longer than 400 lines: every refusal of the handshake is tried against the same authority and server.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::Instant;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Connection, Error, HandshakeKind, ServerConfig,
    ServerConnection, SupportedProtocolVersion,
};

use super::files::{Authorities, certificates, private_key, revocation_lists};
use super::*;
use crate::identity::{Identity, Role};
use crate::site::testing::{Site, now};
use crate::site::{AfterRevocation, SiteFolder, Validity, renew_gateway, revoke_door};

mod direct;

type Files = (PathBuf, PathBuf);

type Refusal = fn(&Error) -> bool;

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

#[test]
fn a_door_with_a_certificate_of_the_site_connects() {
    let site = Site::with_doors(&["main-in"]);
    let (server, revoked) = server(&site).unwrap();
    assert!(revoked.is_empty());
    for version in BOTH {
        let client = client(&site, Some(&door_files(&site, "main-in")), version);
        let (_, server) = shake(&client, &server, "localhost").unwrap();
        let shown = server.peer_certificates().unwrap().first().unwrap();
        let identity = Identity::of(&site.id, shown).unwrap();
        assert_eq!(identity.role, Role::Door("main-in".parse().unwrap()));
    }
}

#[test]
fn strangers_are_refused() {
    let site = Site::with_doors(&["main-in", "main-out"]);
    revoke_door(&site.folder, &"main-out".parse().unwrap(), AfterRevocation::Nothing, now()).unwrap();
    let other = Site::with_doors(&["main-in"]);
    let authority = site.authority();
    let day = 86_400_000;
    let past = |days: i64| Instant::from_unix_ms(now().unix_ms() - days * day);
    let role = Role::Door("main-in".parse().unwrap());
    let expired = authority.issue(&role, Validity { from: past(9), until: past(2) }).unwrap();
    let receiver = authority.issue_server(&["localhost".to_owned()], Validity::days(now(), 9)).unwrap();

    let (server, _) = server(&site).unwrap();
    let strangers: [(&str, Option<Files>, Refusal); 5] = [
        ("no certificate", None, |error| matches!(error, Error::NoCertificatesPresented)),
        ("expired", Some(site.put("expired", &expired)), |error| {
            matches!(error, Error::InvalidCertificate(CertificateError::ExpiredContext { .. }))
        }),
        ("of another site", Some(door_files(&other, "main-in")), |error| {
            matches!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer))
        }),
        ("revoked", Some(door_files(&site, "main-out")), |error| {
            matches!(error, Error::InvalidCertificate(CertificateError::Revoked))
        }),
        ("for servers", Some(site.put("receiver", &receiver)), |error| {
            matches!(error, Error::InvalidCertificate(CertificateError::InvalidPurposeContext { .. }))
        }),
    ];
    for (who, files, expected) in strangers {
        for version in BOTH {
            let client = client(&site, files.as_ref(), version);
            let error = shake(&client, &server, "localhost").unwrap_err();
            assert!(expected(&error), "{who}: {error:?}");
        }
    }
    let good = client(&site, Some(&door_files(&site, "main-in")), &TLS13);
    shake(&good, &server, "localhost").unwrap();
}

#[test]
fn no_session_is_resumed_past_the_revocation_list() {
    let site = Site::with_doors(&["main-in"]);
    let (server, _) = server(&site).unwrap();
    for version in BOTH {
        let client = client(&site, Some(&door_files(&site, "main-in")), version);
        for _ in 0..2 {
            let (_, server) = shake(&client, &server, "localhost").unwrap();
            assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full));
        }
    }
}

#[test]
fn serials_in_the_list_are_those_of_the_certificates() {
    let site = Site::with_doors(&["main-in", "main-out"]);
    let serial = |door: &str| {
        let path = site.folder.door_certificate(&door.parse().unwrap());
        let chain = certificates(&path, Content::Certificate).unwrap();
        Identity::of(&site.id, chain.first().unwrap()).unwrap().serial
    };
    site.authority().revoke(&serial("main-in"), now()).unwrap();
    let (_, revoked) = server(&site).unwrap();
    assert!(revoked.contains(&serial("main-in")));
    assert!(!revoked.contains(&serial("main-out")));
    assert_eq!(revoked.len(), 1);
}

#[test]
fn http_asks_for_no_certificate() {
    let site = Site::with_doors(&[]);
    let folder = &site.folder;
    let server = http_server_config(&folder.gateway_certificate(), &folder.gateway_key()).unwrap();
    let (client, _) = shake(&client(&site, None, &TLS13), &server, "127.0.0.1").unwrap();
    assert!(client.peer_certificates().is_some());
}

#[test]
fn the_upstream_is_shown_the_gateways_certificate_and_must_show_its_own() {
    let site = Site::with_doors(&[]);
    let folder = &site.folder;
    let names = ["attendance.example".to_owned()];
    let issued = site.authority().issue_server(&names, Validity::days(now(), 9)).unwrap();
    let (certificate, key) = site.put("receiver", &issued);
    let files =
        ServerFiles { certificate: &certificate, key: &key, client_ca: &folder.ca_certificate(), crl: &folder.crl() };
    let (server, _) = door_server_config(&files).unwrap();
    let client =
        upstream_client_config(&folder.ca_certificate(), &folder.gateway_certificate(), &folder.gateway_key()).unwrap();
    let (_, session) = shake(&client, &server, "attendance.example").unwrap();
    let shown = session.peer_certificates().unwrap().first().unwrap();
    assert_eq!(Identity::of(&site.id, shown).unwrap().role, Role::Gateway);

    let error = shake(&client, &server, "elsewhere.example").unwrap_err();
    assert!(
        matches!(error, Error::AlertReceived(AlertDescription::BadCertificate) | Error::InvalidCertificate(_)),
        "{error:?}"
    );
}

#[test]
fn expiry_is_read_from_the_first_certificate() {
    let site = Site::with_doors(&[]);
    let role = Role::Monitor("desk".parse().unwrap());
    let issued = site.authority().issue(&role, Validity::days(now(), 3)).unwrap();
    let (certificate, _) = site.put("desk", &issued);
    let expiry = certificate_expiry(&certificate).unwrap();
    assert_eq!(expiry, issued.not_after);
    assert!((3 * 86_400_000 - expiry.ms_since(now())).abs() < 60_000);
}

#[test]
fn an_old_authority_may_stay_beside_its_successor() {
    let old = Site::with_doors(&["main-in"]);
    let new = Site::with_doors(&["main-in"]);
    let both = |file: fn(&SiteFolder) -> PathBuf| {
        let text = fs::read_to_string(file(&new.folder)).unwrap() + &fs::read_to_string(file(&old.folder)).unwrap();
        fs::write(file(&new.folder), text).unwrap();
    };
    both(SiteFolder::ca_certificate);
    both(SiteFolder::crl);
    let (server, _) = server(&new).unwrap();
    for site in [&old, &new] {
        shake(&client(&new, Some(&door_files(site, "main-in")), &TLS13), &server, "localhost").unwrap();
    }

    // A certificate of the old authority, whose key is gone, is revoked by the new one. It need not be listed here any more: it
    // may lie in the folder.
    let known = fs::read_to_string(new.folder.issued()).unwrap()
        + fs::read_to_string(old.folder.issued()).unwrap().split_once('\n').unwrap().1;
    fs::write(new.folder.issued(), known).unwrap();
    let gaps = || revocation_gaps(&new.folder.ca_certificate(), &new.folder.crl(), now()).unwrap();
    assert_eq!(gaps(), Vec::<String>::new());

    // A revocation by the new authority keeps the list of the old one.
    revoke_door(&new.folder, &"main-in".parse().unwrap(), AfterRevocation::Nothing, now()).unwrap();
    let authorities = Authorities::read(&new.folder.ca_certificate(), now()).unwrap();
    assert_eq!(revocation_lists(&new.folder.crl(), &authorities).unwrap().len(), 2);
    let (server, revoked) = self::server(&new).unwrap();
    assert_eq!(revoked.len(), 2);
    for (site, version) in [(&old, &TLS12), (&old, &TLS13), (&new, &TLS13)] {
        let error =
            shake(&client(&new, Some(&door_files(site, "main-in")), version), &server, "localhost").err().unwrap();
        assert!(matches!(error, Error::InvalidCertificate(CertificateError::Revoked)), "{error}");
    }

    // Whose list is missing or stale is said.
    fs::copy(old.folder.crl(), new.folder.crl()).unwrap();
    let said = gaps();
    assert!(said.len() == 1 && said[0].contains("has no list of") && said[0].contains("regency authority"), "{said:?}");
    renew_gateway(&new.folder, &[], now()).unwrap();
    assert_eq!(gaps(), Vec::<String>::new(), "renewing makes it");
    let later = Instant::from_unix_ms(now().unix_ms() + 3_652 * 86_400_000);
    let said = revocation_gaps(&new.folder.ca_certificate(), &new.folder.crl(), later).unwrap();
    assert!(said.is_empty(), "{said:?}");
}

/// Breaks one file of a site, and tells what the error must say.
struct Mistake {
    name: &'static str,
    breaks: fn(&Site, &Site) -> PathBuf,
    says: &'static [&'static str],
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "missing certificate",
        breaks: |site, _| removed(site.folder.gateway_certificate()),
        says: &["the certificate", "does not exist", "gapura init"],
    },
    Mistake {
        name: "missing key",
        breaks: |site, _| removed(site.folder.gateway_key()),
        says: &["the key", "does not exist", "gapura init"],
    },
    Mistake {
        name: "missing authority",
        breaks: |site, _| removed(site.folder.ca_certificate()),
        says: &["the authority's certificate", "does not exist"],
    },
    Mistake {
        name: "missing list",
        breaks: |site, _| removed(site.folder.crl()),
        says: &["the revocation list", "does not exist"],
    },
    Mistake {
        name: "a folder",
        breaks: |site, _| {
            let path = removed(site.folder.crl());
            fs::create_dir(&path).unwrap();
            path
        },
        says: &["cannot be read", "chmod"],
    },
    Mistake {
        name: "DER",
        breaks: |site, _| written(site.folder.gateway_certificate(), b"\x30\x82\x01\x00\xff"),
        says: &["not PEM text", "-----BEGIN CERTIFICATE-----", "openssl"],
    },
    Mistake {
        name: "cut off",
        breaks: |site, _| {
            let path = site.folder.gateway_certificate();
            let half = fs::read(&path).unwrap();
            written(path, half.get(..half.len() / 3).unwrap())
        },
        says: &["damaged", "copy the file again"],
    },
    Mistake {
        name: "a key for a certificate",
        breaks: |site, _| copied(&site.folder.gateway_key(), site.folder.gateway_certificate()),
        says: &["holds no CERTIFICATE section", "not the one with its key"],
    },
    Mistake {
        name: "a certificate for a key",
        breaks: |site, _| copied(&site.folder.gateway_certificate(), site.folder.gateway_key()),
        says: &["holds no PRIVATE KEY section", "passphrase"],
    },
    Mistake {
        name: "a certificate for a list",
        breaks: |site, _| copied(&site.folder.gateway_certificate(), site.folder.crl()),
        says: &["holds no X509 CRL section"],
    },
    Mistake {
        name: "not X.509",
        breaks: |site, _| {
            written(
                site.folder.gateway_certificate(),
                b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
            )
        },
        says: &["cannot be understood", "issue it again"],
    },
    Mistake {
        name: "not a key",
        breaks: |site, _| {
            written(site.folder.gateway_key(), b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n")
        },
        says: &["of a kind that cannot be used", "P-256"],
    },
    Mistake {
        name: "the key of another",
        breaks: |site, _| copied(&site.folder.door_key(&"main-in".parse().unwrap()), site.folder.gateway_key()),
        says: &["does not belong to", "gateway.pem", "issued together"],
    },
    Mistake {
        name: "expired",
        breaks: |site, _| {
            let ms = now().unix_ms();
            let validity = Validity {
                from: Instant::from_unix_ms(ms - 9 * 86_400_000),
                until: Instant::from_unix_ms(ms - 86_400_000),
            };
            let issued = site.authority().issue(&Role::Gateway, validity).unwrap();
            written(site.folder.gateway_key(), issued.key_pem.reveal().as_bytes());
            written(site.folder.gateway_certificate(), issued.certificate_pem.as_bytes())
        },
        says: &["expired at", "issue it again", "clock"],
    },
    Mistake {
        name: "of another site",
        breaks: |site, other| {
            copied(&other.folder.gateway_key(), site.folder.gateway_key());
            copied(&other.folder.gateway_certificate(), site.folder.gateway_certificate())
        },
        says: &["is not signed by the authority's certificate", "ca.pem", "same site"],
    },
    Mistake {
        name: "a door for an authority",
        breaks: |site, _| {
            copied(&site.folder.door_certificate(&"main-in".parse().unwrap()), site.folder.ca_certificate())
        },
        says: &["is no authority's certificate", "ca.pem"],
    },
    Mistake {
        name: "the list of another site",
        breaks: |site, other| copied(&other.folder.crl(), site.folder.crl()),
        says: &["another authority", "ca.pem", "same site"],
    },
    Mistake {
        name: "a forged list",
        breaks: |site, _| {
            let path = site.folder.crl();
            let authorities = Authorities::read(&site.folder.ca_certificate(), now()).unwrap();
            let mut list = revocation_lists(&path, &authorities).unwrap().remove(0).to_vec();
            *list.last_mut().unwrap() ^= 1;
            written(path, crate::site::testing::pem("X509 CRL", &list).as_bytes())
        },
        says: &["no valid signature", "ca.pem", "restore the list"],
    },
];

#[test]
fn every_mistake_is_named_with_its_file_and_its_remedy() {
    for Mistake { name, breaks, says } in MISTAKES {
        let site = Site::with_doors(&["main-in"]);
        let other = Site::with_doors(&["main-in"]);
        server(&site).unwrap();
        let path = breaks(&site, &other);
        let error = server(&site).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(&path.display().to_string()), "{name}: {message}");
        for part in *says {
            assert!(message.contains(part), "{name}: {part:?} is not in {message:?}");
        }
        if let Some(source) = std::error::Error::source(&error) {
            assert!(!message.contains(&source.to_string()), "{name}: the cause is repeated in {message:?}");
        }
    }
}

fn removed(path: PathBuf) -> PathBuf {
    fs::remove_file(&path).unwrap();
    path
}

fn written(path: PathBuf, content: &[u8]) -> PathBuf {
    fs::write(&path, content).unwrap();
    path
}

fn copied(from: &Path, path: PathBuf) -> PathBuf {
    fs::copy(from, &path).unwrap();
    path
}

fn server(site: &Site) -> Result<(Arc<ServerConfig>, Revoked), TlsError> {
    let folder = &site.folder;
    door_server_config(&ServerFiles {
        certificate: &folder.gateway_certificate(),
        key: &folder.gateway_key(),
        client_ca: &folder.ca_certificate(),
        crl: &folder.crl(),
    })
}

fn door_files(site: &Site, door: &str) -> Files {
    let door = door.parse().unwrap();
    (site.folder.door_certificate(&door), site.folder.door_key(&door))
}

/// A client that trusts `site` and shows the certificate in `files`, whatever that is worth.
fn client(site: &Site, files: Option<&Files>, version: &'static SupportedProtocolVersion) -> ClientConfig {
    let roots = Authorities::read(&site.folder.ca_certificate(), now()).unwrap().roots().unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    match files {
        Some((certificate, key)) => {
            let chain = certificates(certificate, Content::Certificate).unwrap();
            builder.with_client_auth_cert(chain, private_key(key).unwrap()).unwrap()
        }
        None => builder.with_no_client_auth(),
    }
}

/// Carries bytes to and fro until neither side has anything to say; the first side's error ends it.
fn shake(
    client: &ClientConfig,
    server: &Arc<ServerConfig>,
    name: &str,
) -> Result<(ClientConnection, ServerConnection), Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client: Connection = ClientConnection::new(Arc::new(client.clone()), name).unwrap().into();
    let mut server: Connection = ServerConnection::new(server.clone()).unwrap().into();
    loop {
        let said = carry(&mut client, &mut server)? + carry(&mut server, &mut client)?;
        if said == 0 {
            break;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    match (client, server) {
        (Connection::Client(client), Connection::Server(server)) => Ok((client, server)),
        _ => unreachable!(),
    }
}

fn carry(from: &mut Connection, to: &mut Connection) -> Result<usize, Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets()?;
    }
    Ok(bytes.len())
}
