//! Opening a file: for whom it is, and each reason to refuse it.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use redb::TableDefinition;

use super::*;

const KIND: FileKind =
    FileKind { what: "a guest book", format: 3, if_foreign: "burn it", if_damaged: "copy it from the neighbours" };
const GUESTS: TableDefinition<'static, u64, &str> = TableDefinition::new("guests");
const CACHE_BYTES: usize = 1 << 20;

/// Where [`holds_a_file_for_another_process`] finds the file to hold.
const HELD: &str = "GAPURA_TEST_HELD_FILE";

fn made(path: &Path) -> Database {
    let database = KIND.open(path, CACHE_BYTES).unwrap();
    let is_new = KIND.prepare(path, &database, |transaction| {
        transaction.open_table(GUESTS)?.insert(1, "Ni Luh")?;
        Ok(())
    });
    assert!(is_new.unwrap());
    database
}

fn opened(path: &Path) -> Result<bool, OpenError> {
    let database = KIND.open(path, CACHE_BYTES)?;
    KIND.prepare(path, &database, |_| panic!("the file is not empty"))
}

#[test]
fn a_new_file_is_for_its_owner_alone_and_there_when_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guests.redb");
    assert!(KIND.open_to_read(&path, CACHE_BYTES).unwrap().is_none());
    drop(made(&path));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!opened(&path).unwrap());
    let database = KIND.open_to_read(&path, CACHE_BYTES).unwrap().unwrap();
    let guests = database.begin_read().unwrap().open_table(GUESTS).unwrap();
    assert_eq!(guests.get(1).unwrap().unwrap().value(), "Ni Luh");
}

#[test]
fn a_file_that_is_to_be_new_must_not_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guests.redb");
    drop(KIND.create(&path, CACHE_BYTES).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let Err(OpenError::System { source, .. }) = KIND.create(&path, CACHE_BYTES) else { panic!("it was made again") };
    assert_eq!(source.kind(), ErrorKind::AlreadyExists);
}

#[test]
fn a_file_that_another_process_has_is_in_use_until_that_process_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guests.redb");
    drop(made(&path));
    let mut holder = Holder::start(&path);
    let error = opened(&path).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    let shown = format!("{} is in use by another process; is a gateway running on this data folder?", path.display());
    assert_eq!(error.to_string(), shown);
    assert!(matches!(KIND.open_to_read(&path, CACHE_BYTES), Err(OpenError::InUse { .. })));
    let waited = while_in_use(RETRY_INTERVAL * 3, || opened(&path));
    assert!(matches!(waited, Err(OpenError::InUse { .. })));
    holder.end();
    assert!(!while_in_use(Duration::from_secs(20), || opened(&path)).unwrap());
}

/// Run by the test above, in a process of its own.
#[test]
#[ignore = "holds a file for another test"]
fn holds_a_file_for_another_process() {
    let Some(path) = std::env::var_os(HELD) else { return };
    let _held = KIND.open(Path::new(&path), CACHE_BYTES).unwrap();
    println!("\nheld");
    // Until the other process ends this one, or has ended itself.
    io::stdin().read_line(&mut String::new()).unwrap();
}

/// Another process that has the file.
struct Holder(Child);

impl Holder {
    fn start(path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "file::tests::holds_a_file_for_another_process", "--ignored", "--nocapture"])
            .env(HELD, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said =
            BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).any(|line| line == "held");
        assert!(said, "the other process did not open the file");
        Self(child)
    }

    fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.end();
        }
    }
}

#[test]
fn a_file_that_was_replaced_before_it_was_locked_is_not_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guests.redb");
    let old = made(&path);
    let new = KIND.create(&beside(&path), CACHE_BYTES).unwrap();
    exchange(&path).unwrap();
    drop(old);
    assert!(matches!(opened(&path), Err(OpenError::InUse { .. })), "the new file is in use");
    drop(new);
    assert!(KIND.prepare(&path, &KIND.open(&path, CACHE_BYTES).unwrap(), |_| Ok(())).unwrap(), "it is the new one");
    assert!(!beside(&path).exists());
    remove_if_there(&beside(&path)).unwrap();
}

#[test]
fn a_file_of_another_format_is_refused_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guests.redb");
    let database = made(&path);
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert(FORMAT_KEY, 4).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = opened(&path).unwrap_err();
    assert!(matches!(error, OpenError::OtherFormat { found: 4, known: 3, .. }), "{error:?}");
    assert!(error.to_string().ends_with(
        "guests.redb has format 4, this version reads format 3; use the version of the gateway that wrote it"
    ));
}

#[test]
fn a_file_of_something_else_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("text", b"not a database at all".as_slice()), ("zeros", &[0; 8192])] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let error = opened(&path).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{name}: {error:?}");
        assert_eq!(error.to_string(), format!("{} is not a guest book of this gateway; burn it", path.display()));
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    let path = folder.path().join("other.redb");
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(GUESTS).unwrap().insert(1, "Ni Luh").unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(opened(&path), Err(OpenError::Foreign { .. })), "a database without a format");
}

