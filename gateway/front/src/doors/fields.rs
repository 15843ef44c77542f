//! Reads the data types of MQTT (section 1.5) and the properties of MQTT 5 (section 2.2.2) out of a packet, and lets nothing pass that
//! the standard forbids: ill-formed text, U+0000, over-long integers, and properties that are unknown, misplaced, doubled or overrun.

use super::reason::Reason;

/// Where the reading of a packet has come to.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// What carries properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    Connect,
    Will,
    Publish,
    /// PUBACK, PUBREC, PUBREL and PUBCOMP.
    Ack,
    Subscribe,
    Unsubscribe,
    Disconnect,
}

/// The properties of a packet, all of them legal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Properties<'a> {
    /// As they were sent, without their length.
    pub(super) block: &'a [u8],
    /// A bit for the identifier of each that is there.
    seen: u64,
}

/// One property.
#[derive(Clone, Copy, Debug)]
pub(super) struct Property<'a> {
    pub(super) id: u8,
    /// A number of any width; 0 where the value is none.
    pub(super) number: u32,
    /// A text or binary value; empty where the value is none.
    pub(super) value: &'a [u8],
}

/// Property identifiers.
pub(super) mod id {
    pub(in super::super) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(in super::super) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(in super::super) const CONTENT_TYPE: u8 = 0x03;
    pub(in super::super) const RESPONSE_TOPIC: u8 = 0x08;
    pub(in super::super) const CORRELATION: u8 = 0x09;
    pub(in super::super) const SUBSCRIPTION_ID: u8 = 0x0B;
    pub(in super::super) const SESSION_EXPIRY: u8 = 0x11;
    pub(in super::super) const AUTHENTICATION_METHOD: u8 = 0x15;
    pub(in super::super) const AUTHENTICATION_DATA: u8 = 0x16;
    pub(in super::super) const REQUEST_PROBLEM: u8 = 0x17;
    pub(in super::super) const WILL_DELAY: u8 = 0x18;
    pub(in super::super) const REQUEST_RESPONSE: u8 = 0x19;
    pub(in super::super) const SERVER_REFERENCE: u8 = 0x1C;
    pub(in super::super) const REASON_STRING: u8 = 0x1F;
    pub(in super::super) const RECEIVE_MAX: u8 = 0x21;
    pub(in super::super) const TOPIC_ALIAS_MAX: u8 = 0x22;
    pub(in super::super) const TOPIC_ALIAS: u8 = 0x23;
    pub(in super::super) const USER: u8 = 0x26;
    pub(in super::super) const PACKET_BYTES_MAX: u8 = 0x27;
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Makes sure that nothing is left.
    pub(super) fn end(&self) -> Result<(), Reason> {
        if self.is_empty() { Ok(()) } else { Err(Reason::MALFORMED_PACKET) }
    }

    pub(super) fn byte(&mut self) -> Result<u8, Reason> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn two(&mut self) -> Result<u16, Reason> {
        self.array().map(u16::from_be_bytes)
    }

    fn four(&mut self) -> Result<u32, Reason> {
        self.array().map(u32::from_be_bytes)
    }

    /// A packet identifier, which is never 0 (MQTT 5 section 2.2.1).
    pub(super) fn packet_id(&mut self) -> Result<u16, Reason> {
        let pkid = self.two()?;
        if pkid == 0 { Err(Reason::PROTOCOL_ERROR) } else { Ok(pkid) }
    }

