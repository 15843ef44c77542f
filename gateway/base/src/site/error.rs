//! What can go wrong with a site's folder, and what to do about it.

use std::io;
use std::path::PathBuf;

use protocol::{DoorId, SiteId};
use thiserror::Error;

use crate::file_error::FileError;
use crate::owner::whose;
use crate::tls::TlsError;

/// Why a command on a site's folder failed. Nothing that is in force was changed, unless a variant says otherwise.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SiteError {
    /// A site is only made where nothing is.
    #[error("{} is not empty: nothing is ever overwritten, choose a folder that does not exist", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The path is taken by something that is no folder.
    #[error("{} is no folder: choose a folder that does not exist", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// A file is missing that every site has.
    #[error("{} does not exist: name the folder of a site, or make one with `gapura init`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error(
        "cannot {action} {}{}: check that this user owns the folder and that its disk has room",
        path.display(),
        whose(path, source)
    )]
    Io {
        /// What was tried, an infinitive.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random bytes, so no key can be made: try again once it is up")]
    Random {
        /// What the system said.
        #[source]
        source: getrandom::Error,
    },
    /// No such time zone.
    #[error("{name:?} is no time zone: use an IANA name such as Asia/Makassar")]
    TimeZone {
        /// What was given.
        name: String,
        /// What the time zone database said.
        #[source]
        source: jiff::Error,
    },
    /// No host has this name.
    #[error("{name:?} is neither a DNS name nor an IP address: a certificate cannot carry it")]
    HostName {
        /// What was given.
        name: String,
    },
    /// Not the name of a file in the policy folder.
    #[error("{name:?} is no plain file name, nor one in a folder of the policy folder")]
    PolicyName {
        /// What was given.
        name: String,
    },
    /// Not a name of a zone.
    #[error("{name:?} is no zone: use 1 to 32 of the characters a-z, 0-9 and '-'")]
    Zone {
        /// What was given.
        name: String,
    },
    /// Zones are declared, and this one is not.
    #[error("{} does not declare the zone {zone}{meant}; correct the name, or add [{zone}] there first", path.display())]
    UndeclaredZone {
        /// What was given.
        zone: String,
        /// The list of zones.
        path: PathBuf,
        /// The zone that was probably meant, as a question; or nothing.
        meant: String,
    },
    /// A file beside the one that is changed cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The configuration does not say which site this is.
    #[error("{} does not say which site this is: it needs a section [site] with a valid name", path.display())]
    Configuration {
        /// The configuration.
        path: PathBuf,
        /// Where in it, and what.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The list of doors cannot be understood.
    #[error(
        "{} is no valid list of doors: correct it, a door is a table [main-in] with zone = \"main\" and \
         mode = \"observe\" or \"enforce\"",
        path.display()
    )]
    DoorList {
        /// The list.
        path: PathBuf,
        /// Where in it, and what.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The list of tokens cannot be understood.
    #[error(
        "{} is no valid list of tokens: correct it, a token is a table [lobby-desk] as `gapura token add` writes it",
        path.display()
    )]
    TokenList {
        /// The list.
        path: PathBuf,
        /// Where in it, and what.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The name is taken.
    #[error("there is a token {name} already: choose another name, or revoke it first with `gapura token revoke`")]
    TokenExists {
        /// The name.
        name: DoorId,
    },
    /// The file of the administrator's token holds something else.
    #[error(
        "{} must hold the token's BLAKE3 hash, 64 hexadecimal digits: `gapura token renew admin` makes a new token",
        path.display()
    )]
    AdminToken {
        /// The file.
        path: PathBuf,
    },
    /// It would have ended before it was made.
    #[error("the token {name} would be over already: give --until a moment to come, or leave it out")]
    TokenEnded {
        /// The name.
        name: DoorId,
    },
    /// There is no such token.
    #[error("there is no token {name} in {}: see `gapura token list`", path.display())]
    UnknownToken {
        /// The name.
        name: DoorId,
        /// The list of tokens.
        path: PathBuf,
    },
    /// The list is valid, but not one plain table after the other.
    #[error("the table of {name} in {} does not stand alone: take it out by hand", path.display())]
    TokenLayout {
        /// The name.
        name: DoorId,
        /// The list of tokens.
        path: PathBuf,
    },
    /// The list of certificates cannot be understood.
    #[error("{}, line {line}: not of the form serial,role,not_after,issued_at: restore that line", path.display())]
    Index {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The door is there already.
    #[error("door {door} exists already: choose another name, or give it a new certificate with `gapura door renew`")]
    DoorExists {
        /// The door.
        door: DoorId,
    },
    /// There is no such door.
    #[error("there is no door {door} in {}: see `gapura door list`, or add it with `gapura door add`", path.display())]
    UnknownDoor {
        /// The door.
        door: DoorId,
        /// The list of doors.
        path: PathBuf,
    },
    /// There is nothing to revoke.
    #[error("no certificate was ever issued for {role}: nothing to revoke, see `gapura door list`")]
    NoCertificate {
        /// Whose it would be, such as `door:main-in`.
        role: String,
    },
    /// A certificate and the configuration are not of the same site.
    #[error(
        "the certificate {} is of site {found}, not of {expected}: a site keeps its name; put the name back, or use what was \
         made with the site",
        path.display()
    )]
    OtherSite {
        /// The authority's certificate, or the gateway's.
        path: PathBuf,
        /// The configuration's site.
        expected: SiteId,
        /// What the certificate says.
        found: String,
    },
    /// Not a request for a certificate.
    #[error(
        "{from} is no certificate signing request (PKCS #10, in PEM or DER): make one with `openssl req -new -key reader.key`"
    )]
    NotARequest {
        /// Where it came from.
        from: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Whoever made the request does not have the key.
    #[error("{from} is not signed with the key that it names: make the request again on the device that has the key")]
    ForgedRequest {
        /// Where it came from.
        from: String,
        /// What the check said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The device's key is of a kind that the gateway's TLS does not know.
    #[error(
        "{from} is for a kind of key that cannot be used: use ECDSA P-256 or P-384, Ed25519, or \
         RSA of 2048 bits or more"
    )]
    UnsupportedRequest {
        /// Where it came from.
        from: String,
        /// What is not supported.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The key is good, and the request is signed with it in a way that cannot be checked here.
    #[error(
        "{from} is signed in a way that cannot be checked here: make it again with SHA-256, as by `openssl req -new -sha256`, \
         or with SHA-384"
    )]
    UnsupportedSignature {
        /// Where it came from.
        from: String,
        /// What is not supported.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The certificate would never be valid.
    #[error("a certificate from {from} to {until} would never be valid: {why}")]
    Validity {
        /// Its first moment.
        from: protocol::Instant,
        /// Its last moment.
        until: protocol::Instant,
        /// Why.
        why: &'static str,
    },
    /// Signing failed.
    #[error("cannot make {what}")]
    Sign {
        /// What was to be signed.
        what: &'static str,
        /// What the signer said.
        #[source]
        source: rcgen::Error,
    },
    /// A certificate, key or revocation list of the site is wrong.
    #[error(transparent)]
    Tls(#[from] TlsError),
}
