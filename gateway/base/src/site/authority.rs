//! The site's certificate authority: who gets a certificate, what is in it, and how it is taken back.

use protocol::{Instant, SiteId};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;

use super::error::SiteError;
use super::issued::{self, Row};
use super::lock::Lock;
use super::request::requested_key;
use super::revocation::{self, RevocationLists};
use super::x509::{
    alternative_names, authority_uri, date, distinguished_name, local_names, named_site, new_key, pem, serial_number,
    with_local_names,
};
use super::{Secret, SiteFolder, hex, random};
use crate::identity::{Identity, IdentityError, Role};
use crate::tls::files::{Pair, certificates, instant, parsed, private_key};
use crate::tls::{Content, TlsError, TlsFile};

/// The authority of one site, able to sign. What it issues is listed before it is handed out.
#[derive(Debug)]
pub struct Authority {
    folder: SiteFolder,
    site: SiteId,
    certificate: CertificateDer<'static>,
    /// Its distinguished name, in DER.
    subject: Vec<u8>,
    not_after: Instant,
    issuer: Issuer<'static, KeyPair>,
}

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// When it is issued. It is valid a little earlier, for readers whose clock is late.
    pub from: Instant,
    /// Its last moment; never later than the authority's own.
    pub until: Instant,
}

/// A certificate and the private key that was made with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate and then the authority's, in PEM.
    pub certificate_pem: String,
    /// The private key in PEM (PKCS #8).
    pub key_pem: Secret,
    /// The certificate's serial number, as in [`Identity::serial`](crate::identity::Identity::serial).
    pub serial: Vec<u8>,
    /// When the certificate expires.
    pub not_after: Instant,
}

/// A signed certificate that is in no list yet.
pub(super) struct Signed {
    pub(super) certificate_pem: String,
    pub(super) row: Row,
}

/// What a certificate says of its holder.
struct Holder<'a> {
    /// As in the list of what was issued.
    role: String,
    uri: Option<String>,
    host_names: &'a [String],
    usages: Vec<ExtendedKeyUsagePurpose>,
}

/// How long before it is issued a certificate is valid already, for readers whose clock is late.
const BACKDATED_MS: i64 = 3_600_000;

pub(super) const DAY_MS: i64 = 86_400_000;

impl Validity {
    /// Valid for `days` days from `now`.
    pub fn days(now: Instant, days: u32) -> Self {
        Self { from: now, until: Instant::from_unix_ms(now.unix_ms().saturating_add(i64::from(days) * DAY_MS)) }
    }
}

impl Authority {
    /// Opens the authority of `folder`. Where `ca.pem` holds several certificates, the first one is the authority that
    /// signs; the others stay trusted.
    ///
    /// # Errors
    /// When its files cannot be read, do not belong together, have expired, or belong to another site.
    pub fn open(folder: &SiteFolder, site: &SiteId) -> Result<Self, SiteError> {
        let provider = rustls::crypto::ring::default_provider();
        let path = folder.ca_certificate();
        let pair = Pair::read(&path, &folder.ca_key(), &provider, jiff::Timestamp::now().into())?;
        let file = TlsFile { content: Content::Authority, path };
        let Some(certificate) = pair.certified.cert.first().cloned() else {
            return Err(TlsError::Absent { file }.into());
        };
        let x509 = parsed(&file, &certificate)?;
        if !x509.is_ca() {
            return Err(TlsError::NotAnAuthority { file }.into());
        }
        if let Some(found) = named_site(&x509)
            && found != site.as_str()
        {
            return Err(SiteError::OtherSite { path: file.path, expected: site.clone(), found });
        }
        let subject = x509.subject().as_raw().to_vec();
        let not_after = instant(x509.validity().not_after);
        let sign = |source| SiteError::Sign { what: "use of the authority's key", source };
        let key = KeyPair::try_from(&private_key(&folder.ca_key())?).map_err(sign)?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(sign)?;
        Ok(Self { folder: folder.clone(), site: site.clone(), certificate, subject, not_after, issuer })
    }

