//! Working days between a site and an upstream that misbehaves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::civil::{Date, date};
use prometheus_client::registry::Registry;
use protocol::Instant;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use store::log::CommitError;

use super::fake::{Act, FakeLog, FakeUpstream, quick, run, until};
use super::{Attendance, AttendanceContext, AttendanceMetrics, Privacy, Row, client};
use base::clock::Clock;

const MONDAY: Date = date(2026, 11, 23);
const TUESDAY: Date = date(2026, 11, 24);

type Table = BTreeMap<(Date, &'static str), Vec<(&'static str, i64)>>;

/// What each office's days came to, which of them are over, and what of them is kept as sent.
#[derive(Clone, Default)]
struct Site {
    table: Arc<Mutex<Table>>,
    over: Arc<Mutex<Vec<Date>>>,
    changed: Arc<Mutex<Vec<Date>>>,
    sent: Arc<Mutex<BTreeMap<String, u64>>>,
    keeps_to_fail: Arc<AtomicUsize>,
    /// A day that cannot be read.
    unreadable: Arc<Mutex<Option<Date>>>,
    looks: Arc<AtomicUsize>,
}

struct Sending {
    registry: Registry,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Site {
    fn new(over: &[Date]) -> Self {
        let site = Self::default();
        site.over.lock().unwrap().extend(over);
        site
    }

    fn set(&self, day: Date, opd: &'static str, rows: &[(&'static str, i64)]) {
        self.table.lock().unwrap().insert((day, opd), rows.to_vec());
    }

    fn rows(&self, day: Date) -> Vec<(String, Vec<Row>)> {
        let row = |(person, minutes): &(&str, i64)| {
            let row = json!({ "person": person, "name": format!("Contoh {person}"), "worked_minutes": minutes });
            row.as_object().unwrap().clone()
        };
        let table = self.table.lock().unwrap();
        let of_day = table.iter().filter(|((of, _), _)| *of == day);
        of_day.map(|((_, opd), rows)| ((*opd).to_owned(), rows.iter().map(row).collect())).collect()
    }

    fn sending(&self, upstream: &FakeUpstream, privacy: Privacy) -> Sending {
        let mut registry = Registry::with_prefix("gapura");
        let config = quick(upstream);
        let [days, changed, rows, sent, keep] = [(); 5].map(|()| self.clone());
        let parts = AttendanceContext {
            site: "regency".parse().unwrap(),
            client: Arc::new(ArcSwap::from_pointee(client(&config, None).unwrap())),
            days: Arc::new(move |_| days.over.lock().unwrap().clone()),
            changed: Arc::new(move || {
                changed.looks.fetch_add(1, Ordering::SeqCst);
                std::mem::take(&mut *changed.changed.lock().unwrap())
            }),
            rows: Arc::new(move |day| match *rows.unreadable.lock().unwrap() {
                Some(unreadable) if unreadable == day => Err("the ledgers are behind".into()),
                _ => Ok(rows.rows(day)),
            }),
            sent: Arc::new(move |prefix| {
                let sent = sent.sent.lock().unwrap();
                Ok(sent.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(n, v)| (n.clone(), *v)).collect())
            }),
            keep: Arc::new(move |name, value| {
                let site = keep.clone();
                Box::pin(async move {
                    let left = |left: usize| left.checked_sub(1);
                    if site.keeps_to_fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok() {
                        return Err(CommitError::Failed);
                    }
                    site.sent.lock().unwrap().insert(name, value);
                    Ok(())
                })
            }),
            privacy,
            clock: Clock::system(),
            metrics: AttendanceMetrics::new(&mut registry),
            config,
            interval: Duration::from_millis(2),
        };
        let (attendance, stop) = (Attendance::new(parts).unwrap(), watch::Sender::new(false));
        let task = tokio::spawn(attendance.run(stop.subscribe()));
        Sending { registry, stop, task }
    }

    /// Waits until every day was looked at again, whatever was under way.
    async fn looked_again(&self) {
        let looks = self.looks.load(Ordering::SeqCst);
        until("it looks again", || self.looks.load(Ordering::SeqCst) > looks + 1).await;
    }
}

impl Sending {
    async fn stopped(self) -> String {
        self.stop.send_replace(true);
        tokio::time::timeout(Duration::from_secs(20), self.task).await.expect("it does not stop").unwrap();
        let mut metrics = String::new();
        prometheus_client::encoding::text::encode(&mut metrics, &self.registry).unwrap();
        metrics
    }
}

/// Subject and minutes of each event that was posted.
fn posted(upstream: &FakeUpstream) -> Vec<(String, Vec<i64>)> {
    let posted = upstream.posted.lock().unwrap();
    let minutes = |data: &serde_json::Value| {
        data["rows"].as_array().unwrap().iter().map(|row| row["worked_minutes"].as_i64().unwrap()).collect()
    };
    posted.iter().map(|event| (event.subject.clone(), minutes(&event.data))).collect()
}

fn subjects(upstream: &FakeUpstream) -> Vec<String> {
    posted(upstream).into_iter().map(|(subject, _)| subject).collect()
}

