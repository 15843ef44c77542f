//! Some days of a site that readers kept while they were cut off, and what all ledgers say of them.

use jiff::SignedDuration;
use protocol::Direction;
use serde_json::{Map, Value};
use simulator::load::mix::Badges;

use super::told;
use crate::harness::{Days, Gateway, Kept, Site};

/// Days before today of which something is known.
pub const DAYS: i64 = 5;

/// People whose days they are, with the badges of a fleet.
pub const PEOPLE: usize = 24;

/// The zones, one in the other.
const ZONES: &str = "[main]\n[office]\nparent = \"main\"\n";

/// A site with the doors `main-in` and `office` to two zones, and its days.
pub fn site() -> (Site, Days) {
    let site = Site::make(&["main-in"]);
    site.must(&["door", "add", "office", "--zone", "office", "--mode", "enforce"]);
    site.replace("zones.toml", ZONES);
    let days = Days::at_noon(&site);
    (site, days)
}

/// What each of two doors' readers has kept: people come, go to the office, leave it and the site, and every now and then are
/// not seen leaving.
pub fn scans(days: &Days) -> [Vec<Kept>; 2] {
    let badges = Badges::invented(PEOPLE).codes().to_vec();
    let (mut main, mut office) = (Vec::new(), Vec::new());
    for ago in (1..=DAYS).rev() {
        for (n, badge) in badges.iter().enumerate() {
            let slot = (n * 7 + ago as usize * 13) as i64 % 60;
            let at = |hour, minutes| days.at(ago, hour, 0) + SignedDuration::from_mins(minutes);
            let seen = |scans: &mut Vec<Kept>, at, direction| {
                let seq = scans.len() as u64 + 1;
                scans.push(Kept { seq, at, direction, badge: badge.clone() });
            };
            seen(&mut main, at(7, slot), Direction::In);
            if n % 3 != 0 {
                seen(&mut office, at(8, slot / 2), Direction::In);
                seen(&mut office, at(11, slot), Direction::Out);
            }
            // Whoever was not seen leaving yesterday might still be there, on some days of the week.
            if ago == 1 || !(n + ago as usize).is_multiple_of(7) {
                seen(&mut main, at(15, slot * 2), Direction::Out);
            }
        }
    }
    // They are inside now.
    for (n, badge) in badges.iter().enumerate().filter(|(n, _)| n % 2 == 0) {
        let at = days.at(0, 7, n as i8);
        main.push(Kept { seq: main.len() as u64 + 1, at, direction: Direction::In, badge: badge.clone() });
    }
    [main, office]
}

/// What the ledgers say of the days, but for what goes on with the clock; `left_out` is whoever comes in between.
pub async fn answers(gateway: &Gateway, days: &Days, left_out: &[&str]) -> Map<String, Value> {
    let (from, to) = (days.ago(DAYS), days.ago(1));
    let (start, end) = (days.at(DAYS, 0, 0), days.at(0, 0, 0));
    let mut answers = Map::new();
    let traced = ["F-000", "F-001", "F-011", "F-023"]
        .map(|person| format!("/api/v1/contacts?person={person}&from={start}&to={end}&generations=2&purpose=test"));
    let asked = [
        "/api/v1/presence/people".to_owned(),
        format!("/api/v1/attendance?from={from}&to={to}"),
        format!("/api/v1/attendance/summary?from={from}&to={to}"),
        format!("/api/v1/contacts?person=F-002&from={start}&to={end}&scope=around&minutes=60&purpose=test"),
    ];
    for path in asked.into_iter().chain(traced) {
        let mut answer = told(gateway, &path).await;
        if let Some(people) = answer.get_mut("people").and_then(Value::as_array_mut) {
            people.retain(|row| !left_out.contains(&row["person"].as_str().unwrap()));
            // In which order two readers' scans are kept is nobody's concern.
            people.iter_mut().for_each(|row| drop(row.as_object_mut().unwrap().remove("event")));
            answer.as_object_mut().unwrap().remove("at");
        }
        answers.insert(path, answer);
    }
    let rows = |path: &str, rows: &str| {
        let (_, answer) = answers.iter().find(|(asked, _)| asked.starts_with(path)).unwrap();
        answer[rows].as_array().unwrap().len()
    };
    assert_eq!(rows("/api/v1/attendance?", "rows"), PEOPLE * DAYS as usize);
    assert_eq!(rows("/api/v1/presence/people", "people"), PEOPLE / 2);
    assert!(rows("/api/v1/contacts?person=F-001", "contacts") > 5);
    answers
}

/// The same answers to the same questions.
pub fn assert_same(now: &Map<String, Value>, before: &Map<String, Value>, when: &str) {
    for (path, answer) in before {
        assert_eq!(&now[path], answer, "{when}: {path}");
    }
}