    /// A variable byte integer, in as few bytes as it needs (MQTT 5 section 1.5.5).
    pub(super) fn variable(&mut self) -> Result<u32, Reason> {
        let mut value = 0;
        for position in 0..4u32 {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7F) << (7 * position);
            if byte & 0x80 == 0 {
                let over_long = position > 0 && byte == 0;
                return if over_long { Err(Reason::MALFORMED_PACKET) } else { Ok(value) };
            }
        }
        Err(Reason::MALFORMED_PACKET)
    }

    /// Bytes with their length before them.
    pub(super) fn binary(&mut self) -> Result<&'a [u8], Reason> {
        let len = self.two()?;
        self.take(usize::from(len))
    }

    /// A text with its length before it (MQTT 5 section 1.5.4).
    pub(super) fn text(&mut self) -> Result<&'a str, Reason> {
        let text = std::str::from_utf8(self.binary()?).map_err(|_| Reason::MALFORMED_PACKET)?;
        if text.contains('\0') { Err(Reason::MALFORMED_PACKET) } else { Ok(text) }
    }

    /// Properties with their length before them.
    pub(super) fn properties(&mut self, carrier: Carrier) -> Result<Properties<'a>, Reason> {
        let len = self.variable()?;
        let block = self.take(usize::try_from(len).map_err(|_| Reason::MALFORMED_PACKET)?)?;
        let mut within = Self::new(block);
        let mut seen = 0;
        while !within.is_empty() {
            let property = within.property()?;
            let bit = 1u64.checked_shl(property.id.into()).ok_or(Reason::MALFORMED_PACKET)?;
            carrier.check(property)?;
            if seen & bit != 0 && property.id != id::USER {
                return Err(Reason::PROTOCOL_ERROR);
            }
            seen |= bit;
        }
        Ok(Properties { block, seen })
    }

    /// One property of any packet that a client may send.
    fn property(&mut self) -> Result<Property<'a>, Reason> {
        // An identifier is a variable byte integer; all that there are have one byte.
        let id = u8::try_from(self.variable()?).map_err(|_| Reason::MALFORMED_PACKET)?;
        let (mut number, mut value) = (0, &b""[..]);
        match id {
            id::PAYLOAD_FORMAT | id::REQUEST_PROBLEM | id::REQUEST_RESPONSE => number = self.byte()?.into(),
            id::RECEIVE_MAX | id::TOPIC_ALIAS_MAX | id::TOPIC_ALIAS => number = self.two()?.into(),
            id::MESSAGE_EXPIRY | id::SESSION_EXPIRY | id::WILL_DELAY | id::PACKET_BYTES_MAX => number = self.four()?,
            id::SUBSCRIPTION_ID => number = self.variable()?,
            id::CORRELATION | id::AUTHENTICATION_DATA => value = self.binary()?,
            id::CONTENT_TYPE
            | id::RESPONSE_TOPIC
            | id::AUTHENTICATION_METHOD
            | id::SERVER_REFERENCE
            | id::REASON_STRING => value = self.text()?.as_bytes(),
            id::USER => {
                self.text()?;
                self.text()?;
            }
            _ => return Err(Reason::MALFORMED_PACKET),
        }
        Ok(Property { id, number, value })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Reason::MALFORMED_PACKET)?;
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Reason> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Reason::MALFORMED_PACKET)?;
        self.rest = rest;
        Ok(taken)
    }
}

impl Carrier {
    /// Whether it may carry a property, and with this value (MQTT 5 section 2.2.2.2, and those of the packets).
    fn check(self, property: Property<'_>) -> Result<(), Reason> {
        let Property { id, number, .. } = property;
        let carries = id == id::USER
            || match self {
                Self::Connect => matches!(
                    id,
                    id::SESSION_EXPIRY
                        | id::AUTHENTICATION_METHOD
                        | id::AUTHENTICATION_DATA
                        | id::REQUEST_PROBLEM
                        | id::REQUEST_RESPONSE
                        | id::RECEIVE_MAX
                        | id::TOPIC_ALIAS_MAX
                        | id::PACKET_BYTES_MAX
                ),
                Self::Will => id == id::WILL_DELAY || is_of_message(id),
                Self::Publish => matches!(id, id::TOPIC_ALIAS | id::SUBSCRIPTION_ID) || is_of_message(id),
                Self::Ack => id == id::REASON_STRING,
                Self::Subscribe => id == id::SUBSCRIPTION_ID,
                Self::Unsubscribe => false,
                Self::Disconnect => matches!(id, id::SESSION_EXPIRY | id::REASON_STRING | id::SERVER_REFERENCE),
            };
        if !carries {
            return Err(Reason::MALFORMED_PACKET);
        }
        let fits = match id {
            id::PAYLOAD_FORMAT | id::REQUEST_PROBLEM | id::REQUEST_RESPONSE => number <= 1,
            id::RECEIVE_MAX | id::PACKET_BYTES_MAX => number > 0,
            // From a client, only a subscription has one (section 3.3.4).
            id::SUBSCRIPTION_ID => number > 0 && self == Self::Subscribe,
            // Only a server refers to another one (section 3.14.2.2.5).
            id::SERVER_REFERENCE => false,
            _ => true,
        };
        if fits { Ok(()) } else { Err(Reason::PROTOCOL_ERROR) }
    }
}

