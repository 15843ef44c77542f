//! What a policy set is asked, and what it answers.

use protocol::{Direction, Outcome, Text};

/// What a policy set is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// `asn`, `non-asn`, `visitor` or `unknown`.
    pub class: &'a str,
    /// The person's office; may be empty.
    pub opd: &'a str,
    /// The person's groups.
    pub groups: &'a [Box<str>],
    /// Whether the credential tells who it is.
    pub known: bool,
    /// Whether the person's time is `open`, still to come (`early`) or `over`: a visit, a contract.
    pub validity: &'a str,
    /// Whether somebody of the house is visited.
    pub has_host: bool,
    /// `badge`, `id-number`, `pass` or `health-certificate`.
    pub credential: &'a str,
    /// Why the pass that was shown does not count; empty when it does, or none was shown.
    pub pass_fault: &'a str,
    /// A colour, or `unknown`.
    pub status: &'a str,
    /// Whether a status was known and its end is past.
    pub status_expired: bool,
    /// Hours since the status was found, where that is known.
    pub status_age_hours: Option<i64>,
    /// The door.
    pub door: &'a str,
    /// The zone that it leads into.
    pub zone: &'a str,
    /// The zones around that, the innermost first.
    pub around: &'a [String],
    /// The office of the zone; may be empty.
    pub zone_opd: &'a str,
    /// Which way.
    pub direction: Direction,
    /// Monday is 1.
    pub weekday: i64,
    /// Minutes since midnight.
    pub minute_of_day: i64,
    /// Whether the day is a holiday.
    pub holiday: bool,
    /// People in the zone.
    pub occupancy: i64,
    /// How many may be in it, where there is a limit.
    pub capacity: Option<i64>,
    /// Whether the zone or one around it has no room for this person.
    pub zone_full: bool,
    /// Whether the person is inside already, and has just entered.
    pub passback: bool,
    /// Hours since the directory was changed.
    pub directory_age_hours: i64,
    /// Whether that is longer than the configuration allows.
    pub directory_expired: bool,
}

/// What a policy set answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// `granted`, `denied` or `assist`.
    pub outcome: Outcome,
    /// Why, as a stable word.
    pub reason: String,
    /// Why, for the door's display.
    pub text: Text,
    /// The policies that decided, by id, sorted.
    pub policies: Vec<String>,
}
