//! What was destroyed is nowhere any more, and nothing else is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use redb::{ReadableDatabase, ReadableTable};

use super::super::storage::{KEYS, SUBJECTS};
use super::*;

const CACHE_BYTES: usize = 1 << 20;

/// A folder with a vault in it.
pub(super) struct Site {
    pub folder: tempfile::TempDir,
}

impl Site {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("vault.redb")
    }

    pub fn open(&self) -> Vault {
        Vault::open(&self.path(), CACHE_BYTES).unwrap()
    }

    /// Whether these bytes stand in any file of the folder.
    fn holds(&self, bytes: &[u8]) -> bool {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
        files.into_iter().any(|file| file.windows(bytes.len()).any(|found| found == bytes))
    }
}

/// Every secret in a closed vault that belongs to this number.
fn secrets(path: &Path, number: u64) -> Vec<[u8; 32]> {
    let database = redb::Database::open(path).unwrap();
    let transaction = database.begin_read().unwrap();
    let subjects = transaction.open_table(SUBJECTS).unwrap();
    let own = subjects.iter().unwrap().map(|entry| entry.unwrap().1.value());
    let own = own.filter(|(of, _)| *of == number).map(|(_, secret)| secret);
    let keys = transaction.open_table(KEYS).unwrap();
    let keys =
        keys.iter().unwrap().map(|entry| entry.unwrap()).map(|(place, secret)| (place.value().1, secret.value()));
    own.chain(keys.filter(|(of, _)| *of == number).map(|(_, secret)| secret)).collect()
}

fn restriction(reason: &str) -> Restriction {
    Restriction { reason: reason.into(), at: Instant::from_unix_ms(5), by: "officer".into() }
}

#[test]
fn what_was_destroyed_is_nowhere_in_the_folder_and_stays_sealed_also_after_a_restart() {
    let site = Site::new();
    let vault = site.open();
    let events = [
        of_person(1, "P-ERASED"),
        of_person(2, "P-STAYS"),
        malformed(3, "2026-11-20T00:00:00Z"),
        malformed(4, "2026-11-23T00:00:00Z"),
        testing::event(5),
    ];
    let encrypted = vault.encrypt(&events).unwrap();
    vault.restrict("P-ERASED", &restriction("OBJECTION")).unwrap();
    vault.restrict("P-STAYS", &restriction("DISPUTE")).unwrap();
    let checkpoint = vault.seal_checkpoint(5, b"state").unwrap();
    let (erased, stays) = (vault.number("P-ERASED").unwrap().unwrap(), vault.number("P-STAYS").unwrap().unwrap());
    drop(vault);
    let (gone, kept) = (secrets(&site.path(), erased), secrets(&site.path(), stays));
    assert_eq!((gone.len(), kept.len()), (2, 2));
    assert!(gone.iter().chain(&kept).all(|secret| site.holds(secret)) && site.holds(b"OBJECTION"));

    let vault = site.open();
    assert_eq!(opened(&vault, &encrypted), events);
    assert_eq!(vault.open_checkpoint(5, &checkpoint).as_deref(), Some(b"state".as_slice()));
    assert_eq!(vault.destroy(&["P-ERASED", "P-NEVER-SEEN"]).unwrap(), Destroyed { subjects: 3, keys: 3 });
    let check = |vault: &Vault| {
        let read = opened(vault, &encrypted);
        assert_eq!(read[0], encrypted[0]);
        assert_eq!((&read[2], &read[3]), (&encrypted[2], &encrypted[3]), "nobody knows whose they are");
        assert_eq!((&read[1], &read[4]), (&events[1], &events[4]));
        assert!(read[0].is_erased() && !read[1].is_erased());
        assert_eq!((vault.number("P-ERASED").unwrap(), vault.subject(erased).unwrap()), (None, None));
        assert_eq!(vault.number("P-STAYS").unwrap(), Some(stays));
        assert_eq!(vault.restriction("P-STAYS").unwrap(), Some(restriction("DISPUTE")));
        assert_eq!(vault.restriction("P-ERASED").unwrap(), None);
        assert_eq!(vault.open_checkpoint(5, &checkpoint), None);
        assert!(gone.iter().all(|secret| !site.holds(secret)));
        assert!(!site.holds(b"P-ERASED") && !site.holds(b"OBJECTION") && !site.holds(b"malformed:"));
        assert!(kept.iter().all(|secret| site.holds(secret)) && site.holds(b"P-STAYS"));
        assert_eq!(fs::read_dir(site.folder.path()).unwrap().count(), 1);
        assert_eq!(fs::metadata(site.path()).unwrap().permissions().mode() & 0o777, 0o600);
    };
    check(&vault);
    drop(vault);
    let vault = site.open();
    check(&vault);
    // Whoever comes back is somebody new.
    let back = vault.encrypt(&[of_person(6, "P-ERASED")]).unwrap();
    assert!(vault.number("P-ERASED").unwrap().unwrap() > erased);
    assert_eq!(opened(&vault, &back), [of_person(6, "P-ERASED")]);
    assert!(opened(&vault, &encrypted)[0].is_erased());
}

