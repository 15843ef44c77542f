//! The configuration: one file, with the environment on top, into each stage's own settings.
//!
//! `GAPURA_{SECTION}__{FIELD}` in the environment outweighs the file: `GAPURA_MQTT__LISTEN=127.0.0.1:0`.

mod error;
mod privacy;
mod source;

#[cfg(test)]
mod documents;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use protocol::{Instant, SiteId};
use serde::Deserialize;

use access::passes;
use base::settings::{Section, SettingError};
use base::site::SiteFolder;
use front::{doors, monitors, scan};
use store::log;

use source::Source;

pub use error::ConfigError;
pub use privacy::Privacy;

/// The variable that holds the access token of commands that ask a running gateway; no setting.
pub const TOKEN: &str = "GAPURA_TOKEN";

/// Everything that can be set, by section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each section's type says what it is about")]
pub struct Config {
    pub site: Site,
    #[serde(default)]
    pub mqtt: doors::Config,
    #[serde(default)]
    pub scans: scan::Config,
    #[serde(default)]
    pub access: access::Config,
    #[serde(default)]
    pub health: passes::HealthRules,
    #[serde(default)]
    pub log: log::Config,
    #[serde(default)]
    pub ledgers: ledgers::Config,
    #[serde(default)]
    pub attendance: ledgers::AttendanceConfig,
    #[serde(default)]
    pub contacts: ledgers::ContactsConfig,
    #[serde(default)]
    pub privacy: Privacy,
    #[serde(default)]
    pub monitors: monitors::Config,
    pub upstream: Option<upstream::Config>,
    #[serde(default)]
    pub http: web::Config,
    /// The folder that relative paths start at: that of the configuration file.
    #[serde(skip)]
    folder: PathBuf,
    #[serde(skip)]
    origin: Origin,
}

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
struct Origin {
    file: PathBuf,
    /// What of the environment counts.
    environment: Vec<(String, String)>,
    /// Variables that begin like a setting and are none.
    ignored: Vec<String>,
    /// What both say.
    values: toml::Table,
}

base::settings! {
    /// The site.
    #[derive(Clone, Debug)]
    pub struct Site {
        /// The site's name, the third level of every topic and part of every certificate; it cannot be changed later, because
        /// the certificates carry it.
        pub name: SiteId => "name", must "1 to 32 of `a-z`, `0-9` and `-`", example "{site}";
        /// Where the site is: decides what a working day and working hours are.
        pub time_zone: String => "IANA time zone", must "a zone that is known", example "{time_zone}";
        /// The first day on which a reader of the site can have made a scan; `gapura init` sets it a month back. A reader's clock
        /// that says an earlier day is not believed: its scan gets the time at which it arrived.
        pub since: Option<String> => "date", must "a day like 2026-11-01", example "{since}", default "2020-01-01";
    }
    also has_a_known_time_zone, has_a_first_day;
}

/// What can be set in one section.
type Describe = fn() -> Section;

/// The check of one section.
type Check = fn(&Config) -> Result<(), SettingError>;

/// Every section, in the order in which documents show them.
const SECTIONS: [(&str, Describe, Check); 13] = [
    ("site", Site::section, |config| config.site.validate()),
    ("mqtt", doors::Config::section, |config| config.mqtt.validate()),
    ("scans", scan::Config::section, |config| config.scans.validate()),
    ("access", access::Config::section, |config| config.access.validate()),
    ("health", passes::HealthRules::section, |config| config.health.validate()),
    ("log", log::Config::section, |config| config.log.validate()),
    ("ledgers", ledgers::Config::section, |config| config.ledgers.validate()),
    ("attendance", ledgers::AttendanceConfig::section, |config| config.attendance.validate()),
    ("contacts", ledgers::ContactsConfig::section, |config| config.contacts.validate()),
    ("privacy", Privacy::section, |config| config.privacy.validate()),
    ("monitors", monitors::Config::section, |config| config.monitors.validate()),
    (UPSTREAM, upstream::Config::section, |config| match &config.upstream {
        Some(upstream) => upstream.validate(),
        None => Ok(()),
    }),
    ("http", web::Config::section, |config| config.http.validate()),
];

