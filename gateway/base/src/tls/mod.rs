//! TLS: who may connect, with which certificate, and what has been revoked.
//!
//! Every configuration is made from files and checked whole before it is handed out, so that a failed reload leaves
//! the one in force as it is. Like TLS itself, the checks ask the machine's clock.

mod direct;
mod error;
pub(crate) mod files;
#[cfg(test)]
mod tests;
mod verifier;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use protocol::Instant;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};

pub use self::direct::{only_directly_issued, take_refused_name};
pub use self::error::{Content, TlsError, TlsFile};
use self::files::{Authorities, Pair};
use self::verifier::Verifier;
use crate::identity::normalized_serial;

/// What the doors' port is made from, PEM files all.
#[derive(Clone, Copy, Debug)]
pub struct ServerFiles<'a> {
    /// The gateway's certificate, with the certificates that lead to its authority, if any.
    pub certificate: &'a Path,
    /// Its private key.
    pub key: &'a Path,
    /// The authorities whose certificates doors and monitors present.
    pub client_ca: &'a Path,
    /// Their revocation lists.
    pub crl: &'a Path,
}

/// The serial numbers that a revocation list names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Big-endian without leading zeros, like [`Identity::serial`](crate::identity::Identity::serial).
    serials: HashSet<Vec<u8>>,
}

impl Revoked {
    /// Whether the certificate with this serial number is revoked.
    pub fn contains(&self, serial: &[u8]) -> bool {
        self.serials.contains(serial)
    }

    /// How many are.
    pub fn len(&self) -> usize {
        self.serials.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.serials.is_empty()
    }

    /// What the lists in the file `crl` name; each must be of an authority in `client_ca`.
    ///
    /// # Errors
    /// When a file cannot be read or a list is not the authorities'.
    pub fn read(client_ca: &Path, crl: &Path) -> Result<Self, TlsError> {
        Self::of(crl, &files::revocation_lists(crl, &Authorities::read(client_ca, now())?)?)
    }

    fn of(crl: &Path, lists: &[CertificateRevocationListDer<'_>]) -> Result<Self, TlsError> {
        let file = TlsFile { content: Content::RevocationList, path: crl.to_owned() };
        let mut serials = HashSet::new();
        for list in lists {
            let list = files::parsed_list(&file, list)?;
            serials.extend(list.iter_revoked_certificates().map(|entry| normalized_serial(entry.raw_serial())));
        }
        Ok(Self { serials })
    }
}

/// TLS 1.2 and 1.3 for the doors' port: a client certificate that the site's authority has issued itself is mandatory, a revoked one is
/// refused.
///
/// The serial numbers of the same revocation list come with it, for sessions that are live already.
///
/// # Errors
/// When a file cannot be read, or the files do not belong together.
pub fn door_server_config(files: &ServerFiles<'_>) -> Result<(Arc<ServerConfig>, Revoked), TlsError> {
    let now = now();
    let provider = provider();
    let pair = Pair::read(files.certificate, files.key, &provider, now)?;
    let authorities = Authorities::read(files.client_ca, now)?;
    authorities.check_pair(&pair)?;
    let lists = files::revocation_lists(files.crl, &authorities)?;
    let revoked = Revoked::of(files.crl, &lists)?;

    let refused = |source: Box<dyn std::error::Error + Send + Sync>| TlsError::Refused {
        file: TlsFile { content: Content::Authority, path: files.client_ca.to_owned() },
        source,
    };
    // A door must not stop because nobody renewed the list: an old list still tells what it revoked, so its expiry
    // is not enforced, and an authority without a list revokes nothing.
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities.roots()?), provider.clone())
        .with_crls(lists)
        .only_check_end_entity_revocation()
        .allow_unknown_revocation_status()
        .build()
        .map_err(|error| refused(Box::new(error)))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(VERSIONS)
        .map_err(|error| refused(Box::new(error)))?
        .with_client_cert_verifier(only_directly_issued(Arc::new(Verifier {
            inner: verifier,
            revoked: revoked.clone(),
        })))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair.certified)));
    // A resumed session would not be checked against the revocation list.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    // A client that speaks something else is refused; one that does not say what it speaks is not.
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    Ok((Arc::new(config), revoked))
}

/// TLS 1.2 and 1.3 for HTTP/1.1: no client certificate is asked for.
///
/// # Errors
/// When a file cannot be read, or the two are no pair.
pub fn http_server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = provider();
    let pair = Pair::read(certificate, key, &provider, now())?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(VERSIONS)
        .map_err(|source| TlsError::Refused {
            file: TlsFile { content: Content::Certificate, path: certificate.to_owned() },
            source: Box::new(source),
        })?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair.certified)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// TLS 1.2 and 1.3 towards the upstream: it must show a certificate of the authority in `ca`, and is shown ours.
///
/// # Errors
/// When a file cannot be read, or certificate and key are no pair.
pub fn upstream_client_config(ca: &Path, certificate: &Path, key: &Path) -> Result<ClientConfig, TlsError> {
    let now = now();
    let provider = provider();
    let pair = Pair::read(certificate, key, &provider, now)?;
    let roots = Authorities::read(ca, now)?.roots()?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(VERSIONS)
        .map_err(|source| TlsError::Refused {
            file: TlsFile { content: Content::Certificate, path: certificate.to_owned() },
            source: Box::new(source),
        })?
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair.certified)));
    Ok(config)
}

/// TLS 1.2 and 1.3 towards an HTTPS server, which must show a certificate of the authority in `ca`, and is shown none.
///
/// # Errors
/// When the file cannot be read.
pub fn http_client_config(ca: &Path) -> Result<ClientConfig, TlsError> {
    let roots = Authorities::read(ca, now())?.roots()?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .map_err(|source| TlsError::Refused {
            file: TlsFile { content: Content::Certificate, path: ca.to_owned() },
            source: Box::new(source),
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// What is missing of the revocation lists in `crl`, or is old: an authority in `client_ca` without a list of its own, and lists
/// that should have been replaced by `now`. What they name counts all the same.
///
/// # Errors
/// When a file cannot be read or a list is not the authorities'.
pub fn revocation_gaps(client_ca: &Path, crl: &Path, now: Instant) -> Result<Vec<String>, TlsError> {
    let authorities = Authorities::read(client_ca, now)?;
    let file = TlsFile { content: Content::RevocationList, path: crl.to_owned() };
    let lists = files::revocation_lists(crl, &authorities)?;
    let mut issuers = HashSet::new();
    let mut gaps = Vec::new();
    for list in &lists {
        let list = files::parsed_list(&file, list)?;
        issuers.insert(list.issuer().as_raw().to_vec());
        if let Some(until) = list.next_update().map(files::instant).filter(|until| *until < now) {
            gaps.push(format!("the list of {} in {} was to be replaced by {until}", list.issuer(), crl.display()));
        }
    }
    for (subject, name) in authorities.subjects()? {
        if !issuers.contains(&subject) {
            gaps.push(format!("{} has no list of {name}", crl.display()));
        }
    }
    Ok(gaps)
}

/// When the first certificate in the file at `path` expires.
///
/// # Errors
/// When the file cannot be read or holds none.
pub fn certificate_expiry(path: &Path) -> Result<Instant, TlsError> {
    let file = TlsFile { content: Content::Certificate, path: path.to_owned() };
    let chain = files::certificates(path, file.content)?;
    match chain.first() {
        Some(first) => Ok(files::instant(files::parsed(&file, first)?.validity().not_after)),
        None => Err(TlsError::Absent { file }),
    }
}

const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn now() -> Instant {
    jiff::Timestamp::now().into()
}
