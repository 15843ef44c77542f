//! What a door's display says: a message for each reason, in Indonesian and English, in the format of Project Fluent.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use protocol::{Outcome, Text};
use unic_langid::LanguageIdentifier;

use super::messages::{Message, messages};
use super::question::Question;
use super::reads::Reads;
use base::file_error::FileError;

/// The files of the texts in a policy folder.
pub(super) const TEXT_FILES: [&str; 2] = ["texts/id.ftl", "texts/en.ftl"];

/// What is said where the site says nothing else: the same files, compiled in.
const BUILT_IN: [&str; 2] =
    [include_str!("../../../../deploy/policy/texts/id.ftl"), include_str!("../../../../deploy/policy/texts/en.ftl")];

/// Reasons that are given without asking a policy: nothing but the door is known of them.
const WITHOUT_QUESTION: [&str; 5] = ["welcome", "goodbye", "late-scan", "unknown-door", "malformed-scan"];

/// The texts of a policy folder, over those that are built in.
pub(crate) struct Texts {
    lines: HashMap<String, Line>,
    id: FluentBundle<FluentResource>,
    en: FluentBundle<FluentResource>,
    reads: Reads,
    /// Reasons that the folder itself has texts for.
    site: Vec<String>,
}

/// One reason's text.
enum Line {
    /// The same for every question.
    Fixed(Text),
    /// With variables.
    Varying,
}

/// What the variables of a message stand for.
#[derive(Clone, Copy, Default)]
struct Values<'a> {
    door: &'a str,
    zone: &'a str,
    opd: &'a str,
    status: &'a str,
    hour: i64,
}

impl Texts {
    /// The texts among `files`, which are said to be in `folder`, over the built-in ones.
    ///
    /// # Errors
    /// Names the file and the line of a message that cannot be used, or is there in one language only.
    pub(super) fn of(folder: &Path, files: &BTreeMap<String, String>) -> Result<Self, FileError> {
        let language = |at: usize| Language::read(folder, TEXT_FILES.get(at).copied().unwrap_or_default(), at, files);
        let (id, en) = (language(0)?, language(1)?);
        id.check_against(&en)?;
        en.check_against(&id)?;
        let site = id.site.keys().chain(en.site.keys()).cloned().collect();
        let mut texts = Self { lines: HashMap::new(), id: id.bundle, en: en.bundle, reads: Reads::default(), site };
        for (reason, message) in id.all {
            let other = en.all.get(&reason).map_or(&[][..], |message| &message.variables);
            let variables: Vec<_> = message.variables.iter().chain(other).collect();
            texts.reads.door |= variables.iter().any(|name| *name == "door");
            texts.reads.minute_of_day |= variables.iter().any(|name| *name == "hour");
            let line = if variables.is_empty() {
                Line::Fixed(texts.format(&reason, Values::default()).unwrap_or_default())
            } else {
                Line::Varying
            };
            texts.lines.insert(reason, line);
        }
        Ok(texts)
    }

    /// Reasons that have a text.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// What tells two questions apart because a text names it.
    pub(super) fn reads(&self) -> Reads {
        self.reads
    }

    /// Whether the policy folder itself has a text for this reason.
    pub(super) fn is_of_site(&self, reason: &str) -> bool {
        self.site.iter().any(|known| known == reason)
    }

    /// The text of a reason, where there is one.
    pub(super) fn of_reason(&self, reason: &str, question: &Question<'_>) -> Option<Text> {
        self.line(reason, Values::of(question))
    }

    /// What is said where nothing says why.
    pub(super) fn of_outcome(&self, outcome: Outcome, question: &Question<'_>) -> Text {
        let reason = match outcome {
            Outcome::Granted => "outcome-granted",
            Outcome::Assist => "outcome-assist",
            _ => "outcome-denied",
        };
        self.of_reason(reason, question).unwrap_or_default()
    }

    /// What the gateway itself says, of which no policy was asked: `welcome`, `goodbye`, `late-scan`, `unknown-door` or
    /// `malformed-scan`.
    pub(crate) fn own(&self, reason: &str, door: &str) -> Text {
        self.line(reason, Values { door, ..Values::default() }).unwrap_or_default()
    }

    fn line(&self, reason: &str, values: Values<'_>) -> Option<Text> {
        match self.lines.get(reason)? {
            Line::Fixed(text) => Some(text.clone()),
            Line::Varying => self.format(reason, values),
        }
    }

    fn format(&self, reason: &str, values: Values<'_>) -> Option<Text> {
        let mut arguments = FluentArgs::new();
        let Values { door, zone, opd, status, hour } = values;
        for (name, value) in [("door", door), ("zone", zone), ("opd", opd), ("status", status)] {
            arguments.set(name, value);
        }
        arguments.set("hour", hour);
        let say = |bundle: &FluentBundle<FluentResource>| {
            let pattern = bundle.get_message(reason)?.value()?;
            // Nothing is left to go wrong: variables and forms were checked when the message was read.
            Some(bundle.format_pattern(pattern, Some(&arguments), &mut Vec::new()).into_owned())
        };
        Some(Text { id: say(&self.id)?, en: say(&self.en)? })
    }
}

