//! The whole thing on loopback, without any set-up: a temporary site, a gateway, readers, head office, and the audit.

pub mod gateway;
pub mod site;
pub mod summary;

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use rumqttc::QoS;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::api::GatewayApi;
use crate::audit::{Audit, Forwarded, events_of_gateway, lines};
use crate::chance::Chance;
use crate::load::args::{door_names, epoch_now};
use crate::load::ledger::AckedScan;
use crate::load::mix::Mix;
use crate::load::readers::ReaderMix;
use crate::load::schedule::Profile;
use crate::load::{Amount, Fleet, Plan};
use crate::signals::Interrupts;
use crate::{audit, load, upstream};
use gateway::{GatewayProcess, Listening};
use site::DemoSite;
use summary::Summary;

/// Arguments of `demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Readers, one for each door
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub doors: u32,
    /// Distinct scans of all readers
    #[arg(long, default_value_t = 5_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    scans: u64,
    /// Scans a second of all readers on the average; 0 for as fast as they are answered
    #[arg(long, default_value_t = 1_000.0, value_name = "PER_SECOND", value_parser = load::args::not_negative)]
    rate: f64,
    /// What is sent, in percent
    #[arg(long, default_value = "good=90,unknown=5,malformed=2,duplicate=3", value_name = "MIX")]
    mix: Mix,
    /// Kinds of readers, in percent: plain, replaced, clockless, escaping, suffixing
    #[arg(long, default_value = "plain=80,replaced=5,clockless=5,escaping=5,suffixing=5", value_name = "MIX")]
    readers: ReaderMix,
    /// What the upstream does wrong meanwhile
    #[arg(long, value_name = "FAULT")]
    upstream_fault: Option<upstream::Faults>,
    /// The same seed gives the same people and scans
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Stay up after the summary, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Print one JSON object as the last line
    #[arg(long)]
    json: bool,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(120);
