//! What a helper's device may publish and hear, and how its request reaches the door.

use protocol::{Assist, AssistAction, Decision, Event, Outcome, Via};

use super::*;

const QUOTA_EXCEEDED: u8 = 0x97;

fn admit(id: Option<ScanId>) -> Vec<u8> {
    Assist::new(AssistAction::Admit, "Contoh Satgas", "known by sight", None, id).unwrap().to_json()
}

fn decision() -> Decision {
    let event = Event { number: 9, ..base::testing::event(4) };
    Decision::of(&event).unwrap()
}

async fn assisted(arrival: &Arrival, for_door: bool) {
    let (ticket, door, decision) = (arrival.reply.ticket, arrival.door.clone(), Box::new(decision()));
    arrival.reply.answers.send(Answer::Assisted { ticket, door, decision, for_door }).await.unwrap();
}

fn refused(gateway: &Gateway, reason: &'static str) -> u64 {
    gateway.metrics.assists_refused.get_or_create(&ReasonLabel { reason }).get()
}

#[tokio::test]
async fn each_role_may_say_and_hear_what_the_table_says() {
    let gateway = Gateway::start().await;
    // (topic, what it carries, may: door a, monitor, helper)
    let topics = [
        ("gapura/v1/regency/a/assist", admit(None), [false, false, true]),
        ("gapura/v1/regency/b/assist", admit(None), [false, false, true]),
        ("gapura/v1/regency/stranger/assist", admit(None), [false, false, false]),
        ("gapura/v1/elsewhere/a/assist", admit(None), [false, false, false]),
        ("gapura/v1/regency/a/assist/more", admit(None), [false, false, false]),
        ("gapura/v1/regency/a/scan", scan(1), [true, false, false]),
        ("gapura/v1/regency/a/decision", scan(1), [false, false, false]),
        ("gapura/v1/regency/a/config", scan(1), [false, false, false]),
        ("gapura/v1/regency/helper-1/assist", admit(None), [false, false, false]),
    ];
    for (column, client_id) in ["a", "monitor-1", "helper-1"].into_iter().enumerate() {
        let mut gateway = Gateway::start().await;
        let mut client = gateway.v5(client_id, &[]).await;
        for (topic, payload, may) in &topics {
            client.send(&publish(5, topic, 1, 6, &[], payload)).await;
            if may[column] {
                let arrival = gateway.arrival().await;
                let answer =
                    if matches!(arrival.payload, Payload::Assist(_)) { assisted(&arrival, false) } else { continue };
                answer.await;
                assert_eq!(client.packet().await, (0x40, vec![0, 6]), "{client_id} {topic}");
            } else {
                assert_eq!(client.packet().await, (0x40, vec![0, 6, 0x87]), "{client_id} {topic}");
            }
        }
    }
    let filters = [
        ("gapura/v1/regency/+/decision", [false, true, true]),
        ("gapura/v1/regency/a/decision", [true, true, true]),
        ("gapura/v1/regency/+/assist", [false, false, false]),
        ("gapura/v1/regency/a/assist", [true, false, false]),
        ("gapura/v1/regency/#", [false, false, false]),
        ("gapura/v1/regency/helper-1/config", [false, false, false]),
        // Last: what is retained follows.
        ("gapura/v1/regency/+/status", [false, true, false]),
    ];
    for (column, client_id) in ["a", "monitor-1", "helper-1"].into_iter().enumerate() {
        let mut client = gateway.v5(client_id, &[]).await;
        for (filter, may) in &filters {
            let code = client.subscribe(5, filter, 1).await;
            assert_eq!(code, if may[column] { 1 } else { 0x87 }, "{client_id} {filter}");
        }
        // A helper is no monitor.
        let monitors = u64::from(client_id == "monitor-1");
        eventually("monitors are counted", || gateway.registry.monitors_connected() == monitors).await;
    }
}

