//! What is done at a door: somebody is let through, or not, by hand; what is missing is acknowledged.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use protocol::api::{Acknowledgement, AssistRefusal};
use protocol::{Assist, DoorId, Fault};

use super::level::Level;
use super::query::parameters;
use super::reply::aside;
use super::{body, doors};
use crate::bearer::Bearer;
use crate::problem::Refusal;
use crate::request_slots::Permit;
use crate::route::Route;
use crate::service::Service;
use crate::{AcknowledgeError, AssistSubmission};

pub(super) async fn submit(
    State(service): State<Arc<Service>>,
    Extension(Bearer(token)): Extension<Bearer>,
    Extension(permit): Extension<Permit>,
    Level(door): Level,
    uri: Uri,
    bytes: Bytes,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    let door: DoorId = match door.parse() {
        Ok(door) => door,
        Err(_) => return Err(unknown(&service, permit, door).await),
    };
    if !token.may_act_at(&door) {
        return Err({
            let detail = format!("the token {} is not for the door {}", token.name, door);
            service.forbid(&token, Route::assist, detail, &[])
        });
    }
    let assist = body::json::<Assist>(&bytes)?;
    if assist.epoch.is_some() != assist.seq.is_some() {
        return Err(Refusal::conflict("epoch and seq come together or not at all").at("seq".into()));
    }
    let assist = assist.check().map_err(|error| {
        let refusal = Refusal::bad_body(error.message);
        if error.fault == Fault::UnsupportedVersion { refusal.at("v".into()) } else { refusal }
    })?;
    let submission = AssistSubmission { door: door.clone(), assist, token: token.name.clone() };
    match (service.sources.assist)(submission).await {
        Ok(outcome) => {
            let event = outcome.decision.event;
            let token = token.name.as_str();
            tracing::info!(target: "access", route = "assist", token, %door, event, "an assist request was decided");
            Ok(Json(outcome).into_response())
        }
        Err(AssistRefusal::UnknownDoor) => Err(unknown(&service, permit, door.to_string()).await),
        Err(AssistRefusal::TooMany { retry_after_s }) => Err(Refusal::too_many_assists(retry_after_s)),
        Err(AssistRefusal::Unavailable) => Err(Refusal::not_kept()),
    }
}

pub(super) async fn acknowledge(
    State(service): State<Arc<Service>>,
    Extension(Bearer(token)): Extension<Bearer>,
    Extension(permit): Extension<Permit>,
    Level(door): Level,
    uri: Uri,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    let Ok(door) = door.parse::<DoorId>() else { return Err(unknown(&service, permit, door).await) };
    match (service.sources.acknowledge)(door.clone()).await {
        Ok(acknowledged_scans) => {
            let token = token.name.as_str();
            tracing::info!(target: "access", token, %door, acknowledged_scans, "missing scans were acknowledged");
            Ok(Json(Acknowledgement { door: door.to_string(), acknowledged_scans }).into_response())
        }
        Err(AcknowledgeError::UnknownDoor) => Err(unknown(&service, permit, door.to_string()).await),
        Err(AcknowledgeError::NotKept) => Err(Refusal::not_acknowledged()),
    }
}

/// There is no such door: which there are.
async fn unknown(service: &Arc<Service>, permit: Permit, door: String) -> Refusal {
    let service = Arc::clone(service);
    let known = aside(permit, move || doors::names(&(service.sources.status)())).await;
    known.map_or_else(|refusal| refusal, |known| Refusal::unknown_door(&door, known))
}
