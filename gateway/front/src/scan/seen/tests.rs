//! A scan is never taken for another, whatever order scans come in, and gaps are counted for as long as they matter.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::{Direction, Instant};

use super::*;

fn id(epoch: u32, seq: u64) -> ScanId {
    ScanId { epoch, seq }
}

/// What scan `look` looks like.
fn looks(look: u8) -> Fingerprint {
    let (credential, scanned_at) = (Some(CredentialHash([look; 16])), Instant::from_unix_ms(0));
    Fingerprint::Scan { credential, scanned_at, direction: Direction::In }
}

/// Everything that was ever kept: the event of each scan by its number and its look.
#[derive(Default)]
struct Model(BTreeMap<(ScanId, u8), u64>);

impl Model {
    fn of(&self, id: ScanId) -> impl Iterator<Item = (u8, u64)> {
        self.0.range((id, 0)..=(id, u8::MAX)).map(|((_, look), event)| (*look, *event))
    }

    /// What a search through an event finds: the scan's own event, or what else there is.
    fn search(&self, id: ScanId, look: u8, through: u64) -> Result<u64, Searched> {
        let seen = |(_, event): &(u8, u64)| *event <= through;
        let own = self.of(id).filter(seen).find(|(of, _)| *of == look);
        let others = self.of(id).any(|of| seen(&of));
        own.map(|(_, event)| event).ok_or(Searched { through, others, unverified: false, whole: true })
    }
}

proptest! {
    #[test]
    fn a_scan_is_never_mistaken(
        scans in proptest::collection::vec((0..20u32, prop_oneof![0..60u64, 0..100_000u64], 0..3u8), 0..600),
    ) {
        let (mut seen, mut log) = (Seen::default(), Model::default());
        for (number, (epoch, seq, look)) in (1..).zip(scans) {
            let id = id(epoch, seq);
            let (known, used) = (log.0.get(&(id, look)).copied(), log.of(id).next().is_some());
            match seen.lookup(id, &looks(look), Searched::default()) {
                Lookup::Fresh => prop_assert!(!used),
                Lookup::Seen(event) => prop_assert_eq!(Some(event), known),
                Lookup::Reused => prop_assert!(used && known.is_none()),
                Lookup::Unverified => prop_assert!(false, "nothing was forgotten on purpose"),
                Lookup::Unknown => {}
            }
            if known.is_none() {
                log.0.insert((id, look), number);
                seen.remember(id, number, looks(look));
            }
            prop_assert!(seen.epochs.len() <= EPOCHS_MAX && seen.recent.len() <= RECENT_MAX);
            prop_assert!(seen.epochs.values().all(|epoch| epoch.ranges.len() <= RANGES_MAX));
        }
    }

    /// Searches of the log end some events before their answers arrive; by then it may have been sent again.
    #[test]
    fn what_was_searched_for_is_kept_once(
        scans in proptest::collection::vec((0..30u32, 0..40u64, 0..2u8, 0..200u64), 0..600),
    ) {
        let (mut seen, mut log) = (Seen::default(), Model::default());
        for (number, (epoch, seq, look, delay)) in (1u64..).zip(scans) {
            let id = id(epoch, seq);
            let known = log.0.get(&(id, look)).copied();
            let used = log.of(id).next().is_some();
            let mut searched = log.search(id, look, number.saturating_sub(1 + delay));
            // One search more where the first did not go far enough.
            let lookup = loop {
                match searched {
                    Ok(event) => break Lookup::Seen(event),
                    Err(found) => match seen.lookup(id, &looks(look), found) {
                        Lookup::Unknown => searched = log.search(id, look, number - 1),
                        lookup => break lookup,
                    },
                }
            };
            match (lookup, known) {
                (Lookup::Seen(event), Some(known)) => prop_assert_eq!(event, known),
                (Lookup::Fresh, None) => prop_assert!(!used),
                (Lookup::Reused, None) => prop_assert!(used),
                (lookup, known) => prop_assert!(false, "{:?} although the log says {:?}", lookup, known),
            }
            if known.is_none() {
                log.0.insert((id, look), number);
                seen.remember(id, number, looks(look));
            }
        }
    }

    #[test]
    fn a_reader_that_counts_is_never_unknown(epochs in 1..4u32, seqs in 1..400u64, swaps in proptest::collection::vec(0..400usize, 0..50)) {
        let mut order: Vec<_> = (0..epochs).flat_map(|epoch| (0..seqs).map(move |seq| id(epoch, seq))).collect();
        for at in swaps {
            let last = order.len() - 1;
            order.swap(at.min(last), (at + 1).min(last));
        }
        let mut seen = Seen::default();
        for (number, id) in (1..).zip(&order) {
            prop_assert_eq!(seen.lookup(*id, &looks(1), Searched::default()), Lookup::Fresh);
            seen.remember(*id, number, looks(1));
        }
        prop_assert_eq!(seen.missing(), 0);
        prop_assert_eq!(seen.highest(), Some(id(epochs - 1, seqs - 1)));
    }

    #[test]
    fn what_is_restored_knows_the_same_scans(scans in proptest::collection::vec((0..12u32, 0..500u64), 0..300)) {
        let mut seen = Seen::default();
        for (number, (epoch, seq)) in (1..).zip(&scans) {
            seen.remember(id(*epoch, *seq), number, looks(1));
        }
        let mut restored: Seen = minicbor::decode(&minicbor::to_vec(&seen).unwrap()).unwrap();
        restored.restored_through(scans.len() as u64);
        for (epoch, seq) in scans.iter().copied().chain([(13, 1), (0, 501)]) {
            let lookup = |seen: &Seen| seen.lookup(id(epoch, seq), &looks(1), Searched::default());
            let as_before = lookup(&seen) == lookup(&restored);
            // The newest scans are known by their events until the restart.
            let before = matches!(lookup(&seen), Lookup::Seen(_) | Lookup::Fresh);
            prop_assert!(as_before || (before && lookup(&restored) == Lookup::Unknown));
            if !scans.contains(&(epoch, seq)) {
                continue;
            }
            let searched = Searched { through: scans.len() as u64, others: true, ..Searched::default() };
            prop_assert_eq!(restored.lookup(id(epoch, seq), &looks(2), searched), Lookup::Reused);
            prop_assert_eq!(restored.highest(), seen.highest());
        }
    }
}

