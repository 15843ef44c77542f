//! The routes and their answers.

mod assist;
mod attendance;
mod body;
mod contacts;
mod doors;
mod events;
mod health;
mod level;
mod page;
mod people;
mod policy;
mod presence;
mod privacy;
mod query;
mod reply;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};

use super::problem::Refusal;
use super::service::{self, Service};

/// The service around every route, and around what is no route. Each route has its rule in `super::route::RULES`.
pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/", get(|| asset("text/html; charset=utf-8", include_str!("../page.html"))))
        .route("/page.css", get(|| asset("text/css; charset=utf-8", include_str!("../page.css"))))
        .route("/page.js", get(|| asset("text/javascript; charset=utf-8", include_str!("../page.js"))))
        .route("/icon.svg", get(|| asset("image/svg+xml", include_str!("../icon.svg"))))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/api/openapi.json", get(health::openapi))
        .route("/api/v1/status", get(health::status))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/doors/{door}/assist", post(assist::submit))
        .route("/api/v1/doors/{door}/acknowledge", post(assist::acknowledge))
        .route("/api/v1/people", get(people::list))
        .route("/api/v1/people/{id}", get(people::show).put(people::put).delete(people::remove))
        .route("/api/v1/policy", get(policy::policy))
        .route("/api/v1/policy/shadow", get(policy::shadow))
        .route("/api/v1/presence", get(presence::presence))
        .route("/api/v1/presence/people", get(presence::people))
        .route("/api/v1/attendance", get(attendance::attendance))
        .route("/api/v1/attendance/summary", get(attendance::summary))
        .route("/api/v1/contacts", get(contacts::contacts))
        .route("/api/v1/privacy/audit", get(privacy::audit))
        .route("/api/v1/privacy/people/{id}", get(privacy::export).delete(privacy::erase))
        .route("/api/v1/privacy/people/{id}/restriction", put(privacy::restrict).delete(privacy::lift))
        .route("/api/v1/privacy/retention", get(privacy::retention))
        .fallback(|request: Request| async move { Refusal::not_found(request.uri().path()) })
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&service), service::serve_request))
        .with_state(service)
}

async fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, content_type)], text).into_response()
}
