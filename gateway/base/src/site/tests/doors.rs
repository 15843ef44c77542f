//! The list of doors and what is issued for them.

use std::collections::HashSet;
use std::fs;
use std::thread;

use protocol::{DoorId, Mode};
use rcgen::{CertificateParams, KeyPair};

use crate::door_list::{Door, ModePlan};
use crate::site::testing::{Site, new_door, now};
use crate::site::*;

fn id(door: &str) -> DoorId {
    door.parse().unwrap()
}

#[test]
fn an_added_door_is_listed_with_its_certificate() {
    let site = Site::with_doors(&["main-out"]);
    let door = NewDoor { zone: "lobby".to_owned(), mode: Mode::Enforce, ..new_door("main-in") };
    let handed_out = add_door(&site.folder, door, now()).unwrap();
    let listed = list_doors(&site.folder).unwrap();
    assert_eq!(listed.iter().map(|door| door.door.as_str()).collect::<Vec<_>>(), ["main-in", "main-out"]);
    let main_in = listed.first().unwrap();
    assert_eq!((main_in.zone.as_str(), main_in.mode.clone()), ("lobby", Some(ModePlan::always(Mode::Enforce))));
    let certificate = main_in.certificate.as_ref().unwrap();
    assert_eq!(certificate.not_after, handed_out.not_after);
    assert!(!certificate.revoked);
    assert_eq!(certificate.serial.len(), 32);
}

#[test]
fn the_list_keeps_what_people_wrote_into_it() {
    let site = Site::with_doors(&[]);
    let path = site.folder.doors_toml();
    let written = "# ours\n[old] # the old door\nzone = 'yard'   # mode follows\nmode = \"enforce\"";
    fs::write(&path, written).unwrap();
    add_door(&site.folder, new_door("main-in"), now()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(written), "{text}");
    let doors = read_doors(&path).unwrap();
    assert_eq!(
        doors.get(&id("old")).unwrap(),
        &Door { zone: "yard".to_owned(), mode: Some(ModePlan::always(Mode::Enforce)) }
    );
    assert_eq!(
        doors.get(&id("main-in")).unwrap(),
        &Door { zone: "main".to_owned(), mode: Some(ModePlan::always(Mode::Observe)) }
    );
}

#[test]
fn a_door_is_added_once() {
    let site = Site::with_doors(&["main-in"]);
    let before = fs::read(site.folder.doors_toml()).unwrap();
    let issued = fs::read(site.folder.issued()).unwrap();
    for doors in [vec![new_door("main-in")], vec![new_door("annex"), new_door("annex")]] {
        let error = add_doors(&site.folder, &doors, now()).unwrap_err();
        assert!(matches!(error, SiteError::DoorExists { .. }), "{error}");
    }
    let error = add_door(&site.folder, NewDoor { zone: "Main Hall\"".to_owned(), ..new_door("hall") }, now());
    assert!(matches!(error.unwrap_err(), SiteError::Zone { .. }));
    assert_eq!(fs::read(site.folder.doors_toml()).unwrap(), before);
    assert_eq!(fs::read(site.folder.issued()).unwrap(), issued);
}

