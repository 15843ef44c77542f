//! Who may ask for what: every route with every role, and the record of who was refused.

use reqwest::Method;
use serde_json::{Value, json};

use super::answered;
use crate::harness::{Gateway, Site, eventually, lines, token_of};

/// By the names of their tokens, in this order everywhere.
const ROLES: [&str; 7] = ["viewer", "operator", "attendance", "tracer", "privacy-officer", "helper", "admin"];

/// Routes that take a token: how they stand in the audit trail, and who may ask.
const ROUTES: [(&str, &str, &str, &[&str]); 23] = [
    ("GET", "/api/v1/events?limit=5", "events", &["operator", "admin"]),
    ("GET", "/api/v1/events?person=C-0001&purpose=perkara", "events", &["operator", "admin"]),
    (
        "GET",
        "/api/v1/presence",
        "presence",
        &["viewer", "operator", "attendance", "tracer", "privacy-officer", "admin"],
    ),
    ("GET", "/api/v1/presence/people", "presence-people", &["operator", "admin"]),
    ("GET", "/api/v1/presence/people?format=html&purpose=perkara", "presence-people", &["operator", "admin"]),
    ("GET", "/api/v1/attendance?format=csv", "attendance", &["attendance", "admin"]),
    ("GET", "/api/v1/attendance?person=C-0001&purpose=perkara", "attendance", &["attendance", "admin"]),
    (
        "GET",
        "/api/v1/attendance/summary",
        "attendance-summary",
        &["viewer", "operator", "attendance", "tracer", "privacy-officer", "admin"],
    ),
    ("GET", "/api/v1/contacts?person=C-0001&purpose=perkara", "contacts", &["tracer", "admin"]),
    ("GET", "/api/v1/privacy/audit?limit=1", "privacy-audit", &["privacy-officer", "admin"]),
    ("GET", "/api/v1/privacy/retention", "privacy-retention", &["privacy-officer", "admin"]),
    ("GET", "/api/v1/privacy/people/C-0001?purpose=perkara", "privacy-people", &["privacy-officer", "admin"]),
    ("DELETE", "/api/v1/privacy/people/X-1?purpose=perkara", "privacy-people-delete", &["privacy-officer", "admin"]),
    ("PUT", "/api/v1/privacy/people/X-1/restriction", "privacy-restriction-put", &["privacy-officer", "admin"]),
    ("DELETE", "/api/v1/privacy/people/X-1/restriction", "privacy-restriction-delete", &["privacy-officer", "admin"]),
    ("GET", "/api/v1/people?limit=1", "people", &["admin"]),
    ("GET", "/api/v1/people/C-0001", "people", &["admin"]),
    ("PUT", "/api/v1/people/X-1", "people-put", &["admin"]),
    ("DELETE", "/api/v1/people/X-1", "people-delete", &["admin"]),
    ("GET", "/api/v1/policy/shadow", "shadow", &["admin"]),
    ("GET", "/api/v1/policy", "policy", &["admin"]),
    ("POST", "/api/v1/doors/main-in/assist", "assist-post", &["helper", "admin"]),
    ("POST", "/api/v1/doors/main-in/acknowledge", "acknowledge-post", &["operator", "admin"]),
];

fn body(method: &str) -> Option<Value> {
    ["PUT", "POST"].contains(&method).then(|| json!({ "nothing": "that is known" }))
}

