//! The site's holidays and working hours: the format of `calendar.toml`.

mod read;
mod week;

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;
use toml::Spanned;

pub use week::{Group, Shift, ShiftError, Week};

/// Days on which offices are closed, and when people are expected to work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    holidays: BTreeMap<Date, String>,
    hours: Week,
    /// By name, in the file's order.
    groups: Vec<(String, Group)>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    holidays: BTreeMap<Date, String>,
    hours: Week,
    groups: BTreeMap<Spanned<Name>, Group>,
}

/// A name that a group in the directory may have.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        if !name.is_empty() && name.bytes().all(allowed) {
            Ok(Self(name))
        } else {
            Err("a group's name has a-z, 0-9, '_' and '-' only, as in the directory")
        }
    }
}

impl Calendar {
    /// Reads the text of `calendar.toml`.
    ///
    /// # Errors
    /// Says where in the text what is wrong.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let File { holidays, hours, groups } = toml::from_str(text)?;
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(name, _)| name.span().start);
        let groups = groups.into_iter().map(|(name, group)| (name.into_inner().0, group)).collect();
        Ok(Self { holidays, hours, groups })
    }

    /// The name of the holiday on that day, if it is one.
    pub fn holiday(&self, day: Date) -> Option<&str> {
        self.holidays.get(&day).map(String::as_str)
    }

    /// Every holiday.
    pub fn holidays(&self) -> impl Iterator<Item = Date> {
        self.holidays.keys().copied()
    }

    /// The hours of whoever is in no group that has hours of its own.
    pub fn hours(&self) -> &Week {
        &self.hours
    }

    /// The groups that have hours of their own, in the file's order: of several that a person is in, the first counts.
    pub fn groups(&self) -> &[(String, Group)] {
        &self.groups
    }

    /// Number of holidays.
    pub fn len(&self) -> usize {
        self.holidays.len()
    }

    /// Whether there is no holiday.
    pub fn is_empty(&self) -> bool {
        self.holidays.is_empty()
    }
}