/// Whether a property belongs to a message and reaches its subscribers.
fn is_of_message(id: u8) -> bool {
    matches!(
        id,
        id::PAYLOAD_FORMAT | id::MESSAGE_EXPIRY | id::CONTENT_TYPE | id::RESPONSE_TOPIC | id::CORRELATION | id::USER
    )
}

impl<'a> Properties<'a> {
    /// Those of a PUBLISH, which were read before.
    pub(super) fn checked(block: &'a [u8]) -> Self {
        let mut reader = Reader::new(block);
        let mut seen = 0;
        while let Ok(property) = reader.property() {
            seen |= 1u64.checked_shl(property.id.into()).unwrap_or(0);
        }
        Self { block, seen }
    }

    /// Whether a property is there.
    pub(super) fn has(&self, id: u8) -> bool {
        1u64.checked_shl(id.into()).is_some_and(|bit| self.seen & bit != 0)
    }

    /// The value of a property that is a number.
    pub(super) fn number(&self, id: u8) -> Option<u32> {
        self.find(id).map(|property| property.number)
    }

    /// The value of a property that is a text or bytes.
    pub(super) fn value(&self, id: u8) -> Option<&'a [u8]> {
        self.find(id).map(|property| property.value)
    }

    /// What of them reaches the subscribers of a message, as it was sent; its expiry is told apart, since it grows less.
    pub(super) fn of_message(&self) -> Vec<u8> {
        let mut kept = Vec::new();
        let mut reader = Reader::new(self.block);
        while !reader.is_empty() {
            let before = reader.rest();
            let Ok(property) = reader.property() else { break };
            if is_of_message(property.id) && property.id != id::MESSAGE_EXPIRY {
                let len = before.len() - reader.rest().len();
                kept.extend_from_slice(before.get(..len).unwrap_or_default());
            }
        }
        kept
    }

    fn find(&self, id: u8) -> Option<Property<'a>> {
        let mut reader = Reader::new(self.block);
        while self.has(id) && !reader.is_empty() {
            let property = reader.property().ok()?;
            if property.id == id {
                return Some(property);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_has_as_few_bytes_as_it_needs() {
        for (bytes, expected) in [
            (&b"\x00"[..], Ok(0)),
            (b"\x7F", Ok(127)),
            (b"\x80\x01", Ok(128)),
            (b"\xFF\xFF\xFF\x7F", Ok(268_435_455)),
            (b"\x80\x00", Err(Reason::MALFORMED_PACKET)),
            (b"\xFF\x80\x80\x00", Err(Reason::MALFORMED_PACKET)),
            (b"\xFF\xFF\xFF\xFF\x01", Err(Reason::MALFORMED_PACKET)),
            (b"\x80", Err(Reason::MALFORMED_PACKET)),
        ] {
            assert_eq!(Reader::new(bytes).variable(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_text_is_well_formed_and_without_null() {
        for (bytes, fits) in [
            (&b"\0\x03a\xC3\xA9"[..], true),
            (b"\0\x03\xEF\xBB\xBF", true),
            (b"\0\0", true),
            (b"\0\x01\0", false),
            (b"\0\x02\xC0\x80", false),
            (b"\0\x03\xED\xA0\x80", false),
            (b"\0\x04\xF4\x90\x80\x80", false),
            (b"\0\x02\xC3", false),
        ] {
            assert_eq!(Reader::new(bytes).text().is_ok(), fits, "{bytes:?}");
        }
    }

    #[test]
    fn subscribers_get_a_messages_properties_in_their_order() {
        let block = b"\x26\0\x01b\0\x011\x23\0\x01\x02\0\0\0\x09\x01\x01\x26\0\x01a\0\x012";
        let bytes = [&[u8::try_from(block.len()).unwrap()][..], block].concat();
        let properties = Reader::new(&bytes).properties(Carrier::Publish).unwrap();
        assert_eq!(properties.of_message(), b"\x26\0\x01b\0\x011\x01\x01\x26\0\x01a\0\x012");
        assert_eq!((properties.number(id::MESSAGE_EXPIRY), properties.number(id::TOPIC_ALIAS)), (Some(9), Some(1)));
    }
}
