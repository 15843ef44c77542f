//! The ledgers' commands, as an office types them against a gateway that runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use jiff::Timestamp;
use protocol::Direction;
use serde_json::Value;

use crate::harness::{Days, GREEN, Gateway, Kept, RED, Reader, Said, Site, Version, token_of};

/// Somebody whose name a spreadsheet would take for a formula, and whose office needs quotes.
const FORMULA: &str = "C-0007,=1+1,asn,\"Dinas \"\"Contoh\"\", Timur\",CONTOH-BADGE-FORMULA,green,\n";

/// A gateway that knows of three people's yesterday, and of some who were at the door today.
struct Office {
    site: Site,
    gateway: Gateway,
    days: Days,
}

impl Office {
    async fn open() -> Self {
        let site = Site::make(&["main-in"]);
        site.import(FORMULA);
        let days = Days::at_noon(&site);
        let gateway = site.run().await;
        let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
        let badges = [GREEN, "CONTOH-BADGE-FORMULA", "CONTOH-0001"];
        let ways = [(7, Direction::In), (15, Direction::Out)];
        let scans = ways.into_iter().flat_map(|(hour, way)| badges.map(|badge| (hour, way, badge))).zip(1..);
        let scans = scans.map(|((hour, direction, badge), seq)| Kept {
            seq,
            at: days.at(1, hour, 30),
            direction,
            badge: badge.into(),
        });
        reader.bring(&scans.collect::<Vec<_>>()).await;
        for (badge, seq) in [GREEN, RED, "CONTOH-BADGE-FORMULA"].into_iter().zip(10..) {
            reader.scan(seq, badge).await;
        }
        Self { site, gateway, days }
    }

    /// What the command says, in which words are separated by spaces, to whoever has the token.
    fn says(&self, token: &str, line: &str) -> Said {
        self.site.ask(&self.gateway, token, &line.split(' ').collect::<Vec<_>>())
    }

    /// What it says to the administrator, whom it must serve.
    fn well(&self, line: &str) -> String {
        let said = self.says(self.site.token(), line);
        assert!(said.success && said.stderr.is_empty(), "{line}: {said:?}");
        said.stdout
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.well(line)).unwrap()
    }

    fn yesterday(&self) -> String {
        self.days.ago(1).to_string()
    }
}

/// The words of a table's row that begins so, or has such a cell.
fn row<'t>(table: &'t str, cell: &str) -> Vec<&'t str> {
    let row = table.lines().find(|line| line.split_whitespace().any(|word| word == cell));
    row.unwrap_or_else(|| panic!("{cell} in {table}")).split_whitespace().collect()
}

#[tokio::test]
async fn presence_and_attendance_are_tables_json_and_files() {
    let office = Office::open().await;
    let zones = office.well("presence");
    assert_eq!(row(&zones, "main"), ["main", "2"], "{zones}");
    assert_eq!(
        row(&office.well("presence --people --zone main"), "C-0001")[1..5],
        ["Contoh", "Satu", "Dinas", "Contoh"]
    );
    assert_eq!(office.json("presence --people --json")["people"].as_array().unwrap().len(), 2);
    let list = office.site.beside("muster.html").display().to_string();
    office.well(&format!("presence --muster --out {list}"));
    let page = fs::read_to_string(&list).unwrap();
    assert!(page.starts_with("<!") && page.contains("Contoh Satu") && !page.contains("F-000"), "{page}");
    assert_eq!(fs::metadata(&list).unwrap().permissions().mode() & 0o777, 0o600);
    let again = office.says(office.site.token(), &format!("presence --muster --out {list}"));
    assert!(!again.success && again.stderr.contains("is there already"), "{again:?}");

    let asked = format!("attendance --from {0} --to {0}", office.yesterday());
    let table = office.well(&asked);
    let times = ["07:30", "15:30", "8:00", "8:00"];
    assert!(row(&table, "F-000").windows(4).any(|words| words == times), "{table}");
    assert!(table.contains("3 people, 3 working days: 24:00 proved, 24:00 by rule"), "{table}");
    let json = office.json(&format!("{asked} --json --person C-0001"));
    assert_eq!((json["rows"].as_array().unwrap().len(), &json["rows"][0]["worked_minutes"]), (1, &480.into()));
    let summary = office.json(&format!("{asked} --summary --json"));
    assert_eq!(summary["days"][0]["total"]["came"], 3, "{summary:#}");
}

#[tokio::test]
async fn a_csv_opens_in_a_spreadsheet_and_holds_no_formula() {
    let office = Office::open().await;
    let asked = format!("attendance --from {0} --to {0} --format csv", office.yesterday());
    let csv = office.well(&asked);
    let rows: Vec<&str> = csv.strip_prefix('\u{feff}').expect("a byte order mark").split("\r\n").collect();
    assert!(rows[0].starts_with("person,name,opd,day,shift_start,"), "{csv}");
    let yesterday = office.yesterday();
    let guarded = format!("C-0007,'=1+1,\"Dinas \"\"Contoh\"\", Timur\",{yesterday},");
    assert!(
        rows[2].starts_with(&guarded) && rows[2].contains(&format!(",{yesterday} 07:30,{yesterday} 15:30,8:00,480,")),
        "{csv}"
    );
    assert_eq!((rows.len(), rows[4]), (5, ""), "{csv}");
    let contacts =
        office.well(&format!("contacts C-0001 --from {yesterday} --to {yesterday} --purpose case --format csv"));
    assert!(contacts.starts_with("\u{feff}generation,of,") && contacts.contains(",C-0007,'=1+1,"), "{contacts}");
    let muster = office.well("presence --muster --format csv");
    assert!(muster.starts_with('\u{feff}') && muster.contains("'=1+1"), "{muster}");
}

