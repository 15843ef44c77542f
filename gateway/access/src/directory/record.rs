//! One person as the file keeps them: CBOR with numbered fields, so that fields can be added and older files stay readable.

use std::marker::PhantomData;

use minicbor::decode::Error;
use minicbor::{Decode, Decoder, Encode};
use protocol::{CredentialHash, HealthStatus, Instant, Language, PersonClass};

/// One person as the file keeps them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Record {
    #[n(0)]
    pub name: Option<String>,
    #[n(1)]
    pub class: PersonClass,
    #[n(2)]
    pub opd: String,
    #[n(3)]
    pub status: Option<HealthStatus>,
    #[n(4)]
    pub status_until: Option<Instant>,
    /// Badges, sorted.
    #[n(5)]
    pub credentials: Vec<CredentialHash>,
    /// Sorted; absent rather than empty.
    #[n(6)]
    pub groups: Option<Vec<String>>,
    #[n(7)]
    pub status_since: Option<Instant>,
    #[n(8)]
    pub valid_from: Option<Instant>,
    #[n(9)]
    pub valid_until: Option<Instant>,
    #[n(10)]
    pub host: Option<String>,
    #[n(11)]
    pub language: Option<Language>,
    /// What a helper types for a person without a badge.
    #[n(12)]
    pub id_number: Option<CredentialHash>,
}

/// The same, read in place: a million are read at every start.
#[derive(Decode)]
pub(super) struct Entry<'b> {
    #[n(1)]
    pub class: PersonClass,
    #[b(2)]
    pub opd: &'b str,
    #[n(3)]
    pub status: Option<HealthStatus>,
    #[n(4)]
    pub status_until: Option<Instant>,
    #[b(5)]
    pub credentials: Several<'b, CredentialHash>,
    #[b(6)]
    pub groups: Option<Several<'b, &'b str>>,
    #[n(7)]
    pub status_since: Option<Instant>,
    #[n(8)]
    pub valid_from: Option<Instant>,
    #[n(9)]
    pub valid_until: Option<Instant>,
    #[b(10)]
    pub host: Option<&'b str>,
    #[n(11)]
    pub language: Option<Language>,
    #[n(12)]
    pub id_number: Option<CredentialHash>,
}

/// An array that is decoded when it is walked through.
pub(super) struct Several<'b, T> {
    bytes: &'b [u8],
    of: PhantomData<T>,
}

impl Record {
    /// A person of whom only the class is known.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn of(class: PersonClass) -> Self {
        Self {
            name: None,
            class,
            opd: String::new(),
            status: None,
            status_until: None,
            credentials: Vec::new(),
            groups: None,
            status_since: None,
            valid_from: None,
            valid_until: None,
            host: None,
            language: None,
            id_number: None,
        }
    }

    /// Every credential: the badges and the ID number.
    pub(crate) fn all_credentials(&self) -> impl Iterator<Item = CredentialHash> {
        self.credentials.iter().copied().chain(self.id_number)
    }

    /// Whether this is one of them.
    pub(crate) fn has(&self, credential: &CredentialHash) -> bool {
        self.credentials.contains(credential) || self.id_number == Some(*credential)
    }
}

impl<'b, C, T> Decode<'b, C> for Several<'b, T> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
        let from = d.position();
        d.skip()?;
        let bytes = d.input().get(from..d.position()).ok_or_else(Error::end_of_input)?;
        Ok(Self { bytes, of: PhantomData })
    }
}

impl<'b, T: Decode<'b, ()>> Several<'b, T> {
    /// Hands each to `take`.
    pub(super) fn for_each(&self, mut take: impl FnMut(T)) -> Result<(), Error> {
        Decoder::new(self.bytes).array_iter()?.try_for_each(|item| item.map(&mut take))
    }
}
