//! A working day as it is exported and sent upstream: rows by office.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Attendance, NamedRow};

/// A person's working day as JSON.
pub type Row = Map<String, Value>;

/// A day's rows by office, as they are sent and exported. `known` gives a person's name and office, which may be empty.
///
/// # Errors
/// When a row cannot be written as JSON.
pub fn opd_rows<'k>(
    day: &[Attendance],
    known: impl Fn(&str) -> Option<(&'k str, &'k str)>,
) -> Result<Vec<(String, Vec<Row>)>, String> {
    let mut opds: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in day {
        let named = NamedRow::day(row, &known);
        let opd = named.opd.unwrap_or_default().to_owned();
        match serde_json::to_value(&named).map_err(|error| error.to_string())? {
            Value::Object(fields) => opds.entry(opd).or_default().push(fields),
            _ => return Err("a working day is no JSON object".into()),
        }
    }
    Ok(opds.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use jiff::tz::TimeZone;
    use protocol::{Direction, Instant};

    use super::*;
    use crate::Rules;
    use crate::{Passage, Person, attendance, sessions};

    fn day(person: &str, rules: &Rules) -> Attendance {
        let person = Person::new(person);
        let passage = |number, time: &str, direction| Passage {
            number,
            at: format!("2026-11-23T{time}:00+08:00").parse::<Instant>().unwrap(),
            zone: "main".into(),
            door: "main-in".into(),
            direction,
            late: false,
            clock_doubtful: false,
        };
        let passages = [passage(1, "07:31", Direction::In), passage(2, "16:02", Direction::Out)];
        let sessions = sessions(&person, &passages, rules, passages[1].at);
        attendance(&person, date(2026, 11, 23), &sessions, rules).unwrap()
    }

    #[test]
    fn a_day_is_told_by_office() {
        let rules = Rules::new(TimeZone::get("Asia/Makassar").unwrap());
        let known = |person: &str| match person {
            "P-1" => Some(("Contoh Satu", "dinkes")),
            "P-2" => Some(("", "bapenda")),
            "P-3" => Some(("Contoh Tiga", "dinkes")),
            _ => None,
        };
        let days = ["P-1", "P-2", "P-3", "P-4"].map(|person| day(person, &rules));
        let opds = opd_rows(&days, known).unwrap();
        let told: Vec<(&str, Vec<&str>)> = opds
            .iter()
            .map(|(opd, rows)| (opd.as_str(), rows.iter().map(|row| row["person"].as_str().unwrap()).collect()))
            .collect();
        assert_eq!(told, [("", vec!["P-4"]), ("bapenda", vec!["P-2"]), ("dinkes", vec!["P-1", "P-3"])]);
        let row = &opds[2].1[0];
        assert_eq!(
            (&row["worked_minutes"], &row["day"], &row["name"]),
            (&511.into(), &"2026-11-23".into(), &"Contoh Satu".into())
        );
        assert!(row["last_out"].is_string() && row["sessions"].is_array() && row["missing_exit"] == false);
    }
}