#[test]
fn a_mistake_in_the_list_is_named() {
    let site = Site::with_doors(&[]);
    let path = site.folder.doors_toml();
    for (text, named) in [
        ("[main-in]\nzone = \"main\"\nmode = \"shut\"\n", "line 3"),
        ("[main-in]\nzone = \"main\"\ncolour = \"red\"\n", "line 3"),
        ("[main-in]\nzone = \"Main Hall\"\n", "line 2"),
        ("[main-in]\nmode = \"observe\"\n", "zone"),
        ("[Main]\nzone = \"main\"\n", "Main"),
        ("[main-in\n", "line 1"),
    ] {
        fs::write(&path, text).unwrap();
        let error = read_doors(&path).unwrap_err();
        assert!(error.to_string().contains("doors.toml"), "{error}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(named), "{cause}");
    }
}

#[test]
fn a_reader_may_keep_its_key() {
    let site = Site::with_doors(&[]);
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    let csr = site.write("reader.csr", &request);
    let handed_out = add_door(&site.folder, NewDoor { csr: Some(csr.clone()), ..new_door("main-in") }, now()).unwrap();
    assert_eq!(handed_out.key, None);
    assert!(handed_out.certificate.exists());
    assert!(!site.folder.door_key(&id("main-in")).exists());

    // The key of an earlier certificate does not stay beside a certificate that it does not belong to.
    reissue_door(&site.folder, &id("main-in"), None, now()).unwrap();
    assert!(site.folder.door_key(&id("main-in")).exists());
    reissue_door(&site.folder, &id("main-in"), Some(&csr), now()).unwrap();
    assert!(!site.folder.door_key(&id("main-in")).exists());

    let bad = site.write("bad.csr", "nonsense");
    let error = add_door(&site.folder, NewDoor { csr: Some(bad), ..new_door("annex") }, now()).unwrap_err();
    assert!(error.to_string().contains("bad.csr"), "{error}");
    assert!(read_doors(&site.folder.doors_toml()).unwrap().get(&id("annex")).is_none());
}

#[test]
fn revoking_a_door_takes_back_all_that_it_ever_got() {
    let site = Site::with_doors(&["main-in", "main-out"]);
    reissue_door(&site.folder, &id("main-in"), None, now()).unwrap();
    reissue_door(&site.folder, &id("main-in"), None, now()).unwrap();
    let done = revoke_door(&site.folder, &id("main-in"), AfterRevocation::Nothing, now()).unwrap();
    assert_eq!(done, DoorRevocation { newly_revoked: 3, reissued: None });
    let revoked = |door: &str| {
        let listed = list_doors(&site.folder).unwrap();
        let door = listed.into_iter().find(|listing| listing.door.as_str() == door).unwrap();
        door.certificate.unwrap().revoked
    };
    assert!(revoked("main-in"));
    assert!(!revoked("main-out"));

    let done = revoke_door(&site.folder, &id("main-in"), AfterRevocation::Reissue(None), now()).unwrap();
    assert_eq!(done.newly_revoked, 0);
    assert!(done.reissued.unwrap().key.unwrap().exists());
    assert!(!revoked("main-in"));
}

#[test]
fn a_certificate_that_only_lies_in_the_folder_is_revoked_too() {
    let site = Site::with_doors(&["main-in"]);
    fs::write(site.folder.issued(), super::super::issued::HEADER).unwrap();
    let done = revoke_door(&site.folder, &id("main-in"), AfterRevocation::Nothing, now()).unwrap();
    assert_eq!(done.newly_revoked, 1);
}

#[test]
fn a_door_that_never_was_is_named() {
    let site = Site::with_doors(&["main-in"]);
    let errors = [
        revoke_door(&site.folder, &id("annex"), AfterRevocation::Nothing, now()).unwrap_err(),
        revoke_door(&site.folder, &id("annex"), AfterRevocation::Reissue(None), now()).unwrap_err(),
        reissue_door(&site.folder, &id("annex"), None, now()).unwrap_err(),
    ];
    for error in errors {
        assert!(error.to_string().contains("annex") && error.to_string().contains("gapura door list"), "{error}");
    }
}

#[test]
fn many_doors_are_added_in_one_go() {
    let site = Site::with_doors(&[]);
    let doors: Vec<NewDoor> = (0..200).map(|number| new_door(&format!("door-{number:03}"))).collect();
    let handed_out = add_doors(&site.folder, &doors, now()).unwrap();
    assert_eq!(handed_out.len(), 200);
    let listed = list_doors(&site.folder).unwrap();
    let serials: HashSet<String> =
        listed.iter().filter_map(|door| door.certificate.as_ref()).map(|one| one.serial.clone()).collect();
    assert_eq!((listed.len(), serials.len()), (200, 200));
}

#[test]
fn commands_at_the_same_time_do_not_lose_each_others_work() {
    let site = Site::with_doors(&[]);
    thread::scope(|scope| {
        for number in 0..8 {
            let folder = &site.folder;
            scope.spawn(move || {
                let name = format!("door-{number}");
                add_door(folder, new_door(&name), now()).unwrap();
                revoke_door(folder, &id(&name), AfterRevocation::Nothing, now()).unwrap();
            });
        }
    });
    let listed = list_doors(&site.folder).unwrap();
    assert_eq!(listed.len(), 8);
    assert!(listed.iter().all(|door| door.certificate.as_ref().unwrap().revoked));
}

#[test]
fn a_line_that_was_never_finished_is_dropped() {
    let site = Site::with_doors(&["main-in"]);
    let path = site.folder.issued();
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.clone() + "4f00,door:ann").unwrap();
    assert_eq!(list_doors(&site.folder).unwrap().len(), 1);
    add_door(&site.folder, new_door("annex"), now()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&whole));
    assert_eq!(text.lines().count(), whole.lines().count() + 1);

    for damage in ["nonsense\n", "zz,door:a,2030-01-01T00:00:00Z,2029-01-01T00:00:00Z\n"] {
        fs::write(&path, whole.clone() + damage).unwrap();
        let error = list_doors(&site.folder).unwrap_err().to_string();
        assert!(error.contains(&format!("issued.csv, line {}", whole.lines().count() + 1)), "{error}");
    }
}
