//! The fleet against a scripted gateway of a few lines, which loses, refuses and contradicts on demand.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::{Outcome, ScanError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};

use super::args::door_names;
use super::ledger::AckedScan;
use super::*;

/// What the gateway does with a scan.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Keep,
    /// Says that nothing can be promised, and acknowledges nothing.
    Refuse,
    /// Acknowledges, and closes before the answer.
    LoseAnswer,
    /// Closes without a word.
    Close,
    /// Answers as another event each time.
    Contradict,
    /// Nothing.
    Ignore,
}

#[derive(Default)]
struct Seen {
    /// Which event keeps a scan.
    events: HashMap<(String, u64), u64>,
    /// How often a scan has arrived.
    arrivals: HashMap<(String, u64), u64>,
    number: u64,
    /// Payloads that were no scan, and nobody knows which.
    unidentified: u64,
}

struct Scripted {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

/// What to do with a scan of this number that arrives for the nth time.
type Script = fn(u64, u64) -> Act;

impl Scripted {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Seen::default())));
        let shared = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = shared.clone();
                tokio::spawn(async move { serve(stream, &seen, script).await });
            }
        });
        Self { address, seen }
    }

    fn plan(&self, doors: u32, scans: u64) -> Plan {
        Plan {
            address: (self.address.ip().to_string(), self.address.port()),
            site: "s".parse().unwrap(),
            doors: door_names("d", doors).unwrap(),
            identity: None,
            amount: Amount::Scans(scans),
            rate: None,
            profile: Profile::Constant,
            in_flight: 4,
            qos: QoS::AtLeastOnce,
            mix: Mix::default(),
            readers: readers::ReaderMix::PLAIN,
            badges: Badges::invented(3),
            reconnects_per_minute: 0.0,
            seed: 3,
            epoch: 9,
            acked: None,
            relay: false,
            connect_timeout: Duration::from_secs(20),
            drain: Duration::from_secs(20),
        }
    }
}

async fn run(plan: Plan) -> Report {
    let fleet = Fleet::connect(plan).await.unwrap();
    let report = fleet.scan().await.unwrap();
    fleet.leave().await.unwrap();
    report
}

/// One connection; `None` when it is over.
async fn serve(stream: TcpStream, seen: &Mutex<Seen>, script: Script) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let (mut from, mut to) = stream.into_split();
    loop {
        let kind = from.read_u8().await.ok()?;
        let mut len = 0usize;
        for shift in [0, 7, 14] {
            let byte = from.read_u8().await.ok()?;
            len |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        let mut body = vec![0; len];
        from.read_exact(&mut body).await.ok()?;
        match kind >> 4 {
            1 => to.write_all(&[0x20, 2, 0, 0]).await.ok()?,
            8 => {
                let filters = body[2..].iter().filter(|byte| **byte == b'/').count() / 4;
                to.write_all(&[0x90, 2 + u8::try_from(filters).unwrap(), body[0], body[1]]).await.ok()?;
                to.write_all(&vec![1; filters]).await.ok()?;
            }
            3 => published(&mut to, &body, seen, script).await?,
            12 => to.write_all(&[0xd0, 0]).await.ok()?,
            14 => return None,
            _ => {}
        }
    }
}

async fn published(to: &mut OwnedWriteHalf, body: &[u8], seen: &Mutex<Seen>, script: Script) -> Option<()> {
    let topic_len = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let topic = String::from_utf8(body[2..2 + topic_len].to_vec()).unwrap();
    let (id, payload) = (&body[2 + topic_len..4 + topic_len], &body[4 + topic_len..]);
    let ack = [0x40, 2, id[0], id[1]];
    let Some(door) = topic.strip_suffix("/scan") else {
        return to.write_all(&ack).await.ok();
    };
    let scan = match protocol::Scan::from_json(payload) {
        Ok(scan) => scan.id(),
        Err(ScanError { id: Some(id), .. }) => id,
        Err(_) => {
            seen.lock().unwrap().unidentified += 1;
            return to.write_all(&ack).await.ok();
        }
    };
    let (act, event) = {
        let seen = &mut *seen.lock().unwrap();
        let key = (door.to_owned(), scan.seq);
        let arrivals = seen.arrivals.entry(key.clone()).or_default();
        *arrivals += 1;
        let act = script(scan.seq, *arrivals);
        let next = seen.number + 1;
        let event = match act {
            Act::Keep | Act::LoseAnswer => *seen.events.entry(key).or_insert(next),
            _ => next,
        };
        seen.number = seen.number.max(event);
        (act, event)
    };
    let outcome = if act == Act::Refuse { Outcome::Unavailable } else { Outcome::Granted };
    let decision = serde_json::json!({
        "v": 1, "epoch": scan.epoch, "seq": scan.seq, "outcome": outcome, "open": true, "reason": "r", "event": event,
    });
    let answer = message(&format!("{door}/decision"), decision.to_string().as_bytes());
    match act {
        Act::Ignore => {}
        Act::Close => return None,
        Act::Refuse => to.write_all(&answer).await.ok()?,
        Act::LoseAnswer => {
            to.write_all(&ack).await.ok()?;
            return None;
        }
        Act::Keep | Act::Contradict => to.write_all(&[&answer[..], &ack].concat()).await.ok()?,
    }
    Some(())
}

