//! Chance that repeats: every number is hashed from a seed and from what it is for.

/// A source of numbers that depend on nothing but the seed and the question.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    seed: u64,
}

/// What a number is for; two purposes never share their numbers.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// When a scan arrives within its slot.
    Arrival = 1,
    /// What kind of scan it is.
    Kind,
    /// Which badge is shown.
    Badge,
    /// Which way the person goes.
    Direction,
    /// How a malformed scan is malformed.
    Damage,
    /// Whether and which scan is sent a second time.
    Duplicate,
    /// When a reader loses its connection.
    Reconnect,
    /// How long a reader waits before it tries again.
    Pause,
    /// Which people the demo invents.
    Person,
    /// Whether the upstream does something wrong.
    Fault,
    /// What somebody of the staff is, for the whole of a history.
    Staff,
    /// What somebody does on one day of a history.
    Day,
    /// Which scans of a history are missed, and which are made twice.
    Slip,
    /// Which readers of a history have a clock that is off.
    ReaderClock,
    /// Whom a history is asked about.
    Question,
}

impl Chance {
    /// Numbers of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The number for the `n`th question of `purpose` that `reader` has.
    pub const fn number(self, purpose: Purpose, reader: u64, n: u64) -> u64 {
        mixed(mixed(mixed(self.seed ^ ((purpose as u64) << 56)).wrapping_add(reader)).wrapping_add(n))
    }

    /// Such a number below `bound`, and 0 when `bound` is 0.
    pub const fn below(self, bound: u64, purpose: Purpose, reader: u64, n: u64) -> u64 {
        if bound == 0 { 0 } else { self.number(purpose, reader, n) % bound }
    }

    /// Such a number in `0.0..1.0`.
    pub fn unit(self, purpose: Purpose, reader: u64, n: u64) -> f64 {
        // The upper 53 bits are what a double holds exactly.
        (self.number(purpose, reader, n) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014) after one step of its counter.
const fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_repeats_and_another_does_not() {
        let number = |seed, n| Chance::new(seed).number(Purpose::Kind, 3, n);
        assert_eq!(number(7, 1), number(7, 1));
        assert_ne!(number(7, 1), number(8, 1));
        assert_ne!(number(7, 1), number(7, 2));
    }

    #[test]
    fn numbers_are_spread_evenly() {
        let chance = Chance::new(1);
        let mut counts = [0u32; 10];
        for n in 0..10_000 {
            let unit = chance.unit(Purpose::Arrival, n % 7, n);
            assert!((0.0..1.0).contains(&unit));
            counts[usize::try_from(chance.below(10, Purpose::Badge, n % 7, n)).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
