//! What people get wrong, and what they are told: where it is, what is wrong, and what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use base::site::{Authority, SiteFolder, Validity};
use jiff::{SignedDuration, Timestamp};

use crate::harness::{
    BLACK, Client, Connect, GREEN, NAMES, RED, Reader, SITE, Site, UNKNOWN, VISITOR, Version, YELLOW, eventually,
    unused_port,
};

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_line_the_reason_and_the_remedy() {
    let site = Site::make(&["main-in"]);
    let gapura_toml = fs::read_to_string(site.configuration()).unwrap();
    let appended = |lines: &str| format!("{gapura_toml}\n{lines}\n");
    let line = gapura_toml.lines().count() + 2;
    let at = |line: usize| format!("gapura.toml:{line}");
    let door = |rest: &str| format!("[main-in]\nzone = \"main\"\n{rest}\n");
    let other = Site::make(&["main-in"]);
    let of_other = |name: &str| fs::read_to_string(other.file(name)).unwrap();
    for (file, content, parts) in [
        ("gapura.toml", "[site".into(), vec!["gapura.toml:1"]),
        ("gapura.toml", gapura_toml.replace("Asia/Makassar", "Asia/Nowhere"), vec!["gapura.toml", "time_zone", "IANA"]),
        ("gapura.toml", gapura_toml.replace("\"regency\"", "\"The Regency\""), vec!["gapura.toml:", "a-z"]),
        ("gapura.toml", appended("lisen = \"x\""), vec!["gapura.toml:", "unknown field `lisen`", "list every setting"]),
        ("gapura.toml", appended("[doors]"), vec![&at(line), "unknown field `doors`", "list every setting"]),
        ("gapura.toml", appended("[upstream]"), vec!["gapura.toml", "[upstream] url", "https"]),
        ("gapura.toml", appended("[upstream]\nurl = \"http://192.0.2.1/\""), vec!["[upstream] url", "use https"]),
        ("gapura.toml", appended("[upstream]\nurl = \"https://192.0.2.1/\""), vec!["[upstream] ca is missing"]),
        ("doors.toml", door("mode = \"strict\""), vec!["doors.toml:3", "strict", "enforce"]),
        ("doors.toml", door("colour = \"red\""), vec!["doors.toml:3", "colour"]),
        ("doors.toml", "[Main]\nzone = \"main\"\n".into(), vec!["doors.toml:1", "a-z"]),
        ("zones.toml", "[mian]\n".into(), vec!["doors.toml:", "main-in leads into main", "did you mean mian?"]),
        (
            "gapura.toml",
            gapura_toml.replace("\"regency\"", "\"regents\""),
            vec!["ca.pem", "of site regency", "not of regents"],
        ),
        (
            "gapura.toml",
            gapura_toml
                .replace("# listen = \"127.0.0.1:8080\"", "listen = \"127.0.0.1:8883\"")
                .replace("# listen = \"0.0.0.0:8883\"", "listen = \"0.0.0.0:8883\""),
            vec!["[http] listen: 127.0.0.1:8883"],
        ),
        ("policy/default.cedar", "permit (".into(), vec!["default.cedar:1"]),
        (
            "policy/default.cedar",
            "\n\n@id(\"mood\") permit (principal, action, resource) when { context.mood == \"good\" };".into(),
            vec!["default.cedar:3", "mood"],
        ),
        (
            "policy/default.cedar",
            "permit (principal, action, resource);".into(),
            vec!["default.cedar: policy 1 of this file", "@id"],
        ),
        ("policy/schema.cedarschema", "entity".into(), vec!["schema.cedarschema"]),
        ("pki/gateway.pem", "nonsense".into(), vec!["gateway.pem", "not PEM text", "BEGIN CERTIFICATE"]),
        ("pki/gateway.pem", of_other("pki/gateway.pem"), vec!["gateway.key", "does not belong to", "gateway.pem"]),
        ("pki/gateway.key", of_other("pki/ca.pem"), vec!["gateway.key", "PRIVATE KEY", "name the file with the key"]),
        ("pki/ca.pem", of_other("pki/ca.pem"), vec!["ca.pem", "of the same site"]),
        ("pki/crl.pem", of_other("pki/crl.pem"), vec!["crl.pem", "another authority", "of the same site"]),
        ("secrets/badge.key", "1234".into(), vec!["badge.key", "64"]),
        ("secrets/admin.token", "1234".into(), vec!["admin.token", "64"]),
    ] {
        let good = fs::read(site.file(file)).unwrap();
        fs::write(site.file(file), &content).unwrap();
        // What the check passes must run; what must not run, the check must find.
        for command in ["check-config", "run"] {
            let said = site.say(&[command]);
            assert!(
                !said.success && said.stdout.is_empty(),
                "`{command}` took {file} with {content:?}: {}",
                said.stdout
            );
            for part in &parts {
                assert!(said.stderr.contains(part), "{file}: {:?} does not say {part:?}", said.stderr);
            }
        }
        fs::write(site.file(file), good).unwrap();
    }
    assert!(site.must(&["check-config"]).contains("all well"));
}

