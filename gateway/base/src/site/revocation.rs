//! The authority's revocation list (RFC 5280, section 5): read, checked, and written anew with more entries.

use std::collections::HashSet;

use protocol::Instant;
use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevocationReason, RevokedCertParams, SerialNumber,
};
use x509_parser::revocation_list::RevokedCertificate;

use super::SiteFolder;
use super::error::SiteError;
use super::files::{self, Access};
use super::lock::Lock;
use super::x509::{date, pem};
use crate::identity::normalized_serial;
use crate::tls::files::{Authorities, parsed_list, revocation_lists};
use crate::tls::{Content, TlsFile};

/// What a site's `crl.pem` holds.
pub(super) struct RevocationLists {
    /// Number of the list of the issuing authority; rises with every change.
    number: u64,
    /// What that list revokes.
    entries: Vec<RevokedCertParams>,
    /// Lists of other authorities that the site still trusts, in DER.
    others: Vec<Vec<u8>>,
}

impl RevocationLists {
    /// Lists that revoke nothing.
    pub(super) fn empty() -> Self {
        Self { number: 0, entries: Vec::new(), others: Vec::new() }
    }

    /// Those of `folder`; `subject` is the issuing authority's distinguished name in DER.
    pub(super) fn read(folder: &SiteFolder, subject: &[u8], now: Instant) -> Result<Self, SiteError> {
        let file = TlsFile { content: Content::RevocationList, path: folder.crl() };
        let authorities = Authorities::read(&folder.ca_certificate(), now)?;
        let mut lists = Self::empty();
        for der in revocation_lists(&file.path, &authorities)? {
            let list = parsed_list(&file, &der)?;
            if list.issuer().as_raw() == subject {
                let number = list.crl_number().map_or(0, |number| u64::try_from(number).unwrap_or(u64::MAX));
                lists.number = lists.number.max(number);
                lists.entries.extend(list.iter_revoked_certificates().map(entry));
            } else {
                lists.others.push(der.to_vec());
            }
        }
        Ok(lists)
    }

    /// Adds what is not in it yet, and tells how many that were.
    pub(super) fn add(&mut self, serials: &[Vec<u8>], now: Instant) -> Result<usize, SiteError> {
        let mut known: HashSet<Vec<u8>> =
            self.entries.iter().map(|entry| normalized_serial(entry.serial_number.as_ref())).collect();
        let mut added = 0;
        for serial in serials {
            if known.insert(normalized_serial(serial)) {
                self.entries.push(RevokedCertParams {
                    serial_number: SerialNumber::from_slice(serial),
                    revocation_time: date(now)?.to_datetime(),
                    reason_code: None,
                    invalidity_date: None,
                });
                added += 1;
            }
        }
        Ok(added)
    }

    /// The next `crl.pem`, in which the issuing authority's list is valid until `next_update`.
    ///
    /// A site may be cut off for years, and its gateway must not lose the list meanwhile: `next_update` is far away.
    pub(super) fn signed(
        self,
        issuer: &Issuer<'_, KeyPair>,
        now: Instant,
        next_update: Instant,
    ) -> Result<String, SiteError> {
        let list = CertificateRevocationListParams {
            this_update: date(now)?.to_datetime(),
            next_update: date(next_update)?.to_datetime(),
            crl_number: SerialNumber::from(self.number.saturating_add(1)),
            issuing_distribution_point: None,
            revoked_certs: self.entries,
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(issuer)
        .map_err(|source| SiteError::Sign { what: "the revocation list", source })?;
        let others: String = self.others.iter().map(|der| pem("X509 CRL", der)).collect();
        Ok(pem("X509 CRL", list.der()) + &others)
    }
}

/// Puts a new `crl.pem` in place.
pub(super) fn replace(_: &Lock, folder: &SiteFolder, lists: &str) -> Result<(), SiteError> {
    files::replace(&folder.crl(), lists, Access::Plain)?;
    files::sync_folder(&folder.pki(""))
}

fn entry(revoked: &RevokedCertificate<'_>) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: SerialNumber::from(normalized_serial(revoked.raw_serial())),
        revocation_time: revoked.revocation_date.to_datetime(),
        reason_code: revoked.reason_code().and_then(|(_, reason)| reason_of(reason.0)),
        invalidity_date: revoked.invalidity_date().map(|(_, date)| date.to_datetime()),
    }
}

/// RFC 5280, section 5.3.1.
fn reason_of(code: u8) -> Option<RevocationReason> {
    Some(match code {
        1 => RevocationReason::KeyCompromise,
        2 => RevocationReason::CaCompromise,
        3 => RevocationReason::AffiliationChanged,
        4 => RevocationReason::Superseded,
        5 => RevocationReason::CessationOfOperation,
        6 => RevocationReason::CertificateHold,
        8 => RevocationReason::RemoveFromCrl,
        9 => RevocationReason::PrivilegeWithdrawn,
        10 => RevocationReason::AaCompromise,
        _ => return None,
    })
}
