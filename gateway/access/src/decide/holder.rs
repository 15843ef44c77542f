//! Who stands at the door: what the directory and a genuine pass say together.

use protocol::{CredentialHash, CredentialKind, HealthStatus, Instant, Language, PassRecord, PersonClass};

use crate::credential::is_id_number;
use crate::passes::{Checked, Claims, PassKind};
use crate::{Directory, Person};

/// Who shows a credential. Where it does not count, nobody is known to the policy, but the record says whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder<'a> {
    pub(super) credential: CredentialHash,
    /// What kind of credential it is.
    pub(super) kind: CredentialKind,
    /// The directory's id of the person, or the one that the pass names.
    pub(super) person: Option<&'a str>,
    pub(super) class: Option<PersonClass>,
    /// The office; may be empty.
    pub(super) opd: &'a str,
    pub(super) groups: &'a [Box<str>],
    pub(super) has_host: bool,
    pub(super) language: Option<Language>,
    /// `open`, `early` or `over`.
    pub(super) validity: &'static str,
    pub(super) health: Health,
    /// The pass, where a genuine one was shown.
    pub(super) pass: Option<PassRecord>,
    /// Why the pass does not count.
    pub(super) fault: Option<&'static str>,
}

/// What is known of somebody's health at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) status: Option<HealthStatus>,
    /// Since when.
    pub(super) since: Option<Instant>,
    /// One was known, and its end is past.
    pub(super) expired: bool,
}

impl<'a> Holder<'a> {
    /// Who shows `credential`, whose hash is `hash`, at the moment `at`; `checked` is what its signature is worth, if it is a
    /// pass, and `pass_id` makes the id under which a pass is recognised.
    pub(super) fn of(
        directory: &'a Directory,
        credential: &str,
        hash: CredentialHash,
        checked: Option<&'a Checked>,
        pass_id: impl FnOnce(&[u8; 16]) -> CredentialHash,
        at: Instant,
    ) -> Self {
        let claims = checked.and_then(|checked| checked.claims.as_deref());
        let named = || claims.and_then(|claims| directory.person(claims.subject.as_deref()?));
        let person = directory.find(&hash).or_else(named);
        let fault = checked.and_then(|checked| checked.fault).map(|fault| fault.as_str());
        let of_directory = person.as_ref().map(|person| Health::of_person(person, at)).unwrap_or_default();
        let of_pass = claims.map(Health::of_pass).unwrap_or_default();
        Self {
            credential: hash,
            kind: kind(credential, checked),
            person: person.map(|person| person.id).or_else(|| claims?.subject.as_deref()),
            class: person.map(|person| person.class).or_else(|| claims?.class),
            opd: person.map(|person| person.opd).or_else(|| claims?.opd.as_deref()).unwrap_or_default(),
            groups: person.map_or(&[], |person| person.groups),
            has_host: person.is_some_and(|person| person.host.is_some())
                || claims.is_some_and(|claims| claims.host.is_some()),
            language: person.and_then(|person| person.language),
            validity: person.as_ref().map_or("open", |person| validity(person, at)),
            // Whoever shows a pass that does not count is told nothing of anybody's health.
            health: if fault.is_none() { of_directory.worse(of_pass) } else { Health::default() },
            pass: claims.map(|claims| PassRecord {
                id: pass_id(&claims.id),
                one_time_until: claims.one_time.then_some(claims.valid_until),
            }),
            fault,
        }
    }

    /// A person of the directory who shows something that tells nothing more.
    pub(super) fn of_person(person: Person<'a>, hash: CredentialHash, at: Instant) -> Self {
        Self {
            credential: hash,
            kind: CredentialKind::Badge,
            person: Some(person.id),
            class: Some(person.class),
            opd: person.opd,
            groups: person.groups,
            has_host: person.host.is_some(),
            language: person.language,
            validity: validity(&person, at),
            health: Health::of_person(&person, at),
            pass: None,
            fault: None,
        }
    }

    /// Whether the credential tells the policy who it is.
    pub(super) fn is_known(&self) -> bool {
        self.person.is_some() && self.fault.is_none()
    }
}

impl Health {
    fn of_person(person: &Person<'_>, at: Instant) -> Self {
        match person.status_until {
            Some(until) if until < at => Self { status: None, since: None, expired: person.status.is_some() },
            _ => Self { status: person.status, since: person.status_since, expired: false },
        }
    }

    fn of_pass(claims: &Claims) -> Self {
        Self { status: claims.status, since: claims.status_since, expired: false }
    }

    /// Of two that are known, the one that keeps more people out: a green pass does not outweigh a red that was found since.
    fn worse(self, other: Self) -> Self {
        let badness =
            |health: &Self| health.status.and_then(|status| HealthStatus::ALL.iter().position(|of| *of == status));
        match (badness(&self), badness(&other)) {
            (None, None) => Self { expired: self.expired || other.expired, ..self },
            (mine, others) if mine >= others => self,
            _ => other,
        }
    }
}

fn kind(credential: &str, checked: Option<&Checked>) -> CredentialKind {
    match checked.map(|checked| checked.kind) {
        Some(PassKind::Pass) => CredentialKind::Pass,
        Some(PassKind::HealthCertificate) => CredentialKind::HealthCertificate,
        None if is_id_number(credential) => CredentialKind::IdNumber,
        None => CredentialKind::Badge,
    }
}

fn validity(person: &Person<'_>, at: Instant) -> &'static str {
    if person.valid_from.is_some_and(|from| at < from) {
        "early"
    } else if person.valid_until.is_some_and(|until| until < at) {
        "over"
    } else {
        "open"
    }
}
