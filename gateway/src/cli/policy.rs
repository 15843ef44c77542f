//! The commands about policies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use clap::Subcommand;
use protocol::{DoorId, EventKind, HealthStatus, Instant, PersonClass, Scan, ScanId};
use serde_json::json;

use super::api::{Api, Request};
use super::output::print_line;
use crate::config::Config;
use crate::inputs;
use access::{self, CASES_FILE, Cases, Explained, Policy as PolicySet, Presence, Shown, Snapshot};
use protocol::api::{ShadowChange, ShadowJudgement, ShadowQuery, ShadowReport};

/// What can be done with policies.
#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// Check a policy folder: policies against their schema, texts in both languages, and its own test cases.
    Check {
        #[command(flatten)]
        set: Set,
    },
    /// Run the cases of policy-test files, by default those of the policy folder itself.
    Test {
        #[command(flatten)]
        set: Set,
        /// Policy-test files.
        files: Vec<PathBuf>,
        /// Print what failed as JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Decide a scan without recording it, and explain the decision: with the directory, doors, zones and policy of this
    /// site, and with nobody inside.
    Explain(Explain),
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

/// Which policy set.
#[derive(Debug, clap::Args)]
pub(super) struct Set {
    /// The candidate in policy-candidate/ instead of the one in force.
    #[arg(long, conflicts_with = "folder")]
    candidate: bool,
    /// A policy folder elsewhere.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// The scan to explain.
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The door.
    #[arg(long)]
    door: DoorId,
    /// The person's id in the directory; if not given, a credential is read from standard input: a badge, `ID:` and a
    /// number, or a pass.
    #[arg(long, value_name = "ID")]
    person: Option<String>,
    /// Which way: in or out.
    #[arg(long, default_value = "in", value_parser = direction)]
    direction: protocol::Direction,
    /// When; now if not given.
    #[arg(long, value_name = "TIME")]
    at: Option<Instant>,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    set: Set,
}

pub(super) fn perform(config: &Config, command: Policy, now: Instant) -> Result<()> {
    match command {
        Policy::Check { set } => check(&set.folder(config)),
        Policy::Test { set, files, json } => test(&set.folder(config), files, json),
        Policy::Explain(wanted) => explain(config, &wanted, now),
        Policy::Shadow { since, json, api } => {
            let request = Request::get(&["policy", "shadow"]).query(&ShadowQuery { since })?;
            let report: ShadowReport = api.gateway(config)?.ask(request)?.json()?;
            if json {
                return print_line(format_args!("{}", serde_json::to_string(&report)?));
            }
            print_shadow_report(&report)
        }
    }
}

impl Set {
    fn folder(&self, config: &Config) -> PathBuf {
        match &self.folder {
            Some(folder) => folder.clone(),
            None if self.candidate => config.folder().policy_candidate(),
            None => config.folder().policy(),
        }
    }
}

fn check(folder: &Path) -> Result<()> {
    let policy = PolicySet::read(folder)?;
    let (place, policies, texts, hash) = (folder.display(), policy.len(), policy.texts_len(), policy.set_hash());
    let own = folder.join(CASES_FILE);
    if !own.exists() {
        return print_line(format_args!(
            "{place}: all well: {policies} policies, {texts} texts ({hash}); no {CASES_FILE}"
        ));
    }
    let ran = Cases::read(&own)?.run(&policy);
    if let Some(first) = ran.failures.first() {
        let (count, case) = (ran.failures.len(), &first.case);
        bail!("{count} of {} cases do not hold, the first is {case:?}; see `gapura policy test`", ran.tried);
    }
    print_line(format_args!("{place}: all well: {policies} policies, {texts} texts, {} cases hold ({hash})", ran.tried))
}

fn test(folder: &Path, files: Vec<PathBuf>, json: bool) -> Result<()> {
    let policy = PolicySet::read(folder)?;
    let files = if files.is_empty() { vec![folder.join(CASES_FILE)] } else { files };
    let (mut tried, mut failed) = (0, 0);
    for file in &files {
        let ran = Cases::read(file)?.run(&policy);
        tried += ran.tried;
        failed += ran.failures.len();
        for failure in &ran.failures {
            let (case, combination, expected) = (&failure.case, &failure.combination, &failure.expected);
            let access::Judgement { outcome, reason, policies, .. } = &failure.judged;
            if json {
                let got = json!({ "outcome": outcome, "reason": reason, "policies": policies });
                let line = json!({ "file": file, "case": case, "with": combination, "expected": expected, "got": got });
                print_line(format_args!("{line}"))?;
            } else {
                print_line(format_args!("{case}\n  with      {combination}\n  expected  {expected}"))?;
                print_line(format_args!("  got       {outcome}: {reason} (by {})\n", policies.join(", ")))?;
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of {tried} cases do not hold for {}", policy.set_hash());
    }
    if json { Ok(()) } else { print_line(format_args!("{tried} cases hold for {}", policy.set_hash())) }
}

fn explain(config: &Config, wanted: &Explain, now: Instant) -> Result<()> {
    let mut snapshot = inputs::read_snapshot(config)?;
    snapshot.policy = PolicySet::read(&wanted.set.folder(config))?.into();
    if snapshot.doors.get(&wanted.door).is_none() {
        bail!("there is no door {} in doors.toml; gapura door list shows them", wanted.door);
    }
    let at = wanted.at.unwrap_or(now);
    let credential = match &wanted.person {
        Some(_) => "-".to_owned(),
        None => {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line)?;
            line.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    let scan = Scan::new(ScanId { epoch: 0, seq: 0 }, at, wanted.direction, credential)
        .map_err(|error| anyhow!("standard input holds no credential: {error}"))?;
    let shown =
        Shown { door: &wanted.door, received_at: at, clock_offset_ms: Some(0), maybe_buffered: false, scan: &scan };
    let presence = Presence::default();
    let person = wanted.person.as_deref();
    let explained = access::explain(&snapshot, &presence, &shown, person, at)
        .ok_or_else(|| anyhow!("no person {} is in the directory", person.unwrap_or_default()))?;
    let settings = snapshot.doors.get(&wanted.door);
    let next = settings.and_then(|door| snapshot.next_mode_change(door, at));
    let Explained { record, verdict, facts } = explained;
    if wanted.json {
        let facts: BTreeMap<_, _> = facts.into_iter().collect();
        let next = next.map(|(at, mode)| json!({ "at": at, "mode": mode }));
        let line = json!({ "at": at, "door": wanted.door, "subject": EventKind::Scan(record), "verdict": verdict,
            "facts": facts, "next_mode": next });
        return print_line(format_args!("{line}"));
    }
    let zoned = |at: Instant| at.timestamp().to_zoned_datetime(snapshot.rules.time_zone.clone());
    let later = next.map(|(at, mode)| format!("; from {} on {mode}", zoned(at).strftime("%F %R")));
    print_verdict(&snapshot, &verdict, record.kind, &later.unwrap_or_default())?;
    print_line(format_args!("\nWhat the policies see, with nobody inside:"))?;
    facts
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .try_for_each(|(name, value)| print_line(format_args!("  {name:<21}{value}")))
}

fn print_verdict(
    snapshot: &Snapshot,
    verdict: &protocol::Verdict,
    kind: Option<protocol::CredentialKind>,
    later: &str,
) -> Result<()> {
    let known = |text: Option<&str>| text.unwrap_or("not known").to_owned();
    let (class, status) = (verdict.class.map(PersonClass::as_str), verdict.status.map(HealthStatus::as_str));
    let lines = [
        ("person", known(verdict.person.as_deref())),
        ("class", known(class)),
        ("status", known(status)),
        ("shown", known(kind.map(protocol::CredentialKind::as_str))),
        ("zone", known(verdict.zone.as_deref())),
        ("mode", format!("{}{later}", verdict.mode)),
        ("judged", format!("{}: {}", verdict.judged(), verdict.reason)),
        ("the door", if verdict.open { "opens".into() } else { "stays shut".to_owned() }),
        ("display", format!("{} / {}", verdict.text.id, verdict.text.en)),
        ("policy set", known(verdict.policy_set.as_deref())),
    ];
    lines.iter().try_for_each(|(name, value)| print_line(format_args!("{name:<12}{value}")))?;
    let of = |id: &&String| snapshot.policy.reasons().find(|(policy, ..)| *policy == id.as_str());
    verdict.policies.iter().try_for_each(|id| match of(&id) {
        Some((id, _, place)) => print_line(format_args!("{:<12}{id} ({place})", "decided by")),
        None => Ok(()),
    })
}

fn direction(text: &str) -> Result<protocol::Direction, String> {
    match text {
        "in" => Ok(protocol::Direction::In),
        "out" => Ok(protocol::Direction::Out),
        _ => Err("must be in or out".into()),
    }
}

fn print_shadow_report(report: &ShadowReport) -> Result<()> {
    let ShadowReport { candidate, policy_set, since, until, compared, agreed, changes } = report;
    let Some(candidate) = candidate else {
        return print_line(format_args!(
            "There is no candidate. Copy policy/ to policy-candidate/, change it there, and ask again after some scans."
        ));
    };
    print_line(format_args!("in force   {policy_set}\ncandidate  {candidate}\n{since} to {until}"))?;
    if *compared == 0 {
        return print_line(format_args!("Nothing to compare: no scan was decided in this time."));
    }
    let differ = compared - agreed;
    let share = 100.0 * differ as f64 / *compared as f64;
    print_line(format_args!(
        "{compared} scans judged by both, {agreed} the same, {differ} ({share:.1} %) would change"
    ))?;
    if changes.is_empty() {
        return Ok(());
    }
    print_line(format_args!("\n{:<24}  {:<40}  {:<40}  {:>8}  {:>8}", "DOOR", "NOW", "WOULD BE", "SCANS", "PEOPLE"))?;
    changes.iter().try_for_each(|ShadowChange { door, from, to, scans, people }| {
        print_line(format_args!("{door:<24}  {:<40}  {:<40}  {scans:>8}  {people:>8}", describe(from), describe(to)))
    })
}

fn describe(ShadowJudgement { outcome, reason }: &ShadowJudgement) -> String {
    format!("{outcome}: {reason}")
}