#[tokio::test]
async fn each_office_is_sent_once_when_its_day_is_over() {
    let upstream = FakeUpstream::start(|_, _| Act::Ack).await;
    let site = Site::new(&[MONDAY]);
    site.set(MONDAY, "dinkes", &[("P-2", 470), ("P-1", 480)]);
    site.set(MONDAY, "", &[("P-3", 60)]);
    site.set(MONDAY, "nobody-came", &[]);
    site.set(TUESDAY, "dinkes", &[("P-1", 10)]);
    let sending = site.sending(&upstream, Privacy::default());
    until("both offices are upstream", || site.sent.lock().unwrap().len() == 2).await;
    site.looked_again().await;
    assert_eq!(subjects(&upstream), ["2026-11-23/", "2026-11-23/dinkes"]);
    site.over.lock().unwrap().push(TUESDAY);
    until("Tuesday is upstream", || site.sent.lock().unwrap().len() == 3).await;
    assert_eq!(posted(&upstream)[2], ("2026-11-24/dinkes".into(), vec![10]));

    let events = upstream.posted.lock().unwrap().clone();
    let hash = site.sent.lock().unwrap()["attendance/2026-11-23/dinkes"];
    assert_eq!(events[1].id, format!("attendance/2026-11-23/dinkes/{hash:016x}"));
    assert_eq!((&*events[1].kind, &*events[1].source), ("gapura.attendance.day.v1", "urn:gapura:regency"));
    let data = &events[1].data;
    assert_eq!(
        (&data["day"], &data["opd"], &data["rows"][0]["person"]),
        (&json!("2026-11-23"), &json!("dinkes"), &json!("P-1"))
    );
    let content = blake3::hash(&serde_json::to_vec(&ordered(data)).unwrap()).to_hex();
    assert!(content.starts_with(events[1].id.rsplit('/').next().unwrap()));
    assert!(sending.stopped().await.contains("gapura_upstream_attendance_days_total{result=\"accepted\"} 3"));
}

/// The data in the order in which it was written.
fn ordered(data: &serde_json::Value) -> protocol::batch::AttendanceDay<Row> {
    serde_json::from_value(data.clone()).unwrap()
}

#[tokio::test]
async fn what_has_changed_is_sent_again_and_nothing_else() {
    let upstream = FakeUpstream::start(|_, _| Act::Ack).await;
    let old = date(2026, 11, 2);
    let site = Site::new(&[old, MONDAY, TUESDAY]);
    for day in [old, MONDAY, TUESDAY] {
        site.set(day, "dinkes", &[("P-1", 480)]);
        site.set(day, "bapenda", &[("P-2", 480)]);
    }
    let sending = site.sending(&upstream, Privacy::default());
    until("all is upstream", || site.sent.lock().unwrap().len() == 6).await;
    site.set(old, "dinkes", &[("P-1", 500)]);
    site.set(TUESDAY, "bapenda", &[]);
    until("who has not come after all is taken back", || {
        posted(&upstream).contains(&("2026-11-24/bapenda".into(), vec![]))
    })
    .await;
    site.looked_again().await;
    assert_eq!(upstream.request_count(), 7, "an old day waits for a hint");
    site.changed.lock().unwrap().extend([old, date(2026, 1, 1), date(2026, 11, 30)]);
    until("the old day is sent again", || posted(&upstream).last() == Some(&("2026-11-02/dinkes".into(), vec![500])))
        .await;
    site.looked_again().await;
    assert_eq!(upstream.request_count(), 8);
    site.set(TUESDAY, "dinkes", &[("P-1", 470)]);
    until("a change is sent", || upstream.request_count() == 9).await;
    site.set(TUESDAY, "dinkes", &[("P-1", 480)]);
    until("it is taken back", || upstream.request_count() == 10).await;
    let events = upstream.posted.lock().unwrap().clone();
    let ids: std::collections::BTreeSet<&str> = events.iter().map(|event| &*event.id).collect();
    assert_eq!(ids.len(), 10, "each is another event, also where the content was sent before");
    let of_old: Vec<(&str, Instant)> = events
        .iter()
        .filter(|event| event.subject == "2026-11-02/dinkes")
        .map(|event| (&*event.id, event.time))
        .collect();
    assert!(of_old[0].0 != of_old[1].0 && of_old[0].1 <= of_old[1].1);
    sending.stopped().await;
}

#[tokio::test]
async fn a_restart_sends_only_what_has_changed_meanwhile() {
    let upstream = FakeUpstream::start(|_, _| Act::Ack).await;
    let old = date(2026, 11, 2);
    let site = Site::new(&[old, MONDAY, TUESDAY]);
    [old, MONDAY, TUESDAY].into_iter().for_each(|day| site.set(day, "dinkes", &[("P-1", 480)]));
    let sending = site.sending(&upstream, Privacy::default());
    until("all is upstream", || site.sent.lock().unwrap().len() == 3).await;
    sending.stopped().await;
    site.set(old, "dinkes", &[("P-1", 481)]);
    let sending = site.sending(&upstream, Privacy::default());
    until("the change is upstream", || upstream.request_count() == 4).await;
    site.looked_again().await;
    assert_eq!(posted(&upstream)[3..], [("2026-11-02/dinkes".to_owned(), vec![481])]);
    sending.stopped().await;
}

