//! Which colour a health certificate gives: the rules of section `[health]` of the configuration.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use protocol::{HealthStatus, Instant};
use serde::Deserialize;

use super::claims::{Recovery, Statement, Test, TestKind, TestResult, Vaccination};

/// COVID-19 in SNOMED CT.
const COVID_19: &str = "840539006";

/// Longest period that a rule may have, in days: ten years.
const DAYS_MAX: u32 = 3660;

/// Longest age of a test that a rule may allow, in hours: thirty days.
const HOURS_MAX: u32 = 720;

/// Section `[health]`. A certificate that no rule speaks of gives no colour; days begin at midnight UTC.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthRules {
    /// Days from the last dose of a series until it protects; a booster does at once. 14.
    pub vaccination_days_min: u32,
    /// Days from the last dose until it no longer counts. 365.
    pub vaccination_days_max: u32,
    /// The colour of a complete series that protects. Green.
    pub vaccination_complete: HealthStatus,
    /// The colour of a complete series within its first days. Yellow.
    pub vaccination_fresh: HealthStatus,
    /// The colour of a series that lacks doses. Yellow.
    pub vaccination_incomplete: HealthStatus,
    /// The colour of a dose that no longer counts. Yellow.
    pub vaccination_outdated: HealthStatus,
    /// Hours for which a negative test counts that finds nucleic acid. 72.
    pub naat_hours: u32,
    /// Hours for which any other negative test counts. 72.
    pub antigen_hours: u32,
    /// The colour of a negative test that counts; an older one gives none. Green.
    pub test_negative: HealthStatus,
    /// Days for which a positive test counts. 14.
    pub positive_days: u32,
    /// The colour of a positive test that counts; an older one gives none. Black.
    pub test_positive: HealthStatus,
    /// Days from the first positive test until a recovery counts. 11.
    pub recovery_days_min: u32,
    /// Days from the first positive test until it no longer does. 180.
    pub recovery_days_max: u32,
    /// The colour of a recovery in its window and in the one that its issuer gives it. Green.
    pub recovery: HealthStatus,
    /// The colour of a recovery before that window: the person was ill within days. Black.
    pub recovery_early: HealthStatus,
    /// The colour of a recovery after that window. Yellow.
    pub recovery_outdated: HealthStatus,
}

impl Default for HealthRules {
    fn default() -> Self {
        Self {
            vaccination_days_min: 14,
            vaccination_days_max: 365,
            vaccination_complete: HealthStatus::Green,
            vaccination_fresh: HealthStatus::Yellow,
            vaccination_incomplete: HealthStatus::Yellow,
            vaccination_outdated: HealthStatus::Yellow,
            naat_hours: 72,
            antigen_hours: 72,
            test_negative: HealthStatus::Green,
            positive_days: 14,
            test_positive: HealthStatus::Black,
            recovery_days_min: 11,
            recovery_days_max: 180,
            recovery: HealthStatus::Green,
            recovery_early: HealthStatus::Black,
            recovery_outdated: HealthStatus::Yellow,
        }
    }
}

impl HealthRules {
    /// Checks the periods.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), String> {
        for (name, value, max) in [
            ("vaccination_days_max", self.vaccination_days_max, DAYS_MAX),
            ("naat_hours", self.naat_hours, HOURS_MAX),
            ("antigen_hours", self.antigen_hours, HOURS_MAX),
            ("positive_days", self.positive_days, DAYS_MAX),
            ("recovery_days_max", self.recovery_days_max, DAYS_MAX),
        ] {
            if !(1..=max).contains(&value) {
                return Err(format!("{name} must be 1 to {max}, not {value}"));
            }
        }
        for (min_name, min, max_name, max) in [
            ("vaccination_days_min", self.vaccination_days_min, "vaccination_days_max", self.vaccination_days_max),
            ("recovery_days_min", self.recovery_days_min, "recovery_days_max", self.recovery_days_max),
        ] {
            if min > max {
                return Err(format!("{min_name} must be at most {max_name} ({max}), not {min}"));
            }
        }
        Ok(())
    }

    /// The colour that `statement` gives at a moment; `None` when it says nothing about that moment.
    pub(super) fn colour(&self, statement: &Statement, at: Instant) -> Option<HealthStatus> {
        match statement {
            Statement::Vaccination(vaccination) => self.of_vaccination(vaccination, at),
            Statement::Test(test) => self.of_test(test, at),
            Statement::Recovery(recovery) => self.of_recovery(recovery, at),
        }
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
    disease.is_none_or(|disease| disease == COVID_19)
}

/// Whole days from `date` until `at`; `None` when `date` lies in the future.
fn days_since(date: Date, at: Instant) -> Option<u32> {
    let today = TimeZone::UTC.to_datetime(at.timestamp()).date();
    u32::try_from(date.until(today).ok()?.get_days()).ok()
}
