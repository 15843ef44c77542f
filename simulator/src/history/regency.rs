//! The regency of a history: its zones, doors and staff, and what the gateway is told of them.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use protocol::{Direction, DoorId};

use super::fault_rates::FaultRates;
use super::month::{Month, TIME_ZONE};
use crate::chance::{Chance, Purpose};
use crate::load::mix::Badges;

/// The zone of the whole complex.
pub const COMPLEX: u16 = 0;

/// A regency for a month. Everything that happens in it depends on nothing but these values.
#[derive(Clone, Debug)]
pub struct Regency {
    /// How many people work there, numbered from 0.
    pub staff: u32,
    /// How many zones there are: the complex, number 0, and offices in it.
    pub zones: u16,
    /// Scans on a working day that are aimed at.
    pub scans_per_day: u32,
    /// Which days.
    pub month: Month,
    /// What goes wrong at the doors.
    pub slips: FaultRates,
    /// Where the rest comes from.
    pub chance: Chance,
}

/// Somebody of the staff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staff {
    /// Where they work.
    pub office: u16,
    /// Which gate they use.
    pub gate: u16,
    /// Whether they guard the complex at night.
    pub guard: bool,
    /// The first day of an illness and the first one after it; the same when they are never ill.
    pub ill: (usize, usize),
}

/// Staff for whom there is one more gate.
const STAFF_PER_GATE: u32 = 1_000;
/// Staff for whom there is one more guard.
const STAFF_PER_GUARD: u32 = 300;
/// There are two guards at least.
const GUARDS_MIN: u32 = 2;

impl Regency {
    /// Somebody of the staff.
    pub fn staff(&self, person: u32) -> Staff {
        let draw = |salt, bound: u64| self.chance.below(bound, Purpose::Staff, person.into(), salt);
        let small = |number: u64| u16::try_from(number).unwrap_or(0);
        let days = self.month.len() as u64;
        let first = draw(2, days);
        let length = if draw(3, 100) < 25 { 2 + draw(4, 4) } else { 0 };
        let day = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Staff {
            // In turns, so that every office has its share.
            office: 1 + small(u64::from(person) % u64::from(self.zones - 1)),
            gate: small(draw(1, self.gates().into())),
            guard: person < self.guards(),
            ill: (day(first), day(first + length)),
        }
    }

    /// How many of the staff, the first ones, guard the complex at night.
    pub fn guards(&self) -> u32 {
        (self.staff / STAFF_PER_GUARD).max(GUARDS_MIN).min(self.staff)
    }

    /// How many gates the complex has.
    pub fn gates(&self) -> u16 {
        u16::try_from(self.staff.div_ceil(STAFF_PER_GATE)).unwrap_or(u16::MAX).max(1)
    }

    /// The door through which somebody who uses `gate` passes: first the gates' doors, then the offices'; of each two, the
    /// first leads in.
    pub fn door(&self, zone: u16, gate: u16, direction: Direction) -> usize {
        let place = if zone == COMPLEX { usize::from(gate) } else { usize::from(self.gates()) + usize::from(zone) - 1 };
        2 * place + usize::from(direction == Direction::Out)
    }

    /// The names of the doors.
    ///
    /// # Errors
    /// Never with numbers that are allowed.
    pub fn doors(&self) -> Result<Vec<DoorId>> {
        ensure!(self.zones > 1, "a regency has two zones at least");
        let gates = (1..=self.gates()).map(|gate| format!("gate-{gate:02}"));
        let offices = (1..self.zones).map(|zone| self.zone_name(zone));
        let names = gates.chain(offices).flat_map(|place| [format!("{place}-in"), format!("{place}-out")]);
        names.map(|name| Ok(name.parse()?)).collect()
    }

    /// The name of a zone.
    pub fn zone_name(&self, zone: u16) -> String {
        if zone == COMPLEX { "complex".into() } else { format!("office-{zone:02}") }
    }

    /// A person's id in the directory.
    pub fn person_id(&self, person: u32) -> String {
        format!("S-{:05}", person + 1)
    }

    /// Who has that id.
    pub fn person(&self, id: &str) -> Option<u32> {
        let number: u32 = id.strip_prefix("S-")?.parse().ok()?;
        number.checked_sub(1).filter(|person| *person < self.staff && self.person_id(*person) == id)
    }

    /// The badges of the staff, in order.
    pub fn badges(&self) -> Badges {
        Badges::invented(usize::try_from(self.staff).unwrap_or(usize::MAX))
    }

    /// `zones.toml`.
    pub fn zones_toml(&self) -> String {
        let mut toml = format!("[{}]\n", self.zone_name(COMPLEX));
        for zone in 1..self.zones {
            let (name, around) = (self.zone_name(zone), self.zone_name(COMPLEX));
            let opd = opd(zone);
            // Writing to a text cannot fail.
            writeln!(toml, "[{name}]\nparent = \"{around}\"\nopd = \"{opd}\"").unwrap_or_default();
        }
        toml
    }

