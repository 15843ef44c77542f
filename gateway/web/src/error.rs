//! Why HTTP is not served.

use std::net::SocketAddr;

use thiserror::Error;

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
