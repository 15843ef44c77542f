//! Intervals of time in common, and how much of them falls into any 24 hours.

/// From when until when, in Unix milliseconds, the end left out.
pub type Interval = (i64, i64);

/// The window in which minutes add up, in milliseconds.
pub const WINDOW_MS: i64 = 24 * 3_600_000;

/// Calls `pair` with each source and each target whose intervals overlap. Both are sorted by interval; it takes as long as there
/// are items and pairs.
pub fn overlaps<'t, T>(
    mut sources: &[&'t T],
    mut targets: &'t [T],
    interval: impl Fn(&T) -> Interval,
    mut pair: impl FnMut(&T, &T),
) {
    // Those that have begun. Whoever has ended is taken out once, and whoever has not makes a pair.
    let mut open_sources: Vec<(i64, &T)> = Vec::new();
    let mut open_targets: Vec<(i64, &T)> = Vec::new();
    loop {
        let (source, target) = (sources.split_first(), targets.split_first());
        match (source, target) {
            (Some((source, rest)), next) if next.is_none_or(|(target, _)| interval(source).0 <= interval(target).0) => {
                let (from, to) = interval(source);
                open_targets.retain(|(end, _)| *end > from);
                open_targets.iter().for_each(|(_, target)| pair(source, target));
                open_sources.push((to, source));
                sources = rest;
            }
            (_, Some((target, rest))) => {
                let (from, to) = interval(target);
                open_sources.retain(|(end, _)| *end > from);
                open_sources.iter().for_each(|(_, source)| pair(source, target));
                open_targets.push((to, target));
                targets = rest;
            }
            (_, None) => return,
        }
    }
}

/// The intervals with those that overlap or touch made one, in order.
pub fn union(intervals: impl IntoIterator<Item = Interval>) -> Vec<Interval> {
    let mut sorted: Vec<Interval> = intervals.into_iter().filter(|(from, to)| from < to).collect();
    sorted.sort_unstable();
    let mut union: Vec<Interval> = Vec::with_capacity(sorted.len());
    for (from, to) in sorted {
        match union.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => union.push((from, to)),
        }
    }
    union
}

/// The most of a [`union`] that falls into any 24 hours, in milliseconds.
pub fn rolling_max(union: &[Interval]) -> i64 {
    // While an interval lasts, the hours that end now hold more and more: the most is held at the end of one.
    union.iter().map(|(_, end)| within(union, *end)).max().unwrap_or(0)
}

/// The first moment at which the 24 hours before it hold `threshold_ms`, which is at least 1.
pub fn reached_at(union: &[Interval], threshold_ms: i64) -> Option<i64> {
    let (mut before, mut reached) = *union.iter().find(|(_, end)| within(union, *end) >= threshold_ms)?;
    while before + 1 < reached {
        let middle = before + (reached - before) / 2;
        if within(union, middle) >= threshold_ms { reached = middle } else { before = middle }
    }
    Some(reached)
}

/// How much falls into the 24 hours before `end`, in milliseconds.
fn within(union: &[Interval], end: i64) -> i64 {
    let start = end.saturating_sub(WINDOW_MS);
    let first = union.partition_point(|(_, to)| *to <= start);
    let window = union.iter().skip(first).take_while(|(from, _)| *from < end);
    window.map(|(from, to)| (*to).min(end) - (*from).max(start)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn intervals(count: usize) -> impl Strategy<Value = Vec<Interval>> {
        prop::collection::vec((0..2_400i64, 0..900i64), 0..count)
            .prop_map(|pairs| pairs.into_iter().map(|(from, length)| (from, from + length)).collect())
    }

    /// Minutes 0 to 3,300, each in or out.
    fn minutes(intervals: &[Interval]) -> Vec<bool> {
        (0..3_300).map(|minute| intervals.iter().any(|(from, to)| (*from..*to).contains(&minute))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_overlapping_pair_is_found_once(items in intervals(30), sources in 0..8usize) {
            let numbered: Vec<(usize, Interval)> =
                items.into_iter().filter(|(from, to)| from < to).enumerate().collect();
            let is_source = |item: &(usize, Interval)| item.0 % 8 < sources;
            let is_target = |item: &(usize, Interval)| !is_source(item) && !item.0.is_multiple_of(3);
            let mut found = Vec::new();
            let mut sorted = numbered.clone();
            sorted.sort_by_key(|item| item.1);
            let sources: Vec<_> = sorted.iter().filter(|item| is_source(item)).collect();
            let targets: Vec<_> = sorted.iter().filter(|item| is_target(item)).copied().collect();
            overlaps(&sources, &targets, |item| item.1, |one, other| found.push((one.0, other.0)));
            let mut expected = Vec::new();
            for one in numbered.iter().filter(|item| is_source(item)) {
                for other in numbered.iter().filter(|item| is_target(item)) {
                    if one.1.0 < other.1.1 && other.1.0 < one.1.1 {
                        expected.push((one.0, other.0));
                    }
                }
            }
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn any_24_hours_are_found_as_by_counting_minutes(items in intervals(8), threshold in 1..800i64) {
            let minutes = minutes(&items);
            let scaled = union(items.into_iter().map(|(from, to)| (from * 60_000, to * 60_000)));
            let count = |end: usize| minutes[end.saturating_sub(1_440)..end].iter().filter(|minute| **minute).count();
            let ends = || 0..=minutes.len();
            prop_assert_eq!(rolling_max(&scaled), i64::try_from(ends().map(count).max().unwrap()).unwrap() * 60_000);
            let first = ends().find(|end| count(*end) >= usize::try_from(threshold).unwrap());
            prop_assert_eq!(
                reached_at(&scaled, threshold * 60_000),
                first.map(|end| i64::try_from(end).unwrap() * 60_000)
            );
        }
    }
}
