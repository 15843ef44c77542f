//! Monitors that listen to every door's decisions while the fleet scans: what they hear, and what they cost the doors.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use protocol::{Decision, MISSED_PROPERTY};
use rumqttc::QoS;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::Plan;
use super::idle::{Stream, dial};
use super::report::{MonitorsReport, Percentiles};
use crate::tls;

/// What monitors are called: `monitor-0001` and so on.
const PREFIX: &str = "monitor-";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Silence after the run's end that shows that a monitor has heard everything.
const QUIET: Duration = Duration::from_millis(300);

/// Of so many messages one is looked at closely: the generator shares the machine with the gateway.
const SAMPLED: u64 = 16;

/// Longest delay that is told apart, in microseconds.
const DELAY_US_MAX: u64 = 600_000_000;

/// Which monitors listen.
#[derive(Clone, Debug)]
pub struct MonitorPlan {
    /// How many.
    pub monitors: u16,
    /// At which quality of service; 2 is taken as 1.
    pub qos: QoS,
    /// A folder with `monitor-0001.pem` and `.key` and so on; `None` for plaintext.
    pub certificates: Option<PathBuf>,
}

/// Monitors that listen.
pub struct Monitors {
    listening: JoinSet<Result<Heard>>,
    monitors: u16,
    stop: watch::Sender<bool>,
    started: Instant,
}

/// What one monitor has heard.
struct Heard {
    messages: u64,
    missed: u64,
    delay_us: Histogram<u64>,
    last_at: Option<Instant>,
    /// The connection ended before the run did.
    lost: bool,
}

impl Monitors {
    /// Connects and subscribes every monitor of `plan`, to the same gateway as the fleet of `fleet`.
    ///
    /// # Errors
    /// When a certificate cannot be used, or a monitor is not let in.
    pub async fn connect(fleet: &Plan, plan: &MonitorPlan) -> Result<Self> {
        let identity = fleet.identity.as_ref().zip(plan.certificates.as_ref());
        let roots = identity.map(|(identity, _)| tls::roots(&identity.ca)).transpose()?;
        let (stop, stopped) = watch::channel(false);
        let mut listening = JoinSet::new();
        for number in 1..=plan.monitors {
            let name = format!("{PREFIX}{number:04}");
            let tls = match (identity, &roots) {
                (Some((_, folder)), Some(roots)) => {
                    Some(TlsConnector::from(Arc::new(tls::client(roots.clone(), folder, &name)?)))
                }
                _ => None,
            };
            let filter = format!("{}/{}/+/decision", protocol::topic::ROOT, fleet.site);
            let subscribed = subscribe(&fleet.address, &name, &filter, plan.qos, tls);
            let subscribed = timeout(CONNECT_TIMEOUT, subscribed).await.context("no answer in time");
            let stream = subscribed.flatten().with_context(|| format!("{name} does not get to listen"))?;
            listening.spawn(listen(stream, stopped.clone()));
        }
        Ok(Self { listening, monitors: plan.monitors, stop, started: Instant::now() })
    }

    /// Counts from now on what is heard a second.
    pub fn begin(&mut self) {
        self.started = Instant::now();
    }

    /// Ends them; what they have heard.
    ///
    /// # Errors
    /// When a monitor heard what is no message of the contract.
    pub async fn leave(mut self) -> Result<MonitorsReport> {
        self.stop.send_replace(true);
        let mut sum = Heard::new()?;
        let mut connected = 0;
        while let Some(heard) = self.listening.join_next().await {
            let heard = heard.context("a monitor broke off")??;
            sum.messages += heard.messages;
            sum.missed += heard.missed;
            sum.last_at = sum.last_at.max(heard.last_at);
            sum.delay_us.add(&heard.delay_us)?;
            connected += u16::from(!heard.lost);
        }
        let seconds = sum.last_at.map_or(0.0, |last| last.saturating_duration_since(self.started).as_secs_f64());
        Ok(MonitorsReport {
            monitors: self.monitors,
            connected,
            messages: sum.messages,
            missed: sum.missed,
            per_second: if seconds > 0.0 { (sum.messages as f64 / seconds).round() } else { 0.0 },
            delay_ms: Percentiles::of(&sum.delay_us),
        })
    }
}

impl Heard {
    fn new() -> Result<Self> {
        let delay_us = Histogram::new_with_bounds(1, DELAY_US_MAX, 3)?;
        Ok(Self { messages: 0, missed: 0, delay_us, last_at: None, lost: false })
    }

    /// Takes note of one PUBLISH of MQTT 5 (section 3.3), behind its length; adds the acknowledgement that it asks for.
    fn published(&mut self, head: u8, body: &[u8], acks: &mut Vec<u8>) -> Option<()> {
        let (topic_len, rest) = body.split_first_chunk()?;
        let mut rest = rest.get(usize::from(u16::from_be_bytes(*topic_len))..)?;
        if head & 0b110 != 0 {
            let (id, behind) = rest.split_first_chunk::<2>()?;
            acks.extend([0x40, 2, id[0], id[1]]);
            rest = behind;
        }
        let (properties_len, len_len) = length(rest)?;
        let (properties, payload) = rest.get(len_len..)?.split_at_checked(properties_len)?;
        self.missed += missed(properties);
        self.messages += 1;
        if self.messages.is_multiple_of(SAMPLED) {
            let decision = Decision::from_json(payload).ok()?;
            let delay_ms = jiff::Timestamp::now().as_millisecond() - decision.decided_at.unix_ms();
            self.delay_us.saturating_record(u64::try_from(delay_ms).unwrap_or(0) * 1000);
        }
        Some(())
    }
}

