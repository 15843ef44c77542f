//! What kinds of readers a fleet has: such as keep to the contract, and such as public reports of devices describe.

use std::str::FromStr;

use protocol::{Scan, ScanId};
use thiserror::Error;

/// A kind of reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderKind {
    /// Keeps to the contract.
    Plain,
    /// Is replaced half way by a device that counts from 1 again.
    Replaced,
    /// Has no clock: its time begins at 1970 when it is switched on, and it says so in its status.
    Clockless,
    /// Writes every character of a code as an escape, and numbers with a decimal point.
    Escaping,
    /// Puts something around each code, as scanners do: a line end, a tab, a symbology identifier.
    Suffixing,
}

/// Percentages of the kinds; they come to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderMix([u64; 5]);

/// Why a text is no mix of readers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReaderMixError {
    /// A part has no number.
    #[error("\"{0}\" is not NAME=PERCENT, as in plain=80,replaced=5,clockless=5,escaping=5,suffixing=5")]
    Shape(String),
    /// A part's name means nothing.
    #[error("\"{0}\" is no kind of reader: use plain, replaced, clockless, escaping and suffixing")]
    Name(String),
    /// The percentages come to something else than 100.
    #[error("the percentages come to {0}, they must come to 100")]
    Sum(u64),
}

impl ReaderKind {
    const ALL: [Self; 5] = [Self::Plain, Self::Replaced, Self::Clockless, Self::Escaping, Self::Suffixing];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Replaced => "replaced",
            Self::Clockless => "clockless",
            Self::Escaping => "escaping",
            Self::Suffixing => "suffixing",
        }
    }

    /// A scan's payload as a reader of this kind writes it.
    pub fn spelled(self, scan: &Scan) -> Vec<u8> {
        match self {
            Self::Plain | Self::Replaced | Self::Clockless => scan.to_json(),
            Self::Escaping => {
                let code: String = scan.credential.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
                written(scan, &code, ".0")
            }
            Self::Suffixing => {
                let ScanId { seq, .. } = scan.id();
                let (before, after) = match seq % 4 {
                    0 => ("", "\\r"),
                    1 => ("", "\\r\\n"),
                    2 => ("", "\\t"),
                    _ => ("]Q1", "\r"),
                };
                // Made-up codes have nothing that JSON would escape.
                written(scan, &format!("{before}{}{after}", scan.credential), "")
            }
        }
    }
}

impl ReaderMix {
    /// Readers that keep to the contract.
    pub const PLAIN: Self = Self([100, 0, 0, 0, 0]);

    /// Some of each kind.
    pub const ALL: Self = Self([80, 5, 5, 5, 5]);

    /// The kind of one of `readers` readers.
    pub fn kind(&self, reader: usize, readers: usize) -> ReaderKind {
        let place = (reader as u64 * 100).checked_div(readers as u64).unwrap_or(0);
        let mut below = 0;
        for (kind, percent) in ReaderKind::ALL.into_iter().zip(self.0) {
            below += percent;
            if place < below {
                return kind;
            }
        }
        ReaderKind::Plain
    }
}

impl FromStr for ReaderMix {
    type Err = ReaderMixError;

    fn from_str(text: &str) -> Result<Self, ReaderMixError> {
        let mut mix = [0; 5];
        for part in text.split(',').map(str::trim) {
            let shape = || ReaderMixError::Shape(part.into());
            let (name, percent) = part.split_once('=').ok_or_else(shape)?;
            let percent: u32 = percent.trim().parse().map_err(|_| shape())?;
            let of = ReaderKind::ALL.into_iter().zip(&mut mix).find(|(kind, _)| kind.as_str() == name.trim());
            let (_, share) = of.ok_or_else(|| ReaderMixError::Name(name.trim().into()))?;
            *share = u64::from(percent);
        }
        match mix.iter().sum() {
            100 => Ok(Self(mix)),
            sum => Err(ReaderMixError::Sum(sum)),
        }
    }
}

/// A scan in JSON, with its code as it stands between the quotes, and what stands behind numbers.
fn written(scan: &Scan, code: &str, point: &str) -> Vec<u8> {
    let (ScanId { epoch, seq }, at, direction) = (scan.id(), scan.scanned_at, scan.direction.as_str());
    format!(
        r#"{{"v":1{point},"epoch":{epoch}{point},"seq":{seq}{point},"scanned_at":"{at}","direction":"{direction}","credential":"{code}"}}"#
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use protocol::{Direction, Instant};

    use super::*;

    #[test]
    fn however_it_is_spelled_it_is_the_same_scan_and_another_payload() {
        for seq in 1..=4 {
            let id = ScanId { epoch: 3, seq };
            let scan = Scan::new(id, Instant::from_unix_ms(5), Direction::Out, "CONTOH-0001").unwrap();
            for kind in ReaderKind::ALL {
                let spelled = kind.spelled(&scan);
                assert_eq!(Scan::from_json(&spelled).unwrap(), scan, "{kind:?}");
                let is_special = matches!(kind, ReaderKind::Escaping | ReaderKind::Suffixing);
                assert_eq!(spelled != scan.to_json(), is_special, "{kind:?}");
            }
        }
    }

    #[test]
    fn a_fleet_has_each_kind_in_its_share() {
        let mix: ReaderMix = "plain=80, replaced=5,clockless=5,escaping=5,suffixing=5".parse().unwrap();
        assert_eq!(mix, ReaderMix::ALL);
        let mut counts: HashMap<&str, usize> = HashMap::new();
        (0..100).for_each(|reader| *counts.entry(mix.kind(reader, 100).as_str()).or_default() += 1);
        assert_eq!(
            counts,
            [("plain", 80), ("replaced", 5), ("clockless", 5), ("escaping", 5), ("suffixing", 5)].into()
        );
        assert!((0..20).any(|reader| mix.kind(reader, 20) == ReaderKind::Suffixing));
        assert_eq!(ReaderMix::PLAIN.kind(7, 8), ReaderKind::Plain);
        for (text, error) in [
            ("plain", ReaderMixError::Shape("plain".into())),
            ("odd=100", ReaderMixError::Name("odd".into())),
            ("plain=90", ReaderMixError::Sum(90)),
        ] {
            assert_eq!(text.parse::<ReaderMix>(), Err(error));
        }
    }
}