#[tokio::test]
async fn a_file_that_was_there_at_the_last_start_and_has_vanished_is_missed() {
    let site = Site::make(&["main-in"]);
    site.must(&["token", "add", "desk", "--role", "viewer"]);
    site.replace("trust/revoked.toml", "passes = []\n");
    site.run().await.terminate().await;
    for (file, remedy) in [
        ("doors.toml", "put one there with a comment in it"),
        ("zones.toml", "put one there with a comment in it"),
        ("calendar.toml", "put one there with a comment in it"),
        ("tokens.toml", "put one there with a comment in it"),
        ("trust/revoked.toml", "put one there with a comment in it"),
        ("trust/health", "put it back"),
        ("policy/texts/en.ftl", "put it back"),
        ("data/directory.redb", "import everybody anew with --replace"),
        ("data", "data"),
    ] {
        let away = site.beside("away");
        fs::rename(site.file(file), &away).unwrap();
        for command in ["check-config", "run"] {
            let said = site.say(&[command]);
            assert!(!said.success && said.stdout.is_empty(), "`{command}` took a site without {file}: {said:?}");
            assert!(said.stderr.contains(file) && said.stderr.contains(remedy), "{file}: {}", said.stderr);
        }
        if file.ends_with(".toml") {
            fs::write(site.file(file), "").unwrap();
            assert!(site.say(&["check-config"]).stderr.contains(&format!("{file} is empty")), "{file}");
        }
        fs::rename(&away, site.file(file)).unwrap();
    }
    assert!(site.must(&["check-config"]).contains("all well"));
    // Whoever means it says so in the file.
    site.replace("zones.toml", "# none\n");
    fs::remove_file(site.file("data/directory.redb")).unwrap();
    let people = site.beside("one.csv");
    fs::write(&people, "person,class,badge,status\nC-0001,asn,CONTOH-BADGE-GREEN,green\n").unwrap();
    let people = people.to_str().unwrap();
    // A few people do not pass for all.
    let said = site.say(&["import", "people", people]);
    assert!(!said.success && said.stderr.contains("directory.redb is not there any more"), "{said:?}");
    site.must(&["import", "people", people, "--replace"]);
    assert!(site.must(&["check-config"]).contains(" 1 credentials"));
}

