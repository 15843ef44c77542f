//! What a pass says, whichever kind it is.

use std::fmt;

use jiff::civil::Date;
use protocol::{HealthStatus, Instant, PersonClass};
use serde::Serialize;

/// What a pass says. Its signature held; whether it is valid right now is said beside it.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who issued it: the office of a staff pass, the country of a health certificate.
    pub issuer: String,
    /// Tells passes apart however they are encoded: BLAKE3, the first 16 bytes.
    pub id: [u8; 16],
    /// Whom it is for; health certificates name nobody that the directory knows.
    pub subject: Option<String>,
    /// The person's class.
    pub class: Option<PersonClass>,
    /// The person's office.
    pub opd: Option<String>,
    /// Whom a visitor visits.
    pub host: Option<String>,
    /// The colour that a staff pass carries, or that the rules give to a health certificate at the time of the check.
    pub status: Option<HealthStatus>,
    /// When that status was established: the day of a vaccination, the time of a test.
    pub status_since: Option<Instant>,
    /// When it was issued.
    pub issued: Option<Instant>,
    /// The first moment of its validity; absent: always.
    pub valid_from: Option<Instant>,
    /// Its end: a staff pass is over at that moment (RFC 8392), a health certificate after it (its own specification).
    pub valid_until: Instant,
    /// Whether it lets its holder in once only.
    pub one_time: bool,
    /// The key that it names, as hexadecimal digits.
    pub key_id: String,
    /// Its signature algorithm, as COSE names it.
    pub algorithm: &'static str,
    /// The id that its issuer gave it, as hexadecimal digits; for staff passes.
    pub issued_id: Option<String>,
    /// What a health certificate attests.
    pub statement: Option<Statement>,
    /// Who the holder of a health certificate is.
    pub holder: Option<Holder>,
}

/// The holder of a health certificate, to be compared with an identity card.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// The name as it was written; may be empty.
    pub name: String,
    /// The name in Latin letters, as in the lines for machines of a passport.
    pub standard_name: String,
    /// The day of birth, or only its year or year and month, or empty.
    pub birth_date: String,
    /// The certificate's own id (UVCI).
    pub certificate_id: String,
}

/// What a health certificate attests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Statement {
    /// A dose of a vaccine.
    Vaccination(Vaccination),
    /// A test.
    Test(Test),
    /// A recovery.
    Recovery(Recovery),
}

/// A dose of a vaccine. Codes are those of the EU's value sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vaccination {
    /// The disease, a SNOMED CT code; absent where it goes without saying (WHO).
    pub disease: Option<String>,
    /// The kind of vaccine.
    pub vaccine: String,
    /// The product.
    pub product: String,
    /// Which dose this was; 0 where the issuer did not say.
    pub dose: u32,
    /// How many doses the series has; 0 where the issuer did not say.
    pub doses: Option<u32>,
    /// The day.
    pub date: Date,
    /// The country.
    pub country: String,
}

/// A test. Codes are those of the EU's value sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Test {
    /// The disease, a SNOMED CT code; absent where it goes without saying (WHO).
    pub disease: Option<String>,
    /// The kind of test.
    pub kind: TestKind,
    /// When the sample was taken.
    pub sampled: Instant,
    /// What it showed.
    pub result: TestResult,
    /// The country.
    pub country: String,
}

/// The kinds of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TestKind {
    /// Finds nucleic acid (PCR and others).
    Naat,
    /// Finds antigens.
    Antigen,
    /// Anything else.
    Other,
}

/// What a test showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TestResult {
    /// Detected.
    Positive,
    /// Not detected.
    Negative,
    /// Neither.
    Other,
}

/// A recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// The disease, a SNOMED CT code.
    pub disease: String,
    /// The day of the first positive test.
    pub first_positive: Date,
    /// The first day on which its issuer lets it count.
    pub counts_from: Date,
    /// The last such day.
    pub counts_until: Date,
    /// The country.
    pub country: String,
}

/// What a health certificate says, as far as it is the same in all its forms.
pub(super) struct Attested {
    pub(super) holder: Holder,
    pub(super) statement: Statement,
    /// The first and the last moment that the statement itself names, where it has them.
    pub(super) valid_from: Option<Instant>,
    pub(super) valid_until: Option<Instant>,
}

impl Claims {
    /// The id as hexadecimal digits, for the list of revoked passes.
    pub fn id_hex(&self) -> String {
        hex(&self.id)
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first 16 bytes of the BLAKE3 of `parts`, each behind its length, under a name for the kind of id.
pub(super) fn id_of(kind: &str, parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in [kind.as_bytes()].iter().chain(parts) {
        hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
    }
    let mut first = [0; 16];
    first.iter_mut().zip(hasher.finalize().as_bytes()).for_each(|(to, from)| *to = *from);
    first
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("issuer", &self.issuer)
            .field("status", &self.status)
            .field("valid_until", &self.valid_until)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Holder(redacted)")
    }
}
