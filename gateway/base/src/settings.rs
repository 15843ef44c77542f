//! How a section of the configuration is declared: each setting once, for the program, its checks and its documents.
//!
//! ```
//! base::settings! {
//!     /// Where doors connect.
//!     #[derive(Clone, Debug)]
//!     pub struct Config {
//!         /// Time for one write to a client; a client that reads slower is disconnected.
//!         pub write_timeout_ms: u64 = 5_000 => "milliseconds", in 100..=60_000;
//!     }
//! }
//!
//! let config = Config { write_timeout_ms: 1 };
//! assert_eq!(config.validate().unwrap_err().to_string(), "write_timeout_ms is 1, allowed are 100 to 60000");
//! assert_eq!(Config::section().settings[0].limits, ["100 to 60000"]);
//! ```

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde::Serialize;
use thiserror::Error;

/// One section of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// What it is about.
    pub about: String,
    /// Its settings, in the order in which documents show them.
    pub settings: Vec<Setting>,
}

/// One setting, as documents show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The key.
    pub name: &'static str,
    /// What it does.
    pub about: String,
    /// What its value counts, or what form it has.
    pub unit: &'static str,
    /// Its value when it is absent; `None` where it must be set, or where absence has a meaning of its own.
    pub default: Option<toml::Value>,
    /// What its value must keep to.
    pub limits: Vec<String>,
    /// A value to show where the default shows nothing.
    pub example: Option<toml::Value>,
    /// Whether the section is not valid without it.
    pub is_required: bool,
}

/// A setting that has a value which is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{setting} {reason}")]
pub struct SettingError {
    /// The key.
    pub setting: &'static str,
    /// What is wrong with it and what is allowed; follows on the key in a sentence.
    pub reason: String,
}

impl SettingError {
    /// A sentence about `setting`, of which `reason` is the rest.
    pub fn new(setting: &'static str, reason: impl Into<String>) -> Self {
        Self { setting, reason: reason.into() }
    }
}

