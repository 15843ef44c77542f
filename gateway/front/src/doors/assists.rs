//! Assist requests: from a helper's session or over HTTP to the spine, and the decision to the door once it is on disk.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::{Assist, Decision, DoorId, Via};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::lookup::DoorLookup;
use super::metrics::Metrics;
use super::registry::Registry;
use crate::scan::{Answer, Arrival, AssistRequest, ReplyTo, WeakScanQueue};
use base::clock::Clock;

/// The time within which requests are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// Helpers whose recent requests are remembered before those who were silent for a minute are forgotten.
const HELPERS_REMEMBERED: usize = 1024;

/// What assist requests pass before they are kept, whichever way they come.
pub struct AssistSubmitter {
    pub(super) rate: Rate,
    /// For requests that come over HTTP.
    route: AssistRoute,
}

/// What a request over HTTP goes through. Weak: HTTP must not keep the spine at work.
pub struct AssistRoute {
    /// Where requests go.
    pub scans: WeakScanQueue,
    /// Who is connected.
    pub registry: Arc<Registry>,
    /// The settings of a registered door.
    pub door_settings: DoorLookup,
    /// The gateway's clock.
    pub clock: Clock,
    /// What the front counts.
    pub metrics: Metrics,
    /// How long an answer is waited for.
    pub answer_timeout: Duration,
}

/// A request that is on disk.
#[derive(Clone, Debug)]
pub struct AssistOutcome {
    /// The answer to it.
    pub decision: Decision,
    /// Whether the door's reader was connected and has been told.
    pub door_told: bool,
}

/// Why a request was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssistError {
    /// There is no such door.
    UnknownDoor,
    /// Too many requests of this helper within a minute.
    TooMany {
        /// When there will be room.
        retry_after: Duration,
    },
    /// The log cannot take it now.
    Unavailable,
}

impl AssistSubmitter {
    /// Lets `per_minute_max` requests of each helper through within any minute.
    pub fn new(per_minute_max: u32, route: AssistRoute) -> Self {
        let per_minute_max = usize::try_from(per_minute_max).unwrap_or(usize::MAX);
        Self { rate: Rate { per_minute_max, recent: Mutex::default() }, route }
    }

    /// Keeps a request that came with an access token, and passes its decision on to the door.
    ///
    /// # Errors
    /// When it was not kept; then no door has heard of it.
    pub async fn submit(&self, door: DoorId, assist: Assist, token: DoorId) -> Result<AssistOutcome, AssistError> {
        let AssistRoute { scans, registry, door_settings, clock, metrics, answer_timeout } = &self.route;
        let refuse = |reason, why| {
            metrics.refuse_assist(reason);
            Err(why)
        };
        if door_settings(&door).is_none() {
            return refuse("unknown_door", AssistError::UnknownDoor);
        }
        let request = AssistRequest { assist, device: token, via: Via::Http };
        if let Err(retry_after) = self.rate.take(&request, Instant::now()) {
            return refuse("rate", AssistError::TooMany { retry_after });
        }
        let (answers, mut inbox) = mpsc::channel(2);
        let arrival = Arrival::assist(door, request, clock.now(), ReplyTo { answers, ticket: 0 });
        let submitted = scans.upgrade().is_some_and(|scans| scans.submit(arrival).is_ok());
        // A request that must wait is given up: its helper hears so, and the spine does not decide what nobody waits for.
        let answer = match timeout_at(Instant::now() + *answer_timeout, inbox.recv()).await {
            Ok(answer) if submitted => answer,
            _ => None,
        };
        match answer {
            Some(Answer::Assisted { door, decision, for_door, .. }) => {
                let door_told = for_door && registry.tell(&door, decision.to_json().into());
                Ok(AssistOutcome { decision: *decision, door_told })
            }
            _ => refuse("unavailable", AssistError::Unavailable),
        }
    }
}

/// When each helper has made requests lately.
pub(super) struct Rate {
    per_minute_max: usize,
    recent: Mutex<HashMap<(Via, DoorId), VecDeque<Instant>>>,
}

impl Rate {
    /// Counts a request, or says when there will be room for it.
    pub(super) fn take(&self, request: &AssistRequest, now: Instant) -> Result<(), Duration> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < MINUTE;
        if recent.len() >= HELPERS_REMEMBERED {
            recent.retain(|_, times| times.back().is_some_and(is_recent));
        }
        let times = recent.entry((request.via, request.device.clone())).or_default();
        while times.front().is_some_and(|oldest| !is_recent(oldest)) {
            times.pop_front();
        }
        match times.front() {
            Some(oldest) if times.len() >= self.per_minute_max => Err(MINUTE - now.saturating_duration_since(*oldest)),
            _ => {
                times.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::AssistAction;

    use super::*;

    fn request(device: &str, via: Via) -> AssistRequest {
        let assist = Assist::new(AssistAction::Admit, "Contoh Satgas", "known by sight", None, None).unwrap();
        AssistRequest { assist, device: device.parse().unwrap(), via }
    }

    #[test]
    fn no_minute_holds_more_requests_of_one_helper_than_allowed() {
        let rate = Rate { per_minute_max: 3, recent: Mutex::default() };
        let start = Instant::now();
        let (lobby, at) = (request("lobby", Via::Mqtt), |seconds| start + Duration::from_secs(seconds));
        for seconds in [0, 10, 20] {
            rate.take(&lobby, at(seconds)).unwrap();
        }
        assert_eq!(rate.take(&lobby, at(30)), Err(Duration::from_secs(30)));
        // Others are not held back, nor is a token of the same name.
        rate.take(&request("east", Via::Mqtt), at(30)).unwrap();
        rate.take(&request("lobby", Via::Http), at(30)).unwrap();
        rate.take(&lobby, at(60)).unwrap();
        assert_eq!(rate.take(&lobby, at(60)), Err(Duration::from_secs(10)));
        let kept = (0..600).filter(|seconds| rate.take(&lobby, at(100 + seconds)).is_ok()).count();
        assert_eq!(kept, 30);
    }

    #[test]
    fn silent_helpers_are_forgotten() {
        let rate = Rate { per_minute_max: 3, recent: Mutex::default() };
        let start = Instant::now();
        for n in 0..2 * HELPERS_REMEMBERED {
            rate.take(&request(&format!("h-{n}"), Via::Mqtt), start + MINUTE * u32::try_from(n).unwrap()).unwrap();
        }
        assert!(rate.recent.lock().unwrap().len() <= HELPERS_REMEMBERED);
    }
}
