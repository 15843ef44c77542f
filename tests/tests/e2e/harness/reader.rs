//! A door's reader: scans, and waits for the decision and the acknowledgement of each.

use jiff::{SignedDuration, Timestamp};
use protocol::{Decision, Direction, Scan, ScanId};

use super::client::Client;
use super::gateway::Gateway;
use super::packets::{Connect, Packet, Publish, QoS, Version};
use super::site::{SITE, Site};

/// Kept scans that are under way at the same time: fewer than the gateway takes of one door.
const AT_ONCE: usize = 32;

/// A reader that is connected and hears its door's decisions.
pub struct Reader {
    pub client: Client,
    door: String,
    /// Quality of service of its scans.
    pub qos: QoS,
    /// Epoch of its scans.
    pub epoch: u32,
}

/// A scan that a reader has kept while it was cut off, or kept its own time of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub seq: u64,
    pub at: Timestamp,
    pub direction: Direction,
    pub badge: String,
}

/// What a scan was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub decision: Decision,
    /// The decision as it came.
    pub payload: Vec<u8>,
    pub acknowledged: Acknowledged,
}

/// How a scan was acknowledged, with the reason of version 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    PubAck(u8),
    PubComp(u8),
}

impl Reader {
    /// Connects `door`'s reader with a clean session, subscribed to its decisions; scans at QoS 1.
    pub async fn connect(site: &Site, gateway: &Gateway, door: &str, version: Version) -> Self {
        let client = Client::connect(site, gateway, "doors", &Connect::new(version, door)).await;
        let mut reader = Self { client, door: door.into(), qos: QoS::AtLeastOnce, epoch: 1 };
        let topic = reader.topic("decision");
        assert_eq!(reader.client.subscribe(&topic, QoS::AtLeastOnce).await, 1);
        reader
    }

    /// One of its door's topics.
    pub fn topic(&self, channel: &str) -> String {
        format!("gapura/v1/{SITE}/{}/{channel}", self.door)
    }

    /// Somebody enters: sends the scan made now, and waits for its answer.
    pub async fn scan(&mut self, seq: u64, badge: &str) -> Answer {
        let payload = self.payload(seq, badge, SignedDuration::ZERO);
        self.send(seq, &payload).await
    }

    /// Somebody leaves.
    pub async fn leave(&mut self, seq: u64, badge: &str) -> Answer {
        let id = ScanId { epoch: self.epoch, seq };
        let payload = Scan::new(id, Timestamp::now().into(), Direction::Out, badge).unwrap().to_json();
        self.send(seq, &payload).await
    }

    /// Sends a payload with this sequence number in it, and waits for its answer.
    pub async fn send(&mut self, seq: u64, payload: &[u8]) -> Answer {
        let id = self.begin(payload).await;
        let answer = self.decision(seq).await;
        let acknowledged = self.acknowledged(id).await;
        let decision = Decision::from_json(&answer.payload).expect("a decision");
        Answer { decision, payload: answer.payload, acknowledged }
    }

    /// Sends a payload, and waits for nothing; returns the packet's id.
    pub async fn begin(&mut self, payload: &[u8]) -> u16 {
        let topic = self.topic("scan");
        self.client.publish(&topic, self.qos, payload).await.unwrap()
    }

    /// Waits for the decision of a scan, and acknowledges it.
    pub async fn decision(&mut self, seq: u64) -> Publish {
        let (topic, epoch) = (self.topic("decision"), self.epoch);
        let wanted = |packet: &Packet| match packet {
            Packet::Publish(message) if message.topic == topic => {
                let id = Decision::from_json(&message.payload).expect("a decision").id();
                id == Some(ScanId { epoch, seq })
            }
            _ => false,
        };
        let packet = self.client.wait_for(&format!("the decision of scan {seq}"), wanted).await;
        let Packet::Publish(message) = packet else { unreachable!() };
        self.client.acknowledge(&message).await;
        message
    }

    /// Waits until the packet of this id is acknowledged, through both halves at QoS 2.
    pub async fn acknowledged(&mut self, id: u16) -> Acknowledged {
        let what = format!("the acknowledgement of packet {id}");
        if self.qos == QoS::ExactlyOnce {
            let first = |packet: &Packet| matches!(packet, Packet::PubRec { id: its, .. } if *its == id);
            let Packet::PubRec { reason, .. } = self.client.wait_for(&what, first).await else { unreachable!() };
            assert!(reason < 128, "PUBREC with reason {reason}");
            self.client.send_id(0x62, id).await.unwrap();
        }
        let last = |packet: &Packet| matches!(packet, Packet::PubAck { id: its, .. } | Packet::PubComp { id: its, .. } if *its == id);
        match self.client.wait_for(&what, last).await {
            Packet::PubAck { reason, .. } => Acknowledged::PubAck(reason),
            Packet::PubComp { reason, .. } => Acknowledged::PubComp(reason),
            _ => unreachable!(),
        }
    }

    /// Brings kept scans, some at a time, and waits until each is decided and acknowledged.
    pub async fn bring(&mut self, scans: &[Kept]) {
        for scans in scans.chunks(AT_ONCE) {
            let mut sent = Vec::new();
            for scan in scans {
                sent.push((scan.seq, self.begin_kept(scan).await));
            }
            for (seq, id) in sent {
                self.decision(seq).await;
                self.acknowledged(id).await;
            }
        }
    }

    /// Sends a kept scan, and waits for nothing; returns the packet's id.
    pub async fn begin_kept(&mut self, scan: &Kept) -> u16 {
        let id = ScanId { epoch: self.epoch, seq: scan.seq };
        let payload = Scan::new(id, scan.at.into(), scan.direction, scan.badge.as_str()).unwrap().to_json();
        self.begin(&payload).await
    }

    /// A scan of somebody who entered so long ago.
    pub fn payload(&self, seq: u64, badge: &str, ago: SignedDuration) -> Vec<u8> {
        let at = Timestamp::now() - ago;
        let id = ScanId { epoch: self.epoch, seq };
        Scan::new(id, at.into(), Direction::In, badge).unwrap().to_json()
    }
}
