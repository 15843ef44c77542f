//! The policy set in force, and what a candidate for the next one would change.

use serde::{Deserialize, Serialize};

use crate::{Instant, Outcome};

/// The policy set in force, and the candidate for the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyStatus {
    /// What decides.
    pub in_force: PolicySetRow,
    /// What is tried beside it, where there is something.
    pub candidate: Option<PolicySetRow>,
}

/// One policy set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicySetRow {
    /// Its hash, `b3:…`: over policies and schema, not over texts.
    pub policy_set: String,
    /// Reasons that have a text for displays, the built-in ones among them.
    pub texts: u64,
    /// Its policies, by id.
    pub policies: Vec<PolicyRow>,
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyRow {
    /// What decisions name it by.
    pub id: String,
    /// The reason that it gives.
    pub reason: String,
    /// Its file and line.
    pub place: String,
}

/// Parameters of the comparison with the candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
pub struct ShadowQuery {
    /// Scans since this moment; since seven days ago if absent.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub since: Option<Instant>,
}

/// What would change if the candidate were in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShadowReport {
    /// Hash of the candidate, `b3:…`; absent when none is tried.
    pub candidate: Option<String>,
    /// Hash of the policy set in force.
    pub policy_set: String,
    /// The first moment of what was looked at.
    pub since: Instant,
    /// The last moment of what was looked at.
    pub until: Instant,
    /// Scans that both have judged.
    pub compared: u64,
    /// Scans on which they agree.
    pub agreed: u64,
    /// Where they do not, the most frequent first.
    pub changes: Vec<ShadowChange>,
}

/// Scans of one door that would be judged in another way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShadowChange {
    /// The door.
    pub door: String,
    /// What the policy in force says, and why.
    pub from: ShadowJudgement,
    /// What the candidate says, and why.
    pub to: ShadowJudgement,
    /// How many scans.
    pub scans: u64,
    /// Of how many people or, where nobody is known, credentials.
    pub people: u64,
}

/// What a policy set says of a scan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShadowJudgement {
    /// `granted`, `denied` or `assist`.
    pub outcome: Outcome,
    /// A stable word.
    pub reason: String,
}
