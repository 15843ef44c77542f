//! Why a pass is refused: one stable word for each reason, and where it is worth it, what exactly was wrong.

use std::borrow::Cow;
use std::fmt;

/// The reason for which a pass is refused. Its word stands in decisions, events and metrics, and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Neither `GP1:` nor `HC1:` in front.
    Prefix,
    /// Longer than any pass may be.
    Oversize,
    /// Not base45.
    NotBase45,
    /// Not a zlib stream, or a damaged one.
    NotCompressed,
    /// Inflates beyond the limit.
    InflatesTooFar,
    /// Not the CBOR or COSE structure that it should be, or with something before or behind it.
    Malformed,
    /// CBOR that nests too deep or has too many items.
    TooDeep,
    /// An algorithm that is not allowed, or one that is not the key's.
    Algorithm,
    /// Names no key.
    NoKeyId,
    /// Names a key that nobody here trusts.
    UnknownKey,
    /// The signature does not hold.
    WrongSignature,
    /// A claim is missing or is not what it should be.
    Claims,
    /// The pass itself is revoked.
    Revoked,
    /// The key that signed it is revoked.
    KeyRevoked,
    /// Every pass of its subject is revoked.
    SubjectRevoked,
    /// Its validity has not begun.
    NotYetValid,
    /// Its validity is over.
    Expired,
    /// The key is outside its own validity, or may not sign this kind of statement.
    KeyNotValid,
}

impl Fault {
    /// Every fault, in the order in which they are looked for.
    pub const ALL: [Self; 18] = [
        Self::Prefix,
        Self::Oversize,
        Self::NotBase45,
        Self::NotCompressed,
        Self::InflatesTooFar,
        Self::Malformed,
        Self::TooDeep,
        Self::Algorithm,
        Self::NoKeyId,
        Self::UnknownKey,
        Self::WrongSignature,
        Self::Claims,
        Self::Revoked,
        Self::KeyRevoked,
        Self::SubjectRevoked,
        Self::NotYetValid,
        Self::Expired,
        Self::KeyNotValid,
    ];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prefix => "pass-prefix",
            Self::Oversize => "pass-oversize",
            Self::NotBase45 => "pass-not-base45",
            Self::NotCompressed => "pass-not-compressed",
            Self::InflatesTooFar => "pass-inflates-too-far",
            Self::Malformed => "pass-malformed",
            Self::TooDeep => "pass-too-deep",
            Self::Algorithm => "pass-algorithm",
            Self::NoKeyId => "pass-no-key-id",
            Self::UnknownKey => "pass-unknown-key",
            Self::WrongSignature => "pass-wrong-signature",
            Self::Claims => "pass-claims",
            Self::Revoked => "pass-revoked",
            Self::KeyRevoked => "pass-key-revoked",
            Self::SubjectRevoked => "pass-subject-revoked",
            Self::NotYetValid => "pass-not-yet-valid",
            Self::Expired => "pass-expired",
            Self::KeyNotValid => "pass-key-not-valid",
        }
    }

    /// A sentence for whoever helps at the door.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Prefix => "The code does not begin with GP1: or HC1:, so it is no pass of a kind that is known here.",
            Self::Oversize => "The code is longer than any pass may be.",
            Self::NotBase45 => "The code is not base45 text: it was read wrongly or is damaged.",
            Self::NotCompressed => "The code's content is not compressed as it must be, or is damaged.",
            Self::InflatesTooFar => "The code's content inflates beyond the limit.",
            Self::Malformed => "The code's content is not a signed pass.",
            Self::TooDeep => "The code's content nests too deep or has too many items.",
            Self::Algorithm => "The pass names a signature algorithm that is not allowed or does not fit the key.",
            Self::NoKeyId => "The pass does not say which key signed it.",
            Self::UnknownKey => "The pass was signed with a key that is not in the trust folder.",
            Self::WrongSignature => "The signature does not hold: the pass was changed or forged.",
            Self::Claims => "The pass is signed, but what it says is incomplete or wrong.",
            Self::Revoked => "The pass is revoked.",
            Self::KeyRevoked => "The key that signed the pass is revoked.",
            Self::SubjectRevoked => "The passes of this person are revoked.",
            Self::NotYetValid => "The pass is not valid yet.",
            Self::Expired => "The pass has expired.",
            Self::KeyNotValid => "The signer's key is outside its validity or may not sign this kind of statement.",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A fault with what exactly was wrong. Names fields and limits, never what a pass says of its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) fault: Fault,
    pub(super) detail: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(fault: Fault, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { fault, detail: detail.into() }
    }

    pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Fault::Malformed, detail)
    }

    pub(super) fn claims(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Fault::Claims, detail)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_has_a_word_and_a_sentence_of_its_own() {
        let words: BTreeSet<_> = Fault::ALL.iter().map(|fault| fault.as_str()).collect();
        let sentences: BTreeSet<_> = Fault::ALL.iter().map(|fault| fault.sentence()).collect();
        assert_eq!((words.len(), sentences.len()), (Fault::ALL.len(), Fault::ALL.len()));
        assert!(words.iter().all(|word| word.starts_with("pass-")), "{words:?}");
    }
}
