//! What people truly do on a day: through which doors they go, and when.

use protocol::Direction;

use super::regency::{COMPLEX, Regency, Staff};
use crate::chance::Purpose;

/// Somebody goes through a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// The zone that the door leads into.
    pub zone: u16,
    /// Which way they go.
    pub direction: Direction,
    /// The door, as in [`Regency::doors`].
    pub door: usize,
}

/// Of a hundred who come, so many go out for lunch.
const LUNCH_PERCENT: u64 = 25;
/// Of a hundred who come, so many visit another office.
const VISIT_PERCENT: u64 = 15;
/// Of a hundred who have a day off, so many come for some hours, counted in thousandths.
const DAY_OFF_PER_MILLE: u64 = 15;
/// Of a hundred guards, so many guard in a night.
const GUARD_PERCENT: u64 = 70;
/// Of a hundred guards, so many leave for a while in the night.
const GUARD_BREAK_PERCENT: u64 = 30;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// What somebody does on a working day, in order; a night shift belongs to the day on which it begins. Empty when they
/// stay away.
pub fn steps(regency: &Regency, person: u32, day: usize) -> Vec<Step> {
    let staff = regency.staff(person);
    let mut dice = Dice { regency, person, day, thrown: 0 };
    let way = |start_s: i64| Way {
        regency,
        staff,
        at_ms: regency.month.midnight_ms(day) + start_s * 1_000,
        steps: Vec::new(),
    };
    if (staff.ill.0..staff.ill.1).contains(&day) {
        return Vec::new();
    }
    if staff.guard {
        return if dice.percent(GUARD_PERCENT) { night(way(21 * HOUR + 40 * MINUTE), &mut dice) } else { vec![] };
    }
    if regency.month.is_worked(day) {
        let comes = dice.below(1_000_000) < regency.present_per_million();
        return if comes { working_day(way(6 * HOUR + 50 * MINUTE), &mut dice) } else { vec![] };
    }
    if dice.below(1_000) < DAY_OFF_PER_MILLE { day_off(way(8 * HOUR), &mut dice) } else { vec![] }
}

impl Regency {
    /// How many of a million come on a working day, so that the scans come to what is aimed at.
    fn present_per_million(&self) -> u64 {
        let scans_of_100 = 400 + 4 * LUNCH_PERCENT + 4 * VISIT_PERCENT;
        u64::from(self.scans_per_day) * 100_000_000 / (u64::from(self.staff) * scans_of_100).max(1)
    }
}

fn working_day(mut way: Way<'_>, dice: &mut Dice<'_>) -> Vec<Step> {
    way.wait_ms(dice.seconds(0, 30 * MINUTE) + dice.seconds(0, 30 * MINUTE));
    if dice.percent(5) {
        way.wait_ms(dice.seconds(0, HOUR));
    }
    way.come(dice);
    // Half of the visits are before noon.
    let visit = dice.percent(VISIT_PERCENT).then(|| dice.percent(50));
    if visit == Some(true) {
        way.wait_until(9 * HOUR + dice.seconds(0, HOUR) / 1_000, dice.day);
        way.visit(dice);
    }
    if dice.percent(LUNCH_PERCENT) {
        way.wait_until(11 * HOUR + 50 * MINUTE + dice.seconds(0, 40 * MINUTE) / 1_000, dice.day);
        way.go_out(dice, 25 * MINUTE, HOUR);
    }
    if visit == Some(false) {
        way.wait_until(13 * HOUR + 45 * MINUTE + dice.seconds(0, 30 * MINUTE) / 1_000, dice.day);
        way.visit(dice);
    }
    let leave = match dice.below(100) {
        // Overtime, but not for 14 hours from the last scan, after which nobody is believed inside; and whoever goes early.
        0..3 => 17 * HOUR + dice.seconds(0, 3 * HOUR + 30 * MINUTE) / 1_000,
        3..6 if visit != Some(false) => 14 * HOUR + dice.seconds(0, 100 * MINUTE) / 1_000,
        _ => 15 * HOUR + 57 * MINUTE + dice.seconds(0, 40 * MINUTE) / 1_000,
    };
    way.wait_until(leave, dice.day);
    way.leave(dice);
    way.steps
}

fn day_off(mut way: Way<'_>, dice: &mut Dice<'_>) -> Vec<Step> {
    way.wait_ms(dice.seconds(0, HOUR));
    way.come(dice);
    way.wait_ms(dice.seconds(2 * HOUR, 5 * HOUR));
    way.leave(dice);
    way.steps
}

fn night(mut way: Way<'_>, dice: &mut Dice<'_>) -> Vec<Step> {
    way.wait_ms(dice.seconds(0, 18 * MINUTE));
    way.come(dice);
    if dice.percent(GUARD_BREAK_PERCENT) {
        way.wait_until(25 * HOUR + dice.seconds(0, HOUR) / 1_000, dice.day);
        way.go_out(dice, 15 * MINUTE, 30 * MINUTE);
    }
    way.wait_until(30 * HOUR + dice.seconds(0, 15 * MINUTE) / 1_000, dice.day);
    way.leave(dice);
    way.steps
}

/// Chance for one person on one day: the same throws every time.
struct Dice<'a> {
    regency: &'a Regency,
    person: u32,
    day: usize,
    thrown: u64,
}

