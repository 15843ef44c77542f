//! Whatever happens to the file, the ledgers agree with the pure core again.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::house::{compare, past, question};

#[derive(Clone, Debug)]
enum Harm {
    Flip(Vec<(usize, u8)>),
    Cut(usize),
    Delete,
    Another(Vec<u8>),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        6 => prop::collection::vec((any::<usize>(), 1..=255u8), 1..200).prop_map(Harm::Flip),
        1 => any::<usize>().prop_map(Harm::Cut),
        1 => Just(Harm::Delete),
        1 => prop::collection::vec(any::<u8>(), 1..5_000).prop_map(Harm::Another),
    ]
}

impl Harm {
    fn do_to(&self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        match self {
            Self::Flip(flips) => {
                // Most of a small file is empty.
                let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
                for (at, bits) in flips {
                    bytes[used[at % used.len()]] ^= bits;
                }
            }
            Self::Cut(length) => bytes.truncate(length % bytes.len()),
            Self::Another(content) => bytes.clone_from(content),
            Self::Delete => return fs::remove_file(path).unwrap(),
        }
        fs::write(path, bytes).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_damaged_file_is_made_anew(past in past(), ask in question(), harm in harm()) {
        let mut house = past.house();
        house.log.append(&past.events);
        house.rest();
        house.restart(|path| harm.do_to(path));
        house.rest();
        compare(&house.views, &past, &past.rules(), &ask)?;
    }
}
