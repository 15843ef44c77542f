//! What each route answers, to good and to bad requests.

use super::*;

#[tokio::test]
async fn a_living_gateway_says_so() {
    let site = Site::start().await;
    let reply = site.get("/livez").await;
    assert_eq!(
        (reply.code, reply.body.as_str(), reply.header("content-type")),
        (200, "ok\n", "text/plain; charset=utf-8")
    );
}

#[tokio::test]
async fn only_a_critical_problem_makes_the_gateway_unready() {
    let warned = Site::with(Config::default(), |sources| {
        sources.ready = Arc::new(|| vec![problem(Severity::Warning, "upstream")]);
    })
    .await;
    let reply = warned.get("/readyz").await;
    assert_eq!((reply.code, reply.body.as_str()), (200, "ready\n"));
    let reply = warned.get("/readyz?verbose").await;
    let since = at(-60);
    assert_eq!(reply.code, 200);
    assert_eq!(reply.body, format!("ready\nwarning upstream: the upstream needs help (since {since})\n"));

    let broken = Site::with(Config::default(), |sources| {
        sources.ready = Arc::new(|| vec![problem(Severity::Critical, "log"), problem(Severity::Warning, "upstream")]);
    })
    .await;
    let reply = broken.get("/readyz").await;
    assert_eq!(reply.code, 503);
    assert_eq!(reply.body, format!("not ready\ncritical log: the log needs help (since {since})\n"));
    assert_eq!(broken.get("/readyz?verbose=true").await.body.lines().count(), 3);
}

#[tokio::test]
async fn readiness_is_json_for_those_who_ask_for_it() {
    let site = Site::with(Config::default(), |sources| {
        sources.ready = Arc::new(|| vec![problem(Severity::Critical, "disk")]);
    })
    .await;
    let reply = site.get_with("/readyz", "Accept: text/html, application/json;q=0.9\r\n").await;
    assert_eq!((reply.code, reply.header("content-type")), (503, "application/json"));
    let json = reply.json();
    assert_eq!(json["ready"], false);
    assert_eq!((&json["problems"][0]["severity"], &json["problems"][0]["what"]), (&"critical".into(), &"disk".into()));
}

#[tokio::test]
async fn metrics_are_openmetrics_and_count_the_requests() {
    let site = Site::start().await;
    site.get("/livez").await;
    site.get("/nowhere").await;
    let reply = site.get("/metrics").await;
    assert_eq!(reply.code, 200);
    assert_eq!(reply.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(reply.body.ends_with("# EOF\n"));
    assert!(reply.body.contains("gapura_http_requests_total{route=\"livez\",code=\"200\"} 1\n"), "{}", reply.body);
    assert!(reply.body.contains("gapura_http_requests_total{route=\"unknown\",code=\"404\"} 1\n"));
    assert!(reply.body.contains("gapura_http_request_seconds_count{route=\"livez\"} 1\n"));
    assert!(reply.body.contains("gapura_http_connections 1\n"));
}

#[tokio::test]
async fn the_status_is_json() {
    let site = Site::start().await;
    let reply = site.get("/api/v1/status").await;
    assert_eq!((reply.code, reply.header("content-type")), (200, "application/json"));
    let json = reply.json();
    assert_eq!(json["doors"][0]["door"], "main-in");
    assert_eq!(json["problems"][0]["severity"], "warning");
    assert_eq!(json["scans"]["latency_ms"]["p99"], 1.6);
}

#[tokio::test]
async fn events_are_lines_in_order_and_can_be_paged() {
    let site = Site::start().await;
    let numbers = |reply: &Reply| -> Vec<u64> {
        let lines = reply.body.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.map(|event| event["number"].as_u64().unwrap()).collect()
    };
    let first = site.events("?limit=20").await;
    assert_eq!((first.code, first.header("content-type")), (200, "application/x-ndjson"));
    assert_eq!((first.header("gapura-last-event"), first.header("gapura-more")), ("20", "true"));
    assert_eq!(numbers(&first), (1..=20).collect::<Vec<_>>());
    let rest = site.events("?after=20").await;
    assert_eq!((rest.header("gapura-last-event"), numbers(&rest)), ("50", (21..=50).collect()));
    let none = site.events("?after=50&limit=10000").await;
    assert_eq!((none.code, none.header("gapura-last-event"), none.body.as_str()), (200, "50", ""));
}

#[tokio::test]
async fn events_need_the_token() {
    let site = Site::with(Config { token_delay_ms: 50, ..Config::default() }, |_| {}).await;
    for headers in ["", "Authorization: Basic YTpi\r\n", "Authorization: Bearer\r\n", "Authorization: \r\n"] {
        let reply = site.get_with("/api/v1/events", headers).await;
        assert_eq!((reply.code, reply.problem().0.as_str()), (401, "token-needed"), "{headers}");
        assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"gapura\"");
    }
    assert_eq!(site.figure("gapura_http_tokens_refused_total"), 0.0);

    let wrong = format!("Authorization: Bearer {TOKEN}x\r\n");
    let started = std::time::Instant::now();
    let reply = site.get_with("/api/v1/events", &wrong).await;
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert_eq!((reply.code, reply.problem().0.as_str()), (401, "token-wrong"));
    assert!(reply.header("www-authenticate").contains("invalid_token"));
    assert!(!reply.body.contains(TOKEN));
    assert_eq!(site.figure("gapura_http_tokens_refused_total"), 1.0);

    let reply = site.get_with("/api/v1/events", &format!("Authorization: bearer  {TOKEN}\r\n")).await;
    assert_eq!(reply.code, 200);
}

