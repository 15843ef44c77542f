//! An audit trail for tests: keys in memory, which can be destroyed, and fail on demand.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "only tests have this module")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use protocol::Instant;

use super::store::Store;
use super::{AuditCipher, AuditTrail};
use crate::log::faulty_disk::Disk;

/// Encrypts by turning bits around. Everybody has keys but who is named `nobody…`.
#[derive(Default)]
pub struct Keys {
    subjects: Mutex<BTreeMap<u64, String>>,
    /// Whether every encryption fails.
    pub broken: AtomicBool,
}

impl Keys {
    /// Forgets the subject's keys.
    pub fn destroy(&self, subject: &str) {
        self.subjects.lock().unwrap().retain(|_, known| known != subject);
    }

    /// Whether the subject has keys.
    pub fn has(&self, subject: &str) -> bool {
        self.subjects.lock().unwrap().values().any(|known| known == subject)
    }
}

impl AuditCipher for Keys {
    fn encrypt(&self, subject: &str, _: Instant, context: u64, plain: &[u8]) -> Result<Option<(u64, Vec<u8>)>, String> {
        if self.broken.load(Ordering::Acquire) {
            return Err("the disk is full".into());
        }
        if subject.starts_with("nobody") {
            return Ok(None);
        }
        let mut subjects = self.subjects.lock().unwrap();
        let next = subjects.last_key_value().map_or(1, |(number, _)| number + 1);
        let of = subjects.iter().find(|(_, known)| *known == subject).map_or(next, |(number, _)| *number);
        subjects.insert(of, subject.to_owned());
        Ok(Some((of, plain.iter().map(|byte| byte ^ 0xA5 ^ context.to_le_bytes()[0]).collect())))
    }

    fn decrypt(&self, of: u64, _: Instant, context: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        self.subjects.lock().unwrap().get(&of)?;
        Some(bytes.iter().map(|byte| byte ^ 0xA5 ^ context.to_le_bytes()[0]).collect())
    }
}

/// An empty audit trail in a folder of its own, which goes when it is closed.
pub fn trail(keys: &Arc<Keys>) -> (tempfile::TempDir, AuditTrail) {
    let folder = tempfile::tempdir().unwrap();
    let trail = AuditTrail::open(&folder.path().join("audit.redb"), Arc::clone(keys) as Arc<dyn AuditCipher>).unwrap();
    (folder, trail)
}

/// An audit trail on a disk that can fail.
pub fn on(disk: &Disk) -> AuditTrail {
    AuditTrail::start(Store::new("audit.redb".as_ref(), disk.opener(), Arc::<Keys>::default())).unwrap()
}
