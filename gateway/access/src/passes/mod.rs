//! Signed QR passes: staff and visitor passes (`GP1:`) and health certificates (`HC1:`), verified offline.
//!
//! # Staff and visitor passes
//!
//! ```text
//! "GP1:" + base45 (RFC 9285) ( COSE_Sign1 (RFC 9052) ( claims of a CBOR web token (RFC 8392) ) )
//! ```
//!
//! Not compressed: signatures do not shrink, and the claims are short. COSE_Sign1 carries tag 18 and is encoded in the
//! shortest way; its protected header holds the algorithm (EdDSA with Ed25519, or ES256) and the key id and nothing
//! else, its unprotected header is empty. So a signed pass has exactly one text.
//!
//! | claim | label | value |
//! | --- | --- | --- |
//! | issuer | 1 | text, 1 to 64 characters; required |
//! | subject | 2 | text, 1 to 64 characters: the person's id in the directory; required |
//! | end | 4 | seconds since 1970, integer: the first moment at which the pass is over; required |
//! | not before, issued | 5, 6 | the same; the later one is the first moment of its validity |
//! | id | 7 | 8 to 32 bytes, unique among the issuer's passes; required |
//! | health status | -70001 | 0 green, 1 yellow, 2 red, 3 black |
//! | status since | -70002 | seconds since 1970 |
//! | class | -70003 | 0 ASN, 1 non-ASN, 2 visitor |
//! | office (OPD) | -70004 | text, 1 to 64 characters |
//! | one time | -70005 | true: lets its holder in once |
//! | host | -70006 | text, 1 to 64 characters: whom a visitor visits |
//!
//! Labels below -65536 are for private use. A pass with an audience (3) is refused, other claims are passed over, and a
//! claim that stands there twice is refused.
//!
//! # Health certificates
//!
//! ```text
//! "HC1:" + base45 ( zlib ( COSE_Sign1 ( { -260: { 1: EU DCC } } ) ) )
//! ```
//!
//! ES256 or PS256, named in the protected header; the key id (the first 8 bytes of the SHA-256 of the signer's
//! certificate) there or else in the unprotected one. One with an audience is refused. The WHO's core data set may stand
//! in the place of the EU's.
//!
//! # A pass's way
//!
//! [`Passes::check`]: length, `base45`, inflation (`HC1:`), `cose` (over the bounded `cbor`), `trust` (which keys go by
//! that id), signature, claims (`staff`; `certificate` with `dcc` or `ddcc`), and then what changes with time:
//! `revoked`, the pass's validity, the key's validity, and for health certificates the colour (`rules`). What does not
//! change with time is remembered in a `cache`. Cheap checks come first: a bad pass costs no more than a good one.

mod error;
mod fault;

mod base45;
mod cbor;
mod cose;

mod jwk;
mod keys;
mod trust;

mod claims;

mod certificate;
mod dcc;
mod ddcc;
mod staff;

mod cache;
mod revoked;
mod rules;

mod issue;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use flate2::read::ZlibDecoder;
use protocol::Instant;

pub use self::claims::{Claims, Holder, Recovery, Statement, Test, TestKind, TestResult, Vaccination};
pub use self::dcc::moment_of;
pub use self::error::PassError;
pub use self::fault::Fault;
pub use self::issue::{IssueError, SigningAlgorithm, SigningKey};
pub use self::rules::HealthRules;
pub use self::staff::NewPass;

use self::cache::Cache;
use self::cose::Sign1;
use self::fault::Refusal;
use self::keys::Algorithm;
use self::revoked::Revoked;
use self::trust::TrustList;

/// Longest pass, in characters; the largest QR code holds 4,296 of them.
pub const CHARS_MAX: usize = 4096;

/// Largest inflated health certificate, in bytes. Those that countries have published stay under 900.
pub const INFLATED_BYTES_MAX: usize = 4096;

/// Verified passes that are remembered.
const VERIFIED_MAX: usize = 65_536;

