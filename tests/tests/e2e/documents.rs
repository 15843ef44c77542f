//! What the documents promise: every link leads somewhere, and every command, payload, metric and path that they show is one
//! that the programs know.

mod markdown;
mod shell;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::error::ErrorKind;
use protocol::{Assist, Decision, DoorConfig, DoorStatus, Scan};
use serde_json::Value;

use self::markdown::{Block, Document};
use crate::harness::{GREEN, Reader, Site, Version, eventually};

/// Lines of the first page.
const FIRST_PAGE_LINES_MAX: usize = 120;

/// Columns of a line, where it is neither code nor a table.
const COLUMNS_MAX: usize = 110;

/// Bytes of a picture: the repository keeps every version for ever.
const PICTURE_BYTES_MAX: u64 = 120_000;

/// Written by the program, a sentence a line.
const GENERATED: &str = "configuration.md";

/// Names what is no more, so its names are not looked for.
const CHANGELOG: &str = "changelog.md";

#[test]
fn every_link_leads_somewhere() {
    let (mut found, mut wrong) = (0, Vec::new());
    for document in documents() {
        for (line, target) in document.links() {
            found += 1;
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let path = if file.is_empty() { document.path.clone() } else { document.folder().join(file) };
            if !path.exists() {
                wrong.push(format!("{}:{line} links to {target}, which is not there", document.name()));
            } else if !heading.is_empty() && !Document::read(&path).headings().iter().any(|known| known == heading) {
                wrong.push(format!("{}:{line} links to {target}: there is no such heading", document.name()));
            }
        }
    }
    none(&wrong);
    assert!(found > 60, "only {found} links were found: has the form of links changed?");
}

#[test]
fn every_file_that_is_named_is_there() {
    let (mut found, mut wrong) = (0, Vec::new());
    let of_the_repository = ["deploy/", "gateway/", "protocol/", "simulator/", "tests/", ".ci/"];
    for document in documents() {
        for (line, span) in document.spans() {
            if of_the_repository.iter().any(|folder| span.starts_with(folder)) && !span.contains([' ', '{', '*']) {
                found += 1;
                if !repository().join(&span).exists() {
                    wrong.push(format!("{}:{line} names {span}, which is not there", document.name()));
                }
            }
        }
    }
    none(&wrong);
    assert!(found > 15, "only {found} files are named: has the form of names changed?");
}

#[test]
fn the_first_page_is_short_and_all_pages_are_wrapped() {
    let lines = first_page().text.lines().count();
    assert!(lines <= FIRST_PAGE_LINES_MAX, "README.md has {lines} lines, more than {FIRST_PAGE_LINES_MAX}");
    let mut wrong = Vec::new();
    for document in documents().into_iter().filter(|document| document.name() != GENERATED) {
        for (line, text) in document.prose() {
            let columns = text.chars().count();
            if columns > COLUMNS_MAX {
                wrong.push(format!("{}:{line} has {columns} columns, more than {COLUMNS_MAX}", document.name()));
            }
        }
    }
    none(&wrong);
}

#[test]
fn pictures_are_small() {
    let mut found = 0;
    for document in documents() {
        for (line, target) in document.links().into_iter().filter(|(_, target)| target.ends_with(".png")) {
            let bytes = fs::metadata(document.folder().join(&target)).unwrap().len();
            assert!(bytes < PICTURE_BYTES_MAX, "{}:{line}: {target} has {bytes} bytes", document.name());
            found += 1;
        }
    }
    assert!(found > 0, "the first page has no picture");
}

#[test]
fn every_command_that_is_shown_is_one() {
    let (mut found, mut wrong) = (0, Vec::new());
    for document in documents() {
        for Block { line, info, text } in document.blocks() {
            if info.split(' ').next() != Some("sh") {
                continue;
            }
            for words in shell::commands(&text).iter().filter_map(|words| shell::own(words)) {
                found += 1;
                if let Err(error) = parse(&words) {
                    wrong.push(format!("{}:{line}: `{}` is none: {error}", document.name(), words.join(" ")));
                }
            }
        }
    }
    none(&wrong);
    assert!(found > 40, "only {found} commands were found: has the form of code blocks changed?");
}

