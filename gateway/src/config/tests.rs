//! Reading and checking of the configuration.

use super::*;

const SITE: &str = "[site]\nname = \"regency\"\ntime_zone = \"Asia/Makassar\"\n";

fn read(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gapura.toml");
    std::fs::write(&file, text).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::read(&file, environment).map_err(|error| error.to_string())
}

/// Read when the test runs: another test may have brought it up to date.
fn sample() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/gapura.toml")).unwrap()
}

#[test]
fn the_sample_configuration_is_valid() {
    let sample = sample();
    read(
        &sample.replace("{site}", "regency").replace("{time_zone}", "Asia/Makassar").replace("{since}", "2026-11-01"),
        &[],
    )
    .unwrap();
}

#[test]
fn every_setting_that_the_sample_shows_exists() {
    let sample = sample();
    let shown: String = sample
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.starts_with('[') || is_setting(setting) => setting,
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    read(
        &shown.replace("{site}", "regency").replace("{time_zone}", "Asia/Makassar").replace("{since}", "2026-11-01"),
        &[],
    )
    .unwrap();
}

fn is_setting(line: &str) -> bool {
    line.split_once(" = ").is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}

#[test]
fn the_environment_outweighs_the_file() {
    let environment = [
        ("GAPURA_HTTP__LISTEN", "127.0.0.1:0"),
        ("GAPURA_SCANS__QUEUE_EVENTS_MAX", "7"),
        ("HOME", "x"),
        (TOKEN, "no setting"),
    ];
    let config = read(&format!("{SITE}[http]\nlisten = \"127.0.0.1:9\"\n"), &environment).unwrap();
    assert_eq!((config.http.listen.port(), config.scans.queue_events_max), (0, 7));
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (text, environment, parts) in [
        (format!("{SITE}[mqtt]\nlisten = \"nowhere\"\n"), vec![], vec!["gapura.toml:5", "listing"]),
        (format!("{SITE}[mqtt]\nlissten = \"x\"\n"), vec![], vec!["gapura.toml:5", "lissten"]),
        (SITE.replace("regency", "Regency Hall"), vec![], vec!["gapura.toml:2", "a-z"]),
        (SITE.replace("Makassar", "Nowhere"), vec![], vec!["time_zone", "IANA"]),
        (format!("{SITE}[scans]\nqueue_events_max = 0\n"), vec![], vec!["[scans] queue_events_max", "1 to"]),
        (format!("{SITE}[attendance]\nstay_hours_max = 99\n"), vec![], vec!["[attendance] stay_hours_max", "1 to"]),
        (format!("{SITE}[attendance]\nupstream = true\n"), vec![], vec!["[attendance] upstream", "no [upstream]"]),
        (format!("{SITE}[contacts]\nminutes = 0\n"), vec![], vec!["[contacts] minutes", "1 to"]),
        (format!("{SITE}[privacy]\nevents_days = 0\n"), vec![], vec!["[privacy] events_days", "1 to 3650"]),
        (SITE.into(), vec![("GAPURA_SCANS__QUEUE_EVENTS_MAX", "many")], vec!["scans.queue_events_max"]),
        (SITE.into(), vec![("GAPURA_TOKENS", "x")], vec!["GAPURA_TOKENS", "GAPURA_MQTT__LISTEN"]),
        (SITE.into(), vec![("GAPURA_LISTEN", "x")], vec!["GAPURA_LISTEN", "GAPURA_MQTT__LISTEN"]),
    ] {
        let error = read(&text, &environment).unwrap_err();
        for part in parts.into_iter().filter(|part| *part != "listing") {
            assert!(error.contains(part), "{error:?} does not say {part:?}");
        }
    }
}

