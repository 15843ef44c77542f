//! HTTP over TLS: handshakes beside each other, with a deadline.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

struct Authority {
    certificate: CertificateDer<'static>,
    server: Arc<ArcSwap<rustls::ServerConfig>>,
}

impl Authority {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let server = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        Self { certificate, server: Arc::new(ArcSwap::from_pointee(server)) }
    }

    async fn connect(&self, site: &Site) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = site.connect().await;
        let name = ServerName::try_from("localhost").unwrap();
        timeout(PATIENCE, TlsConnector::from(Arc::new(client)).connect(name, stream)).await.unwrap()
    }
}

const LIVEZ: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn requests_are_answered_over_tls() {
    let authority = Authority::new();
    let site = Site::with_tls(Config::default(), Some(Arc::clone(&authority.server)), |_| {}).await;
    let mut stream = authority.connect(&site).await.unwrap();
    for _ in 0..2 {
        let reply = exchange(&mut stream, LIVEZ).await;
        assert_eq!((reply.code, reply.body.as_str()), (200, "ok\n"));
    }
}

#[tokio::test]
async fn half_open_clients_delay_nobody_and_the_oldest_goes_first() {
    let authority = Authority::new();
    let config = Config { handshakes_max: 8, handshake_timeout_ms: 60_000, ..Config::default() };
    let site = Site::with_tls(config, Some(Arc::clone(&authority.server)), |_| {}).await;
    let mut half_open = Vec::new();
    for _ in 0..20 {
        let mut stream = site.connect().await;
        stream.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
        half_open.push(stream);
    }
    site.until("the oldest had to go", |site| site.refused("handshakes") == 12.0).await;
    closed(&mut half_open[0]).await;
    let mut stream = authority.connect(&site).await.unwrap();
    assert_eq!(exchange(&mut stream, LIVEZ).await.code, 200);
    site.until("their places are free", |site| site.figure("gapura_http_connections") == 8.0).await;
}

#[tokio::test]
async fn a_handshake_has_a_deadline() {
    let authority = Authority::new();
    let config = Config { handshake_timeout_ms: 100, ..Config::default() };
    let site = Site::with_tls(config, Some(Arc::clone(&authority.server)), |_| {}).await;
    closed(&mut site.connect().await).await;
    site.until("it is counted", |site| site.refused("handshake_timeout") == 1.0).await;
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_turned_away_and_counted() {
    let authority = Authority::new();
    let site = Site::with_tls(Config::default(), Some(Arc::clone(&authority.server)), |_| {}).await;
    let mut stream = site.connect().await;
    stream.write_all(LIVEZ.as_bytes()).await.unwrap();
    closed(&mut stream).await;
    site.until("it is counted", |site| site.refused("handshake") == 1.0).await;
}

#[tokio::test]
async fn a_swapped_certificate_counts_from_the_next_connection_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let site = Site::with_tls(Config::default(), Some(Arc::clone(&old.server)), |_| {}).await;
    let mut open = old.connect(&site).await.unwrap();
    old.server.store(new.server.load_full());
    assert!(old.connect(&site).await.is_err());
    let mut stream = new.connect(&site).await.unwrap();
    assert_eq!(exchange(&mut stream, LIVEZ).await.code, 200);
    assert_eq!(exchange(&mut open, LIVEZ).await.code, 200);
}

#[tokio::test]
async fn another_machine_is_served_through_tls_only() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let (_folder, looks) = trail(&Arc::default());
    let sources = sources(&Arc::new(registry), &looks);
    let (_shutdown, stop) = watch::channel(false);
    let serving = serve(Config::default(), listener, None, sources, metrics, stop);
    let error = timeout(PATIENCE, serving).await.unwrap().unwrap_err().to_string();
    assert!(error.contains("0.0.0.0:") && error.contains("needs TLS"), "{error}");
}