impl<'a> Values<'a> {
    fn of(question: &Question<'a>) -> Self {
        let Question { door, zone, opd, status, minute_of_day, .. } = *question;
        Self { door, zone, opd, status, hour: minute_of_day / 60 }
    }
}

/// One language as it is read.
struct Language {
    bundle: FluentBundle<FluentResource>,
    /// Messages of the folder's own file.
    site: BTreeMap<String, Message>,
    /// These and the built-in ones.
    all: BTreeMap<String, Message>,
    file: std::path::PathBuf,
}

impl Language {
    fn read(folder: &Path, name: &str, at: usize, files: &BTreeMap<String, String>) -> Result<Self, FileError> {
        let file = folder.join(name);
        let built_in = resource(Path::new("built-in").join(name).as_path(), BUILT_IN.get(at).copied().unwrap_or(""))?;
        let mut all = checked(Path::new("built-in"), &built_in)?;
        let site = resource(&file, files.get(name).map_or("", String::as_str))?;
        let own = checked(&file, &site)?;
        all.extend(own.clone());
        let language: LanguageIdentifier = if at == 0 { "id" } else { "en" }.parse().unwrap_or_default();
        let mut bundle = FluentBundle::new_concurrent(vec![language]);
        // Displays are no documents: marks of direction around a value would be shown as boxes.
        bundle.set_use_isolating(false);
        bundle.add_resource_overriding(built_in);
        bundle.add_resource_overriding(site);
        Ok(Self { bundle, site: own, all, file })
    }

    /// Every message of the folder must be in the other language as well.
    fn check_against(&self, other: &Self) -> Result<(), FileError> {
        match self.site.iter().find(|(reason, _)| !other.all.contains_key(*reason)) {
            Some((reason, message)) => {
                let remedy = format!("{reason} is not in {}; add it there", other.file.display());
                Err(FileError::at_line(&self.file, message.line, remedy))
            }
            None => Ok(()),
        }
    }
}

fn resource(file: &Path, text: &str) -> Result<FluentResource, FileError> {
    FluentResource::try_new(text.to_owned()).map_err(|(_, errors)| {
        let error = errors.into_iter().next();
        let line = error.as_ref().map_or(1, |error| base::file_error::line_of(text, error.pos.start));
        let what = error.map_or_else(String::new, |error| error.kind.to_string());
        FileError::at_line(file, line, format!("{what}; a message looks like: status-red = Please see a helper"))
    })
}

