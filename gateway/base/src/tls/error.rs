//! What can be wrong with a certificate, key or revocation list, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use protocol::Instant;
use thiserror::Error;

use crate::owner::whose;

/// A file of the TLS set-up, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFile {
    /// What it should hold.
    pub content: Content,
    /// Where it is.
    pub path: PathBuf,
}

/// What a file of the TLS set-up should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A certificate, followed by those that lead to its authority.
    Certificate,
    /// A certificate's private key.
    Key,
    /// The certificates of the authorities that are trusted.
    Authority,
    /// Revocation lists.
    RevocationList,
}

/// Why a TLS set-up cannot be used. Trying again helps only after the file that it names was put right.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// No such file.
    #[error("{file} does not exist: correct its path in the configuration, or make a site with `gapura init`")]
    Missing {
        /// Which file.
        file: TlsFile,
    },
    /// The system does not let it be read.
    #[error("{file} cannot be read: let the user that runs the gateway read it (chmod, chown){}", whose(&file.path, source))]
    Unreadable {
        /// Which file.
        file: TlsFile,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Not PEM text.
    #[error(
        "{file} is not PEM text: it must hold the lines from -----BEGIN {label}----- to -----END {label}-----; \
         convert DER with `openssl ... -inform DER -outform PEM`",
        label = file.content.label()
    )]
    NotPem {
        /// Which file.
        file: TlsFile,
    },
    /// PEM text that is damaged.
    #[error("{file} is damaged PEM text: copy the file again, whole")]
    DamagedPem {
        /// Which file.
        file: TlsFile,
        /// What is damaged.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// PEM text with other contents.
    #[error(
        "{file} holds no {label} section: {hint}",
        label = file.content.label(),
        hint = file.content.if_absent()
    )]
    Absent {
        /// Which file.
        file: TlsFile,
    },
    /// The section's content is not what its label says.
    #[error("{file} holds a {label} section that cannot be understood: issue it again", label = file.content.label())]
    Malformed {
        /// Which file.
        file: TlsFile,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A key of a kind that cannot be used here.
    #[error("{file} is of a kind that cannot be used: use an ECDSA key (P-256 or P-384), an Ed25519 key or an RSA key")]
    UnsupportedKey {
        /// The key's file.
        file: TlsFile,
        /// What TLS said.
        #[source]
        source: rustls::Error,
    },
    /// Key and certificate are not a pair.
    #[error("{key} does not belong to {certificate}: put the two files that were issued together side by side")]
    NotAPair {
        /// The key's file.
        key: TlsFile,
        /// The certificate's file.
        certificate: TlsFile,
    },
    /// A certificate that nobody would accept any more.
    #[error("{file} expired at {not_after}: issue it again, and check the clock of this machine")]
    Expired {
        /// Which file.
        file: TlsFile,
        /// Its last moment.
        not_after: Instant,
    },
    /// The certificate comes from elsewhere.
    #[error("{certificate} is not signed by {authority}: use the certificate and the authority of the same site")]
    NotSigned {
        /// The certificate's file.
        certificate: TlsFile,
        /// The authority's file.
        authority: TlsFile,
    },
    /// The certificate may not sign others.
    #[error("{file} is no authority's certificate (basic constraints without CA): use the site's ca.pem")]
    NotAnAuthority {
        /// Which file.
        file: TlsFile,
    },
    /// The revocation list comes from elsewhere.
    #[error("{list} was made by another authority ({issuer}) than {authority}: use the list of the same site")]
    ForeignList {
        /// The list's file.
        list: TlsFile,
        /// Who made it, a distinguished name.
        issuer: String,
        /// The authority's file.
        authority: TlsFile,
    },
    /// The revocation list was changed, or made by another authority of the same name.
    #[error("{list} bears no valid signature of {authority}: restore the list, or use the one of the same site")]
    ForgedList {
        /// The list's file.
        list: TlsFile,
        /// The authority's file.
        authority: TlsFile,
        /// What the check said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS refuses what these files hold.
    #[error("{file} cannot be used for TLS: issue it again")]
    Refused {
        /// The file that it is about.
        file: TlsFile,
        /// What TLS said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl fmt::Display for TlsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.content {
            Content::Certificate => "the certificate",
            Content::Key => "the key",
            Content::Authority => "the authority's certificate",
            Content::RevocationList => "the revocation list",
        };
        write!(f, "{what} {}", self.path.display())
    }
}

impl Content {
    fn label(self) -> &'static str {
        match self {
            Self::Certificate | Self::Authority => "CERTIFICATE",
            Self::Key => "PRIVATE KEY",
            Self::RevocationList => "X509 CRL",
        }
    }

    fn if_absent(self) -> &'static str {
        match self {
            Self::Certificate | Self::Authority => "name the file with the certificate, not the one with its key",
            Self::Key => "name the file with the key; a key with a passphrase cannot be used, decrypt it first",
            Self::RevocationList => "name the file with the list; `gapura init` makes one that revokes nothing",
        }
    }
}
