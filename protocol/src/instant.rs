//! A moment in time with millisecond precision, as it travels: RFC 3339 in JSON, Unix milliseconds in CBOR.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z. Reads any RFC 3339 offset, writes UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Timestamp);

impl Instant {
    /// The moment `ms` milliseconds after the Unix epoch, or the nearest that the calendar has.
    pub fn from_unix_ms(ms: i64) -> Self {
        let nearest = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Self(Timestamp::from_millisecond(ms).unwrap_or(nearest))
    }

    /// Milliseconds since the Unix epoch.
    pub fn unix_ms(self) -> i64 {
        self.0.as_millisecond()
    }

    /// The same moment for calendars and time zones.
    pub fn timestamp(self) -> Timestamp {
        self.0
    }

    /// How far `self` lies after `earlier`, in milliseconds; negative when it lies before.
    pub fn ms_since(self, earlier: Self) -> i64 {
        self.unix_ms().saturating_sub(earlier.unix_ms())
    }
}

impl From<Timestamp> for Instant {
    fn from(timestamp: Timestamp) -> Self {
        Self::from_unix_ms(timestamp.as_millisecond())
    }
}

impl FromStr for Instant {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse::<Timestamp>().map(Self::from)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Timestamp::deserialize(deserializer).map(Self::from)
    }
}

impl<C> minicbor::Encode<C> for Instant {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.i64(self.unix_ms())?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Instant {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.i64().map(Self::from_unix_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_offset_is_read_and_utc_is_written() {
        let instant: Instant = serde_json::from_str(r#""2026-11-23T07:31:04.120+08:00""#).unwrap();
        assert_eq!(serde_json::to_string(&instant).unwrap(), r#""2026-11-22T23:31:04.120Z""#);
        assert_eq!(instant, Instant::from_unix_ms(instant.unix_ms()));
    }

    #[test]
    fn milliseconds_beyond_the_calendar_are_clamped() {
        assert!(Instant::from_unix_ms(i64::MAX) > Instant::from_unix_ms(0));
        assert!(Instant::from_unix_ms(i64::MIN) < Instant::from_unix_ms(0));
    }
}
