//! Values as they are on disk: sightings and stays, packed, and a checksum in front of every value.
//!
//! The checksum covers the file's format, the table, the key and the value, so that neither a flipped bit nor a value under
//! another's key is taken for good.

use std::sync::Arc;

use minicbor::{Decode, Encode};
use protocol::{Direction, Instant};

use super::super::{Arrival, Bounds, Evidence, Passage, Stay};
use super::error::TablesError;

/// The format of the file that this version writes and reads; every checksum covers it. Any other file is rebuilt.
pub const FORMAT: u32 = 2;

/// Length of a checksum, in bytes.
const CHECKSUM_BYTES: usize = 8;
/// Length of a packed stay, in bytes.
pub const STAY_BYTES: usize = 27;
/// A day without a time zone, in milliseconds: what times in a value are told from.
const DAY_MS: i64 = 86_400_000;

/// What a value is sealed for: its table and its key.
#[derive(Clone, Copy)]
pub struct RowKey(pub u8, pub i64, pub u64);

/// Somebody at a door, of a known day and person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Row {
    /// The event's number.
    #[n(0)]
    pub number: u64,
    /// Since the beginning of the day, UTC.
    #[n(1)]
    ms: i64,
    /// The door's name.
    #[n(2)]
    door: u32,
    /// The zone's name.
    #[n(3)]
    zone: u32,
    #[n(4)]
    bits: u8,
}

/// A stay of the day on which it began, as it is found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filed {
    /// The person's number.
    pub person: u64,
    /// The day on which it began, since 1970.
    pub day: i32,
    /// The how many of the person on that day.
    pub order: u16,
    /// The stay, without its events.
    pub stay: Stay,
}

const OUT: u8 = 1;
const LATE: u8 = 2;
const DOUBTFUL: u8 = 4;
const PASSED: u8 = 8;
/// The kind of arrival that nobody saw.
const UNSEEN: u8 = 2;
/// Kinds of evidence of which there is no end that was seen.
const RULE: u8 = 2;
const INSIDE: u8 = 3;

/// The value with its checksum.
pub fn with_checksum(place: RowKey, content: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(CHECKSUM_BYTES + content.len());
    value.extend_from_slice(&checksum(place, content).to_le_bytes());
    value.extend_from_slice(content);
    value
}

/// The checksum of a value that [`with_checksum`] has made, and what it is of.
pub fn checked(place: RowKey, value: &[u8]) -> Result<(u64, &[u8]), TablesError> {
    let (head, content) = value.split_first_chunk().ok_or(TablesError::Damaged("a value is cut off"))?;
    let found = u64::from_le_bytes(*head);
    if found == checksum(place, content) {
        Ok((found, content))
    } else {
        Err(TablesError::Damaged("a checksum is wrong"))
    }
}

fn checksum(RowKey(table, day, item): RowKey, content: &[u8]) -> u64 {
    let mut key = [0; 24];
    let parts = [&FORMAT.to_le_bytes()[..], &[table], &day.to_le_bytes(), &item.to_le_bytes()];
    key.iter_mut().zip(parts.into_iter().flatten()).for_each(|(byte, part)| *byte = *part);
    hash(&[&key, content])
}

/// The first eight bytes of the BLAKE3 hash.
pub fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut first = [0; CHECKSUM_BYTES];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

/// A sealed value in CBOR.
pub fn encode<T: Encode<()>>(place: RowKey, value: &T) -> Result<Vec<u8>, TablesError> {
    let content = minicbor::to_vec(value).map_err(|_| TablesError::Damaged("a value cannot be written"))?;
    Ok(with_checksum(place, &content))
}

/// Reads what [`encode`] has made.
pub fn decode<T: for<'b> Decode<'b, ()>>(place: RowKey, value: &[u8]) -> Result<T, TablesError> {
    decode_sealed(place, value).map(|(_, value)| value)
}

/// The same, with its checksum.
pub fn decode_sealed<T: for<'b> Decode<'b, ()>>(place: RowKey, value: &[u8]) -> Result<(u64, T), TablesError> {
    let (checksum, content) = checked(place, value)?;
    let value = minicbor::decode(content).map_err(|_| TablesError::Damaged("a value cannot be read"))?;
    Ok((checksum, value))
}

