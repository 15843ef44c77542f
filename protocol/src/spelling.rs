//! Spellings of one value that readers and scanners use: numbers with a decimal point, a byte order mark in front, the end of a C
//! string behind, raw control characters within, white space and line ends around a code.

use std::borrow::Cow;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

/// What a byte order mark is in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A whole number that JSON writes with or without a decimal point: to JSON, and so to the API's schema, 7.0 is the number 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole<T>(pub(crate) T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;

        impl de::Visitor<'_> for WholeVisitor {
            type Value = u64;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a whole number within its limits")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
                Ok(number)
            }

            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<u64, E> {
                // Beyond 2^53 not every whole number has a form of its own.
                let is_whole = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
                if is_whole { Ok(number as u64) } else { Err(E::invalid_type(de::Unexpected::Float(number), &self)) }
            }
        }

        let number = deserializer.deserialize_u64(WholeVisitor)?;
        let within = T::try_from(number).map(Self);
        within.map_err(|_| de::Error::invalid_value(de::Unexpected::Unsigned(number), &WholeVisitor))
    }
}

impl<T: Serialize> Serialize for Whole<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Reads a field as a [`Whole`] number.
pub(crate) fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    Whole::deserialize(deserializer).map(|Whole(number)| number)
}

/// The same of a field that may be absent.
pub(crate) fn maybe_whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Whole<T>>::deserialize(deserializer)?.map(|Whole(number)| number))
}

/// A JSON document as its writer meant it: without a byte order mark in front and NUL behind, and with raw control characters in
/// its texts written as JSON wants them. Everything else stays as it is.
pub(crate) fn tidied(payload: &[u8]) -> Cow<'_, [u8]> {
    let mut document = payload.strip_prefix(BYTE_ORDER_MARK).unwrap_or(payload);
    while let Some(shorter) = document.strip_suffix(b"\0") {
        document = shorter;
    }
    let (mut in_text, mut escaped) = (false, false);
    let mut is_raw = |byte: u8| {
        let raw = in_text && byte < b' ';
        match byte {
            b'"' if !escaped => in_text = !in_text,
            _ => {}
        }
        escaped = in_text && byte == b'\\' && !escaped;
        raw
    };
    let raw: Vec<usize> = document.iter().enumerate().filter_map(|(at, byte)| is_raw(*byte).then_some(at)).collect();
    if raw.is_empty() {
        return Cow::Borrowed(document);
    }
    let mut tidy = Vec::with_capacity(document.len() + 5 * raw.len());
    let mut raw = raw.into_iter().peekable();
    for (at, byte) in document.iter().enumerate() {
        if raw.next_if_eq(&at).is_some() {
            tidy.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            tidy.push(*byte);
        }
    }
    Cow::Owned(tidy)
}

/// A credential's code without what scanners put around it: white space, line ends and other control characters, byte order
/// marks, and the symbology identifier of ISO/IEC 15424 (AIM), `]` and two characters, such as `]Q1` in front of a QR code.
///
/// Doors and the import both use it, so that a code is the same however it was read.
pub fn normal_code(code: &str) -> &str {
    let mut code = trimmed(code);
    while let Some(rest) = without_symbology(code) {
        code = trimmed(rest);
    }
    code
}

fn trimmed(code: &str) -> &str {
    code.trim_matches(|char: char| char.is_whitespace() || char.is_control() || char == '\u{feff}')
}

fn without_symbology(code: &str) -> Option<&str> {
    let (identifier, rest) = code.strip_prefix(']')?.split_at_checked(2)?;
    let is_identifier = matches!(identifier.as_bytes(), [kind, variant] if kind.is_ascii_alphabetic() && variant.is_ascii_alphanumeric());
    is_identifier.then_some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_scanners_put_around_a_code_is_not_part_of_it() {
        for read in
            ["B-1\r", "B-1\r\n", "B-1\t", " B-1 ", "\u{feff}B-1", "]Q1B-1", "\u{2}]Q3B-1\u{3}\r", "B-1\0", "]C0]Q1B-1"]
        {
            assert_eq!(normal_code(read), "B-1", "{read:?}");
        }
        for code in ["B 1", "]Q", "]é1B-1", "]1QB-1", "B-1]Q1"] {
            assert_eq!(normal_code(code), code);
        }
        assert_eq!(normal_code(" \r]Q1\n"), "");
    }

    #[test]
    fn a_document_is_read_as_its_writer_meant_it() {
        let tidy = |payload: &[u8]| String::from_utf8(tidied(payload).into_owned()).unwrap();
        assert_eq!(tidy(b"\xEF\xBB\xBF{\"a\":\"x\r\"}\0\0"), "{\"a\":\"x\\u000d\"}");
        assert_eq!(tidy(b"{\n\t\"a\\\"\t\":\"\\\\\"}\n"), "{\n\t\"a\\\"\\u0009\":\"\\\\\"}\n");
        assert!(matches!(tidied(br#"{"a":"b\n"}"#), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn a_normal_code_is_normal(code in "[\\]Q1-3A \\r\\n\u{feff}é]{0,12}") {
            let normal = normal_code(&code);
            prop_assert_eq!(normal_code(normal), normal);
        }

        #[test]
        fn whatever_is_put_around_a_code_it_is_the_same(
            code in "[A-Z0-9-]([ A-Z0-9\\]-]{0,20}[A-Z0-9-])?",
            before in "[ \\t\\r\\n\u{feff}\u{2}]{0,3}(\\][A-Za-z][0-9])?[ \\r]{0,2}",
            after in "[ \\t\\r\\n\u{feff}\u{3}\u{0}]{0,3}",
        ) {
            let read = format!("{before}{code}{after}");
            prop_assert_eq!(normal_code(&read), code);
        }

        #[test]
        fn a_good_document_stays_the_same(text: String) {
            let document = serde_json::to_vec(&text).unwrap();
            prop_assert_eq!(&*tidied(&document), &document[..]);
        }

        #[test]
        fn a_text_with_raw_control_characters_is_read(text in "[a-z\"\\\\\\x00-\\x1f]{0,40}") {
            let mut raw = String::from("\"");
            for char in text.chars() {
                match char {
                    '"' | '\\' => raw.extend(['\\', char]),
                    char => raw.push(char),
                }
            }
            raw.push('"');
            prop_assert_eq!(serde_json::from_slice::<String>(&tidied(raw.as_bytes())).unwrap(), text);
        }
    }
}
