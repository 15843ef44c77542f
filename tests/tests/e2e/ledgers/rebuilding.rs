//! Whatever happens to `views.redb` while the gateway is stopped: doors work at once, and the ledgers say the same as before.

use std::fs;
use std::path::Path;

use super::past::{answers, assert_same, scans, site};
use crate::harness::{GREEN, Reader, Site, Version};

/// Whoever comes in between.
const VISITOR: &str = "C-0001";

/// One way to damage the file.
type Harm = (&'static str, fn(&Site, &Path));

const HARMS: [Harm; 9] = [
    ("nothing", |_, _| ()),
    ("deleted", |_, file| fs::remove_file(file).unwrap()),
    ("the first page is flipped", |_, file| flip(file, |at, _| at < 512)),
    ("every 997th byte is flipped", |_, file| flip(file, |at, _| at % 997 == 0)),
    ("the second half is flipped", |_, file| flip(file, |at, len| at > len / 2)),
    ("cut in the middle", |_, file| {
        fs::File::options().write(true).open(file).unwrap().set_len(length(file) / 2).unwrap()
    }),
    ("empty", |_, file| fs::write(file, b"").unwrap()),
    ("rubbish", |_, file| fs::write(file, b"rubbish ".repeat(1 << 16)).unwrap()),
    // What another version has left: a good database, with other tables.
    ("another database", |site, file| {
        fs::copy(site.file("data/directory.redb"), file).unwrap();
    }),
];

fn length(file: &Path) -> u64 {
    fs::metadata(file).unwrap().len()
}

fn flip(file: &Path, which: fn(usize, usize) -> bool) {
    let mut bytes = fs::read(file).unwrap();
    let len = bytes.len();
    bytes.iter_mut().enumerate().filter(|(at, _)| which(*at, len)).for_each(|(_, byte)| *byte ^= 0x55);
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn the_ledgers_say_the_same_after_any_damage_to_their_file_and_doors_wait_for_nothing() {
    let (site, days) = site();
    let mut gateway = site.run().await;
    for (door, scans) in ["main-in", "office"].into_iter().zip(scans(&days)) {
        Reader::connect(&site, &gateway, door, Version::V5).await.bring(&scans).await;
    }
    let before = answers(&gateway, &days, &[VISITOR]).await;
    for ((harm, does), round) in HARMS.into_iter().zip(1..) {
        assert!(gateway.terminate().await.success(), "{harm}");
        does(&site, &site.file("data/views.redb"));
        gateway = site.run().await;
        let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
        reader.epoch = 1 + round;
        assert!(reader.scan(1, GREEN).await.decision.open, "{harm}");
        let now = answers(&gateway, &days, &[VISITOR]).await;
        assert_same(&now, &before, harm);
        reader.leave(2, GREEN).await;
        assert!(gateway.problem_when("ledgers", false).await.is_none(), "{harm}");
    }
    assert!(gateway.terminate().await.success());
    site.must(&["log", "verify"]);
}