/// The checksum of a value that [`with_checksum`] has made just now.
pub fn checksum_of(sealed: &[u8]) -> u64 {
    sealed.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

impl Row {
    /// Packs a passage of the day, whether the person passed or not.
    pub fn new(day: i32, passage: &Passage, passed: bool, door: u32, zone: u32) -> Self {
        let bit = |bit, set| if set { bit } else { 0 };
        let bits = bit(OUT, passage.direction == Direction::Out)
            | bit(LATE, passage.late)
            | bit(DOUBTFUL, passage.clock_doubtful)
            | bit(PASSED, passed);
        Self { number: passage.number, ms: passage.at.unix_ms() - i64::from(day) * DAY_MS, door, zone, bits }
    }

    /// By what the rows of a person's day are sorted, as [`Passage::order`].
    pub fn order(&self) -> (i64, u64) {
        (self.ms, self.number)
    }

    /// Whether the person passed.
    pub fn passed(&self) -> bool {
        self.bits & PASSED != 0
    }

    /// When it was.
    pub fn at(&self, day: i32) -> Instant {
        Instant::from_unix_ms((i64::from(day) * DAY_MS).saturating_add(self.ms))
    }

    /// The passage, with names for the door and the zone.
    pub fn passage(&self, day: i32, names: &[Arc<str>]) -> Result<Passage, TablesError> {
        let name = |id| name(names, id);
        Ok(Passage {
            number: self.number,
            at: self.at(day),
            zone: name(self.zone)?,
            door: name(self.door)?,
            direction: if self.bits & OUT == 0 { Direction::In } else { Direction::Out },
            late: self.bits & LATE != 0,
            clock_doubtful: self.bits & DOUBTFUL != 0,
        })
    }
}

/// The name with this number.
pub fn name(names: &[Arc<str>], id: u32) -> Result<Arc<str>, TablesError> {
    let name = usize::try_from(id).ok().and_then(|id| names.get(id));
    name.cloned().ok_or(TablesError::Damaged("a name is missing"))
}

impl Filed {
    /// Packs a stay: person, place in the order, four times, bits. `None` where a time lies weeks from the day.
    pub fn pack(&self, into: &mut Vec<u8>) -> Option<()> {
        let PackedStay { person, day, order, times, bits } = PackedStay::new(self);
        into.extend_from_slice(&person.to_le_bytes());
        into.extend_from_slice(&order.to_le_bytes());
        for time in times {
            let time = i32::try_from(time - i64::from(day) * DAY_MS).ok()?;
            into.extend_from_slice(&time.to_le_bytes());
        }
        into.push(bits);
        Some(())
    }
}

/// A stay in numbers, without its zone.
#[derive(Clone, Copy, Debug)]
pub struct PackedStay {
    /// The person's number.
    pub person: u64,
    /// The day on which it began, since 1970.
    pub day: i32,
    /// The how many of the person on that day.
    pub order: u16,
    /// The bounds of its beginning and of its end, in Unix milliseconds.
    times: [i64; 4],
    /// Arrival, evidence, what is doubtful.
    bits: u8,
}

impl PackedStay {
    /// The stay in numbers.
    pub fn new(filed: &Filed) -> Self {
        let Filed { person, day, order, stay } = filed;
        let times = [stay.from.earliest, stay.from.latest, stay.to.earliest, stay.to.latest].map(Instant::unix_ms);
        let bit = |bit, set| if set { bit } else { 0 };
        let arrival = match stay.arrival {
            Arrival::Entry => 0,
            Arrival::Return => 1,
            Arrival::Unseen => UNSEEN,
        };
        let evidence = match stay.evidence {
            Evidence::Exit => 0,
            Evidence::NextDoor => 1,
            Evidence::Rule => RULE,
            Evidence::Inside => INSIDE,
        };
        let bits = arrival | evidence << 2 | bit(16, stay.late) | bit(32, stay.clock_doubtful);
        Self { person: *person, day: *day, order: *order, times, bits }
    }

    /// The packed stays of a zone's day.
    pub fn all(day: i32, content: &[u8]) -> Result<impl Iterator<Item = Self>, TablesError> {
        let (stays, rest) = content.as_chunks();
        if !rest.is_empty() {
            return Err(TablesError::Damaged("stays are cut off"));
        }
        Ok(stays.iter().map(move |stay| Self::unpack(day, stay)))
    }

    fn unpack(day: i32, packed: &[u8; STAY_BYTES]) -> Self {
        let [bits] = field::<26, 1>(packed);
        let time = |bytes| i64::from(day) * DAY_MS + i64::from(i32::from_le_bytes(bytes));
        Self {
            person: u64::from_le_bytes(field::<0, 8>(packed)),
            day,
            order: u16::from_le_bytes(field::<8, 2>(packed)),
            times: [field::<10, 4>(packed), field::<14, 4>(packed), field::<18, 4>(packed), field::<22, 4>(packed)]
                .map(time),
            bits,
        }
    }

    /// The stay as it is at `now`, where nothing has happened since it was known as of `at`: one without an end lasts.
    pub fn lasting(mut self, at: Instant, now: Instant) -> Self {
        let (arrival, evidence) = (self.bits & 3, self.bits >> 2 & 3);
        let [_, begun, _, end] = &mut self.times;
        if evidence >= RULE && *end == at.unix_ms() {
            *end = now.unix_ms();
            // On a way that nobody saw, it may begin as late as it ends.
            *begun = if arrival == UNSEEN { *end } else { *begun };
        }
        self
    }

    /// From when at the earliest until when at the latest, in Unix milliseconds.
    pub fn interval(&self) -> (i64, i64) {
        let [from, .., to] = self.times;
        (from, to)
    }

    /// The stay, without its events.
    pub fn read(&self, zone: &Arc<str>) -> Stay {
        let [from_earliest, from_latest, to_earliest, to_latest] = self.times.map(Instant::from_unix_ms);
        Stay {
            zone: Arc::clone(zone),
            from: Bounds { earliest: from_earliest, latest: from_latest },
            arrival: match self.bits & 3 {
                0 => Arrival::Entry,
                1 => Arrival::Return,
                _ => Arrival::Unseen,
            },
            to: Bounds { earliest: to_earliest, latest: to_latest },
            evidence: match self.bits >> 2 & 3 {
                0 => Evidence::Exit,
                1 => Evidence::NextDoor,
                2 => Evidence::Rule,
                _ => Evidence::Inside,
            },
            entry: None,
            exit: None,
            late: self.bits & 16 != 0,
            clock_doubtful: self.bits & 32 != 0,
        }
    }
}

fn field<const AT: usize, const BYTES: usize>(packed: &[u8; STAY_BYTES]) -> [u8; BYTES] {
    packed.get(AT..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; BYTES])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row() -> impl Strategy<Value = (i32, Passage, bool)> {
        (-20_000..20_000i32, any::<u64>(), -90_000_000..90_000_000i64, any::<(bool, bool, bool, bool)>()).prop_map(
            |(day, number, ms, (out, late, clock_doubtful, passed))| {
                let at = Instant::from_unix_ms(i64::from(day) * DAY_MS + ms);
                let direction = if out { Direction::Out } else { Direction::In };
                (
                    day,
                    Passage { number, at, zone: "b".into(), door: "a".into(), direction, late, clock_doubtful },
                    passed,
                )
            },
        )
    }

    proptest! {
        #[test]
        fn a_packed_sighting_reads_back((day, passage, passed) in row()) {
            let row = Row::new(day, &passage, passed, 0, 1);
            let value = encode(RowKey(1, 2, 3), &vec![row]).unwrap();
            let read: Vec<Row> = decode(RowKey(1, 2, 3), &value).unwrap();
            prop_assert_eq!(&read, &[row]);
            prop_assert_eq!((read[0].passed(), read[0].passage(day, &["a".into(), "b".into()]).unwrap()), (passed, passage));
        }

        #[test]
        fn a_packed_stay_reads_back(
            person: u64, day in -9_000..30_000i32, order: u16, times: [i32; 4], arrival in 0..3usize, evidence in 0..4usize,
            late: bool, clock_doubtful: bool,
        ) {
            let at = |time: i32| Instant::from_unix_ms(i64::from(day) * DAY_MS + i64::from(time));
            let stay = Stay {
                zone: "main".into(),
                from: Bounds { earliest: at(times[0]), latest: at(times[1]) },
                arrival: [Arrival::Entry, Arrival::Return, Arrival::Unseen][arrival],
                to: Bounds { earliest: at(times[2]), latest: at(times[3]) },
                evidence: [Evidence::Exit, Evidence::NextDoor, Evidence::Rule, Evidence::Inside][evidence],
                entry: None,
                exit: None,
                late,
                clock_doubtful,
            };
            let filed = Filed { person, day, order, stay };
            let mut bytes = Vec::new();
            filed.pack(&mut bytes).unwrap();
            let read: Vec<_> = PackedStay::all(day, &bytes).unwrap().collect();
            prop_assert_eq!(read[0].interval(), (at(times[0]).unix_ms(), at(times[3]).unix_ms()));
            prop_assert_eq!((read[0].person, read[0].day, read[0].order), (person, day, order));
            prop_assert_eq!(read.into_iter().map(|stay| stay.read(&"main".into())).collect::<Vec<_>>(), [filed.stay]);
            prop_assert!(PackedStay::all(day, &bytes[1..]).is_err());
        }

        #[test]
        fn a_flipped_bit_or_another_place_is_noticed(content: Vec<u8>, bit: usize) {
            let mut value = with_checksum(RowKey(1, -2, 3), &content);
            prop_assert_eq!(checked(RowKey(1, -2, 3), &value).unwrap(), (checksum_of(&value), &content[..]));
            for other in [RowKey(2, -2, 3), RowKey(1, 2, 3), RowKey(1, -2, 4)] {
                prop_assert!(checked(other, &value).is_err());
            }
            let bit = bit % (value.len() * 8);
            value[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(checked(RowKey(1, -2, 3), &value).is_err());
        }
    }
}
