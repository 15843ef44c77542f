//! Judgements of small policy sets, and what is said of policies that cannot be used.

use protocol::{Direction, Outcome};

use super::*;
use crate::DEFAULT_POLICY;
use crate::testing::{default_policy, policy, policy_of};
use base::file_error::FileError;

pub(super) const QUESTION: Question<'_> = Question {
    class: "asn",
    opd: "dinkes",
    groups: &[],
    known: true,
    validity: "open",
    has_host: false,
    credential: "badge",
    pass_fault: "",
    status: "green",
    status_expired: false,
    status_age_hours: Some(5),
    door: "main-in",
    zone: "main",
    around: &[],
    zone_opd: "",
    direction: Direction::In,
    weekday: 1,
    minute_of_day: 451,
    holiday: false,
    occupancy: 7,
    capacity: None,
    zone_full: false,
    passback: false,
    directory_age_hours: 3,
    directory_expired: false,
};

const ANYBODY: &str = r#"@id("anybody") permit (principal, action, resource);"#;

fn judge(policies: &str) -> Judgement {
    policy_of(policies).unwrap().judge(&QUESTION)
}

#[test]
fn the_default_policy_is_valid() {
    let policy = default_policy();
    assert_eq!((policy.len(), policy.is_empty()), (20, false));
    assert!(policy.set_hash().starts_with("b3:") && policy.set_hash().len() == 35);
}

