//! When scans arrive: fixed in advance from the rate and the profile, whatever the gateway does.

use std::time::Duration;

use crate::chance::{Chance, Purpose};

/// How the rate goes over a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// The same rate all along.
    Constant,
    /// Starts at a quarter of the mean rate, climbs to 1.75 times it after three quarters of the run, and falls back:
    /// an hour before the offices open.
    MorningPeak,
}

/// The arrivals of a run, each with its place in time. Arrival `n` belongs to reader `n % readers`.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    arrivals: u64,
    length: Duration,
    profile: Profile,
    chance: Chance,
}

/// The rate at the start and the end of [`Profile::MorningPeak`], as a share of the mean.
const BASE: f64 = 0.25;
/// Its highest rate, as a share of the mean: what makes the whole come to 1.
const PEAK: f64 = 2.0 - BASE;
/// When that is reached, as a share of the run.
const PEAK_AT: f64 = 0.75;

impl Schedule {
    /// `arrivals` at a mean of `rate` a second.
    pub fn new(arrivals: u64, rate: f64, profile: Profile, chance: Chance) -> Self {
        let length = Duration::try_from_secs_f64(arrivals as f64 / rate).unwrap_or(Duration::ZERO);
        Self { arrivals, length, profile, chance }
    }

    /// From the start to the last arrival's slot's end.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// When arrival `n` is due, after the start: somewhere in its slot, so that readers do not march in step.
    pub fn due(&self, n: u64) -> Duration {
        let place = n as f64 + self.chance.unit(Purpose::Arrival, 0, n);
        self.length.mul_f64(self.profile.time_of(place / self.arrivals.max(1) as f64).clamp(0.0, 1.0))
    }
}

/// How many arrivals a mean of `rate` a second makes in `time`.
#[expect(clippy::cast_possible_truncation, reason = "a float saturates, and nobody waits for that many")]
pub fn arrivals(rate: f64, time: Duration) -> u64 {
    (rate * time.as_secs_f64()).round() as u64
}

/// How many of `arrivals` belong to `reader` (counted from 0) of `readers`.
pub fn share(arrivals: u64, reader: u64, readers: u64) -> u64 {
    arrivals.saturating_sub(reader).div_ceil(readers.max(1))
}

impl Profile {
    /// After which share of the run the share `done` of all arrivals is over: the inverse of the rate's integral.
    fn time_of(self, done: f64) -> f64 {
        match self {
            Self::Constant => done,
            Self::MorningPeak => {
                let before_peak = PEAK_AT * f64::midpoint(BASE, PEAK);
                if done <= before_peak { climb(done, PEAK_AT) } else { 1.0 - climb(1.0 - done, 1.0 - PEAK_AT) }
            }
        }
    }
}

/// When `done` is over if the rate climbs evenly from [`BASE`] to [`PEAK`] in `width`: solves
/// `BASE x + (PEAK - BASE) x² / (2 width) = done`.
fn climb(done: f64, width: f64) -> f64 {
    let a = (PEAK - BASE) / (2.0 * width);
    ((BASE * BASE + 4.0 * a * done.max(0.0)).sqrt() - BASE) / (2.0 * a)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(profile: Profile, arrivals: u64, windows: usize) -> Vec<usize> {
        let schedule = Schedule::new(arrivals, 100.0, profile, Chance::new(5));
        let mut counts = vec![0; windows];
        for n in 0..arrivals {
            let share = schedule.due(n).as_secs_f64() / schedule.length().as_secs_f64();
            let window = (0..windows).rfind(|window| *window as f64 / windows as f64 <= share).unwrap();
            counts[window] += 1;
        }
        counts
    }

    #[test]
    fn a_constant_rate_is_the_same_in_every_window() {
        assert!(counts(Profile::Constant, 10_000, 10).iter().all(|count| (998..=1002).contains(count)));
    }

    #[test]
    fn the_morning_peaks_integral_is_the_total_and_its_shape_is_a_peak() {
        let counts = counts(Profile::MorningPeak, 10_000, 20);
        assert_eq!(counts.iter().sum::<usize>(), 10_000);
        let highest = counts.iter().max().unwrap();
        assert!(counts[14] == *highest || counts[15] == *highest, "{counts:?}");
        // 20 windows of a mean of 500: the rate's ends and top, within what a window averages out.
        assert!((125..160).contains(&counts[0]), "{counts:?}");
        assert!((820..=875).contains(highest), "{counts:?}");
    }

    #[test]
    fn arrivals_take_as_long_as_the_rate_says() {
        let schedule = Schedule::new(5_000, 250.0, Profile::MorningPeak, Chance::new(1));
        assert_eq!(schedule.length(), Duration::from_secs(20));
        assert!(schedule.due(4_999) <= schedule.length());
    }

    proptest! {
        #[test]
        fn arrivals_are_in_order_and_within_the_run(arrivals in 1..2_000u64, rate in 0.1..10_000.0f64, peak: bool, seed: u64) {
            let profile = if peak { Profile::MorningPeak } else { Profile::Constant };
            let schedule = Schedule::new(arrivals, rate, profile, Chance::new(seed));
            let mut last = Duration::ZERO;
            for n in 0..arrivals {
                let due = schedule.due(n);
                prop_assert!(last <= due && due <= schedule.length());
                last = due;
            }
        }

        #[test]
        fn every_arrival_belongs_to_one_reader(arrivals in 0..10_000u64, readers in 1..300u64) {
            prop_assert_eq!((0..readers).map(|reader| share(arrivals, reader, readers)).sum::<u64>(), arrivals);
        }
    }
}
