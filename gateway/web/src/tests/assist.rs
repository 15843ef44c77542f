//! Tokens and their roles, request bodies, and assist requests.

use std::sync::Mutex;

use protocol::Decision;
use protocol::api::AssistOutcome;
use protocol::assist::ASSIST_BYTES_MAX;

use super::super::AssistSubmission;
use super::*;

const WORD: &str = r#"{"v":1,"action":"admit","helper":"Contoh Satgas","reason":"forgot the badge"}"#;

type Heard = Arc<Mutex<Vec<AssistSubmission>>>;

/// A site whose gateway decides every assist request.
async fn listening(config: Config) -> (Site, Heard) {
    let heard = Heard::default();
    let hears = Arc::clone(&heard);
    let site = Site::with(config, |sources| {
        sources.assist = Arc::new(move |submission| {
            hears.lock().unwrap().push(submission);
            let decision = Decision::of(&event(7)).unwrap();
            Box::pin(async { Ok(AssistOutcome { decision, door_told: true }) })
        });
    })
    .await;
    (site, heard)
}

fn quick() -> Config {
    Config { token_delay_ms: 0, ..Config::default() }
}

fn request(door: &str, token: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /api/v1/doors/{door}/assist HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    )
}

impl Site {
    async fn say(&self, door: &str, token: &str, body: &str) -> Reply {
        self.send(&request(door, token, "Content-Type: application/json\r\n", body)).await
    }
}

#[tokio::test]
async fn a_helpers_word_is_passed_on_and_answered_with_its_decision() {
    let (site, heard) = listening(quick()).await;
    let reply = site.say("main-in", HELPER_OF_MAIN_IN, WORD).await;
    assert_eq!((reply.code, reply.header("content-type")), (200, "application/json"));
    let json = reply.json();
    assert_eq!((&json["open"], &json["event"], &json["door_told"]), (&true.into(), &7.into(), &true.into()));
    let heard = heard.lock().unwrap();
    assert_eq!((heard[0].door.as_str(), heard[0].token.as_str()), ("main-in", "at-main-in"));
    assert_eq!(heard[0].assist.helper, "Contoh Satgas");
}

