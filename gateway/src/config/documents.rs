//! The documents of the configuration: the sample, the reference page, and whatever names settings.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Config, UPSTREAM};
use base::settings::{Section, Setting};

/// Length of a line of the sample.
const LINE_CHARS_MAX: usize = 120;

const HEAD: &str = "\
# Gapura: configuration of one site.
#
# A line that begins with \"# name =\" shows a setting with the value that holds when it is absent, or with an example
# where none does: take the \"#\" away to change it. What its value counts and what is allowed is said in brackets. A
# setting that does not exist is an error, so a typing mistake is found at once. Relative paths start at the folder of
# this file. After a change: `gapura check-config`, and start the gateway again.
";

const BEGIN: &str = "<!-- settings: begin -->\n";
const END: &str = "<!-- settings: end -->";

/// The sample, `deploy/gapura.toml`.
fn sample() -> String {
    let mut text = HEAD.to_owned();
    for (name, section) in Config::sections() {
        text.push('\n');
        comment(&mut text, &section.about);
        let off = if name == UPSTREAM { "# " } else { "" };
        writeln!(text, "{off}[{name}]").unwrap();
        for setting in &section.settings {
            let bounds: Vec<_> =
                std::iter::once(setting.unit).chain(setting.limits.iter().map(String::as_str)).collect();
            comment(&mut text, &format!("{} ({})", setting.about, bounds.join("; ").replace('`', "")));
            // What `gapura init` fills in.
            let filled_in =
                setting.example.as_ref().filter(|example| example.as_str().is_some_and(|text| text.starts_with('{')));
            let off = if filled_in.is_some() { "" } else { "# " };
            let value = filled_in.or(setting.default.as_ref()).or(setting.example.as_ref()).unwrap();
            writeln!(text, "{off}{} = {value}", setting.name).unwrap();
        }
    }
    text
}

fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > LINE_CHARS_MAX {
            writeln!(text, "{line}").unwrap();
            line = String::from("#");
        }
        write!(line, " {word}").unwrap();
    }
    writeln!(text, "{line}").unwrap();
}

/// The tables of the reference page.
fn reference() -> String {
    let mut text = String::new();
    for (name, section) in Config::sections() {
        write!(text, "\n### [{name}]\n\n{}\n\n", section.about).unwrap();
        text.push_str(
            "| setting | what it does | unit or form | default | allowed |\n| --- | --- | --- | --- | --- |\n",
        );
        for setting in &section.settings {
            let default = match &setting.default {
                Some(value) => format!("`{value}`"),
                None if setting.is_required => "required".into(),
                None => "absent".into(),
            };
            let Setting { name, about, unit, limits, .. } = setting;
            writeln!(text, "| `{name}` | {about} | {unit} | {default} | {} |", limits.join("; ")).unwrap();
        }
    }
    text.push('\n');
    text
}

#[test]
fn the_sample_and_the_reference_page_are_as_the_settings_are_declared() {
    let page = read("deploy/docs/configuration.md");
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    for (file, text) in [
        ("deploy/gapura.toml", sample()),
        ("deploy/docs/configuration.md", [before, BEGIN, &reference(), END, after].concat()),
    ] {
        if std::env::var_os("UPDATE").is_some() {
            fs::write(repository().join(file), &text).unwrap();
        }
        let update = "UPDATE=1 cargo test -p gateway --lib config::documents";
        assert!(read(file) == text, "{file} is not as the settings are declared; to bring it up to date: {update}");
    }
}

#[test]
fn every_setting_says_what_it_does_and_what_it_counts() {
    for (section, Section { about, settings }) in Config::sections() {
        assert!(about.ends_with('.') && !settings.is_empty(), "[{section}] {about:?}");
        for Setting { name, about, unit, default, limits, example, .. } in settings {
            assert!(
                about.ends_with('.') && !about.contains("[`"),
                "[{section}] {name}: {about:?} is no sentence for a document"
            );
            assert!(default.is_some() || example.is_some(), "[{section}] {name} has nothing to show");
            let counts = name.split('_').find_map(|part| match part {
                "ms" => Some("milliseconds"),
                "s" => Some("seconds"),
                "bytes" | "days" | "hours" | "minutes" | "seconds" => Some(part),
                _ => None,
            });
            assert!(counts.is_none_or(|counts| unit == counts), "[{section}] {name} counts {unit}");
            let is_number = default.is_some_and(|default| default.is_integer());
            let has_no_limit = [("log", "disk_free_bytes_min")].contains(&(section, name));
            assert!(!is_number || has_no_limit || !limits.is_empty(), "[{section}] {name} has no limit");
        }
    }
}

