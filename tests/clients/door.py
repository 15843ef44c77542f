#!/usr/bin/env python3
"""A door's reader as paho-mqtt 2 makes one: plays one scenario and says what it saw, one JSON object a line.

Nothing is tried twice, and every wait has a deadline: a wait in vain is the line {"event": "deadline"} and exit code 1.
Whatever the gateway answers is no error here; the caller judges.
"""

import argparse
import datetime
import json
import pathlib
import socket
import ssl
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

DEADLINE_S = 15.0


def say(event, **fields):
    """Prints one line."""
    print(json.dumps({"event": event, **fields}), flush=True)


class Client:
    """One connection. Driven by hand, so that it neither reconnects nor acknowledges behind a scenario's back."""

    def __init__(self, args, client_id=None, folder="doors", manual_ack=False, clean=True, expiry_s=None, keep_alive_s=60,
                 will=None, properties=None):
        self.args = args
        self.who = args.client_id if client_id is None else client_id
        self.v5 = args.version == 5
        self.connected = self.lost = None
        self.messages, self.acknowledged, self.subscribed = [], [], []
        self.mqtt = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=self.who, protocol=mqtt.MQTTv5 if self.v5 else mqtt.MQTTv311,
            clean_session=None if self.v5 else clean, manual_ack=manual_ack)
        # What is in flight when a connection breaks is not sent again by a client that is made anew.
        self.mqtt.max_inflight_messages_set(100)
        name = args.certificate_of or self.who or args.door
        pem = pathlib.Path(args.certificate or args.folder / folder / f"{name}.pem")
        tls = ssl.create_default_context(cafile=args.folder / "pki" / "ca.pem")
        if not args.no_certificate:
            tls.load_cert_chain(pem, pem.with_suffix(".key"))
        if args.tls12:
            tls.maximum_version = ssl.TLSVersion.TLSv1_2
        self.mqtt.tls_set_context(tls)
        self.mqtt.on_connect = self.on_connect
        self.mqtt.on_disconnect = self.on_disconnect
        self.mqtt.on_message = self.on_message
        self.mqtt.on_publish = self.on_publish
        self.mqtt.on_subscribe = self.on_subscribe
        self.mqtt.on_log = self.on_log
        wanted = Properties(PacketTypes.CONNECT) if self.v5 else None
        for key, value in (properties or {}).items():
            setattr(wanted, key, value)
        if expiry_s is not None:
            wanted.SessionExpiryInterval = expiry_s
        if will is not None:
            payload, delay_s = will
            more = Properties(PacketTypes.WILLMESSAGE)
            more.WillDelayInterval = delay_s
            self.mqtt.will_set(self.topic("status"), payload, qos=1, retain=True, properties=more)
        try:
            self.mqtt.connect(args.host, args.port, keepalive=keep_alive_s, properties=wanted,
                              **({"clean_start": clean} if self.v5 else {}))
        except ssl.SSLError as error:
            self.lost = str(error)
            say("tls", client=self.who, error=self.lost)

    # What paho calls.

    def on_connect(self, _client, _userdata, flags, reason, properties):
        self.connected = reason.value
        say("connected", client=self.who, reason=reason.value, text=str(reason), session_present=flags.session_present,
            properties=properties.json() if properties else {})

    def on_disconnect(self, _client, _userdata, flags, reason, _properties):
        self.lost = str(reason)
        say("disconnected", client=self.who, reason=reason.value, text=str(reason),
            by_gateway=flags.is_disconnect_packet_from_server)

    def on_message(self, _client, _userdata, message):
        self.messages.append(message)
        properties = message.properties.json() if getattr(message, "properties", None) else {}
        say("message", client=self.who, topic=message.topic, payload=json.loads(message.payload), qos=message.qos,
            retain=message.retain, dup=message.dup, mid=message.mid, properties=properties)

    def on_publish(self, _client, _userdata, mid, reason, _properties):
        self.acknowledged.append(mid)
        say("acknowledged", client=self.who, mid=mid, reason=reason.value, text=str(reason))

    def on_subscribe(self, _client, _userdata, mid, reasons, _properties):
        self.subscribed.append(mid)
        say("subscribed", client=self.who, reasons=[reason.value for reason in reasons])

    def on_log(self, _client, _userdata, level, text):
        if level in (mqtt.MQTT_LOG_ERR, mqtt.MQTT_LOG_WARNING):
            say("log", client=self.who, text=text)

    # What a scenario does.

    def topic(self, channel):
        return f"gapura/v1/{self.args.site}/{self.args.door}/{channel}"

    def wait(self, what, condition):
        """Serves the connection until `condition` holds or the connection is lost; whether it holds."""
        until = time.monotonic() + DEADLINE_S
        while not condition():
            if self.lost is not None:
                return False
            if time.monotonic() > until:
                say("deadline", client=self.who, waiting_for=what)
                sys.exit(1)
            self.mqtt.loop(timeout=0.05)
        return True

    def join(self):
        """Waits for CONNACK; whether it lets the client in."""
        return self.wait("CONNACK", lambda: self.connected is not None) and self.connected == 0

    def wait_lost(self):
        self.wait("the end of the connection", lambda: self.lost is not None)

    def subscribe(self, topic, qos=1):
        _, mid = self.mqtt.subscribe(topic, qos)
        return self.wait("SUBACK", lambda: mid in self.subscribed)

    def scan(self, seq, topic=None, qos=1, properties=None):
        """Publishes a scan and gives its message id."""
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        scan = {"v": 1, "epoch": 1, "seq": seq, "scanned_at": now, "direction": "in", "credential": self.args.badge}
        topic = self.topic("scan") if topic is None else topic
        return self.mqtt.publish(topic, json.dumps(scan), qos, properties=properties).mid

    def wait_acknowledged(self, *mids):
        return self.wait("an acknowledgement", lambda: all(mid in self.acknowledged for mid in mids))

    def wait_messages(self, count):
        return self.wait(f"message {count}", lambda: len(self.messages) >= count)

    def leave(self):
        if self.lost is None:
            self.mqtt.disconnect()
            self.wait_lost()

    def vanish(self):
        """Ends the connection without a word, as when the power is cut."""
        self.mqtt.socket().shutdown(socket.SHUT_RDWR)
        self.wait_lost()


