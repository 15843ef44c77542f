//! What is wrong with a door's reader, and what to do about it. Each problem is over an hour after it last showed, or
//! when an operator has acknowledged it.

use jiff::tz::TimeZone;
use protocol::api::{DoorRow, Problem, Severity};
use protocol::{DoorId, Instant};

use super::certificates::ends_soon;
use front::doors::{Contested, DoorPresence};
use front::scan::{DoorScanStatus, Occurrences};

/// Problems of doors that are told one by one; of more, only the number.
const TOLD_MAX: usize = 20;

/// Two clocks that differ by a time zone differ by it to this, in milliseconds.
const ZONE_SLACK_MS: i64 = 300_000;

/// What is wrong with a door's reader.
pub(super) fn of_door(door: &DoorId, scans: &DoorScanStatus, zone: &TimeZone, now: Instant) -> Vec<Problem> {
    let lasting = |what: Option<Occurrences>| what.filter(|what| !what.is_over(now));
    let told = |what, Occurrences { first_at, .. }: Occurrences, message: String| {
        Problem::new(Severity::Warning, what, format!("door {door}: {message}"), Some(first_at))
    };
    let reused = lasting(scans.reused_numbers).map(|what| {
        let Occurrences { count, .. } = what;
        let message = format!(
            "{count} scans came under numbers that other scans had; they are kept and decided by themselves. Its reader has \
             lost its counter, or two readers use one: let it go on behind the epoch and seq of its config message"
        );
        told("reader-numbers", what, message)
    });
    let undated = lasting(scans.undated).map(|what| told("reader-clock", what, clock_message(scans, zone, now)));
    let malformed = lasting(scans.malformed).map(|what| {
        let Occurrences { count, last_at, .. } = what;
        let fault = scans.malformed_fault.as_deref().unwrap_or("unknown");
        let message = format!(
            "{count} payloads were no scans, the last at {last_at}: {fault}. Mend its reader; see the reader integrator's guide"
        );
        told("reader-payload", what, message)
    });
    [reused, undated, malformed].into_iter().flatten().collect()
}

/// What is wrong with the identity of a door's reader: used by two, or about to expire.
pub(super) fn of_identity(door: &DoorPresence, now: Instant) -> impl Iterator<Item = Problem> {
    let DoorPresence { door, contested, certificate_not_after, .. } = door;
    let contested = contested.filter(|contested| !contested.takeovers.is_over(now));
    let contested = contested.map(|Contested { takeovers, addresses: [new, old] }| {
        let Occurrences { count, first_at, last_at } = takeovers;
        let from = if new == old { format!("both from {new}") } else { format!("from {new} and {old}") };
        let message = format!(
            "door {door}: two readers use the identity of door {door}, or its reader cannot stay connected: {count} times a new \
             connection has ended the one before, the last at {last_at}, {from}. Give each reader a certificate of its own \
             (gapura door add), and take this one off the other"
        );
        Problem::new(Severity::Warning, "reader-identity", message, Some(first_at))
    });
    let ends = certificate_not_after.filter(|ends| ends_soon(*ends, now));
    let ends = ends.map(|ends| {
        let ends = if ends < now { format!("has expired at {ends}") } else { format!("expires at {ends}") };
        let message = format!(
            "door {door}: the certificate of its reader {ends}; then it is not let in. Renew it (gapura door renew {door}) and \
             put it on the reader"
        );
        Problem::new(Severity::Warning, "reader-certificate", message, None)
    });
    contested.into_iter().chain(ends)
}

/// The problems of all doors, as far as they are told one by one.
pub(super) fn of_all(doors: &[DoorRow]) -> impl Iterator<Item = Problem> {
    let all = || doors.iter().flat_map(|door| &door.problems);
    let more = all().count().saturating_sub(TOLD_MAX);
    let more = (more > 0).then(|| {
        let message = format!("{more} more problems of readers are told with their doors");
        Problem::new(Severity::Warning, "doors", message, None)
    });
    all().take(TOLD_MAX).cloned().chain(more)
}

fn clock_message(scans: &DoorScanStatus, zone: &TimeZone, now: Instant) -> String {
    let off_ms = scans.undated_by_ms;
    let zone_ms = i64::from(zone.to_offset(now.timestamp()).seconds()) * 1_000;
    let clock = match off_ms {
        None => "the times of its scans cannot be read".to_owned(),
        Some(off_ms) => format!("its reader's clock is {} the gateway's", apart(off_ms)),
    };
    let looks_local = zone_ms != 0 && off_ms.is_some_and(|off_ms| (off_ms - zone_ms).abs() <= ZONE_SLACK_MS);
    let remedy = if looks_local {
        "It looks as if it sent local time as UTC: let it write the offset behind the time, or send UTC"
    } else {
        "Set its clock, or let it publish a status with its time (at) when it connects"
    };
    format!("{clock}, and nobody can tell a scan that it has held back from one that was just made. {remedy}")
}