/// Forged passes that are remembered; kept apart, so that forgeries push out no good pass.
const FORGED_MAX: usize = 4096;

const PREFIX_PASS: &str = "GP1:";
const PREFIX_HEALTH_CERTIFICATE: &str = "HC1:";

/// Verifies passes. Made anew when a file that it was read from changes.
#[derive(Debug)]
pub struct Passes {
    staff: TrustList,
    health: TrustList,
    revoked: Revoked,
    rules: HealthRules,
    verified: Cache<Verified>,
    forged: Cache<Refusal>,
}

/// The two kinds of passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassKind {
    /// A staff or visitor pass, `GP1:`.
    Pass,
    /// A health certificate, `HC1:`.
    HealthCertificate,
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Which kind of pass it is.
    pub kind: PassKind,
    /// Why it is refused; `None`: it is valid.
    pub fault: Option<Fault>,
    /// What exactly was wrong, where there is more to say than the fault says, and why a valid health certificate for
    /// another disease gives no colour. Names fields, never their values.
    pub detail: Option<Cow<'static, str>>,
    /// What it says; whenever its signature held and its claims could be read.
    pub claims: Option<Arc<Claims>>,
}

/// A pass whose signature held, and the place of the key in its trust list.
#[derive(Clone, Debug)]
struct Verified {
    claims: Arc<Claims>,
    key: usize,
}

impl PassKind {
    /// The kind that a credential says that it is; `None` for a badge.
    pub fn of(credential: &str) -> Option<Self> {
        Self::split(credential).map(|(kind, _)| kind)
    }

    /// The kind as it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::HealthCertificate => "health-certificate",
        }
    }

    fn split(credential: &str) -> Option<(Self, &str)> {
        let certificate = || Some((Self::HealthCertificate, credential.strip_prefix(PREFIX_HEALTH_CERTIFICATE)?));
        credential.strip_prefix(PREFIX_PASS).map(|text| (Self::Pass, text)).or_else(certificate)
    }
}

impl Passes {
    /// Trusts nobody.
    pub fn nobody() -> Self {
        Self::new(TrustList::default(), TrustList::default(), Revoked::default(), HealthRules::default())
    }

    /// Reads the keys of staff passes (`passes/`) and of health certificates (`health/`) in `folder`, and what is
    /// revoked (`revoked.toml`). Whatever is absent is empty: nobody trusted, nothing revoked.
    ///
    /// # Errors
    /// Names the file, and the line where it has lines, of what is wrong.
    pub fn read(folder: &Path, rules: HealthRules) -> Result<Self, PassError> {
        Ok(Self::new(
            TrustList::read(&folder.join("passes"))?,
            TrustList::read(&folder.join("health"))?,
            Revoked::read(&folder.join("revoked.toml"))?,
            rules,
        ))
    }

    /// Reads one folder of keys for both kinds of passes, for trying passes out: keys that lie in it, in `passes/` and
    /// in `health/`; and what is revoked, from a file that must exist.
    ///
    /// # Errors
    /// As for [`read`](Self::read), and when the folder is not there.
    pub fn read_flat(folder: &Path, revoked: Option<&Path>, rules: HealthRules) -> Result<Self, PassError> {
        if !folder.is_dir() {
            return Err(PassError::new(folder, "is no folder; it holds the signers' certificates or keys"));
        }
        let (mut staff, mut health) = (TrustList::read(folder)?, TrustList::read(folder)?);
        staff.add_folder(&folder.join("passes"))?;
        health.add_folder(&folder.join("health"))?;
        let revoked = match revoked {
            Some(file) if !file.exists() => return Err(PassError::new(file, "does not exist")),
            Some(file) => Revoked::read(file)?,
            None => Revoked::default(),
        };
        Ok(Self::new(staff, health, revoked, rules))
    }

