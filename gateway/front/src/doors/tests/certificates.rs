//! TLS: certificates as identities, revocation, renewal.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::*;
use base::identity::Role;
use base::tls::only_directly_issued;
use protocol::api::{RefusalRow, RefusedWhat};

/// A certificate and its key.
pub(super) struct Leaf {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

/// A site's authority.
pub(super) struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    gateway: Leaf,
}

impl Ca {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let gateway = issue(&issuer, |params| {
            params.subject_alt_names = vec![SanType::DnsName("localhost".try_into().unwrap())];
        });
        Self { issuer, gateway }
    }

    pub(super) fn leaf(&self, uri: &str, serial: u8) -> Leaf {
        issue(&self.issuer, |params| {
            params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
            params.serial_number = Some(vec![serial].into());
        })
    }

    pub(super) fn server_config(&self) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(self.roots(), Arc::clone(&provider));
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(only_directly_issued(verifier.build().unwrap()))
            .with_single_cert(vec![self.gateway.certificate.clone()], self.gateway.private_key())
            .unwrap()
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }

    pub(super) async fn dial(&self, address: SocketAddr, leaf: Option<&Leaf>) -> std::io::Result<Client> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(self.roots());
        let config = match leaf {
            Some(leaf) => builder.with_client_auth_cert(vec![leaf.certificate.clone()], leaf.private_key()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        let socket = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        Ok(Client::new(TlsConnector::from(Arc::new(config)).connect(name, socket).await?))
    }
}

impl Leaf {
    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }
}

fn issue(issuer: &CertifiedIssuer<'static, KeyPair>, set: impl FnOnce(&mut CertificateParams)) -> Leaf {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    set(&mut params);
    let certificate = params.signed_by(&key, issuer).unwrap().der().clone();
    Leaf { certificate, key: key.serialize_der() }
}

fn failures(gateway: &Gateway, reason: &'static str) -> u64 {
    gateway.metrics.tls_failures.get_or_create(&ReasonLabel { reason }).get()
}

#[tokio::test]
async fn a_door_is_who_its_certificate_says() {
    let mut gateway = Gateway::start().await;
    let leaf = gateway.ca.leaf("urn:gapura:regency:door:a", 7);
    let mut client = gateway.ca.dial(gateway.tls, Some(&leaf)).await.unwrap();
    client.send(&connect_v3("a", 2, 60, &[])).await;
    assert_eq!(client.packet().await, (0x20, vec![0, 0]));
    client.send(&publish(3, &(prefix("a") + "scan"), 1, 5, &[], &scan(1))).await;
    assert_eq!(gateway.keep().await.door.as_str(), "a");
    assert_eq!(client.packet().await, (0x40, vec![0, 5]));
    let mut other = gateway.ca.dial(gateway.tls, Some(&leaf)).await.unwrap();
    other.send(&connect_v5("b", 2, 60, &[], &[])).await;
    assert_eq!(other.packet().await.1[1], 0x85);
}

#[tokio::test]
async fn a_certificate_that_names_nobody_of_this_site_is_turned_away() {
    let gateway = Gateway::start().await;
    for uri in [
        "urn:gapura:elsewhere:door:a",
        "urn:gapura:regency:gateway",
        "urn:gapura:regency:door:stranger",
        "https://localhost/a",
    ] {
        let leaf = gateway.ca.leaf(uri, 1);
        let mut client = gateway.ca.dial(gateway.tls, Some(&leaf)).await.unwrap();
        client.send(&connect_v3("a", 2, 60, &[])).await;
        assert_eq!(client.packet().await, (0x20, vec![0, 5]), "{uri}");
        client.ends().await;
    }
}

