//! Which colour a health certificate gives: the rules of section `[health]` of the configuration.

use super::claims::{Recovery, Statement, Test, TestKind, TestResult, Vaccination};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use protocol::{HealthStatus, Instant};

/// COVID-19 and its virus: in SNOMED CT, and in the ICD-11 as the WHO's certificates name them.
const COVID_19: [&str; 18] = [
    "840539006",
    "840533007",
    "RA01",
    "RA01.0",
    "XN109", // and the variants of the virus
    "XN0HL",
    "XN4Q7",
    "XN5BQ",
    "XN8V6",
    "XN1GK",
    "XN3ZE",
    "XN2V4",
    "XN4Q1",
    "XN3UD",
    "XN9L8",
    "XN6AM",
    "XN39J",
    "XN161",
];

/// Longest period that a rule may have, in days: ten years.
const DAYS_MAX: u32 = 3660;

/// Longest age of a test that a rule may allow, in hours: thirty days.
const HOURS_MAX: u32 = 720;

base::settings! {
    /// Which colour a health certificate (EU DCC, WHO DDCC) gives. A certificate that no rule speaks of gives none. Days begin
    /// at midnight UTC.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct HealthRules {
        /// Days from the last dose of a series until it protects; a booster does at once.
        pub vaccination_days_min: u32 = 14 => "days", at_most vaccination_days_max;
        /// Days from the last dose until it no longer counts.
        pub vaccination_days_max: u32 = 365 => "days", in 1..=DAYS_MAX;
        /// A complete series that protects.
        pub vaccination_complete: HealthStatus = HealthStatus::Green => "colour";
        /// A complete series within its first days.
        pub vaccination_fresh: HealthStatus = HealthStatus::Yellow => "colour";
        /// A series that lacks doses.
        pub vaccination_incomplete: HealthStatus = HealthStatus::Yellow => "colour";
        /// A dose that no longer counts.
        pub vaccination_outdated: HealthStatus = HealthStatus::Yellow => "colour";
        /// Hours for which a negative test that detects nucleic acid counts.
        pub naat_hours: u32 = 72 => "hours", in 1..=HOURS_MAX;
        /// Hours for which any other negative test counts.
        pub antigen_hours: u32 = 72 => "hours", in 1..=HOURS_MAX;
        /// A negative test that counts; an older one gives no colour.
        pub test_negative: HealthStatus = HealthStatus::Green => "colour";
        /// Days for which a positive test counts.
        pub positive_days: u32 = 14 => "days", in 1..=DAYS_MAX;
        /// A positive test that counts; an older one gives no colour.
        pub test_positive: HealthStatus = HealthStatus::Black => "colour";
        /// Days from the first positive test until a recovery counts.
        pub recovery_days_min: u32 = 11 => "days", at_most recovery_days_max;
        /// Days from the first positive test until it no longer does.
        pub recovery_days_max: u32 = 180 => "days", in 1..=DAYS_MAX;
        /// A recovery within these days and the validity that its issuer gives it.
        pub recovery: HealthStatus = HealthStatus::Green => "colour";
        /// A recovery before that: the person was ill within days.
        pub recovery_early: HealthStatus = HealthStatus::Black => "colour";
        /// A recovery after that.
        pub recovery_outdated: HealthStatus = HealthStatus::Yellow => "colour";
    }
}

impl HealthRules {
    /// The colour that `statement` gives at a moment; `None` when it says nothing about that moment.
    pub(super) fn colour(&self, statement: &Statement, at: Instant) -> Option<HealthStatus> {
        match statement {
            Statement::Vaccination(vaccination) => self.of_vaccination(vaccination, at),
            Statement::Test(test) => self.of_test(test, at),
            Statement::Recovery(recovery) => self.of_recovery(recovery, at),
        }
    }

    /// Why a statement gives no colour although it may be valid: it is about another disease.
    pub(super) fn no_colour_because(statement: &Statement) -> Option<&'static str> {
        let disease = match statement {
            Statement::Vaccination(vaccination) => vaccination.disease.as_deref(),
            Statement::Test(test) => test.disease.as_deref(),
            Statement::Recovery(recovery) => Some(recovery.disease.as_str()),
        };
        (!is_covid(disease)).then_some("It is about another disease than COVID-19, and so gives no colour.")
    }

    fn of_vaccination(&self, vaccination: &Vaccination, at: Instant) -> Option<HealthStatus> {
        let Vaccination { dose, doses, date, .. } = vaccination;
        let counted = *dose > 0 && *doses != Some(0);
        let days = days_since(*date, at).filter(|_| counted && is_covid(vaccination.disease.as_deref()))?;
        // A dose beyond the first series needs no time to protect.
        let booster = *dose > 2 || doses.is_some_and(|doses| *dose > doses);
        Some(if days > self.vaccination_days_max {
            self.vaccination_outdated
        } else if doses.is_some_and(|doses| *dose < doses) {
            self.vaccination_incomplete
        } else if days < self.vaccination_days_min && !booster {
            self.vaccination_fresh
        } else {
            self.vaccination_complete
        })
    }

    fn of_test(&self, test: &Test, at: Instant) -> Option<HealthStatus> {
        let age_ms = u64::try_from(at.ms_since(test.sampled)).ok().filter(|_| is_covid(test.disease.as_deref()))?;
        let negative_hours = if test.kind == TestKind::Naat { self.naat_hours } else { self.antigen_hours };
        let (hours, colour) = match test.result {
            TestResult::Positive => (self.positive_days.saturating_mul(24), self.test_positive),
            TestResult::Negative => (negative_hours, self.test_negative),
            TestResult::Other => return None,
        };
        (age_ms <= u64::from(hours) * 3_600_000).then_some(colour)
    }

    fn of_recovery(&self, recovery: &Recovery, at: Instant) -> Option<HealthStatus> {
        let days = days_since(recovery.first_positive, at).filter(|_| is_covid(Some(&recovery.disease)))?;
        let (started, over) = (days_since(recovery.counts_from, at), days_since(recovery.counts_until, at));
        Some(if days > self.recovery_days_max || over.is_some_and(|days_over| days_over > 0) {
            self.recovery_outdated
        } else if days < self.recovery_days_min || started.is_none() {
            self.recovery_early
        } else {
            self.recovery
        })
    }
}

fn is_covid(disease: Option<&str>) -> bool {
    disease.is_none_or(|disease| disease.rsplit('/').next().is_some_and(|code| COVID_19.contains(&code)))
}

/// Whole days from `date` until `at`; `None` when `date` lies in the future.
fn days_since(date: Date, at: Instant) -> Option<u32> {
    let today = TimeZone::UTC.to_datetime(at.timestamp()).date();
    u32::try_from(date.until(today).ok()?.get_days()).ok()
}
