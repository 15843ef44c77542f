//! Scans and their answers, as a door sees them.

use crate::harness::{Acknowledged, GREEN, QoS, Reader, Site, Version};

#[tokio::test]
async fn a_scan_is_answered_and_acknowledged_in_every_version_and_quality() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut epoch = 0;
    for version in [Version::V4, Version::V5] {
        for (qos, expected) in
            [(QoS::AtLeastOnce, Acknowledged::PubAck(0)), (QoS::ExactlyOnce, Acknowledged::PubComp(0))]
        {
            let mut reader = Reader::connect(&site, &gateway, "main-in", version).await;
            epoch += 1;
            (reader.qos, reader.epoch) = (qos, epoch);
            let answer = reader.scan(1, GREEN).await;
            assert!(answer.decision.open, "{answer:?}");
            assert_eq!(answer.acknowledged, expected);
        }
    }
}