    /// Makes a key and a certificate for it. That of the gateway is for this machine's local names only; see
    /// [`Authority::issue_gateway`].
    ///
    /// # Errors
    /// When `validity` is none, or the list of certificates cannot be written.
    pub fn issue(&self, role: &Role, validity: Validity) -> Result<Issued, SiteError> {
        self.issue_to(&self.holder(role, &local_names()), validity)
    }

    /// Makes a key and a certificate for the gateway, under its local names and `host_names`.
    ///
    /// # Errors
    /// As [`Authority::issue`], and when a name is neither a DNS name nor an IP address.
    pub fn issue_gateway(&self, host_names: &[String], validity: Validity) -> Result<Issued, SiteError> {
        let names = with_local_names(host_names);
        self.issue_to(&self.holder(&Role::Gateway, &names), validity)
    }

    /// Makes a key and a certificate for another server, such as a receiver of events. It may not connect as a client.
    ///
    /// # Errors
    /// As [`Authority::issue`], and when a name is neither a DNS name nor an IP address.
    pub fn issue_server(&self, host_names: &[String], validity: Validity) -> Result<Issued, SiteError> {
        let usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue_to(&Holder { role: "server".to_owned(), uri: None, host_names, usages }, validity)
    }

    /// Makes a certificate for a key that stays on its device, and gives it with the authority's own, in PEM. Only the
    /// public key is taken from `csr` (PKCS #10, RFC 2986, in PEM or DER), whatever else it asks for.
    ///
    /// # Errors
    /// When the request is none, is not signed with its key, or names a key that TLS would not accept here; else as
    /// [`Authority::issue`].
    pub fn sign_csr(&self, csr: &[u8], role: &Role, validity: Validity) -> Result<String, SiteError> {
        let key = requested_key(csr, "the request")?;
        let signed = self.sign(&key, role, validity)?;
        issued::append(&Lock::wait(&self.folder)?, &self.folder, &[signed.row])?;
        Ok(signed.certificate_pem)
    }

    /// Puts the certificate with this serial number into the revocation list, and tells whether that is news.
    ///
    /// # Errors
    /// When the list cannot be read, is not this authority's, or cannot be written. It is left as it was.
    pub fn revoke(&self, serial: &[u8], now: Instant) -> Result<bool, SiteError> {
        let lock = Lock::wait(&self.folder)?;
        Ok(self.revoke_all(&lock, &[serial.to_vec()], now)? > 0)
    }

    /// Revokes several at once, and tells how many were not revoked before.
    pub(super) fn revoke_all(&self, lock: &Lock, serials: &[Vec<u8>], now: Instant) -> Result<usize, SiteError> {
        let mut lists = RevocationLists::read(&self.folder, &self.subject, now)?;
        let added = lists.add(serials, now)?;
        if added > 0 {
            revocation::replace(lock, &self.folder, &lists.signed(&self.issuer, now, self.not_after)?)?;
        }
        Ok(added)
    }

    /// Signs the revocation list anew, with the same entries; makes one where this authority has none yet.
    ///
    /// # Errors
    /// As [`Authority::revoke`].
    pub(super) fn renew_list(&self, lock: &Lock, now: Instant) -> Result<(), SiteError> {
        let lists = RevocationLists::read(&self.folder, &self.subject, now)?;
        revocation::replace(lock, &self.folder, &lists.signed(&self.issuer, now, self.not_after)?)
    }

    /// Signs a certificate without listing it.
    pub(super) fn sign(&self, key: &impl PublicKeyData, role: &Role, validity: Validity) -> Result<Signed, SiteError> {
        self.sign_for(key, &self.holder(role, &local_names()), validity)
    }

    /// Signs the gateway's certificate without listing it.
    pub(super) fn sign_gateway(
        &self,
        key: &impl PublicKeyData,
        host_names: &[String],
        validity: Validity,
    ) -> Result<Signed, SiteError> {
        self.sign_for(key, &self.holder(&Role::Gateway, &with_local_names(host_names)), validity)
    }

    fn issue_to(&self, holder: &Holder<'_>, validity: Validity) -> Result<Issued, SiteError> {
        let key = new_key()?;
        let Signed { certificate_pem, row } = self.sign_for(&key, holder, validity)?;
        let (serial, not_after) = (row.serial(), row.not_after);
        issued::append(&Lock::wait(&self.folder)?, &self.folder, &[row])?;
        Ok(Issued { certificate_pem, key_pem: Secret(key.serialize_pem()), serial, not_after })
    }

