//! The EU Digital COVID Certificate: its schema, versions 1.0.0 to 1.3.3, as one that takes what any of them takes.
//!
//! Lengths are those of the later versions, which are the wider ones. Beyond the schema's letter, as issuers and their
//! published certificates have it:
//!
//! - versions before 1.3.0 may hold several statements of one kind, of which the newest counts
//! - a testing centre's name may be longer, a country may be empty, a count of doses may be zero (such a certificate
//!   gives no colour), and a day may have a time behind it
//! - a country of two letters is one of ISO 3166, an organisation's id of the European Medicines Agency has its digits,
//!   nobody is born after the certificate was issued, and a name that was written was transliterated

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use protocol::Instant;

use super::cbor::Value;
use super::claims::{Attested, Holder, Recovery, Statement, Test, TestKind, TestResult, Vaccination};
use super::fault::Refusal;

/// Longest text, in characters.
pub(super) const TEXT_CHARS_MAX: usize = 80;

/// Longest name of a testing centre, in characters; the schema says 80, and issuers write more.
const CENTRE_CHARS_MAX: usize = 160;

/// Digits of an organisation's id, at least.
const ORGANISATION_DIGITS_MIN: usize = 9;

/// The countries of ISO 3166-1, and what the EU writes besides: EL and UK, EU itself, and XK for Kosovo.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR \
    BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH EL ER ES ET \
    EU FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ \
    IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM \
    MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW \
    PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO \
    TR TT TV TW TZ UA UG UK UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// Reads and validates a certificate that was issued at a moment.
pub(super) fn read(dcc: &Value<'_>, issued: Option<Instant>) -> Result<Attested, Refusal> {
    if dcc.map().is_none() {
        return Err(Refusal::claims("the health certificate is no map"));
    }
    let root = Entry { value: dcc, name: "" };
    let version = root.text("ver")?;
    if !is_version(version) {
        return Err(Refusal::claims("ver is not a version of three numbers"));
    }
    let name = dcc.field("nam").filter(|name| name.map().is_some()).ok_or_else(|| Refusal::claims("nam is no map"))?;
    let (written, standard) = names(&Entry { value: name, name: "nam" }, version)?;
    let birth_date = root.text("dob")?;
    if !is_birth_date(birth_date) {
        return Err(Refusal::claims("dob is not a date, a month, a year, or empty"));
    }
    let issued_day = issued.map(|issued| TimeZone::UTC.to_datetime(issued.timestamp()).date().to_string());
    // Texts of days, months and years compare as the days that they begin with do.
    if issued_day.is_some_and(|issued| birth_date.get(..10).unwrap_or(birth_date) > issued.as_str()) {
        return Err(Refusal::claims("dob lies after the day on which the certificate was issued"));
    }
    let (statement, certificate_id) = statement(dcc, version)?;
    let holder = Holder { name: written, standard_name: standard, birth_date: birth_date.into(), certificate_id };
    Ok(Attested { holder, statement, valid_from: None, valid_until: None })
}

/// The written and the standardised name, forename first.
fn names(name: &Entry<'_>, version: &str) -> Result<(String, String), Refusal> {
    let standard = |field| match name.optional_text(field)? {
        Some(text) if !text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'<') => {
            Err(Refusal::claims(format!("nam.{field} has other characters than A-Z and <")))
        }
        text => Ok(text),
    };
    let (surname, forename) = (standard("fnt")?, standard("gnt")?);
    for (written, standard) in [("fn", surname), ("gn", forename)] {
        if standard == Some("") && name.optional_text(written)?.is_some_and(|text| !text.is_empty()) {
            return Err(Refusal::claims(format!("nam.{written} was not transliterated")));
        }
    }
    // From version 1.3.2 on either of the two will do.
    let either = !holds_several(version) && !matches!(version, "1.3.0" | "1.3.1");
    if surname.is_none() && !(either && forename.is_some()) {
        return Err(Refusal::claims("nam.fnt is missing"));
    }
    let joined = |forename: Option<&str>, surname: Option<&str>| {
        forename.into_iter().chain(surname).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    };
    Ok((joined(name.optional_text("gn")?, name.optional_text("fn")?), joined(forename, surname)))
}

/// Whether certificates of this version, one before 1.3.0, may hold several statements.
fn holds_several(version: &str) -> bool {
    ["1.0.", "1.1.", "1.2."].iter().any(|old| version.starts_with(old))
}

