//! How every refusal is told: problem details for HTTP APIs (RFC 9457).

use serde::{Deserialize, Serialize};

/// A refusal, as `application/problem+json`: which kind, what was wrong, and what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ProblemDetails {
    /// `urn:gapura:problem:` and a stable name of the kind, such as `unknown-door`.
    #[cfg_attr(feature = "openapi", schema(required))]
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub title: String,
    /// The HTTP status of the answer.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub status: u16,
    /// What is wrong, where, and what to do.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub detail: String,
    /// The JSON path of the wrong field of the request's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Which roles may do this, where the token's may not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What there is instead of an unknown door, zone or OPD; the first of them, where they are many.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<String>,
}

impl ProblemDetails {
    /// What stands before the name of the kind.
    pub const KIND_PREFIX: &'static str = "urn:gapura:problem:";

    /// The stable name of the kind.
    pub fn name(&self) -> &str {
        self.kind.strip_prefix(Self::KIND_PREFIX).unwrap_or(&self.kind)
    }
}
