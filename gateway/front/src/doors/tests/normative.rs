//! One exchange of bytes for each normative statement of MQTT that a server can break: how such cases are written and run.

use std::collections::BTreeSet;

use super::*;

/// One exchange, and the statements that it proves, as the standard numbers them.
pub(super) struct Case {
    pub(super) statements: &'static str,
    pub(super) steps: Vec<Step>,
}

/// What happens next in an exchange.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A new connection, which the steps after it are about.
    Dial,
    /// Back to an earlier connection, numbered from 0 in the order in which they were made.
    Use(usize),
    Send(Vec<u8>),
    /// A packet comes that is exactly this.
    Get(Vec<u8>),
    /// A packet comes that begins so; its length is left out.
    Begins(u8, Vec<u8>),
    /// A packet comes that begins so and has this in it.
    Holds(u8, Vec<u8>),
    /// What was received so far is all.
    Quiet,
    /// The server ends the connection.
    Ends,
    /// The client cuts it.
    Cut,
    /// A scan arrives at the spine, and is kept.
    Keep,
    /// The door counts as not connected.
    Away,
}

pub(super) fn case(statements: &'static str, steps: impl IntoIterator<Item = Step>) -> Case {
    Case { statements, steps: steps.into_iter().collect() }
}

/// Runs every case against a gateway of its own, and says which failed.
pub(super) async fn run(cases: Vec<Case>) {
    let mut failed = Vec::new();
    for Case { statements, steps } in cases {
        let mut gateway = Gateway::with(|config| config.keep_alive_s_max = 43_200).await;
        let (mut clients, mut used) = (Vec::new(), 0);
        for (at, step) in steps.into_iter().enumerate() {
            let told = format!("{statements}: step {at}, {step:?}");
            if let Step::Dial = step {
                clients.push(gateway.dial().await);
                used = clients.len() - 1;
            } else if let Step::Use(number) = step {
                used = number;
            } else if let Err(got) = perform(&mut gateway, &mut clients, used, step).await {
                failed.push(format!("{told}: {got}"));
                break;
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

async fn perform(gateway: &mut Gateway, clients: &mut [Client], used: usize, step: Step) -> Result<(), String> {
    let client = &mut clients[used];
    let check = |holds: bool, got: &dyn std::fmt::Debug| if holds { Ok(()) } else { Err(format!("{got:02x?}")) };
    match step {
        // Said which client the next steps are about.
        Step::Dial | Step::Use(_) => Ok(()),
        Step::Send(bytes) => client.socket.write_all(&bytes).await.map_err(|error| error.to_string()),
        Step::Get(expected) => {
            let got = client.next().await.map(|(head, body)| packet(head, &body));
            check(got.as_ref() == Some(&expected), &got)
        }
        Step::Begins(head, start) => {
            let got = client.next().await;
            check(got.as_ref().is_some_and(|got| got.0 == head && got.1.starts_with(&start)), &got)
        }
        Step::Holds(head, part) => {
            let got = client.next().await;
            let holds = |body: &[u8]| part.is_empty() || body.windows(part.len()).any(|window| window == part);
            check(got.as_ref().is_some_and(|got| got.0 == head && holds(&got.1)), &got)
        }
        Step::Quiet => {
            client.socket.write_all(&[0xC0, 0]).await.map_err(|error| error.to_string())?;
            let got = client.next().await;
            check(got == Some((0xD0, vec![])), &got)
        }
        Step::Ends => {
            let got = client.next().await;
            check(got.is_none(), &got)
        }
        Step::Cut => {
            let (end, _) = tokio::io::duplex(1);
            client.socket = Box::new(end);
            Ok(())
        }
        Step::Keep => {
            gateway.keep().await;
            Ok(())
        }
        Step::Away => {
            let doors = || gateway.registry.doors();
            eventually("the door is away", || doors().iter().all(|presence| !presence.connected)).await;
            Ok(())
        }
    }
}

/// The statements of a standard, from the sections that have some and how many each has.
pub(super) fn all(sections: &[(&str, u32)]) -> BTreeSet<String> {
    sections.iter().flat_map(|(section, count)| (1..=*count).map(move |number| format!("{section}-{number}"))).collect()
}

/// Makes sure that every statement is either tested or excepted with a reason, and none both.
pub(super) fn assert_complete(all: &BTreeSet<String>, cases: &[Case], exceptions: &[(&str, &str)]) {
    let tested: BTreeSet<_> =
        cases.iter().flat_map(|case| case.statements.split_whitespace()).map(str::to_owned).collect();
    let words = |list: &str| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let excepted: BTreeSet<_> = exceptions.iter().flat_map(|(list, _)| words(list)).collect();
    assert!(exceptions.iter().all(|(_, reason)| !reason.is_empty()));
    let both: Vec<_> = tested.intersection(&excepted).collect();
    assert!(both.is_empty(), "both tested and excepted: {both:?}");
    let covered: BTreeSet<_> = tested.union(&excepted).cloned().collect();
    let missing: Vec<_> = all.difference(&covered).collect();
    let unknown: Vec<_> = covered.difference(all).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:?}, unknown: {unknown:?}");
}

/// Steps one after the other.
pub(super) fn join(parts: impl IntoIterator<Item = Vec<Step>>) -> Vec<Step> {
    parts.into_iter().flatten().collect()
}

pub(super) fn door_status() -> Vec<u8> {
    protocol::DoorStatus::new(protocol::DoorState::Degraded, None).to_json()
}
