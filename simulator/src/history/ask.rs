//! Asks the gateway's ledgers, and compares what they answer.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use protocol::Instant as Moment;
use protocol::api::{AttendanceQuery, AttendanceTable, Contacts, ContactsQuery, Generations, Scope, ZonePresence};
use serde::de::DeserializeOwned;
use tokio::task::{block_in_place, spawn_blocking};
use tokio::time::{Instant, sleep};

use super::compare::attendance::TrueAttendance;
use super::compare::contacts::{self, Question, THRESHOLD_MINUTES};
use super::regency::Regency;
use super::summary::Answered;
use crate::api::{GatewayApi, Ledger, asked};

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
    let presence: ZonePresence = up_to_date(api, "/api/v1/presence").await?;
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
        let query = AttendanceQuery { from: Some(date), to: Some(date), ..AttendanceQuery::default() };
        let path = asked("/api/v1/attendance", &query)?;
        let start = Instant::now();
        let answer: AttendanceTable = up_to_date(api, &path).await?;
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
        let answer: Contacts = up_to_date(api, &asked("/api/v1/contacts", &contacts_query(regency, question))?).await?;
        answered.question_seconds += start.elapsed().as_secs_f64();
        answered.queries += 1;
        answered.contacts.answer(regency, truth, &answer.contacts);
    }
    Ok(())
}

fn contacts_query(regency: &Regency, question: &Question) -> ContactsQuery {
    ContactsQuery {
        person: regency.person_id(question.person),
        from: Moment::from_unix_ms(question.period.0),
        to: Moment::from_unix_ms(question.period.1),
        minutes: u32::try_from(THRESHOLD_MINUTES).ok(),
        scope: Some(Scope::Innermost),
        generations: Some(Generations::First),
        format: None,
        purpose: "simulation".into(),
    }
}

/// The answer of ledgers that have taken everything in.
async fn up_to_date<T: DeserializeOwned>(api: &GatewayApi, path: &str) -> Result<T> {
    let deadline = Instant::now() + CATCH_UP_TIMEOUT;
    let mut told = false;
    loop {
        let why = match api.ledger(path).await? {
            Ledger::Answer(answer, 0) => return Ok(answer),
            Ledger::Answer(_, behind) => format!("{behind} events behind"),
            Ledger::Rebuilding(words) => words,
        };
        if !told {
            eprintln!("waiting for the ledgers: {why}");
            told = true;
        }
        if Instant::now() > deadline {
            bail!("the gateway's ledgers are not up to date after {} s: {why}", CATCH_UP_TIMEOUT.as_secs());
        }
        sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::extract::{Query, State};
    use axum::http::StatusCode;
    use axum::response::{IntoResponse, Response};
    use axum::routing::get;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;
    use crate::history::fault_rates::FaultRates;
    use crate::history::testing::regency;

    type Asked = HashMap<String, String>;

    /// Ledgers that are rebuilt at first, then behind, and then answer what is true.
    struct Ledgers {
        regency: Regency,
        looks: AtomicU32,
        asked: Mutex<Vec<Asked>>,
    }

    impl Ledgers {
        fn answer(&self, asked: Asked, body: Value) -> Response {
            self.asked.lock().unwrap().push(asked);
            match self.looks.fetch_add(1, Ordering::Relaxed) {
                0 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")], "{}").into_response(),
                1 => ([("gapura-behind", "7"), ("gapura-through", "3")], body.to_string()).into_response(),
                _ => ([("gapura-behind", "0"), ("gapura-through", "10")], body.to_string()).into_response(),
            }
        }

        fn attendance(&self, asked: &Asked) -> Value {
            let date = asked["from"].parse().unwrap();
            let day = self.regency.month.day(date).unwrap();
            let rows: Vec<Value> = TrueAttendance::of(&self.regency)
                .day(day)
                .map(|(person, truth)| {
                    let at = |ms| Moment::from_unix_ms(ms).to_string();
                    json!({
                        "person": self.regency.person_id(person), "name": "Contoh", "day": date, "late_scan": true,
                        "first_in": at(truth.first_in.at_ms), "last_out": at(truth.last_out.at_ms), "sessions": [],
                        "worked_minutes": truth.known_minutes, "missing_exit": false, "missing_entry": false,
                        "worked_minutes_by_rule": 0, "closed_by_rule": false, "doubtful_clock": false,
                    })
                })
                .collect();
            json!({ "from": date, "to": date, "rows": rows })
        }

        fn contacts(&self, asked: &Asked) -> Value {
            let person = self.regency.person(&asked["person"]).unwrap();
            let ms = |field: &str| asked[field].parse::<Moment>().unwrap().unix_ms();
            let question = Question { person, period: (ms("from"), ms("to")) };
            let truth = contacts::truth(&self.regency, &[question]);
            let met = truth[0].iter().filter(|(_, together)| together.most_ms >= 15 * 60_000);
            let row = |(person, together): (&u32, &contacts::Together)| {
                let minutes = together.most_ms / 60_000;
                let id = self.regency.person_id(*person);
                json!({
                    "generation": 1, "of": asked["person"], "person": id, "grade": "certain", "minutes_min": minutes,
                    "minutes_max": minutes, "reached_at": asked["from"], "encounters": [],
                })
            };
            let contacts: Vec<Value> = met.map(row).collect();
            json!({
                "person": asked["person"], "from": asked["from"], "to": asked["to"], "minutes": 15, "contacts": contacts,
            })
        }
    }

    async fn serve(ledgers: Arc<Ledgers>) -> GatewayApi {
        type Shared = State<Arc<Ledgers>>;
        let presence = |State(ledgers): Shared, Query(asked): Query<Asked>| async move {
            ledgers.answer(
                asked,
                json!({ "at": "2026-11-25T00:00:00Z", "zones": [{ "zone": "complex", "people": 0, "weak": 2 }] }),
            )
        };
        let attendance = |State(ledgers): Shared, Query(asked): Query<Asked>| async move {
            let rows = ledgers.attendance(&asked);
            ledgers.answer(asked, rows)
        };
        let contacts = |State(ledgers): Shared, Query(asked): Query<Asked>| async move {
            let rows = ledgers.contacts(&asked);
            ledgers.answer(asked, rows)
        };
        let routes = Router::new()
            .route("/api/v1/presence", get(presence))
            .route("/api/v1/attendance", get(attendance))
            .route("/api/v1/contacts", get(contacts))
            .with_state(ledgers);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        GatewayApi::new(&format!("http://{address}"), Some("token"), None).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn everything_is_asked_once_the_ledgers_are_up_to_date() {
        let regency = Regency { slips: FaultRates::NONE, ..regency(60, 5, 3) };
        let (looks, asked) = (AtomicU32::new(0), Mutex::default());
        let ledgers = Arc::new(Ledgers { regency: regency.clone(), looks, asked });
        let api = serve(ledgers.clone()).await;
        let answered = ask(&api, &regency, 4).await.unwrap();
        assert_eq!((answered.queries, answered.still_inside), (4, 2));
        assert!(answered.attendance.rows > 50 && answered.attendance.mismatched() == 0);
        assert_eq!(answered.contacts.certain.said, answered.contacts.certain.right);
        assert_eq!(answered.contacts.bounds_violations(), 0);
        let asked = ledgers.asked.lock().unwrap();
        // The presence three times, three days, four people.
        assert_eq!(asked.len(), 10);
        assert_eq!(asked[9]["purpose"], "simulation");
        assert_eq!((asked[9]["from"].as_str(), asked[9]["minutes"].as_str()), ("2026-09-30T16:00:00.000Z", "15"));
    }
}