def connect(args):
    """Connects and leaves."""
    client = Client(args)
    if client.join():
        client.leave()


def scan(args):
    """Scans at `--target` (its own door unless told otherwise) with each QoS of `--qos`, and waits for what comes of it."""
    client = Client(args)
    if not client.join() or not client.subscribe(client.topic("decision")):
        return
    topic = f"gapura/v1/{args.site}/{args.target or args.door}/scan"
    for seq, qos in enumerate(args.qos, 1):
        before = len(client.messages)
        mid = client.scan(seq, topic, qos)
        if not client.wait_acknowledged(mid):
            return
        # At QoS 0 only the client itself says that it is done.
        if qos == 0 and args.target:
            client.wait_lost()
            return
        if not args.target and not client.wait_messages(before + 1):
            return
    client.leave()


def subscribe(args):
    """Subscribes to `--filter`."""
    client = Client(args)
    if client.join() and client.subscribe(args.filter):
        client.leave()


def respond(args):
    """Asks for the answer on a response topic of its own, with correlation data."""
    client = Client(args, properties={"RequestResponseInformation": 1})
    if not client.join() or not client.subscribe(client.topic("answers/7")):
        return
    wanted = Properties(PacketTypes.PUBLISH)
    wanted.ResponseTopic = client.topic("answers/7")
    wanted.CorrelationData = b"\x00\xffkiosk"
    mid = client.scan(1, properties=wanted)
    if client.wait_acknowledged(mid) and client.wait_messages(1):
        client.leave()


def window(args):
    """Takes two messages at a time: five scans bring two decisions, and the others as these are acknowledged."""
    client = Client(args, manual_ack=True, properties={"ReceiveMaximum": 2})
    if not client.join() or not client.subscribe(client.topic("decision")):
        return
    mids = [client.scan(seq) for seq in range(1, 6)]
    # Whatever might be sent has been sent when a later question is answered.
    if not client.wait_acknowledged(*mids) or not client.subscribe(client.topic("config")):
        return
    decisions = [message for message in client.messages if message.topic.endswith("/decision")]
    say("held", decisions=len(decisions))
    acknowledged = 0
    while len([message for message in client.messages if message.topic.endswith("/decision")]) < 5:
        waiting = client.messages[acknowledged:]
        for message in waiting:
            client.mqtt.ack(message.mid, message.qos)
        acknowledged += len(waiting)
        if not client.wait_messages(acknowledged + 1):
            return
    for message in client.messages[acknowledged:]:
        client.mqtt.ack(message.mid, message.qos)
    client.leave()


