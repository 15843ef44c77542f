//! Every kind of problem with its severity, and the doors' table.

use std::sync::atomic::{AtomicI64, Ordering};

use prometheus_client::registry::Registry;

use super::certificates::CERTIFICATE_WARNING_DAYS;
use super::*;
use access::testing;
use base::site::testing::{Site, now};
use front::monitors::Broadcaster;
use front::scan::{ScanQueue, SpineStatus, State};
use store::audit::AuditTrail;
use store::audit::testing::Keys;
use store::log::{Commit, Log};

/// What a gateway would show, on a site of its own.
struct Bench {
    sources: StatusSources,
    site: Site,
    now_ms: Arc<AtomicI64>,
    log: Log,
    /// Not at work, but there.
    broadcaster: Option<Broadcaster>,
    _scans: ScanQueue,
}

impl Bench {
    fn new(log: store::log::Config) -> Self {
        let site = Site::with_doors(&["door-0", "watch"]);
        let now_ms = Arc::new(AtomicI64::new(now().unix_ms()));
        let time = Arc::clone(&now_ms);
        let clock = Clock::new(move || Instant::from_unix_ms(time.load(Ordering::Relaxed)));
        let file = site.folder.root().join("gapura.toml");
        std::fs::write(&file, "[site]\nname = \"regency\"\ntime_zone = \"Asia/Makassar\"\n").unwrap();
        let config = Config::read(&file, std::iter::empty()).unwrap();
        let path = site.folder.root().join("log.redb");
        let metrics = store::log::Metrics::new(&mut Registry::default());
        let (log, reader) =
            Log::open(&path, &log, metrics, clock.clone(), store::vault::Vault::in_memory().unwrap()).unwrap();
        let (scans, _) = ScanQueue::new(10);
        let monitors = front::monitors::Metrics::new(&mut Registry::default());
        let (monitors, broadcaster) = Monitors::new(config.monitors.clone(), monitors).unwrap();
        let sources = StatusSources {
            started_at: clock.now(),
            snapshot: Arc::new(ArcSwap::from_pointee(testing::snapshot(&[]))),
            connected: doors::Registry::new(
                Arc::new(config.mqtt.clone()),
                doors::Metrics::new(&mut Registry::default()),
                clock.clone(),
            ),
            figures: SpineStatus::new(&State::default(), clock.now()),
            reader,
            scans: scans.downgrade(),
            upstream: None,
            monitors,
            refusals: Refusals::default(),
            looks: AuditTrail::open(&site.folder.root().join("audit.redb"), Arc::<Keys>::default()).unwrap(),
            views: Arc::new(|_| Vec::new()),
            clock,
            config,
        };
        Self { sources, site, now_ms, log, broadcaster: Some(broadcaster), _scans: scans }
    }

    fn later(&self, days: i64) {
        self.now_ms.fetch_add(days * DAY_MS, Ordering::Relaxed);
    }

    /// What is wrong, as severities and words.
    fn problems(&self) -> Vec<(Severity, &'static str)> {
        assert_eq!(self.sources.problems(), self.sources.status().problems);
        self.sources.problems().into_iter().map(|problem| (problem.severity, &*problem.what.leak())).collect()
    }
}

#[test]
fn a_healthy_gateway_has_no_problems_and_shows_what_it_is() {
    let bench = Bench::new(store::log::Config { disk_free_bytes_min: 0, ..Default::default() });
    assert_eq!(bench.problems(), []);
    let status = bench.sources.status();
    assert_eq!((status.site.as_str(), status.now, status.started_at), ("regency", status.started_at, status.now));
    assert!(status.policy_set.starts_with("b3:") && status.upstream.is_none());
    let names: Vec<_> = status.certificates.iter().map(|certificate| certificate.name.as_str()).collect();
    assert_eq!(names, ["gateway", "site CA"]);
    let doors: Vec<_> = status.doors.iter().map(|door| (door.door.as_str(), door.connected, door.since)).collect();
    let expected = ["door-0", "door-1", "door-2", "door-3", "watch"].map(|door| (door, false, None));
    assert_eq!(doors, expected);
    assert_eq!((status.doors[4].mode, status.doors[4].zone.as_str()), (protocol::Mode::Observe, "main"));
}

#[test]
fn a_disk_that_fills_up_is_a_warning() {
    let bench = Bench::new(store::log::Config { disk_free_bytes_min: u64::MAX, ..Default::default() });
    assert_eq!(bench.problems(), [(Severity::Warning, "disk")]);
}

#[test]
fn a_log_that_does_not_work_is_critical_and_comes_first() {
    let mut bench = Bench::new(store::log::Config { disk_free_bytes_min: u64::MAX, ..Default::default() });
    // The folder is gone when the log is opened again.
    let (folder, away) = (bench.site.folder.root().to_owned(), bench.site.folder.root().with_extension("away"));
    std::fs::rename(&folder, &away).unwrap();
    bench.log.reopen().unwrap_err();
    std::fs::rename(&away, &folder).unwrap();
    assert_eq!(bench.problems(), [(Severity::Critical, "log"), (Severity::Warning, "disk")]);
    bench.log.reopen().unwrap();
    bench.log.commit(&Commit::default()).unwrap();
    assert_eq!(bench.problems(), [(Severity::Warning, "disk")]);
}

#[test]
fn monitors_that_hear_nothing_are_a_warning_and_doors_stay_ready() {
    let mut bench = Bench::new(store::log::Config { disk_free_bytes_min: 0, ..Default::default() });
    drop(bench.broadcaster.take());
    assert_eq!(bench.problems(), [(Severity::Warning, "monitors")]);
}

