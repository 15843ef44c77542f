//! Erasures that are cut off by a kill, and one of somebody who has left the directory long before.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::Direction;
use reqwest::{Client, Method};

use super::erasure::{Known, PERSON, known, traces};
use super::{answered, people, told};
use crate::harness::{Days, Gateway, Kept, Reader, Site, Version, lines};

/// What is seen of an erasure in the site's folder.
const STEPS: [(&str, Step); 5] = [
    ("data/vault.redb.new", Step::IsThere),
    ("data/vault.redb", Step::Exchanged(1)),
    ("data/directory.redb.new", Step::IsThere),
    ("data/directory.redb", Step::Exchanged(1)),
    ("data/vault.redb", Step::Exchanged(2)),
];

#[derive(Clone, Copy, Debug)]
enum Step {
    IsThere,
    Exchanged(u32),
}

#[tokio::test]
async fn an_erasure_that_is_cut_off_anywhere_goes_on_when_it_is_asked_for_again() {
    let site = Site::make(&["main-in"]);
    let days = Days::at_noon(&site);
    let ids: Vec<String> = (0..=STEPS.len()).map(|n| format!("F-{n:03}")).collect();
    let gateway = site.run().await;
    let scans = (0..ids.len()).flat_map(|n| [(n, 8, Direction::In), (n, 15, Direction::Out)]).zip(1..);
    let scans = scans.map(|((n, hour, direction), seq)| {
        let badge = format!("CONTOH-{:04}", n + 1);
        Kept { seq, at: days.at(1, hour, n as i8), direction, badge }
    });
    Reader::connect(&site, &gateway, "main-in", Version::V5).await.bring(&scans.collect::<Vec<_>>()).await;
    let hash = async |id: &str| {
        let events = lines(gateway.get(&format!("/api/v1/events?person={id}&purpose=test")).await).await;
        events[0]["subject"]["scan"]["credential"].as_str().unwrap().to_owned()
    };
    let mut hashes = Vec::new();
    for id in &ids {
        hashes.push(hash(id).await);
    }
    gateway.kill_9();

    for ((id, (file, step)), n) in ids.iter().zip(STEPS).zip(0..) {
        let gateway = site.run().await;
        let cut_off = erase_until(gateway, &site, id, site.file(file), step).await;
        let gateway = site.run().await;
        let path = format!("/api/v1/privacy/people/{id}?purpose=own");
        let (status, text) = answered(&gateway, site.token(), "DELETE", &path, None).await;
        println!("{file} {step:?}: cut off {cut_off}, then {status}");
        assert!([200, 404].contains(&status), "{file} {step:?}: {text}");
        let words = [id.clone(), format!("Contoh Armada {n:03}"), hashes[n].clone()];
        let words: Vec<_> = words.into_iter().map(|word| (word.clone(), word.into_bytes())).collect();
        assert_eq!(traces(&site.root(), &words), [""; 0], "{file} {step:?}");
        let attendance = told(&gateway, &format!("/api/v1/attendance?from={0}&to={0}", days.ago(1))).await;
        assert_eq!(people(&attendance["rows"]), ids[n + 1..], "{file} {step:?}");
        assert!(gateway.terminate().await.success());
        site.must(&["log", "verify"]);
    }
}

/// Asks to erase somebody, and kills the gateway at that step; whether it had not answered before.
async fn erase_until(gateway: Gateway, site: &Site, id: &str, file: PathBuf, step: Step) -> bool {
    let url = format!("http://{}/api/v1/privacy/people/{id}?purpose=own", gateway.http);
    let answered = Arc::new(AtomicBool::new(false));
    let (over, mut last) = (Arc::clone(&answered), number(&file));
    let watching = tokio::task::spawn_blocking(move || {
        let mut exchanged = 0;
        // Some step may pass by unseen.
        while !over.load(Ordering::Acquire) {
            let now = number(&file);
            exchanged += u32::from(now.is_some() && now != last);
            last = now.or(last);
            match step {
                Step::IsThere if now.is_some() => return,
                Step::Exchanged(times) if exchanged >= times => return,
                _ => {}
            }
        }
    });
    let asked = client().request(Method::DELETE, url).bearer_auth(site.token()).send();
    let erasing = tokio::spawn(async move {
        drop(asked.await);
        answered.store(true, Ordering::Release);
    });
    watching.await.unwrap();
    let cut_off = !erasing.is_finished();
    gateway.kill_9();
    erasing.await.unwrap();
    cut_off
}

fn number(file: &Path) -> Option<u64> {
    fs::metadata(file).ok().map(|metadata| metadata.ino())
}

fn client() -> Client {
    let nobody = rustls::RootCertStore::empty().into();
    Client::builder().tls_backend_preconfigured(simulator::tls::anonymous(nobody).unwrap()).build().unwrap()
}

#[tokio::test]
async fn whoever_has_left_the_directory_can_still_be_erased_with_every_badge_that_was_theirs() {
    let (Known { site, officer, words, .. }, gateway) = known(None).await;
    let path = format!("/api/v1/people/{PERSON}");
    assert_eq!(answered(&gateway, site.token(), "DELETE", &path, None).await.0, 204);
    let erase = ["privacy", "erase", PERSON, "--purpose", "own request", "--yes", "--force"];
    let erased = site.ask(&gateway, &officer, &erase);
    assert!(erased.success, "{erased:?}");
    assert_eq!(traces(&site.root(), &words), [""; 0]);
    assert!(gateway.terminate().await.success());
    let exported = site.must(&["log", "export"]);
    assert_eq!(exported.lines().filter(|line| line.contains("\"erased\":true")).count(), 12, "{exported}");
}

#[tokio::test]
async fn whoever_is_scanned_and_looked_at_while_being_erased_is_erased() {
    let mut site = Site::make(&["main-in"]);
    site.set("GAPURA_HTTP__EVENTS_REQUESTS_MAX", 16);
    let days = Days::at_noon(&site);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let mut seq = 0;
    for n in 0..4 {
        let (id, badge) = (format!("F-{n:03}"), format!("CONTOH-{:04}", n + 1));
        let url = format!("http://{}/api/v1/privacy/people/{id}?purpose=own", gateway.http);
        let ask =
            |method, more: &str| client().request(method, format!("{url}{more}")).bearer_auth(site.token()).send();
        let asking = [Method::GET, Method::DELETE, Method::GET, Method::DELETE, Method::GET].map(|method| {
            let more = if method == Method::DELETE { "&force=true" } else { "" };
            let asked = ask(method.clone(), more);
            async move { (method, asked.await.unwrap().status().as_u16()) }
        });
        let mut scans = async || {
            seq += 32;
            let one = |seq| Kept { seq, at: days.at(1, 8, 0), direction: Direction::In, badge: badge.clone() };
            reader.bring(&(seq - 31..=seq).map(one).collect::<Vec<_>>()).await;
        };
        scans().await;
        let mut asking = tokio::task::JoinSet::from_iter(asking);
        let mut erased = 0;
        while !asking.is_empty() {
            scans().await;
            while let Some(answered) = asking.try_join_next() {
                let (method, status) = answered.unwrap();
                assert!([200, 404].contains(&status), "{method}: {status}");
                erased += u32::from(method == Method::DELETE && status == 200);
            }
        }
        assert!(erased > 0);
        let words = [id.clone(), format!("Contoh Armada {n:03}")].map(|word| (word.clone(), word.into_bytes()));
        assert_eq!(traces(&site.root(), &words), [""; 0]);
        let events = gateway.events().await;
        assert!(events.iter().all(|event| event["verdict"]["person"] != id.as_str()), "{id}");
    }
}
