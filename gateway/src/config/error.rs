//! What is wrong with a configuration, and where.

use thiserror::Error;

/// A configuration that cannot be used.
#[derive(Debug, Error)]
#[error("{place}: {reason}")]
pub struct ConfigError {
    /// The file and line, or the variable.
    pub(super) place: String,
    /// What is wrong and what to do.
    pub(super) reason: String,
}
