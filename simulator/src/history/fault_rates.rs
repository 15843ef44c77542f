//! How much goes wrong at the doors.

/// How much goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultRates {
    /// Of a hundred ways out, so many are not scanned.
    pub missed_exit_percent: f64,
    /// Of a hundred ways in, so many are not scanned.
    pub missed_entry_percent: f64,
    /// Of a hundred scans, so many are made a second time within seconds.
    pub double_percent: f64,
    /// Readers whose clock is off.
    pub bad_clocks: u32,
}

/// How far a clock is off at least and at most, in milliseconds: more than the gateway tolerates, and less than people
/// take from door to door.
pub const CLOCK_OFF_MS: (i64, i64) = (6_000, 20_000);

impl FaultRates {
    /// Nothing goes wrong.
    pub const NONE: Self =
        Self { missed_exit_percent: 0.0, missed_entry_percent: 0.0, double_percent: 0.0, bad_clocks: 0 };

    /// How far off a clock may be, in milliseconds; 0 when none is.
    pub fn clock_off_max_ms(&self) -> i64 {
        if self.bad_clocks == 0 { 0 } else { CLOCK_OFF_MS.1 }
    }
}