#[tokio::test]
async fn the_door_hears_a_request_only_when_it_is_kept_and_then_the_helper() {
    let mut gateway = Gateway::start().await;
    let (mut door, mut helper) = (gateway.v3("a").await, gateway.v5("helper-1", &[]).await);
    assert_eq!(door.subscribe(3, &(prefix("a") + "decision"), 1).await, 1);
    let id = ScanId { epoch: 1, seq: 4 };
    helper.send(&publish(5, &(prefix("a") + "assist"), 1, 6, &[], &admit(Some(id)))).await;
    let arrival = gateway.arrival().await;
    let Payload::Assist(request) = &arrival.payload else { panic!("a request must arrive") };
    assert_eq!((arrival.door.as_str(), request.device.as_str(), request.via), ("a", "helper-1", Via::Mqtt));
    assert_eq!((request.assist.scan(), arrival.scan_id()), (Some(id), None));
    // The same packet again, while it waits: no second request.
    helper.send(&publish(5, &(prefix("a") + "assist"), 1, 6, &[], &admit(Some(id)))).await;
    // Held is not kept.
    unavailable(&arrival).await;
    eventually("it is counted", || refused(&gateway, "unavailable") == 1).await;
    helper.is_quiet().await;
    door.is_quiet().await;
    assert!(gateway.arrivals.is_empty());

    assisted(&arrival, true).await;
    assert_eq!(helper.packet().await, (0x40, vec![0, 6]));
    let (topic, _, _, payload) = published(3, &door.packet().await);
    assert_eq!(topic, prefix("a") + "decision");
    let heard = Decision::from_json(&payload).unwrap();
    assert_eq!((heard.outcome, heard.open, heard.id()), (Outcome::Granted, true, Some(id)));

    // One that says nothing to the door: a request that came too late.
    helper.send(&publish(5, &(prefix("a") + "assist"), 1, 7, &[], &admit(None))).await;
    assisted(&gateway.arrival().await, false).await;
    assert_eq!(helper.packet().await, (0x40, vec![0, 7]));
    door.is_quiet().await;
}

#[tokio::test]
async fn a_request_that_finds_the_queue_full_is_handed_in_again() {
    let mut gateway = Gateway::with_queue(1, |_| {}).await;
    let mut helper = gateway.v5("helper-1", &[]).await;
    for pkid in [1, 2] {
        helper.send(&publish(5, &(prefix("a") + "assist"), 1, pkid, &[], &admit(None))).await;
    }
    helper.is_quiet().await;
    for pkid in [1, 2] {
        assisted(&gateway.arrival().await, false).await;
        assert_eq!(helper.packet().await, (0x40, vec![0, pkid]));
    }
}

#[tokio::test]
async fn words_that_are_no_requests_or_too_many_are_counted_and_not_kept() {
    let mut gateway = Gateway::start().await;
    let topic = prefix("a") + "assist";
    let mut helper = gateway.v5("helper-1", &[]).await;
    helper.send(&publish(5, &topic, 1, 1, &[], b"nonsense")).await;
    assert_eq!(helper.packet().await, (0x40, vec![0, 1, 0x99]));
    helper.send(&publish(5, &topic, 2, 2, &[], &admit(None))).await;
    assert_eq!(helper.packet().await, (0x50, vec![0, 2, 0x83]));
    for pkid in 0..7 {
        helper.send(&publish(5, &topic, 1, 10 + pkid, &[], &admit(None))).await;
        if u32::from(pkid) < ASSISTS_PER_MINUTE_MAX {
            assisted(&gateway.arrival().await, false).await;
            assert_eq!(helper.packet().await, (0x40, vec![0, 10 + u8::try_from(pkid).unwrap()]));
        } else {
            assert_eq!(helper.packet().await, (0x40, vec![0, 10 + u8::try_from(pkid).unwrap(), QUOTA_EXCEEDED]));
        }
    }
    // A new connection does not make room, and 3.1.1 has no request for it but silence.
    let mut helper = gateway.v3("helper-1").await;
    helper.send(&publish(3, &topic, 1, 1, &[], &admit(None))).await;
    helper.is_quiet().await;
    assert!(gateway.arrivals.is_empty());
    let counts = ["payload", "qos", "rate"].map(|reason| refused(&gateway, reason));
    assert_eq!(counts, [1, 1, 3]);
}