    /// `doors.toml`: doors that observe.
    ///
    /// # Errors
    /// Never with numbers that are allowed.
    pub fn doors_toml(&self) -> Result<String> {
        let mut toml = String::new();
        for (number, door) in self.doors()?.iter().enumerate() {
            let office = (number / 2).checked_sub(usize::from(self.gates()));
            let zone = office.map_or(Ok(COMPLEX), |office| u16::try_from(office + 1))?;
            writeln!(toml, "[{door}]\nzone = \"{}\"\nmode = \"observe\"", self.zone_name(zone))?;
        }
        Ok(toml)
    }

    /// `calendar.toml`: the holiday, and when people work.
    pub fn calendar_toml(&self) -> String {
        let mut toml = format!("[holidays]\n{} = \"Hari Jadi Contoh\"\n", self.month.holiday());
        toml += "\n[hours]\n";
        for day in ["monday", "tuesday", "wednesday", "thursday", "friday"] {
            writeln!(toml, "{day} = \"07:30-16:00\"").unwrap_or_default();
        }
        toml += "\n[groups.guards]\nholidays_off = false\n";
        for day in ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] {
            writeln!(toml, "{day} = \"22:00-06:00\"").unwrap_or_default();
        }
        toml
    }

    /// Settings of the gateway, as environment variables: a month's scans arrive within a minute, and none is too old.
    pub fn settings(&self) -> [(&'static str, &'static str); 4] {
        [
            ("GAPURA_SITE__TIME_ZONE", TIME_ZONE),
            ("GAPURA_MQTT__SCANS_PER_SECOND_MAX", "100000"),
            ("GAPURA_PRIVACY__CONTACTS_DAYS", "3650"),
            ("GAPURA_PRIVACY__ATTENDANCE_DAYS", "3650"),
        ]
    }

    /// The people, as `gapura import people` reads them.
    pub fn people_csv(&self) -> String {
        let mut csv = String::from("person,name,class,opd,groups,badge,status\n");
        for (person, badge) in (0..self.staff).zip(self.badges().codes()) {
            let staff = self.staff(person);
            let class = if self.chance.below(100, Purpose::Staff, person.into(), 5) < 65 { "asn" } else { "non-asn" };
            let group = if staff.guard { "guards" } else { "" };
            let (id, opd) = (self.person_id(person), opd(staff.office));
            writeln!(csv, "{id},Contoh {:05},{class},{opd},{group},{badge},green", person + 1).unwrap_or_default();
        }
        csv
    }
}

fn opd(zone: u16) -> String {
    format!("Dinas Contoh {zone:02}")
}

#[cfg(test)]
mod tests {
    use base::door_list::{Doors, Zones};

    use super::super::testing::regency;
    use super::*;

    #[test]
    fn every_zone_and_gate_has_a_door_in_and_a_door_out() {
        let regency = Regency { staff: 2_500, ..regency(60, 5, 3) };
        let doors = regency.doors().unwrap();
        let names: Vec<&str> = doors.iter().map(DoorId::as_str).collect();
        assert_eq!(names.len(), 2 * (3 + 4));
        assert_eq!(names[regency.door(COMPLEX, 2, Direction::Out)], "gate-03-out");
        assert_eq!(names[regency.door(1, 2, Direction::In)], "office-01-in");
        assert_eq!(names[regency.door(4, 0, Direction::Out)], "office-04-out");
        let toml = regency.doors_toml().unwrap();
        assert!(toml.contains("[gate-03-out]\nzone = \"complex\"\n"), "{toml}");
        assert!(toml.contains("[office-04-in]\nzone = \"office-04\"\n"), "{toml}");
        assert_eq!(Doors::parse(&toml).unwrap().len(), 14);
        assert_eq!(Zones::parse(&regency.zones_toml()).unwrap().inside("complex").len(), 5);
    }

    #[test]
    fn the_staff_is_spread_over_the_offices_and_a_few_guard() {
        let regency = regency(600, 7, 31);
        let staff: Vec<Staff> = (0..600).map(|person| regency.staff(person)).collect();
        for office in 1..7 {
            assert_eq!(staff.iter().filter(|staff| staff.office == office).count(), 100);
        }
        assert_eq!(staff.iter().filter(|staff| staff.guard).count(), 2);
        let ill = staff.iter().filter(|staff| staff.ill.0 < staff.ill.1).count();
        assert!((100..200).contains(&ill), "{ill}");
    }

    #[test]
    fn ids_are_understood_again_and_others_are_not() {
        let regency = regency(60, 5, 3);
        assert_eq!(regency.person(&regency.person_id(59)), Some(59));
        for id in ["S-00061", "S-00000", "S-1", "P-00001", "", "S-+0001"] {
            assert_eq!(regency.person(id), None, "{id}");
        }
        let csv = regency.people_csv();
        assert_eq!(csv.lines().count(), 61);
        assert_eq!(csv.lines().filter(|line| line.contains(",guards,")).count(), 2);
    }
}
