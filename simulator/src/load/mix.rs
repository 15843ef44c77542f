//! What is scanned: good, unknown and malformed scans and duplicates in given proportions, made from a seed.

use std::str::FromStr;

use protocol::{Direction, Instant, Scan, ScanId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::readers::ReaderKind;
use crate::chance::{Chance, Purpose};

/// Percentages of what is sent; they come to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    good: u64,
    unknown: u64,
    malformed: u64,
    duplicate: u64,
}

/// What a scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One of the given badges.
    Good,
    /// A badge that nobody has.
    Unknown,
    /// Outside the contract, with a readable epoch and sequence number: it is answered.
    Malformed,
    /// Outside the contract, and nobody can tell which scan it is: it is acknowledged, and never answered.
    Unidentified,
}

/// Why a text is no mix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MixError {
    /// A part has no number.
    #[error("\"{0}\" is not NAME=PERCENT, as in good=90,unknown=5,malformed=2,duplicate=3")]
    Shape(String),
    /// A part's name means nothing.
    #[error("\"{0}\" is no kind of scan: use good, unknown, malformed and duplicate")]
    Name(String),
    /// A part is there twice.
    #[error("\"{0}\" is given twice")]
    Twice(String),
    /// The parts come to something else than 100.
    #[error("the percentages come to {0}, they must come to 100")]
    Sum(u64),
    /// There is nothing to duplicate.
    #[error("a mix of duplicates only has nothing to duplicate: use at most duplicate=90")]
    OnlyDuplicates,
}

/// The badges that readers are shown.
#[derive(Clone)]
pub struct Badges(Vec<String>);

/// Most of the traffic may be duplicates, but not all.
const DUPLICATE_MAX: u64 = 90;

impl Default for Mix {
    fn default() -> Self {
        Self { good: 90, unknown: 5, malformed: 2, duplicate: 3 }
    }
}

impl Mix {
    /// What the scan `seq` of `reader` is.
    pub fn kind(&self, chance: Chance, reader: u64, seq: u64) -> Kind {
        let place = chance.below(100 - self.duplicate, Purpose::Kind, reader, seq);
        if place < self.good {
            Kind::Good
        } else if place < self.good + self.unknown {
            Kind::Unknown
        } else if chance.number(Purpose::Damage, reader, seq).is_multiple_of(2) {
            Kind::Malformed
        } else {
            Kind::Unidentified
        }
    }

    /// How many duplicates of earlier scans go with the scan `seq`: on the average, as many as the mix says.
    pub fn duplicates_with(&self, chance: Chance, reader: u64, seq: u64) -> u64 {
        let others = 100 - self.duplicate;
        let rest = chance.below(others, Purpose::Duplicate, reader, seq) < self.duplicate % others;
        self.duplicate / others + u64::from(rest)
    }

    /// How much of what is sent is no duplicate, `0.1..=1.0`.
    pub fn distinct_share(&self) -> f64 {
        (100 - self.duplicate) as f64 / 100.0
    }
}

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut parts = [("good", None), ("unknown", None), ("malformed", None), ("duplicate", None)];
        for part in text.split(',').map(str::trim) {
            let shape = || MixError::Shape(part.into());
            let (name, percent) = part.split_once('=').ok_or_else(shape)?;
            let percent: u32 = percent.trim().parse().map_err(|_| shape())?;
            let (_, value) = parts
                .iter_mut()
                .find(|(known, _)| *known == name.trim())
                .ok_or_else(|| MixError::Name(name.trim().into()))?;
            if value.replace(u64::from(percent)).is_some() {
                return Err(MixError::Twice(name.trim().into()));
            }
        }
        let [good, unknown, malformed, duplicate] = parts.map(|(_, value)| value.unwrap_or(0));
        match good + unknown + malformed + duplicate {
            100 if duplicate > DUPLICATE_MAX => Err(MixError::OnlyDuplicates),
            100 => Ok(Self { good, unknown, malformed, duplicate }),
            sum => Err(MixError::Sum(sum)),
        }
    }
}

impl Badges {
    /// One code a line; empty lines are left out. `None` when there is none.
    pub fn from_lines(lines: &str) -> Option<Self> {
        let codes: Vec<String> = lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(Into::into).collect();
        (!codes.is_empty()).then_some(Self(codes))
    }

    /// `count` codes that are clearly made up.
    pub fn invented(count: usize) -> Self {
        Self((1..=count.max(1)).map(|n| format!("CONTOH-{n:04}")).collect())
    }

    /// The codes.
    pub fn codes(&self) -> &[String] {
        &self.0
    }
}

impl std::fmt::Debug for Badges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} badges", self.0.len())
    }
}