#[test]
fn whatever_names_a_setting_names_one_that_exists() {
    let sections = Config::sections();
    let exists = |section: &str, key: &str| {
        let found = sections.iter().find(|(name, _)| *name == section);
        found.is_some_and(|(_, section)| section.settings.iter().any(|setting| setting.name == key))
    };
    let mut seen = 0;
    for file in documents(&repository()) {
        let text = fs::read_to_string(&file).unwrap();
        for (section, key) in named(&text, &sections) {
            assert!(exists(&section, &key), "{} names [{section}] {key}", file.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "the settings that alerts and messages name were not found, only {seen}");
}

/// Sections and keys that a text names: `[mqtt] in_flight_max`, `in_flight_max in section [mqtt]`, `GAPURA_MQTT__IN_FLIGHT_MAX`.
fn named(text: &str, sections: &[(&str, Section)]) -> Vec<(String, String)> {
    let is_of_key = |c: &char| c.is_ascii_lowercase() || *c == '_';
    let mut found = Vec::new();
    for (section, _) in sections {
        let parts: Vec<&str> = text.split(&format!("[{section}]")).collect();
        for (before, after) in parts.iter().zip(parts.iter().skip(1)) {
            let after = after.strip_prefix(' ').unwrap_or_default();
            let key: String = after.chars().take_while(is_of_key).collect();
            // A word without '_' may be one of the sentence.
            if key.contains('_') || after.starts_with(&format!("{key} = ")) {
                found.push(((*section).to_owned(), key));
            }
            let before = before.strip_suffix(" in section ").unwrap_or_default();
            let key = before.rsplit(|c| !is_of_key(&c)).next().unwrap_or_default();
            if key.contains('_') {
                found.push(((*section).to_owned(), key.to_owned()));
            }
        }
        for after in text.split(&format!("GAPURA_{}__", section.to_ascii_uppercase())).skip(1) {
            let key: String = after.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
            found.push(((*section).to_owned(), key.to_ascii_lowercase()));
        }
    }
    found
}

/// Every text of the repository that people read or that is compiled into a program; tests have wrong names on purpose.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if ["target", "tests", "tests.rs", "documents.rs"].contains(&&*name) || (name.starts_with('.') && name != ".ci")
        {
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            files.extend(documents(&path));
        } else if extension
            .is_none_or(|extension| ["rs", "md", "yml", "json", "service", "toml", "js"].contains(&extension))
        {
            files.push(path);
        }
    }
    files
}

#[test]
fn the_examples_of_the_reference_page_can_be_read() {
    let page = read("deploy/docs/configuration.md");
    for file in
        ["doors.toml", "zones.toml", "calendar.toml", "tokens.toml", "trust/passes/issuer.jwks", "trust/revoked.toml"]
    {
        let (_, chapter) = page.split_once(&format!("### {file}\n")).unwrap_or_else(|| panic!("{file} is missing"));
        let chapter = chapter.split("\n### ").next().unwrap();
        let (_, example) = chapter.split_once("\n```").unwrap_or_else(|| panic!("{file} has no example"));
        let example = example.split_once('\n').unwrap().1.split("```").next().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let written = folder.path().join(file);
        fs::create_dir_all(written.parent().unwrap()).unwrap();
        fs::write(&written, example).unwrap();
        match file {
            "doors.toml" => assert!(!base::door_list::Doors::parse(example).unwrap().is_empty()),
            "zones.toml" => drop(base::door_list::Zones::parse(example).unwrap()),
            "calendar.toml" => assert!(!base::calendar::Calendar::parse(example).unwrap().is_empty()),
            "tokens.toml" => assert!(!base::tokens::Tokens::parse(example).unwrap().is_empty()),
            _ => drop(access::passes::Passes::read(&folder.path().join("trust"), <_>::default()).unwrap()),
        }
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(repository().join(file)).unwrap()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