/// How far one clock is from another, in words.
fn apart(off_ms: i64) -> String {
    let seconds = off_ms.unsigned_abs() / 1_000;
    let (count, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7_200 => (seconds / 60, "min"),
        7_200..172_800 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    let way = if off_ms > 0 { "ahead of" } else { "behind" };
    format!("{count} {unit} {way}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_unix_ms(1_795_390_264_000 + seconds * 1_000)
    }

    fn messages(scans: &DoorScanStatus, now: Instant) -> Vec<String> {
        let zone = TimeZone::get("Asia/Makassar").unwrap();
        of_door(&"main-in".parse().unwrap(), scans, &zone, now).into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn each_problem_names_the_door_and_the_remedy_and_ends() {
        let some = Some(Occurrences { count: 3, first_at: at(0), last_at: at(10) });
        let scans = DoorScanStatus {
            reused_numbers: some,
            malformed: some,
            malformed_fault: Some("\"credential\" is empty".into()),
            undated: some,
            undated_by_ms: Some(8 * 3_600_000 - 700),
            ..DoorScanStatus::default()
        };
        let told = messages(&scans, at(3_610));
        assert_eq!(told.len(), 3);
        assert!(told.iter().all(|message| message.starts_with("door main-in: ")));
        assert!(told[0].contains("3 scans came under numbers") && told[0].contains("epoch and seq of its config"));
        assert!(told[1].contains("7 h ahead of the gateway's") && told[1].contains("local time as UTC"), "{}", told[1]);
        assert!(told[2].contains("\"credential\" is empty"));
        assert!(messages(&scans, at(3_611)).is_empty());
    }

    #[test]
    fn a_clock_is_told_as_far_as_it_is_known() {
        let some = Some(Occurrences { count: 1, first_at: at(0), last_at: at(0) });
        for (off_ms, words) in [
            (Some(-56 * 365 * 86_400_000), "20440 days behind the gateway's"),
            (Some(-90_000), "90 s behind"),
            (Some(600_000), "10 min ahead of"),
            (None, "cannot be read"),
        ] {
            let scans = DoorScanStatus { undated: some, undated_by_ms: off_ms, ..DoorScanStatus::default() };
            let told = messages(&scans, at(0));
            assert!(told[0].contains(words) && told[0].contains("publish a status"), "{}", told[0]);
        }
    }

    #[test]
    fn an_identity_that_two_use_or_that_ends_is_told_with_the_remedy() {
        let takeovers = Occurrences { count: 60, first_at: at(0), last_at: at(6) };
        let addresses = ["10.0.0.7", "10.0.0.9"].map(|address| address.parse().unwrap());
        let day = |days: i64| Some(at(days * 86_400));
        let door = |contested, certificate_not_after| DoorPresence {
            door: "main-in".parse().unwrap(),
            connected: true,
            since: at(0),
            status: None,
            clock_offset_ms: None,
            mqtt: "5",
            connects: 61,
            takeovers: 60,
            contested,
            certificate_not_after,
        };
        let told = |door: &DoorPresence, now| of_identity(door, now).map(|problem| problem.message).collect::<Vec<_>>();
        let contested = door(Some(Contested { takeovers, addresses }), day(15));
        let [message] = &told(&contested, at(3_606))[..] else { panic!("one problem") };
        for words in ["two readers use the identity of door main-in", "60 times", "from 10.0.0.7 and 10.0.0.9"] {
            assert!(message.contains(words), "{message}");
        }
        assert!(told(&contested, at(3_607)).is_empty());
        let ending = door(None, day(13));
        assert!(
            told(&ending, at(0))[0].contains("expires at")
                && told(&ending, at(0))[0].contains("gapura door renew main-in")
        );
        assert!(told(&ending, at(14 * 86_400))[0].contains("has expired at"));
        assert!(told(&door(None, None), at(0)).is_empty());
    }

    #[test]
    fn many_doors_do_not_drown_the_rest() {
        let row = |number: usize| DoorRow {
            problems: vec![Problem::new(Severity::Warning, "reader-clock", format!("door {number}: x"), None)],
            ..DoorRow::named(&format!("door-{number}"), "main")
        };
        let rows: Vec<DoorRow> = (0..25).map(row).collect();
        let told: Vec<Problem> = of_all(&rows).collect();
        assert_eq!(
            (told.len(), told[20].message.as_str()),
            (21, "5 more problems of readers are told with their doors")
        );
        assert_eq!(of_all(&rows[..20]).count(), 20);
    }
}
