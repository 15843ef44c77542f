//! Asks the gateway's ledgers, and compares what they answer.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use protocol::Instant as Moment;
use serde::de::DeserializeOwned;
use tokio::task::{block_in_place, spawn_blocking};
use tokio::time::{Instant, sleep};

use super::answers::{AttendanceAnswer, ContactsAnswer, PresenceAnswer};
use super::compare::attendance::TrueAttendance;
use super::compare::contacts::{self, Question, THRESHOLD_MINUTES};
use super::regency::Regency;
use super::summary::Answered;
use crate::api::{GatewayApi, Ledger};

/// How long the ledgers may take to take the month in.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Asks everything once the ledgers have taken all scans in.
///
/// # Errors
/// When the gateway does not answer as expected, or its ledgers stay behind.
pub async fn ask(api: &GatewayApi, regency: &Regency, queries: u32) -> Result<Answered> {
    let mut answered = Answered::default();
    let start = Instant::now();
    let presence: PresenceAnswer = up_to_date(api, "/api/v1/presence").await?;
    answered.still_inside = presence.zones.iter().map(|zone| zone.people + zone.weak).max().unwrap_or(0);
    answered.catch_up_seconds = start.elapsed().as_secs_f64();
    eprintln!("asking who came when");
    attendance(api, regency, &mut answered).await?;
    eprintln!("asking who met whom");
    contacts_of_some(api, regency, queries, &mut answered).await?;
    Ok(answered)
}

async fn attendance(api: &GatewayApi, regency: &Regency, answered: &mut Answered) -> Result<()> {
    let known = regency.clone();
    let truth = spawn_blocking(move || TrueAttendance::of(&known)).await?;
    for day in 0..regency.month.len() {
        let date = regency.month.date(day).context("a day without a date")?;
        let path = format!("/api/v1/attendance?from={date}&to={date}&format=json");
        let start = Instant::now();
        let answer: AttendanceAnswer = up_to_date(api, &path).await?;
        answered.question_seconds += start.elapsed().as_secs_f64();
        block_in_place(|| answered.attendance.day(regency, &truth, day, &answer.rows));
    }
    Ok(())
}

async fn contacts_of_some(api: &GatewayApi, regency: &Regency, queries: u32, answered: &mut Answered) -> Result<()> {
    let known = regency.clone();
    let (questions, truth) = spawn_blocking(move || {
        let questions = contacts::questions(&known, queries);
        let truth = contacts::truth(&known, &questions);
        (questions, truth)
    })
    .await?;
    for (question, truth) in questions.iter().zip(&truth) {
        let start = Instant::now();
        let answer: ContactsAnswer = up_to_date(api, &contacts_path(regency, question)).await?;
        answered.question_seconds += start.elapsed().as_secs_f64();
        answered.queries += 1;
        answered.contacts.answer(regency, truth, &answer.contacts);
    }
    Ok(())
}

fn contacts_path(regency: &Regency, question: &Question) -> String {
    let (from, to) = (Moment::from_unix_ms(question.period.0), Moment::from_unix_ms(question.period.1));
    let person = regency.person_id(question.person);
    format!(
        "/api/v1/contacts?person={person}&from={from}&to={to}&minutes={THRESHOLD_MINUTES}&scope=innermost\
         &generations=1&format=json&purpose=simulation"
    )
}

/// The answer of ledgers that have taken everything in.
async fn up_to_date<T: DeserializeOwned>(api: &GatewayApi, path: &str) -> Result<T> {
    let deadline = Instant::now() + CATCH_UP_TIMEOUT;
    loop {
        let why = match api.ledger(path).await? {
            Ledger::Answer(answer, 0) => return Ok(answer),
            Ledger::Answer(_, behind) => format!("{behind} events behind"),
            Ledger::Rebuilding(words) => words,
        };
        if Instant::now() > deadline {
            bail!("the gateway's ledgers are not up to date after {} s: {why}", CATCH_UP_TIMEOUT.as_secs());
        }
        sleep(LOOK_EVERY).await;
    }
}