#[test]
fn every_command_that_a_sentence_names_is_one() {
    // A sentence may name a command without all that it needs.
    let needs_more = [
        ErrorKind::MissingRequiredArgument,
        ErrorKind::MissingSubcommand,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    let (mut found, mut wrong) = (0, Vec::new());
    for document in documents().into_iter().filter(|document| document.name() != CHANGELOG) {
        for (line, span) in document.spans() {
            for words in shell::commands(&span).iter().filter_map(|words| shell::own(words)) {
                found += 1;
                if let Err(error) = parse(&words)
                    && !needs_more.contains(&error.kind())
                {
                    wrong.push(format!("{}:{line}: `{span}` is none: {error}", document.name()));
                }
            }
        }
    }
    none(&wrong);
    assert!(found > 15, "only {found} commands are named: has the form of names changed?");
}

#[test]
fn every_payload_that_the_readers_guide_shows_is_one_of_the_contract() {
    let mut kinds = Vec::new();
    for Block { line, info, text } in Document::read(&pages().join("readers.md")).blocks() {
        let Some(kind) = info.strip_prefix("json ") else { continue };
        let payload = text.as_bytes();
        let read = match kind {
            "scan" => Scan::from_json(payload).map(drop).map_err(|error| error.to_string()),
            "decision" => Decision::from_json(payload).map(drop).map_err(|error| error.to_string()),
            "status" => DoorStatus::from_json(payload).map(drop).map_err(|error| error.to_string()),
            "config" => DoorConfig::from_json(payload).map(drop).map_err(|error| error.to_string()),
            "assist" => Assist::from_json(payload).map(drop).map_err(|error| error.to_string()),
            _ => Err("no such document".to_owned()),
        };
        read.unwrap_or_else(|error| panic!("readers.md:{line} is no {kind}: {error}"));
        kinds.push(kind.to_owned());
    }
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, ["assist", "config", "decision", "scan", "status"]);
}

#[tokio::test]
async fn the_event_and_the_working_day_that_the_receivers_guide_shows_have_the_fields_of_real_ones() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    reader.scan(1, GREEN).await;
    let shown = Document::read(&pages().join("receivers-guide.md")).blocks();
    let shown = shown.iter().filter(|block| block.info == "json");
    let shown: Vec<Value> = shown.map(|block| serde_json::from_str(&block.text).expect("JSON")).collect();
    let [event, day] = &shown[..] else { panic!("the guide shows an event and a working day") };
    assert_eq!(fields(&event["data"]), fields(&gateway.events().await[0]));

    let mut rows = Vec::new();
    eventually("the ledgers have the scan", async || {
        let answer: Value = gateway.get("/api/v1/attendance").await.json().await.unwrap();
        rows = answer["rows"].as_array().cloned().unwrap_or_default();
        !rows.is_empty()
    })
    .await;
    assert_eq!(fields(&day["data"]["rows"][0]), fields(&rows[0]));
}

#[tokio::test]
async fn every_path_and_metric_that_is_named_is_one_of_a_running_gateway() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let openapi: Value = gateway.get("/api/openapi.json").await.json().await.unwrap();
    // What has not happened yet is in no answer of the gateway; the alerts' own test knows those.
    let alerts = fs::read_to_string(repository().join("deploy/prometheus/alerts.yml")).unwrap();
    let metrics = gateway.metrics().await + &alerts;
    let (mut paths, mut series, mut wrong) = (0, 0, Vec::new());
    for document in documents().into_iter().filter(|document| document.name() != CHANGELOG) {
        for (line, span) in document.spans() {
            // `GET /api/v1/people/{id}`, or the path alone.
            if let Some(path) = span.split(' ').find(|word| word.starts_with("/api/v1/")) {
                paths += 1;
                if openapi["paths"].get(path).is_none() {
                    wrong.push(format!("{}:{line}: {path} is not in the OpenAPI document", document.name()));
                }
            }
            if span.starts_with("gapura_") && !span.contains('*') {
                series += 1;
                if !metrics.contains(&span) {
                    wrong.push(format!("{}:{line}: there is no metric {span}", document.name()));
                }
            }
        }
    }
    none(&wrong);
    assert!(paths >= 3 && series >= 1, "only {paths} paths and {series} metrics are named");
}

/// The names of all fields, with those that they lie in; of a list the first element counts.
fn fields(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| {
                let below = fields(value).into_iter().map(move |field| format!("{name}.{field}"));
                below.chain([name.clone()])
            })
            .collect(),
        Value::Array(elements) => elements.first().map(fields).unwrap_or_default(),
        _ => BTreeSet::new(),
    }
}

/// All that is wrong at once, so that one run tells it all.
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The first page and those behind it.
fn documents() -> Vec<Document> {
    let mut files: Vec<PathBuf> = fs::read_dir(pages()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    std::iter::once(first_page()).chain(files.iter().map(|file| Document::read(file))).collect()
}

fn first_page() -> Document {
    Document::read(&repository().join("README.md"))
}

fn pages() -> PathBuf {
    repository().join("deploy/docs")
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Reads a command line as the program that it names would.
fn parse(words: &[String]) -> Result<(), clap::Error> {
    let command = match words.first().map(String::as_str) {
        Some("gapura-sim") => simulator::cli::Cli::command(),
        _ => gateway::cli::command(),
    };
    match command.try_get_matches_from(words) {
        Err(error) if [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind()) => Ok(()),
        parsed => parsed.map(drop),
    }
}