/// The payload of a scan: the same for the same arguments, so that a scan is sent again as it was.
pub fn payload(
    kind: Kind,
    id: ScanId,
    scanned_at: Instant,
    of: ReaderKind,
    badges: &Badges,
    chance: Chance,
    reader: u64,
) -> Vec<u8> {
    let direction =
        if chance.below(100, Purpose::Direction, reader, id.seq) < 60 { Direction::In } else { Direction::Out };
    let number = chance.number(Purpose::Badge, reader, id.seq);
    let index = usize::try_from(number % badges.0.len().max(1) as u64).unwrap_or(0);
    let credential = match kind {
        Kind::Unknown => format!("TIDAK-DIKENAL-{number:016x}"),
        _ => badges.0.get(index).cloned().unwrap_or_default(),
    };
    let good = Scan::new(id, scanned_at, direction, credential).map(|scan| of.spelled(&scan)).unwrap_or_default();
    match kind {
        Kind::Good | Kind::Unknown => good,
        Kind::Malformed | Kind::Unidentified => {
            damaged(kind, id, &good, chance.number(Purpose::Damage, reader, id.seq) / 2)
        }
    }
}

fn damaged(kind: Kind, ScanId { epoch, seq }: ScanId, good: &[u8], how: u64) -> Vec<u8> {
    if kind == Kind::Malformed {
        return match how % 3 {
            0 => format!(r#"{{"v":9,"epoch":{epoch},"seq":{seq},"note":"a later version"}}"#),
            1 => format!(r#"{{"v":1,"epoch":{epoch},"seq":{seq},"direction":"in"}}"#),
            _ => format!(
                r#"{{"v":1,"epoch":{epoch},"seq":{seq},"scanned_at":"yesterday","direction":"up","credential":"X"}}"#
            ),
        }
        .into_bytes();
    }
    match how % 3 {
        0 => good.iter().copied().take(good.len() / 2).collect(),
        1 => vec![0xff, 0x00, 0xfe, 0x7b, 0x22],
        _ => format!(r#"{{"v":1,"epoch":{epoch},"seq":"{seq}"}}"#).into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(mix: &str) -> [u64; 5] {
        let mix: Mix = mix.parse().unwrap();
        let chance = Chance::new(11);
        let mut counts = [0; 5];
        for seq in 0..20_000 {
            counts[mix.kind(chance, 1, seq) as usize] += 1;
            counts[4] += mix.duplicates_with(chance, 1, seq);
        }
        counts
    }

    #[test]
    fn scans_come_in_the_proportions_of_the_mix() {
        let [good, unknown, malformed, unidentified, duplicates] =
            counts("good=60,unknown=15,malformed=5,duplicate=20");
        let sum = 20_000 + duplicates;
        for (count, percent) in [(good, 60), (unknown, 15), (malformed + unidentified, 5), (duplicates, 20)] {
            let expected = sum * percent / 100;
            assert!(count.abs_diff(expected) < expected / 10, "{count} for {percent} % of {sum}");
        }
        assert!(malformed.abs_diff(unidentified) < 200);
    }

    #[test]
    fn more_duplicates_than_scans_can_be_asked_for() {
        let [good, .., duplicates] = counts("good=25,duplicate=75");
        assert_eq!((good, duplicates), (20_000, 60_000));
        assert_eq!(counts("good=100"), [20_000, 0, 0, 0, 0]);
    }

    #[test]
    fn a_mix_that_makes_no_sense_is_refused_in_clear_words() {
        for (text, error) in [
            ("good=90", "the percentages come to 90, they must come to 100"),
            ("good=90,unknown=20", "the percentages come to 110, they must come to 100"),
            ("good=90,bad=10", "\"bad\" is no kind of scan: use good, unknown, malformed and duplicate"),
            ("good=50,good=50", "\"good\" is given twice"),
            ("duplicate=100", "a mix of duplicates only has nothing to duplicate: use at most duplicate=90"),
        ] {
            assert_eq!(text.parse::<Mix>().unwrap_err().to_string(), error);
        }
        for text in ["", "good", "good=x", "good=-1", "good=99999999999"] {
            assert!(matches!(text.parse::<Mix>(), Err(MixError::Shape(_))), "{text}");
        }
    }

    #[test]
    fn payloads_are_what_their_kind_says() {
        let badges = Badges::invented(3);
        for seq in 1..200 {
            let id = ScanId { epoch: 7, seq };
            let at = Instant::from_unix_ms(0);
            let made = |kind| payload(kind, id, at, ReaderKind::Plain, &badges, Chance::new(2), 5);
            let credential = |kind| Scan::from_json(&made(kind)).unwrap().credential;
            assert!(badges.codes().contains(&credential(Kind::Good)));
            assert!(!badges.codes().contains(&credential(Kind::Unknown)));
            assert_eq!(Scan::from_json(&made(Kind::Malformed)).unwrap_err().id, Some(id));
            assert_eq!(Scan::from_json(&made(Kind::Unidentified)).unwrap_err().id, None);
            assert_eq!(made(Kind::Good), made(Kind::Good));
        }
    }

    #[test]
    fn badges_are_read_and_never_shown() {
        let badges = Badges::from_lines("A1\n\n  B2 \r\n").unwrap();
        assert_eq!(badges.codes(), ["A1", "B2"]);
        assert_eq!(format!("{badges:?}"), "2 badges");
        assert!(Badges::from_lines(" \n").is_none());
    }
}
