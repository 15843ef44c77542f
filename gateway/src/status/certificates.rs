//! Certificates that end: the gateway's own, and when any of them is a problem.

use std::path::PathBuf;

use base::tls;
use protocol::Instant;
use protocol::api::{CertificateStatus, Problem, Severity};

/// A certificate that expires sooner is a problem.
pub(super) const CERTIFICATE_WARNING_DAYS: i64 = 14;

pub(super) const DAY_MS: i64 = 86_400_000;

/// A certificate that the gateway uses.
pub(super) struct Certificate {
    pub(super) name: &'static str,
    pub(super) path: PathBuf,
    /// Whether no door can connect without it.
    pub(super) doors_need_it: bool,
    /// When it expires, or why that is not known.
    pub(super) not_after: Result<Instant, String>,
}

impl Certificate {
    pub(super) fn read(name: &'static str, path: PathBuf, doors_need_it: bool) -> Self {
        let not_after = tls::certificate_expiry(&path).map_err(|error| error.to_string());
        Self { name, path, doors_need_it, not_after }
    }

    pub(super) fn figures(self) -> Option<CertificateStatus> {
        Some(CertificateStatus { name: self.name.into(), not_after: self.not_after.ok()? })
    }

    pub(super) fn problem(&self, now: Instant) -> Option<Problem> {
        let Self { name, path, doors_need_it, not_after } = self;
        let (severity, message) = match not_after {
            Err(error) => {
                let path = path.display();
                (Severity::Warning, format!("the certificate of the {name} in {path} is not there any more: {error}"))
            }
            Ok(not_after) if *not_after < now => {
                let severity = if *doors_need_it { Severity::Critical } else { Severity::Warning };
                (severity, format!("the certificate of the {name} has expired at {not_after}; renew it"))
            }
            Ok(not_after) if ends_soon(*not_after, now) => {
                (Severity::Warning, format!("the certificate of the {name} expires at {not_after}; renew it"))
            }
            Ok(_) => return None,
        };
        Some(Problem::new(severity, "certificate", message, None))
    }
}

/// Whether a certificate that ends then is a problem now.
pub(super) fn ends_soon(not_after: Instant, now: Instant) -> bool {
    not_after.ms_since(now) < CERTIFICATE_WARNING_DAYS * DAY_MS
}