def small(args):
    """Takes packets of 100 bytes at most, in which no decision fits."""
    client = Client(args, properties={"MaximumPacketSize": 100})
    if not client.join() or not client.subscribe(client.topic("decision")):
        return
    if client.wait_acknowledged(client.scan(1)) and client.subscribe(client.topic("status")):
        client.leave()


def oversize(args):
    """Sends a message that is larger than the gateway takes, and one that it does not even pass over."""
    client = Client(args)
    if client.join() and client.wait_acknowledged(client.mqtt.publish(client.topic("scan"), b"x" * 30_000, 1).mid):
        client.mqtt.publish(client.topic("scan"), b"x" * 300_000, 1)
        client.wait_lost()


def alias(args):
    """Gives its topic a number and then only says the number; last, one that the gateway does not know."""
    client = Client(args)
    if not client.join() or not client.subscribe(client.topic("decision")):
        return
    numbered = Properties(PacketTypes.PUBLISH)
    numbered.TopicAlias = 1
    first = client.scan(1, properties=numbered)
    again = client.scan(2, "", properties=numbered)
    if not client.wait_acknowledged(first, again) or not client.wait_messages(2):
        return
    numbered.TopicAlias = 200
    client.scan(3, properties=numbered)
    client.wait_lost()


def resume(args):
    """Vanishes with a decision that it has not acknowledged, and finds it again; then once more with a clean start."""
    keep = {"expiry_s": 60} if args.version == 5 else {}
    client = Client(args, manual_ack=True, clean=False, **keep)
    if not client.join() or not client.subscribe(client.topic("decision")):
        return
    if not client.wait_acknowledged(client.scan(1)) or not client.wait_messages(1):
        return
    client.vanish()
    client = Client(args, clean=False, **keep)
    if not client.join() or not client.wait_messages(1):
        return
    client.leave()
    client = Client(args, clean=True, **keep)
    if client.join():
        client.leave()


def will(args):
    """Leaves a will that waits a second, and vanishes; a monitor watches."""
    monitor = Client(args, client_id=args.monitor, folder="monitors")
    if not monitor.join() or not monitor.subscribe(f"gapura/v1/{args.site}/+/status"):
        return
    status = json.dumps({"v": 1, "state": "offline", "problem": "power-cut"})
    client = Client(args, expiry_s=60, will=(status, 1))
    if not client.join():
        return
    client.vanish()
    if monitor.wait("the will", lambda: any(b"power-cut" in message.payload for message in monitor.messages)):
        monitor.leave()


def welcome(args):
    """Leaves its name and its keep-alive to the gateway."""
    client = Client(args, client_id="", keep_alive_s=0)
    if client.join():
        client.leave()


SCENARIOS = [connect, scan, subscribe, respond, window, small, oversize, alias, resume, will, welcome]


def main():
    """Plays the scenario that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="the site's folder")
    parser.add_argument("--site", required=True)
    parser.add_argument("--door", required=True)
    parser.add_argument("--client-id", help="the door's name unless told otherwise")
    parser.add_argument("--version", type=int, choices=[3, 5], default=5, help="of MQTT; 3 is 3.1.1")
    parser.add_argument("--badge", default="B-0001")
    parser.add_argument("--certificate", help="instead of the door's; its key lies beside it")
    parser.add_argument("--certificate-of", help="use this door's certificate")
    parser.add_argument("--no-certificate", action="store_true")
    parser.add_argument("--tls12", action="store_true", help="no newer TLS than 1.2")
    scenarios = parser.add_subparsers(required=True)
    for scenario in SCENARIOS:
        added = scenarios.add_parser(scenario.__name__, help=scenario.__doc__)
        added.set_defaults(play=scenario)
        if scenario is scan:
            added.add_argument("--qos", type=int, nargs="+", default=[1])
            added.add_argument("--target", help="the door at whose topic to scan")
        if scenario is subscribe:
            added.add_argument("--filter", required=True)
        if scenario is will:
            added.add_argument("--monitor", required=True)
    args = parser.parse_args()
    args.client_id = args.door if args.client_id is None else args.client_id
    args.play(args)
    say("done")


if __name__ == "__main__":
    main()
