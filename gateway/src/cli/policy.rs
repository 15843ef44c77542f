//! The commands about policies.

use anyhow::Result;
use clap::Subcommand;
use protocol::Instant;

use super::api::Api;
use super::say;
use crate::config::Config;
use crate::shadow::{Change, Said, ShadowReport};

/// What can be done with policies.
#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// What the candidate in policy-candidate/ would change: its verdicts on live scans beside those in force. Asks the
    /// running gateway.
    Shadow {
        /// From when on, as in 2026-12-01T00:00:00+08:00; the last seven days if not given.
        #[arg(long, value_name = "TIME")]
        since: Option<Instant>,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        api: Api,
    },
}

pub(super) fn perform(config: &Config, command: Policy) -> Result<()> {
    match command {
        Policy::Shadow { since, json, api } => {
            let query: Vec<_> = since.map(|since| ("since", since.to_string())).into_iter().collect();
            let report: ShadowReport = api.get(config, "/api/v1/policy/shadow", &query)?;
            if json {
                return say(format_args!("{}", serde_json::to_string(&report)?));
            }
            tell(&report)
        }
    }
}

fn tell(report: &ShadowReport) -> Result<()> {
    let ShadowReport { candidate, policy_set, since, until, compared, agreed, changes } = report;
    let Some(candidate) = candidate else {
        return say(format_args!(
            "No candidate is tried. Copy policy/ to policy-candidate/, change it there, and look again after some scans."
        ));
    };
    say(format_args!("in force   {policy_set}\ncandidate  {candidate}\n{since} to {until}"))?;
    if *compared == 0 {
        return say(format_args!("It was not asked yet: no scan was judged since."));
    }
    let differ = compared - agreed;
    let share = 100.0 * differ as f64 / *compared as f64;
    say(format_args!("{compared} scans judged by both, {agreed} the same, {differ} ({share:.1} %) would change"))?;
    if changes.is_empty() {
        return Ok(());
    }
    say(format_args!("\n{:<24}  {:<40}  {:<40}  {:>8}  {:>8}", "DOOR", "NOW", "WOULD BE", "SCANS", "PEOPLE"))?;
    changes.iter().try_for_each(|Change { door, from, to, scans, people }| {
        say(format_args!("{door:<24}  {:<40}  {:<40}  {scans:>8}  {people:>8}", words(from), words(to)))
    })
}

fn words(Said { outcome, reason }: &Said) -> String {
    format!("{outcome}: {reason}")
}