/// A site with a token of each role.
async fn site(settings: &[(&str, &str)]) -> (Site, Gateway, Vec<(&'static str, String)>) {
    let mut site = Site::make(&["main-in"]);
    settings.iter().for_each(|(name, value)| site.set(name, value));
    let token = |role| if role == "admin" { site.token().to_owned() } else { token_of(&site, role) };
    let tokens = ROLES.map(|role| (role, token(role))).to_vec();
    let gateway = site.run().await;
    (site, gateway, tokens)
}

/// What is on the record of the token.
async fn looks(gateway: &Gateway, officer: &str, token: &str) -> Vec<Value> {
    let path = format!("/api/v1/privacy/audit?token={token}&limit=1000");
    lines(gateway.ask_as(officer, Method::GET, &path, None).await).await
}

#[tokio::test]
async fn each_role_may_do_what_it_is_for_and_every_refusal_is_on_the_record() {
    let (_site, gateway, tokens) = site(&[]).await;
    let officer = &tokens.iter().find(|(role, _)| *role == "privacy-officer").unwrap().1;
    for (role, token) in &tokens {
        let mut refused = Vec::new();
        for (method, path, what, may) in ROUTES {
            let (status, text) = answered(&gateway, token, method, path, body(method)).await;
            if may.contains(role) {
                assert!(status < 500 && ![401, 403, 405].contains(&status), "{role}: {method} {path}: {status} {text}");
            } else {
                assert_eq!(status, 403, "{role}: {method} {path}: {text}");
                assert!(text.contains("may not do this") && !text.contains("C-0001"), "{text}");
                let query = |name: &str| path.contains(&format!("{name}=")).then_some("perkara");
                let person = ["C-0001", "X-1"].into_iter().find(|person| path.contains(person));
                refused.push((what, person, query("purpose")));
            }
        }
        let looks = looks(&gateway, officer, role).await;
        let of_refused = looks.iter().filter(|look| look["status"] == 403).map(|look| {
            assert_eq!((&look["token"], &look["role"]), (&json!(role), &json!(role)), "{look}");
            (look["what"].as_str().unwrap(), look["person"].as_str(), look["purpose"].as_str())
        });
        // Whoever is not known to the site is not named.
        let expected: Vec<_> = refused
            .into_iter()
            .map(|(what, person, why)| if person == Some("X-1") { (what, None, why) } else { (what, person, why) })
            .collect();
        assert_eq!(of_refused.collect::<Vec<_>>(), expected, "{role}: {looks:#?}");
    }
    assert!(!gateway.stderr().contains("C-0001") && !gateway.stderr().contains("perkara"));
}

#[tokio::test]
async fn without_a_token_or_with_a_wrong_one_nothing_is_shown() {
    let (site, gateway, tokens) = site(&[("GAPURA_HTTP__TOKEN_DELAY_MS", "0")]).await;
    let wrong = "gapura-".to_owned() + &"a".repeat(40);
    let taken_back = &tokens[0].1;
    site.must(&["token", "revoke", "viewer"]);
    eventually("the token is not taken any more", async || {
        answered(&gateway, taken_back, "GET", "/api/v1/presence", None).await.0 == 401
    })
    .await;
    let before = gateway.metric("http_tokens_refused_total", &[]).await;
    for (method, path, ..) in ROUTES {
        for token in [&wrong, taken_back] {
            let (status, text) = answered(&gateway, token, method, path, body(method)).await;
            assert_eq!(status, 401, "{method} {path}: {text}");
        }
    }
    for path in ["/api/v1/presence/people", "/api/v1/contacts", "/api/v1/privacy/audit", "/api/v1/policy/shadow"] {
        assert_eq!(gateway.get_anonymously(path).await.status(), 401, "{path}");
    }
    let refused = gateway.metric("http_tokens_refused_total", &[]).await - before;
    assert_eq!(refused, 2.0 * ROUTES.len() as f64, "{}", gateway.metrics().await);
    // Nobody is known who could be on the record.
    assert_eq!(looks(&gateway, site.token(), "viewer").await.len(), 0);
}

#[tokio::test]
async fn the_refusal_of_a_wrong_token_is_held_back_and_holds_up_nobody() {
    let (_site, gateway, tokens) = site(&[("GAPURA_HTTP__TOKEN_DELAY_MS", "10000")]).await;
    let wrong = gateway.ask_as("no-token", Method::GET, "/api/v1/presence", None);
    let others = async {
        eventually("it is refused", async || gateway.metric("http_tokens_refused_total", &[]).await == 1.0).await;
        for (_, token) in &tokens[..5] {
            assert_eq!(answered(&gateway, token, "GET", "/api/v1/presence", None).await.0, 200);
        }
    };
    tokio::select! {
        biased;
        answer = wrong => panic!("whoever guesses waits longest, but was answered {}", answer.status()),
        () = others => {}
    }
}

#[tokio::test]
async fn no_route_that_takes_a_token_is_left_out_here() {
    let (_site, gateway, _) = site(&[]).await;
    let described: Value = gateway.get_anonymously("/api/openapi.json").await.json().await.unwrap();
    let here = |method: &str, path: &str| {
        ROUTES.iter().any(|(asked, target, ..)| {
            let target: Vec<_> = target.split(['?', '/']).collect();
            let fits = |(wanted, level): (&str, &&str)| wanted == *level || wanted.starts_with('{');
            *asked == method && path.split('/').zip(&target).all(fits) && path.split('/').count() == levels(&target)
        })
    };
    let mut routes = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["responses"].get("401").is_some() {
                assert!(here(&method.to_uppercase(), path), "{method} {path}");
                routes += 1;
            }
        }
    }
    assert!(routes > 15, "{described:#}");
}

/// How many of these are levels of a path, and not of a query.
fn levels(words: &[&str]) -> usize {
    words.iter().take_while(|word| !word.contains('=')).count()
}
