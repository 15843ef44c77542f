//! What people and monitoring see over HTTP: health, metrics, status, events, and the status page.
//!
//! ```text
//! listener (TCP, TLS, limits) → service (host, method, token, body, limits, time) → routes (answers) → service (headers, metrics)
//! ```
//!
//! Which path takes which method, token and body stands in one table, `route::RULES`; what each operation is for, asks and answers
//! stands beside it in `openapi::operations`, in the types of [`protocol::api`], and is served as `/api/openapi.json`. A token comes
//! as `Authorization: Bearer TOKEN`, a body as `application/json`.
//!
//! Every request for personal data is recorded in the audit trail, also when it is refused, before its answer is sent; a
//! change, before it is made, too. What cannot be recorded is not answered.
//!
//! Every error is a problem details document (RFC 9457).

mod audited;
mod bearer;
mod config;
mod connection;
mod connection_slots;
mod error;
mod host_names;
mod ledgers;
mod listener;
mod metrics;
mod muster;
mod openapi;
mod people;
mod pieces;
mod problem;
mod request_slots;
mod route;
mod routes;
mod search;
mod sending;
mod service;
mod sources;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use self::config::Config;
pub use self::error::HttpError;
pub use self::ledgers::{
    Answer, AttendanceRequest, ContactsDocument, Document, LedgerError, Ledgers, PersonFile, SiteCalendar,
};
pub use self::metrics::Metrics;
pub use self::people::{People, PeopleError};
pub use self::sources::{AcknowledgeError, AcknowledgeResult, AssistResult, AssistSubmission, Sources};

use self::connection::Peer;
use self::listener::HttpListener;
use self::service::Service;

/// Serves HTTP/1.1 on `listener` until `shutdown` is true (or its sender is gone), then answers what is in flight, for
/// at most [`Config::shutdown_timeout_ms`].
///
/// `tls` is asked anew for every connection, so a swapped certificate counts from the next one on. It must not ask for
/// client certificates: browsers have none.
///
/// # Errors
/// At once, when `listener` is reachable from other machines and `tls` is `None`.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    sources: Sources,
    metrics: Metrics,
    shutdown: watch::Receiver<bool>,
) -> Result<(), HttpError> {
    let address = listener.local_addr().map_err(HttpError::Listener)?;
    config::check_exposure(address, tls.is_some())?;

    let service = Service::new(&config, address, sources, metrics.clone());
    let routes = routes::router(Arc::new(service)).into_make_service_with_connect_info::<Peer>();
    let listener = HttpListener::new(&config, listener, tls, metrics);
    let serving = axum::serve(listener, routes).with_graceful_shutdown(stopped(shutdown.clone()));
    let overdue = async {
        stopped(shutdown).await;
        tokio::time::sleep(config.shutdown_timeout()).await;
    };
    tokio::select! {
        _ = serving => tracing::debug!("every HTTP connection is closed"),
        () = overdue => tracing::warn!(
            timeout_ms = config.shutdown_timeout_ms,
            "HTTP connections are still open after the shutdown timeout; they are dropped"
        ),
    }
    Ok(())
}

async fn stopped(mut shutdown: watch::Receiver<bool>) {
    // A sender that is gone will never ask again: that is a shutdown too.
    drop(shutdown.wait_for(|stop| *stop).await);
}
