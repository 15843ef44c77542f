//! What the receiver does wrong, on purpose: `503@0.2,slow:50,lost-answer@0.1`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};

/// Longest delay, in milliseconds.
const SLOW_MS_MAX: u64 = 600_000;

/// One thing that goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `503`: this status is answered and nothing is kept. 400 to 599.
    Status(u16),
    /// `slow:500`: everything is done this many milliseconds later.
    SlowMs(u64),
    /// `cut`: the connection is closed after the request was read, and nothing is kept.
    Cut,
    /// `lost-answer`: the batch is kept, then the connection is closed without an answer.
    LostAnswer,
    /// `refuse:17`: every batch that has the event of this number is answered 422, and nothing of it is kept.
    Refuse(u64),
}

/// Any number of faults, each with its probability. As text, `none` or a list with commas: `503@0.2,slow:50`. A fault
/// without a probability is certain; of several that end a request, the first one that strikes counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults(Vec<(Fault, f64)>);

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Strike {
    pub(super) delay: Duration,
    /// Anything but a delay.
    pub(super) end: Option<Fault>,
}

impl Faults {
    /// Decides for a batch with the events `ids`; `unit` gives a number in `0.0..1.0` for each fault.
    pub(super) fn strike(&self, ids: &[u64], unit: impl Fn(u64) -> f64) -> Strike {
        let mut strike = Strike::default();
        for ((fault, probability), n) in self.0.iter().zip(0..) {
            if unit(n) >= *probability {
                continue;
            }
            match fault {
                Fault::SlowMs(ms) => strike.delay += Duration::from_millis(*ms),
                Fault::Refuse(id) if !ids.contains(id) => {}
                fault => strike.end = strike.end.or(Some(*fault)),
            }
        }
        strike
    }
}

impl FromStr for Faults {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.trim() == "none" {
            return Ok(Self::default());
        }
        text.split(',')
            .map(|part| rule(part.trim()).with_context(|| format!("fault {part:?}")))
            .collect::<Result<_>>()
            .map(Self)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, (fault, probability)) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            match fault {
                Fault::Status(status) => write!(f, "{status}")?,
                Fault::SlowMs(ms) => write!(f, "slow:{ms}")?,
                Fault::Cut => f.write_str("cut")?,
                Fault::LostAnswer => f.write_str("lost-answer")?,
                Fault::Refuse(id) => write!(f, "refuse:{id}")?,
            }
            if *probability < 1.0 {
                write!(f, "@{probability}")?;
            }
        }
        Ok(())
    }
}

fn rule(text: &str) -> Result<(Fault, f64)> {
    let (name, probability) = match text.split_once('@') {
        Some((name, probability)) => (name, probability.parse().context("the probability is no number")?),
        None => (text, 1.0),
    };
    ensure!((0.0..=1.0).contains(&probability), "the probability is {probability}, allowed are 0 to 1");
    let fault = match name.split_once(':') {
        Some(("slow", ms)) => Fault::SlowMs(ms.parse().context("the delay is no number of milliseconds")?),
        Some(("refuse", id)) => Fault::Refuse(id.parse().context("what is refused is no event's number")?),
        None if name == "cut" => Fault::Cut,
        None if name == "lost-answer" => Fault::LostAnswer,
        None if name.starts_with(|first: char| first.is_ascii_digit()) => {
            Fault::Status(name.parse().context("no HTTP status")?)
        }
        _ => bail!("none of none, 400 to 599, slow:MS, cut, lost-answer, refuse:EVENT"),
    };
    match fault {
        Fault::Status(status) => {
            ensure!((400..600).contains(&status), "the status is {status}, allowed are 400 to 599")
        }
        Fault::SlowMs(ms) => ensure!(ms <= SLOW_MS_MAX, "the delay is {ms} ms, allowed are 0 to {SLOW_MS_MAX}"),
        _ => {}
    }
    Ok((fault, probability))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_written_the_same() {
        for text in ["none", "503", "cut", "lost-answer@0.25", "slow:500", "422@0,refuse:17,slow:1@0.5"] {
            assert_eq!(text.parse::<Faults>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_fault_is_refused_with_the_reason() {
        for (text, expected) in [
            ("", "none of none"),
            ("503,", "none of none"),
            ("slow", "none of none"),
            ("200", "allowed are 400 to 599"),
            ("99999", "no HTTP status"),
            ("cut@2", "allowed are 0 to 1"),
            ("cut@NaN", "allowed are 0 to 1"),
            ("cut@x", "no number"),
            ("slow:600001", "allowed are 0 to 600000"),
            ("refuse:x", "no event's number"),
        ] {
            let error = format!("{:#}", text.parse::<Faults>().unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn delays_add_up_and_the_first_end_counts() {
        let faults: Faults = "slow:5,refuse:17,503@0.5,slow:7@0.5,cut".parse().unwrap();
        let ms = Duration::from_millis;
        assert_eq!(faults.strike(&[16], |_| 0.4), Strike { delay: ms(12), end: Some(Fault::Status(503)) });
        assert_eq!(faults.strike(&[16], |_| 0.6), Strike { delay: ms(5), end: Some(Fault::Cut) });
        assert_eq!(faults.strike(&[16, 17], |_| 0.6), Strike { delay: ms(5), end: Some(Fault::Refuse(17)) });
        assert_eq!(Faults::default().strike(&[1], |_| 0.0), Strike::default());
    }
}
