//! The file: what is refused, what a crash leaves, and a disk that fails.

use redb::Database;

use super::destroy::Site;
use super::*;
use crate::file::OpenError;
use crate::log::faulty_disk::{Call, Disk, Fault};

fn refusal(site: &Site) -> VaultError {
    Vault::open(&site.path(), 1 << 20).err().unwrap()
}

#[test]
fn a_vault_is_there_when_it_is_opened_again_and_nobody_else_has_it_meanwhile() {
    let site = Site::new();
    let vault = site.open();
    assert!(vault.is_new() && vault.lost_through().is_none());
    let encrypted = vault.encrypt(&[of_person(1, "P-0001")]).unwrap();
    let shown = refusal(&site).to_string();
    assert!(shown.ends_with("vault.redb is in use by another process; is a gateway running on this data folder?"));
    vault.destroy(&["P-0009"]).unwrap();
    assert!(
        matches!(refusal(&site), VaultError::Open(OpenError::InUse { .. })),
        "the new file is in use as the old one was"
    );
    vault.note_lost(41).unwrap();
    drop(vault);
    let vault = site.open();
    assert!(!vault.is_new());
    assert_eq!(vault.lost_through(), Some(41));
    assert_eq!(opened(&vault, &encrypted), [of_person(1, "P-0001")]);
}

#[test]
fn what_an_interrupted_erasure_leaves_is_removed_and_the_vault_is_as_before() {
    let site = Site::new();
    let vault = site.open();
    let encrypted = vault.encrypt(&[of_person(1, "P-0001")]).unwrap();
    drop(vault);
    let leftover = crate::file::beside(&site.path());
    std::fs::copy(site.path(), &leftover).unwrap();
    let vault = site.open();
    assert!(!leftover.exists());
    // Also one that appears while the vault is open, when the disk was full on the first try.
    std::fs::write(&leftover, b"half a file").unwrap();
    assert_eq!(opened(&vault, &encrypted), [of_person(1, "P-0001")]);
    vault.destroy(&["P-0001"]).unwrap();
    assert!(opened(&vault, &encrypted)[0].is_erased() && !leftover.exists());
}

#[test]
fn files_of_something_else_are_refused_and_left_alone() {
    let site = Site::new();
    for content in [b"not a database at all".as_slice(), &[0; 8192]] {
        std::fs::write(site.path(), content).unwrap();
        assert!(matches!(refusal(&site), VaultError::Open(OpenError::Foreign { .. })));
        assert_eq!(std::fs::read(site.path()).unwrap(), content);
    }
    let make = |format: u64| {
        std::fs::remove_file(site.path()).unwrap();
        let database = Database::create(site.path()).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction
            .open_table(storage::META)
            .unwrap()
            .insert(if format == 0 { "x" } else { "format" }, format)
            .unwrap();
        transaction.commit().unwrap();
    };
    make(0);
    assert!(matches!(refusal(&site), VaultError::Open(OpenError::Foreign { .. })));
    make(FORMAT + 1);
    assert!(matches!(refusal(&site), VaultError::Open(OpenError::OtherFormat { found: 2, known: 1, .. })));
    let nowhere = site.folder.path().join("nowhere").join("vault.redb");
    assert!(
        matches!(Vault::open(&nowhere, 1 << 20), Err(VaultError::Open(OpenError::NoFolder { path })) if path == nowhere)
    );
}

#[test]
fn no_number_is_given_twice_also_when_an_older_copy_is_restored() {
    let site = Site::new();
    let number = |vault: &Vault, person| {
        vault.encrypt(&[of_person(1, person)]).unwrap();
        vault.number(person).unwrap().unwrap()
    };
    let vault = site.open();
    let first = number(&vault, "P-0001");
    vault.destroy(&["P-0001"]).unwrap();
    drop(vault);
    let copy = std::fs::read(site.path()).unwrap();
    let vault = site.open();
    let second = number(&vault, "P-0002");
    assert!(second > first);
    drop(vault);
    while clock_ms() <= second {
        std::hint::spin_loop();
    }
    std::fs::write(site.path(), copy).unwrap();
    assert!(number(&site.open(), "P-0003") > second);
    while clock_ms() <= second + 1 {
        std::hint::spin_loop();
    }
    std::fs::remove_file(site.path()).unwrap();
    assert!(number(&site.open(), "P-0004") > second + 1);
}

#[test]
fn a_disk_that_fails_seals_nothing_and_works_again_once_it_is_mended() {
    for passes in 0..3 {
        let disk = Disk::default();
        let vault = disk.open_vault();
        let first = vault.encrypt(&[of_person(1, "P-0001")]).unwrap();
        disk.fail(Fault { call: Call::Sync, passes, forgets: true });
        let mut failed = 0;
        for number in 2..6 {
            let event = of_person(number, &format!("P-000{number}"));
            match vault.encrypt(std::slice::from_ref(&event)) {
                Ok(encrypted) => assert_eq!(opened(&vault, &encrypted), [event]),
                Err(
                    VaultError::Write { .. }
                    | VaultError::Open(OpenError::Unusable { .. })
                    | VaultError::NotOpen { .. },
                ) => failed += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        assert!(failed > 0, "{passes}");
        disk.mend();
        let events: Vec<_> = (2..6).map(|number| of_person(number, &format!("P-000{number}"))).collect();
        let encrypted = vault.encrypt(&events).unwrap();
        assert_eq!(opened(&vault, &encrypted), events);
        assert_eq!(opened(&vault, &first), [of_person(1, "P-0001")]);
    }
}
