//! The list for an evacuation: everybody who may be inside, zone by zone, on paper or in a spreadsheet.
//!
//! The page stands for itself: it has its style in it and no script, so it can be kept, printed, and read without the
//! gateway.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::TimeZone;
use protocol::Instant;

use super::{Answer, Inside, Named, Place};
use base::spreadsheet::Spreadsheet;
use ledgers::{Bounds, Evidence, Present};

const STYLE: &str = include_str!("muster.css");

/// The type of [`csv`].
pub(super) const CSV: &str = Spreadsheet::CONTENT_TYPE;

/// Digits of a credential's hash by which somebody unknown can be told from others.
const DIGITS: usize = 8;

/// The content policy of [`page`]: its own style, and nothing else.
pub(super) fn policy() -> String {
    let hash = STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The list in HTML, in Indonesian and English; `zone` is the one that it is about, if not about all.
pub(super) fn page(place: &Place, inside: &Answer<Inside>, zone: Option<&str>) -> String {
    let mut people: Vec<&Named<Present>> = inside.value.people.iter().collect();
    people.sort_by(|one, other| order(one).cmp(&order(other)));
    let offset = place.time_zone.to_offset(inside.value.at.timestamp());
    let when = format!("{} (UTC{offset})", local(&place.time_zone, inside.value.at, "%Y-%m-%d %H:%M:%S"));
    let site = escaped(&place.site);
    let about = zone.map(|zone| format!(" – {}", escaped(zone))).unwrap_or_default();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"id\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Daftar evakuasi {site} {when}</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>Daftar evakuasi <span lang=\"en\">Muster list</span></h1>\n<dl>\n\
         <dt>Lokasi <span lang=\"en\">Site</span></dt><dd>{site}{about}</dd>\n\
         <dt>Waktu <span lang=\"en\">Time</span></dt><dd>{when}</dd>\n\
         <dt>Orang <span lang=\"en\">People</span></dt><dd>{}</dd>\n\
         <dt>Sampai peristiwa <span lang=\"en\">Through event</span></dt><dd>{}{}</dd>\n</dl>\n\
         <p>Centang setiap orang yang sudah ditemukan. <span lang=\"en\">Tick everybody who has been found.</span></p>\n",
        count(&people),
        inside.through,
        missing(inside.behind),
    );
    if people.is_empty() {
        page.push_str("<p class=\"nobody\">Tidak ada orang di dalam. <span lang=\"en\">Nobody is inside.</span></p>\n");
    }
    for people in people.chunk_by(|one, other| one.row.zone == other.row.zone) {
        section(&mut page, &place.time_zone, inside.value.at, people);
    }
    page.push_str(
        "<footer><span>Dihitung oleh <i lang=\"en\">Counted by</i></span>\
         <span>Jam <i lang=\"en\">Time</i></span></footer>\n</body></html>\n",
    );
    page
}

/// The list in CSV.
pub(super) fn csv(place: &Place, inside: &Inside) -> Result<Vec<u8>, csv::Error> {
    let columns = ["zone", "person", "name", "opd", "since_earliest", "since_latest", "evidence", "event"];
    let mut table = Spreadsheet::new(columns)?;
    let time = |at| local(&place.time_zone, at, "%Y-%m-%d %H:%M:%S");
    for Named { row, name, opd } in &inside.people {
        table.row([
            &*row.zone,
            row.person.as_str(),
            name.as_deref().unwrap_or_default(),
            opd.as_deref().unwrap_or_default(),
            &time(row.since.earliest),
            &time(row.since.latest),
            evidence(row.evidence).0,
            &row.event.map(|event| event.to_string()).unwrap_or_default(),
        ])?;
    }
    table.into_bytes()
}

