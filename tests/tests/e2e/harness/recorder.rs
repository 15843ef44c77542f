//! A head office that keeps the text of everything that is posted to it, and answers as it is told.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::eventually;
use super::site::Site;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Takes everything.
    Takes,
    /// Reads everything, and acknowledges nothing.
    Withholds,
    /// Refuses each event for good, and repeats it in the refusal.
    RefusesAndRepeats,
}

/// A head office on loopback, without TLS. Dropped, it is gone.
#[derive(Debug)]
pub struct Recorder {
    address: SocketAddr,
    desk: Arc<Mutex<Desk>>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Desk {
    manner: Manner,
    posts: Vec<String>,
}

impl Recorder {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Arc::new(Mutex::new(Desk { manner, posts: Vec::new() }));
        let router = Router::new().fallback(post).with_state(Arc::clone(&desk));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, desk, task }
    }

    /// Has the site forward to it, `batch` events at a time.
    pub fn of(&self, site: &Site, batch: usize) {
        site.configure(&format!(
            "[upstream]\nurl = \"http://{}/events\"\nbatch_events_max = {batch}\nbackoff_ms_min = 10\nbackoff_ms_max = 100",
            self.address
        ));
    }

    /// From now on it answers so.
    pub fn set(&self, manner: Manner) {
        self.desk.lock().unwrap().manner = manner;
    }

    /// How many batches have come.
    pub fn posts(&self) -> usize {
        self.desk.lock().unwrap().posts.len()
    }

    /// Everything that has come after the first `skip` batches, as text.
    pub fn text(&self, skip: usize) -> String {
        self.desk.lock().unwrap().posts[skip..].join("\n")
    }

    /// The events that have come after the first `skip` batches, whose type begins so.
    pub fn events(&self, skip: usize, kind: &str) -> Vec<Value> {
        let posts = self.desk.lock().unwrap().posts[skip..].to_vec();
        let events = posts.iter().flat_map(|post| serde_json::from_str::<Vec<Value>>(post).unwrap());
        events.filter(|event| event["type"].as_str().unwrap().starts_with(kind)).collect()
    }

    /// Waits until what has come satisfies `condition`.
    pub async fn when(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        eventually(what, async || condition(self)).await;
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn post(State(desk): State<Arc<Mutex<Desk>>>, body: Bytes) -> (StatusCode, String) {
    let mut text = String::new();
    GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
    let events: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut desk = desk.lock().unwrap();
    desk.posts.push(text.clone());
    match desk.manner {
        Manner::Withholds => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
        // The beginning of an answer is all that may be kept of it: so what tells of somebody comes first.
        Manner::RefusesAndRepeats => {
            let told = events.iter().map(|event| &event["data"]["verdict"]["person"]).collect::<Vec<_>>();
            (StatusCode::UNPROCESSABLE_ENTITY, format!("refused: {told:?} {text}"))
        }
        Manner::Takes => {
            // Working days have no numbers.
            let last = events.iter().filter_map(|event| event["id"].as_str()?.parse::<u64>().ok()).max().unwrap_or(0);
            (StatusCode::OK, json!({ "acked_through": last }).to_string())
        }
    }
}
