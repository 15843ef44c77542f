//! Reading a policy set: every mistake is found here, with its file and line, so that none is left for a scan to find.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;

use cedar_policy::{Effect, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;
use protocol::Text;

use super::memo::Memo;
use super::reads::Reads;
use super::request::Names;
use super::texts::{TEXT_FILES, Texts};
use super::{About, Policy};
use base::file_error::{FileError, line_of};
use base::owner::why;

const SCHEMA_FILE: &str = "schema.cedarschema";

/// The files' texts by name.
type Files = BTreeMap<String, String>;

impl Policy {
    /// Reads the schema, every `*.cedar` file and the texts of `folder`. Hidden files do not count.
    ///
    /// # Errors
    /// Names the file, where possible with its line, of what does not parse, does not fit the schema, or says something
    /// in one language only.
    pub fn read(folder: &Path) -> Result<Self, FileError> {
        let mut files = Files::new();
        let unreadable = |path: &Path, error: std::io::Error| {
            FileError::new(path, format!("cannot be read ({})", why(path, &error)))
        };
        for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
            let entry = entry.map_err(|error| unreadable(folder, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == SCHEMA_FILE || (name.ends_with(".cedar") && !name.starts_with('.')) {
                let path = entry.path();
                let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
                files.insert(name, text);
            }
        }
        for name in TEXT_FILES {
            let path = folder.join(name);
            match std::fs::read_to_string(&path) {
                Ok(text) => drop(files.insert(name.into(), text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(&path, error)),
            }
        }
        let missing = TEXT_FILES.iter().filter(|name| !files.contains_key(**name));
        if let [missing] = *missing.collect::<Vec<_>>() {
            let reason = "is missing, although there are texts in the other language; put it back; it may hold a comment and nothing else";
            return Err(FileError::new(&folder.join(missing), reason));
        }
        Self::from_files(folder, &files)
    }

    /// A policy set of these files, which are said to be in `folder`.
    pub(crate) fn from_files(folder: &Path, files: &Files) -> Result<Self, FileError> {
        let schema = schema(folder, files)?;
        let mut loading = Loading::default();
        for (name, text) in files.iter().filter(|(name, _)| name.ends_with(".cedar")) {
            loading.add(&folder.join(name), text)?;
        }
        if loading.about.is_empty() {
            let reason = "has no policies in *.cedar files, so nobody could pass; restore the default policy";
            return Err(FileError::new(folder, reason));
        }
        loading.validate(schema)?;
        let names = Names::new().map_err(|reason| FileError::new(folder, reason))?;
        let texts = Texts::of(folder, files)?;
        let Loading { policies, about, .. } = loading;
        let reads = Reads::of(&policies).and(texts.reads());
        let memo = Mutex::new(Memo::default());
        Ok(Self { policies, about, set_hash: set_hash(files), names, reads, texts, memo })
    }
}

/// What has been read so far.
#[derive(Default)]
struct Loading<'a> {
    policies: PolicySet,
    about: BTreeMap<PolicyId, About>,
    /// The file of each policy.
    origins: BTreeMap<PolicyId, (PathBuf, &'a str)>,
}

impl<'a> Loading<'a> {
    fn add(&mut self, path: &Path, text: &'a str) -> Result<(), FileError> {
        let parsed = PolicySet::from_str(text)
            .map_err(|error| located(path, text, &error, format!("does not parse: {error}")))?;
        if parsed.templates().next().is_some() {
            return Err(FileError::new(path, "has a template (?principal or ?resource), which nothing would fill in"));
        }
        // Cedar names them policy0, policy1, … in the order of the text.
        let mut in_order: Vec<_> = parsed.policies().collect();
        in_order.sort_by_key(|policy| position(policy.id()));
        for policy in in_order {
            let about = About::of(policy, path, text).map_err(|reason| {
                FileError::new(path, format!("policy {} of this file {reason}", position(policy.id()) + 1))
            })?;
            let id = PolicyId::new(&about.id);
            if let Some((other, _)) = self.origins.get(&id) {
                let other = other.file_name().unwrap_or_default().display();
                let reason = format!("@id(\"{}\") is there twice, also in {other}; give each policy its own", about.id);
                return Err(FileError::new(path, reason));
            }
            self.policies
                .add(policy.new_id(id.clone()))
                .map_err(|error| FileError::new(path, format!("cannot be used: {error}")))?;
            self.origins.insert(id.clone(), (path.to_owned(), text));
            self.about.insert(id, about);
        }
        Ok(())
    }

    fn validate(&self, schema: Schema) -> Result<(), FileError> {
        let result = Validator::new(schema).validate(&self.policies, ValidationMode::Strict);
        let errors = result.validation_errors().filter_map(|error| {
            let (path, text) = self.origins.get(error.policy_id())?;
            let reason = format!("does not fit {SCHEMA_FILE}: {error}");
            Some(located(path, text, error, reason))
        });
        match errors.min_by(|left, right| left.file.cmp(&right.file)) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl About {
    fn of(policy: &cedar_policy::Policy, path: &Path, file: &str) -> Result<Self, String> {
        let annotation = |name: &str| policy.annotation(name).filter(|text| !text.is_empty());
        let id = annotation("id").ok_or("has no @id(\"…\"); every decision names its policies by it")?;
        let assist = match (annotation("outcome"), policy.effect()) {
            (None, _) => false,
            (Some("assist"), Effect::Forbid) => true,
            (Some(other), _) => {
                let allowed = "allowed is \"assist\", on a forbid";
                return Err(format!("(@id(\"{id}\")) has an unknown @outcome(\"{other}\"); {allowed}"));
            }
        };
        let text = match (annotation("text_id"), annotation("text_en")) {
            (None, None) => Text::default(),
            (Some(indonesian), Some(english)) => Text::new(indonesian, english),
            (one, _) => {
                let (has, lacks) = if one.is_some() { ("id", "en") } else { ("en", "id") };
                return Err(format!(
                    "(@id(\"{id}\")) has @text_{has} and no @text_{lacks}; displays show both languages"
                ));
            }
        };
        Ok(Self {
            place: place(path, file, id),
            id: id.into(),
            reason: annotation("reason").unwrap_or(id).into(),
            text,
            assist,
        })
    }
}

/// Where a policy stands: its file, with the line of its `@id` where that is written plainly.
fn place(path: &Path, file: &str, id: &str) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let marked = file.lines().position(|line| {
        let code = line.split("//").next().unwrap_or_default();
        code.contains(&format!("@id(\"{id}\")"))
    });
    marked.map_or_else(|| name.to_string(), |line| format!("{name}:{}", line + 1))
}

fn schema(folder: &Path, files: &Files) -> Result<Schema, FileError> {
    let path = folder.join(SCHEMA_FILE);
    let text = files
        .get(SCHEMA_FILE)
        .ok_or_else(|| FileError::new(&path, "is missing; restore it from the default policy"))?;
    match Schema::from_cedarschema_str(text) {
        Ok((schema, _)) => Ok(schema),
        Err(error) => Err(located(&path, text, &error, format!("does not parse: {error}"))),
    }
}

/// The texts do not count: the hash tells who may pass, not in which words.
fn set_hash(files: &Files) -> String {
    let mut hasher = blake3::Hasher::new();
    let rules = files.iter().filter(|(name, _)| *name == SCHEMA_FILE || name.ends_with(".cedar"));
    for part in rules.flat_map(|(name, text)| [name, text]) {
        // Lengths keep names and contents apart.
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    let digits: String = hasher.finalize().to_hex().chars().take(32).collect();
    format!("b3:{digits}")
}

/// Which policy of its file this is, from 0.
fn position(id: &PolicyId) -> u64 {
    AsRef::<str>::as_ref(id).trim_start_matches("policy").parse().unwrap_or(0)
}

/// An error at the line that `error` points to, with what it says of a remedy.
fn located(path: &Path, text: &str, error: &dyn Diagnostic, mut reason: String) -> FileError {
    if let Some(help) = error.help() {
        reason = format!("{reason} ({help})");
    }
    match error.labels().and_then(|mut labels| labels.next()) {
        Some(label) => FileError::at_line(path, line_of(text, label.offset()), reason),
        None => FileError::new(path, reason),
    }
}
