//! Files that change: taken over, refused, tried again.

use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;

/// A file whose text is in force when it starts with "good".
struct Bench {
    folder: TempDir,
    in_force: Arc<Mutex<String>>,
    tries: Arc<AtomicU64>,
    refusals: Refusals,
    metrics: Metrics,
    ask: watch::Sender<u64>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Bench {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "good 1").unwrap();
        let in_force = Arc::new(Mutex::new("good 1".to_owned()));
        let tries = Arc::new(AtomicU64::new(0));
        let reload = {
            let (path, in_force, tries) = (folder.path().join("file"), Arc::clone(&in_force), Arc::clone(&tries));
            move || {
                tries.fetch_add(1, Ordering::Relaxed);
                let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
                if !text.starts_with("good") {
                    return Err(format!("{text} is not good"));
                }
                *in_force.lock().unwrap() = text;
                Ok(())
            }
        };
        let reloadable = Reloadable {
            what: "file",
            paths: vec![folder.path().to_owned(), folder.path().join("file")],
            vanishing: Vanishing::Refused,
            reload: Arc::new(reload),
        };
        let (ask, asked) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let refusals = Refusals::default();
        let metrics = Metrics::new(&mut Registry::default());
        let clock = Clock::new(|| Instant::from_unix_ms(5_000));
        let running = run(vec![reloadable], refusals.clone(), metrics.clone(), clock, asked, stopped);
        Self { folder, in_force, tries, refusals, metrics, ask, stop, running: tokio::spawn(running) }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("file")
    }

    /// Puts a file in place as a whole.
    fn replace(&self, text: &str) {
        let new = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(new.path(), text).unwrap();
        new.persist(self.path()).unwrap();
    }

    fn in_force(&self) -> String {
        self.in_force.lock().unwrap().clone()
    }

    fn tries(&self) -> u64 {
        self.tries.load(Ordering::Relaxed)
    }

    fn counted(&self, result: &'static str) -> u64 {
        self.metrics.reloads.get_or_create(&ReloadLabels { what: "file", result }).get()
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(Duration::from_secs(30), self.running).await.unwrap().unwrap();
    }
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Monotonic::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Monotonic::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_changed_file_is_taken_over() {
    let bench = Bench::start();
    bench.replace("good 2");
    wait_until("it is in force", || bench.in_force() == "good 2").await;
    wait_until("it is counted", || bench.counted("taken") == 1).await;
    // The same size, and written in place.
    std::fs::write(bench.path(), "good 3").unwrap();
    wait_until("it is in force", || bench.in_force() == "good 3").await;
    assert!(bench.refusals.problems().is_empty());
    bench.stop().await;
}

#[tokio::test]
async fn a_change_before_the_first_look_is_noticed() {
    let bench = Bench::start();
    // The task has not run yet: this test has not waited for anything.
    bench.replace("good 2");
    wait_until("it is in force", || bench.in_force() == "good 2").await;
    bench.stop().await;
}

#[tokio::test]
async fn a_bad_file_is_refused_and_the_problem_stays_until_it_is_mended() {
    let bench = Bench::start();
    bench.replace("bad 2");
    wait_until("it is refused", || bench.counted("refused") == 1).await;
    assert_eq!(bench.in_force(), "good 1");
    let expected = Problem {
        severity: Severity::Warning,
        what: "file".into(),
        message: "not reloaded, the old one stays in force: bad 2 is not good".into(),
        since: Some(Instant::from_unix_ms(5_000)),
    };
    assert_eq!(bench.refusals.problems(), std::slice::from_ref(&expected));
    bench.replace("bad 3");
    wait_until("it is refused", || bench.counted("refused") == 2).await;
    let message = expected.message.replace("bad 2", "bad 3");
    assert_eq!(bench.refusals.problems(), [Problem { message, ..expected }]);
    bench.replace("good 4");
    wait_until("it is in force", || bench.in_force() == "good 4").await;
    wait_until("the problem is gone", || bench.refusals.problems().is_empty()).await;
    bench.stop().await;
}

#[tokio::test]
async fn what_was_refused_is_tried_again_although_its_file_does_not_change() {
    let bench = Bench::start();
    let elsewhere = bench.folder.path().join("elsewhere");
    std::fs::write(&elsewhere, "bad 2").unwrap();
    std::fs::remove_file(bench.path()).unwrap();
    std::os::unix::fs::symlink(&elsewhere, bench.path()).unwrap();
    wait_until("it is refused", || bench.counted("refused") == 1).await;
    let tries = bench.tries();
    wait_until("it is tried again", || bench.tries() > tries).await;
    // Said once, however often it is tried.
    assert_eq!((bench.counted("refused"), bench.refusals.problems().len()), (1, 1));
    bench.stop().await;
}

#[tokio::test]
async fn a_missing_file_is_refused_until_it_is_back() {
    let bench = Bench::start();
    std::fs::remove_file(bench.path()).unwrap();
    wait_until("it is refused", || bench.refusals.problems().len() == 1).await;
    assert!(bench.refusals.problems()[0].message.contains("is not there any more; put it back"));
    // Not even when everything is read again; and nothing asks a reader what it makes of a file that is not there.
    bench.ask.send_modify(|times| *times += 1);
    wait_until("it is refused once more", || bench.counted("refused") >= 1).await;
    assert_eq!((bench.tries(), bench.in_force().as_str()), (0, "good 1"));
    bench.replace("\n");
    wait_until("another reason", || bench.refusals.problems()[0].message.contains("is empty")).await;
    assert_eq!(bench.tries(), 0);
    bench.replace("good 1");
    wait_until("the problem is gone", || bench.refusals.problems().is_empty()).await;
    bench.stop().await;
}

#[tokio::test]
async fn when_asked_everything_is_read_again() {
    let bench = Bench::start();
    bench.ask.send_modify(|times| *times += 1);
    wait_until("it was read", || bench.tries() == 1).await;
    wait_until("it is counted", || bench.counted("taken") == 1).await;
    bench.stop().await;
}

#[tokio::test]
async fn it_goes_on_when_nobody_can_ask_any_more() {
    let Bench { folder, in_force, stop, running, ask, .. } = Bench::start();
    drop(ask);
    std::fs::write(folder.path().join("file"), "good 2").unwrap();
    wait_until("it is in force", || *in_force.lock().unwrap() == "good 2").await;
    stop.send_replace(true);
    tokio::time::timeout(Duration::from_secs(30), running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_change_is_taken_over_when_two_looks_find_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(folder.path().join("file"), text).unwrap();
    write("1");
    let paths = vec![folder.path().join("file")];
    let mut watched =
        Watched::new(Reloadable { what: "file", paths, vanishing: Vanishing::Refused, reload: Arc::new(|| Ok(())) });
    assert!(!watched.is_due().await);
    for half in ["12", "123", "1234"] {
        write(half);
        assert!(!watched.is_due().await, "{half}");
    }
    assert!(watched.is_due().await);
    watched.dealt_with.clone_from(&watched.seen);
    assert!(!watched.is_due().await);
}
