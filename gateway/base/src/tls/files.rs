//! Reads certificates, keys and revocation lists from PEM files and checks that they belong together.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use protocol::Instant;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

use super::error::{Content, TlsError, TlsFile};

/// The certificates in the file at `path`, at least one.
///
/// # Errors
/// When the file cannot be read or holds none.
pub(crate) fn certificates(path: &Path, content: Content) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = TlsFile { content, path: path.to_owned() };
    sections(&file)
}

/// The private key in the file at `path`.
///
/// # Errors
/// When the file cannot be read or holds none.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let file = TlsFile { content: Content::Key, path: path.to_owned() };
    let pem = read(&file)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| not_pem(file, &pem, error))
}

/// The revocation lists in the file at `path`, at least one, each with a valid signature of one of `authorities`.
///
/// # Errors
/// When the file cannot be read, holds none, or one that is not the authorities'.
pub(crate) fn revocation_lists(
    path: &Path,
    authorities: &Authorities,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let file = TlsFile { content: Content::RevocationList, path: path.to_owned() };
    let lists: Vec<CertificateRevocationListDer<'static>> = sections(&file)?;
    for list in &lists {
        let list = parsed_list(&file, list)?;
        authorities.check_list(&file, &list)?;
    }
    Ok(lists)
}

/// The X.509 structure of a certificate that was read from `file`.
///
/// # Errors
/// When it is none.
pub(crate) fn parsed<'a>(file: &TlsFile, certificate: &'a [u8]) -> Result<X509Certificate<'a>, TlsError> {
    match X509Certificate::from_der(certificate) {
        Ok((_, x509)) => Ok(x509),
        Err(source) => Err(TlsError::Malformed { file: file.clone(), source: Box::new(source) }),
    }
}

/// The structure of a revocation list that was read from `file`.
///
/// # Errors
/// When it is none.
pub(crate) fn parsed_list<'a>(file: &TlsFile, list: &'a [u8]) -> Result<CertificateRevocationList<'a>, TlsError> {
    match CertificateRevocationList::from_der(list) {
        Ok((_, list)) => Ok(list),
        Err(source) => Err(TlsError::Malformed { file: file.clone(), source: Box::new(source) }),
    }
}

/// A point in time of a certificate.
pub(crate) fn instant(time: ASN1Time) -> Instant {
    Instant::from_unix_ms(time.timestamp().saturating_mul(1000))
}

/// A certificate with its chain and its key, known to be a pair.
pub(crate) struct Pair {
    pub(crate) certified: Arc<CertifiedKey>,
    certificate: TlsFile,
}

impl Pair {
    /// Reads a pair of files.
    ///
    /// A certificate that is not valid *yet* is taken: the clock of a machine without a battery starts in the past
    /// and is put right minutes later.
    ///
    /// # Errors
    /// When one cannot be read, when they are no pair, when the certificate has expired at `now`.
    pub(crate) fn read(
        certificate: &Path,
        key: &Path,
        provider: &CryptoProvider,
        now: Instant,
    ) -> Result<Self, TlsError> {
        let chain = certificates(certificate, Content::Certificate)?;
        let certificate = TlsFile { content: Content::Certificate, path: certificate.to_owned() };
        if let Some(own) = chain.first() {
            let not_after = instant(parsed(&certificate, own)?.validity().not_after);
            if not_after < now {
                return Err(TlsError::Expired { file: certificate, not_after });
            }
        }
        let der = private_key(key)?;
        let key = TlsFile { content: Content::Key, path: key.to_owned() };
        let signing = match provider.key_provider.load_private_key(der) {
            Ok(signing) => signing,
            Err(source) => return Err(TlsError::UnsupportedKey { file: key, source }),
        };
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            Ok(()) => Ok(Self { certified: Arc::new(certified), certificate }),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(TlsError::NotAPair { key, certificate })
            }
            Err(source) => Err(TlsError::Refused { file: certificate, source: Box::new(source) }),
        }
    }
}

/// The authorities that are trusted.
pub(crate) struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    file: TlsFile,
}

