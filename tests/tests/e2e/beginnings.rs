//! First steps that are cut off or made by somebody else: they can be taken again.
//!
//! A limit on the size of files that a command may write ends it in the middle of making one.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{DEADLINE, GREEN, Reader, SITE, Said, Site, Version, program};

/// Limits in blocks of 512 bytes, less than a new database needs.
const BLOCKS: [u32; 6] = [0, 1, 7, 8, 9, 64];

/// An account that is not the one that runs the tests.
const OTHER: u32 = 10_001;

#[test]
fn a_first_import_that_is_cut_off_can_be_made_again() {
    let site = Site::make(&["main-in"]);
    let people = site.beside("people.csv");
    let import = ["import", "people", people.to_str().unwrap()];
    for blocks in BLOCKS {
        fs::remove_file(site.file("data/directory.redb")).unwrap();
        let said = wrapped(&["sh", "-c", "ulimit -f \"$0\"; exec \"$@\"", &blocks.to_string()], &site.gapura(&import));
        assert!(!said.success, "{blocks} blocks: {said:?}");
        assert!(site.must(&["check-config"]).contains(" 0 credentials"), "{blocks} blocks");
        site.must(&import);
        assert!(site.must(&["check-config"]).contains(" 205 credentials"), "{blocks} blocks");
    }
    let left: Vec<_> = fs::read_dir(site.file("data")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["directory.redb"]);
}

#[tokio::test]
async fn a_first_start_that_is_cut_off_can_be_made_again() {
    let site = Site::make(&["main-in"]);
    for blocks in BLOCKS {
        let mut run = site.gapura(&["run"]);
        run.env("GAPURA_MQTT__LISTEN", "127.0.0.1:0").env("GAPURA_HTTP__LISTEN", "127.0.0.1:0");
        let mut limited = wrapping(&["sh", "-c", "ulimit -f \"$0\"; exec \"$@\"", &blocks.to_string()], &run);
        let mut running = limited.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while running.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < DEADLINE, "{blocks} blocks are enough");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(site.must(&["check-config"]).contains("all well"), "{blocks} blocks");
    }
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    assert!(reader.scan(1, GREEN).await.decision.open);
}

#[test]
fn a_site_whose_making_is_cut_off_can_be_made_again() {
    let place = Site::make(&["main-in"]);
    for (name, exists) in [("new", false), ("mounted", true)] {
        let dir = place.beside(name);
        if exists {
            fs::create_dir(&dir).unwrap();
        }
        let mut init = program(std::path::Path::new(place.gapura(&[]).get_program()));
        init.args(["init", dir.to_str().unwrap(), "--site", SITE]);
        let cut = wrapped(&["sh", "-c", "ulimit -f 1; exec \"$@\"", "-"], &init);
        assert!(!cut.success && dir.exists() && dir.read_dir().unwrap().count() > 1, "{cut:?}");
        let made: Said = init.output().unwrap().into();
        assert!(made.success, "{made:?}");
        let again: Said = init.output().unwrap().into();
        assert!(!again.success && again.stderr.contains("is not empty"), "{again:?}");
    }
}

#[test]
fn what_root_makes_in_a_site_is_the_sites_owners() {
    if !rustix::process::geteuid().is_root() {
        println!("only root can give files away: nothing is checked");
        return;
    }
    let site = Site::make(&["main-in"]);
    fs::remove_file(site.file("data/directory.redb")).unwrap();
    // As `chown -R` after `gapura init`.
    fs::set_permissions(site.root().parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    for path in everything(&site.root()) {
        chown(&path, Some(OTHER), Some(OTHER)).unwrap();
    }
    site.must(&["import", "people", site.beside("people.csv").to_str().unwrap()]);
    site.must(&["token", "add", "desk", "--role", "viewer"]);
    site.must(&["door", "add", "side", "--zone", "main"]);
    site.must(&["helper", "add", "guard"]);
    site.must(&["renew"]);
    for path in everything(&site.root()) {
        assert_eq!(fs::metadata(&path).unwrap().uid(), OTHER, "{}", path.display());
    }
    let other = OTHER.to_string();
    let as_owner = ["setpriv", "--reuid", &other, "--regid", &other, "--clear-groups"];
    let reachable = wrapped(&as_owner, &site.gapura(&["--version"]));
    if !reachable.success {
        println!("another account cannot run the program where it was built: {}", reachable.stderr);
        return;
    }
    let said = wrapped(&as_owner, &site.gapura(&["check-config"]));
    assert!(said.success && said.stdout.contains(" 205 credentials, "), "{said:?}");

    // One that came in another way is named, with whose it is and what helps; root notices it as well.
    for file in ["data/directory.redb", "doors.toml", "secrets/badge.key", "pki/gateway.key"] {
        let path = site.file(file);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(0), Some(0)).unwrap();
        let said = wrapped(&as_owner, &site.gapura(&["check-config"]));
        for part in [file, "belongs to root (mode 0600)", &format!("chown {OTHER}: ")] {
            assert!(!said.success && said.stderr.contains(part), "{file}: {} does not say {part}", said.stderr);
        }
        if file.starts_with("data/") {
            let said = site.say(&["check-config"]);
            assert!(!said.success && said.stderr.contains("belongs to root and its folder to"), "{said:?}");
        }
        chown(&path, Some(OTHER), Some(OTHER)).unwrap();
    }
    assert!(wrapped(&as_owner, &site.gapura(&["check-config"])).success);
}

/// A folder, and what is in it at any depth.
fn everything(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let inside = fs::read_dir(folder).into_iter().flatten().flat_map(|entry| everything(&entry.unwrap().path()));
    std::iter::once(folder.to_owned()).chain(inside).collect()
}

/// Runs a command by another program, to its end.
fn wrapped(by: &[&str], command: &Command) -> Said {
    wrapping(by, command).output().unwrap().into()
}

fn wrapping(by: &[&str], command: &Command) -> Command {
    let (first, rest) = by.split_first().unwrap();
    let mut wrapped = program(std::path::Path::new(first));
    wrapped.args(rest).arg(command.get_program()).args(command.get_args());
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped
}