/// One zone: its name, how many are in it, and a row for each.
fn section(page: &mut String, time_zone: &TimeZone, now: Instant, people: &[&Named<Present>]) {
    let Some(first) = people.first() else { return };
    page.push_str(&format!(
        "<section><h2>{} <small>{}</small></h2>\n<table><thead><tr><th class=\"n\">No</th><th class=\"box\">✓</th>\
         <th>Nama <span lang=\"en\">Name</span></th><th class=\"opd\">OPD</th>\
         <th class=\"since\">Sejak <span lang=\"en\">Since</span></th>\
         <th class=\"evidence\">Bukti <span lang=\"en\">Evidence</span></th></tr></thead><tbody>\n",
        escaped(&first.row.zone),
        count(people),
    ));
    for (index, person) in people.iter().enumerate() {
        let (_, indonesian, english) = evidence(person.row.evidence);
        page.push_str(&format!(
            "<tr{}><td class=\"n\">{}</td><td class=\"box\"><i></i></td><td>{}</td><td class=\"opd\">{}</td>\
             <td class=\"since\">{}</td><td class=\"evidence\">{indonesian} <span lang=\"en\">{english}</span></td></tr>\n",
            if is_weak(person) { " class=\"weak\"" } else { "" },
            index + 1,
            who(person),
            escaped(person.opd.as_deref().unwrap_or_default()),
            since(time_zone, now, person.row.since),
        ));
    }
    page.push_str("</tbody></table></section>\n");
}

/// By zone, then by name; who has none, behind.
fn order(person: &Named<Present>) -> (&str, bool, &str, &str) {
    let name = person.name.as_deref();
    (&person.row.zone, name.is_none(), name.unwrap_or_default(), person.row.person.as_str())
}

fn who(person: &Named<Present>) -> String {
    let id = person.row.person.as_str();
    match &person.name {
        Some(name) => format!("{}<small>{}</small>", escaped(name), escaped(id)),
        None if person.row.person.is_anonymous() => {
            let digits: String = id.chars().skip(1).take(DIGITS).collect();
            format!("Tidak dikenal <span lang=\"en\">Unknown</span><small>{}…</small>", escaped(&digits))
        }
        None => escaped(id),
    }
}

fn is_weak(person: &Named<Present>) -> bool {
    person.row.evidence != Evidence::Inside
}

fn count(people: &[&Named<Present>]) -> String {
    let weak = people.iter().filter(|person| is_weak(person)).count();
    let all = format!("{} orang <span lang=\"en\">people</span>", people.len());
    if weak == 0 { all } else { format!("{all}, {weak} tidak pasti <span lang=\"en\">uncertain</span>") }
}

/// What the list does not know of yet.
fn missing(behind: u64) -> String {
    if behind == 0 {
        return String::new();
    }
    format!(" – {behind} peristiwa belum dihitung <span lang=\"en\">events not counted yet</span>")
}

/// A word for programs, then in Indonesian and English.
fn evidence(evidence: Evidence) -> (&'static str, &'static str, &'static str) {
    match evidence {
        Evidence::Inside => ("inside", "Di dalam", "Inside"),
        Evidence::Rule => ("rule", "Jam kerja selesai, tidak terlihat keluar", "Shift is over, not seen leaving"),
        Evidence::NextDoor => ("next_door", "Terlihat di pintu lain", "Seen at another door"),
        Evidence::Exit => ("exit", "Terlihat keluar", "Seen leaving"),
    }
}

/// The time; with the day, where it is another than today's.
fn since(time_zone: &TimeZone, now: Instant, since: Bounds) -> String {
    let day = |at| local(time_zone, at, "%Y-%m-%d");
    let time = |at| local(time_zone, at, if day(at) == day(now) { "%H:%M" } else { "%Y-%m-%d %H:%M" });
    let (earliest, latest) = (time(since.earliest), time(since.latest));
    if earliest == latest { latest } else { format!("{earliest} –<br>{latest}") }
}

fn local(time_zone: &TimeZone, at: Instant, format: &str) -> String {
    time_zone.to_datetime(at.timestamp()).strftime(format).to_string()
}

