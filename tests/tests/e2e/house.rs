//! The rules of the house: which crate may use which, where each heavy library lives, and what stands where.

mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates of the gateway, with their folders, and what each may use of the others. All may use `protocol`.
const MAY_USE: [(&str, &str, &[&str]); 9] = [
    ("protocol", "protocol", &[]),
    ("base", "gateway/base", &[]),
    ("store", "gateway/store", &["base"]),
    ("access", "gateway/access", &["base", "store"]),
    ("front", "gateway/front", &["base", "access", "store"]),
    ("ledgers", "gateway/ledgers", &["base", "store"]),
    ("upstream", "gateway/upstream", &["base", "store"]),
    ("web", "gateway/web", &["base", "access", "store", "ledgers"]),
    ("gateway", "gateway", &["base", "access", "store", "front", "ledgers", "upstream", "web"]),
];

/// Libraries that cost much to build or to trust, each with the crates that may have it.
const HEAVY: [(&str, &[&str]); 8] = [
    ("axum", &["web"]),
    ("cedar-policy", &["access"]),
    ("clap", &["gateway"]),
    ("png", &["gateway"]),
    ("rcgen", &["base"]),
    ("redb", &["access", "ledgers", "store"]),
    ("reqwest", &["gateway", "upstream"]),
    ("rqrr", &["gateway"]),
];

#[test]
fn the_crates_use_only_what_they_may() {
    for (name, folder, may) in MAY_USE {
        let uses = dependencies(folder);
        let rooms = MAY_USE.iter().map(|(room, ..)| *room).filter(|room| *room != "protocol" && uses.contains(*room));
        assert_eq!(rooms.collect::<BTreeSet<_>>(), may.iter().copied().collect(), "what {name} uses of the others");
    }
}

#[test]
fn the_front_page_of_the_gateway_shows_the_same_table() {
    let page = fs::read_to_string(repository().join("gateway/src/lib.rs")).unwrap();
    for (name, _, may) in MAY_USE {
        let row = page.lines().find(|line| line.starts_with(&format!("//! | `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("gateway/src/lib.rs has no row for {name}"));
        let shown = row.split('|').nth(3).unwrap();
        let shown: BTreeSet<_> = shown.split('`').filter(|word| word.chars().all(char::is_alphabetic)).collect();
        let shown: BTreeSet<_> = shown.into_iter().filter(|word| !word.is_empty()).collect();
        assert_eq!(shown, may.iter().copied().collect(), "{row}");
    }
}

#[test]
fn each_heavy_library_stays_where_it_belongs() {
    for (library, homes) in HEAVY {
        for (name, folder, _) in MAY_USE {
            assert_eq!(dependencies(folder).contains(library), homes.contains(&name), "{name} and {library}");
        }
    }
}

#[test]
fn each_dependency_has_its_reason() {
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let section = manifest.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let lines: Vec<_> = section.lines().filter(|line| !line.contains("path = ")).collect();
    let named = (1..lines.len()).filter(|at| lines[*at].contains(" = ") && !lines[*at].starts_with('#'));
    for at in named {
        let reason = lines[at - 1];
        assert!(reason.starts_with("# ") && reason.ends_with('.'), "{}: say above it what it is for", lines[at]);
    }
}

/// What helps tests of several crates stands behind the feature `testing`. `cargo test --workspace` unifies features, so
/// only the graph of a plain build can tell that no release has it.
#[test]
fn no_release_build_has_what_helps_tests() {
    for package in ["gateway", "simulator"] {
        let arguments = ["tree", "--locked", "--offline", "-e", "normal,features", "--prefix", "none", "-p", package];
        let output = std::process::Command::new(env!("CARGO")).args(arguments).current_dir(repository()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8(output.stdout).unwrap();
        assert!(tree.contains("rustls feature \"ring\""), "the tree shows no features:\n{tree}");
        assert!(!tree.contains("feature \"testing\""), "{package} is built with what only tests may have:\n{tree}");
    }
}

#[test]
fn deciding_touches_neither_disk_nor_network_nor_clock() {
    let read = |file: &str| shipped(&fs::read_to_string(repository().join("gateway/access/src").join(file)).unwrap());
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
    let policy = fs::read_to_string(repository().join("gateway/access/src/policy/mod.rs")).unwrap();
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
    for crate_name in ["gateway", "simulator", "tokio", "rumqttc", "redb", "axum", "reqwest"] {
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
    for part in ["gateway", "protocol", "simulator", "tests/tests"] {
        for file in rust_files(&repository().join(part)) {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("//! "), "{} does not begin with a sentence", file.display());
        }
    }
}

/// Functions beyond 70 lines are a lint of clippy; of files it has none.
#[test]
fn a_file_beyond_400_lines_says_why_at_its_top() {
    for part in ["gateway", "protocol", "simulator", "tests"] {
        for file in all_files(&repository().join(part)) {
            let text = fs::read_to_string(&file).unwrap();
            let top: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
            let good = text.lines().count() <= 400 || top.contains("Longer than 400 lines: ");
            assert!(good, "{} has more than 400 lines: cut it, or say at its top why not", file.display());
        }
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// What the crate in `folder` depends on, for tests and build scripts aside.
fn dependencies(folder: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(repository().join(folder).join("Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let name = |line: &str| Some(line.split(['.', ' ', '=']).next()?.to_owned()).filter(|name| !name.is_empty());
    section.lines().filter_map(name).collect()
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

/// Every Rust file below `folder`.
fn all_files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let inside = paths.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] });
    inside.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// What is compiled into the program: no comments, and nothing from the tests at a file's end on.
fn shipped(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}