#[tokio::test]
async fn what_goes_wrong_is_tried_again_with_the_same_id() {
    let upstream = FakeUpstream::start(|index, _| match index {
        0 => Act::Answer(503, "", "busy".into()),
        1 => Act::LoseAnswer,
        2 => Act::Answer(401, "", String::new()),
        _ => Act::Ack,
    })
    .await;
    let site = Site::new(&[MONDAY]);
    site.keeps_to_fail.store(1, Ordering::SeqCst);
    site.set(MONDAY, "dinkes", &[("P-1", 480)]);
    let sending = site.sending(&upstream, Privacy::default());
    until("it is kept as sent", || site.sent.lock().unwrap().len() == 1).await;
    site.looked_again().await;
    let ids: std::collections::BTreeSet<String> =
        upstream.posted.lock().unwrap().iter().map(|event| event.id.clone()).collect();
    assert_eq!((upstream.request_count(), ids.len()), (5, 1));
    let metrics = sending.stopped().await;
    assert!(metrics.contains("gapura_upstream_attendance_retries_total 4"), "{metrics}");
    assert!(metrics.contains("gapura_upstream_attendance_days_total{result=\"accepted\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_day_that_cannot_be_read_is_read_again_and_holds_up_no_other() {
    let upstream = FakeUpstream::start(|_, _| Act::Ack).await;
    let site = Site::new(&[MONDAY, TUESDAY]);
    *site.unreadable.lock().unwrap() = Some(MONDAY);
    [MONDAY, TUESDAY].into_iter().for_each(|day| site.set(day, "dinkes", &[("P-1", 480)]));
    let sending = site.sending(&upstream, Privacy::default());
    until("Tuesday is upstream", || upstream.request_count() == 1).await;
    site.looked_again().await;
    *site.unreadable.lock().unwrap() = None;
    until("Monday is too", || site.sent.lock().unwrap().len() == 2).await;
    assert_eq!(subjects(&upstream), ["2026-11-24/dinkes", "2026-11-23/dinkes"]);
    sending.stopped().await;
}

#[tokio::test]
async fn what_is_refused_for_good_is_sent_again_only_when_it_changes() {
    let upstream = FakeUpstream::start(|index, _| match index {
        0 => Act::Answer(422, "", "no such office".into()),
        _ => Act::Ack,
    })
    .await;
    let site = Site::new(&[MONDAY]);
    site.set(MONDAY, "dinkes", &[("P-1", 480)]);
    site.set(MONDAY, "setda", &[("P-2", 480)]);
    let sending = site.sending(&upstream, Privacy::default());
    until("the other office is upstream", || site.sent.lock().unwrap().len() == 1).await;
    site.looked_again().await;
    assert_eq!(subjects(&upstream), ["2026-11-23/dinkes", "2026-11-23/setda"]);
    site.set(MONDAY, "dinkes", &[("P-1", 481)]);
    until("the change is upstream", || site.sent.lock().unwrap().len() == 2).await;
    let metrics = sending.stopped().await;
    assert!(metrics.contains("gapura_upstream_attendance_days_total{result=\"refused\"} 1"), "{metrics}");
}

#[tokio::test]
async fn events_go_on_while_a_working_day_waits() {
    let days = FakeUpstream::start(|_, _| Act::Hold).await;
    let site = Site::new(&[MONDAY]);
    site.set(MONDAY, "dinkes", &[("P-1", 480)]);
    let sending = site.sending(&days, Privacy::default());
    until("a working day is on its way", || days.request_count() == 1).await;
    let upstream = FakeUpstream::start(|_, _| Act::Ack).await;
    let log = FakeLog::new(1..=7);
    let running = run(&log, quick(&upstream));
    until("events are upstream", || log.cursor() == 7).await;
    assert!(site.sent.lock().unwrap().is_empty());
    days.release();
    until("the working day is too", || site.sent.lock().unwrap().len() == 1).await;
    running.stopped().await;
    sending.stopped().await;
}

#[tokio::test]
async fn people_have_pseudonyms_where_that_is_asked_for() {
    let upstream = FakeUpstream::start(|_, _| Act::Ack).await;
    let site = Site::new(&[MONDAY]);
    site.set(MONDAY, "dinkes", &[("P-1", 1), ("P-2", 2), ("P-3", 3)]);
    let privacy = Privacy {
        pseudonym: Some(Arc::new(|subject| Ok(format!("p-{}", subject.chars().rev().collect::<String>())))),
        restricted: Arc::new(|subject| Ok(subject == "P-2")),
    };
    let sending = site.sending(&upstream, privacy);
    until("it is upstream", || site.sent.lock().unwrap().len() == 1).await;
    let rows = upstream.posted.lock().unwrap()[0].data["rows"].clone();
    assert_eq!(rows, json!([{ "person": "p-1-P", "worked_minutes": 1 }, { "person": "p-3-P", "worked_minutes": 3 }]));
    sending.stopped().await;
}