/// Declares a section: the struct that it is read into, its defaults, `validate` and `section`.
///
/// Each field is one setting: `/// What it does.`, then `pub name: Type = default => "unit"`, and then, in this order and where
/// they apply: `in min..=max`, `at_most other_field`, `at_least other_field`, `must "rule in words"`, `example "value"`. A
/// rule in words is checked by a method that `also` names after the struct; it returns `Result<(), SettingError>`.
/// Where no field has a default, the whole section is required; there, `, default "value"` behind the example tells what the absence
/// of an optional field means.
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        #[derive($($derive:ident),+)]
        pub struct $section:ident {
            $(
                $(#[doc = $doc:literal])+
                pub $field:ident: $type:ty = $default:expr => $unit:literal
                $(, in $range:expr)? $(, at_most $most:ident)? $(, at_least $least:ident)?
                $(, must $rule:literal)? $(, example $example:expr)?;
            )+
        }
        $(also $($check:ident),+;)?
    ) => {
        $(#[doc = $about])+
        #[derive($($derive,)+ serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $section {
            $( $(#[doc = $doc])+ pub $field: $type, )+
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        impl $section {
            /// Checks every setting.
            ///
            /// # Errors
            /// Names the first setting whose value is not allowed, and what is.
            pub fn validate(&self) -> Result<(), $crate::settings::SettingError> {
                $(
                    $( $crate::settings::in_range(stringify!($field), &self.$field, &($range))?; )?
                    $( $crate::settings::at_most(stringify!($field), &self.$field, stringify!($most), &self.$most)?; )?
                    $( $crate::settings::at_least(stringify!($field), &self.$field, stringify!($least), &self.$least)?; )?
                )+
                $( $( self.$check()?; )+ )?
                Ok(())
            }

            /// The section's settings, for documents.
            pub fn section() -> $crate::settings::Section {
                let defaults = Self::default();
                $crate::settings::Section {
                    about: $crate::settings::sentence(concat!($($about),+)),
                    settings: vec![$(
                        $crate::settings::Setting {
                            name: stringify!($field),
                            about: $crate::settings::sentence(concat!($($doc),+)),
                            unit: $unit,
                            default: $crate::settings::default_of(&defaults.$field),
                            limits: vec![
                                $( $crate::settings::range_of(&defaults.$field, &($range)), )?
                                $( format!("at most `{}`", stringify!($most)), )?
                                $( format!("at least `{}`", stringify!($least)), )?
                                $( $rule.to_owned(), )?
                            ],
                            example: None $( .or($crate::settings::value_of(&$example)) )?,
                            is_required: false,
                        },
                    )+],
                }
            }
        }
    };
    (
        $(#[doc = $about:literal])+
        #[derive($($derive:ident),+)]
        pub struct $section:ident {
            $(
                $(#[doc = $doc:literal])+
                pub $field:ident: $type:ty => $unit:literal, must $rule:literal, example $example:expr
                $(, default $default:literal)?;
            )+
        }
        $(also $($check:ident),+;)?
    ) => {
        $(#[doc = $about])+
        #[derive($($derive,)+ serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $section {
            $( $(#[doc = $doc])+ pub $field: $type, )+
        }

        impl $section {
            /// Checks every setting.
            ///
            /// # Errors
            /// Names the first setting whose value is not allowed, and what is.
            pub fn validate(&self) -> Result<(), $crate::settings::SettingError> {
                $( $( self.$check()?; )+ )?
                Ok(())
            }

            /// The section's settings, for documents.
            pub fn section() -> $crate::settings::Section {
                $crate::settings::Section {
                    about: $crate::settings::sentence(concat!($($about),+)),
                    settings: vec![$(
                        $crate::settings::Setting {
                            name: stringify!($field),
                            about: $crate::settings::sentence(concat!($($doc),+)),
                            unit: $unit,
                            default: None $( .or($crate::settings::value_of(&$default)) )?,
                            limits: vec![$rule.to_owned()],
                            example: $crate::settings::value_of(&$example),
                            is_required: $crate::settings::is_required(&[$( $default )?]),
                        },
                    )+],
                }
            }
        }
    };
}

/// Checks that `value` lies in `range`.
///
/// # Errors
/// Names the setting, its value and the range.
pub fn in_range<T: PartialOrd + Display>(
    setting: &'static str,
    value: &T,
    range: &RangeInclusive<T>,
) -> Result<(), SettingError> {
    if range.contains(value) {
        return Ok(());
    }
    Err(SettingError::new(setting, format!("is {value}, allowed are {} to {}", range.start(), range.end())))
}

/// Checks that `value` is not above another setting's.
///
/// # Errors
/// Names both settings and their values.
pub fn at_most<T: PartialOrd + Display>(
    setting: &'static str,
    value: &T,
    other: &str,
    limit: &T,
) -> Result<(), SettingError> {
    if value <= limit {
        return Ok(());
    }
    Err(SettingError::new(setting, format!("is {value}, allowed is at most {other}, which is {limit}")))
}

/// Checks that `value` is not below another setting's.
///
/// # Errors
/// Names both settings and their values.
pub fn at_least<T: PartialOrd + Display>(
    setting: &'static str,
    value: &T,
    other: &str,
    limit: &T,
) -> Result<(), SettingError> {
    if value >= limit {
        return Ok(());
    }
    Err(SettingError::new(setting, format!("is {value}, allowed is at least {other}, which is {limit}")))
}

/// Whether a field of a section without defaults must be there: it is not told what its absence means.
#[doc(hidden)]
pub fn is_required(absence: &[&str]) -> bool {
    absence.is_empty()
}

/// The lines of a comment as one text.
#[doc(hidden)]
pub fn sentence(comment: &str) -> String {
    comment.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A value as it stands in the file; `None` for one that is absent.
#[doc(hidden)]
pub fn value_of<T: Serialize>(value: &T) -> Option<toml::Value> {
    toml::Value::try_from(value).ok()
}

/// A default as it stands in the file; `None` where it is absent or says nothing.
#[doc(hidden)]
pub fn default_of<T: Serialize>(value: &T) -> Option<toml::Value> {
    value_of(value).filter(|value| value.as_str() != Some("") && value.as_array().is_none_or(|list| !list.is_empty()))
}

/// A range in words. The setting's value is there to give the range its type.
#[doc(hidden)]
pub fn range_of<T: Display>(_value: &T, range: &RangeInclusive<T>) -> String {
    format!("{} to {}", range.start(), range.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::settings! {
        /// A section
        /// for this test.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            /// Things at the same time,
            /// of all kinds.
            pub things_max: usize = 8 => "things", in 1..=100;
            /// Things of one kind.
            pub things_per_kind_max: usize = 4 => "things", in 1..=100, at_most things_max;
            /// The longest wait.
            pub wait_ms_max: u64 = 50 => "milliseconds", at_least things_ms;
            /// How long a thing takes.
            pub things_ms: u64 = 50 => "milliseconds";
            /// A second name.
            pub name: Option<String> = None => "name", must "no blanks", example "side";
        }
        also has_no_blanks;
    }

    crate::settings! {
        /// A section that must be there.
        #[derive(Debug)]
        pub struct Required {
            /// Its name.
            pub name: String => "name", must "no blanks", example "main";
        }
        also has_a_name;
    }

    impl Required {
        fn has_a_name(&self) -> Result<(), SettingError> {
            if self.name.is_empty() { Err(SettingError::new("name", "is empty")) } else { Ok(()) }
        }
    }

    impl Config {
        fn has_no_blanks(&self) -> Result<(), SettingError> {
            match &self.name {
                Some(name) if name.contains(' ') => Err(SettingError::new("name", format!("is {name:?}: no blanks"))),
                _ => Ok(()),
            }
        }
    }

    fn checked(text: &str) -> Result<(), String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.validate().map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_declared_is_checked() {
        assert_eq!(checked(""), Ok(()));
        assert_eq!(checked("things_max = 100\nthings_per_kind_max = 100\nwait_ms_max = 51"), Ok(()));
        for (text, error) in [
            ("things_max = 0", "things_max is 0, allowed are 1 to 100"),
            ("things_max = 101", "things_max is 101, allowed are 1 to 100"),
            ("things_max = 3", "things_per_kind_max is 4, allowed is at most things_max, which is 3"),
            ("wait_ms_max = 49", "wait_ms_max is 49, allowed is at least things_ms, which is 50"),
            ("name = 'a b'", "name is \"a b\": no blanks"),
        ] {
            assert_eq!(checked(text).unwrap_err(), error);
        }
        assert!(checked("thing_max = 1").unwrap_err().contains("unknown field `thing_max`"));
    }

    #[test]
    fn what_is_declared_is_described() {
        let section = Config::section();
        assert_eq!(section.about, "A section for this test.");
        let names: Vec<_> = section.settings.iter().map(|setting| setting.name).collect();
        assert_eq!(names, ["things_max", "things_per_kind_max", "wait_ms_max", "things_ms", "name"]);
        let [all, per_kind, wait, _, name] = &section.settings[..] else { unreachable!() };
        assert_eq!(
            (&*all.about, all.unit, &all.default),
            ("Things at the same time, of all kinds.", "things", &Some(8.into()))
        );
        assert_eq!(per_kind.limits, ["1 to 100", "at most `things_max`"]);
        assert_eq!(wait.limits, ["at least `things_ms`"]);
        assert_eq!((&name.default, &name.example, &*name.limits[0]), (&None, &Some("side".into()), "no blanks"));
    }

    #[test]
    fn a_section_without_defaults_is_required() {
        assert!(toml::from_str::<Required>("").unwrap_err().to_string().contains("missing field `name`"));
        let empty: Required = toml::from_str("name = ''").unwrap();
        assert_eq!(empty.validate().unwrap_err().to_string(), "name is empty");
        let name = &Required::section().settings[0];
        assert_eq!((name.is_required, &name.default, &name.example), (true, &None, &Some("main".into())));
    }
}
