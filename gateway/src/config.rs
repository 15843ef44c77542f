//! The configuration: one file, with the environment on top, into each stage's own settings.
//!
//! `GAPURA_{SECTION}__{FIELD}` in the environment outweighs the file: `GAPURA_MQTT__LISTEN=127.0.0.1:0`.

mod privacy;

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use protocol::SiteId;
use serde::Deserialize;
use thiserror::Error;

use access::passes;
use base::site::SiteFolder;
use front::{doors, monitors, scan};
use store::log;

pub use privacy::Privacy;

const ENVIRONMENT: &str = "GAPURA_";

/// The variable that holds the access token of commands that ask a running gateway; no setting.
pub const TOKEN: &str = "GAPURA_TOKEN";

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The site.
    pub site: Site,
    /// Where doors connect.
    #[serde(default)]
    pub mqtt: doors::Config,
    /// How scans are judged and kept.
    #[serde(default)]
    pub scans: scan::Config,
    /// Which colour a health certificate gives.
    #[serde(default)]
    pub health: passes::HealthRules,
    /// What decisions depend on beside the policy.
    #[serde(default)]
    pub access: access::Config,
    /// The durable log.
    #[serde(default)]
    pub log: log::Config,
    /// The file from which attendance, presence and contacts are answered.
    #[serde(default)]
    pub views: ledgers::Config,
    /// How the times of people at doors become working days.
    #[serde(default)]
    pub attendance: ledgers::AttendanceConfig,
    /// What makes a contact.
    #[serde(default)]
    pub contacts: ledgers::ContactsConfig,
    /// How long what is known of people is kept, and what leaves the site.
    #[serde(default)]
    pub privacy: Privacy,
    /// Who watches decisions.
    #[serde(default)]
    pub monitors: monitors::Config,
    /// Where events are forwarded to; absent: nowhere.
    pub upstream: Option<upstream::Config>,
    /// The status page, API, health and metrics.
    #[serde(default)]
    pub http: web::Config,
    /// The folder that relative paths start at: that of the configuration file.
    #[serde(skip)]
    folder: PathBuf,
}

/// Section `[site]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The site's name, as its certificates carry it.
    pub name: SiteId,
    /// Where it is, an IANA time zone.
    pub time_zone: String,
}

/// A configuration that cannot be used.
#[derive(Debug, Error)]
#[error("{place}: {reason}")]
pub struct ConfigError {
    place: String,
    reason: String,
}

impl Config {
    /// Reads `file`, puts `environment` on top, and checks every setting.
    ///
    /// # Errors
    /// Names the file and line, or the variable, of what is wrong.
    pub fn read(file: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let error = |reason: String| ConfigError { place: file.display().to_string(), reason };
        let text = std::fs::read_to_string(file)
            .map_err(|cause| error(format!("cannot be read ({cause}); `gapura init` makes one")))?;
        let overrides: Vec<_> =
            environment.filter(|(name, _)| name.starts_with(ENVIRONMENT) && name != TOKEN).collect();
        let mut config: Self = if overrides.is_empty() {
            toml::from_str(&text).map_err(|cause| at_line(file, &text, &cause))?
        } else {
            let mut table: toml::Table = toml::from_str(&text).map_err(|cause| at_line(file, &text, &cause))?;
            for (name, value) in &overrides {
                put(&mut table, name, value)?;
            }
            serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|cause| {
                error(format!(
                    "{} (with {ENVIRONMENT}… from the environment): {}",
                    cause.path(),
                    cause.inner().message()
                ))
            })?
        };
        config.folder = SiteFolder::of_configuration(file).root().to_owned();
        config.resolve_paths();
        config.validate().map_err(error)?;
        Ok(config)
    }

    /// The site's folder.
    pub fn folder(&self) -> SiteFolder {
        SiteFolder::new(&self.folder)
    }

    /// The site's time zone.
    ///
    /// # Errors
    /// When no such zone is known.
    pub fn time_zone(&self) -> Result<TimeZone, String> {
        TimeZone::get(&self.site.time_zone).map_err(|_| {
            format!("[site] time_zone {:?} is unknown; use an IANA name like Asia/Makassar", self.site.time_zone)
        })
    }

    fn validate(&self) -> Result<(), String> {
        self.time_zone()?;
        let upstream = self.upstream.as_ref().map_or(Ok(()), upstream::Config::validate);
        for (section, checked) in [
            ("mqtt", self.mqtt.validate()),
            ("scans", self.scans.validate()),
            ("health", self.health.validate()),
            ("access", self.access.validate()),
            ("log", self.log.validate()),
            ("views", self.views.validate()),
            ("attendance", self.attendance.validate()),
            ("contacts", self.contacts.validate()),
            ("privacy", self.privacy.validate()),
            ("monitors", self.monitors.validate()),
            ("upstream", upstream),
            ("http", self.http.validate()),
        ] {
            checked.map_err(|reason| format!("[{section}] {reason}"))?;
        }
        if self.attendance.upstream && self.upstream.is_none() {
            return Err("[attendance] upstream is true, but there is no [upstream]; add one, or take it away".into());
        }
        Ok(())
    }

    fn resolve_paths(&mut self) {
        let folder = &self.folder;
        let resolve = |path: &mut PathBuf| {
            if !path.as_os_str().is_empty() && path.is_relative() {
                *path = folder.join(&path);
            }
        };
        if let Some(upstream) = &mut self.upstream {
            [&mut upstream.ca, &mut upstream.certificate, &mut upstream.key].into_iter().for_each(resolve);
        }
        self.http.certificate.iter_mut().chain(&mut self.http.key).for_each(resolve);
    }
}

