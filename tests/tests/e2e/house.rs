//! The rules of the house: which module may import which, and what stands at the top of the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each stage of the gateway may import of the others. Everything may use the leaves, and `protocol`.
const MAY_IMPORT: [(&str, &[&str]); 24] = [
    ("calendar", &[]),
    ("clock", &[]),
    ("door_list", &[]),
    ("identity", &[]),
    ("spreadsheet", &[]),
    ("status", &[]),
    ("tokens", &[]),
    ("tls", &[]),
    ("site", &["tls"]),
    ("vault", &[]),
    ("log", &["vault"]),
    ("monitors", &[]),
    ("access", &["passes"]),
    ("passes", &[]),
    ("shadow", &[]),
    ("forward", &[]),
    ("views", &["log", "vault"]),
    ("looks", &[]),
    ("http", &["looks", "shadow", "views"]),
    ("scan", &["access", "log", "monitors", "vault"]),
    ("doors", &["scan", "monitors", "tls"]),
    ("reload", &[]),
    ("config", &["access", "passes", "site", "doors", "scan", "log", "monitors", "forward", "views", "http"]),
    ("overview", &["access", "config", "log", "looks", "monitors", "reload", "scan", "doors", "forward", "tls"]),
];

/// Leaves that everything may use: the calendar, the clock, the list of doors, who a certificate or a token belongs to, what a
/// spreadsheet makes of a cell, and the words of the status.
const LEAVES: [&str; 7] = ["calendar", "clock", "door_list", "identity", "spreadsheet", "status", "tokens"];

/// The roots, which put everything together.
const ROOTS: [&str; 2] = ["app", "cli"];

#[test]
fn the_gateways_modules_import_only_what_they_may() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        MAY_IMPORT.into_iter().map(|(module, others)| (module, others.iter().copied().collect())).collect();
    let source = repository().join("gateway/src");
    let mut seen = BTreeSet::new();
    for file in rust_files(&source) {
        let place = file.strip_prefix(&source).unwrap();
        let module = place.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if ["lib", "main"].contains(&module.as_str()) || ROOTS.contains(&module.as_str()) {
            continue;
        }
        let may = allowed.get(module.as_str());
        let may = may.unwrap_or_else(|| panic!("{module} is new: say in MAY_IMPORT what it may import"));
        for import in imports(&shipped(&fs::read_to_string(&file).unwrap())) {
            let good = import == module || LEAVES.contains(&import.as_str()) || may.contains(import.as_str());
            assert!(good, "{} imports {import}", place.display());
        }
        seen.insert(module);
    }
    let unknown: Vec<_> = allowed.keys().filter(|module| !seen.contains(**module)).collect();
    assert!(unknown.is_empty(), "MAY_IMPORT speaks of modules that are not there: {unknown:?}");
}

#[test]
fn deciding_touches_neither_disk_nor_network_nor_clock() {
    let read = |file: &str| shipped(&fs::read_to_string(repository().join("gateway/src/access").join(file)).unwrap());
    let pure = [
        "decide/mod.rs",
        "decide/holder.rs",
        "presence.rs",
        "policy/memo.rs",
        "policy/request.rs",
        "policy/texts.rs",
        "policy/messages.rs",
        "policy/facts.rs",
    ];
    let policy = fs::read_to_string(repository().join("gateway/src/access/policy/mod.rs")).unwrap();
    // `judge` and, right behind it, `evaluate`, which it falls back on.
    let judge: String = policy.split("pub fn judge").nth(1).unwrap().split("\n    }\n").take(2).collect();
    assert!(judge.contains("is_authorized"), "the evaluation has moved: look for it where it is now");
    for (name, code) in pure.map(|file| (file, read(file))).into_iter().chain([("Policy::judge", judge)]) {
        for forbidden in [
            "std::fs",
            "std::io",
            "std::net",
            "std::env",
            "tokio",
            "redb",
            "Timestamp::now",
            "SystemTime",
            "Instant::now",
            "clock::Clock",
            "getrandom",
            "async ",
            "tracing",
        ] {
            assert!(!code.contains(forbidden), "{name} uses {forbidden}");
        }
    }
}

#[test]
fn the_wire_contract_knows_nothing_of_the_programs_and_does_no_input_or_output() {
    let protocol = repository().join("protocol");
    let manifest = fs::read_to_string(protocol.join("Cargo.toml")).unwrap();
    for crate_name in ["gateway", "simulator", "tokio", "rumqttc", "rumqttd", "redb", "axum", "reqwest"] {
        assert!(!manifest.lines().any(|line| line.starts_with(crate_name)), "protocol depends on {crate_name}");
    }
    for file in rust_files(&protocol.join("src")) {
        let code = shipped(&fs::read_to_string(&file).unwrap());
        for forbidden in ["std::fs", "std::io", "std::net", "std::env", "Timestamp::now"] {
            assert!(!code.contains(forbidden), "{} uses {forbidden}", file.display());
        }
    }
}

#[test]
fn the_gateway_does_not_depend_on_its_simulator() {
    let manifest = fs::read_to_string(repository().join("gateway/Cargo.toml")).unwrap();
    assert!(!manifest.contains("simulator"));
}

#[test]
fn the_top_of_the_repository_holds_what_it_should() {
    let expected = ["Cargo.lock", "Cargo.toml", "README.md", "deploy", "gateway", "protocol", "simulator", "tests"];
    let mut found: Vec<String> = fs::read_dir(repository())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn every_file_begins_with_a_sentence() {
    for part in ["gateway/src", "protocol/src", "simulator/src", "tests/tests"] {
        for file in rust_files(&repository().join(part)) {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("//! "), "{} does not begin with a sentence", file.display());
        }
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file below `folder` that is not for tests alone.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let for_tests = ["tests", "testing", "fake", "faulty_disk"].contains(&name) || name.ends_with("_tests");
        if path.is_dir() && !for_tests {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !for_tests {
            files.push(path);
        }
    }
    files
}

/// What is compiled into the program: no comments, and nothing from the tests at a file's end on.
fn shipped(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// The modules at the crate's root that a file names, in `use` lines and elsewhere: `crate::log::…`, `crate::{doors, log}`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(members(group)),
            None => found.extend(word(rest)),
        }
    }
    found
}

/// The first words of the members of a group, up to its closing brace.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut member, mut found) = (0, String::new(), Vec::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => found.extend(word(std::mem::take(&mut member).trim())),
            _ => {}
        }
        if depth == 0 && c != ',' {
            member.push(c);
        }
    }
    found.extend(word(member.trim()));
    found
}

fn word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

#[test]
fn imports_are_found_wherever_they_stand() {
    let code = "use crate::log::{Log, LogReader};\nuse crate::{doors, scan::{Seen, Spine}, tls::Revoked};\n\
                pub(in crate::http) fn f(x: crate::access::Policy) {}\nmycrate::nothing();";
    let found: Vec<_> = imports(code).into_iter().collect();
    assert_eq!(found, ["access", "doors", "http", "log", "scan", "tls"]);
}