fn checked(file: &Path, resource: &FluentResource) -> Result<BTreeMap<String, Message>, FileError> {
    let messages = messages(resource).map_err(|(line, reason)| FileError::at_line(file, line, reason))?;
    for (reason, message) in &messages {
        let without = WITHOUT_QUESTION.contains(&reason.as_str());
        if let Some(name) = message.variables.iter().find(|name| without && *name != "door") {
            let why = format!("{reason} uses ${name}, but is said before that is known; it may use $door");
            return Err(FileError::at_line(file, message.line, why));
        }
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use protocol::Direction;

    use super::super::tests::QUESTION;
    use super::*;
    use crate::DEFAULT_POLICY;
    use crate::testing::{default_policy, policy};

    const FAULTS: [&str; 19] = [
        "pass-oversize",
        "pass-not-base45",
        "pass-not-compressed",
        "pass-inflates-too-far",
        "pass-malformed",
        "pass-too-deep",
        "pass-algorithm",
        "pass-no-key-id",
        "pass-unknown-key",
        "pass-key-not-valid",
        "pass-wrong-signature",
        "pass-claims",
        "pass-not-yet-valid",
        "pass-expired",
        "pass-revoked",
        "pass-key-revoked",
        "pass-subject-revoked",
        "pass-replayed",
        "pass-used",
    ];

    fn texts(files: &[(&str, &str)]) -> Result<Texts, FileError> {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Texts::of(Path::new("policy"), &files)
    }

    #[test]
    fn every_reason_has_a_text_that_fits_a_display() {
        let texts = texts(&[]).unwrap();
        let policy = default_policy();
        let reasons = policy.reasons().map(|(_, reason, _)| reason).chain(FAULTS).chain(WITHOUT_QUESTION);
        let others = ["policy-error", "no-policy", "outcome-granted", "outcome-denied", "outcome-assist"];
        let reasons: std::collections::BTreeSet<_> = reasons.chain(others).collect();
        assert_eq!(texts.len(), reasons.len(), "a text that serves nothing");
        for reason in reasons {
            let text = texts.of_reason(reason, &QUESTION).unwrap_or_else(|| panic!("{reason} has no text"));
            for line in [&text.id, &text.en] {
                assert!((3..=64).contains(&line.chars().count()), "{reason}: {line:?}");
                assert!(!line.contains(['{', '$', '\n', '\u{2068}']), "{reason}: {line:?}");
            }
        }
    }

    #[test]
    fn a_sites_text_outweighs_the_built_in_one_message_by_message() {
        let texts = texts(&[
            ("texts/id.ftl", "staff-green = Selamat pagi\nown = Milik kami\n"),
            ("texts/en.ftl", "own = Our own\n"),
        ])
        .unwrap();
        let text = |reason| texts.of_reason(reason, &QUESTION);
        assert_eq!(text("staff-green"), Some(Text::new("Selamat pagi", "Please come in")));
        assert_eq!(text("own"), Some(Text::new("Milik kami", "Our own")));
        assert_eq!(text("unknown-credential"), Some(Text::new("Kode tidak dikenal", "Unknown code")));
        assert_eq!(text("nothing"), None);
        assert!(texts.is_of_site("own") && !texts.is_of_site("unknown-credential"));
    }

    #[test]
    fn a_text_may_name_what_was_asked_and_remembered_answers_stay_right() {
        let (id, en) = (
            "staff-green = { $status ->\n    [green] Hijau\n   *[other] { $status }\n }, { $door }, { $zone }, { $opd }, { $hour }\n",
            "staff-green = { $hour ->\n    [7] Good morning\n   *[other] Hello\n } at { $door }\n",
        );
        let policy = policy(&[DEFAULT_POLICY, &[("texts/id.ftl", id), ("texts/en.ftl", en)]].concat()).unwrap();
        for _ in 0..2 {
            for (door, minute_of_day, hour, greeting) in
                [("main-in", 451, 7, "Good morning"), ("side-in", 451, 7, "Good morning"), ("main-in", 480, 8, "Hello")]
            {
                let judged = policy.judge(&Question { door, minute_of_day, ..QUESTION });
                assert_eq!(judged.text.id, format!("Hijau, {door}, main, dinkes, {hour}"));
                assert_eq!(judged.text.en, format!("{greeting} at {door}"));
            }
        }
        assert_eq!(policy.texts().own("welcome", "main-in"), Text::new("Silakan masuk", "Please come in"));
    }

    #[test]
    fn a_message_that_cannot_be_used_is_named_with_its_line() {
        for (id, en, line, words) in [
            ("staff-green = { $name }\n", "", ":1", ["$name", "$door"]),
            ("# x\n\nstaff-green = a\n  { $door ->\n    [x] { $nme }\n   *[y] b\n  }\n", "", ":5", ["$nme", "$status"]),
            ("own = x\n", "", "id.ftl:1", ["own", "en.ftl"]),
            ("", "\nown = x\n", "en.ftl:2", ["own", "id.ftl"]),
            ("ok = a\nbroken { x\n", "ok = a\n", ":2", ["=", "looks like"]),
            ("a = x\na = y\n", "a = x\n", ":2", ["twice", "a"]),
            ("a = { staff-green }\n", "a = x\n", ":1", ["refers", "write"]),
            ("-term = x\n", "", ":1", ["term", "write"]),
            ("a = { NUMBER($hour) }\n", "a = x\n", ":1", ["NUMBER", "variable"]),
            ("a = x\n    .title = y\n", "a = x\n", ":1", ["attribute", "a"]),
            ("late-scan = { $zone }\n", "", ":1", ["late-scan", "$door"]),
        ] {
            let error = texts(&[("texts/id.ftl", id), ("texts/en.ftl", en)]).map(drop).unwrap_err().to_string();
            assert!(error.contains(line) && words.iter().all(|word| error.contains(word)), "{id:?}: {error}");
        }
    }

    #[test]
    fn an_old_folders_annotations_still_speak_where_its_texts_do_not() {
        let cedar = "@id(\"staff-green\") @text_id(\"Lama\") @text_en(\"Old\") permit (principal, action, resource)\
                     when { context.weekday == 1 };\n\
                     @id(\"odd\") permit (principal, action, resource) when { context.weekday == 2 };";
        let [schema, ..] = DEFAULT_POLICY else { panic!() };
        let judged = |more: &[(&str, &str)], weekday| {
            let policy = policy(&[&[*schema, ("own.cedar", cedar)], more].concat()).unwrap();
            policy.judge(&Question { weekday, direction: Direction::In, ..QUESTION }).text
        };
        assert_eq!(judged(&[], 1), Text::new("Lama", "Old"));
        assert_eq!(judged(&[], 2), Text::new("Silakan masuk", "Please come in"));
        let new = [("texts/id.ftl", "staff-green = Baru\n"), ("texts/en.ftl", "staff-green = New\n")];
        assert_eq!(judged(&new, 1), Text::new("Baru", "New"));
    }
}
