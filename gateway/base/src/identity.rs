//! Who a client certificate belongs to: a URI in its subject alternative name, `urn:gapura:{site}:{kind}:{name}`.

use std::fmt;
use std::str::FromStr;

use protocol::{DoorId, Instant, NameError, SiteId};
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a certificate says of its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who it is.
    pub role: Role,
    /// The certificate's serial number, as in a revocation list: big-endian without leading zeros.
    pub serial: Vec<u8>,
    /// When the certificate expires.
    pub not_after: Instant,
}

/// Who a client is, and so what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A door's reader: publishes and subscribes under its own topics.
    Door(DoorId),
    /// A monitor: subscribes to all doors' decisions and status, publishes nothing.
    Monitor(DoorId),
    /// The device of a helper: publishes on doors' `assist` topics and subscribes to all doors' decisions.
    Helper(DoorId),
    /// The gateway itself, towards upstream: no MQTT client.
    Gateway,
}

/// A certificate of the site's CA that names nobody of this site.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// Not an X.509 certificate.
    #[error("not an X.509 certificate: {0}")]
    NotX509(String),
    /// No URI of the form that this gateway issues.
    #[error(
        "the certificate has no name of the form urn:gapura:{{site}}:door:{{door}} in its subject alternative names"
    )]
    NoName,
    /// More than one URI of that form.
    #[error(
        "the certificate has more than one name of the form urn:gapura:…, and nobody can tell who it is; issue it again"
    )]
    TwoNames,
    /// The URI names another site.
    #[error("the certificate is of site {found}, this is site {expected}")]
    OtherSite {
        /// This gateway's site.
        expected: SiteId,
        /// The certificate's site.
        found: SiteId,
    },
    /// The URI's name is outside the contract.
    #[error(transparent)]
    BadName(#[from] NameError),
}

impl Identity {
    /// Reads who `certificate` belongs to. Whether it is valid is TLS's business.
    ///
    /// # Errors
    /// When the certificate names nobody of `site`.
    pub fn of(site: &SiteId, certificate: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        let (_, x509) =
            X509Certificate::from_der(certificate).map_err(|error| IdentityError::NotX509(error.to_string()))?;
        let mut names = names(&x509);
        let name = names.next().ok_or(IdentityError::NoName)?;
        if names.next().is_some() {
            return Err(IdentityError::TwoNames);
        }
        let (found, role) = name.split_once(':').ok_or(IdentityError::NoName)?;
        let found: SiteId = found.parse()?;
        if found != *site {
            return Err(IdentityError::OtherSite { expected: site.clone(), found });
        }
        Ok(Self {
            role: role.parse()?,
            serial: normalized_serial(x509.raw_serial()),
            not_after: Instant::from_unix_ms(x509.validity().not_after.timestamp().saturating_mul(1000)),
        })
    }
}

/// Longest name that is told of a certificate or client that was refused, in characters.
pub const SHOWN_NAME_CHARS_MAX: usize = 64;

/// What a certificate calls its holder, whoever has issued it: the gateway's name for it, else its subject's common name.
pub fn shown_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, x509) = X509Certificate::from_der(certificate).ok()?;
    let own = names(&x509).next();
    let common = || x509.subject().iter_common_name().find_map(|name| name.as_str().ok());
    own.or_else(common).map(plain_name)
}

/// A name that a stranger has chosen, as it may be shown: printable ASCII, and not too long.
pub fn plain_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    name.chars().take(SHOWN_NAME_CHARS_MAX).map(plain).collect()
}

/// The URIs of ours, behind what they start with.
fn names<'a>(x509: &'a X509Certificate<'_>) -> impl Iterator<Item = &'a str> {
    let extension = x509.subject_alternative_name().ok().flatten();
    extension.into_iter().flat_map(|extension| &extension.value.general_names).filter_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix("urn:gapura:"),
        _ => None,
    })
}

/// A serial number without the leading zeros that DER may add.
pub fn normalized_serial(serial: &[u8]) -> Vec<u8> {
    serial.iter().copied().skip_while(|byte| *byte == 0).collect()
}

impl Role {
    /// The URI that a certificate of this role carries.
    pub fn uri(&self, site: &SiteId) -> String {
        format!("urn:gapura:{site}:{self}")
    }

    /// The MQTT client id that goes with this role; `None` where there is none.
    pub fn client_id(&self) -> Option<&str> {
        match self {
            Self::Door(name) | Self::Monitor(name) | Self::Helper(name) => Some(name.as_str()),
            Self::Gateway => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Door(name) => write!(f, "door:{name}"),
            Self::Monitor(name) => write!(f, "monitor:{name}"),
            Self::Helper(name) => write!(f, "helper:{name}"),
            Self::Gateway => f.write_str("gateway"),
        }
    }
}

impl FromStr for Role {
    type Err = IdentityError;

    fn from_str(role: &str) -> Result<Self, IdentityError> {
        match role.split_once(':') {
            Some(("door", name)) => Ok(Self::Door(name.parse()?)),
            Some(("monitor", name)) => Ok(Self::Monitor(name.parse()?)),
            Some(("helper", name)) => Ok(Self::Helper(name.parse()?)),
            None if role == "gateway" => Ok(Self::Gateway),
            _ => Err(IdentityError::NoName),
        }
    }
}