#[tokio::test]
async fn a_request_over_http_is_answered_with_whether_the_door_was_told() {
    let mut gateway = Gateway::start().await;
    let token: DoorId = "lobby".parse().unwrap();
    let assist = Assist::from_json(&admit(None)).unwrap();
    let asked = |gateway: &Gateway, door: &str| {
        let (assists, door, assist, token) =
            (Arc::clone(&gateway.assists), door.parse().unwrap(), assist.clone(), token.clone());
        tokio::spawn(async move { assists.submit(door, assist, token).await })
    };
    // The door is away.
    let submitting = asked(&gateway, "a");
    let arrival = gateway.arrival().await;
    let Payload::Assist(request) = &arrival.payload else { panic!("a request must arrive") };
    assert_eq!((request.device.as_str(), request.via), ("lobby", Via::Http));
    assisted(&arrival, true).await;
    let outcome = submitting.await.unwrap().unwrap();
    assert_eq!((outcome.decision.event, outcome.door_told), (Some(9), false));
    // It is there.
    let mut door = gateway.v3("a").await;
    assert_eq!(door.subscribe(3, &(prefix("a") + "decision"), 1).await, 1);
    let submitting = asked(&gateway, "a");
    assisted(&gateway.arrival().await, true).await;
    assert!(submitting.await.unwrap().unwrap().door_told);
    assert_eq!(door.packet().await.0 & 0xF0, 0x30);
    // The log does not work: nobody waits any more, and nothing opens.
    let submitting = asked(&gateway, "a");
    let arrival = gateway.arrival().await;
    unavailable(&arrival).await;
    assert_eq!(submitting.await.unwrap().unwrap_err(), AssistError::Unavailable);
    assert!(arrival.reply.answers.is_closed());
    door.is_quiet().await;

    assert_eq!(asked(&gateway, "stranger").await.unwrap().unwrap_err(), AssistError::UnknownDoor);
    for _ in 3..ASSISTS_PER_MINUTE_MAX {
        let submitting = asked(&gateway, "a");
        assisted(&gateway.arrival().await, false).await;
        submitting.await.unwrap().unwrap();
    }
    let refusal = asked(&gateway, "a").await.unwrap().unwrap_err();
    assert!(
        matches!(refusal, AssistError::TooMany { retry_after } if retry_after <= Duration::from_secs(60)),
        "{refusal:?}"
    );
    assert_eq!(["unavailable", "unknown_door", "rate"].map(|reason| refused(&gateway, reason)), [1, 1, 1]);
}

#[tokio::test]
async fn a_helper_is_who_its_certificate_says() {
    let mut gateway = Gateway::start().await;
    let leaf = gateway.ca.leaf("urn:gapura:regency:helper:satgas", 7);
    let mut client = gateway.ca.dial(gateway.tls, Some(&leaf)).await.unwrap();
    client.send(&connect_v5("satgas", 2, 60, &[], &[])).await;
    assert_eq!(client.packet().await.1[1], 0);
    client.send(&publish(5, &(prefix("b") + "assist"), 1, 5, &[], &admit(None))).await;
    let arrival = gateway.arrival().await;
    let Payload::Assist(request) = &arrival.payload else { panic!("a request must arrive") };
    assert_eq!((arrival.door.as_str(), request.device.as_str()), ("b", "satgas"));
    assisted(&arrival, false).await;
    assert_eq!(client.packet().await, (0x40, vec![0, 5]));
    assert_eq!(gateway.registry.drop_sessions(|identity| identity.serial == [7]), 1);
    assert_eq!(client.packet().await, (0xE0, vec![0x98]));
}
