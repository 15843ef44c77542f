//! The values of the configuration, out of the file and the environment, and where each of them stands.

use std::collections::HashMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::DeTable;

use super::error::ConfigError;
use base::file_error;
use base::nearest::{is_slip_of, nearest};
use base::owner::why;
use base::settings::{Section, SettingError};

/// What the name of every variable that is a setting begins with.
const ENVIRONMENT: &str = "GAPURA_";

const REMEDY: &str = "the comments in a new gapura.toml list every setting";

/// Whether a variable of the environment may be meant as a setting.
pub(super) fn may_be_setting(variable: &str) -> bool {
    variable.starts_with(ENVIRONMENT)
}

/// Whether a variable is somebody else's although it begins like a setting: an orchestrator names the ports of a service
/// `gapura` so, and whoever runs the program may have names of their own. What is only mistyped is not.
pub(super) fn is_of_others(variable: &str, sections: &[(&str, Section)]) -> bool {
    let Some(name) = variable.strip_prefix(ENVIRONMENT).map(str::to_ascii_lowercase) else { return true };
    if name.contains("__") {
        return false;
    }
    let settings =
        sections.iter().flat_map(|(section, about)| about.settings.iter().map(move |setting| (section, setting)));
    let is_meant = |meant: &str| is_slip_of(&name, meant);
    is_of_service(&name)
        || !(is_meant("token")
            || settings
                .into_iter()
                .any(|(section, setting)| is_meant(setting.name) || is_meant(&format!("{section}_{}", setting.name))))
}

/// Whether Kubernetes names a service's address and ports like this: `service_host`, `service_port_mqtts`,
/// `port_8883_tcp_addr`, with more of the service's name in front where it has more.
fn is_of_service(name: &str) -> bool {
    let padded = format!("_{name}_");
    let has_port = padded.split("_port_").skip(1).any(|rest| {
        let mut words = rest.split('_');
        let (number, protocol) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && ["tcp", "udp", "sctp"].contains(&protocol)
    });
    has_port || padded.contains("_service_host_") || padded.contains("_service_port_") || padded.ends_with("_port_")
}

/// The values of one file with those of the environment on top.
pub(super) struct Source {
    values: toml::Table,
    file: String,
    /// The places of sections, as `mqtt`, and of settings, as `mqtt.listen`.
    places: HashMap<String, String>,
}

impl Source {
    /// Reads `file`, and of the environment what [may be a setting](may_be_setting).
    ///
    /// # Errors
    /// Names the line of what is not TOML, or a variable that names no setting.
    pub(super) fn read(file: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|cause| ConfigError {
            place: name.clone(),
            reason: format!("cannot be read ({}); `gapura init` makes one", why(file, &cause)),
        })?;
        let line_of = |at: usize| format!("{name}:{}", file_error::line_of(&text, at));
        let at_line = |cause: toml::de::Error| ConfigError {
            place: line_of(cause.span().map_or(0, |span| span.start)),
            reason: format!("{}; {REMEDY}", cause.message().trim()),
        };
        let mut places = HashMap::new();
        for (section, settings) in DeTable::parse(&text).map_err(at_line)?.get_ref() {
            places.insert(section.get_ref().to_string(), line_of(section.span().start));
            for setting in settings.get_ref().as_table().into_iter().flat_map(DeTable::keys) {
                places.insert(format!("{}.{}", section.get_ref(), setting.get_ref()), line_of(setting.span().start));
            }
        }
        let values = toml::from_str(&text).map_err(at_line)?;
        let mut source = Self { values, file: name, places };
        for (variable, value) in environment {
            source.set(&variable, &value)?;
        }
        Ok(source)
    }

    /// Puts one variable into the values. Its value is TOML where it reads as such, and text otherwise.
    fn set(&mut self, variable: &str, text: &str) -> Result<(), ConfigError> {
        let place = format!("environment variable {variable}");
        let error = |reason: &str| ConfigError { place: place.clone(), reason: reason.into() };
        let path = variable.strip_prefix(ENVIRONMENT).unwrap_or(variable).to_ascii_lowercase();
        let (section, setting) = path
            .split_once("__")
            .ok_or_else(|| error("must be GAPURA_{SECTION}__{FIELD}, like GAPURA_MQTT__LISTEN"))?;
        let value = toml::from_str::<toml::Table>(&format!("value = {text}"))
            .ok()
            .and_then(|mut parsed| parsed.remove("value"))
            .unwrap_or_else(|| toml::Value::String(text.into()));
        let settings = self.values.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let settings = settings.as_table_mut().ok_or_else(|| error("names something that is no section"))?;
        settings.insert(setting.into(), value);
        self.places.entry(section.into()).or_insert_with(|| place.clone());
        self.places.insert(format!("{section}.{setting}"), place);
        Ok(())
    }

    /// What file and environment say.
    pub(super) fn values(&self) -> &toml::Table {
        &self.values
    }

    /// Checks that every section and every setting exists.
    ///
    /// # Errors
    /// Names the place of the one that does not, and the name that was probably meant.
    pub(super) fn check_names(&self, sections: &[(&str, Section)]) -> Result<(), ConfigError> {
        for (name, values) in &self.values {
            let Some((_, section)) = sections.iter().find(|(section, _)| section == name) else {
                let hint = nearest(name, sections.iter().map(|(section, _)| *section));
                let hint = hint.map(|section| format!(", did you mean the section [{section}]?"));
                return Err(self.unknown(name, name, "", hint));
            };
            for key in values.as_table().into_iter().flat_map(toml::Table::keys) {
                if section.settings.iter().any(|setting| setting.name == key) {
                    continue;
                }
                let elsewhere =
                    sections.iter().find(|(_, other)| other.settings.iter().any(|setting| setting.name == key));
                let hint = match (nearest(key, section.settings.iter().map(|setting| setting.name)), elsewhere) {
                    (_, Some((other, _))) => Some(format!(", it belongs to [{other}]")),
                    (Some(setting), None) => Some(format!(", did you mean `{setting}`?")),
                    (None, None) => None,
                };
                return Err(self.unknown(&format!("{name}.{key}"), key, &format!(" in [{name}]"), hint));
            }
        }
        Ok(())
    }

    fn unknown(&self, path: &str, name: &str, section: &str, hint: Option<String>) -> ConfigError {
        let reason = format!("unknown field `{name}`{section}{}; {REMEDY}", hint.unwrap_or_default());
        ConfigError { place: self.place(path), reason }
    }

    /// The values as what they are read into.
    ///
    /// # Errors
    /// Names the place of the value that has another form, and the setting.
    pub(super) fn deserialize<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        serde_path_to_error::deserialize(toml::Value::Table(self.values.clone())).map_err(|cause| {
            let path = cause.path().to_string();
            let message = cause.inner().message().trim();
            let reason = if path == "." { format!("{message}; {REMEDY}") } else { format!("{path}: {message}") };
            ConfigError { place: self.place(&path), reason }
        })
    }

    /// An error of a section's own check, with the place of the setting.
    pub(super) fn error_of(&self, section: &str, error: &SettingError) -> ConfigError {
        ConfigError {
            place: self.place(&format!("{section}.{}", error.setting)),
            reason: format!("[{section}] {error}"),
        }
    }

    /// Where a setting stands; where it is absent, its section; and else the file.
    fn place(&self, path: &str) -> String {
        let path = path.split('[').next().unwrap_or_default();
        let section = path.split('.').next().unwrap_or_default();
        self.places.get(path).or_else(|| self.places.get(section)).unwrap_or(&self.file).clone()
    }
}