const DRAIN: Duration = Duration::from_secs(30);
/// How long nothing may arrive upstream before the demo stops waiting for it.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs the demo. Whatever it started is ended and removed when this returns or is dropped.
///
/// # Errors
/// When something could not be set up, broke off, or was interrupted.
pub async fn run(args: &DemoArgs) -> Result<ExitCode> {
    let mut interrupts = Interrupts::catch()?;
    let doors = door_names("d", args.doors)?;
    eprintln!("making a temporary site with {} doors and {} invented people", doors.len(), site::PEOPLE);
    let (chance, names) = (Chance::new(args.seed), doors.clone());
    let site = spawn_blocking(move || DemoSite::make(&names, chance)).await??;
    let (certificate, key) = site::upstream_certificate(&site.root())?;
    let ledger = site.record("upstream.ndjson");
    let upstream = upstream::start(upstream::Options {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        certificate,
        key,
        client_ca: site.ca(),
        ledger: Some(ledger.clone()),
        sync: false,
        faults: args.upstream_fault.clone().unwrap_or_default(),
        seed: args.seed,
    })
    .await?;

    let (mut gateway, listening) = GatewayProcess::start(site.run_with_upstream(upstream.address())?).await?;
    eprintln!("status page: http://{}/", listening.http);
    let plan = plan(args, &site, &listening, doors);
    let done = tokio::select! {
        done = scan_and_audit(plan, &site, &listening, &ledger) => done,
        ended = gateway.ended() => Err(ended),
        () = interrupts.next() => Err(anyhow!("interrupted")),
    };
    let done = match done {
        Ok((fleet, summary)) => {
            show(&summary, args)?;
            let kept = if args.keep { keep(&mut gateway, &mut interrupts, &listening).await } else { Ok(()) };
            fleet.leave().await?;
            kept.map(|()| if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(error) => Err(error),
    };
    spawn_blocking(move || gateway.stop()).await?;
    upstream.stop().await;
    done
}

fn show(summary: &Summary, args: &DemoArgs) -> Result<()> {
    if args.json {
        println!("{}", serde_json::to_string(summary)?);
    } else {
        print!("{summary}");
    }
    Ok(())
}

async fn keep(gateway: &mut GatewayProcess, interrupts: &mut Interrupts, listening: &Listening) -> Result<()> {
    eprintln!("the status page stays at http://{}/ until Ctrl-C", listening.http);
    tokio::select! {
        ended = gateway.ended() => Err(ended),
        () = interrupts.next() => Ok(()),
    }
}

fn plan(args: &DemoArgs, site: &DemoSite, listening: &Listening, doors: Vec<protocol::DoorId>) -> Plan {
    Plan {
        address: (listening.mqtt.ip().to_string(), listening.mqtt.port()),
        site: site.name.clone(),
        doors,
        identity: Some(site.identity()),
        amount: Amount::Scans(args.scans),
        rate: (args.rate > 0.0).then_some(args.rate),
        profile: Profile::Constant,
        in_flight: 16,
        qos: QoS::AtLeastOnce,
        mix: args.mix,
        readers: args.readers,
        badges: site.badges.clone(),
        reconnects_per_minute: 0.0,
        seed: args.seed,
        epoch: epoch_now(),
        acked: Some(site.record("acked.ndjson")),
        relay: false,
        connect_timeout: CONNECT_TIMEOUT,
        drain: DRAIN,
    }
}

/// The part that needs the gateway to be there.
async fn scan_and_audit(plan: Plan, site: &DemoSite, listening: &Listening, ledger: &Path) -> Result<(Fleet, Summary)> {
    eprintln!("connecting {} readers", plan.doors.len());
    let acked = plan.acked.clone().unwrap_or_default();
    let fleet = Fleet::connect(plan).await?;
    eprintln!("scanning");
    let report = fleet.scan().await?;
    for (kind, words) in &report.error_examples {
        eprintln!("{kind}: {words}");
    }
    eprintln!("waiting for head office");
    let api = GatewayApi::new(&format!("http://{}", listening.http), Some(&site.token), None)?;
    forwarded(&api, ledger).await?;
    let summary = Summary::new(&report, &audited(&api, &acked, ledger).await?);
    if summary.is_clean() {
        acknowledge(&api).await?;
    }
    Ok((fleet, summary))
}

/// Some readers of the demo send what is no scan on purpose, and the numbers of some of that cannot be read: the gateway marks
/// their doors. The audit has found everything, so somebody may say that it is known.
async fn acknowledge(api: &GatewayApi) -> Result<()> {
    let doors = api.status().await?.doors;
    let marked = doors.iter().filter(|door| door.missing_scans > 0 || !door.problems.is_empty());
    let (mut scans, mut count) = (0, 0);
    for door in marked {
        scans += api.acknowledge(&door.door).await?;
        count += 1;
    }
    if count > 0 {
        eprintln!(
            "acknowledged as an operator: what {count} readers sent that is no scan; {scans} of it had no readable number"
        );
    }
    Ok(())
}

/// Waits until everything in the log has arrived upstream, or nothing has for too long.
async fn forwarded(api: &GatewayApi, ledger: &Path) -> Result<()> {
    let mut deadline = Instant::now() + FORWARD_TIMEOUT;
    let mut before = 0;
    loop {
        let status = api.status().await?;
        let Some(upstream) = status.upstream else { bail!("the gateway says that it has no upstream") };
        if upstream.acked_through >= status.log.last_event && arrived(ledger)? >= status.log.last_event {
            return Ok(());
        }
        if upstream.acked_through > before {
            before = upstream.acked_through;
            deadline = Instant::now() + FORWARD_TIMEOUT;
        }
        if Instant::now() > deadline {
            // The audit says what is missing; this says why.
            let why = upstream.error.unwrap_or_else(|| "no reason is given".into());
            eprintln!("nothing has arrived upstream for {} s: {why}", FORWARD_TIMEOUT.as_secs());
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Distinct events in the ledger, those that were refused for good included.
fn arrived(ledger: &Path) -> Result<u64> {
    let mut ids = HashSet::new();
    lines(ledger, |forwarded: Forwarded| ids.extend([forwarded.id])).context("the upstream's ledger")?;
    Ok(ids.len() as u64)
}

async fn audited(api: &GatewayApi, acked: &Path, ledger: &Path) -> Result<audit::Report> {
    let mut audit = Audit::default();
    audit.expect_recognised();
    events_of_gateway(api, &mut audit).await?;
    lines(acked, |scan: AckedScan<'static>| audit.acked(&scan))?;
    audit.expect_forwarding();
    lines(ledger, |forwarded: Forwarded| audit.forwarded(&forwarded))?;
    Ok(audit.finish())
}