#[tokio::test]
async fn contacts_need_a_purpose_and_are_tables_and_pictures() {
    let office = Office::open().await;
    let asked = format!("contacts C-0001 --from {0} --to {0}", office.yesterday());
    let without = office.says(office.site.token(), &asked);
    assert!(!without.success && without.stderr.contains("--purpose"), "{without:?}");
    let table = office.well(&format!("{asked} --purpose case"));
    assert_eq!(row(&table, "C-0007")[1..4], ["C-0001", "certain", "480"], "{table}");
    assert!(table.ends_with("2 contacts: 2 certain, 0 possible\n"), "{table}");
    let picture = office.well(&format!("{asked} --purpose case --format svg"));
    assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"), "{picture}");
    assert!(picture.contains("Contoh Satu") && picture.contains("=1+1") && !picture.contains("<script"), "{picture}");
    assert_eq!(office.json(&format!("{asked} --purpose case --json"))["contacts"].as_array().unwrap().len(), 2);
    let looks = office.well("privacy audit --person C-0001");
    assert_eq!(looks.lines().filter(|line| line.contains("contacts") && line.contains("case")).count(), 3, "{looks}");
}

#[tokio::test]
async fn events_are_found_by_what_is_known_of_them_page_by_page() {
    let office = Office::open().await;
    let count = |line: &str| office.well(&format!("events {line}")).lines().last().unwrap().to_owned();
    let now = Timestamp::now();
    for (filter, found) in [
        ("--all", "9 events"),
        ("--outcome denied", "1 event"),
        ("--outcome recorded --door main-in --zone main", "6 events"),
        ("--reason status-red", "1 event"),
        ("--person C-0007 --purpose case", "3 events"),
        (&format!("--from {now}"), "0 events"),
        (&format!("--to {now}"), "9 events"),
        (&format!("--from {} --to {0}", office.days.ago(0)), "3 events"),
        (&format!("--from {} --to {0}", office.yesterday()), "6 events"),
        ("--after 6", "3 events"),
    ] {
        assert_eq!(count(filter), found, "{filter}");
    }
    let page = office.says(office.site.token(), "events --limit 4 --json");
    assert!(page.success && page.stderr.contains("go on with --after 4"), "{page:?}");
    let numbers = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["number"].take()).collect()
    };
    assert_eq!(numbers(&page.stdout), [1, 2, 3, 4]);
    assert_eq!(numbers(&office.well("events --after 4 --json")), [5, 6, 7, 8, 9]);
    let refused = office.says(office.site.token(), "events --person C-0001");
    assert!(!refused.success && refused.stderr.contains("--purpose"), "{refused:?}");
}

#[tokio::test]
async fn what_does_not_work_says_why_and_what_to_do() {
    let office = Office::open().await;
    let viewer = token_of(&office.site, "viewer");
    crate::harness::eventually("the token is taken", async || {
        office.gateway.ask_as(&viewer, reqwest::Method::GET, "/api/v1/presence", None).await.status() == 200
    })
    .await;
    let contacts = format!("contacts C-0001 --from {0} --to {0} --purpose case", office.yesterday());
    for (line, role) in [
        ("presence --people", "operator"),
        ("attendance", "attendance"),
        (contacts.as_str(), "tracer"),
        ("events", "operator"),
        ("privacy audit", "privacy-officer"),
        ("privacy erase C-0001 --purpose own --yes", "privacy-officer"),
    ] {
        let said = office.says(&viewer, line);
        let advice = format!("it takes a token with the role {role} or admin");
        assert!(!said.success && said.stdout.is_empty() && said.stderr.contains("403"), "{line}: {said:?}");
        assert!(said.stderr.contains(&advice) && !said.stderr.contains("C-0001"), "{line}: {said:?}");
    }
    let admin = office.site.token().to_owned();
    for (line, wrong) in [
        ("attendance --from yesterday", "--from is \"yesterday\": it must be a day like 2026-11-23"),
        ("attendance --from 2026-11-31", "--from is \"2026-11-31\""),
        ("contacts C-0001 --from 7 --to 8 --purpose case", "--from is \"7\""),
        ("events --to never", "--to is \"never\""),
        ("attendance --from 2026-11-24 --to 2026-11-23", "--to is before --from"),
        ("attendance --person X-1", "404"),
        ("presence --people --zone nowhere", "is no zone"),
        ("events --door nowhere", "404 Not Found: No such door"),
        ("events --zone nowhere", "404 Not Found: No such zone"),
        ("privacy erase C-0001 --purpose own", "--yes"),
    ] {
        let said = office.says(&admin, line);
        assert!(!said.success && said.stdout.is_empty() && said.stderr.contains(wrong), "{line}: {said:?}");
    }
    let without = office.site.say(&["presence"]);
    assert!(!without.success && without.stderr.contains("GAPURA_TOKEN"), "{without:?}");
    let wrong = office.says("no-token", "presence");
    assert!(!wrong.success && wrong.stderr.contains("401"), "{wrong:?}");

    let Office { site, gateway, .. } = office;
    let url = format!("http://{}", gateway.http);
    gateway.kill_9();
    let mut alone = site.gapura(&["presence", "--url", &url]);
    let said = Said::from(alone.env("GAPURA_TOKEN", admin).output().unwrap());
    assert!(!said.success && said.stderr.contains("is the gateway running?"), "{said:?}");
}
