//! Whatever is shown, nothing panics, and nothing that was changed is valid.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;

use super::makers::{HealthSigner, health_payload, health_text, key, new_pass, now, trusting, vaccination, zlib};
use crate::passes::{Passes, SigningAlgorithm, SigningKey, base45, cbor, inspect};

static SIGNER: LazyLock<HealthSigner> = LazyLock::new(|| HealthSigner::new(&[]));
static KEY: LazyLock<SigningKey> = LazyLock::new(|| key(SigningAlgorithm::Ed25519, b"key-1"));
static PASSES: LazyLock<Passes> = LazyLock::new(|| Passes { health: SIGNER.trusted().health, ..trusting(&KEY) });

/// A change to a list: one place altered, left out, repeated, or cut.
#[derive(Clone, Debug)]
enum Change<T> {
    Put(usize, T),
    Insert(usize, T),
    Remove(usize),
    Cut(usize),
    Repeat(usize, usize),
}

fn change<T: Clone + std::fmt::Debug + 'static>(item: BoxedStrategy<T>) -> impl Strategy<Value = Change<T>> {
    let at = any::<usize>();
    prop_oneof![
        (at, item.clone()).prop_map(|(at, item)| Change::Put(at, item)),
        (at, item).prop_map(|(at, item)| Change::Insert(at, item)),
        at.prop_map(Change::Remove),
        at.prop_map(Change::Cut),
        (at, 1..64_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
    ]
}

fn apply<T: Clone>(list: &mut Vec<T>, change: Change<T>) {
    let place = |at: usize| at % list.len().max(1);
    match change {
        _ if list.is_empty() => {}
        Change::Put(at, item) => {
            let at = place(at);
            list[at] = item;
        }
        Change::Insert(at, item) => list.insert(place(at), item),
        Change::Remove(at) => drop(list.remove(place(at))),
        Change::Cut(at) => list.truncate(place(at)),
        Change::Repeat(at, count) => {
            let at = place(at);
            let item = list[at].clone();
            list.splice(at..at, std::iter::repeat_n(item, count));
        }
    }
}

/// Bytes that mean something in CBOR, besides any.
fn cbor_byte() -> BoxedStrategy<u8> {
    prop_oneof![
        any::<u8>(),
        prop::sample::select(vec![0x9f, 0xbf, 0xff, 0x5f, 0x7f, 0xd2, 0xd8, 0xf6, 0x9b, 0xbb, 0xa0])
    ]
    .boxed()
}

fn is_valid(text: &str) -> bool {
    drop(inspect(text));
    PASSES.check(text, now()).is_some_and(|checked| checked.fault.is_none())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_string_makes_it_panic(text in "\\PC{0,200}", prefix in prop::sample::select(vec!["", "GP1:", "HC1:"])) {
        let shown = format!("{prefix}{text}");
        prop_assert!(!is_valid(&shown));
    }

    #[test]
    fn no_base45_makes_it_panic(
        text in "[0-9A-Z $%*+./:-]{0,400}",
        prefix in prop::sample::select(vec!["GP1:", "HC1:"]),
    ) {
        let shown = format!("{prefix}{text}");
        prop_assert!(!is_valid(&shown));
    }

    #[test]
    fn no_bytes_make_the_cbor_reader_panic(bytes in vec(cbor_byte(), 0..300)) {
        prop_assert!(cbor::parse(&bytes).is_ok() || cbor::parse(&bytes).is_err());
        let shown = format!("GP1:{}", base45::encode(&bytes));
        prop_assert!(!is_valid(&shown));
        prop_assert!(!is_valid(&health_text(&bytes)));
    }

    #[test]
    fn no_changed_text_is_valid(changes in vec(change("[0-9A-Z $%*+./:-]".prop_map(|c| c.chars().next().unwrap()).boxed()), 1..4)) {
        let good = KEY.issue(&new_pass()).unwrap();
        let mut text: Vec<char> = good.chars().collect();
        changes.into_iter().for_each(|change| apply(&mut text, change));
        let text: String = text.into_iter().collect();
        prop_assert!(text == good || !is_valid(&text));
    }

    #[test]
    fn no_changed_pass_is_valid(changes in vec(change(cbor_byte()), 1..4)) {
        let good = base45::decode(KEY.issue(&new_pass()).unwrap().trim_start_matches("GP1:")).unwrap();
        let mut bytes = good.clone();
        changes.into_iter().for_each(|change| apply(&mut bytes, change));
        let shown = format!("GP1:{}", base45::encode(&bytes));
        prop_assert!(bytes == good || !is_valid(&shown));
    }

    #[test]
    fn no_changed_compressed_certificate_makes_it_panic(changes in vec(change(any::<u8>().boxed()), 1..4)) {
        let mut bytes = zlib(&SIGNER.sign(health_payload(&vaccination(2, 2, 30))));
        changes.into_iter().for_each(|change| apply(&mut bytes, change));
        // A zlib stream has many forms, some of which inflate to the very same message.
        is_valid(&format!("HC1:{}", base45::encode(&bytes)));
    }

    #[test]
    fn no_signed_nonsense_makes_it_panic(changes in vec(change(cbor_byte()), 1..6)) {
        let mut claims = health_payload(&vaccination(2, 2, 30));
        changes.clone().into_iter().for_each(|change| apply(&mut claims, change));
        is_valid(&health_text(&SIGNER.sign(claims)));
        let mut claims = new_pass().payload();
        changes.into_iter().for_each(|change| apply(&mut claims, change));
        is_valid(&KEY.sign(claims).unwrap());
    }
}