#[tokio::test]
async fn a_bad_query_is_named() {
    let site = Site::start().await;
    for (query, detail) in [
        (
            "?afte=1",
            "\"afte\" is no parameter here; known: person, door, zone, from, to, outcome, reason, after, limit, format, purpose",
        ),
        ("?after=-1", "after is \"-1\", allowed is an event's number"),
        ("?after=", "after is \"\""),
        ("?limit=0", "limit is \"0\", allowed are 1 to 10000"),
        ("?limit=10001", "limit is \"10001\", allowed are 1 to 10000"),
        ("?limit=99999999999999999999999", "limit is \"99999999999999999999999\""),
        ("?limit=1&limit=2", "\"limit\" is given twice"),
        ("?limit=%FF", "limit is \"\u{fffd}\""),
    ] {
        let reply = site.events(query).await;
        let (name, said) = reply.problem();
        assert_eq!((reply.code, name.as_str()), (400, "bad-query"), "{query}");
        assert!(said.starts_with(detail), "{query}: {said}");
    }
    for (target, detail) in [
        ("/readyz?verbose=maybe", "verbose is \"maybe\", allowed are true and false"),
        ("/readyz?fast", "\"fast\" is no parameter here; known: verbose"),
        ("/metrics?name=x", "\"name\" is no parameter here; known: none"),
        ("/livez?x", "\"x\" is no parameter here"),
        ("/api/v1/status?door=a", "\"door\" is no parameter here"),
    ] {
        let reply = site.get(target).await;
        assert_eq!(reply.code, 400, "{target}");
        assert!(reply.problem().1.starts_with(detail), "{target}: {}", reply.body);
    }
}

#[tokio::test]
async fn events_that_cannot_be_read_are_a_problem_without_the_reason() {
    let site = Site::with(Config::default(), |sources| {
        sources.events = Arc::new(|_, _| Err("secret path".into()));
    })
    .await;
    let reply = site.events("").await;
    assert_eq!((reply.code, reply.problem().0.as_str(), reply.header("retry-after")), (503, "log-unreadable", "5"));
    assert!(!reply.body.contains("secret"));
}

