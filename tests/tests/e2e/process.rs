//! The process: what surrounds it may fail, be short or be strange.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::harness::{Acknowledged, DEADLINE, GREEN, Reader, Site, Version, eventually, program};

/// The answer to a GET over plain HTTP, its first line.
fn get(http: &str, path: &str) -> String {
    answer(http, path).lines().next().unwrap_or_default().to_owned()
}

fn answer(http: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A gateway that was started by hand, once it listens; killed when dropped.
struct Bare(Child, String, String);

impl Bare {
    fn start(command: &mut Command) -> Self {
        command.env("GAPURA_MQTT__LISTEN", "127.0.0.1:0").env("GAPURA_HTTP__LISTEN", "127.0.0.1:0");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).expect("it says where it listens");
        let of = |name: &str| said[name].as_str().unwrap().to_owned();
        let (mqtt, http) = (of("mqtt"), of("http"));
        Self(child, mqtt, http)
    }

    fn hang_up(&self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn standard_error_that_fails_ends_nothing() {
    let mut site = Site::make(&["main-in"]);
    site.set("RUST_LOG", "debug");
    // A full disk; and a reader that has gone away.
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    for stderr in [full(), Stdio::piped()] {
        let mut gateway = Bare::start(site.gapura(&["run"]).stderr(stderr));
        drop(gateway.0.stderr.take());
        for round in 1..=3 {
            // Each reload logs a line.
            gateway.hang_up();
            let reloaded = format!("gapura_reloads_total{{what=\"doors\",result=\"taken\"}} {round}");
            eventually("it reloads", async || answer(&gateway.2, "/metrics").contains(&reloaded)).await;
        }
        assert_eq!(get(&gateway.2, "/livez"), "HTTP/1.1 200 OK");
        assert!(gateway.0.try_wait().unwrap().is_none(), "it has ended");
    }
    // A command that fails says so by its code.
    let failed = site.gapura(&["door", "renew", "nowhere"]).stderr(full()).status().unwrap();
    assert_eq!(failed.code(), Some(1));
}

#[tokio::test]
async fn readers_leave_descriptors_for_whoever_looks_what_is_wrong() {
    let site = Site::make(&["main-in"]);
    let run = site.gapura(&["run"]);
    let mut limited = program(std::path::Path::new("sh"));
    limited.args(["-c", "ulimit -n 256; exec \"$@\"", "-"]).arg(run.get_program()).args(run.get_args());
    let stderr = site.beside("stderr.txt");
    let gateway = Bare::start(limited.stderr(File::create(&stderr).unwrap()));
    let said = fs::read_to_string(&stderr).unwrap();
    assert!(said.contains("the limit of open files is 256") && said.contains("LimitNOFILE"), "{said}");
    let mut readers = Vec::new();
    for _ in 0..400 {
        readers.extend(TcpStream::connect(&gateway.1).ok());
        if readers.len() % 40 == 0 {
            for path in ["/livez", "/readyz", "/metrics"] {
                assert_eq!(get(&gateway.2, path), "HTTP/1.1 200 OK", "{path} beside {} readers", readers.len());
            }
        }
    }
    assert!(readers.len() >= 300, "{} readers", readers.len());
    let said = fs::read_to_string(&stderr).unwrap();
    assert!(!said.contains("Too many open files"), "{said}");
}

#[tokio::test]
async fn what_kubernetes_puts_into_the_environment_stops_nothing() {
    let mut site = Site::make(&["main-in"]);
    for variable in
        ["SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_8883_TCP", "PORT_8883_TCP_ADDR", "SERVICE_PORT_MQTTS"]
    {
        site.set(&format!("GAPURA_{variable}"), "tcp://192.0.2.1:8883");
    }
    assert!(site.must(&["check-config"]).contains("all well"));
    let gateway = site.run().await;
    eventually("it is said", async || gateway.stderr().contains("variable=\"GAPURA_PORT_8883_TCP_ADDR\"")).await;
    assert!(gateway.ready().await.0);
}

#[tokio::test]
async fn the_administrators_token_is_taken_back_and_made_anew() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let status =
        async |token: &str| gateway.ask_as(token, reqwest::Method::GET, "/api/v1/events", None).await.status().as_u16();
    assert_eq!(status(site.token()).await, 200);
    site.must(&["token", "revoke", "admin"]);
    assert!(site.must(&["token", "list"]).lines().any(|line| line.starts_with("admin ") && line.contains("revoked")));
    eventually("it is refused", async || status(site.token()).await == 401).await;
    let renewed: serde_json::Value =
        serde_json::from_str(site.must(&["token", "renew", "admin", "--json"]).trim()).unwrap();
    let renewed = renewed["token"].as_str().unwrap();
    eventually("the new one is known", async || status(renewed).await == 200).await;
    assert_eq!(status(site.token()).await, 401);
    assert!(site.must(&["check-config"]).contains("all well"));
}

#[tokio::test]
async fn a_disk_that_is_too_slow_for_doors_is_not_ready_at_any_time() {
    let mut site = Site::make(&["main-in"]);
    let library = site.beside("slow.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/harness/slow.c");
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status().unwrap();
    assert!(compiled.success());
    site.set("LD_PRELOAD", library.display());
    site.set("E2E_SYNC_MS", 600);
    site.set("GAPURA_MQTT__ANSWER_TIMEOUT_MS", 500);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    for seq in 1..6 {
        if seq > 1 {
            let (ready, why) = gateway.ready().await;
            assert!(!ready && why.contains("critical disk: scans wait"), "before scan {seq}: {why}");
        }
        let payload = reader.payload(seq, GREEN, jiff::SignedDuration::ZERO);
        let scan = reader.begin(&payload).await;
        assert_eq!(reader.acknowledged(scan).await, Acknowledged::PubAck(0));
    }
}
