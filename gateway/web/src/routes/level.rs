//! The level of a path that stands for a door or a person.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::problem::Refusal;

/// That level, with what is escaped in it read.
pub(super) struct Level(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Level {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let level = Path::<String>::from_request_parts(parts, state).await;
        // The one way in which text of one level cannot be had.
        level.map(|Path(level)| Self(level)).map_err(|_: PathRejection| Refusal::not_utf8())
    }
}
