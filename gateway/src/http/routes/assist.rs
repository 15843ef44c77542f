//! A helper's word: somebody is let through, or not, by hand.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use protocol::{Assist, DoorId, Fault};

use super::{body, parameters};
use crate::http::front::{Bearer, Front};
use crate::http::problem::Refusal;
use crate::http::route::Route;
use crate::http::{NotSaid, Word};

pub(super) async fn assist(
    State(front): State<Arc<Front>>,
    Extension(Bearer(token)): Extension<Bearer>,
    Path(door): Path<String>,
    uri: Uri,
    bytes: Bytes,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    let door: DoorId = door.parse().map_err(|_| Refusal::no_such_door(&door))?;
    if !token.may_act_at(&door) {
        return Err({
            let detail = format!("the token {} is not for the door {}", token.name, door);
            front.forbid(&token, Route::assist, detail)
        });
    }
    let assist = body::json::<Assist>(&bytes)?.check().map_err(|error| {
        let problem = Refusal::bad_body(error.message);
        if error.fault == Fault::UnsupportedVersion { problem.at("v".into()) } else { problem }
    })?;
    let word = Word { door: door.clone(), assist, token: token.name.clone() };
    match (front.sources.say)(word).await {
        Ok(said) => {
            let event = said.decision.event;
            tracing::info!(target: "access", route = "assist", token = %token.name, %door, event, "a helper has spoken");
            Ok(Json(said).into_response())
        }
        Err(NotSaid::UnknownDoor) => Err(Refusal::no_such_door(door.as_str())),
        Err(NotSaid::TooMany { retry_after_s }) => Err(Refusal::too_many_words(retry_after_s)),
        Err(NotSaid::Unavailable) => Err(Refusal::not_kept()),
    }
}