#[test]
fn old_months_expire_and_with_them_who_was_not_seen_since_unless_it_is_restricted() {
    let site = Site::new();
    let vault = site.open();
    let at = |number, person: &str, at: &str| Event { decided_at: at.parse().unwrap(), ..of_person(number, person) };
    let events = [
        at(1, "P-LEFT", "2026-09-01T00:00:00Z"),
        at(2, "P-RESTRICTED", "2026-09-01T00:00:00Z"),
        at(3, "P-COMES", "2026-09-30T23:59:59Z"),
        at(4, "P-COMES", "2026-10-01T00:00:00Z"),
    ];
    let encrypted = vault.encrypt(&events).unwrap();
    vault.restrict("P-RESTRICTED", &restriction("DISPUTE")).unwrap();
    let checkpoint = vault.seal_checkpoint(4, b"state").unwrap();
    let october = Month::of("2026-10-05T00:00:00Z".parse().unwrap());
    assert_eq!(vault.expire(october.previous(), october.previous()).unwrap(), Destroyed::default());
    assert_eq!(opened(&vault, &encrypted), events);
    assert_eq!(vault.expire(october, october).unwrap(), Destroyed { subjects: 1, keys: 3 });
    assert_eq!(opened(&vault, &encrypted)[..3], encrypted[..3]);
    assert_eq!(opened(&vault, &encrypted)[3], events[3]);
    assert!(!site.holds(b"P-LEFT") && site.holds(b"P-RESTRICTED"));
    assert!(vault.restriction("P-RESTRICTED").unwrap().is_some());
    assert_eq!(vault.open_checkpoint(4, &checkpoint).as_deref(), Some(b"state".as_slice()), "nobody was erased");
    assert_eq!(vault.expire(october, october).unwrap(), Destroyed::default());
    assert!(vault.lift_restriction("P-RESTRICTED").unwrap());
    assert!(!vault.lift_restriction("P-RESTRICTED").unwrap());
    assert_eq!(vault.expire(october, october).unwrap(), Destroyed { subjects: 1, keys: 0 });
}

#[test]
fn what_malformed_scans_hold_expires_day_by_day() {
    let vault = Vault::in_memory().unwrap();
    let events = [
        malformed(1, "2026-11-20T23:59:59Z"),
        malformed(2, "2026-11-21T00:00:00Z"),
        of_person(3, "malformed"),
        of_person(4, "zebra"),
    ];
    let encrypted = vault.encrypt(&events).unwrap();
    let destroyed = vault.expire_malformed("2026-11-21T09:00:00+08:00".parse().unwrap()).unwrap();
    assert_eq!(destroyed, Destroyed { subjects: 1, keys: 1 });
    assert_eq!(opened(&vault, &encrypted)[0], encrypted[0]);
    assert_eq!(opened(&vault, &encrypted)[1..], events[1..]);
}

#[test]
fn a_pseudonym_stays_the_same_for_as_long_as_the_person_is_there() {
    let site = Site::new();
    let vault = site.open();
    let of = |vault: &Vault, person| vault.pseudonym(person).unwrap();
    let (one, other) = (of(&vault, "P-0001"), of(&vault, "P-0002"));
    assert!(one.starts_with("p-") && one.len() == 34 && one != other);
    let encrypted = vault.encrypt(&[of_person(1, "P-0001")]).unwrap();
    drop(vault);
    let vault = site.open();
    assert_eq!((of(&vault, "P-0001"), of(&vault, "P-0002")), (one.clone(), other.clone()));
    vault.destroy(&["P-0001"]).unwrap();
    assert_ne!(of(&vault, "P-0001"), one);
    assert_eq!(of(&vault, "P-0002"), other);
    assert!(opened(&vault, &encrypted)[0].is_erased());
}

#[test]
fn the_key_of_checkpoints_is_changed_only_when_it_was_used() {
    let vault = Vault::in_memory().unwrap();
    let file_before = Arc::clone(&vault.0.checkpoint.read().unwrap().key);
    vault.rotate_checkpoint_key().unwrap();
    assert!(Arc::ptr_eq(&file_before, &vault.0.checkpoint.read().unwrap().key));
    let encrypted = vault.seal_checkpoint(7, b"state").unwrap();
    assert_eq!(vault.open_checkpoint(8, &encrypted), None, "it covers something else");
    let events = vault.encrypt(&[of_person(1, "P-0001")]).unwrap();
    vault.rotate_checkpoint_key().unwrap();
    assert_eq!(vault.open_checkpoint(7, &encrypted), None);
    assert_eq!(opened(&vault, &events), [of_person(1, "P-0001")]);
}

#[test]
fn nobody_elses_keys_are_lost_while_some_are_destroyed() {
    let site = Site::new();
    let vault = site.open();
    let encrypted: Vec<(Event, Event)> = std::thread::scope(|threads| {
        let encrypting = ["A", "B"].map(|group| {
            let vault = vault.clone();
            let encrypt = move |number: u64| {
                let event = of_person(number, &format!("{group}-{}", number / 3));
                (vault.encrypt(std::slice::from_ref(&event)).unwrap().remove(0), event)
            };
            threads.spawn(move || (1..=60).map(encrypt).collect::<Vec<_>>())
        });
        for nth in 0..12 {
            vault.destroy(&[format!("C-{nth}")]).unwrap();
            vault.expire(month(), month()).unwrap();
            vault.encrypt(&[of_person(1, &format!("C-{}", nth + 1))]).unwrap();
        }
        encrypting.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    drop(vault);
    let vault = site.open();
    for (encrypted, event) in encrypted {
        assert_eq!(opened(&vault, &[encrypted]), [event]);
    }
}
