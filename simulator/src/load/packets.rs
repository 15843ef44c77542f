//! Which packet id carries which message: `rumqttc` chooses the ids, and tells them in the order of the requests.

use std::collections::{HashMap, VecDeque};

/// The messages of one client between their request and their acknowledgement.
#[derive(Debug)]
pub struct Packets<T> {
    /// Requested and not yet written.
    waiting: VecDeque<T>,
    /// Written and not yet acknowledged.
    flying: HashMap<u16, T>,
    /// Has got an id that is still in use: it is written once that id is acknowledged.
    collided: Option<(u16, T)>,
}

/// What has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written<T> {
    /// A message, for the first time.
    First(T),
    /// A message that a lost connection had left unacknowledged.
    Again(T),
    /// A message of QoS 0: nothing will be heard of it.
    Unacknowledged(T),
    /// Nothing that was requested here.
    Unknown,
}

impl<T> Default for Packets<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), flying: HashMap::new(), collided: None }
    }
}

impl<T: Copy> Packets<T> {
    /// Messages that are requested and not acknowledged.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.flying.len() + usize::from(self.collided.is_some())
    }

    /// Whether every message is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `message` was handed to the client.
    pub fn requested(&mut self, message: T) {
        self.waiting.push_back(message);
    }

    /// The client wrote a PUBLISH with this id (`Outgoing::Publish`).
    pub fn written(&mut self, id: u16) -> Written<T> {
        if id == 0 {
            return self.waiting.pop_front().map_or(Written::Unknown, Written::Unacknowledged);
        }
        if let Some(message) = self.flying.get(&id) {
            return Written::Again(*message);
        }
        let message = match self.collided {
            Some((collided, message)) if collided == id => {
                self.collided = None;
                message
            }
            _ => match self.waiting.pop_front() {
                Some(message) => message,
                None => return Written::Unknown,
            },
        };
        self.flying.insert(id, message);
        Written::First(message)
    }

    /// The client gave the next message an id that is still in use (`Outgoing::AwaitAck`). It remembers only one such
    /// message: an earlier one that it has dropped for this one is given back, to be requested again.
    pub fn collided(&mut self, id: u16) -> Option<T> {
        let dropped = self.collided.take().map(|(_, message)| message);
        self.collided = self.waiting.pop_front().map(|message| (id, message));
        dropped
    }

    /// The last acknowledgement for an id arrived (PUBACK or PUBCOMP).
    pub fn acknowledged(&mut self, id: u16) -> Option<T> {
        self.flying.remove(&id)
    }

    /// The connection's new session knows nothing of the old one, so that the client has forgotten every request made
    /// before: they are given back, to be requested again.
    pub fn forgotten(&mut self) -> Vec<T> {
        let mut messages: Vec<T> = self.flying.drain().map(|(_, message)| message).collect();
        messages.extend(self.collided.take().map(|(_, message)| message));
        messages.extend(self.waiting.drain(..));
        messages
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rumqttc::{Event, MqttState, Outgoing, Packet, PubAck, Publish, QoS, Request, Subscribe};

    use super::*;

    /// The client that is really used, without its network.
    struct Client {
        state: MqttState,
        channel: VecDeque<Request>,
        pending: VecDeque<Request>,
        /// What the broker has seen and not acknowledged: the id and the message.
        broker: Vec<(u16, u32)>,
    }

    const INFLIGHT: u16 = 6;

    impl Client {
        fn pump(&mut self, packets: &mut Packets<u32>) {
            loop {
                self.events(packets);
                let free = self.state.inflight() < INFLIGHT && self.state.collision.is_none();
                let request = match self.pending.pop_front() {
                    Some(request) => request,
                    None if free => match self.channel.pop_front() {
                        Some(request) => request,
                        None => return,
                    },
                    None => return,
                };
                let written = self.state.handle_outgoing_packet(request).unwrap();
                self.on_the_wire(written);
            }
        }

        fn on_the_wire(&mut self, packet: Option<Packet>) {
            if let Some(Packet::Publish(publish)) = packet {
                let message = u32::from_be_bytes(publish.payload[..].try_into().unwrap());
                self.broker.retain(|(id, _)| *id != publish.pkid);
                self.broker.push((publish.pkid, message));
            }
        }

        fn events(&mut self, packets: &mut Packets<u32>) {
            for event in self.state.events.drain(..) {
                match event {
                    Event::Outgoing(Outgoing::Publish(id)) => assert_ne!(packets.written(id), Written::Unknown),
                    Event::Outgoing(Outgoing::AwaitAck(id)) => {
                        if let Some(dropped) = packets.collided(id) {
                            packets.requested(dropped);
                            self.channel.push_back(publish(dropped));
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn publish(message: u32) -> Request {
        Request::Publish(Publish::new("t", QoS::AtLeastOnce, message.to_be_bytes()))
    }

    #[derive(Clone, Debug)]
    enum Step {
        Publish,
        Subscribe,
        Acknowledge(prop::sample::Index),
        Reconnect { session_present: bool },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => Just(Step::Publish),
            1 => Just(Step::Subscribe),
            5 => any::<prop::sample::Index>().prop_map(Step::Acknowledge),
            1 => any::<bool>().prop_map(|session_present| Step::Reconnect { session_present }),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        #[test]
        fn every_acknowledgement_finds_its_message_whatever_the_client_does(steps in steps()) {
            let mut packets = Packets::default();
            let mut client = Client {
                state: MqttState::new(INFLIGHT, false),
                channel: VecDeque::new(),
                pending: VecDeque::new(),
                broker: Vec::new(),
            };
            let (mut requested, mut acknowledged) = (0u32, std::collections::HashSet::new());
            for step in steps {
                match step {
                    Step::Publish => {
                        packets.requested(requested);
                        client.channel.push_back(publish(requested));
                        requested += 1;
                    }
                    Step::Subscribe => {
                        client.channel.push_back(Request::Subscribe(Subscribe::new("t", QoS::AtLeastOnce)));
                    }
                    Step::Acknowledge(which) if !client.broker.is_empty() => {
                        let (id, message) = client.broker.remove(which.index(client.broker.len()));
                        prop_assert_eq!(packets.acknowledged(id), Some(message));
                        acknowledged.insert(message);
                        let packet = client.state.handle_incoming_packet(Packet::PubAck(PubAck::new(id))).unwrap();
                        client.events(&mut packets);
                        client.on_the_wire(packet);
                    }
                    Step::Acknowledge(_) => {}
                    Step::Reconnect { session_present } => {
                        client.broker.clear();
                        client.pending.extend(client.state.clean());
                        client.pending.extend(client.channel.drain(..));
                        if !session_present {
                            client.pending.clear();
                            client.state.collision = None;
                            for message in packets.forgotten() {
                                packets.requested(message);
                                client.channel.push_back(publish(message));
                            }
                        }
                    }
                }
                client.pump(&mut packets);
            }
            let open = usize::try_from(requested).unwrap() - acknowledged.len();
            prop_assert_eq!(packets.len(), open);
        }
    }

    #[test]
    fn a_message_of_qos_0_is_done_once_written() {
        let mut packets = Packets::default();
        packets.requested('a');
        assert_eq!(packets.written(0), Written::Unacknowledged('a'));
        assert_eq!(packets.written(0), Written::Unknown);
        assert!(packets.is_empty());
    }
}