/// The first day of a site that does not say it.
const SINCE: &str = "2020-01-01";

/// The one section whose absence means something: events are forwarded nowhere.
const UPSTREAM: &str = "upstream";

impl Config {
    /// Reads `file`, puts `environment` on top, and checks every setting.
    ///
    /// # Errors
    /// Names the file and line, or the variable, of what is wrong.
    pub fn read(file: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let environment: Vec<_> =
            environment.filter(|(name, _)| name != TOKEN && source::may_be_setting(name)).collect();
        let sections = Self::sections();
        let (ignored, environment): (Vec<_>, Vec<_>) =
            environment.into_iter().partition(|(name, _)| source::is_of_others(name, &sections));
        let source = Source::read(file, environment.iter().cloned())?;
        source.check_names(&sections)?;
        let mut config: Self = source.deserialize()?;
        let ignored = ignored.into_iter().map(|(name, _)| name).collect();
        config.origin = Origin { file: file.to_owned(), environment, ignored, values: source.values().clone() };
        config.folder = SiteFolder::of_configuration(file).root().to_owned();
        config.resolve_paths();
        for (section, _, check) in SECTIONS {
            check(&config).map_err(|error| source.error_of(section, &error))?;
        }
        if config.attendance.upstream && config.upstream.is_none() {
            let reason = format!("is true, but there is no [{UPSTREAM}]; add one, or take it away");
            return Err(source.error_of("attendance", &SettingError::new("upstream", reason)));
        }
        Ok(config)
    }

    /// The file that it was read from.
    pub fn file(&self) -> &Path {
        &self.origin.file
    }

    /// Variables of the environment that begin like settings and were taken for somebody else's.
    pub fn ignored_variables(&self) -> &[String] {
        &self.origin.ignored
    }

    /// Reads the same file again, under the same environment.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub fn read_again(&self) -> Result<Self, ConfigError> {
        Self::read(&self.origin.file, self.origin.environment.iter().cloned())
    }

    /// The settings that have other values in `other`, as in `[mqtt] listen`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut names = Vec::new();
        for (section, Section { settings, .. }) in Self::sections() {
            for setting in settings {
                let value = |of: &Self| {
                    let written = of.origin.values.get(section).and_then(|values| values.get(setting.name));
                    written.or(setting.default.as_ref()).cloned()
                };
                if value(self) != value(other) {
                    names.push(format!("[{section}] {}", setting.name));
                }
            }
        }
        names
    }

    /// Everything that can be set: the sections' names and their settings.
    pub fn sections() -> Vec<(&'static str, Section)> {
        SECTIONS.into_iter().map(|(name, describe, _)| (name, describe())).collect()
    }

    /// The site's folder.
    pub fn folder(&self) -> SiteFolder {
        SiteFolder::new(&self.folder)
    }

    /// The site's time zone.
    ///
    /// # Errors
    /// When no such zone is known.
    pub fn time_zone(&self) -> Result<TimeZone, SettingError> {
        self.site.time_zone()
    }

    /// When the first day began on which a reader of the site can have made a scan.
    ///
    /// # Errors
    /// When it is no day.
    pub fn since(&self) -> Result<Instant, SettingError> {
        self.site.since()
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

impl Site {
    fn time_zone(&self) -> Result<TimeZone, SettingError> {
        TimeZone::get(&self.time_zone).map_err(|_| {
            SettingError::new(
                "time_zone",
                format!("{:?} is unknown; use an IANA name like Asia/Makassar", self.time_zone),
            )
        })
    }

    fn has_a_known_time_zone(&self) -> Result<(), SettingError> {
        self.time_zone().map(drop)
    }

    fn since(&self) -> Result<Instant, SettingError> {
        let text = self.since.as_deref().unwrap_or(SINCE);
        let wrong = |_| SettingError::new("since", format!("is {text:?}, which is no day like 2026-11-01"));
        let day: jiff::civil::Date = text.parse().map_err(wrong)?;
        let midnight = self.time_zone()?.to_timestamp(day.at(0, 0, 0, 0)).map_err(wrong)?;
        Ok(midnight.into())
    }

    fn has_a_first_day(&self) -> Result<(), SettingError> {
        self.since().map(drop)
    }
}