#[test]
fn every_mistake_is_told_with_its_line_or_variable_and_what_was_probably_meant() {
    for (text, environment, expected) in [
        ("[mqtt]\nlissten = 'x'", vec![], "gapura.toml:5: unknown field `lissten` in [mqtt], did you mean `listen`?"),
        (
            "[mqtt]\nlate_after_ms = 1",
            vec![],
            "gapura.toml:5: unknown field `late_after_ms` in [mqtt], it belongs to [scans]",
        ),
        ("[mqtt]\nzzz = 1", vec![], "gapura.toml:5: unknown field `zzz` in [mqtt]; the comments"),
        ("\n[monitor]", vec![], "gapura.toml:5: unknown field `monitor`, did you mean the section [monitors]?"),
        ("[mqtt]\nlisten = 'nowhere'", vec![], "gapura.toml:5: mqtt.listen: invalid socket address"),
        ("[http]\nhost_names = ['a', 3]", vec![], "gapura.toml:5: http.host_names[1]: invalid type"),
        ("[log]\n\nbatch_events_max = 0", vec![], "gapura.toml:6: [log] batch_events_max is 0, allowed are 1 to 65536"),
        (
            "[http]\nconnections_max = 8",
            vec![],
            "gapura.toml:4: [http] connections_per_address_max is 64, allowed is at most",
        ),
        ("mqtt = 3", vec![], "gapura.toml:4: unknown field `mqtt` in [site]"),
        (
            "",
            vec![("GAPURA_MQTT__LISSTEN", "x")],
            "variable GAPURA_MQTT__LISSTEN: unknown field `lissten` in [mqtt], did you",
        ),
        (
            "",
            vec![("GAPURA_LOG__CACHE_BYTES", "1")],
            "variable GAPURA_LOG__CACHE_BYTES: [log] cache_bytes is 1, allowed",
        ),
        ("", vec![("GAPURA_LOG__CACHE_BYTES", "x")], "variable GAPURA_LOG__CACHE_BYTES: log.cache_bytes: invalid type"),
    ] {
        let error = read(&format!("{SITE}{text}\n"), &environment).unwrap_err();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn what_has_changed_since_is_named_by_setting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gapura.toml");
    let write = |text: &str| std::fs::write(&file, format!("{SITE}{text}")).unwrap();
    write("[scans]\nqueue_events_max = 9\n");
    let environment = [("GAPURA_MQTT__IN_FLIGHT_MAX".to_owned(), "3".to_owned())];
    let config = Config::read(&file, environment.into_iter()).unwrap();
    assert_eq!(config.file(), file);
    let changes = || config.read_again().map(|new| config.differences(&new)).map_err(|error| error.to_string());
    assert_eq!(changes(), Ok(vec![]));
    // A comment changes nothing, nor does what the environment outweighs or holds anyway.
    write("# so\n[scans]\nqueue_events_max = 9\nlate_after_ms = 30000\n[mqtt]\nin_flight_max = 7\n");
    assert_eq!(changes(), Ok(vec![]));
    write("[scans]\nlate_after_ms = 1000\n[upstream]\nurl = \"http://127.0.0.1:9/\"\n");
    assert_eq!(changes().unwrap(), ["[scans] queue_events_max", "[scans] late_after_ms", "[upstream] url"]);
    write("[scans\n");
    assert!(changes().unwrap_err().contains("gapura.toml:4"));
    std::fs::remove_file(&file).unwrap();
    assert!(changes().unwrap_err().contains("cannot be read"));
}

#[test]
fn variables_of_others_are_no_settings_and_mistyped_settings_are_mistakes() {
    let of_others = [
        "GAPURA_SERVICE_HOST",
        "GAPURA_SERVICE_PORT",
        "GAPURA_SERVICE_PORT_MQTTS",
        "GAPURA_PORT",
        "GAPURA_PORT_8883_TCP",
        "GAPURA_PORT_8883_TCP_ADDR",
        "GAPURA_PORT_8883_TCP_PROTO",
        "GAPURA_HTTP_SERVICE_HOST",
        "GAPURA_HTTP_PORT_8080_TCP_PORT",
        "GAPURA_VERSION",
        "GAPURA_HOME",
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gapura.toml");
    std::fs::write(&file, SITE).unwrap();
    let environment = of_others.iter().map(|name| ((*name).to_owned(), "tcp://192.0.2.1:8883".to_owned()));
    let config = Config::read(&file, environment).unwrap();
    assert_eq!(config.ignored_variables(), of_others);
    for mistyped in
        ["GAPURA_LISTEN", "GAPURA_MQTT_LISTEN", "GAPURA_MQTT_LISTNE", "GAPURA_TOKNE", "GAPURA_SCANS_LATE_AFTER_MS"]
    {
        let error = read(SITE, &[(mistyped, "x")]).unwrap_err();
        assert!(error.contains(mistyped) && error.contains("GAPURA_{SECTION}__{FIELD}"), "{error}");
    }
    for mistyped in ["GAPURA_PORT__8883", "GAPURA_SERVICE__HOST", "GAPURA___MQTT__LISTEN"] {
        assert!(read(SITE, &[(mistyped, "x")]).is_err(), "{mistyped}");
    }
}
