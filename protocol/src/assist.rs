//! A helper's word: a person is let through, or not, by hand and on the record.

use serde::{Deserialize, Serialize};

use crate::document::{self, DocumentError};
use crate::{ScanId, VERSION};

/// Longest text in a helper's word, in bytes.
pub const ASSIST_TEXT_BYTES_MAX: usize = 256;

/// What a helper's device publishes on a door's `assist` topic.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assist {
    v: u64,
    /// What the helper does.
    pub action: AssistAction,
    /// The helper's own name; 1 to [`ASSIST_TEXT_BYTES_MAX`] bytes.
    pub helper: String,
    /// Why; 1 to [`ASSIST_TEXT_BYTES_MAX`] bytes.
    pub reason: String,
    /// The directory's id of the person; absent when unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Epoch of the scan that waits for a helper; absent when a person is admitted without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// Sequence number of that scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// What a helper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssistAction {
    /// Lets the person through.
    Admit,
    /// Sends the person away.
    Refuse,
}

impl Assist {
    /// A helper's word of this version.
    ///
    /// # Errors
    /// When a text is empty or too long.
    pub fn new(
        action: AssistAction,
        helper: impl Into<String>,
        reason: impl Into<String>,
        person: Option<String>,
        scan: Option<ScanId>,
    ) -> Result<Self, DocumentError> {
        Self {
            v: VERSION.into(),
            action,
            helper: helper.into(),
            reason: reason.into(),
            person,
            epoch: scan.map(|id| id.epoch),
            seq: scan.map(|id| id.seq),
        }
        .checked()
    }

    /// Reads a helper's word from an MQTT payload.
    ///
    /// # Errors
    /// When the payload is no helper's word of this version.
    pub fn from_json(payload: &[u8]) -> Result<Self, DocumentError> {
        document::read(payload).and_then(Self::checked)
    }

    /// The helper's word as an MQTT payload.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn checked(self) -> Result<Self, DocumentError> {
        document::check_version(self.v)?;
        let person = self.person.as_deref().unwrap_or("unknown");
        for (name, text) in [("helper", self.helper.as_str()), ("reason", &self.reason), ("person", person)] {
            if !(1..=ASSIST_TEXT_BYTES_MAX).contains(&text.len()) {
                return Err(DocumentError::field(format!(
                    "\"{name}\" has {} bytes, allowed are 1 to {ASSIST_TEXT_BYTES_MAX}",
                    text.len()
                )));
            }
        }
        if self.epoch.is_some() != self.seq.is_some() {
            return Err(DocumentError::field("\"epoch\" and \"seq\" come together or not at all"));
        }
        Ok(self)
    }
}

impl std::fmt::Debug for Assist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assist")
            .field("action", &self.action)
            .field("epoch", &self.epoch)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;

    #[test]
    fn a_helper_must_give_a_name_and_a_reason() {
        let admit = |helper: &str, reason: &str| Assist::new(AssistAction::Admit, helper, reason, None, None);
        let good = admit("Contoh Satgas", "forgot the badge").unwrap();
        assert_eq!(Assist::from_json(&good.to_json()).unwrap(), good);
        assert_eq!(admit("", "x").unwrap_err().fault, Fault::BadField);
        assert_eq!(admit("x", &"y".repeat(ASSIST_TEXT_BYTES_MAX + 1)).unwrap_err().fault, Fault::BadField);
    }
}