#[test]
fn what_a_start_would_stumble_over_is_found_before() {
    let site = Site::make(&["main-in"]);
    for (file, content) in
        [("data/log.redb", "garbage"), ("data/vault.redb", "garbage"), ("data/directory.redb", "garbage")]
    {
        let before = fs::read(site.file(file)).ok();
        fs::write(site.file(file), content).unwrap();
        for command in ["check-config", "run"] {
            let said = site.say(&[command]);
            assert!(!said.success && said.stderr.contains(file), "`{command}`: {said:?}");
        }
        assert_eq!(fs::read_to_string(site.file(file)).unwrap(), content, "it may be somebody's");
        match before {
            Some(before) => fs::write(site.file(file), before).unwrap(),
            None => fs::remove_file(site.file(file)).unwrap(),
        }
    }
    for (file, mode, good) in [
        ("pki/gateway.key", 0o644, false),
        ("pki/ca.key", 0o640, false),
        ("secrets/badge.key", 0o604, false),
        ("secrets/admin.token", 0o666, false),
        ("pki/gateway.key", 0o400, true),
        ("pki/ca.pem", 0o644, true),
    ] {
        let before = fs::metadata(site.file(file)).unwrap().permissions();
        fs::set_permissions(site.file(file), fs::Permissions::from_mode(mode)).unwrap();
        let said = site.say(&["check-config"]);
        let named = said.stderr.contains(&format!("{file} has mode {mode:04o}")) && said.stderr.contains("chmod 600");
        assert_eq!((said.success, named), (good, !good), "{file}: {said:?}");
        fs::set_permissions(site.file(file), before).unwrap();
    }
    fs::remove_file(site.file("policy/texts/en.ftl")).unwrap();
    site.configure("listen = \"192.0.2.9:8080\"");
    let said = site.say(&["check-config"]);
    // All that is wrong at once.
    for part in ["texts/en.ftl: is missing", "192.0.2.9:8080", "name an address of this machine"] {
        assert!(!said.success && said.stderr.contains(part), "{said:?}");
    }
}

#[test]
fn a_zone_that_is_not_declared_gets_no_door() {
    let site = Site::make(&["main-in"]);
    site.replace("zones.toml", "[main]\n");
    let said = site.say(&["door", "add", "side", "--zone", "mian"]);
    assert!(!said.success && said.stderr.contains("does not declare the zone mian, did you mean main?"), "{said:?}");
    site.must(&["door", "add", "side", "--zone", "main"]);
    site.must(&["token", "add", "desk", "--role", "helper", "--door", "side"]);
    let doors = fs::read_to_string(site.file("doors.toml")).unwrap();
    site.replace("doors.toml", &doors.replace("[side]", "[sidd]"));
    let said = site.say(&["check-config"]);
    assert!(
        !said.success && said.stderr.contains("the door side") && said.stderr.contains("did you mean sidd?"),
        "{said:?}"
    );
}

#[test]
fn a_variable_that_cannot_be_used_is_named() {
    let site = Site::make(&["main-in"]);
    for (variable, value, parts) in [
        ("GAPURA_MQTT__LISTEN", "nowhere", ["mqtt.listen", "socket address"]),
        ("GAPURA_MQTT__LISSTEN", "127.0.0.1:0", ["mqtt", "lissten"]),
        ("GAPURA_LISTEN", "127.0.0.1:0", ["GAPURA_LISTEN", "GAPURA_MQTT__LISTEN"]),
        ("GAPURA_SCANS__QUEUE_EVENTS_MAX", "0", ["[scans] queue_events_max", "1 to"]),
        ("GAPURA_MQTT__PLAINTEXT_LISTEN", "0.0.0.0:1883", ["plaintext_listen", "loopback"]),
    ] {
        let output = site.gapura(&["check-config"]).env(variable, value).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{variable}={value} was taken");
        for part in parts {
            assert!(stderr.contains(part), "{variable}={value}: {stderr:?} does not say {part:?}");
        }
    }
}

#[test]
fn people_who_cannot_be_imported_are_named_by_line_and_column_and_nobody_is_imported() {
    let site = Site::make(&["main-in"]);
    let csv = site.beside("bad.csv");
    let head = "person,name,class,opd,badge,status,status_until\n";
    for (content, parts) in [
        (String::new(), vec!["bad.csv"]),
        ("name,badge\nContoh X,B\n".into(), vec!["bad.csv: line 1", "person"]),
        (format!("{}\n", head.trim().replace("opd", "office")), vec!["bad.csv", "line 1", "column 4", "opd"]),
        (format!("{head}X-1,Contoh X,boss,,B-X1,green,\n"), vec!["line 2, column class", "asn", "--skip-bad"]),
        (format!("{head}X-1,Contoh X,asn,,B-X1,pink,\n"), vec!["line 2, column status", "green"]),
        (format!("{head}X-1,Contoh X,asn,,B-X1,green,soon\n"), vec!["line 2, column status_until"]),
        (format!("{head},Contoh X,asn,,B-X1,green,\n"), vec!["line 2, column person"]),
        (
            format!("{head}X-1,Contoh X,asn,,B-X1,green,\nX-2,Contoh Y,asn,,B-X1,green,\n"),
            vec!["line 3, column badge", "line 2", "nothing was imported"],
        ),
    ] {
        fs::write(&csv, &content).unwrap();
        let said = site.say(&["import", "people", csv.to_str().unwrap()]);
        assert!(!said.success, "{content:?} was imported: {}", said.stdout);
        for part in parts {
            assert!(said.stderr.contains(part), "{content:?}: {:?} does not say {part:?}", said.stderr);
        }
        assert!(!said.stderr.contains("Contoh") && !said.stderr.contains("B-X1"), "personal data: {:?}", said.stderr);
    }
    assert!(site.must(&["check-config"]).contains(" 205 credentials"), "nobody was imported");
}

