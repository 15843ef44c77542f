//! A small regency to test with.

use super::fault_rates::FaultRates;
use super::month::Month;
use super::regency::Regency;
use crate::chance::Chance;

/// With the first days of October 2026, a Thursday the first, and slips as they usually are but for the clocks.
pub fn regency(staff: u32, zones: u16, days: u32) -> Regency {
    Regency {
        staff,
        zones,
        scans_per_day: staff * 4,
        month: Month::new("2026-10".parse().unwrap(), days).unwrap(),
        slips: FaultRates { missed_exit_percent: 3.0, missed_entry_percent: 0.5, double_percent: 1.0, bad_clocks: 0 },
        chance: Chance::new(1),
    }
}
