//! Reason codes of MQTT 5 (section 2.4), and what of them MQTT 3.1.1 can say.

/// Why a packet, a subscription or a connection ends as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reason(pub(super) u8);

/// Why a client is turned away: what it is told, and what is counted.
pub(super) type Refusal = (Reason, &'static str);

impl Reason {
    pub(super) const SUCCESS: Self = Self(0x00);
    pub(super) const NO_SUBSCRIPTION: Self = Self(0x11);
    pub(super) const UNSPECIFIED: Self = Self(0x80);
    pub(super) const MALFORMED_PACKET: Self = Self(0x81);
    pub(super) const PROTOCOL_ERROR: Self = Self(0x82);
    pub(super) const IMPLEMENTATION_SPECIFIC: Self = Self(0x83);
    pub(super) const UNSUPPORTED_VERSION: Self = Self(0x84);
    pub(super) const CLIENT_ID_INVALID: Self = Self(0x85);
    pub(super) const NOT_AUTHORIZED: Self = Self(0x87);
    pub(super) const SERVER_UNAVAILABLE: Self = Self(0x88);
    pub(super) const SERVER_BUSY: Self = Self(0x89);
    pub(super) const SHUTTING_DOWN: Self = Self(0x8B);
    pub(super) const BAD_AUTHENTICATION_METHOD: Self = Self(0x8C);
    pub(super) const KEEP_ALIVE_TIMEOUT: Self = Self(0x8D);
    pub(super) const SESSION_TAKEN_OVER: Self = Self(0x8E);
    pub(super) const FILTER_INVALID: Self = Self(0x8F);
    pub(super) const TOPIC_NAME_INVALID: Self = Self(0x90);
    pub(super) const PACKET_ID_NOT_FOUND: Self = Self(0x92);
    pub(super) const RECEIVE_MAXIMUM_EXCEEDED: Self = Self(0x93);
    pub(super) const TOPIC_ALIAS_INVALID: Self = Self(0x94);
    pub(super) const PACKET_TOO_LARGE: Self = Self(0x95);
    pub(super) const QUOTA_EXCEEDED: Self = Self(0x97);
    pub(super) const ADMINISTRATIVE_ACTION: Self = Self(0x98);
    pub(super) const PAYLOAD_INVALID: Self = Self(0x99);
    pub(super) const SHARED_NOT_SUPPORTED: Self = Self(0x9E);
    pub(super) const MAXIMUM_CONNECT_TIME: Self = Self(0xA0);
    pub(super) const SUBSCRIPTION_IDS_NOT_SUPPORTED: Self = Self(0xA1);

    /// Whether it is an error.
    pub(super) fn is_error(self) -> bool {
        self.0 >= 0x80
    }

    /// The return code of a 3.1.1 CONNACK; `None` where 3.1.1 asks to close without one.
    pub(super) fn connack_3(self) -> Option<u8> {
        match self {
            Self::SUCCESS => Some(0),
            Self::UNSUPPORTED_VERSION => Some(1),
            Self::CLIENT_ID_INVALID => Some(2),
            Self::SERVER_UNAVAILABLE | Self::SERVER_BUSY => Some(3),
            Self::NOT_AUTHORIZED | Self::PAYLOAD_INVALID => Some(5),
            _ => None,
        }
    }
}