#[test]
fn what_no_policy_allows_is_denied() {
    let judged = judge(r#"@id("others") permit (principal, action, resource) when { !principal.known };"#);
    assert_eq!((judged.outcome, judged.reason.as_str(), judged.policies), (Outcome::Denied, "no-policy", Vec::new()));
}

#[test]
fn a_policy_that_fails_when_it_is_asked_denies() {
    let failing = "context.minute_of_day * 9223372036854775807 > 0";
    for effect in ["permit", "forbid"] {
        let judged =
            judge(&format!("{ANYBODY}\n@id(\"fails\") {effect} (principal, action, resource) when {{ {failing} }};"));
        assert_eq!((judged.outcome, judged.reason.as_str()), (Outcome::Denied, "policy-error"));
    }
}

#[test]
fn policies_see_who_where_and_when() {
    for condition in [
        "principal.class == \"asn\" && principal.opd == \"dinkes\" && principal.known",
        "context.status == \"green\" && !context.status_expired",
        "context.weekday == 1 && context.minute_of_day == 451",
        "resource == Gapura::Door::\"main-in\" && resource in Gapura::Zone::\"main\"",
        "action == Gapura::Action::\"enter\"",
    ] {
        let policies = format!("@id(\"fits\") permit (principal, action, resource) when {{ {condition} }};");
        assert_eq!(judge(&policies).outcome, Outcome::Granted, "{condition}");
    }
}

#[test]
fn a_plain_forbid_speaks_before_one_that_asks_for_a_helper() {
    let forbid = |id: &str, assist: bool| {
        let outcome = if assist { "@outcome(\"assist\")" } else { "" };
        format!("@id(\"{id}\") @reason(\"why-{id}\") {outcome} forbid (principal, action, resource);")
    };
    for (forbids, outcome, reason) in [
        ([("a", true), ("b", true)], Outcome::Assist, "why-a"),
        ([("a", true), ("b", false)], Outcome::Denied, "why-b"),
        ([("a", false), ("b", true)], Outcome::Denied, "why-a"),
        ([("a", false), ("b", false)], Outcome::Denied, "why-a"),
    ] {
        let [first, second] = forbids.map(|(id, assist)| forbid(id, assist));
        // In which order they stand makes no difference.
        for policies in [format!("{ANYBODY}{first}{second}"), format!("{second}{first}{ANYBODY}")] {
            let judged = judge(&policies);
            assert_eq!((judged.outcome, judged.reason.as_str()), (outcome, reason));
            assert_eq!(judged.policies, ["a", "b"]);
        }
    }
}

#[test]
fn of_several_permits_the_first_by_id_speaks() {
    let judged = judge(
        r#"@id("b") @text_id("B") @text_en("B") permit (principal, action, resource);
           @id("a") @text_id("A") @text_en("A") permit (principal, action, resource);"#,
    );
    assert_eq!((judged.outcome, judged.reason.as_str(), judged.text.en.as_str()), (Outcome::Granted, "a", "A"));
    assert_eq!(judged.policies, ["a", "b"]);
}

#[test]
fn what_is_remembered_is_what_would_be_judged() {
    let policy = default_policy();
    for _ in 0..2 {
        for status in ["green", "yellow", "red", "unknown"] {
            for (direction, minute_of_day) in [(Direction::In, 400), (Direction::In, 451), (Direction::Out, 451)] {
                let question = Question { class: "visitor", status, direction, minute_of_day, ..QUESTION };
                assert_eq!(policy.judge(&question), policy.evaluate(&question));
            }
        }
    }
}

fn refusal(files: &[(&str, &str)]) -> FileError {
    policy(files).expect_err("a policy set that cannot be used")
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of mistakes")]
fn mistakes_are_named_with_their_file_line_and_remedy() {
    let [schema, (_, default), ..] = DEFAULT_POLICY else { panic!() };
    let good = ("good.cedar", ANYBODY);
    for (files, file, words) in [
        (
            vec![*schema, good, ("bad.cedar", "// one\n\npermit (principal, action resource);")],
            "policy/bad.cedar:3",
            ["does not parse", "resource"],
        ),
        (
            vec![
                *schema,
                good,
                (
                    "bad.cedar",
                    "@id(\"x\")\npermit (principal, action, resource)\nwhen {\n  context.statuss == \"green\" };",
                ),
            ],
            "policy/bad.cedar:4",
            ["does not fit schema.cedarschema", "statuss"],
        ),
        (
            vec![
                *schema,
                good,
                (
                    "bad.cedar",
                    "@id(\"x\")\npermit (principal, action, resource)\nwhen { context.weekday == \"monday\" };",
                ),
            ],
            "policy/bad.cedar:3",
            ["does not fit schema.cedarschema", "Long"],
        ),
        (
            vec![
                *schema,
                ("bad.cedar", "@id(\"x\") permit (principal, action, resource); permit (principal, action, resource);"),
            ],
            "policy/bad.cedar",
            ["policy 2 of this file", "@id"],
        ),
        (
            vec![*schema, good, ("twice.cedar", ANYBODY)],
            "policy/twice.cedar",
            ["@id(\"anybody\")", "also in good.cedar"],
        ),
        (
            vec![*schema, ("bad.cedar", "@id(\"x\") @outcome(\"maybe\") forbid (principal, action, resource);")],
            "policy/bad.cedar",
            ["@outcome(\"maybe\")", "allowed is \"assist\""],
        ),
        (
            vec![*schema, ("bad.cedar", "@id(\"x\") @outcome(\"assist\") permit (principal, action, resource);")],
            "policy/bad.cedar",
            ["@id(\"x\")", "on a forbid"],
        ),
        (
            vec![*schema, good, ("bad.cedar", "@id(\"x\") forbid (principal == ?principal, action, resource);")],
            "policy/bad.cedar",
            ["template", "?principal"],
        ),
        (vec![good], "policy/schema.cedarschema", ["is missing", "default policy"]),
        (
            vec![("schema.cedarschema", "namespace Gapura {\n entity Person\n entity"), good],
            "policy/schema.cedarschema:3",
            ["does not parse", "entity"],
        ),
        (vec![*schema], "policy", ["nobody could pass", "default policy"]),
        (vec![*schema, ("none.cedar", "// nothing yet\n")], "policy", ["nobody could pass", "default policy"]),
        (
            vec![*schema, ("a.cedar", default), ("b.cedar", &default.replace("\"staff-green\"", "\"other\""))],
            "policy/b.cedar",
            ["@id(\"exit-always\")", "a.cedar"],
        ),
    ] {
        let error = refusal(&files);
        assert_eq!(error.file, file, "{error}");
        assert!(words.iter().all(|word| error.reason.contains(word)), "{error}");
    }
}

#[test]
fn the_hash_changes_with_every_files_name_and_content() {
    let [schema, ..] = DEFAULT_POLICY else { panic!() };
    let more = "@id(\"more\") permit (principal, action, resource);";
    let commented = format!("{}// x", schema.1);
    let spaced = format!("{ANYBODY} ");
    let sets: Vec<Vec<(&str, &str)>> = vec![
        vec![*schema, ("a.cedar", ANYBODY)],
        vec![*schema, ("b.cedar", ANYBODY)],
        vec![*schema, ("a.cedar", more)],
        vec![*schema, ("a.cedar", &spaced)],
        vec![("schema.cedarschema", &commented), ("a.cedar", ANYBODY)],
        vec![*schema, ("a.cedar", ANYBODY), ("b.cedar", more)],
        vec![*schema, ("a.cedar", more), ("b.cedar", ANYBODY)],
    ];
    let hash = |files: &Vec<(&str, &str)>| policy(files).unwrap().set_hash().to_owned();
    let hashes: std::collections::BTreeSet<String> = sets.iter().map(hash).collect();
    assert_eq!(hashes.len(), sets.len());
    assert_eq!(hash(&sets[0]), hash(&sets[0]));
}

#[test]
fn a_folders_policies_are_read_and_hidden_files_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("texts")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    for (name, text) in DEFAULT_POLICY {
        write(name, text);
    }
    write(".default.cedar", "nonsense");
    write("notes.txt", "nonsense");
    let read = Policy::read(folder.path()).unwrap();
    assert_eq!((read.len(), read.set_hash()), (20, default_policy().set_hash()));
    std::fs::write(folder.path().join("bytes.cedar"), [0xff]).unwrap();
    let error = Policy::read(folder.path()).unwrap_err();
    assert!(error.file.ends_with("bytes.cedar") && error.reason.contains("cannot be read"), "{error}");
    assert!(Policy::read(&folder.path().join("nowhere")).unwrap_err().file.ends_with("nowhere"));
}
