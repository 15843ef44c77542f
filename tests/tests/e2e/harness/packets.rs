//! MQTT packets as bytes, written from the standards (OASIS MQTT 3.1.1 and 5.0) and from nothing that is under test.

/// A version of MQTT, as its protocol level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1
    V4 = 4,
    /// 5.0
    V5 = 5,
}

/// Quality of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::enum_variant_names, reason = "the standard's names")]
pub enum QoS {
    AtMostOnce = 0,
    AtLeastOnce = 1,
    ExactlyOnce = 2,
}

/// What a client says first.
#[derive(Clone, Debug)]
pub struct Connect {
    pub version: Version,
    pub client_id: String,
    pub clean: bool,
    pub keep_alive_s: u16,
    /// Properties as bytes; version 5 only.
    pub properties: Vec<u8>,
    /// Topic and payload of a last will at QoS 1, retained.
    pub will: Option<(String, Vec<u8>)>,
}

/// What a server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// `code` is the return code of version 4, or the reason code of version 5.
    ConnAck {
        session_present: bool,
        code: u8,
        properties: Vec<u8>,
    },
    Publish(Publish),
    /// A `reason` that is left out is 0, success.
    PubAck {
        id: u16,
        reason: u8,
    },
    PubRec {
        id: u16,
        reason: u8,
    },
    PubRel {
        id: u16,
    },
    PubComp {
        id: u16,
        reason: u8,
    },
    SubAck {
        id: u16,
        codes: Vec<u8>,
    },
    UnsubAck {
        id: u16,
    },
    PingResp,
    Disconnect {
        reason: u8,
    },
    /// Anything else: the first byte, and what follows the length.
    Other(u8, Vec<u8>),
}

/// A message, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    pub topic: String,
    pub qos: QoS,
    pub dup: bool,
    pub retain: bool,
    /// 0 at [`QoS::AtMostOnce`].
    pub id: u16,
    /// Properties as bytes, without their length; version 5 only.
    pub properties: Vec<u8>,
    pub payload: Vec<u8>,
}

impl QoS {
    fn of(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AtMostOnce,
            1 => Self::AtLeastOnce,
            _ => Self::ExactlyOnce,
        }
    }
}

impl Connect {
    /// A clean session with a long keep-alive.
    pub fn new(version: Version, client_id: &str) -> Self {
        let client_id = client_id.to_owned();
        Self { version, client_id, clean: true, keep_alive_s: 300, properties: Vec::new(), will: None }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let will = if self.will.is_some() { 0b0010_1100 } else { 0 };
        let flags = will | u8::from(self.clean) << 1;
        let mut body = text("MQTT");
        body.extend([self.version as u8, flags]);
        body.extend(self.keep_alive_s.to_be_bytes());
        if self.version == Version::V5 {
            body.extend(block(&self.properties));
        }
        body.extend(text(&self.client_id));
        if let Some((topic, payload)) = &self.will {
            if self.version == Version::V5 {
                body.push(0);
            }
            body.extend(text(topic));
            body.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            body.extend(payload);
        }
        packet(0x10, &body)
    }
}

impl Publish {
    pub fn new(topic: &str, qos: QoS, id: u16, payload: &[u8]) -> Self {
        let (topic, payload) = (topic.to_owned(), payload.to_vec());
        Self { topic, qos, dup: false, retain: false, id, properties: Vec::new(), payload }
    }

    pub fn bytes(&self, version: Version) -> Vec<u8> {
        let mut body = text(&self.topic);
        if self.qos > QoS::AtMostOnce {
            body.extend(self.id.to_be_bytes());
        }
        if version == Version::V5 {
            body.extend(block(&self.properties));
        }
        body.extend(&self.payload);
        packet(0x30 | u8::from(self.dup) << 3 | (self.qos as u8) << 1 | u8::from(self.retain), &body)
    }
}

impl Packet {
    /// The first packet of `input` and its length; `None` while it is not whole.
    pub fn read(version: Version, input: &[u8]) -> Option<(Self, usize)> {
        let (len, len_bytes) = variable(input.get(1..)?)?;
        let end = 1 + len_bytes + len;
        let body = input.get(1 + len_bytes..end)?;
        Some((Self::of(version, input[0], body), end))
    }

    /// What is no packet of MQTT, such as the bytes of a TLS server, is kept as it came.
    fn of(version: Version, head: u8, body: &[u8]) -> Self {
        Self::parsed(version, head, body).unwrap_or_else(|| Self::Other(head, body.to_vec()))
    }

    fn parsed(version: Version, head: u8, body: &[u8]) -> Option<Self> {
        let id = || number(body);
        let reason = || body.get(2).copied().unwrap_or(0);
        Some(match head >> 4 {
            2 => {
                let (session, code) = (*body.first()?, *body.get(1)?);
                let properties = if version == Version::V5 { properties(&body[2..])?.0.to_vec() } else { Vec::new() };
                Self::ConnAck { session_present: session & 1 == 1, code, properties }
            }
            3 => Self::Publish(published(version, head, body)?),
            4 => Self::PubAck { id: id()?, reason: reason() },
            5 => Self::PubRec { id: id()?, reason: reason() },
            6 => Self::PubRel { id: id()? },
            7 => Self::PubComp { id: id()?, reason: reason() },
            9 => {
                let (id, rest) = (id()?, &body[2..]);
                let codes = if version == Version::V5 { properties(rest)?.1 } else { rest };
                Self::SubAck { id, codes: codes.to_vec() }
            }
            11 => Self::UnsubAck { id: id()? },
            13 => Self::PingResp,
            14 => Self::Disconnect { reason: body.first().copied().unwrap_or(0) },
            _ => return None,
        })
    }
}

/// A packet of this first byte and body.
pub fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    [&[head][..], &length(body.len()), body].concat()
}

/// A SUBSCRIBE to one filter; `options` is the QoS, and in version 5 more bits.
pub fn subscribe(version: Version, id: u16, filter: &str, options: u8) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
    }
    body.extend(text(filter));
    body.push(options);
    packet(0x82, &body)
}

/// A text with its length in front.
pub fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

fn published(version: Version, head: u8, body: &[u8]) -> Option<Publish> {
    let qos = QoS::of(head >> 1);
    let (topic, mut rest) = body.get(2..)?.split_at_checked(usize::from(number(body)?))?;
    let mut id = 0;
    if qos > QoS::AtMostOnce {
        id = number(rest)?;
        rest = &rest[2..];
    }
    let (properties, payload) = if version == Version::V5 { properties(rest)? } else { (&rest[..0], rest) };
    Some(Publish {
        topic: String::from_utf8(topic.to_vec()).ok()?,
        qos,
        dup: head & 8 != 0,
        retain: head & 1 != 0,
        id,
        properties: properties.to_vec(),
        payload: payload.to_vec(),
    })
}

/// A number of two bytes at the start.
fn number(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]))
}

/// The properties at the start of `bytes`, without their length, and what follows.
fn properties(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, len_bytes) = variable(bytes)?;
    bytes.get(len_bytes..)?.split_at_checked(len)
}

fn block(properties: &[u8]) -> Vec<u8> {
    [&length(properties.len()), properties].concat()
}

fn length(mut len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while len >= 128 {
        bytes.push((len % 128) as u8 | 128);
        len /= 128;
    }
    bytes.push(len as u8);
    bytes
}

/// A variable byte integer and how long it is; `None` while it is not whole.
fn variable(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 127) << (7 * at);
        if byte & 128 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}