#[tokio::test]
async fn a_source_that_panics_is_an_internal_error_and_the_next_request_is_answered() {
    let site = Site::with(Config::default(), |sources| {
        sources.status = Arc::new(|| panic!("on purpose"));
    })
    .await;
    let reply = site.get("/api/v1/status").await;
    assert_eq!((reply.code, reply.problem().0.as_str()), (500, "internal"));
    assert_eq!(site.get("/readyz").await.code, 200);
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_offered_are_problems() {
    let site = Site::start().await;
    for path in ["/nowhere", "/livez/", "/api/v1", "/api/v1/persons", "/page.html", "/..%2f..%2fetc/passwd"] {
        let reply = site.get(path).await;
        assert_eq!((reply.code, reply.problem().0.as_str()), (404, "not-found"), "{path}");
        assert!(reply.problem().1.contains(path));
    }
    for rule in super::super::route::RULES {
        let path = rule.path.replace("{door}", "main-in").replace("{id}", "P-1");
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
            let token = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
            let reply = site.send(&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n")).await;
            if rule.methods.split(", ").any(|offered| offered == method) {
                // The router knows every path of the table, with the same methods.
                assert!(![404, 405].contains(&reply.code), "{method} {path}: {reply:?}");
                continue;
            }
            assert_eq!((reply.code, reply.problem().0.as_str()), (405, "method-not-allowed"), "{method} {path}");
            assert_eq!(reply.header("allow"), rule.methods);
        }
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let site = Site::start().await;
    for target in ["/", "/page.js", "/livez", "/metrics", "/api/v1/status", "/api/v1/events", "/nowhere", "/livez?bad"]
    {
        let reply = site.get(target).await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{target}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert_eq!(reply.header("cache-control"), "no-store");
        let policy = reply.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}

#[tokio::test]
async fn head_is_answered_without_a_body() {
    let site = Site::start().await;
    let mut stream = site.connect().await;
    let reply = exchange(&mut stream, "HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!((reply.code, reply.header("content-length")), (200, "3"));
    let reply = exchange(&mut stream, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!((reply.code, reply.body.as_str()), (200, "ok\n"));
}

#[tokio::test]
async fn another_host_name_is_refused() {
    let site = Site::with(Config { host_names: vec!["gate.lan".into()], ..Config::default() }, |_| {}).await;
    for (request, code) in [
        ("GET /livez HTTP/1.1\r\nHost: gate.lan:8080\r\n\r\n", 200),
        ("GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200),
        ("GET http://localhost/livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET /livez HTTP/1.1\r\nHost: rebound.example\r\n\r\n", 421),
        ("GET http://rebound.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
        ("GET /api/v1/status HTTP/1.1\r\nHost: rebound.example:8080\r\n\r\n", 421),
        ("GET /livez HTTP/1.1\r\n\r\n", 400),
        ("GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: rebound.example\r\n\r\n", 400),
        ("GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ] {
        let reply = site.send(request).await;
        assert_eq!(reply.code, code, "{request}");
        if code == 421 {
            assert!(reply.problem().1.contains("host_names"));
        }
    }
}

#[tokio::test]
async fn the_api_document_tells_of_each_operation_the_parameters_that_it_takes() {
    let site = Site::start().await;
    let reply = site.get("/api/openapi.json").await;
    assert_eq!((reply.code, reply.header("content-type")), (200, "application/json"));
    let document = reply.json();
    for (path, members) in document["paths"].as_object().unwrap() {
        // Files of the page take whatever comes.
        if ["/", "/page.css", "/page.js", "/icon.svg"].contains(&path.as_str()) {
            continue;
        }
        for (method, operation) in members.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().unwrap().iter().filter(|one| one["in"] == "query");
            let told: Vec<&str> = parameters.map(|one| one["name"].as_str().unwrap()).collect();
            let path = path.replace("{door}", "main-in").replace("{id}", "P-1");
            let body = if operation.get("requestBody").is_some() { "{}" } else { "" };
            let asked = format!("{path}?nonsense=1");
            let detail = site.ask(&method.to_ascii_uppercase(), &asked, TOKEN, body).await.problem().1;
            let known = if told.is_empty() { "none".to_owned() } else { told.join(", ") };
            assert!(detail.ends_with(&format!("known: {known}")), "{method} {path}: {detail}");
        }
    }
}
