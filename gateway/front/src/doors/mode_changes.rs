//! Doors hear of their mode when it changes by its plan: no file changes then that would tell them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use protocol::{DoorId, Instant, Mode};
use tokio::sync::watch;

use super::registry::Registry;
use access::Snapshot;
use base::clock::Clock;

/// Time between two checks of the doors' modes.
const INTERVAL: Duration = Duration::from_secs(2);

/// Sends doors their settings when a mode has changed by its plan, until `shutdown` turns true.
pub async fn announce_mode_changes(
    snapshot: Arc<ArcSwap<Snapshot>>,
    clock: Clock,
    registry: Arc<Registry>,
    shutdown: watch::Receiver<bool>,
) {
    run(snapshot, clock, INTERVAL, move || registry.send_config(), shutdown).await;
}

/// Checks the modes in force every `interval` until `shutdown` turns true, and calls `changed` when a door's has changed.
async fn run(
    snapshot: Arc<ArcSwap<Snapshot>>,
    clock: Clock,
    interval: Duration,
    changed: impl Fn() + Send + 'static,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut modes = Modes::default();
    modes.change(&snapshot.load(), clock.now());
    loop {
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(interval) => {}
        }
        let doors = modes.change(&snapshot.load(), clock.now());
        if doors > 0 {
            tracing::info!(doors, "doors' modes have changed");
            changed();
        }
    }
}

/// The modes at the last look.
#[derive(Default)]
struct Modes(HashMap<DoorId, Mode>);

impl Modes {
    /// Takes over the modes at a moment; how many doors that were there before have another one.
    fn change(&mut self, snapshot: &Snapshot, now: Instant) -> usize {
        let modes: HashMap<_, _> =
            snapshot.doors.iter().map(|(name, door)| (name.clone(), snapshot.mode_at(door, now))).collect();
        let before = std::mem::replace(&mut self.0, modes);
        before.iter().filter(|(door, mode)| self.0.get(*door).is_some_and(|now| now != *mode)).count()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use tokio::time::timeout;

    use super::*;
    use access::testing::snapshot;
    use access::{Doors, Zones};

    fn dated() -> Snapshot {
        let doors = "[a]\nzone = \"main\"\n[b]\nzone = \"main\"\nmode = \"warn\"\n[c]\nzone = \"side\"\n";
        let zones = "[main]\nmode = [{ mode = \"observe\" }, { mode = \"enforce\", from = \"2026-12-01\" }]\n";
        let (doors, zones) = (Doors::parse(doors).unwrap(), Zones::parse(zones).unwrap());
        Snapshot { doors: doors.into(), zones: zones.into(), ..snapshot(&[]) }
    }

    fn at(time: &str) -> Instant {
        time.parse().unwrap()
    }

    #[test]
    fn a_mode_changes_at_midnight_at_the_doors_that_follow_the_plan() {
        let (mut modes, mut site) = (Modes::default(), dated());
        for (time, doors) in [
            ("2026-11-30T12:00:00+08:00", 0),
            ("2026-11-30T23:59:59.999+08:00", 0),
            ("2026-12-01T00:00:00+08:00", 1),
            ("2026-12-02T00:00:00+08:00", 0),
            // A clock that is set back.
            ("2026-11-30T12:00:00+08:00", 1),
        ] {
            assert_eq!(modes.change(&site, at(time)), doors, "{time}");
        }
        // A door that comes or goes changes no other's mode; whoever reloads the doors tells them.
        site.doors = Doors::parse("[b]\nzone = \"main\"\nmode = \"warn\"\n[d]\nzone = \"main\"\n").unwrap().into();
        assert_eq!(modes.change(&site, at("2026-11-30T12:00:00+08:00")), 0);
    }

    #[tokio::test]
    async fn doors_are_told_once_when_the_day_begins_and_the_task_ends_when_asked() {
        const PATIENCE: Duration = Duration::from_secs(20);
        let before = at("2026-11-30T23:59:59+08:00").unix_ms();
        let ((look, mut looks), now) = (watch::channel(0), Arc::new(AtomicI64::new(before)));
        let shown = Arc::clone(&now);
        let clock = Clock::new(move || {
            look.send_modify(|looks| *looks += 1);
            Instant::from_unix_ms(shown.load(Ordering::Relaxed))
        });
        let times = Arc::new(AtomicI64::new(0));
        let told = Arc::clone(&times);
        let changed = move || {
            told.fetch_add(1, Ordering::Relaxed);
        };
        let (stop, stopped) = watch::channel(false);
        let site = Arc::new(ArcSwap::from_pointee(dated()));
        let task = tokio::spawn(run(site, clock, Duration::from_millis(1), changed, stopped));
        for (now_ms, after) in [(before, 0), (before + 1_000, 1), (before + 2_000, 1)] {
            now.store(now_ms, Ordering::Relaxed);
            let seen = *looks.borrow();
            // The look in progress may have read the clock before, the next has not; the one behind it comes after the telling.
            timeout(PATIENCE, looks.wait_for(|looks| *looks >= seen + 3)).await.unwrap().unwrap();
            assert_eq!(times.load(Ordering::Relaxed), after);
        }
        stop.send_replace(true);
        timeout(PATIENCE, task).await.unwrap().unwrap();
    }
}
