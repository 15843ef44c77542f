//! A month of a regency of which everything is known, sent through a gateway, and the gateway's answers beside the truth.
//!
//! ```text
//!  Regency ─▶ steps ─▶ passages ─▶ backlog of each door ─MQTT▶ gateway ─HTTP▶ answers ─┐
//!             movement  slips  └─▶ true days and stays ─────────────────────────────▶ compare ─▶ Summary
//! ```
//!
//! Everything left of the gateway is hashed from the seed, person by person, so that nothing is kept but the scans.

pub mod args;

pub mod fault_rates;
pub mod month;
pub mod movement;
pub mod passages;
pub mod regency;

pub mod ask;
pub mod compare;
pub mod summary;
pub mod truth;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use rumqttc::QoS;
use tokio::task::spawn_blocking;

use crate::api::GatewayApi;
use crate::demo::gateway::{GatewayProcess, Listening};
use crate::demo::site::DemoSite;
use crate::load::args::epoch_now;
use crate::load::backlog::Backlog;
use crate::load::mix::Mix;
use crate::load::readers::ReaderMix;
use crate::load::schedule::Profile;
use crate::load::{Amount, Fleet, Plan};
use crate::signals::Interrupts;
pub use args::HistoryArgs;
use regency::Regency;
use summary::Summary;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(120);
const DRAIN: Duration = Duration::from_secs(60);
/// Scans that a reader has in flight: half of what a gateway takes.
const IN_FLIGHT: u16 = 32;

/// Runs a history. Whatever it started is ended and removed when this returns or is dropped.
///
/// # Errors
/// When something could not be set up, broke off, or was interrupted.
pub async fn run(args: &HistoryArgs) -> Result<ExitCode> {
    let regency = args.regency(jiff::Timestamp::now())?;
    let mut interrupts = Interrupts::catch()?;
    eprintln!("making a temporary site with {} people in {} zones", regency.staff, regency.zones);
    let known = regency.clone();
    let site = spawn_blocking(move || make_site(&known)).await??;
    let mut command = site.run()?;
    // The month that is played may be long past.
    command.env("GAPURA_SITE__SINCE", "2000-01-01");
    command.envs(regency.settings());
    let (mut gateway, listening) = GatewayProcess::start(command).await?;
    eprintln!("dashboard: http://{}/", listening.http);
    let done = tokio::select! {
        done = send_and_ask(args, &regency, &site, &listening) => done,
        ended = gateway.ended() => Err(ended),
        () = interrupts.next() => Err(anyhow!("interrupted")),
    };
    let done = match done {
        Ok(summary) => {
            show(&summary, args)?;
            let kept = if args.keep { keep(&mut gateway, &mut interrupts, &listening, &site).await } else { Ok(()) };
            kept.map(|()| if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(error) => Err(error),
    };
    spawn_blocking(move || gateway.stop()).await?;
    done
}

fn make_site(regency: &Regency) -> Result<DemoSite> {
    let site = DemoSite::empty(regency.badges())?;
    site.add_doors(&regency.doors()?, &regency.zone_name(regency::COMPLEX), "observe")?;
    site.write("zones.toml", &regency.zones_toml())?;
    site.write("doors.toml", &regency.doors_toml()?)?;
    site.write("calendar.toml", &regency.calendar_toml())?;
    site.import(&regency.people_csv())?;
    Ok(site)
}

fn show(summary: &Summary, args: &HistoryArgs) -> Result<()> {
    if args.json {
        println!("{}", serde_json::to_string(summary)?);
    } else {
        print!("{summary}");
    }
    Ok(())
}

async fn keep(
    gateway: &mut GatewayProcess,
    interrupts: &mut Interrupts,
    listening: &Listening,
    site: &DemoSite,
) -> Result<()> {
    eprintln!("the dashboard stays at http://{}/ until Ctrl-C", listening.http);
    eprintln!("the site is in {}, its administrator's token is {}", site.root().display(), site.token);
    tokio::select! {
        ended = gateway.ended() => Err(ended),
        () = interrupts.next() => Ok(()),
    }
}

/// The part that needs the gateway to be there.
async fn send_and_ask(
    args: &HistoryArgs,
    regency: &Regency,
    site: &DemoSite,
    listening: &Listening,
) -> Result<Summary> {
    let known = regency.clone();
    let backlog = spawn_blocking(move || passages::backlog(&known)).await?;
    let kept = backlog.len();
    eprintln!("connecting {} readers", backlog.readers.len());
    let fleet = Fleet::connect(plan(args, regency, site, listening, backlog)?).await?;
    eprintln!("sending what they have kept");
    let report = fleet.scan().await?;
    fleet.leave().await?;
    for (kind, words) in &report.error_examples {
        eprintln!("{kind}: {words}");
    }
    let api = GatewayApi::new(&format!("http://{}", listening.http), Some(&site.token), None)?;
    let stored = api.status().await?.log.last_event;
    eprintln!("{} scans in {:.1} s, {:.0} a second", report.acked, report.seconds, report.rate);
    let answered = ask::ask(&api, regency, args.queries).await?;
    Ok(Summary::new(regency, kept, &report, stored, &answered))
}

fn plan(
    args: &HistoryArgs,
    regency: &Regency,
    site: &DemoSite,
    listening: &Listening,
    backlog: Backlog,
) -> Result<Plan> {
    Ok(Plan {
        address: (listening.mqtt.ip().to_string(), listening.mqtt.port()),
        site: site.name.clone(),
        doors: regency.doors()?,
        identity: Some(site.identity()),
        amount: Amount::Backlog(Arc::new(backlog)),
        rate: None,
        profile: Profile::Constant,
        in_flight: IN_FLIGHT,
        qos: QoS::AtLeastOnce,
        mix: Mix::default(),
        readers: ReaderMix::PLAIN,
        badges: site.badges.clone(),
        reconnects_per_minute: 0.0,
        seed: args.seed,
        epoch: epoch_now(),
        acked: None,
        relay: false,
        connect_timeout: CONNECT_TIMEOUT,
        drain: DRAIN,
    })
}
