//! The fingerprint of rules: by it stays that were made by other rules are noticed.

use std::sync::Arc;

use super::{Person, Rules, WorkingHours};
use crate::calendar::day_number;
use crate::tables::hash;
use base::calendar::Week;

impl Rules {
    /// The first bytes of a hash of everything that stays depend on.
    pub fn fingerprint(&self) -> u64 {
        let mut text = format!(
            "{} {} {} {}\n",
            self.time_zone_name(),
            self.double_scan_seconds,
            self.stay_hours_max,
            self.gap_minutes
        );
        let mut zones: Vec<&str> = self.zones.iter().map(|(zone, _)| zone).collect();
        zones.sort_unstable();
        for zone in zones {
            add(&mut text, zone, &self.zones.around(zone).join(" "));
        }
        for zone in &self.entrances {
            add(&mut text, "entrance", zone);
        }
        let WorkingHours { week, holidays, groups, members } = &self.hours;
        add(&mut text, "week", &describe(week));
        for day in holidays {
            add(&mut text, "off", &day_number(*day).to_string());
        }
        let mut groups: Vec<_> = groups.iter().collect();
        groups.sort_unstable_by_key(|(name, _)| *name);
        for (name, group) in groups {
            add(&mut text, name, &format!("{} {}", group.holidays_off, describe(&group.week)));
        }
        let mut members: Vec<(&Person, &Arc<str>)> = members.iter().collect();
        members.sort_unstable();
        for (person, group) in members {
            add(&mut text, person.as_str(), group);
        }
        hash(&[text.as_bytes()])
    }

    /// The time zone as it is told apart from others.
    pub fn time_zone_name(&self) -> String {
        self.time_zone.iana_name().map_or_else(|| format!("{:?}", self.time_zone), str::to_owned)
    }
}

/// Adds two texts so that no other two come to the same.
fn add(text: &mut String, one: &str, other: &str) {
    text.push_str(&format!("{one:?} {other:?}\n"));
}

fn describe(week: &Week) -> String {
    let Week { monday, tuesday, wednesday, thursday, friday, saturday, sunday } = week;
    let days = [monday, tuesday, wednesday, thursday, friday, saturday, sunday];
    days.map(|shift| shift.map_or_else(|| "-".to_owned(), |shift| shift.to_string())).join(" ")
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::tests::site;
    use base::door_list::Zones;

    #[test]
    fn whatever_stays_depend_on_changes_the_fingerprint() {
        let (rules, _) = site::rules(0);
        let changed = |change: &dyn Fn(&mut Rules)| {
            let mut rules = rules.clone();
            change(&mut rules);
            rules.fingerprint()
        };
        assert_eq!(changed(&|_| ()), rules.fingerprint());
        let changes: [&dyn Fn(&mut Rules); 10] = [
            &|rules| rules.double_scan_seconds += 1,
            &|rules| rules.stay_hours_max += 1,
            &|rules| rules.gap_minutes += 1,
            &|rules| rules.time_zone = jiff::tz::TimeZone::UTC,
            &|rules| rules.zones = Zones::parse("[main]\n").unwrap(),
            &|rules| assert!(rules.entrances.insert("desk".into())),
            &|rules| rules.hours.week.sunday = rules.hours.week.monday,
            &|rules| assert!(rules.hours.holidays.insert(date(2026, 1, 1))),
            &|rules| rules.hours.groups.get_mut("night").unwrap().holidays_off = true,
            &|rules| assert_eq!(rules.hours.members.insert(site::person(0), "night".into()), None),
        ];
        let mut all: Vec<u64> = changes.into_iter().map(changed).collect();
        all.push(rules.fingerprint());
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 11);
    }
}