#[tokio::test]
async fn each_role_may_do_what_the_table_says_and_no_more() {
    let (site, heard) = listening(quick()).await;
    let mut forbidden = 0.0;
    for (token, events, at_main_in, at_main_out) in [
        (TOKEN, 200, 200, 200),
        (HELPER, 403, 200, 200),
        (HELPER_OF_MAIN_IN, 403, 200, 403),
        (ENDED, 401, 401, 401),
        ("a-guess", 401, 401, 401),
    ] {
        let look = site.get_with("/api/v1/events", &format!("Authorization: Bearer {token}\r\n")).await;
        let (here, there) = (site.say("main-in", token, WORD).await, site.say("main-out", token, WORD).await);
        assert_eq!([look.code, here.code, there.code], [events, at_main_in, at_main_out], "{token}");
        for reply in [look, here, there].iter().filter(|reply| reply.code != 200) {
            let (name, detail) = reply.problem();
            let expected = match token {
                ENDED => "token-ended",
                "a-guess" => "token-wrong",
                _ => "forbidden",
            };
            assert_eq!((name.as_str(), detail.contains(token)), (expected, false));
            assert!(!reply.header("www-authenticate").is_empty());
            forbidden += f64::from(u8::from(reply.code == 403));
        }
    }
    let count = |route: &str| site.figure(&format!("gapura_http_tokens_forbidden_total{{route=\"{route}\"}}"));
    assert_eq!((count("events"), count("assist"), forbidden), (2.0, 1.0, 3.0));
    assert_eq!(site.figure("gapura_http_tokens_refused_total"), 6.0);
    assert_eq!(heard.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn a_token_that_is_taken_out_is_refused_at_once() {
    let tokens = Arc::new(ArcSwap::from_pointee(tokens()));
    let in_force = Arc::clone(&tokens);
    let site = Site::with(quick(), |sources| sources.tokens = in_force).await;
    let headers = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(site.get_with("/api/v1/events", &headers).await.code, 200);
    tokens.store(Arc::new(Tokens::default()));
    assert_eq!(site.get_with("/api/v1/events", &headers).await.code, 401);
}

#[tokio::test]
async fn a_body_must_be_json_and_of_bounded_size() {
    let (site, heard) = listening(Config { body_timeout_ms: 100, ..quick() }).await;
    for headers in ["", "Content-Type: text/plain\r\n", "Content-Type: application/jsonx\r\n"] {
        let reply = site.send(&request("main-in", HELPER, headers, WORD)).await;
        assert_eq!((reply.code, reply.problem().0.as_str()), (415, "not-json"), "{headers}");
    }
    let reply = site.send(&request("main-in", HELPER, "content-type: Application/JSON; charset=utf-8\r\n", WORD)).await;
    assert_eq!(reply.code, 200);

    let long = WORD.replace("forgot", &"x".repeat(ASSIST_BYTES_MAX));
    let reply = site.say("main-in", HELPER, &long).await;
    assert_eq!((reply.code, reply.problem().0.as_str()), (413, "body-too-large"));
    assert!(reply.problem().1.contains(&format!("{ASSIST_BYTES_MAX} bytes")));
    let chunked = request("main-in", HELPER, "", "").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let chunked = chunked.replace("\r\n\r\n", "\r\nContent-Type: application/json\r\n\r\n");
    let reply = site.send(&format!("{chunked}{:x}\r\n{long}\r\n0\r\n\r\n", long.len())).await;
    assert_eq!(reply.code, 413);
    let reply = site.send(&format!("{chunked}{:x}\r\n{WORD}\r\n0\r\n\r\n", WORD.len())).await;
    assert_eq!(reply.code, 200);

    // What does not come in time is not waited for.
    let short = request("main-in", HELPER, "Content-Type: application/json\r\n", WORD);
    let reply = site.send(short.strip_suffix('}').unwrap()).await;
    assert_eq!((reply.code, reply.problem().0.as_str()), (408, "body-late"));
    assert_eq!(heard.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn nobody_without_a_token_is_listened_to() {
    let (site, heard) = listening(quick()).await;
    // The body never comes: the answer does not wait for it.
    let reply = site
        .send("POST /api/v1/doors/main-in/assist HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n")
        .await;
    assert_eq!((reply.code, reply.problem().0.as_str()), (401, "token-needed"));
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_bad_document_is_refused_with_the_place_of_the_mistake() {
    let (site, heard) = listening(quick()).await;
    for (body, field, words) in [
        (WORD.replace("admit", "SECRET"), Some("action"), "`admit` or `refuse`"),
        (WORD.replace("Contoh Satgas", ""), Some("helper"), "1 to 256 characters"),
        (WORD.replace("\"v\":1", "\"v\":9"), Some("v"), "version 1"),
        (WORD.replace("\"v\":1", "\"v\":1,\"id\":\"SECRET_\""), Some("id"), "1 to 64"),
        (WORD.replace("\"v\":1", "\"v\":1,\"seq\":-1"), Some("seq"), "a whole number"),
        (WORD.replace(",\"reason\":\"forgot the badge\"", ""), Some("."), "missing field `reason`"),
        (WORD.replace('}', ""), None, "line 1"),
        (String::new(), None, "not one JSON"),
    ] {
        let reply = site.say("main-in", HELPER, &body).await;
        let (name, detail) = reply.problem();
        assert_eq!((reply.code, name.as_str()), (400, "bad-body"), "{body}");
        assert_eq!(reply.json()["field"].as_str(), field, "{body}: {detail}");
        assert!(detail.contains(words) && !detail.contains("SECRET"), "{body}: {detail}");
    }
    let half = site.say("main-in", HELPER, &WORD.replace("\"v\":1", "\"v\":1,\"seq\":1")).await;
    let (name, detail) = half.problem();
    assert_eq!((half.code, name.as_str(), half.json()["field"].as_str()), (409, "not-available", Some("seq")));
    assert!(detail.contains("epoch and seq"), "{detail}");
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_word_that_is_not_kept_is_a_problem_that_says_what_to_do() {
    for (why, code, name, retry_after) in [
        (AssistRefusal::Unavailable, 503, "not-kept", "1"),
        (AssistRefusal::TooMany { retry_after_s: 17 }, 429, "too-many-assists", "17"),
        (AssistRefusal::UnknownDoor, 404, "unknown-door", ""),
    ] {
        let site = Site::with(quick(), |sources| {
            sources.assist = Arc::new(move |_| Box::pin(async move { Err(why) }));
        })
        .await;
        let reply = site.say("main-in", HELPER, WORD).await;
        assert_eq!((reply.code, reply.problem().0.as_str()), (code, name));
        assert_eq!(reply.header("retry-after"), retry_after);
    }
    let site = Site::start().await;
    assert_eq!(site.say("Main In", HELPER, WORD).await.code, 400);
    assert_eq!(site.say("Main", HELPER, WORD).await.problem().0, "unknown-door");
}

#[tokio::test]
async fn missing_scans_are_acknowledged_and_the_answer_says_how_many() {
    let site = Site::start().await;
    let at = |door: &str| format!("/api/v1/doors/{door}/acknowledge");
    let reply = site.ask("POST", &at("main-in"), TOKEN, "").await;
    assert_eq!((reply.code, reply.body.as_str()), (200, r#"{"door":"main-in","acknowledged_scans":3}"#));
    let reply = site.ask("POST", &at("main-out"), TOKEN, "").await;
    assert_eq!((reply.code, reply.problem().0.as_str(), reply.header("retry-after")), (503, "not-kept", "1"));
    for door in ["nowhere", "No%20Door"] {
        assert_eq!(site.ask("POST", &at(door), TOKEN, "").await.problem().0, "unknown-door", "{door}");
    }
}