/// The newest statement, and its certificate's id.
fn statement(dcc: &Value<'_>, version: &str) -> Result<(Statement, String), Refusal> {
    let group = |name| dcc.field(name).filter(|group| **group != Value::Null).map(|group| (name, group));
    let mut groups = ["v", "t", "r"].into_iter().filter_map(group);
    let (Some((name, group)), None) = (groups.next(), groups.next()) else {
        return Err(Refusal::claims("there is not exactly one of v, t and r"));
    };
    let entries = group.array().unwrap_or_default();
    if entries.len() > 1 && !holds_several(version) {
        return Err(Refusal::claims(format!("{name} holds several statements")));
    }
    let mut newest: Option<(Statement, String)> = None;
    for value in entries {
        let read = one_statement(&Entry { value, name }, version)?;
        if newest.as_ref().is_none_or(|(newest, _)| newest.since() <= read.0.since()) {
            newest = Some(read);
        }
    }
    newest.ok_or_else(|| Refusal::claims(format!("{name} holds no statement")))
}

fn one_statement(entry: &Entry<'_>, version: &str) -> Result<(Statement, String), Refusal> {
    let statement = match entry.name {
        "v" => Statement::Vaccination(vaccination(entry)?),
        "t" => Statement::Test(test(entry, version)?),
        _ => Statement::Recovery(recovery(entry)?),
    };
    entry.text("is")?;
    Ok((statement, entry.text("ci")?.to_owned()))
}

fn vaccination(entry: &Entry<'_>) -> Result<Vaccination, Refusal> {
    let is_id = |id: &str| id.len() >= ORGANISATION_DIGITS_MIN && id.bytes().all(|byte| byte.is_ascii_digit());
    if entry.text("ma")?.strip_prefix("ORG-").is_some_and(|id| !is_id(id)) {
        return Err(entry.wrong("ma", "is not an organisation's id"));
    }
    Ok(Vaccination {
        disease: Some(entry.text("tg")?.into()),
        vaccine: entry.text("vp")?.into(),
        product: entry.text("mp")?.into(),
        dose: entry.count("dn")?,
        doses: Some(entry.count("sd")?),
        date: entry.date("dt")?,
        country: entry.country()?,
    })
}

fn test(entry: &Entry<'_>, version: &str) -> Result<Test, Refusal> {
    // The name of a test had no limit before version 1.3.0.
    entry.text_up_to("nm", if holds_several(version) { usize::MAX } else { TEXT_CHARS_MAX })?;
    entry.optional_text("ma")?;
    entry.text_up_to("tc", CENTRE_CHARS_MAX)?;
    Ok(Test {
        disease: Some(entry.text("tg")?.into()),
        kind: match entry.text("tt")? {
            "LP6464-4" => TestKind::Naat,
            "LP217198-3" => TestKind::Antigen,
            _ => TestKind::Other,
        },
        sampled: entry.moment("sc")?,
        result: match entry.text("tr")? {
            "260373001" => TestResult::Positive,
            "260415000" => TestResult::Negative,
            _ => TestResult::Other,
        },
        country: entry.country()?,
    })
}

fn recovery(entry: &Entry<'_>) -> Result<Recovery, Refusal> {
    Ok(Recovery {
        disease: entry.text("tg")?.into(),
        first_positive: entry.date("fr")?,
        counts_from: entry.date("df")?,
        counts_until: entry.date("du")?,
        country: entry.country()?,
    })
}

/// A map of the certificate, and its name for complaints.
struct Entry<'a> {
    value: &'a Value<'a>,
    name: &'static str,
}

