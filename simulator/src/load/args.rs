//! The command line of `load`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use protocol::{DoorId, SiteId};
use rumqttc::QoS;

use super::mix::{Badges, Mix};
use super::monitors::MonitorPlan;
use super::readers::ReaderMix;
use super::schedule::Profile;
use super::{Amount, Identity, Plan};

/// Arguments of `load`.
#[derive(Args, Clone, Debug)]
pub struct LoadArgs {
    /// Where the gateway listens for doors, HOST:PORT
    #[arg(long, default_value = "127.0.0.1:8883", value_parser = address, value_name = "HOST:PORT")]
    pub address: (String, u16),
    /// The site's name
    #[arg(long)]
    pub site: SiteId,
    /// Readers, one for each door: d0001, d0002 and so on
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub doors: u32,
    /// What the doors' names start with
    #[arg(long, default_value = "d", value_name = "TEXT")]
    pub door_prefix: String,
    /// Folder with each door's certificate {door}.pem and key {door}.key
    #[arg(long, value_name = "DIR", required_unless_present = "plaintext", requires = "ca")]
    pub certificates: Option<PathBuf>,
    /// Certificate of the site's CA
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Without TLS: for a plain broker, or the gateway's listener for development
    #[arg(long, conflicts_with_all = ["certificates", "ca"])]
    pub plaintext: bool,
    /// Distinct scans of the whole fleet; duplicates come on top
    #[arg(long, default_value_t = 10_000, value_name = "N", conflicts_with = "duration_s")]
    pub scans: u64,
    /// Scan for so long instead
    #[arg(long, value_name = "SECONDS")]
    pub duration_s: Option<u64>,
    /// Scans a second of the whole fleet on the average, sent when they are due whatever the gateway does; 0 for
    /// saturation: a reader scans as soon as an earlier scan is answered
    #[arg(long, default_value_t = 500.0, value_name = "PER_SECOND", value_parser = not_negative)]
    pub rate: f64,
    /// How the rate goes over the run
    #[arg(long, value_enum, default_value_t = Profile::Constant)]
    pub profile: Profile,
    /// Scans that a reader has in flight at most
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub in_flight: u16,
    /// Quality of service of scans
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,
    /// What is sent, in percent
    #[arg(long, default_value = "good=90,unknown=5,malformed=2,duplicate=3", value_name = "MIX")]
    pub mix: Mix,
    /// Kinds of readers, in percent: plain, replaced, clockless, escaping, suffixing
    #[arg(long, default_value = "plain=100", value_name = "MIX")]
    pub readers: ReaderMix,
    /// Badge codes of good scans, one a line; made-up ones by default
    #[arg(long, value_name = "FILE")]
    pub badges: Option<PathBuf>,
    /// Connections that are cut on purpose, a minute, in the whole fleet
    #[arg(long, default_value_t = 0.0, value_name = "N", value_parser = not_negative)]
    pub reconnects_per_minute: f64,
    /// The same seed gives the same scans
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Epoch of the scans; from the clock by default, so that a second run is not all duplicates of the first
    #[arg(long)]
    pub epoch: Option<u32>,
    /// Write down what was acknowledged and answered, one JSON object a line, for `audit`
    #[arg(long, value_name = "FILE")]
    pub acked: Option<PathBuf>,
    /// There is no gateway but a plain broker: each reader gets its own scans back, and takes them for answers
    #[arg(long)]
    pub relay: bool,
    /// How long readers may take to connect before scanning begins without the rest
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub connect_s: u64,
    /// How long a reader waits without any progress once nothing more is due
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub drain_s: u64,
    /// Only connect, and hold the connections until Enter, Ctrl-C or --hold-s
    #[arg(long)]
    pub idle: bool,
    /// How long to hold idle connections
    #[arg(long, value_name = "SECONDS", requires = "idle")]
    pub hold_s: Option<u64>,
    /// Monitors that listen to every decision meanwhile: monitor-0001, monitor-0002 and so on
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1_000))]
    pub monitors: u16,
    /// Quality of service of what they hear
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub monitors_qos: u8,
    /// Folder with each monitor's certificate {monitor}.pem and key {monitor}.key
    #[arg(long, value_name = "DIR", conflicts_with = "plaintext")]
    pub monitors_certificates: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl LoadArgs {
    /// What the fleet does.
    ///
    /// # Errors
    /// When a file cannot be read or a name is outside the contract.
    pub fn plan(&self) -> Result<Plan> {
        let doors = door_names(&self.door_prefix, self.doors)?;
        let identity = match (&self.certificates, &self.ca) {
            (Some(certificates), Some(ca)) => Some(Identity { ca: ca.clone(), certificates: certificates.clone() }),
            _ => None,
        };
        let badges = match &self.badges {
            None => Badges::invented(200),
            Some(path) => {
                let lines = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                Badges::from_lines(&lines).with_context(|| format!("{} holds no badge code", path.display()))?
            }
        };
        let qos = match self.qos {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        Ok(Plan {
            address: self.address.clone(),
            site: self.site.clone(),
            doors,
            identity,
            amount: self
                .duration_s
                .map_or(Amount::Scans(self.scans), |seconds| Amount::For(Duration::from_secs(seconds))),
            rate: (self.rate > 0.0).then_some(self.rate),
            profile: self.profile,
            in_flight: self.in_flight,
            qos,
            mix: self.mix,
            readers: self.readers,
            badges,
            reconnects_per_minute: self.reconnects_per_minute,
            seed: self.seed,
            epoch: self.epoch.unwrap_or_else(epoch_now),
            acked: self.acked.clone(),
            relay: self.relay,
            connect_timeout: Duration::from_secs(self.connect_s),
            drain: Duration::from_secs(self.drain_s),
        })
    }

    /// Who listens meanwhile.
    ///
    /// # Errors
    /// When their certificates are not given.
    pub fn monitor_plan(&self) -> Result<MonitorPlan> {
        if self.monitors > 0 && !self.plaintext && self.monitors_certificates.is_none() {
            bail!("--monitors needs --monitors-certificates, or --plaintext");
        }
        let qos = if self.monitors_qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        Ok(MonitorPlan { monitors: self.monitors, qos, certificates: self.monitors_certificates.clone() })
    }
}

/// `count` names: the prefix and a number of at least four digits, from 1.
///
/// # Errors
/// When that is no name of the contract.
pub fn door_names(prefix: &str, count: u32) -> Result<Vec<DoorId>> {
    (1..=count)
        .map(|n| {
            format!("{prefix}{n:04}").parse().with_context(|| format!("--door-prefix {prefix} makes no door names"))
        })
        .collect()
}

/// An epoch that a later run does not have: the time in seconds.
pub fn epoch_now() -> u32 {
    u32::try_from(jiff::Timestamp::now().as_second()).unwrap_or(u32::MAX)
}

fn address(text: &str) -> Result<(String, u16)> {
    let Some((host, port)) = text.rsplit_once(':') else { bail!("give HOST:PORT, as in 127.0.0.1:8883") };
    let port = port.parse().context("the port is a number from 1 to 65535")?;
    if host.is_empty() || host.contains(':') {
        bail!("the host is a name or an IPv4 address");
    }
    Ok((host.into(), port))
}

pub(crate) fn not_negative(text: &str) -> Result<f64> {
    let value: f64 = text.parse()?;
    if !(0.0..=1e9).contains(&value) {
        bail!("allowed are 0 to 1000000000");
    }
    Ok(value)
}