    fn new(staff: TrustList, health: TrustList, revoked: Revoked, rules: HealthRules) -> Self {
        Self { staff, health, revoked, rules, verified: Cache::new(VERIFIED_MAX), forged: Cache::new(FORGED_MAX) }
    }

    /// Judges a credential at a moment; `None` when it is neither kind of pass (a badge). Pure but for what it remembers.
    pub fn check(&self, credential: &str, at: Instant) -> Option<Checked> {
        let (kind, text) = PassKind::split(credential)?;
        let verified = if credential.len() > CHARS_MAX {
            Err(Refusal::new(Fault::Oversize, format!("more than {CHARS_MAX} characters")))
        } else {
            self.remembered(kind, credential, text)
        };
        Some(match verified {
            Err(Refusal { fault, detail }) => Checked { kind, fault: Some(fault), detail: Some(detail), claims: None },
            Ok(verified) => {
                let (fault, detail) = self.fault_at(kind, &verified, at).unzip();
                let statement = verified.claims.statement.as_ref();
                let detail = detail.or_else(|| Some(HealthRules::no_colour_because(statement?)?.into()));
                Checked { kind, fault, detail, claims: Some(self.coloured(verified.claims, at)) }
            }
        })
    }

    /// How many keys are trusted, for both kinds of passes.
    pub fn keys(&self) -> usize {
        self.staff.len() + self.health.len()
    }

    fn trust(&self, kind: PassKind) -> &TrustList {
        match kind {
            PassKind::Pass => &self.staff,
            PassKind::HealthCertificate => &self.health,
        }
    }

    fn remembered(&self, kind: PassKind, credential: &str, text: &str) -> Result<Verified, Refusal> {
        let hash = *blake3::hash(credential.as_bytes()).as_bytes();
        if let Some(verified) = self.verified.get(&hash) {
            return Ok(verified);
        }
        if let Some(refusal) = self.forged.get(&hash) {
            return Err(refusal);
        }
        let verified = self.verify(kind, text);
        match &verified {
            Ok(verified) => self.verified.put(hash, verified.clone()),
            // The other refusals cost less than remembering them.
            Err(refusal) if matches!(refusal.fault, Fault::WrongSignature | Fault::Claims) => {
                self.forged.put(hash, refusal.clone());
            }
            Err(_) => {}
        }
        verified
    }

    /// What does not change with time: the structure, the signature, and the claims.
    fn verify(&self, kind: PassKind, text: &str) -> Result<Verified, Refusal> {
        let message = open(kind, text)?;
        let allowed = match kind {
            PassKind::Pass => [Algorithm::EdDsa, Algorithm::Es256],
            PassKind::HealthCertificate => [Algorithm::Es256, Algorithm::Ps256],
        };
        if !allowed.contains(&message.algorithm) {
            return Err(Refusal::new(Fault::Algorithm, format!("{} is not for this kind", message.algorithm.as_str())));
        }
        let key = self.signer(kind, &message)?;
        let claims = match kind {
            PassKind::Pass => staff::read(&message)?,
            PassKind::HealthCertificate => certificate::read(&message)?,
        };
        Ok(Verified { claims: Arc::new(claims), key })
    }

    /// The place of the key that signed `message`. Several keys may go by the same id.
    fn signer(&self, kind: PassKind, message: &Sign1) -> Result<usize, Refusal> {
        let mut known = self.trust(kind).find(&message.key_id).peekable();
        if known.peek().is_none() {
            let id = claims::hex(&message.key_id);
            return Err(Refusal::new(Fault::UnknownKey, format!("no trusted key has the id {id}")));
        }
        let mut fitting = known.filter(|(_, key)| key.public.algorithm() == Some(message.algorithm)).peekable();
        if fitting.peek().is_none() {
            return Err(Refusal::new(Fault::Algorithm, "the key of that id is of another kind"));
        }
        let signed = message.to_be_signed();
        let signer = fitting.find(|(_, key)| key.public.verifies(&signed, &message.signature));
        signer
            .map(|(place, _)| place)
            .ok_or_else(|| Refusal::new(Fault::WrongSignature, Fault::WrongSignature.sentence()))
    }