impl Entry<'_> {
    fn wrong(&self, field: &str, what: &str) -> Refusal {
        let dot = if self.name.is_empty() { "" } else { "." };
        Refusal::claims(format!("{}{dot}{field} {what}", self.name))
    }

    fn text(&self, field: &str) -> Result<&str, Refusal> {
        self.optional_text(field)?.ok_or_else(|| self.wrong(field, "is missing"))
    }

    fn optional_text(&self, field: &str) -> Result<Option<&str>, Refusal> {
        self.text_up_to(field, TEXT_CHARS_MAX)
    }

    fn text_up_to(&self, field: &str, chars_max: usize) -> Result<Option<&str>, Refusal> {
        match self.value.field(field) {
            None => Ok(None),
            Some(Value::Text(text)) if text.chars().count() <= chars_max => Ok(Some(text)),
            Some(Value::Text(_)) => Err(self.wrong(field, &format!("is longer than {chars_max} characters"))),
            Some(_) => Err(self.wrong(field, "is not a text")),
        }
    }

    fn count(&self, field: &str) -> Result<u32, Refusal> {
        let value = self.value.field(field).ok_or_else(|| self.wrong(field, "is missing"))?;
        let count = value.integer().and_then(|count| u32::try_from(count).ok());
        count.ok_or_else(|| self.wrong(field, "is not a whole number"))
    }

    /// A country of ISO 3166, a longer code of something that is no country, or nothing.
    fn country(&self) -> Result<String, Refusal> {
        let country = self.text("co")?;
        let known = country.len() != 2 || COUNTRIES.split_ascii_whitespace().any(|code| code == country);
        let fits = country.bytes().all(|byte| byte.is_ascii_uppercase());
        if known && fits { Ok(country.to_owned()) } else { Err(self.wrong("co", "is not a country code")) }
    }

    /// A day; some issuers write a time behind it.
    fn date(&self, field: &str) -> Result<Date, Refusal> {
        let value = self.value.field(field).ok_or_else(|| self.wrong(field, "is missing"))?;
        day(untagged(value)).ok_or_else(|| self.wrong(field, "is not a date"))
    }

    fn moment(&self, field: &str) -> Result<Instant, Refusal> {
        let value = self.value.field(field).ok_or_else(|| self.wrong(field, "is missing"))?;
        moment(value).ok_or_else(|| self.wrong(field, "is not a date and time"))
    }
}

/// A value without the tags that say that it is a date (0, 1 and 1004).
fn untagged<'a>(value: &'a Value<'a>) -> &'a Value<'a> {
    match value {
        Value::Tag(0 | 1 | 1004, inner) => inner,
        value => value,
    }
}

/// The day that a text begins with.
pub(super) fn day(value: &Value<'_>) -> Option<Date> {
    let text = value.text()?;
    match text.split_once(['T', ' ']) {
        None => text.parse().ok(),
        Some((day, _)) => {
            let _time: DateTime = without_offset(text)?;
            day.parse().ok()
        }
    }
}

/// The first moment of a day, in UTC.
pub(super) fn midnight(day: Date) -> Option<Instant> {
    TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok().map(Instant::from)
}

/// A date and time, as a text or as a number with tag 1.
pub(super) fn moment(value: &Value<'_>) -> Option<Instant> {
    match value {
        Value::Tag(1, _) => value.numeric_date_ms().map(Instant::from_unix_ms),
        value => untagged(value).text().and_then(moment_of),
    }
}

/// The moment that a text names; one without an offset is taken for UTC, as verifiers of health certificates do.
pub fn moment_of(text: &str) -> Option<Instant> {
    let text = Some(text).filter(|text| text.contains(['T', ' ']))?;
    let timestamp = text.parse::<jiff::Timestamp>().ok();
    timestamp.or_else(|| TimeZone::UTC.to_timestamp(without_offset(text)?).ok()).map(Instant::from)
}

fn without_offset(text: &str) -> Option<DateTime> {
    let timestamp = text.parse::<jiff::Timestamp>().map(|timestamp| TimeZone::UTC.to_datetime(timestamp));
    timestamp.ok().or_else(|| text.parse().ok())
}

/// Three numbers with a character between each two: the schema's own pattern.
fn is_version(version: &str) -> bool {
    let mut numbers = version.split('.');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    numbers.by_ref().take(3).filter(|part| is_number(part)).count() == 3 && numbers.next().is_none()
}

/// `1964-08-12`, `1964-08`, `1964`, or nothing; the first versions let a time stand behind the day.
fn is_birth_date(text: &str) -> bool {
    let day = text.split_once('T').map_or(text, |(day, _)| day);
    let mut parts = day.split('-');
    let is_number = |part: &str, digits: usize| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
    let year = parts.next().unwrap_or_default();
    let in_range = is_number(year, 4) && (year.starts_with("19") || year.starts_with("20"));
    text.is_empty() || (in_range && parts.clone().count() <= 2 && parts.all(|part| is_number(part, 2)))
}