    fn holder<'a>(&self, role: &Role, host_names: &'a [String]) -> Holder<'a> {
        let (host_names, usages) = match role {
            Role::Gateway => {
                (host_names, vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth])
            }
            Role::Door(_) | Role::Monitor(_) | Role::Helper(_) => (&[][..], vec![ExtendedKeyUsagePurpose::ClientAuth]),
        };
        Holder { role: role.to_string(), uri: Some(role.uri(&self.site)), host_names, usages }
    }

    fn sign_for(&self, key: &impl PublicKeyData, holder: &Holder<'_>, validity: Validity) -> Result<Signed, SiteError> {
        let until = whole_second(validity.until).min(self.not_after);
        if until <= validity.from {
            let why =
                if self.not_after < validity.until { "the site's authority expires before" } else { "it ends first" };
            return Err(SiteError::Validity { from: validity.from, until, why });
        }
        let serial = serial_number()?;
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.not_before = date(backdated(validity.from))?.to_datetime();
        params.not_after = date(until)?.to_datetime();
        params.distinguished_name = distinguished_name(&format!("{} {}", self.site, holder.role));
        params.subject_alt_names = alternative_names(holder.uri.as_deref(), holder.host_names)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages.clone_from(&holder.usages);
        params.use_authority_key_identifier_extension = true;
        let certificate = params
            .signed_by(key, &self.issuer)
            .map_err(|source| SiteError::Sign { what: "the certificate", source })?;
        Ok(Signed {
            certificate_pem: pem("CERTIFICATE", certificate.der()) + &pem("CERTIFICATE", &self.certificate),
            row: Row::new(&serial, holder.role.clone(), until, validity.from),
        })
    }
}

/// Checks that the site's authority and the gateway's certificate are those of `site`: no door would get in under another name.
///
/// # Errors
/// Names the file that is another site's, or cannot be read.
pub fn check_site_of_certificates(folder: &SiteFolder, site: &SiteId) -> Result<(), SiteError> {
    let other = |path, found| Err(SiteError::OtherSite { path, expected: site.clone(), found });
    let path = folder.ca_certificate();
    if let Some(first) = certificates(&path, Content::Authority)?.first() {
        let file = TlsFile { content: Content::Authority, path: path.clone() };
        if let Some(found) = named_site(&parsed(&file, first)?).filter(|found| found != site.as_str()) {
            return other(path, found);
        }
    }
    let path = folder.gateway_certificate();
    match certificates(&path, Content::Certificate)?.first().map(|first| Identity::of(site, first)) {
        Some(Err(IdentityError::OtherSite { found, .. })) => other(path, found.to_string()),
        _ => Ok(()),
    }
}

/// A new authority for `site`: certificate, key and an empty revocation list, in PEM.
pub(super) fn new_authority(site: &SiteId, validity: Validity) -> Result<(String, Secret, String), SiteError> {
    let failed = |source| SiteError::Sign { what: "the site's authority", source };
    let key = new_key()?;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial_number()?));
    params.not_before = date(backdated(validity.from))?.to_datetime();
    params.not_after = date(validity.until)?.to_datetime();
    // Sites of one name are told apart, so that a mix-up is named instead of ending in a bad signature.
    params.distinguished_name = distinguished_name(&format!("{site} authority {}", hex(&random::<4>()?)));
    params.subject_alt_names = vec![SanType::URI(authority_uri(site).try_into().map_err(failed)?)];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(failed)?;
    let key_pem = Secret(key.serialize_pem());
    let issuer = Issuer::from_ca_cert_der(certificate.der(), key).map_err(failed)?;
    let list = RevocationLists::empty().signed(&issuer, validity.from, validity.until)?;
    Ok((pem("CERTIFICATE", certificate.der()), key_pem, list))
}

fn backdated(from: Instant) -> Instant {
    Instant::from_unix_ms(from.unix_ms().saturating_sub(BACKDATED_MS))
}

/// Certificates know no milliseconds.
fn whole_second(moment: Instant) -> Instant {
    Instant::from_unix_ms(moment.unix_ms().div_euclid(1000).saturating_mul(1000))
}
