//! What TLS is made from, read from PEM files: the site's CA, a certificate, its key.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// The CA that servers must be signed by.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn roots(ca: &Path) -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).with_context(|| format!("{} holds a certificate that is no CA", ca.display()))?;
    }
    Ok(Arc::new(roots))
}

/// A client without a certificate.
///
/// # Errors
/// When the TLS library refuses its own defaults.
pub fn anonymous(roots: Arc<RootCertStore>) -> Result<ClientConfig> {
    Ok(builder(roots)?.with_no_client_auth())
}

/// A client with the certificate `{folder}/{name}.pem` and the key `{folder}/{name}.key`.
///
/// # Errors
/// When a file cannot be read or is not what it should be.
pub fn client(roots: Arc<RootCertStore>, folder: &Path, name: &str) -> Result<ClientConfig> {
    let chain = certificates(&folder.join(format!("{name}.pem")))?;
    let key = key(&folder.join(format!("{name}.key")))?;
    let mut config = builder(roots)?
        .with_client_auth_cert(chain, key)
        .with_context(|| format!("the certificate and the key of {name} do not fit together"))?;
    // One session is enough for one server; the default keeps room for hundreds, for each of thousands of readers.
    config.resumption = Resumption::in_memory_sessions(2);
    Ok(config)
}

/// The certificates in a file; at least one.
///
/// # Errors
/// When the file cannot be read or holds none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read the certificate {}", path.display()))?;
    ensure!(!certificates.is_empty(), "{} holds no PEM certificate", path.display());
    Ok(certificates)
}

/// The private key in a file.
///
/// # Errors
/// When the file cannot be read or holds none.
pub fn key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).with_context(|| format!("cannot read the key {}", path.display()))
}

fn builder(roots: Arc<RootCertStore>) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots))
}
