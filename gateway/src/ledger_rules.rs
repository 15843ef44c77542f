//! The rules by which the site's ledgers are read: from the configuration and what is in force.

use anyhow::{Context, Result, anyhow};

use crate::config::Config;
use access::Snapshot;
use ledgers::{Rules, WorkingHours};

/// The rules of the site's ledgers: time zone, zones, working hours and `[attendance]`. Goes through the directory once.
///
/// # Errors
/// When a shift is longer than anybody is believed to stay.
pub(crate) fn ledger_rules(config: &Config, snapshot: &Snapshot) -> Result<Rules> {
    let rules = Rules {
        zones: snapshot.zones.as_ref().clone(),
        entrances: snapshot.doors.iter().map(|(_, door)| door.zone.to_string()).collect(),
        hours: working_hours(snapshot),
        ..config.attendance.rules(Rules::new(snapshot.rules.time_zone.clone()))
    };
    let validated = rules.validate().map_err(|reason| anyhow!(reason));
    validated
        .context("[attendance] and calendar.toml do not go together; raise stay_hours_max, or shorten the shift")?;
    Ok(rules)
}

/// When people are expected to work. Only those are listed who are in a group that has hours of its own; of several such
/// groups the first in `calendar.toml` counts.
fn working_hours(snapshot: &Snapshot) -> WorkingHours {
    let calendar = &snapshot.calendar;
    let groups: Vec<&str> = calendar.groups().iter().map(|(name, _)| name.as_str()).collect();
    WorkingHours::new(calendar, snapshot.directory.members(&groups))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use protocol::Instant;

    use super::*;
    use access::{CredentialKey, Directory, PersonRecord, put_person, testing};
    use base::calendar::Calendar;
    use ledgers::Person;

    fn snapshot(people: &[(&str, &[&str])], calendar: &str) -> Snapshot {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.redb");
        let snapshot = testing::snapshot(&[]);
        for (id, groups) in people {
            let groups = groups.iter().map(|group| (*group).into()).collect();
            let person = PersonRecord { id: (*id).into(), class: "asn".into(), groups, ..PersonRecord::default() };
            let (key, zone) = (CredentialKey::new([7; 32]), &snapshot.rules.time_zone);
            put_person(&path, &key, zone, &person, Instant::from_unix_ms(0)).unwrap();
        }
        let directory = Directory::read(&path).unwrap().into();
        Snapshot { directory, calendar: Calendar::parse(calendar).unwrap().into(), ..snapshot }
    }

    fn config(attendance: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gapura.toml");
        let site = "[site]\nname = \"regency\"\ntime_zone = \"Asia/Makassar\"\n";
        std::fs::write(&file, format!("{site}[attendance]\n{attendance}\n")).unwrap();
        Config::read(&file, std::iter::empty()).unwrap()
    }

    #[test]
    fn of_several_groups_the_first_in_the_calendar_gives_the_hours() {
        let calendar = "[hours]\nmonday = \"07:30-16:00\"\n[groups.night]\nmonday = \"22:00-06:00\"\n\
                        [groups.early]\nmonday = \"05:00-13:00\"\n";
        let people: [(&str, &[&str]); 4] =
            [("P-1", &["early", "night"]), ("P-2", &["early", "press"]), ("P-3", &["press"]), ("P-4", &[])];
        let rules = ledger_rules(&config("gap_minutes = 7"), &snapshot(&people, calendar)).unwrap();
        let shift = |id| rules.hours.shift(&Person::new(id), date(2026, 11, 23)).unwrap().to_string();
        assert_eq!(
            ["P-1", "P-2", "P-3", "P-4"].map(shift),
            ["22:00-06:00", "05:00-13:00", "07:30-16:00", "07:30-16:00"]
        );
        assert_eq!((rules.hours.members.len(), rules.gap_minutes), (2, 7));
    }

    #[test]
    fn a_shift_longer_than_anybody_is_believed_to_stay_is_refused() {
        let snapshot = snapshot(&[], "[groups.guards]\nsunday = \"06:00-18:30\"\n");
        assert!(ledger_rules(&config("stay_hours_max = 13"), &snapshot).is_ok());
        let error = format!("{:#}", ledger_rules(&config("stay_hours_max = 12"), &snapshot).unwrap_err());
        assert!(error.contains("stay_hours_max is 12, the shift 06:00-18:30 is longer"), "{error}");
    }
}
