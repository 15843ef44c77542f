//! People, doors and policies for tests.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "only tests have this module")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use protocol::{HealthStatus, Instant, Mode, PersonClass};

use super::directory::Record;
use super::{Config, CredentialKey, DEFAULT_POLICY, Directory, Door, Doors, Passes, Policy, Rules, Snapshot};
use base::door_list::ModePlan;
use base::file_error::FileError;

/// A site with the default policy: `door-0` to `door-3` enforce, `watch` observes, all lead into the zone `main`.
pub fn snapshot(people: &[Person<'_>]) -> Snapshot {
    let key = CredentialKey::new([7; 32]);
    let doors = ["door-0", "door-1", "door-2", "door-3", "watch"].into_iter().map(|name| {
        let mode = if name == "watch" { Mode::Observe } else { Mode::Enforce };
        (name.parse().unwrap(), Door { zone: "main".into(), mode: Some(ModePlan::always(mode)) })
    });
    Snapshot {
        directory: Arc::new(directory(&key, people)),
        policy: Arc::new(default_policy()),
        shadow: None,
        doors: Arc::new(Doors::from_iter(doors)),
        zones: Arc::default(),
        calendar: Arc::default(),
        passes: Arc::new(Passes::nobody()),
        key: Arc::new(key),
        // The same few people come again and again.
        rules: Rules::new(
            TimeZone::get("Asia/Makassar").unwrap(),
            &Config { passback_minutes: 0, ..Config::default() },
            30_000,
            5_000,
            protocol::Instant::from_unix_ms(0),
        ),
    }
}

/// One person, whose id is also the badge.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    pub id: &'a str,
    pub class: PersonClass,
    pub status: Option<HealthStatus>,
    pub until: Option<Instant>,
}

pub fn default_policy() -> Policy {
    let files: Vec<_> = DEFAULT_POLICY.to_vec();
    policy(&files).unwrap()
}

/// The default schema with this policy file beside it.
pub fn policy_of(text: &str) -> Result<Policy, FileError> {
    let [schema, ..] = DEFAULT_POLICY else { unreachable!() };
    policy(&[*schema, ("own.cedar", text)])
}

/// A policy set of these files.
pub fn policy(files: &[(&str, &str)]) -> Result<Policy, FileError> {
    let files: BTreeMap<String, String> =
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Policy::from_files(Path::new("policy"), &files)
}

fn directory(key: &CredentialKey, people: &[Person<'_>]) -> Directory {
    Directory::of(people.iter().map(|person| {
        let record = Record {
            opd: "dinkes".into(),
            status: person.status,
            status_until: person.until,
            credentials: vec![key.hash(person.id)],
            ..Record::of(person.class)
        };
        (person.id, record)
    }))
}