#[test]
fn a_damaged_file_is_refused_with_what_to_do_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guests.redb");
    drop(made(&path));
    let mut bytes = fs::read(&path).unwrap();
    // Both of redb's commit slots, which begin behind the file's magic number and its layout.
    bytes[64..320].fill(0xA5);
    fs::write(&path, &bytes).unwrap();
    let error = opened(&path).unwrap_err();
    assert!(matches!(error, OpenError::Unusable { .. }), "{error:?}");
    assert!(error.to_string().ends_with("check the disk, and copy it from the neighbours if it is damaged"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere").join("guests.redb");
    let error = opened(&path).unwrap_err();
    assert!(matches!(&error, OpenError::NoFolder { path: named } if *named == path), "{error:?}");
    let shown = "does not exist; create it, or name the right data folder";
    assert_eq!(error.to_string(), format!("the folder of {} {shown}", path.display()));
}

#[test]
fn a_file_that_the_system_does_not_give_is_named_with_the_systems_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut refused = vec![folder.path().to_path_buf()];
    // Who may read everything is not refused a file without permissions.
    if !rustix::process::geteuid().is_root() {
        let locked = folder.path().join("locked.redb");
        drop(made(&locked));
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
        refused.push(locked);
    }
    for path in refused {
        let error = opened(&path).unwrap_err();
        assert!(matches!(&error, OpenError::System { path: named, .. } if *named == path), "{error:?}");
        assert!(error.to_string().ends_with("check its owner, its permissions and the disk"), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[test]
fn a_probe_says_whether_a_file_would_open_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guests.redb");
    KIND.probe(&path).unwrap();
    assert!(!path.exists(), "nothing was made");
    assert!(matches!(KIND.probe(&folder.path().join("nowhere/guests.redb")), Err(OpenError::NoFolder { .. })));
    drop(KIND.create(&path, CACHE_BYTES).unwrap());
    KIND.probe(&path).unwrap();
    drop(made(&path));
    let mut holder = Holder::start(&path);
    KIND.probe(&path).unwrap();
    holder.end();
    // That process did not close it: whoever opens it next mends it.
    let left = fs::read(&path).unwrap();
    KIND.probe(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), left);
    drop(KIND.open(&path, CACHE_BYTES).unwrap());
    for garbage in [b"a shopping list".as_slice(), &[0; 8192]] {
        let path = folder.path().join("garbage");
        fs::write(&path, garbage).unwrap();
        assert!(matches!(KIND.probe(&path), Err(OpenError::Foreign { .. })));
        assert_eq!(fs::read(&path).unwrap(), garbage);
    }
    let other = FileKind { format: 4, ..KIND };
    assert!(matches!(other.probe(&path), Err(OpenError::OtherFormat { found: 3, known: 4, .. })));
}

#[test]
fn a_file_has_its_name_when_it_is_whole_and_what_was_left_unfinished_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guests.redb");
    let [own, others] = [unfinished(&path), folder.path().join("guests.redb.1.unfinished")];
    let names = || {
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    for left in [&own, &others] {
        fs::write(left, "half a database").unwrap();
    }
    fs::write(folder.path().join("guests.redb.unfinished-business"), "somebody's").unwrap();
    drop(made(&path));
    assert_eq!(names(), ["guests.redb", "guests.redb.unfinished-business"]);
    // What a version left that made files in their place.
    fs::write(&path, "").unwrap();
    drop(made(&path));
    assert!(!opened(&path).unwrap());

    // Nobody ever sees a half.
    let watched = folder.path().join("watched.redb");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut seen = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                match fs::read(&watched) {
                    Ok(bytes) => {
                        assert!(bytes.starts_with(b"redb") && bytes.len() > 4096, "{} bytes", bytes.len());
                        seen += 1;
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
                }
            }
            seen
        });
        let deadline = Monotonic::now() + Duration::from_secs(2);
        while Monotonic::now() < deadline {
            drop(KIND.open(&watched, CACHE_BYTES).unwrap());
            fs::remove_file(&watched).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(watching.join().unwrap() > 0);
    });
}

#[test]
fn several_that_make_a_file_at_once_have_the_same_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guests.redb");
    for _ in 0..20 {
        std::thread::scope(|scope| {
            for guest in 0..3 {
                let path = &path;
                scope.spawn(move || {
                    let database = while_in_use(Duration::from_secs(20), || KIND.open(path, CACHE_BYTES)).unwrap();
                    let transaction = database.begin_write().unwrap();
                    transaction.open_table(GUESTS).unwrap().insert(guest, "Ni Luh").unwrap();
                    transaction.commit().unwrap();
                });
            }
        });
        let database = KIND.open_to_read(&path, CACHE_BYTES).unwrap().unwrap();
        let guests = database.begin_read().unwrap().open_table(GUESTS).unwrap();
        assert_eq!(redb::ReadableTableMetadata::len(&guests).unwrap(), 3);
        drop(database);
        fs::remove_file(&path).unwrap();
    }
}