#[test]
fn a_command_that_cannot_be_done_says_why_and_what_to_do() {
    let site = Site::make(&["main-in"]);
    let root = site.root().display().to_string();
    let nowhere = site.beside("nowhere/gapura.toml").display().to_string();
    for (arguments, parts) in [
        (vec!["init", &root, "--site", SITE], ["is not empty", "choose a folder"]),
        (vec!["init", &site.beside("new").display().to_string(), "--site", "The Regency"], ["The Regency", "a-z"]),
        (vec!["door", "add", "main-in", "--zone", "main"], ["main-in exists already", "gapura door renew"]),
        (vec!["door", "add", "Main", "--zone", "main"], ["Main", "a-z"]),
        (vec!["door", "add", "side", "--zone", "Main Hall"], ["Main Hall", "a-z"]),
        (vec!["door", "add", "side"], ["--zone", "--help"]),
        (vec!["door", "revoke", "side"], ["side", "gapura door"]),
        (vec!["door", "renew", "side"], ["side", "gapura door"]),
        (vec!["import", "people", "/nowhere.csv"], ["/nowhere.csv", "cannot be opened"]),
        (vec!["check-config", "--config", &nowhere], ["nowhere/gapura.toml", "gapura init"]),
        (vec!["rum"], ["rum", "--help"]),
    ] {
        // A --config of its own outweighs the site's: the last one counts.
        let arguments: Vec<&str> = arguments.iter().map(|argument| &**argument).collect();
        let said = if arguments.contains(&"--config") { run_bare(&site, &arguments) } else { site.say(&arguments) };
        assert!(!said.success, "{arguments:?}: {}", said.stdout);
        for part in parts {
            assert!(said.stderr.contains(part), "{arguments:?}: {:?} does not say {part:?}", said.stderr);
        }
    }
    assert!(site.must(&["door", "list"]).lines().count() == 2, "no door was added");
    assert!(site.must(&["check-config"]).contains("all well"));
}

#[tokio::test]
async fn a_second_gateway_on_the_same_data_is_refused_and_the_first_goes_on() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    reader.scan(1, GREEN).await;
    let ports = [unused_port(), unused_port()].map(|port| format!("127.0.0.1:{port}"));
    let mut second = site.gapura(&["run"]);
    second.env("GAPURA_MQTT__LISTEN", &ports[0]).env("GAPURA_HTTP__LISTEN", &ports[1]);
    for output in [second.output().unwrap(), site.gapura(&["log", "verify"]).output().unwrap()] {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{output:?}");
        assert!(stderr.contains(".redb is in use by another process; is a gateway running"), "{stderr}");
    }
    assert!(reader.scan(2, GREEN).await.decision.open);
    assert_eq!(gateway.events().await.len(), 2);
}

#[test]
fn a_log_that_is_something_else_or_damaged_is_refused_and_left_alone() {
    let site = Site::make(&["main-in"]);
    for (content, part) in [(&b"a shopping list"[..], "is not a log of this gateway"), (&[0; 8192], "log.redb")] {
        fs::write(site.file("data/log.redb"), content).unwrap();
        for command in [&["run"][..], &["log", "verify"], &["log", "export"]] {
            let said = site.say(command);
            assert!(!said.success && said.stderr.contains(part), "{command:?}: {said:?}");
        }
        assert_eq!(fs::read(site.file("data/log.redb")).unwrap(), content, "it may be somebody's");
    }
}

