//! Clients with a good certificate that want more than it gives, and clients without one.

use base::identity::Role;
use rustls::AlertDescription;
use simulator::tls;

use super::certificates::{Flaw, issue_today, issue_with};
use super::{Attacked, DOORS, MAD, scan, topic};
use crate::harness::{Client, Connect, Packet, Publish, QoS, SITE, Version, alert, closed, eventually};

const REFUSED: &str = "doors_connections_refused_total";
const NOT_ACCEPTED: &str = "doors_publishes_refused_total";

#[tokio::test]
async fn a_certificate_is_good_for_its_own_client_id_only() {
    let mut attacked = Attacked::start().await;
    let mut attempts = 0.0;
    for (version, code) in [(Version::V4, 2), (Version::V5, 0x85)] {
        for (folder, certificate, client_id) in [
            ("doors", MAD, DOORS[0]),
            ("doors", MAD, "watch"),
            ("doors", MAD, "MAD-IN"),
            ("doors", MAD, "mad-in/+"),
            ("monitors", "watch", DOORS[0]),
        ] {
            let mut client = Client::dial(&attacked.site, &attacked.gateway, folder, certificate).await.unwrap();
            let answer = client.hello(&Connect::new(version, client_id)).await.unwrap();
            assert!(matches!(answer, Packet::ConnAck { code: its, .. } if its == code), "{client_id}: {answer:?}");
            assert!(closed(&client.ends().await.1));
            attempts += 1.0;
        }
    }
    assert_eq!(attacked.gateway.metric(REFUSED, &["client_id"]).await, attempts);
    attacked.serves().await;
}

#[tokio::test]
async fn a_door_publishes_under_its_own_topics_only() {
    let mut attacked = Attacked::start().await;
    let foreign = [
        topic(DOORS[0], "scan"),
        topic(DOORS[0], "status"),
        topic(DOORS[0], "decision"),
        topic(MAD, "decision"),
        topic(MAD, "config"),
        topic("mad-in-2", "scan"),
        topic(MAD, "scan/x"),
        format!("gapura/v1/other/{MAD}/scan"),
        format!("gapura/v2/{SITE}/{MAD}/scan"),
        "$SYS/x".to_owned(),
        "x".to_owned(),
    ];
    let mut attempts = 0.0;
    for name in &foreign {
        // MQTT 5 says it of this message, and the connection goes on.
        let mut client = attacked.mad(Version::V5).await;
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let id = client.publish(name, qos, &scan(1)).await.unwrap();
            let expected = if qos == QoS::AtLeastOnce {
                Packet::PubAck { id, reason: 0x87 }
            } else {
                Packet::PubRec { id, reason: 0x87 }
            };
            assert_eq!(client.next().await.unwrap(), expected, "{name}");
        }
        // At QoS 0 there is nothing to say it with but the end of the connection.
        client.publish(name, QoS::AtMostOnce, &scan(1)).await.unwrap();
        assert_eq!(client.ends().await.0, [Packet::Disconnect { reason: 0x87 }], "{name}");
        // As in MQTT 3.1.1 at any (section 3.3.5).
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut client = attacked.mad(Version::V4).await;
            client.publish(name, qos, &scan(1)).await.unwrap();
            let (before, end) = client.ends().await;
            assert!(before.is_empty() && closed(&end), "{name}: {before:?} {end}");
        }
        attempts += 6.0;
    }
    assert_eq!(attacked.gateway.metric(NOT_ACCEPTED, &["\"topic\""]).await, attempts);
    assert_eq!(attacked.gateway.metric("doors_scans_received_total", &[]).await, 0.0);
    attacked.serves().await;
}

#[tokio::test]
async fn a_door_hears_its_own_topics_only() {
    let mut attacked = Attacked::start().await;
    let foreign = [
        topic(DOORS[0], "decision"),
        topic("+", "decision"),
        topic("mad-in-2", "#"),
        format!("gapura/v1/{SITE}/#"),
        "#".to_owned(),
        "+/#".to_owned(),
        format!("gapura/v1/+/{MAD}/decision"),
        "$SYS/#".to_owned(),
    ];
    let mut attempts = 0.0;
    for (version, code) in [(Version::V4, 0x80), (Version::V5, 0x87)] {
        let mut client = attacked.mad(version).await;
        for filter in &foreign {
            assert_eq!(client.subscribe(filter, QoS::AtLeastOnce).await, code, "{filter}");
            attempts += 1.0;
        }
        // Nothing of the other doors comes through.
        attacked.serves().await;
        assert_eq!(client.so_far().await, []);
    }
    assert_eq!(attacked.gateway.metric("doors_subscriptions_refused_total", &[]).await, attempts);
}

#[tokio::test]
async fn neither_a_will_nor_a_response_topic_reaches_beyond_the_door() {
    let mut attacked = Attacked::start().await;
    let status = br#"{"v":1,"state":"offline"}"#.to_vec();
    for (version, code) in [(Version::V4, 5), (Version::V5, 0x87)] {
        for name in [topic(DOORS[0], "status"), topic(MAD, "scan"), "é".to_owned()] {
            let mut connect = Connect::new(version, MAD);
            connect.will = Some((name, status.clone()));
            let answer = attacked.dial().await.hello(&connect).await.unwrap();
            assert!(matches!(answer, Packet::ConnAck { code: its, .. } if its == code), "{answer:?}");
        }
    }
    assert_eq!(attacked.gateway.metric(REFUSED, &["will"]).await, 6.0);

    let mut client = attacked.mad(Version::V5).await;
    for response in [topic(DOORS[0], "decision"), topic(MAD, "+"), topic(MAD, ""), "#".to_owned()] {
        let mut publish = Publish::new(&topic(MAD, "scan"), QoS::AtLeastOnce, client.fresh_id(), &scan(1));
        publish.properties = [&[0x08][..], &crate::harness::text(&response)].concat();
        client.send(&publish.bytes(Version::V5)).await.unwrap();
        assert_eq!(client.next().await.unwrap(), Packet::PubAck { id: publish.id, reason: 0x87 }, "{response}");
    }
    assert_eq!(attacked.gateway.metric(NOT_ACCEPTED, &["response_topic"]).await, 4.0);
    attacked.serves().await;
}

