//! Search in the log, page by page.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{DoorId, Event, Instant, Outcome};

/// Which events.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
pub struct EventsQuery {
    /// Those that tell of this person: a person's id, or `~` and the hash of an unknown credential. Needs `purpose`.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 128, pattern = r"\S"))]
    pub person: Option<String>,
    /// At this door.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub door: Option<DoorId>,
    /// At doors into this zone.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 128))]
    pub zone: Option<String>,
    /// Not decided before this moment.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub from: Option<Instant>,
    /// Decided before this moment, which comes after `from`.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub to: Option<Instant>,
    /// What the door was answered.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub outcome: Option<Outcome>,
    /// Why, as a stable word.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 128))]
    pub reason: Option<String>,
    /// Behind the event of this number, not beyond the end of the log: where the page before has ended; 0 if absent.
    #[cfg_attr(feature = "openapi", param(minimum = 0, maximum = 9_223_372_036_854_775_807_i64))]
    pub after: Option<u64>,
    /// Most events of the answer; 1000 if absent.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 10_000))]
    pub limit: Option<usize>,
    /// Lines of JSON if absent.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub format: Option<PageFormat>,
    /// Why you look; recorded.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 200, pattern = r"\S"))]
    pub purpose: Option<String>,
}

/// How a page is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PageFormat {
    /// A row a line, each a JSON object; where the next page begins is in the headers.
    #[default]
    Ndjson,
    /// One JSON object.
    Json,
}

/// A page of events, as one JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventPage {
    /// The events, in order. A page may be empty and have more behind it.
    pub events: Vec<Event>,
    /// Number of the last event that was looked at: `after` of the next page.
    pub last_event: u64,
    /// Whether there may be another page.
    pub more: bool,
}

impl fmt::Debug for EventsQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventsQuery").field("after", &self.after).field("limit", &self.limit).finish_non_exhaustive()
    }
}
