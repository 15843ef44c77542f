//! The command line of `audit`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use protocol::Event;

use super::{Audit, Forwarded, Report, events_of_gateway, lines};
use crate::api::GatewayApi;
use crate::load::ledger::AckedScan;

/// Arguments of `audit`.
#[derive(Args, Clone, Debug)]
pub struct AuditArgs {
    /// What readers had acknowledged, as `load --acked` writes it
    #[arg(long, value_name = "FILE", num_args = 1..)]
    acked: Vec<PathBuf>,
    /// The gateway's log, as GET /api/v1/events gives it
    #[arg(long, value_name = "FILE", required_unless_present = "gateway", conflicts_with = "gateway")]
    events: Option<PathBuf>,
    /// The gateway itself, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL", requires = "token")]
    gateway: Option<String>,
    /// The administrator's token of that gateway
    // One in 64 tokens begins with a hyphen.
    #[arg(long, allow_hyphen_values = true)]
    token: Option<String>,
    /// Certificate of the site's CA, for a gateway at https
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The upstream's ledger, as `upstream --ledger` writes it
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl AuditArgs {
    /// Reads the records and compares them.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub async fn run(&self) -> Result<Report> {
        let mut audit = Audit::default();
        if let Some(path) = &self.events {
            lines(path, |event: Event| audit.event(&event))?;
        }
        if let Some(url) = &self.gateway {
            let gateway = GatewayApi::new(url, self.token.as_deref(), self.ca.as_deref())?;
            events_of_gateway(&gateway, &mut audit).await?;
        }
        for path in &self.acked {
            lines(path, |scan: AckedScan<'static>| audit.acked(&scan))?;
        }
        if let Some(path) = &self.ledger {
            audit.expect_forwarding();
            lines(path, |forwarded: Forwarded| audit.forwarded(&forwarded))?;
        }
        Ok(audit.finish())
    }
}