#[tokio::test]
async fn a_monitor_publishes_nothing_and_hears_what_is_meant_for_it() {
    let mut attacked = Attacked::start().await;
    let mut attempts = 0.0;
    for name in [topic(DOORS[0], "scan"), topic(DOORS[0], "decision"), topic("watch", "scan"), "x".to_owned()] {
        let mut client = monitor(&attacked, Version::V5).await;
        let id = client.publish(&name, QoS::AtLeastOnce, &scan(1)).await.unwrap();
        assert_eq!(client.next().await.unwrap(), Packet::PubAck { id, reason: 0x87 }, "{name}");
        client.publish(&name, QoS::AtMostOnce, &scan(1)).await.unwrap();
        assert_eq!(client.ends().await.0, [Packet::Disconnect { reason: 0x87 }], "{name}");
        let mut client = monitor(&attacked, Version::V4).await;
        client.publish(&name, QoS::ExactlyOnce, &scan(1)).await.unwrap();
        assert!(closed(&client.ends().await.1), "{name}");
        attempts += 3.0;
    }
    assert_eq!(attacked.gateway.metric(NOT_ACCEPTED, &["monitor"]).await, attempts);
    for (version, code) in [(Version::V4, 0x80), (Version::V5, 0x87)] {
        let mut client = monitor(&attacked, version).await;
        for filter in ["#".to_owned(), topic("+", "scan"), topic("+", "config"), topic("+", "+"), "é/#".to_owned()] {
            assert_eq!(client.subscribe(&filter, QoS::AtLeastOnce).await, code, "{filter}");
        }
    }
    attacked.serves().await;
}

#[tokio::test]
async fn a_certificate_of_the_site_is_not_enough_to_be_a_door() {
    let mut attacked = Attacked::start().await;
    let stranger = Role::Door("not-added".parse().unwrap());
    for (role, client_id, reason) in [(stranger, "not-added", "unknown_door"), (Role::Gateway, MAD, "role")] {
        issue_today(&attacked.site, &role, "it");
        let mut client = with_certificate(&attacked).await.unwrap();
        let answer = client.hello(&Connect::new(Version::V5, client_id)).await.unwrap();
        assert!(matches!(answer, Packet::ConnAck { code: 0x87, .. }), "{answer:?}");
        assert_eq!(attacked.gateway.metric(REFUSED, &[reason]).await, 1.0);
    }
    attacked.serves().await;
}

#[tokio::test]
async fn without_a_good_certificate_there_is_only_an_alert() {
    let mut attacked = Attacked::start().await;
    for (flaw, description) in [
        (Flaw::Absent, AlertDescription::CertificateRequired),
        (Flaw::Expired, AlertDescription::CertificateExpired),
        (Flaw::NotYetValid, AlertDescription::CertificateExpired),
        (Flaw::OtherSite, AlertDescription::UnknownCA),
        (Flaw::Revoked, AlertDescription::CertificateRevoked),
    ] {
        issue_with(&attacked.site, MAD, flaw, "it");
        if flaw == Flaw::Revoked {
            attacked.gateway.hang_up();
        }
        let reason = flaw.counted_as();
        // A revocation takes force within a second; until then a client is let in, and then disconnected, or it is told to
        // try again because the list changes at this moment.
        eventually(reason, async || {
            let ended = match refusal(&attacked, flaw).await {
                Ok(Packet::ConnAck { code: 0 | 0x88, .. }) if flaw == Flaw::Revoked => return false,
                Ok(answer) => panic!("{reason}: {answer:?}"),
                Err(error) => error,
            };
            assert_eq!(alert(&ended), Some(description), "{reason}: {ended}");
            true
        })
        .await;
        attacked.counted("doors_tls_failures_total", &[reason], 1.0).await;
    }
    attacked.serves().await;
}

/// How a client is turned away, in the handshake or in its first read.
async fn refusal(attacked: &Attacked, flaw: Flaw) -> std::io::Result<Packet> {
    let mut client = if flaw == Flaw::Absent {
        let roots = tls::roots(&attacked.site.ca()).unwrap();
        Client::tls(attacked.gateway.mqtt, tls::anonymous(roots).unwrap()).await?
    } else {
        with_certificate(attacked).await?
    };
    client.hello(&Connect::new(Version::V5, MAD)).await
}

/// A TLS connection with the certificate that was issued last.
async fn with_certificate(attacked: &Attacked) -> std::io::Result<Client> {
    let roots = tls::roots(&attacked.site.ca()).unwrap();
    Client::tls(attacked.gateway.mqtt, tls::client(roots, &attacked.site.beside("issued"), "it").unwrap()).await
}

async fn monitor(attacked: &Attacked, version: Version) -> Client {
    Client::connect(&attacked.site, &attacked.gateway, "monitors", &Connect::new(version, "watch")).await
}