#[test]
fn a_certificate_that_has_expired_is_named_with_its_last_moment() {
    let site = Site::make(&["main-in"]);
    let folder = SiteFolder::new(site.root());
    let days_ago = |days: i64| (Timestamp::now() - SignedDuration::from_hours(24 * days)).into();
    let expired = Validity { from: days_ago(9), until: days_ago(2) };
    let issued = Authority::open(&folder, &SITE.parse().unwrap()).unwrap().issue_gateway(&[], expired).unwrap();
    site.replace("pki/gateway.pem", &issued.certificate_pem);
    site.replace("pki/gateway.key", issued.key_pem.reveal());
    for command in ["check-config", "run"] {
        let said = site.say(&[command]);
        let last_moment = format!("gateway.pem expired at {}", issued.not_after);
        assert!(!said.success && said.stderr.contains(&last_moment), "{command}: {said:?}");
    }
    site.must(&["renew"]);
    site.must(&["check-config"]);
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_with_its_setting() {
    let (site, other) = (Site::make(&["main-in"]), Site::make(&["main-in"]));
    let gateway = site.run().await;
    for (variable, other_variable, taken, setting) in [
        ("GAPURA_MQTT__LISTEN", "GAPURA_HTTP__LISTEN", gateway.mqtt, "[mqtt] listen"),
        ("GAPURA_HTTP__LISTEN", "GAPURA_MQTT__LISTEN", gateway.http, "[http] listen"),
    ] {
        let mut run = other.gapura(&["run"]);
        let output = run.env(variable, taken.to_string()).env(other_variable, "127.0.0.1:0").output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(stderr.contains(setting) && stderr.contains(&taken.to_string()), "{stderr}");
    }
}

#[tokio::test]
async fn no_name_and_no_badge_is_in_anything_that_is_not_asked_for_with_the_token() {
    let mut site = Site::make(&["main-in"]);
    site.set("RUST_LOG", "trace");
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let badges = [GREEN, YELLOW, RED, BLACK, VISITOR, UNKNOWN];
    for (badge, seq) in badges.into_iter().zip(1..) {
        reader.scan(seq, badge).await;
    }
    let torn = String::from_utf8(reader.payload(7, GREEN, SignedDuration::ZERO)).unwrap().replace("\"v\":1", "\"v\":2");
    reader.send(7, torn.as_bytes()).await;
    let nonsense = reader.begin(format!("{{\"credential\":\"{GREEN}\"").as_bytes()).await;
    reader.acknowledged(nonsense).await;
    eventually("all are counted", async || gateway.metric("scans_kept_total", &[]).await == 8.0).await;

    // What only a developer wants to know.
    let mut other = Client::dial(&site, &gateway, "doors", "main-in").await.unwrap();
    other.hello(&Connect::new(Version::V5, "somebody")).await.ok();
    // It keeps its end open, of which only a trace is left.
    eventually("everything that can be logged is", async || gateway.stderr().contains("TRACE")).await;

    let status = gateway.get_anonymously("/api/v1/status").await;
    let mut shown = vec![gateway.metrics().await, status.text().await.unwrap()];
    for path in ["/", "/readyz?verbose", "/api/v1/events", "/nowhere"] {
        shown.push(gateway.get_anonymously(path).await.text().await.unwrap());
    }
    let refused = gateway.get_anonymously("/api/v1/events").await.status();
    assert_eq!(refused, 401);
    // Whoever has the token sees persons by their id, and never a badge.
    let events = serde_json::to_string(&gateway.events().await).unwrap();
    assert!(events.contains("C-0001") && !events.contains("CONTOH-BADGE") && !events.contains(NAMES), "{events}");
    shown.push(gateway.stderr());
    for text in &shown {
        for secret in badges.into_iter().chain([NAMES, "C-0001", site.token()]) {
            assert!(!text.contains(secret), "{secret} is shown: {text}");
        }
    }
}

/// A command without the site's configuration in front.
fn run_bare(site: &Site, arguments: &[&str]) -> crate::harness::Said {
    let mut command = std::process::Command::new(site.gapura(&[]).get_program());
    command.args(arguments).output().unwrap().into()
}
