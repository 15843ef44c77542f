//! Presence, attendance and contacts, search and privacy: to whom they tell what, and that they forget what they should.

mod commands;
mod cut_off;
mod erasure;
mod kills;
mod past;
mod rebuilding;
mod restriction;
mod retention;
mod roles;
mod upstream;

use reqwest::Method;
use serde_json::Value;

use crate::harness::{Gateway, eventually};

/// Waits until the ledgers have all of the log, and gives the administrator's answer.
async fn told(gateway: &Gateway, path: &str) -> Value {
    let mut told = Value::Null;
    eventually(path, async || {
        let answer = gateway.get(path).await;
        let (status, behind) = (answer.status().as_u16(), answer.headers().get("gapura-behind").cloned());
        let text = answer.text().await.unwrap();
        assert!([200, 503].contains(&status), "{path}: {status} {text}");
        told = serde_json::from_str(&text).unwrap_or_default();
        status == 200 && behind.is_some_and(|behind| behind == "0")
    })
    .await;
    told
}

/// The status of what it answers to a request with this token, and its text.
async fn answered(gateway: &Gateway, token: &str, method: &str, path: &str, json: Option<Value>) -> (u16, String) {
    let method: Method = method.parse().unwrap();
    let answer = gateway.ask_as(token, method, path, json).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The ids in `rows`, in order.
fn people(rows: &Value) -> Vec<&str> {
    rows.as_array().unwrap().iter().map(|row| row["person"].as_str().unwrap()).collect()
}