impl Authorities {
    /// Reads the authorities' certificates.
    ///
    /// # Errors
    /// When the file cannot be read, holds a certificate that is no authority's, or none that is valid after `now`:
    /// an old authority may stay in the file beside its successor.
    pub(crate) fn read(path: &Path, now: Instant) -> Result<Self, TlsError> {
        let certificates = certificates(path, Content::Authority)?;
        let file = TlsFile { content: Content::Authority, path: path.to_owned() };
        let mut last_moment = None;
        for certificate in &certificates {
            let x509 = parsed(&file, certificate)?;
            if !x509.is_ca() {
                return Err(TlsError::NotAnAuthority { file });
            }
            last_moment = last_moment.max(Some(instant(x509.validity().not_after)));
        }
        match last_moment {
            Some(not_after) if not_after < now => Err(TlsError::Expired { file, not_after }),
            _ => Ok(Self { certificates, file }),
        }
    }

    /// What TLS needs to verify the peer's certificate.
    ///
    /// # Errors
    /// When a certificate cannot serve as a trust anchor.
    pub(crate) fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in &self.certificates {
            roots
                .add(certificate.clone())
                .map_err(|source| TlsError::Refused { file: self.file.clone(), source: Box::new(source) })?;
        }
        Ok(roots)
    }

    /// Their distinguished names, in DER and as text.
    ///
    /// # Errors
    /// When one is no certificate.
    pub(crate) fn subjects(&self) -> Result<Vec<(Vec<u8>, String)>, TlsError> {
        let of = |certificate| {
            let x509 = parsed(&self.file, certificate)?;
            Ok((x509.subject().as_raw().to_vec(), x509.subject().to_string()))
        };
        self.certificates.iter().map(|certificate| of(certificate)).collect()
    }

    /// Whether the pair's chain leads, link by link, to one of these.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn check_pair(&self, pair: &Pair) -> Result<(), TlsError> {
        let file = &pair.certificate;
        let mut links = pair.certified.cert.iter().map(|link| parsed(file, link)).collect::<Result<Vec<_>, _>>()?;
        let unbroken = links.windows(2).all(|pair| matches!(pair, [link, next] if signed(link, next)));
        let last = links.pop().ok_or_else(|| TlsError::Absent { file: file.clone() })?;
        for authority in &self.certificates {
            if unbroken && signed(&last, &parsed(&self.file, authority)?) {
                return Ok(());
            }
        }
        Err(TlsError::NotSigned { certificate: file.clone(), authority: self.file.clone() })
    }

    fn check_list(&self, file: &TlsFile, list: &CertificateRevocationList<'_>) -> Result<(), TlsError> {
        let mut failure = None;
        for authority in &self.certificates {
            let authority = parsed(&self.file, authority)?;
            if list.issuer().as_raw() != authority.subject().as_raw() {
                continue;
            }
            match list.verify_signature(authority.public_key()) {
                Ok(()) => return Ok(()),
                Err(source) => failure = Some(source),
            }
        }
        let (list_file, authority) = (file.clone(), self.file.clone());
        Err(match failure {
            Some(source) => TlsError::ForgedList { list: list_file, authority, source: Box::new(source) },
            None => TlsError::ForeignList { list: list_file, issuer: list.issuer().to_string(), authority },
        })
    }
}

fn signed(certificate: &X509Certificate<'_>, by: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == by.subject().as_raw()
        && certificate.verify_signature(Some(by.public_key())).is_ok()
}

fn sections<T: PemObject>(file: &TlsFile) -> Result<Vec<T>, TlsError> {
    let pem = read(file)?;
    let sections = T::pem_slice_iter(&pem)
        .collect::<Result<Vec<T>, PemError>>()
        .map_err(|error| not_pem(file.clone(), &pem, error))?;
    if sections.is_empty() {
        return Err(not_pem(file.clone(), &pem, PemError::NoItemsFound));
    }
    Ok(sections)
}

fn read(file: &TlsFile) -> Result<Vec<u8>, TlsError> {
    fs::read(&file.path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => TlsError::Missing { file: file.clone() },
        _ => TlsError::Unreadable { file: file.clone(), source },
    })
}

fn not_pem(file: TlsFile, pem: &[u8], error: PemError) -> TlsError {
    match error {
        PemError::NoItemsFound if pem.windows(BEGIN.len()).any(|window| window == BEGIN) => TlsError::Absent { file },
        PemError::NoItemsFound => TlsError::NotPem { file },
        source => TlsError::DamagedPem { file, source },
    }
}

const BEGIN: &[u8] = b"-----BEGIN ";
