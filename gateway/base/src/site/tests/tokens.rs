//! Tokens are made, found and taken out again, and the file keeps what people wrote into it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use protocol::{DoorId, Instant};

use crate::site::testing::{Site, now};
use crate::site::*;
use crate::tokens::TokenRole;

fn name(name: &str) -> DoorId {
    name.parse().unwrap()
}

fn new(token: &str) -> NewToken {
    NewToken { name: name(token), role: TokenRole::Helper, until: None, doors: Vec::new() }
}

#[test]
fn a_token_is_shown_once_and_only_its_hash_is_kept() {
    let site = Site::with_doors(&["main-in"]);
    assert!(list_tokens(&site.folder).unwrap().is_empty());
    let until = Instant::from_unix_ms(now().unix_ms() + 60_000);
    let order = NewToken { until: Some(until), doors: vec![name("main-in")], ..new("lobby") };
    let secret = add_token(&site.folder, order, now()).unwrap();
    let other = add_token(&site.folder, NewToken { role: TokenRole::Admin, ..new("night") }, now()).unwrap();
    assert!(secret != other && !format!("{secret:?}").contains(secret.reveal()));

    let path = site.folder.tokens_toml();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(secret.reveal()) && text.starts_with("# The access tokens"));
    let tokens = list_tokens(&site.folder).unwrap();
    let found = tokens.find(secret.reveal().as_bytes()).unwrap();
    assert_eq!((found.name.as_str(), found.role, found.until), ("lobby", TokenRole::Helper, Some(until)));
    assert_eq!(found.doors, Some(vec![name("main-in")]));
    assert_eq!(tokens.find(other.reveal().as_bytes()).unwrap().role, TokenRole::Admin);
}

#[test]
fn a_revoked_token_is_gone_and_everything_else_stays_as_it_was() {
    let site = Site::with_doors(&[]);
    for token in ["a", "b", "c"] {
        add_token(&site.folder, new(token), now()).unwrap();
    }
    let path = site.folder.tokens_toml();
    let commented = fs::read_to_string(&path).unwrap().replace("[c]", "# the night shift's\n[c]");
    fs::write(&path, &commented).unwrap();
    revoke_token(&site.folder, &name("b")).unwrap();
    let left = list_tokens(&site.folder).unwrap();
    assert_eq!(left.iter().map(|token| token.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("# The access tokens") && text.contains("# the night shift's\n[c]"), "{text}");
    let error = revoke_token(&site.folder, &name("b")).unwrap_err();
    assert!(matches!(error, SiteError::UnknownToken { .. }), "{error}");

    // As a person may write it: nothing is guessed.
    let inline = text.replace("[a]\nrole", "a.role").replacen("\nhash", "\na.hash", 1);
    fs::write(&path, &inline).unwrap();
    let error = revoke_token(&site.folder, &name("a")).unwrap_err();
    assert!(matches!(error, SiteError::TokenLayout { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), inline);
}

#[test]
fn a_token_that_could_not_work_is_not_made() {
    let site = Site::with_doors(&["main-in"]);
    add_token(&site.folder, new("lobby"), now()).unwrap();
    let before = fs::read_to_string(site.folder.tokens_toml()).unwrap();
    for (order, words) in [
        (new("lobby"), "already"),
        (new("admin"), "already"),
        (NewToken { doors: vec![name("main-on")], ..new("x") }, "main-on"),
        (NewToken { until: Some(now()), ..new("x") }, "over already"),
        (NewToken { role: TokenRole::Admin, doors: vec![name("main-in")], ..new("x") }, "valid list of tokens"),
    ] {
        let error = add_token(&site.folder, order, now()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(fs::read_to_string(site.folder.tokens_toml()).unwrap(), before);
    fs::write(site.folder.tokens_toml(), "[lobby]\nrole = \"king\"\n").unwrap();
    let error = list_tokens(&site.folder).unwrap_err();
    assert!(error.to_string().contains("tokens.toml"), "{error}");
}

#[test]
fn a_token_is_made_anew_and_the_administrators_can_be_revoked() {
    let site = Site::with_doors(&["main-in"]);
    let folder = &site.folder;
    let admin = "admin".parse().unwrap();
    let first = admin_token(folder).unwrap().unwrap();
    revoke_token(folder, &admin).unwrap();
    assert_eq!(admin_token(folder).unwrap(), None);
    let renewed = renew_token(folder, &admin).unwrap();
    let hash = admin_token(folder).unwrap().unwrap();
    assert!(hash == blake3::hash(renewed.reveal().as_bytes()) && hash != first);
    std::fs::write(folder.admin_token(), "1234").unwrap();
    assert!(admin_token(folder).unwrap_err().to_string().contains("gapura token renew admin"));
    renew_token(folder, &admin).unwrap();

    let name: protocol::DoorId = "desk".parse().unwrap();
    let until = Some(protocol::Instant::from_unix_ms(now().unix_ms() + 60_000));
    let new = NewToken {
        name: name.clone(),
        role: crate::tokens::TokenRole::Helper,
        until,
        doors: vec!["main-in".parse().unwrap()],
    };
    let old = add_token(folder, new, now()).unwrap();
    let before = list_tokens(folder).unwrap().find(old.reveal().as_bytes()).cloned().unwrap();
    let renewed = renew_token(folder, &name).unwrap();
    let tokens = list_tokens(folder).unwrap();
    let after = tokens.find(renewed.reveal().as_bytes()).cloned().unwrap();
    assert_eq!(crate::tokens::Token { hash: before.hash, ..after }, before);
    assert!(tokens.find(old.reveal().as_bytes()).is_none() && tokens.len() == 1);
    assert!(matches!(renew_token(folder, &"nobody".parse().unwrap()), Err(SiteError::UnknownToken { .. })));
}