/// Puts one variable into the file's table. Its value is TOML where it reads as such, and text otherwise.
fn put(table: &mut toml::Table, name: &str, text: &str) -> Result<(), ConfigError> {
    let error = |reason: &str| ConfigError { place: format!("environment variable {name}"), reason: reason.into() };
    let path = name.trim_start_matches(ENVIRONMENT).to_ascii_lowercase();
    let (section, field) =
        path.split_once("__").ok_or_else(|| error("must be GAPURA_{SECTION}__{FIELD}, like GAPURA_MQTT__LISTEN"))?;
    let value = toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| toml::Value::String(text.into()));
    let section = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    let section = section.as_table_mut().ok_or_else(|| error("names something that is no section"))?;
    section.insert(field.into(), value);
    Ok(())
}

fn at_line(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
    let remedy = "the comments in a new gapura.toml list every setting";
    ConfigError { place: format!("{}:{line}", file.display()), reason: format!("{}; {remedy}", error.message().trim()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "[site]\nname = \"regency\"\ntime_zone = \"Asia/Makassar\"\n";

    fn read(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gapura.toml");
        std::fs::write(&file, text).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::read(&file, environment).map_err(|error| error.to_string())
    }

    #[test]
    fn the_sample_configuration_is_valid() {
        let sample = include_str!("../../deploy/gapura.toml");
        read(&sample.replace("{site}", "regency").replace("{time_zone}", "Asia/Makassar"), &[]).unwrap();
    }

    #[test]
    fn every_setting_that_the_sample_shows_exists() {
        let sample = include_str!("../../deploy/gapura.toml");
        let shown: String = sample
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.starts_with('[') || is_setting(setting) => setting,
                _ => line,
            })
            .map(|line| format!("{line}\n"))
            .collect();
        read(&shown.replace("{site}", "regency").replace("{time_zone}", "Asia/Makassar"), &[]).unwrap();
    }

    fn is_setting(line: &str) -> bool {
        line.split_once(" = ")
            .is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
    }

    #[test]
    fn the_environment_outweighs_the_file() {
        let environment = [
            ("GAPURA_HTTP__LISTEN", "127.0.0.1:0"),
            ("GAPURA_SCANS__QUEUE_EVENTS_MAX", "7"),
            ("HOME", "x"),
            (TOKEN, "no setting"),
        ];
        let config = read(&format!("{SITE}[http]\nlisten = \"127.0.0.1:9\"\n"), &environment).unwrap();
        assert_eq!((config.http.listen.port(), config.scans.queue_events_max), (0, 7));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, environment, parts) in [
            (format!("{SITE}[mqtt]\nlisten = \"nowhere\"\n"), vec![], vec!["gapura.toml:5", "listing"]),
            (format!("{SITE}[mqtt]\nlissten = \"x\"\n"), vec![], vec!["gapura.toml:5", "lissten"]),
            (SITE.replace("regency", "Regency Hall"), vec![], vec!["gapura.toml:2", "a-z"]),
            (SITE.replace("Makassar", "Nowhere"), vec![], vec!["time_zone", "IANA"]),
            (format!("{SITE}[scans]\nqueue_events_max = 0\n"), vec![], vec!["[scans] queue_events_max", "1 to"]),
            (format!("{SITE}[attendance]\nstay_hours_max = 99\n"), vec![], vec!["[attendance] stay_hours_max", "1 to"]),
            (format!("{SITE}[attendance]\nupstream = true\n"), vec![], vec!["[attendance] upstream", "no [upstream]"]),
            (format!("{SITE}[contacts]\nminutes = 0\n"), vec![], vec!["[contacts] minutes", "1 to"]),
            (format!("{SITE}[privacy]\nevents_days = 0\n"), vec![], vec!["[privacy] events_days", "1 to 3650"]),
            (SITE.into(), vec![("GAPURA_SCANS__QUEUE_EVENTS_MAX", "many")], vec!["scans.queue_events_max"]),
            (SITE.into(), vec![("GAPURA_TOKENS", "x")], vec!["GAPURA_TOKENS", "GAPURA_MQTT__LISTEN"]),
            (SITE.into(), vec![("GAPURA_LISTEN", "x")], vec!["GAPURA_LISTEN", "GAPURA_MQTT__LISTEN"]),
        ] {
            let error = read(&text, &environment).unwrap_err();
            for part in parts.into_iter().filter(|part| *part != "listing") {
                assert!(error.contains(part), "{error:?} does not say {part:?}");
            }
        }
    }
}
