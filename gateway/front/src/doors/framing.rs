//! Cuts what a client sends into packets, exactly, before any of it is interpreted (MQTT section 2).

use bytes::BytesMut;

use super::reason::Reason;

/// Packet types that a client may send, as the high half of a packet's first byte.
pub(super) mod kind {
    pub(in super::super) const CONNECT: u8 = 1;
    pub(in super::super) const PUBLISH: u8 = 3;
    pub(in super::super) const PUBACK: u8 = 4;
    pub(in super::super) const PUBREC: u8 = 5;
    pub(in super::super) const PUBREL: u8 = 6;
    pub(in super::super) const PUBCOMP: u8 = 7;
    pub(in super::super) const SUBSCRIBE: u8 = 8;
    pub(in super::super) const UNSUBSCRIBE: u8 = 10;
    pub(in super::super) const PINGREQ: u8 = 12;
    pub(in super::super) const DISCONNECT: u8 = 14;
}

/// Where a whole packet lies at the start of the bytes received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its first byte: type and flags.
    pub(super) head: u8,
    /// Where the first byte after the fixed header is.
    pub(super) body_at: usize,
    /// Its length, fixed header included.
    pub(super) len: usize,
}

impl Frame {
    /// Its type, see [`kind`].
    pub(super) fn kind(self) -> u8 {
        self.head >> 4
    }

    /// The quality of service of a PUBLISH.
    pub(super) fn qos(self) -> u8 {
        (self.head >> 1) & 0b11
    }

    /// Takes the packet out of `input`.
    pub(super) fn take(self, input: &mut BytesMut) -> BytesMut {
        input.split_to(self.len.min(input.len()))
    }
}

/// What the bytes received begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Too little of a packet.
    Part,
    /// A packet.
    Whole(Frame),
    /// The start of one that is larger than a client may send.
    TooLarge(Frame),
}

/// The first packet of `input`. Type, flags and size are judged as soon as they are readable, so that nothing is buffered for a
/// packet that would be refused.
pub(super) fn peek(input: &[u8], bytes_max: usize) -> Result<Cut, Reason> {
    let Some((&head, rest)) = input.split_first() else { return Ok(Cut::Part) };
    check_head(head)?;
    let mut body_len = 0usize;
    for (position, byte) in rest.iter().take(4).enumerate() {
        body_len |= usize::from(byte & 0x7F) << (7 * position);
        if byte & 0x80 == 0 {
            // As few bytes as it needs (MQTT 5 section 1.5.5).
            if position > 0 && *byte == 0 {
                return Err(Reason::MALFORMED_PACKET);
            }
            let body_at = position + 2;
            let frame = Frame { head, body_at, len: body_at + body_len };
            return Ok(match frame.len {
                len if len > bytes_max => Cut::TooLarge(frame),
                len if len > input.len() => Cut::Part,
                _ => Cut::Whole(frame),
            });
        }
    }
    if rest.len() >= 4 { Err(Reason::MALFORMED_PACKET) } else { Ok(Cut::Part) }
}

fn check_head(head: u8) -> Result<(), Reason> {
    let flags = head & 0x0F;
    let fits = match head >> 4 {
        // QoS 3 does not exist, and a QoS 0 message cannot be a duplicate.
        kind::PUBLISH => flags & 0b0110 != 0b0110 && flags & 0b1110 != 0b1000,
        kind::PUBREL | kind::SUBSCRIBE | kind::UNSUBSCRIBE => flags == 0b0010,
        kind::CONNECT | kind::PUBACK..=kind::PUBCOMP | kind::PINGREQ | kind::DISCONNECT => flags == 0,
        // What only a server sends, and AUTH, which needs an exchange that this server does not offer.
        _ => return Err(Reason::PROTOCOL_ERROR),
    };
    if fits { Ok(()) } else { Err(Reason::MALFORMED_PACKET) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_packet_is_cut_exactly_and_not_before_it_is_whole() {
        let bytes = [0xC0, 0x00, 0x40, 0x02, 0x00];
        assert_eq!(peek(&bytes, 100), Ok(Cut::Whole(Frame { head: 0xC0, body_at: 2, len: 2 })));
        assert_eq!(peek(&bytes[2..], 100), Ok(Cut::Part));
        assert_eq!(peek(&[], 100), Ok(Cut::Part));
        assert_eq!(peek(&[0x30, 0x80, 0x80], 100), Ok(Cut::Part));
    }

    #[test]
    fn bad_types_flags_and_sizes_are_refused_at_the_first_byte_that_shows_them() {
        for head in [0x00, 0x20, 0x90, 0xB0, 0xD0, 0xF0] {
            assert_eq!(peek(&[head], 100), Err(Reason::PROTOCOL_ERROR), "{head:#x}");
        }
        for head in [0x11, 0x36, 0x38, 0x41, 0x60, 0x80, 0xA0, 0xC1, 0xE2] {
            assert_eq!(peek(&[head], 100), Err(Reason::MALFORMED_PACKET), "{head:#x}");
        }
        assert_eq!(peek(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF], 100), Err(Reason::MALFORMED_PACKET));
        for length in [&[0x80, 0][..], &[0xFF, 0x80, 0], &[0xFF, 0xFF, 0x80, 0]] {
            assert_eq!(peek(&[&[0x30][..], length].concat(), 1000), Err(Reason::MALFORMED_PACKET), "{length:?}");
        }
        assert_eq!(peek(&[0x30, 99], 100), Ok(Cut::TooLarge(Frame { head: 0x30, body_at: 2, len: 101 })));
        assert_eq!(peek(&[0x30, 98], 100), Ok(Cut::Part));
    }

    proptest! {
        #[test]
        fn a_cut_packet_lies_within_the_input(input in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Cut::Whole(frame)) = peek(&input, 32) {
                prop_assert!(frame.body_at <= frame.len && frame.len <= input.len() && frame.len <= 32);
            }
        }
    }
}
