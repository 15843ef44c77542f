//! Whose access token came with a request.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use protocol::Instant;

use super::problem::Refusal;
use base::tokens::{Token, Tokens};

/// Whose token came with the request, for routes that need one.
#[derive(Clone, Debug)]
pub(super) struct Bearer(pub(super) Token);

/// Why nobody is known to have sent a request.
pub(super) enum BearerError {
    /// No token came.
    Missing,
    /// The one that came is wrong, or has ended.
    Refused(Refusal),
}

impl Bearer {
    /// Whoever has one of these tokens, and has sent it.
    pub(super) fn of(headers: &HeaderMap, tokens: &Tokens, now: Instant) -> Result<Self, BearerError> {
        let shown = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.as_bytes().split_at_checked(7))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
            .map(|(_, token)| token.trim_ascii())
            .ok_or(BearerError::Missing)?;
        match tokens.find(shown) {
            Some(token) if !token.is_expired(now) => Ok(Self(token.clone())),
            Some(token) => {
                tracing::warn!(token = %token.name, "a request came with an access token that has ended");
                Err(BearerError::Refused(Refusal::token_ended()))
            }
            None => {
                tracing::warn!("a request came with a wrong access token");
                Err(BearerError::Refused(Refusal::token_wrong()))
            }
        }
    }
}
