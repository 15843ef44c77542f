//! Base45 (RFC 9285), strict: one text for one byte string, and nothing left out in silence.

const ALPHABET: &[u8; 45] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

/// Marks a byte that stands for no digit.
const NO_DIGIT: u8 = u8::MAX;

static DIGITS: [u8; 256] = digits();

const fn digits() -> [u8; 256] {
    let mut digits = [NO_DIGIT; 256];
    let mut value: u8 = 0;
    while value < 45 {
        digits[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    digits
}

/// The bytes that `text` stands for; `None` when a character is outside the alphabet, the length is one that no
/// encoder writes, or a group stands for more than its bytes hold.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| DIGITS.get(usize::from(byte)).copied().filter(|value| *value != NO_DIGIT).map(u32::from);
    let mut bytes = Vec::with_capacity(text.len() / 3 * 2 + 1);
    let mut groups = text.as_bytes().chunks_exact(3);
    for group in &mut groups {
        let &[low, middle, high] = group else { return None };
        let value = digit(low)? + digit(middle)? * 45 + digit(high)? * 2025;
        bytes.extend_from_slice(&u16::try_from(value).ok()?.to_be_bytes());
    }
    match *groups.remainder() {
        [] => {}
        [low, high] => bytes.push(u8::try_from(digit(low)? + digit(high)? * 45).ok()?),
        _ => return None,
    }
    Some(bytes)
}

/// The text that stands for `bytes`.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(2) * 3);
    let mut push = |value: u32| text.push(ALPHABET.get(value as usize % 45).copied().map_or('0', char::from));
    let mut pairs = bytes.chunks_exact(2);
    for pair in &mut pairs {
        let value = pair.iter().fold(0, |value, byte| value << 8 | u32::from(*byte));
        push(value);
        push(value / 45);
        push(value / 2025);
    }
    if let &[last] = pairs.remainder() {
        push(u32::from(last));
        push(u32::from(last) / 45);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_standard_hold() {
        for (bytes, text) in
            [("AB", "BB8"), ("Hello!!", "%69 VD92EX0"), ("base-45", "UJCLQE7W581"), ("ietf!", "QED8WEX0")]
        {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
    }

    #[test]
    fn what_no_encoder_writes_is_refused() {
        // A lone character, an overflow of two bytes and of one, lower case, and characters from elsewhere.
        for text in ["A", "ABCD", "GGW", "::", "bb8", "BB8\n", "BB8é", "B=8"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        assert_eq!(decode("FGW").as_deref(), Some(&[0xff, 0xff][..]));
    }

    proptest! {
        #[test]
        fn what_was_encoded_reads_back(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn what_decodes_has_one_text(text in "[0-9A-Z $%*+./:-]{0,40}") {
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
