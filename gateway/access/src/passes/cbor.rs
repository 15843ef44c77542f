//! CBOR (RFC 8949) as a tree, with a limit on depth and on items, so that no input can cost more than a good pass.

use std::borrow::Cow;

use minicbor::Decoder;
use minicbor::data::Type;
use minicbor::decode::Error;

use super::fault::{Fault, Refusal};

/// How deep values may nest. A health certificate nests six deep.
pub(super) const DEPTH_MAX: u32 = 16;

/// How many values one document may hold. A health certificate holds about sixty.
pub(super) const ITEMS_MAX: u32 = 1024;

/// How many entries one map may hold; looking for duplicate keys takes the square of it.
pub(super) const MAP_ENTRIES_MAX: usize = 64;

/// The last second of the year 9999: later moments are mistakes.
const SECONDS_MAX: i64 = 253_402_300_799;

/// One CBOR value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Int(i64),
    Float(f64),
    Bytes(Cow<'a, [u8]>),
    Text(Cow<'a, str>),
    Array(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Tag(u64, Box<Self>),
    Bool(bool),
    Null,
    /// Undefined, a simple value without a meaning, or an integer beyond 64 bits with sign.
    Other,
}

/// Reads `bytes`, which must be one value and nothing else.
pub(super) fn parse(bytes: &[u8]) -> Result<Value<'_>, Refusal> {
    let mut reader = Reader { decoder: Decoder::new(bytes), items_left: ITEMS_MAX };
    let value = reader.value(DEPTH_MAX)?;
    if reader.decoder.position() == bytes.len() {
        Ok(value)
    } else {
        Err(Refusal::malformed("there are bytes behind the CBOR value"))
    }
}

struct Reader<'a> {
    decoder: Decoder<'a>,
    items_left: u32,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth_left: u32) -> Result<Value<'a>, Refusal> {
        let too_deep = || Refusal::new(Fault::TooDeep, format!("more than {ITEMS_MAX} values or {DEPTH_MAX} levels"));
        self.items_left = self.items_left.checked_sub(1).ok_or_else(too_deep)?;
        let below = depth_left.checked_sub(1).ok_or_else(too_deep)?;
        let d = &mut self.decoder;
        Ok(match d.datatype().map_err(damaged)? {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
                i64::try_from(d.int().map_err(damaged)?).map_or(Value::Other, Value::Int)
            }
            Type::Bytes => Value::Bytes(Cow::Borrowed(d.bytes().map_err(damaged)?)),
            Type::BytesIndef => {
                let chunks: Result<Vec<_>, _> = d.bytes_iter().map_err(damaged)?.collect();
                Value::Bytes(Cow::Owned(chunks.map_err(damaged)?.concat()))
            }
            Type::String => Value::Text(Cow::Borrowed(d.str().map_err(damaged)?)),
            Type::StringIndef => {
                let chunks: Result<Vec<_>, _> = d.str_iter().map_err(damaged)?.collect();
                Value::Text(Cow::Owned(chunks.map_err(damaged)?.concat()))
            }
            Type::Array | Type::ArrayIndef => {
                let length = d.array().map_err(damaged)?;
                let mut values = Vec::new();
                while self.more(length, values.len())? {
                    values.push(self.value(below)?);
                }
                Value::Array(values)
            }
            Type::Map | Type::MapIndef => {
                let length = d.map().map_err(damaged)?;
                Value::Map(self.entries(length, below)?)
            }
            Type::Tag => {
                let tag = d.tag().map_err(damaged)?;
                Value::Tag(tag.as_u64(), Box::new(self.value(below)?))
            }
            Type::Bool => Value::Bool(d.bool().map_err(damaged)?),
            Type::Null => {
                d.null().map_err(damaged)?;
                Value::Null
            }
            Type::F16 => {
                let at = d.position();
                let bits = d.input().get(at + 1..at + 3).and_then(|bytes| <[u8; 2]>::try_from(bytes).ok());
                let bits = bits.ok_or_else(|| Refusal::malformed("a number is cut off"))?;
                d.set_position(at + 3);
                Value::Float(half_float(u16::from_be_bytes(bits)))
            }
            Type::F32 => Value::Float(f64::from(d.f32().map_err(damaged)?)),
            Type::F64 => Value::Float(d.f64().map_err(damaged)?),
            Type::Undefined => {
                d.undefined().map_err(damaged)?;
                Value::Other
            }
            Type::Simple => {
                // Two bytes for a value below 32 are not well-formed (RFC 8949, 3.3).
                let at = d.position();
                let value = d.simple().map_err(damaged)?;
                if d.position() == at + 2 && value < 32 {
                    return Err(Refusal::malformed("the CBOR is damaged"));
                }
                Value::Other
            }
            Type::Break | Type::Unknown(_) => return Err(Refusal::malformed("the CBOR is damaged")),
        })
    }

    fn entries(&mut self, length: Option<u64>, below: u32) -> Result<Vec<(Value<'a>, Value<'a>)>, Refusal> {
        let mut entries: Vec<(Value<'a>, Value<'a>)> = Vec::new();
        while self.more(length, entries.len())? {
            if entries.len() == MAP_ENTRIES_MAX {
                return Err(Refusal::new(Fault::TooDeep, format!("a map has more than {MAP_ENTRIES_MAX} entries")));
            }
            let key = self.value(below)?;
            if entries.iter().any(|(other, _)| *other == key) {
                return Err(Refusal::malformed("a map has the same key twice"));
            }
            let value = self.value(below)?;
            entries.push((key, value));
        }
        Ok(entries)
    }

    /// Whether an array or map of `length`, or of one that a break ends, goes on after `read` entries.
    fn more(&mut self, length: Option<u64>, read: usize) -> Result<bool, Refusal> {
        if let Some(length) = length {
            return Ok((read as u64) < length);
        }
        if self.decoder.datatype().map_err(damaged)? == Type::Break {
            self.decoder.set_position(self.decoder.position() + 1);
            return Ok(false);
        }
        Ok(true)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn damaged(error: Error) -> Refusal {
    Refusal::malformed(if error.is_end_of_input() { "the CBOR is cut off" } else { "the CBOR is damaged" })
}

/// A half-precision number (IEEE 754 binary16), which encoders that shorten numbers write.
fn half_float(bits: u16) -> f64 {
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

impl<'a> Value<'a> {
    /// The entry of a map under an integer; `None` too when this is no map.
    pub(super) fn at(&self, label: i64) -> Option<&Self> {
        self.entry(|key| *key == Value::Int(label))
    }

    /// The entry of a map under a text; `None` too when this is no map.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        self.entry(|key| matches!(key, Value::Text(text) if text == name))
    }

    fn entry(&self, wanted: impl Fn(&Self) -> bool) -> Option<&Self> {
        self.map()?.iter().find(|(key, _)| wanted(key)).map(|(_, value)| value)
    }

    pub(super) fn map(&self) -> Option<&[(Self, Self)]> {
        if let Self::Map(entries) = self { Some(entries) } else { None }
    }

    pub(super) fn array(&self) -> Option<&[Self]> {
        if let Self::Array(values) = self { Some(values) } else { None }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// An integer, or a floating-point number without a fraction.
    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Float(value) if value.fract() == 0.0 => whole(*value),
            _ => None,
        }
    }

    /// A moment in seconds since 1970 as milliseconds: an integer or a number with a fraction, with tag 1 or without.
    pub(super) fn numeric_date_ms(&self) -> Option<i64> {
        match self {
            Self::Int(seconds) if (0..=SECONDS_MAX).contains(seconds) => Some(seconds * 1000),
            Self::Float(seconds) => {
                whole((seconds * 1000.0).trunc()).filter(|ms| (0..=SECONDS_MAX * 1000).contains(ms))
            }
            Self::Tag(1, inner) if !matches!(**inner, Self::Tag(..)) => inner.numeric_date_ms(),
            _ => None,
        }
    }
}

/// A number without a fraction as an integer; `None` beyond what floating point counts exactly.
fn whole(value: f64) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    (value.abs() <= EXACT_MAX).then_some(value as i64)
}
