//! People over HTTP: what is answered is in force for the next scan.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::harness::{Gateway, Reader, Site, Version};

const BADGE: &str = "CONTOH-BADGE-VISIT";

async fn ask(gateway: &Gateway, method: Method, id: &str, person: Option<Value>) -> Response {
    gateway.ask(method, &format!("/api/v1/people/{id}"), person).await
}

#[tokio::test]
async fn somebody_who_is_put_in_may_enter_at_once_and_who_is_taken_out_may_not() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    assert_eq!(reader.scan(1, BADGE).await.decision.reason, "unknown-credential");

    let staff =
        json!({ "class": "asn", "status": "green", "name": "Contoh Tamu", "badges": [BADGE], "language": "en" });
    let put = ask(&gateway, Method::PUT, "C-5001", Some(staff)).await;
    assert_eq!(put.status(), 201);
    let kept: Value = serde_json::from_str(&put.text().await.unwrap()).unwrap();
    assert_eq!((&kept["id"], &kept["badges"]), (&"C-5001".into(), &Value::Null));
    let decision = reader.scan(2, BADGE).await.decision;
    assert!(decision.open && decision.language == Some(protocol::Language::En));

    let over = json!({ "class": "visitor", "status": "green", "badges": [BADGE], "valid_until": "2020-12-31" });
    assert_eq!(ask(&gateway, Method::PUT, "C-5001", Some(over)).await.status(), 200);
    let reason = reader.scan(3, BADGE).await.decision.reason;
    assert_eq!(reason, "visit-over");

    let taken = json!({ "class": "asn", "badges": [BADGE] });
    let refused = ask(&gateway, Method::PUT, "C-5002", Some(taken)).await;
    assert_eq!(refused.status(), 409);
    let refused = refused.text().await.unwrap();
    assert!(refused.contains("badges") && !refused.contains(BADGE), "{refused}");
    let refused = ask(&gateway, Method::PUT, "C-5002", Some(json!({ "class": "asn", BADGE: "red" }))).await;
    assert_eq!(refused.status(), 400);
    let refused = refused.text().await.unwrap();
    assert!(!refused.contains(BADGE), "{refused}");
    let other = json!({ "class": "asn", "id": "C-5009" });
    assert_eq!(ask(&gateway, Method::PUT, "C-5002", Some(other)).await.status(), 400);
    assert_eq!(ask(&gateway, Method::PUT, "no%20id", Some(json!({ "class": "asn" }))).await.status(), 400);

    // An import and a change over HTTP right after it do not undo each other.
    site.import("C-5003,Contoh Baru,asn,Dinas Contoh,CONTOH-BADGE-IMPORTED,green,\n");
    assert_eq!(ask(&gateway, Method::DELETE, "C-5001", None).await.status(), 204);
    assert_eq!(reader.scan(4, BADGE).await.decision.reason, "unknown-credential");
    assert!(reader.scan(5, "CONTOH-BADGE-IMPORTED").await.decision.open);
    assert_eq!(ask(&gateway, Method::GET, "C-5001", None).await.status(), 404);
    let list = gateway.get("/api/v1/people?after=C-5000&limit=1").await;
    assert_eq!(list.headers()["gapura-last-person"], "C-5003");

    let told = format!("{}{}", gateway.stderr(), gateway.metrics().await);
    assert!(!told.contains(BADGE) && !told.contains("Contoh") && !told.contains("C-5001"), "{told}");
}