#[tokio::test]
async fn bad_certificates_fail_the_handshake_and_are_counted_by_reason() {
    let gateway = Gateway::start().await;
    let uri = "urn:gapura:regency:door:a";
    let expired = issue(&gateway.ca.issuer, |params| {
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let stranger = Ca::new().leaf(uri, 1);
    for (leaf, reason) in [(None, "no_certificate"), (Some(&expired), "expired"), (Some(&stranger), "unknown_ca")] {
        // In TLS 1.3 the client learns of it only after its own handshake.
        if let Ok(mut client) = gateway.ca.dial(gateway.tls, leaf).await {
            client.ends().await;
        }
        eventually(reason, || failures(&gateway, reason) == 1).await;
    }
    let mut plain = Client::new(TcpStream::connect(gateway.tls).await.unwrap());
    plain.send(&connect_v3("a", 2, 60, &[])).await;
    eventually("no TLS", || failures(&gateway, "other") == 1).await;
}

#[tokio::test]
async fn the_alert_arrives_although_the_client_has_more_to_say() {
    let gateway = Gateway::start().await;
    let mut socket = TcpStream::connect(gateway.tls).await.unwrap();
    socket.write_all(&[b'x'; 100_000]).await.unwrap();
    let mut heard = Vec::new();
    let read = timeout(DEADLINE, socket.read_to_end(&mut heard)).await.expect("the connection must end");
    assert!(read.is_ok(), "{read:?}");
    assert_eq!(heard.first(), Some(&0x15), "{heard:?}");
}

#[tokio::test]
async fn a_revoked_reader_loses_its_session() {
    let gateway = Gateway::start().await;
    let mut clients = Vec::new();
    for (door, serial) in [("a", 7), ("b", 8)] {
        let leaf = gateway.ca.leaf(&format!("urn:gapura:regency:door:{door}"), serial);
        let mut client = gateway.ca.dial(gateway.tls, Some(&leaf)).await.unwrap();
        client.send(&connect_v5(door, 2, 60, b"\x11\0\0\0\x3C", &[])).await;
        assert_eq!(client.packet().await.1[1], 0);
        clients.push(client);
    }
    assert_eq!(gateway.registry.drop_sessions(|identity| identity.serial == [7]), 1);
    assert_eq!(clients[0].packet().await, (0xE0, vec![0x98]));
    clients[0].ends().await;
    clients[1].is_quiet().await;
    assert_eq!(gateway.metrics.sessions_dropped.get(), 1);
    eventually("its session is forgotten", || gateway.metrics.connections.get() == 1).await;
    assert!(gateway.registry.take_stored(&"a".parse().unwrap()).is_none());
}

#[tokio::test]
async fn a_kept_session_of_a_revoked_certificate_is_forgotten() {
    let gateway = Gateway::start().await;
    let mut client = gateway.v5("a", b"\x11\0\0\0\x3C").await;
    client.send(&[0xE0, 0]).await;
    client.ends().await;
    assert_eq!(gateway.registry.drop_sessions(|identity| identity.role == Role::Door("a".parse().unwrap())), 0);
    let mut client = gateway.dial().await;
    client.send(&connect_v5("a", 0, 60, &[], &[])).await;
    assert_eq!(client.packet().await.1[..2], [0, 0]);
}

#[tokio::test]
async fn a_session_ends_with_its_certificate() {
    let gateway = Gateway::start().await;
    let now_s = Instant::from(jiff::Timestamp::now()).unix_ms() / 1000;
    let leaf = issue(&gateway.ca.issuer, |params| {
        params.subject_alt_names = vec![SanType::URI("urn:gapura:regency:door:a".try_into().unwrap())];
        let day = rcgen::date_time_ymd(1970, 1, 1);
        params.not_after = day + Duration::from_secs(u64::try_from(now_s + 3).unwrap());
    });
    let mut client = gateway.ca.dial(gateway.tls, Some(&leaf)).await.unwrap();
    client.send(&connect_v5("a", 2, 60, &[], &[])).await;
    assert_eq!(client.packet().await.1[1], 0);
    assert_eq!(client.packet().await, (0xE0, vec![0xA0]));
    client.ends().await;
}

#[tokio::test]
async fn a_session_ends_with_its_certificate_also_when_the_clock_was_wrong_at_its_start() {
    let gateway = Gateway::start().await;
    let now_s = Instant::from(jiff::Timestamp::now()).unix_ms() / 1000;
    let leaf = issue(&gateway.ca.issuer, |params| {
        params.subject_alt_names = vec![SanType::URI("urn:gapura:regency:door:a".try_into().unwrap())];
        let day = rcgen::date_time_ymd(1970, 1, 1);
        params.not_after = day + Duration::from_secs(u64::try_from(now_s + 370 * 86_400).unwrap());
    });
    let mut client = gateway.ca.dial(gateway.tls, Some(&leaf)).await.unwrap();
    client.send(&connect_v5("a", 2, 60, &[], &[])).await;
    assert_eq!(client.packet().await.1[1], 0);
    client.is_quiet().await;
    gateway.clock_ahead_ms.store(371 * 86_400_000, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(client.packet().await, (0xE0, vec![0xA0]));
    client.ends().await;
}

#[tokio::test]
async fn new_connections_see_a_renewed_configuration() {
    let gateway = Gateway::start().await;
    let leaf = gateway.ca.leaf("urn:gapura:regency:door:a", 7);
    let renewed = Ca::new();
    gateway.tls_config.store(Arc::new(renewed.server_config()));
    assert!(gateway.ca.dial(gateway.tls, Some(&leaf)).await.is_err());
    let leaf = renewed.leaf("urn:gapura:regency:door:a", 7);
    let mut client = renewed.dial(gateway.tls, Some(&leaf)).await.unwrap();
    client.send(&connect_v3("a", 2, 60, &[])).await;
    assert_eq!(client.packet().await, (0x20, vec![0, 0]));
}

#[tokio::test]
async fn a_handshake_made_before_a_reload_is_not_let_in_after_it() {
    let gateway = Gateway::start().await;
    let leaf = gateway.ca.leaf("urn:gapura:regency:door:a", 7);
    let mut client = gateway.ca.dial(gateway.tls, Some(&leaf)).await.unwrap();
    gateway.tls_config.store(Arc::new(gateway.ca.server_config()));
    client.send(&connect_v3("a", 2, 60, &[])).await;
    // The server may have read the configuration after the reload: then it has judged the certificate by the new one.
    let code = client.packet().await.1[1];
    assert!(code == 3 || code == 0, "{code}");
}

#[tokio::test]
async fn whoever_is_refused_is_on_the_record_with_address_name_reason_and_remedy() {
    let gateway = Gateway::start().await;
    let (own, uri) = (gateway.ca.leaf("urn:gapura:regency:door:a", 7), "urn:gapura:regency:door:a");
    let two = issue(&gateway.ca.issuer, |params| {
        let uris = [uri, "urn:gapura:regency:door:b"];
        params.subject_alt_names = uris.map(|uri| SanType::URI(uri.try_into().unwrap())).to_vec();
    });
    let stranger = Ca::new().leaf("urn:gapura:regency:door:b", 1);
    let elsewhere = gateway.ca.leaf("urn:gapura:elsewhere:door:a", 2);
    for _ in 0..3 {
        for leaf in [None, Some(&stranger)] {
            if let Ok(mut client) = gateway.ca.dial(gateway.tls, leaf).await {
                client.ends().await;
            }
        }
    }
    for (leaf, client_id) in [(&two, "a"), (&elsewhere, "a"), (&own, "b\u{1b}[2J")] {
        let mut client = gateway.ca.dial(gateway.tls, Some(leaf)).await.unwrap();
        client.send(&connect_v3(client_id, 2, 60, &[])).await;
        client.packet().await;
        client.ends().await;
    }
    let mut client = gateway.ca.dial(gateway.tls, Some(&own)).await.unwrap();
    client.send(&connect_v3("a", 2, 60, &[])).await;
    client.packet().await;
    client.send(&publish(3, &(prefix("b") + "scan"), 1, 1, &[], &scan(1))).await;
    client.ends().await;

    let find = |reason: &str| {
        let rows = gateway.registry.refusals();
        rows.into_iter().find(|row: &RefusalRow| row.reason == reason)
    };
    eventually("all are there", || find("unknown-ca").is_some_and(|row| row.count == 3)).await;
    for (reason, what, name, count, words) in [
        ("no-certificate", RefusedWhat::Connection, None, 3, "its certificate and key"),
        ("unknown-ca", RefusedWhat::Connection, Some("regency:door:b"), 3, "issued itself"),
        ("two-names", RefusedWhat::Connection, Some("regency:door:a, client id a"), 1, "more than one name"),
        ("other-site", RefusedWhat::Connection, Some("elsewhere:door:a, client id a"), 1, "of this site"),
        ("client-id", RefusedWhat::Connection, Some("door:a, client id b?[2J"), 1, "client id"),
        ("topic", RefusedWhat::Publish, Some("door:a"), 1, "its own door"),
    ] {
        let row = find(reason).unwrap_or_else(|| panic!("{reason}: {:?}", gateway.registry.refusals()));
        assert_eq!((row.what, row.name.as_deref(), row.count), (what, name, count), "{reason}");
        assert!(row.remedy.contains(words) && row.address.starts_with("127.0.0."), "{row:?}");
        assert!(row.first_at <= row.last_at);
    }
    let door = gateway.registry.doors().remove(0);
    assert!(door.certificate_not_after.is_some());
}