/// PUBLISH of QoS 0.
fn message(topic: &str, payload: &[u8]) -> Vec<u8> {
    let len = 2 + topic.len() + payload.len();
    let mut packet = vec![0x30, u8::try_from(len % 128).unwrap() | 0x80, u8::try_from(len / 128).unwrap()];
    packet.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
    packet.extend(topic.bytes());
    packet.extend(payload);
    packet
}

#[tokio::test]
async fn every_scan_is_acknowledged_and_answered() {
    let gateway = Scripted::start(|_, _| Act::Keep).await;
    let folder = tempfile::tempdir().unwrap();
    let acked = folder.path().join("acked.ndjson");
    let report = run(Plan { acked: Some(acked.clone()), ..gateway.plan(5, 1_000) }).await;
    assert!(report.problems().is_empty(), "{report}");
    assert_eq!((report.scans, report.acked, report.outcomes["granted"]), (1_000, 1_000, report.decisions));
    assert_eq!(report.sent, report.scans + report.duplicates + report.resent);
    assert!(report.duplicates > 0 && report.unidentified > 0, "{report}");

    let mut written = std::collections::HashSet::new();
    crate::audit::lines(&acked, |scan: AckedScan<'static>| {
        assert!(scan.event.is_some() || scan.kind == mix::Kind::Unidentified);
        assert!(written.insert((scan.door, scan.epoch, scan.seq)));
    })
    .unwrap();
    assert_eq!(written.len(), 1_000);
    let seen = gateway.seen.lock().unwrap();
    assert_eq!(seen.events.len() as u64 + seen.unidentified, 1_000);
}

#[tokio::test]
async fn an_open_loop_sends_what_the_schedule_says() {
    let gateway = Scripted::start(|_, _| Act::Keep).await;
    let plan = Plan { amount: Amount::For(Duration::from_secs(1)), rate: Some(400.0), ..gateway.plan(4, 0) };
    let report = run(plan).await;
    assert!(report.problems().is_empty(), "{report}");
    // 400 messages, of which 3 % are duplicates.
    assert_eq!(report.scans, 388);
}

#[tokio::test]
async fn a_scan_that_could_not_be_promised_is_sent_again_until_it_is() {
    let gateway =
        Scripted::start(|seq, arrival| if seq % 5 == 0 && arrival <= 2 { Act::Refuse } else { Act::Keep }).await;
    // The refused PUBLISH stays unacknowledged, as with the gateway.
    let report = run(Plan { in_flight: 16, ..gateway.plan(2, 40) }).await;
    assert!(report.problems().is_empty(), "{report}");
    assert!(report.unavailable > 0 && report.resent >= report.unavailable, "{report}");
}

#[tokio::test]
async fn lost_connections_and_answers_lose_no_scan() {
    let gateway = Scripted::start(|seq, arrival| match (seq % 10, arrival) {
        (3, 1) => Act::Close,
        (7, 1) => Act::LoseAnswer,
        _ => Act::Keep,
    })
    .await;
    let report = run(gateway.plan(3, 150)).await;
    assert!(report.problems().is_empty(), "{report}");
    assert!(report.reconnects > 0 && report.resent > 0 && !report.errors.is_empty(), "{report}");
    assert_eq!(report.conflicting_decisions, 0);
}

#[tokio::test]
async fn a_gateway_that_contradicts_itself_is_caught() {
    let gateway = Scripted::start(|_, _| Act::Contradict).await;
    let report = run(gateway.plan(2, 400)).await;
    assert_eq!(report.conflicting_decisions, report.duplicates, "{report}");
    assert!(!report.problems().is_empty());
}

#[tokio::test]
async fn a_silent_gateway_gets_no_more_than_is_allowed_in_flight_and_is_reported() {
    let gateway = Scripted::start(|_, _| Act::Ignore).await;
    let mix = "good=100".parse().unwrap();
    let report = run(Plan { mix, drain: Duration::from_millis(300), ..gateway.plan(3, 300) }).await;
    assert_eq!((report.scans, report.acked), (3 * 4, 0));
    assert_eq!(report.problems().len(), 2, "{report}");
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_reported() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let plan = Scripted { address: gone, seen: Arc::default() }.plan(2, 10);
    let short = Duration::from_millis(200);
    let report = run(Plan { connect_timeout: short, drain: short, ..plan }).await;
    assert_eq!((report.connected, report.scans), (0, 0));
    assert!(report.errors.contains_key("connection refused"), "{report}");
    assert!(report.problems().contains(&"nothing was scanned".to_owned()));
}

#[tokio::test]
async fn a_fleet_that_nothing_is_asked_of_is_refused() {
    let plan = Scripted { address: ([127, 0, 0, 1], 1).into(), seen: Arc::default() }.plan(0, 10);
    assert!(Fleet::connect(plan).await.is_err());
}