#[test]
fn nobody_can_tell_what_is_erased_or_gone() {
    let mut seen = Seen::default();
    seen.remember(id(1, 1), 1, looks(1));
    seen.remember(id(1, 2), 2, looks(2));
    seen.forget(&[CredentialHash([1; 16])]);
    let lookup = |seq, look| seen.lookup(id(1, seq), &looks(look), Searched::default());
    assert_eq!((lookup(1, 1), lookup(1, 9)), (Lookup::Unverified, Lookup::Unverified));
    assert_eq!((lookup(2, 2), lookup(2, 1)), (Lookup::Seen(2), Lookup::Reused));
    // Another instant is another scan, whoever it was.
    let later = Fingerprint::Scan {
        credential: Some(CredentialHash([1; 16])),
        scanned_at: Instant::from_unix_ms(1),
        direction: Direction::In,
    };
    assert_eq!(seen.lookup(id(1, 1), &later, Searched::default()), Lookup::Reused);

    seen.recent.clear();
    seen.restored_through(2);
    let searched = |others, unverified, whole| {
        seen.lookup(id(1, 1), &looks(1), Searched { through: 2, others, unverified, whole })
    };
    assert_eq!(searched(false, true, true), Lookup::Unverified);
    assert_eq!(searched(false, false, true), Lookup::Unverified);
    assert_eq!(searched(true, false, true), Lookup::Reused);
    assert_eq!(searched(false, false, false), Lookup::Reused);
}

#[test]
fn gaps_are_counted_until_they_are_filled() {
    let mut seen = Seen::default();
    for (event, seq) in (1..).zip([10, 11, 15, 20]) {
        seen.remember(id(1, seq), event, looks(1));
    }
    assert_eq!(seen.missing(), 3 + 4);
    seen.remember(id(1, 13), 5, looks(1));
    assert_eq!(seen.missing(), 2 + 4);
    for (event, seq) in (6..).zip([12, 14, 16, 17, 18, 19]) {
        seen.remember(id(1, seq), event, looks(1));
    }
    assert_eq!(seen.missing(), 0);
}

#[test]
fn an_acknowledged_gap_counts_no_more_and_its_scans_are_still_new() {
    let mut seen = Seen::default();
    for (event, (epoch, seq)) in (1..).zip([(1, 1), (1, 9), (2, 1), (2, 4), (2, 5), (2, 20)]) {
        seen.remember(id(epoch, seq), event, looks(1));
    }
    assert_eq!(seen.missing(), 7 + 2 + 14);
    seen.acknowledge();
    assert_eq!(seen.missing(), 0);
    let lookup = |seen: &Seen, epoch, seq| seen.lookup(id(epoch, seq), &looks(1), Searched::default());
    assert_eq!((lookup(&seen, 1, 5), lookup(&seen, 2, 4)), (Lookup::Fresh, Lookup::Seen(4)));
    // One of them comes after all: what is around it is still known to be missing.
    seen.remember(id(1, 5), 7, looks(1));
    seen.remember(id(2, 10), 8, looks(1));
    assert_eq!((seen.missing(), lookup(&seen, 1, 5)), (0, Lookup::Seen(7)));
    // What is missed from now on counts.
    seen.remember(id(2, 23), 9, looks(1));
    assert_eq!(seen.missing(), 2);
    let kept: Seen = minicbor::decode(&minicbor::to_vec(&seen).unwrap()).unwrap();
    assert_eq!(kept.missing(), 2);
}

#[test]
fn what_was_forgotten_is_not_missing_when_some_of_it_comes() {
    let mut seen = Seen::default();
    for (event, seq) in (1..).zip((0..=RANGES_MAX as u64).map(|gap| 1_000 + 10 * gap)) {
        seen.remember(id(1, seq), event, looks(1));
    }
    let missing = seen.missing();
    seen.remember(id(1, 1), 1_000, looks(1));
    assert_eq!(seen.missing(), missing);
}

#[test]
fn the_newest_scans_are_known_by_their_event() {
    let mut seen = Seen::default();
    for seq in 0..=RECENT_MAX as u64 {
        seen.remember(id(1, seq), 100 + seq, looks(1));
    }
    let lookup = |seq, look| seen.lookup(id(1, seq), &looks(look), Searched::default());
    assert_eq!((lookup(0, 1), lookup(0, 2)), (Lookup::Unknown, Lookup::Unknown));
    assert_eq!((lookup(1, 1), lookup(500, 1)), (Lookup::Seen(101), Lookup::Fresh));
}
