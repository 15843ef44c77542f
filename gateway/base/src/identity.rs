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
        let name = x509
            .subject_alternative_name()
            .ok()
            .flatten()
            .into_iter()
            .flat_map(|extension| &extension.value.general_names)
            .find_map(|name| match name {
                GeneralName::URI(uri) => uri.strip_prefix("urn:gapura:"),
                _ => None,
            })
            .ok_or(IdentityError::NoName)?;
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
