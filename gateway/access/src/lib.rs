//! Who may pass: people, doors and policy, and the pure function that decides. Files are read when they are loaded, never
//! when a scan is decided.

mod config;
mod credential;
mod decide;
mod directory;
mod export;
mod import;
mod policy;
mod presence;

pub mod passes;
pub mod shadow;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

use std::sync::Arc;

use jiff::tz::TimeZone;
use protocol::{Instant, Mode};

pub use base::calendar::Calendar;
use base::door_list::ModePlan;
pub use base::door_list::{Door, Doors, Zones};
pub use config::Config;
pub use credential::CredentialKey;
pub use decide::{Decided, Explained, Shown, ShownMalformed, decide, decide_malformed, explain, pass_faults};
pub use directory::{
    Directory, FieldError, Person, PersonError, PersonRecord, Put, credentials_of, erase_person, list_people, names_of,
    put_person, read_person, remove_person,
};
pub use export::{ExportError, export_people};
pub use import::{
    ChangeKind, Difference, ImportError, ImportOptions, ImportReport, PeopleFormat, RowError, import_people,
};
pub use passes::Passes;
pub use policy::{CASES_FILE, Cases, Judgement, Policy, Question};
pub use presence::{Occupancy, Presence};

/// The files of the default policy: name and content.
pub const DEFAULT_POLICY: &[(&str, &str)] = &[
    ("schema.cedarschema", include_str!("../../../deploy/policy/schema.cedarschema")),
    ("default.cedar", include_str!("../../../deploy/policy/default.cedar")),
    ("texts/id.ftl", include_str!("../../../deploy/policy/texts/id.ftl")),
    ("texts/en.ftl", include_str!("../../../deploy/policy/texts/en.ftl")),
    (CASES_FILE, include_str!("../../../deploy/policy/tests.toml")),
];

/// Everything that a decision is made from; replaced as a whole when a part changes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// People and their credentials.
    pub directory: Arc<Directory>,
    /// The policy set.
    pub policy: Arc<Policy>,
    /// The candidate for the next policy set, which is asked beside it and never binds.
    pub shadow: Option<Arc<Policy>>,
    /// The doors of the site.
    pub doors: Arc<Doors>,
    /// The zones that they lead into.
    pub zones: Arc<Zones>,
    /// The site's holidays and working hours.
    pub calendar: Arc<Calendar>,
    /// Who may issue passes and health certificates, and which are revoked.
    pub passes: Arc<Passes>,
    /// How a credential becomes a hash.
    pub key: Arc<CredentialKey>,
    /// Settings that decisions depend on.
    pub rules: Rules,
}

/// Settings that decisions depend on.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The site's time zone: policies see its clock.
    pub time_zone: TimeZone,
    /// A scan that is decided later than this after it was made is only recorded, in milliseconds.
    pub late_after_ms: u64,
    /// A reader's clock that is off by more than this is flagged, in milliseconds.
    pub clock_tolerance_ms: u64,
    /// No reader of the site can have made a scan before.
    pub since: Instant,
    /// See [`Config::passback_minutes`], in milliseconds.
    pub passback_ms: i64,
    /// See [`Config::double_scan_seconds`], in milliseconds.
    pub double_scan_ms: i64,
    /// See [`Config::pass_replay_seconds`], in milliseconds.
    pub pass_replay_ms: i64,
    /// See [`Config::directory_age_days_max`], in milliseconds.
    pub directory_age_ms_max: i64,
}

impl Snapshot {
    /// How far decisions bind at a door: as it says itself, else as its zone or the nearest around that does, else not.
    pub fn mode_at(&self, door: &Door, now: Instant) -> Mode {
        let in_force = self.plans(door).find_map(|plan| plan.at(now, &self.rules.time_zone));
        in_force.unwrap_or_default()
    }

    /// When the mode at a door changes next, and to what, as long as nobody changes the plans.
    pub fn next_mode_change(&self, door: &Door, now: Instant) -> Option<(Instant, Mode)> {
        let mode = self.mode_at(door, now);
        let mut at = now;
        loop {
            // Most plans that begin a step leave the door as it is: a nearer one says otherwise.
            at = self.plans(door).filter_map(|plan| plan.next_change(at, &self.rules.time_zone)).min()?;
            let next = self.mode_at(door, at);
            if next != mode {
                return Some((at, next));
            }
        }
    }

    /// What may say how far decisions bind at a door, the nearest first.
    fn plans<'a>(&'a self, door: &'a Door) -> impl Iterator<Item = &'a ModePlan> {
        let zones = std::iter::once(door.zone.as_str()).chain(self.zones.around(&door.zone).iter().map(String::as_str));
        door.mode.iter().chain(zones.filter_map(|zone| self.zones.get(zone)?.mode.as_ref()))
    }
}

impl Rules {
    /// The rules of a site that has readers `since` then.
    pub fn new(
        time_zone: TimeZone,
        access: &Config,
        late_after_ms: u64,
        clock_tolerance_ms: u64,
        since: Instant,
    ) -> Self {
        Self {
            time_zone,
            late_after_ms,
            clock_tolerance_ms,
            since,
            passback_ms: i64::from(access.passback_minutes) * 60_000,
            double_scan_ms: i64::from(access.double_scan_seconds) * 1_000,
            pass_replay_ms: i64::from(access.pass_replay_seconds) * 1_000,
            directory_age_ms_max: i64::from(access.directory_age_days_max) * 86_400_000,
        }
    }
}
