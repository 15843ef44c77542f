//! What the commands that ask the running gateway share: the gateway, the site's times, and standard error.

use std::io::Write;

use anyhow::Result;

use super::api::{Answer, Api, Gateway, Request};
use super::times::Zone;
use crate::config::Config;

/// The running gateway, as one command asks it.
pub(super) struct Inquiry<'a> {
    gateway: Gateway,
    /// The site's time zone.
    pub(super) zone: Zone,
    /// Standard error.
    pub(super) errors: &'a mut dyn Write,
    warned: bool,
}

impl<'a> Inquiry<'a> {
    /// Gets ready to ask, and asks nothing yet.
    pub(super) fn new(api: &Api, config: &Config, errors: &'a mut dyn Write) -> Result<Self> {
        let zone = Zone(config.time_zone()?);
        Ok(Self { gateway: api.gateway(config)?, zone, errors, warned: false })
    }

    /// Asks, and warns once where the answer leaves out events.
    pub(super) fn ask(&mut self, request: Request) -> Result<Answer> {
        let answer = self.gateway.ask(request)?;
        if let (Some((behind, through)), false) = (answer.behind, self.warned) {
            self.warned = true;
            let (events, are) = if behind == 1 { ("event", "is") } else { ("events", "are") };
            writeln!(
                self.errors,
                "gapura: warning: the newest {behind} {events} {are} not in this answer, which ends with event {through}; \
                 ask again for all"
            )?;
        }
        Ok(answer)
    }
}
