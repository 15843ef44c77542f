//! How many events the next batch may have: fewer after a refusal, until what is refused stands alone.

/// The next batch's size, in events.
#[derive(Debug)]
pub(super) struct BatchSize {
    events_max: usize,
    /// What the upstream takes at once, as far as it has said so with 413.
    fitting: usize,
    /// Events at the front of the queue among which is one that the upstream refuses; 0 when none is known.
    suspects: usize,
}

impl BatchSize {
    /// Starts with `events_max`, the most that there will ever be.
    pub(super) fn new(events_max: usize) -> Self {
        Self { events_max, fitting: events_max, suspects: 0 }
    }

    /// How many to send; at least 1.
    pub(super) fn next(&self) -> usize {
        let events = if self.suspects == 0 { self.fitting } else { self.fitting.min(self.suspects / 2) };
        events.max(1)
    }

    /// The first `events` in the queue are upstream.
    pub(super) fn accepted(&mut self, events: usize) {
        if self.suspects > 0 {
            self.suspects = self.suspects.saturating_sub(events);
        } else {
            // Slowly, because an upstream with a fixed limit refuses every attempt to go beyond it.
            self.fitting = self.events_max.min(self.fitting + self.fitting / 16 + 1);
        }
    }

    /// The first `events` in the queue, more than one, were refused for what is in them.
    pub(super) fn refused(&mut self, events: usize) {
        self.suspects = events;
    }

    /// The first `events` in the queue, more than one, were refused for their size.
    pub(super) fn too_large(&mut self, events: usize) {
        self.fitting = (events / 2).max(1);
    }

    /// The first event in the queue was refused alone, and is passed over.
    pub(super) fn isolated(&mut self) {
        *self = Self::new(self.events_max);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Sends `events` to an upstream that refuses `bad` ones and more than `fitting` at once; gives the ones that ended
    /// alone and refused, and the number of batches.
    fn play(events: usize, events_max: usize, fitting: usize, bad: &BTreeSet<usize>) -> (BTreeSet<usize>, usize) {
        let (mut size, mut cursor, mut isolated, mut batches) = (BatchSize::new(events_max), 0, BTreeSet::new(), 0);
        while cursor < events {
            let sent = size.next().min(events - cursor);
            assert!((1..=events_max).contains(&sent));
            batches += 1;
            assert!(batches < 100_000);
            if sent > fitting {
                size.too_large(sent);
            } else if bad.range(cursor..cursor + sent).next().is_none() {
                size.accepted(sent);
                cursor += sent;
            } else if sent > 1 {
                size.refused(sent);
            } else {
                isolated.insert(cursor);
                size.isolated();
                cursor += 1;
            }
        }
        (isolated, batches)
    }

    #[test]
    fn one_bad_event_in_a_batch_takes_a_binary_search() {
        for bad in [0, 1, 255, 256, 300, 511] {
            let (isolated, batches) = play(512, 512, 512, &BTreeSet::from([bad]));
            assert_eq!(isolated, BTreeSet::from([bad]));
            assert!(batches <= 2 + 2 * 9, "{bad}: {batches}");
        }
    }

    #[test]
    fn an_upstream_with_a_smaller_limit_is_rarely_asked_for_more() {
        let (isolated, batches) = play(100_000, 500, 100, &BTreeSet::new());
        assert!(isolated.is_empty());
        assert!(batches < 2 * 1_000, "{batches}");
    }

    proptest! {
        #[test]
        fn exactly_the_bad_events_are_isolated(
            events_max in 1..200usize,
            fitting in 1..200usize,
            bad in proptest::collection::btree_set(0..500usize, 0..20),
        ) {
            let (isolated, _) = play(500, events_max, fitting, &bad);
            prop_assert_eq!(isolated, bad);
        }
    }
}