async fn subscribe(
    address: &(String, u16),
    name: &str,
    filter: &str,
    qos: QoS,
    tls: Option<TlsConnector>,
) -> Result<Box<dyn Stream>> {
    let mut stream = dial(address, tls).await?;
    let qos = (qos as u8).min(1);
    let connect = packet(0x10, &[b"\0\x04MQTT\x05\x02\xff\xff\0", &text(name)[..]].concat());
    let subscribe = packet(0x82, &[b"\0\x01\0", &text(filter)[..], &[qos]].concat());
    stream.write_all(&[connect, subscribe].concat()).await?;
    stream.flush().await?;
    let mut input = Vec::new();
    for (kind, granted) in [(0x20, 0), (0x90, qos)] {
        let (head, body) = loop {
            if let Some((head, body_at, len)) = frame(&input) {
                let packet: Vec<u8> = input.drain(..len).collect();
                break (head, packet.get(body_at..).unwrap_or_default().to_vec());
            }
            ensure!(stream.read_buf(&mut input).await? > 0, "the connection was closed instead of answered");
        };
        // CONNACK has its reason second, SUBACK last.
        let reason = if kind == 0x20 { body.get(1) } else { body.last() };
        if head != kind || reason != Some(&granted) {
            bail!("answered with {head:#x}, reason {reason:?}");
        }
    }
    // The first message comes later than the answer to the subscription.
    ensure!(input.is_empty(), "a message came before the answer to the subscription");
    Ok(stream)
}

async fn listen(mut stream: Box<dyn Stream>, mut stop: watch::Receiver<bool>) -> Result<Heard> {
    let mut heard = Heard::new()?;
    let (mut input, mut acks) = (Vec::with_capacity(64 * 1024), Vec::new());
    loop {
        let read = tokio::select! {
            read = stream.read_buf(&mut input) => read.unwrap_or(0),
            () = quiet(&mut stop) => return Ok(heard),
        };
        if read == 0 {
            heard.lost = true;
            return Ok(heard);
        }
        let mut at = 0;
        while let Some((head, body_at, len)) = frame(input.get(at..).unwrap_or_default()) {
            if head >> 4 == 3 {
                let body = input.get(at + body_at..at + len).unwrap_or_default();
                heard.published(head, body, &mut acks).context("a monitor heard what is no decision")?;
            }
            at += len;
        }
        input.drain(..at);
        heard.last_at = Some(Instant::now());
        if !acks.is_empty() {
            let sent = async {
                stream.write_all(&acks).await?;
                stream.flush().await
            };
            heard.lost = sent.await.is_err();
            if heard.lost {
                return Ok(heard);
            }
            acks.clear();
        }
    }
}

/// Completes when the run is over and nothing has come for a while.
async fn quiet(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_ok() {
        sleep(QUIET).await;
    }
}

/// How many messages were missed, as the user property says (section 3.3.2.3.7); it is the only property that the gateway
/// sends to monitors.
fn missed(properties: &[u8]) -> u64 {
    let value = || {
        let rest = properties.strip_prefix(&[0x26])?.strip_prefix(&*text(MISSED_PROPERTY))?;
        std::str::from_utf8(rest.get(2..)?).ok()?.parse().ok()
    };
    value().unwrap_or(0)
}

/// The first packet of `input` if it is whole: its first byte, where its body begins, and its length.
fn frame(input: &[u8]) -> Option<(u8, usize, usize)> {
    let (head, rest) = input.split_first()?;
    let (body_len, len_len) = length(rest)?;
    let len = 1 + len_len + body_len;
    (input.len() >= len).then_some((*head, 1 + len_len, len))
}

/// A variable integer (section 1.5.5), and how many bytes it takes.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((length, at + 1));
        }
    }
    None
}

/// A packet that is short enough for a length of one byte.
fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    [&[head, u8::try_from(body.len()).unwrap_or(0x7F)], body].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_is_counted_acknowledged_and_asked_for_what_was_missed() {
        let mut heard = Heard::new().unwrap();
        let mut acks = Vec::new();
        let told = b"\0\x01t\0\x07\x0E\x26\0\x06missed\0\x03120{}";
        heard.published(0x32, told, &mut acks).unwrap();
        heard.published(0x30, b"\0\x01t\0{}", &mut acks).unwrap();
        assert_eq!((heard.messages, heard.missed, &acks[..]), (2, 120, &b"\x40\x02\0\x07"[..]));
        assert!(heard.published(0x32, b"\0\x01t\0", &mut acks).is_none());
    }

    #[test]
    fn a_frame_is_found_once_it_is_whole() {
        assert_eq!(frame(b"\x30\x03abc\x30"), Some((0x30, 2, 5)));
        assert_eq!(frame(b"\x30\x03ab"), None);
        let long = [&[0x30, 0x80, 0x01][..], &[0; 128]].concat();
        assert_eq!(frame(&long), Some((0x30, 3, 131)));
    }
}
