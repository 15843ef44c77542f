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
mod host_names;
mod ledgers;
mod listener;
mod metrics;
mod muster;
mod openapi;
mod pieces;
mod problem;
mod request_slots;
mod route;
mod routes;
mod search;
mod sending;
mod service;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use protocol::api::{AssistOutcome, AssistRefusal, PersonRecord, PolicyStatus, Problem, ShadowReport, SiteStatus};
use protocol::{Assist, DoorId, Event, Instant};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use self::config::Config;
pub use self::ledgers::{
    Answer, AttendanceRequest, ContactsDocument, Document, LedgerError, Ledgers, PersonFile, SiteCalendar,
};
pub use self::metrics::Metrics;

use self::connection::Peer;
use self::listener::HttpListener;
use self::service::Service;
use access::PersonError;
use base::clock::Clock;
use base::file_error::FileError;
use base::tokens::Tokens;
use store::audit::AuditTrail;

/// Where the answers come from. The functions may block: they run on threads for that, and one that hangs holds back
/// nothing but its own request's place.
#[derive(Clone)]
pub struct Sources {
    /// The whole gateway at this moment.
    pub status: Arc<dyn Fn() -> SiteStatus + Send + Sync>,
    /// What is wrong at this moment, the worst first. Only [`Severity::Critical`](protocol::api::Severity::Critical)
    /// makes the gateway unready.
    pub ready: Arc<dyn Fn() -> Vec<Problem> + Send + Sync>,
    /// Every metric of the gateway.
    pub metrics: Arc<Registry>,
    /// At most so many (second) events that come after a number (first), in order. The error is logged, not shown.
    pub events: Arc<dyn Fn(u64, usize) -> Result<Vec<Event>, String> + Send + Sync>,
    /// Number of the newest event.
    pub last_event: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// The directory's people.
    pub people: Arc<dyn People>,
    /// The ledgers.
    pub ledgers: Arc<dyn Ledgers>,
    /// Where requests for personal data are recorded.
    pub audit: AuditTrail,
    /// The policy set in force, and its candidate.
    pub policy: Arc<dyn Fn() -> PolicyStatus + Send + Sync>,
    /// What the candidate policy set would have changed since then. The error is logged, not shown.
    pub shadow: Arc<dyn Fn(Option<Instant>) -> Result<ShadowReport, String> + Send + Sync>,
    /// Decides an assist request, and passes the decision on to the door; does not block. It does its work also when nobody
    /// waits for it any more.
    pub assist: Arc<dyn Fn(AssistSubmission) -> AssistResult + Send + Sync>,
    /// The access tokens in force.
    pub tokens: Arc<ArcSwap<Tokens>>,
    /// The gateway's clock, for tokens that end.
    pub clock: Clock,
}

/// The directory's people, as HTTP shows and changes them. What is changed is in force when a
/// function returns.
pub trait People: Send + Sync {
    /// People in the order of their ids, those behind `after`.
    ///
    /// # Errors
    /// When the directory cannot be used.
    fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<PersonRecord>, PeopleError>;

    /// The person with this id.
    ///
    /// # Errors
    /// When the directory cannot be used.
    fn read(&self, id: &str) -> Result<Option<PersonRecord>, PeopleError>;

    /// Puts a person in, or in the place of the one with the same id; whether there was none before, and what is kept.
    ///
    /// # Errors
    /// When a field is wrong, or the directory cannot be used; then nothing is changed.
    fn put(&self, person: PersonRecord) -> Result<(bool, PersonRecord), PeopleError>;

    /// Takes a person out; whether there was one.
    ///
    /// # Errors
    /// When the directory cannot be used.
    fn remove(&self, id: &str) -> Result<bool, PeopleError>;
}

/// Why people are not shown or changed.
#[derive(Debug)]
pub enum PeopleError {
    /// A field is wrong. The reason repeats nothing of it.
    Field {
        /// Its JSON path.
        field: String,
        /// What is allowed.
        reason: String,
    },
    /// A credential is somebody else's.
    Taken {
        /// Where it stands.
        field: String,
        /// Whose it is, by id.
        reason: String,
    },
    /// Two fields do not go together.
    Conflict {
        /// One of them.
        field: String,
        /// What is allowed.
        reason: String,
    },
    /// The directory cannot be used now; the reason is for the log.
    Unavailable(String),
}

impl From<FileError> for PeopleError {
    fn from(error: FileError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<PersonError> for PeopleError {
    fn from(error: PersonError) -> Self {
        match error {
            PersonError::Field(wrong) => Self::Field { field: wrong.field.to_owned(), reason: wrong.reason },
            PersonError::Taken(wrong) => Self::Taken { field: wrong.field.to_owned(), reason: wrong.reason },
            PersonError::Order(wrong) => Self::Conflict { field: wrong.field.to_owned(), reason: wrong.reason },
            PersonError::Directory(error) => error.into(),
        }
    }
}

/// An assist request, as it came over HTTP.
#[derive(Clone, Debug)]
pub struct AssistSubmission {
    /// Where the helper stands.
    pub door: DoorId,
    /// What the helper asks for.
    pub assist: Assist,
    /// The name of the token that came with it.
    pub token: DoorId,
}

/// What becomes of an assist request.
pub type AssistResult = Pin<Box<dyn Future<Output = Result<AssistOutcome, AssistRefusal>> + Send>>;

/// Why HTTP is not served.
#[derive(Debug, Error)]
pub enum HttpError {
    /// Other machines could read along.
    #[error(
        "[http] listen = \"{address}\" is reachable from other machines and needs TLS: \
         give it a certificate, or listen on 127.0.0.1"
    )]
    Exposed {
        /// Where it would have been served.
        address: SocketAddr,
    },
    /// The listener has no address.
    #[error("the HTTP listener has no local address")]
    Listener(#[source] std::io::Error),
}

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