/// Text as it may stand between tags.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledgers::Person;

    fn at(minutes: i64) -> Instant {
        Instant::from_unix_ms(1_795_390_264_000 + minutes * 60_000)
    }

    fn person(id: &str, name: Option<&str>, zone: &str, since: (i64, i64), evidence: Evidence) -> Named<Present> {
        let since = Bounds { earliest: at(since.0), latest: at(since.1) };
        let row = Present { person: Person::new(id), zone: zone.into(), since, evidence, event: Some(7) };
        Named { row, name: name.map(Into::into), opd: Some("Dinas <Contoh> & Co".into()) }
    }

    fn place() -> Place {
        Place { site: "regency".into(), time_zone: TimeZone::get("Asia/Makassar").unwrap(), contact_minutes: 15 }
    }

    fn inside() -> Answer<Inside> {
        let people = vec![
            person("P-0002", Some("Sari Contoh"), "main", (-40, -40), Evidence::Inside),
            person("P-0001", Some("Budi <script>alert('x')</script> \"Contoh\""), "main", (-60, -30), Evidence::Inside),
            person("P-0003", None, "main", (-900, -900), Evidence::Rule),
            person("~07070707ffff", None, "archive", (-5, -5), Evidence::Inside),
        ];
        Answer { value: Inside { at: at(0), people }, through: 88_121, behind: 3 }
    }

    #[test]
    fn everybody_stands_in_their_zone_with_a_box_to_tick() {
        let page = page(&place(), &inside(), None);
        let (archive, main) = (page.find("<h2>archive").unwrap(), page.find("<h2>main").unwrap());
        assert!(archive < main);
        assert_eq!(page.matches("<td class=\"box\"><i></i></td>").count(), 4);
        for words in [
            "4 orang <span lang=\"en\">people</span>, 1 tidak pasti <span lang=\"en\">uncertain</span>",
            "3 orang <span lang=\"en\">people</span>, 1 tidak pasti",
            "<dd>2026-11-23 07:31:04 (UTC+08)</dd>",
            "<dd>88121 – 3 peristiwa belum dihitung",
            "06:31 –<br>07:01",
            "2026-11-22 16:31",
            "Shift is over, not seen leaving",
            "Tidak dikenal",
            "07070707…",
            "P-0003",
        ] {
            assert!(page.contains(words), "{words}");
        }
        assert!(page.find("Budi").unwrap() < page.find("Sari").unwrap());
    }

    #[test]
    fn names_are_escaped_and_the_page_needs_nothing_else() {
        let page = page(&place(), &inside(), Some("<b>"));
        assert!(page.contains("Budi &lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &quot;Contoh&quot;"));
        assert!(page.contains("Dinas &lt;Contoh&gt; &amp; Co") && page.contains("regency – &lt;b&gt;"));
        for forbidden in ["<script", "http:", "https:", "url(", "@import", "src=", "href=", "<b>"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        // The policy allows the style as it stands in the page.
        let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let hash = STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, style.as_bytes()));
        assert!(policy().contains(&format!("'sha256-{hash}'")));
    }

    #[test]
    fn nobody_inside_is_said_so() {
        let nobody = Answer { value: Inside { at: at(0), people: Vec::new() }, through: 0, behind: 0 };
        assert!(page(&place(), &nobody, None).contains("Nobody is inside"));
    }

    #[test]
    fn the_table_has_a_row_for_each_and_no_formulas() {
        let mut inside = inside().value;
        inside.people[0].name = Some("=HYPERLINK(1)".into());
        let table = String::from_utf8(csv(&place(), &inside).unwrap()).unwrap();
        let rows: Vec<&str> = table.split("\r\n").collect();
        assert_eq!(rows[0], "\u{feff}zone,person,name,opd,since_earliest,since_latest,evidence,event");
        assert_eq!(
            rows[1],
            "main,P-0002,'=HYPERLINK(1),Dinas <Contoh> & Co,2026-11-23 06:51:04,2026-11-23 06:51:04,inside,7"
        );
        assert_eq!(rows.len(), 6);
    }

    /// `MUSTER_PAGE=/tmp/muster.html cargo test -p web --lib a_page_to_look_at` writes a page of made-up people.
    #[test]
    fn a_page_to_look_at() {
        let names =
            ["Ayu Contoh", "Budi Contoh, S.Kom.", "Citra Nama-Yang-Sangat-Panjang Sekali Contoh Percobaan", "Dewi"];
        let mut people = Vec::new();
        for (zone, n) in [("main", 14), ("archive", 3), ("hall-north", 6)] {
            for i in 0..n {
                let evidence = if i % 5 == 4 { Evidence::Rule } else { Evidence::Inside };
                let id = format!("P-{i:04}");
                let mut row = person(&id, Some(names[i % 4]), zone, (-10 * i as i64 - 9, -10 * i as i64), evidence);
                row.opd = Some("Dinas Komunikasi dan Informatika".into());
                people.push(row);
            }
        }
        people.push(person("~0707070707070707", None, "main", (-900, -900), Evidence::Rule));
        let inside = Answer { value: Inside { at: at(0), people }, through: 88_121, behind: 0 };
        let page = page(&place(), &inside, None);
        assert!(["Ayu Contoh", "archive", "hall-north"].iter().all(|shown| page.contains(shown)));
        if let Ok(path) = std::env::var("MUSTER_PAGE") {
            std::fs::write(path, page).unwrap();
        }
    }
}