impl Dice<'_> {
    fn below(&mut self, bound: u64) -> u64 {
        self.thrown += 1;
        let throw = (self.day as u64) << 16 | self.thrown;
        self.regency.chance.below(bound, Purpose::Day, self.person.into(), throw)
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// From so many seconds to so many, in milliseconds.
    fn seconds(&mut self, from_s: i64, to_s: i64) -> i64 {
        let span = u64::try_from((to_s - from_s) * 1_000).unwrap_or(0);
        from_s * 1_000 + i64::try_from(self.below(span)).unwrap_or(0)
    }

    /// An office that is not their own; their own where there is no other.
    fn other_office(&mut self, own: u16) -> u16 {
        let others = u64::from(self.regency.zones).saturating_sub(2);
        let nth = u16::try_from(self.below(others)).unwrap_or(0) + 1;
        if others == 0 { own } else { nth + u16::from(nth >= own) }
    }
}

/// Somebody on their way.
struct Way<'a> {
    regency: &'a Regency,
    staff: Staff,
    at_ms: i64,
    steps: Vec<Step>,
}

impl Way<'_> {
    fn wait_ms(&mut self, ms: i64) {
        self.at_ms += ms;
    }

    /// Waits until so many seconds after the day's midnight; not at all if that is over.
    fn wait_until(&mut self, seconds: i64, day: usize) {
        self.at_ms = self.at_ms.max(self.regency.month.midnight_ms(day) + seconds * 1_000);
    }

    fn step(&mut self, zone: u16, direction: Direction) {
        let door = self.regency.door(zone, self.staff.gate, direction);
        self.steps.push(Step { at_ms: self.at_ms, zone, direction, door });
    }

    /// Between two doors of the complex.
    fn walk(&mut self, dice: &mut Dice<'_>) {
        self.at_ms += dice.seconds(MINUTE, 3 * MINUTE);
    }

    fn come(&mut self, dice: &mut Dice<'_>) {
        self.step(COMPLEX, Direction::In);
        self.walk(dice);
        self.step(self.staff.office, Direction::In);
    }

    fn leave(&mut self, dice: &mut Dice<'_>) {
        self.step(self.staff.office, Direction::Out);
        self.walk(dice);
        self.step(COMPLEX, Direction::Out);
    }

    fn go_out(&mut self, dice: &mut Dice<'_>, at_least_s: i64, at_most_s: i64) {
        self.leave(dice);
        self.wait_ms(dice.seconds(at_least_s, at_most_s));
        self.come(dice);
    }

    fn visit(&mut self, dice: &mut Dice<'_>) {
        let other = dice.other_office(self.staff.office);
        self.step(self.staff.office, Direction::Out);
        self.walk(dice);
        self.step(other, Direction::In);
        self.wait_ms(dice.seconds(20 * MINUTE, 90 * MINUTE));
        self.step(other, Direction::Out);
        self.walk(dice);
        self.step(self.staff.office, Direction::In);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::regency;
    use super::*;

    #[test]
    fn a_working_day_has_about_as_many_scans_as_are_aimed_at() {
        let regency = regency(1_500, 12, 31);
        let scans = |day| (0..1_500).map(|person| steps(&regency, person, day).len()).sum::<usize>();
        let worked: Vec<usize> = (0..31).filter(|day| regency.month.is_worked(*day)).map(scans).collect();
        let mean = worked.iter().sum::<usize>() / worked.len();
        let aimed_at = usize::try_from(regency.scans_per_day).unwrap();
        assert!(mean.abs_diff(aimed_at) < aimed_at / 20, "{mean} instead of {aimed_at}");
        let free = (0..31).filter(|day| !regency.month.is_worked(*day)).map(scans).max().unwrap();
        assert!(free < aimed_at / 20, "{free} on a day off");
    }

    #[test]
    fn everybody_goes_from_zone_to_zone_and_is_outside_in_the_end() {
        let regency = regency(400, 6, 31);
        for person in 0..400 {
            let mut last_ms = i64::MIN;
            for day in 0..31 {
                let mut zones = Vec::new();
                for step in steps(&regency, person, day) {
                    // Clocks that are off by 20 seconds must not turn two scans round.
                    assert!(step.at_ms.saturating_sub(last_ms) >= 60_000);
                    last_ms = step.at_ms;
                    match step.direction {
                        Direction::In => zones.push(step.zone),
                        Direction::Out => assert_eq!(zones.pop(), Some(step.zone)),
                    }
                    assert_eq!(zones.first().unwrap_or(&COMPLEX), &COMPLEX);
                    assert!(zones.len() <= 2);
                }
                assert!(zones.is_empty());
            }
        }
    }

    #[test]
    fn the_month_has_lunches_visits_nights_and_people_who_are_ill() {
        let regency = regency(400, 6, 31);
        let (mut lunches, mut visits, mut days) = (0, 0, 0);
        for person in regency.guards()..400 {
            let staff = regency.staff(person);
            for day in 0..31 {
                let steps = steps(&regency, person, day);
                days += usize::from(!steps.is_empty());
                lunches += usize::from(steps.iter().filter(|step| step.zone == COMPLEX).count() > 2);
                visits += usize::from(steps.iter().any(|step| step.zone != COMPLEX && step.zone != staff.office));
                assert!(steps.is_empty() || !(staff.ill.0..staff.ill.1).contains(&day));
            }
        }
        assert!((days * 20 / 100..days * 30 / 100).contains(&lunches), "{lunches} of {days}");
        assert!((days * 10 / 100..days * 20 / 100).contains(&visits), "{visits} of {days}");
        let nights: Vec<Vec<Step>> =
            (0..31).map(|day| steps(&regency, 0, day)).filter(|night| !night.is_empty()).collect();
        assert!((10..31).contains(&nights.len()));
        assert!(nights.iter().any(|night| night.len() == 8) && nights.iter().any(|night| night.len() == 4));
    }
}
