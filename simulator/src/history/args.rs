//! The command line of `history`.

use anyhow::{Result, bail, ensure};
use clap::Args;
use jiff::Timestamp;

use super::fault_rates::FaultRates;
use super::month::{Month, MonthName};
use super::regency::Regency;
use crate::chance::Chance;

/// Arguments of `history`.
#[derive(Args, Clone, Debug)]
pub struct HistoryArgs {
    /// People who work in the regency
    #[arg(long, default_value_t = 6_900, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=50_000))]
    pub staff: u32,
    /// Zones: the complex, and offices in it
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=1_000))]
    pub zones: u16,
    /// Which month; it must be over
    #[arg(long, default_value = "2026-10", value_name = "YYYY-MM")]
    pub month: MonthName,
    /// Only so many days of it, from the first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=31))]
    pub days: Option<u32>,
    /// Scans on a working day of all doors, about; about 4 for each of the staff by default
    #[arg(long, value_name = "N")]
    pub scans_per_day: Option<u32>,
    /// Ways out that are not scanned, in percent
    #[arg(long, default_value_t = 3.0, value_name = "PERCENT", value_parser = percent)]
    pub missed_exits: f64,
    /// Ways in that are not scanned, in percent
    #[arg(long, default_value_t = 0.5, value_name = "PERCENT", value_parser = percent)]
    pub missed_entries: f64,
    /// Scans that are made a second time within seconds, in percent
    #[arg(long, default_value_t = 1.0, value_name = "PERCENT", value_parser = percent)]
    pub double_scans: f64,
    /// Readers whose clock is off by some seconds
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub bad_clocks: u32,
    /// The same seed gives the same people and scans
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// People whose contacts are asked for
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub queries: u32,
    /// Stay up after the summary, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// Scans on a working day in a regency with that many people, measured at the real one.
const SCANS_PER_DAY: (u64, u64) = (27_000, 6_900);
/// Fewer scans of each person on a working day than this, in the mean over all, would be no regency; for more, everybody
/// would have to come every day.
const SCANS_PER_PERSON: (u32, u32) = (1, 5);

impl HistoryArgs {
    /// The regency that is asked for.
    ///
    /// # Errors
    /// Says which argument is out of its range, and what is allowed.
    pub fn regency(&self, now: Timestamp) -> Result<Regency> {
        let in_month = self.month.days();
        let days = self.days.unwrap_or(in_month);
        ensure!(days <= in_month, "--days {days}: the month has {in_month} days");
        if let Err(error) = self.month.must_be_over(days, now) {
            bail!("--month: {error}");
        }
        let (scans, people) = SCANS_PER_DAY;
        let usual = u32::try_from(u64::from(self.staff) * scans / people)?;
        let scans_per_day = self.scans_per_day.unwrap_or(usual);
        let (least, most) = (self.staff * SCANS_PER_PERSON.0, self.staff * SCANS_PER_PERSON.1);
        ensure!(
            (least..=most).contains(&scans_per_day),
            "--scans-per-day {scans_per_day}: with {} people allowed are {least} to {most}",
            self.staff
        );
        Ok(Regency {
            staff: self.staff,
            zones: self.zones,
            scans_per_day,
            month: Month::new(self.month, days)?,
            slips: FaultRates {
                missed_exit_percent: self.missed_exits,
                missed_entry_percent: self.missed_entries,
                double_percent: self.double_scans,
                bad_clocks: self.bad_clocks,
            },
            chance: Chance::new(self.seed),
        })
    }
}

fn percent(text: &str) -> Result<f64> {
    let value: f64 = text.parse()?;
    if !(0.0..=50.0).contains(&value) {
        bail!("allowed are 0 to 50");
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: HistoryArgs,
    }

    fn regency(arguments: &str) -> Result<Regency, String> {
        let words = std::iter::once("history").chain(arguments.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        let now = "2026-11-25T12:00:00Z".parse().unwrap();
        line.args.regency(now).map_err(|error| error.to_string())
    }

    #[test]
    fn without_arguments_it_is_the_real_ones_size() {
        let regency = regency("").unwrap();
        assert_eq!((regency.staff, regency.zones, regency.scans_per_day), (6_900, 60, 27_000));
        assert_eq!((regency.month.len(), regency.gates()), (31, 7));
    }

    #[test]
    fn an_argument_out_of_its_range_is_refused_with_the_range() {
        for (arguments, words) in [
            ("--staff 9", "9 is not in 10..=50000"),
            ("--zones 1", "1 is not in 2..=1000"),
            ("--days 0", "0 is not in 1..=31"),
            ("--month 2026-9", "a month looks like 2026-10"),
            ("--month 2026-11", "--month: its days must lie between 2020-01-01 and 2026-11-22"),
            ("--month 2026-02 --days 30", "--days 30: the month has 28 days"),
            ("--staff 100 --scans-per-day 501", "--scans-per-day 501: with 100 people allowed are 100 to 500"),
            ("--missed-exits 51", "allowed are 0 to 50"),
            ("--missed-entries=-1", "allowed are 0 to 50"),
            ("--double-scans many", "invalid float"),
            ("--bad-clocks 1001", "1001 is not in 0..=1000"),
            ("--queries 10001", "10001 is not in 0..=10000"),
        ] {
            let error = regency(arguments).unwrap_err();
            assert!(error.contains(words), "{arguments}: {error}");
        }
    }
}
