//! Making a folder, and finding things in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::site::testing::{Site, now};
use crate::site::*;

fn options() -> InitOptions<'static> {
    InitOptions {
        site: "regency".parse().unwrap(),
        time_zone: "Asia/Makassar".to_owned(),
        host_names: Vec::new(),
        policy_files: &[("policy.cedar", "permit(principal, action, resource);\n")],
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_secret_is_its_owners_alone() {
    let site = Site::with_doors(&["main-in"]);
    let folder = &site.folder;
    for path in [folder.root().to_owned(), folder.data(), folder.policy(), folder.doors(), folder.secrets()] {
        assert_eq!(mode(&path), 0o700, "{}", path.display());
    }
    let door = "main-in".parse().unwrap();
    for path in
        [folder.ca_key(), folder.gateway_key(), folder.door_key(&door), folder.badge_key(), folder.admin_token()]
    {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!(fs::read_to_string(folder.policy().join("policy.cedar")).unwrap(), "// none\n");
    assert_eq!(fs::read_dir(folder.data()).unwrap().count(), 0);
}

#[test]
fn a_site_is_made_once() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("site");
    let folder = init(&dir, &options(), now()).unwrap().folder;
    let before = fs::read(folder.ca_key()).unwrap();
    let error = init(&dir, &options(), now()).unwrap_err();
    assert!(matches!(error, SiteError::NotEmpty { .. }), "{error}");
    assert!(error.to_string().contains(&dir.display().to_string()));
    assert_eq!(fs::read(folder.ca_key()).unwrap(), before);

    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(init(&file, &options(), now()).unwrap_err(), SiteError::NotAFolder { .. }));
}

#[test]
fn a_site_that_was_left_unfinished_is_made_anew_and_nothing_of_others_is_touched() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("site");
    let folder = init(&dir, &options(), now()).unwrap().folder;
    assert!(!dir.join(".unfinished-init").exists());
    let finished = fs::read(folder.ca_key()).unwrap();
    // As if it had been cut off anywhere: the marker is made first and removed last.
    fs::write(dir.join(".unfinished-init"), "").unwrap();
    fs::remove_file(folder.admin_token()).unwrap();
    fs::write(dir.join("mine"), "a note").unwrap();
    assert!(matches!(init(&dir, &options(), now()), Err(SiteError::NotEmpty { .. })));
    assert_eq!(fs::read_to_string(dir.join("mine")).unwrap(), "a note");
    fs::remove_file(dir.join("mine")).unwrap();
    fs::write(folder.data().join("log.redb"), "a log").unwrap();
    assert!(matches!(init(&dir, &options(), now()), Err(SiteError::NotEmpty { .. })));
    assert_eq!(fs::read(folder.ca_key()).unwrap(), finished);
    fs::remove_file(folder.data().join("log.redb")).unwrap();
    init(&dir, &options(), now()).unwrap();
    assert!(fs::read(folder.ca_key()).unwrap() != finished && folder.admin_token().exists());
    assert!(matches!(init(&dir, &options(), now()), Err(SiteError::NotEmpty { .. })));
}

#[test]
fn an_empty_folder_becomes_private() {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    init(place.path(), &options(), now()).unwrap();
    assert_eq!(mode(place.path()), 0o700);
}

#[test]
fn options_are_checked_before_anything_is_made() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("site");
    let bad = [
        (InitOptions { time_zone: "Mars/Olympus".to_owned(), ..options() }, "Asia/Makassar"),
        (InitOptions { host_names: vec!["not a host".to_owned()], ..options() }, "not a host"),
        (InitOptions { policy_files: &[("../policy.cedar", "")], ..options() }, "../policy.cedar"),
        (InitOptions { policy_files: &[("more/of/policy.cedar", "")], ..options() }, "more/of/policy.cedar"),
        (InitOptions { policy_files: &[("", "")], ..options() }, "plain file name"),
    ];
    for (options, named) in bad {
        let message = init(&dir, &options, now()).unwrap_err().to_string();
        assert!(message.contains(named), "{message}");
        assert!(!dir.exists());
    }
}

#[test]
fn the_configuration_is_filled_in_and_valid() {
    let site = Site::with_doors(&[]);
    let text = fs::read_to_string(site.folder.gapura_toml()).unwrap();
    let configuration: toml::Table = toml::from_str(&text).unwrap();
    let section = configuration.get("site").unwrap();
    assert_eq!(section.get("name").unwrap().as_str(), Some("regency"));
    assert_eq!(section.get("time_zone").unwrap().as_str(), Some("Asia/Makassar"));
    assert_eq!(site.folder.site().unwrap(), site.id);

    // Every setting that is a comment is valid once it is none.
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(setting) if setting.starts_with('[') || setting.split_once(" = ").is_some_and(|(key, _)| is_key(key)) => {
            setting
        }
        _ => line,
    });
    let all: toml::Table = toml::from_str(&lines.collect::<Vec<_>>().join("\n")).unwrap();
    assert!(all.get("upstream").unwrap().get("url").is_some());
    assert!(all.get("mqtt").unwrap().get("listen").is_some());
}

fn is_key(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[test]
fn the_token_is_kept_as_a_hash_only() {
    let place = tempfile::tempdir().unwrap();
    let made = init(&place.path().join("site"), &options(), now()).unwrap();
    let token = made.admin_token.reveal();
    assert_eq!(token.len(), 43);
    let kept = fs::read_to_string(made.folder.admin_token()).unwrap();
    assert_eq!(kept.trim_end(), blake3::hash(token.as_bytes()).to_hex().as_str());
    assert!(!format!("{made:?}").contains(token));
    let badge_key = fs::read_to_string(made.folder.badge_key()).unwrap();
    assert_eq!(from_hex(badge_key.trim_end()).unwrap().len(), 32);
}

#[test]
fn a_folder_that_is_no_site_is_named() {
    let place = tempfile::tempdir().unwrap();
    let folder = SiteFolder::new(place.path());
    let message = list_doors(&folder).unwrap_err().to_string();
    assert!(message.contains("doors.toml") && message.contains("gapura init"), "{message}");
    let message = revoke_door(&folder, &"main-in".parse().unwrap(), AfterRevocation::Nothing, now()).unwrap_err();
    assert!(message.to_string().contains("gapura init"), "{message}");
}

#[test]
fn a_site_is_found_by_its_configuration() {
    assert_eq!(SiteFolder::of_configuration(Path::new("/etc/gapura/gapura.toml")), SiteFolder::new("/etc/gapura"));
    assert_eq!(SiteFolder::of_configuration(Path::new("gapura.toml")), SiteFolder::new("."));
}

#[test]
fn hex_digits_are_read_back() {
    assert_eq!(from_hex(&hex(&[0, 1, 0xfe])), Some(vec![0, 1, 0xfe]));
    for bad in ["0", "0g", "é"] {
        assert_eq!(from_hex(bad), None, "{bad}");
    }
}
#[test]
fn a_replaced_file_keeps_its_permissions_and_a_dead_commands_leftover_is_no_obstacle() {
    let site = Site::with_doors(&["main-in"]);
    let path = site.folder.crl();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let leftover = path.with_file_name("crl.pem.new");
    fs::write(&leftover, "half").unwrap();
    revoke_door(&site.folder, &"main-in".parse().unwrap(), AfterRevocation::Nothing, now()).unwrap();
    assert_eq!(mode(&path), 0o640);
    assert!(!leftover.exists());
}
