//! What makes a scan the same when it is sent again: beside its number the credential, the reader's time and the direction; of a
//! payload that is no scan, the payload.

use access::CredentialKey;
use protocol::{CredentialHash, Direction, Event, EventKind, Instant};

use super::arrival::Payload;

/// What of a scan must be the same when it is sent again. What tells who it is about may be gone with that person's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// Of a scan.
    Scan {
        /// What was shown.
        credential: Option<CredentialHash>,
        /// The reader's clock.
        scanned_at: Instant,
        /// Which way.
        direction: Direction,
    },
    /// Of a payload that is no scan.
    Malformed {
        /// The payload.
        payload: Option<CredentialHash>,
        /// Its length.
        bytes: u32,
    },
}

/// Whether two scans under one number are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// They are: the later one was sent again.
    Same,
    /// They are two scans.
    Other,
    /// What tells them apart cannot be read any more.
    Unknown,
}

impl Fingerprint {
    /// Of what has arrived; `None` for an assist request.
    pub fn of_arrival(payload: &Payload, key: &CredentialKey) -> Option<Self> {
        Some(match payload {
            Payload::Scan(scan) => Self::Scan {
                credential: Some(key.hash(&scan.credential)),
                scanned_at: scan.scanned_at,
                direction: scan.direction,
            },
            Payload::Malformed { scan, digest } => {
                Self::Malformed { payload: Some(key.hash_payload(digest)), bytes: scan.payload_bytes }
            }
            Payload::Assist(_) => return None,
        })
    }

    /// Of what an event keeps; `None` for an assist request.
    pub fn of_event(event: &Event) -> Option<Self> {
        Some(match &event.subject {
            EventKind::Scan(scan) => Self::Scan {
                credential: Some(scan.credential).filter(|credential| *credential != CredentialHash::SEALED),
                scanned_at: scan.scanned_at,
                direction: scan.direction,
            },
            EventKind::Malformed(malformed) => {
                Self::Malformed { payload: malformed.payload_hash, bytes: malformed.payload_bytes }
            }
            EventKind::Assist(_) => return None,
        })
    }

    /// How this one, that is kept, is like another one under the same number.
    pub fn likeness(&self, other: &Self) -> Likeness {
        let (secrets, rest) = match (*self, *other) {
            (
                Self::Scan { credential: mine, scanned_at, direction },
                Self::Scan { credential: others, scanned_at: at, direction: way },
            ) => (mine.zip(others), (scanned_at, direction) == (at, way)),
            (Self::Malformed { payload: mine, bytes }, Self::Malformed { payload: others, bytes: length }) => {
                (mine.zip(others), bytes == length)
            }
            _ => return Likeness::Other,
        };
        match secrets {
            _ if !rest => Likeness::Other,
            Some((mine, others)) if mine == others => Likeness::Same,
            Some(_) => Likeness::Other,
            None => Likeness::Unknown,
        }
    }

    /// Forgets whom the scan was about, where it showed one of these credentials.
    pub fn forget(&mut self, credentials: &[CredentialHash]) {
        if let Self::Scan { credential, .. } = self {
            credential.take_if(|credential| credentials.contains(credential));
        }
    }
}
