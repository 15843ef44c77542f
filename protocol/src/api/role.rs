//! What the bearer of an access token may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What the bearer of an access token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TokenRole {
    /// Everything.
    Admin,
    /// A person of the task force beside a door: says who passes by hand.
    Helper,
    /// Sees counts, and nobody's name.
    Viewer,
    /// Beside that, searches events, and sees who is in which zone.
    Operator,
    /// Beside counts, sees when people came to work and left.
    Attendance,
    /// Beside counts, sees who has met whom.
    Tracer,
    /// Beside counts, sees who has looked at whose data; shows, restricts and erases a person's.
    PrivacyOfficer,
}

/// A text that is no role.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no such role: use one of {}", TokenRole::ALL.map(TokenRole::as_str).join(", "))]
pub struct UnknownRole;

impl TokenRole {
    /// Every role.
    pub const ALL: [Self; 7] =
        [Self::Admin, Self::Helper, Self::Viewer, Self::Operator, Self::Attendance, Self::Tracer, Self::PrivacyOfficer];

    /// The role as it stands in JSON and in the file of tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Helper => "helper",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Attendance => "attendance",
            Self::Tracer => "tracer",
            Self::PrivacyOfficer => "privacy-officer",
        }
    }
}

impl FromStr for TokenRole {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

impl fmt::Display for TokenRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