    /// What changes with time: asked on every check, also of a pass that is remembered.
    fn fault_at(&self, kind: PassKind, verified: &Verified, at: Instant) -> Option<(Fault, Cow<'static, str>)> {
        let Verified { claims, key } = verified;
        if let Some(fault) = self.revoked.fault(claims) {
            return Some((fault, fault.sentence().into()));
        }
        if let Some(from) = claims.valid_from.filter(|from| at < *from) {
            return Some((Fault::NotYetValid, format!("The pass is valid from {from} on.").into()));
        }
        let is_over = match kind {
            PassKind::Pass => at >= claims.valid_until,
            PassKind::HealthCertificate => at > claims.valid_until,
        };
        if is_over {
            return Some((Fault::Expired, format!("The pass expired at {}.", claims.valid_until).into()));
        }
        let key = self.trust(kind).at(*key)?;
        if !key.validity.holds(at) {
            return Some((Fault::KeyNotValid, "The signer's key is outside its own validity.".into()));
        }
        let may_sign = claims.statement.as_ref().is_none_or(|statement| key.usage.allows(statement.usage()));
        (!may_sign).then(|| (Fault::KeyNotValid, "The signer's certificate is not for this kind of statement.".into()))
    }

    /// The claims with the colour that the rules give to a health certificate now.
    fn coloured(&self, claims: Arc<Claims>, at: Instant) -> Arc<Claims> {
        let Some(statement) = &claims.statement else { return claims };
        let status = self.rules.colour(statement, at);
        if status == claims.status { claims } else { Arc::new(Claims { status, ..Claims::clone(&claims) }) }
    }
}

/// What a pass says although nobody has looked at its signature.
///
/// # Errors
/// When it cannot be read: the reason, and what exactly is wrong.
pub fn inspect(credential: &str) -> Result<(PassKind, Claims), (Fault, Cow<'static, str>)> {
    let read = |kind, text| {
        let message = open(kind, text)?;
        match kind {
            PassKind::Pass => staff::read(&message),
            PassKind::HealthCertificate => certificate::read(&message),
        }
    };
    let (kind, text) = PassKind::split(credential).ok_or((Fault::Prefix, Fault::Prefix.sentence().into()))?;
    if credential.len() > CHARS_MAX {
        return Err((Fault::Oversize, Fault::Oversize.sentence().into()));
    }
    read(kind, text).map(|claims| (kind, claims)).map_err(|Refusal { fault, detail }| (fault, detail))
}

/// The signed message in a pass's text.
fn open(kind: PassKind, text: &str) -> Result<Sign1, Refusal> {
    let bytes = base45::decode(text).ok_or_else(|| Refusal::new(Fault::NotBase45, Fault::NotBase45.sentence()))?;
    match kind {
        PassKind::Pass => Sign1::strict(&bytes),
        PassKind::HealthCertificate => Sign1::lenient(&inflate(&bytes)?),
    }
}

/// Inflates one zlib stream and nothing behind it, up to the limit.
fn inflate(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut inflated = Vec::with_capacity(1024);
    let mut decoder = ZlibDecoder::new(bytes);
    let read = decoder.by_ref().take(INFLATED_BYTES_MAX as u64 + 1).read_to_end(&mut inflated);
    if inflated.len() > INFLATED_BYTES_MAX {
        return Err(Refusal::new(Fault::InflatesTooFar, format!("more than {INFLATED_BYTES_MAX} bytes")));
    }
    read.map_err(|_| Refusal::new(Fault::NotCompressed, Fault::NotCompressed.sentence()))?;
    if decoder.total_in() != bytes.len() as u64 {
        return Err(Refusal::new(Fault::NotCompressed, "there are bytes behind the compressed content"));
    }
    Ok(inflated)
}