#[test]
fn what_could_not_be_reloaded_is_a_warning() {
    let bench = Bench::new(store::log::Config { disk_free_bytes_min: 0, ..Default::default() });
    bench.sources.refusals.note("policy", &Err("bad.cedar:3: does not parse".into()), bench.sources.clock.now());
    assert_eq!(bench.problems(), [(Severity::Warning, "policy")]);
    assert!(bench.sources.problems()[0].message.ends_with("bad.cedar:3: does not parse"));
    bench.sources.refusals.note("policy", &Ok(()), bench.sources.clock.now());
    assert_eq!(bench.problems(), []);
}

#[test]
fn what_the_status_shows_can_be_scraped() {
    let mut bench = Bench::new(store::log::Config { disk_free_bytes_min: u64::MAX, ..Default::default() });
    let later = bench.sources.clock.now();
    bench.sources.refusals.note("policy", &Err("does not parse".into()), later);
    let expires = bench.sources.status().certificates[0].not_after.unix_ms() / 1000;
    let folder = bench.site.folder.root().to_owned();
    std::fs::rename(&folder, folder.with_extension("away")).unwrap();
    bench.log.reopen().unwrap_err();
    std::fs::rename(folder.with_extension("away"), &folder).unwrap();
    let sources = Arc::new(bench.sources);
    let mut registry = Registry::with_prefix("gapura");
    register(&sources, &mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let value = |series: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {text}")).parse::<f64>().unwrap()
    };
    let at = |ms: i64| ms as f64 / 1000.0;
    for (series, expected) in [
        ("gapura_ready", 0.0),
        ("gapura_problems{severity=\"critical\",what=\"log\"}", 1.0),
        ("gapura_problems{severity=\"warning\",what=\"disk\"}", 1.0),
        ("gapura_files_refused{what=\"policy\"}", 1.0),
        ("gapura_time_seconds", at(sources.clock.now().unix_ms())),
        ("gapura_start_time_seconds", at(sources.started_at.unix_ms())),
        ("gapura_certificate_expires_timestamp_seconds{certificate=\"gateway\"}", expires as f64),
        ("gapura_doors_registered", 5.0),
        ("gapura_doors_online", 0.0),
        ("gapura_doors_clock_off", 0.0),
        ("gapura_log_disk_free_bytes_min", u64::MAX as f64),
    ] {
        assert!((value(series) - expected).abs() < 1.0, "{series} is {}, not {expected}", value(series));
    }
    assert!(value("gapura_log_disk_free_bytes") > 0.0 && value("gapura_log_file_bytes") > 0.0);
    assert!(!text.contains("gapura_upstream_failing_since"), "no upstream, so none that fails");
}

#[test]
fn a_missing_certificate_is_a_warning() {
    let bench = Bench::new(store::log::Config { disk_free_bytes_min: 0, ..Default::default() });
    std::fs::remove_file(bench.site.folder.gateway_certificate()).unwrap();
    assert_eq!(bench.problems(), [(Severity::Warning, "certificate")]);
    assert!(bench.sources.problems()[0].message.contains("gateway.pem"));
}

#[test]
fn the_certificates_that_doors_need_become_critical_when_they_expire() {
    let bench = Bench::new(store::log::Config { disk_free_bytes_min: 0, ..Default::default() });
    let expires = bench.sources.status().certificates[0].not_after;
    let days = expires.ms_since(bench.sources.clock.now()) / DAY_MS;
    bench.later(days - CERTIFICATE_WARNING_DAYS - 1);
    assert_eq!(bench.problems(), []);
    bench.later(2);
    assert_eq!(bench.problems(), [(Severity::Warning, "certificate")]);
    assert!(bench.sources.problems()[0].message.starts_with("the certificate of the gateway expires at"));
    bench.later(CERTIFICATE_WARNING_DAYS);
    assert_eq!(bench.problems()[0], (Severity::Critical, "certificate"));
    assert!(bench.sources.problems()[0].message.starts_with("the certificate of the gateway has expired at"));
}

#[test]
fn a_certificate_that_doors_do_without_never_becomes_critical() {
    let certificate = |not_after_ms| Certificate {
        name: "upstream client",
        path: "upstream.pem".into(),
        doors_need_it: false,
        not_after: Ok(Instant::from_unix_ms(not_after_ms)),
    };
    let now = Instant::from_unix_ms(100 * DAY_MS);
    for (days, severity) in [(50, Some(Severity::Warning)), (101, Some(Severity::Warning)), (114, None), (200, None)] {
        assert_eq!(certificate(days * DAY_MS).problem(now).map(|problem| problem.severity), severity, "{days}");
    }
}

#[test]
fn an_upstream_that_fails_or_refuses_is_a_warning() {
    let since = Instant::from_unix_ms(7);
    let failing = UpstreamStatus {
        backlog: 12,
        failing_since: Some(since),
        error: Some("connection refused".into()),
        quarantined: vec![(3, 4), (9, 9)],
        ..UpstreamStatus::default()
    };
    let expected = [
        Problem::new(Severity::Warning, "upstream", "12 events wait, nothing is lost: connection refused", Some(since)),
        Problem::new(
            Severity::Warning,
            "quarantine",
            "the upstream has refused 2 ranges of events for good; see quarantined",
            None,
        ),
    ];
    assert_eq!(upstream_problems(&failing).collect::<Vec<_>>(), expected);
    assert_eq!(upstream_problems(&UpstreamStatus { backlog: 5, ..UpstreamStatus::default() }).count(), 0);
}
