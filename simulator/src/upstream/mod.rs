//! Stands in for head office: takes batches over mTLS and keeps a ledger (placeholder with the shape of the real one).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// How the receiver is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// The CA of the clients, PEM.
    pub client_ca: PathBuf,
    /// Where the ledger is written.
    pub ledger: PathBuf,
    /// What it does wrong.
    pub fault: Fault,
}

/// What a receiver does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(_: &str) -> Result<Self, String> {
        Ok(Self::None)
    }
}

/// What the receiver has taken.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Summary {}

/// A running receiver.
#[derive(Debug)]
pub struct Upstream {}

/// Starts a receiver.
///
/// # Errors
/// Always, in this placeholder.
pub async fn start(_: Options) -> anyhow::Result<Upstream> {
    anyhow::bail!("the upstream receiver is not part of this build yet")
}

impl Upstream {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    /// What it has taken so far.
    pub fn summary(&self) -> Summary {
        Summary {}
    }

    /// Stops it and flushes the ledger.
    pub async fn stop(self) -> Summary {
        Summary {}
    }
}
