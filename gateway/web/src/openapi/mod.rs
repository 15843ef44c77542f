//! The API for programs: an OpenAPI 3.1 document, made of the table of rules and of what is said of each operation.

mod operations;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use self::operations::{OPERATIONS, Operation, Parameter, Schema};
use super::route::{RULES, Rule};

/// The document, as it is served.
pub(super) fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| whole().to_string());
    &DOCUMENT
}

fn whole() -> Value {
    let paths: Map<String, Value> = RULES.iter().map(|rule| (rule.path.to_owned(), path(rule))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Gapura",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "An on-prem edge gateway for door scanners. Unknown and repeated parameters are refused. \
                            Every request for personal data is recorded with its token, its purpose and its outcome, \
                            also when it is refused; one that cannot be recorded is answered with 503.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "An access token of the site, made with `gapura token add`. The roles that may use an operation \
                                stand beside it.",
            } },
            "schemas": { "Problem": problem() },
        },
    })
}

/// RFC 9457.
fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string", "description": "urn:gapura:problem: and a stable name" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "What is wrong, where, and what to do" },
            "field": { "type": "string", "description": "The JSON path of the wrong field of the body" },
        },
    })
}

fn path(rule: &Rule) -> Value {
    let mut members = Map::new();
    if let Some(level) = level(rule) {
        let description = if level == "door" { "A door's name" } else { "A person's id" };
        let parameter = json!({
            "name": level, "in": "path", "required": true, "description": description, "schema": { "type": "string" },
        });
        members.insert("parameters".into(), json!([parameter]));
    }
    for operation in OPERATIONS.iter().filter(|operation| operation.path == rule.path) {
        members.insert(operation.method.to_ascii_lowercase(), describe(rule, operation));
    }
    Value::Object(members)
}

/// The name of the level in braces.
fn level(rule: &Rule) -> Option<&'static str> {
    rule.path.split_once('{')?.1.split('}').next()
}

fn describe(rule: &Rule, operation: &Operation) -> Value {
    let mut responses = Map::new();
    let (code, description, types) = operation.answer;
    let content: Map<String, Value> = types.iter().map(|kind| ((*kind).to_owned(), json!({}))).collect();
    let mut success = json!({ "description": description });
    if let (Some(members), false) = (success.as_object_mut(), content.is_empty()) {
        members.insert("content".into(), Value::Object(content));
    }
    responses.insert(code.into(), success);
    for (code, description) in operation.refusals.iter().chain(refusals(rule)) {
        let content = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
        responses.insert((*code).into(), json!({ "description": description, "content": content }));
    }
    let mut members = json!({
        "summary": operation.summary,
        "parameters": operation.parameters.iter().map(parameter).collect::<Vec<_>>(),
        "responses": responses,
    });
    if let Some(members) = members.as_object_mut() {
        if !rule.roles.is_empty() {
            let roles: Vec<&str> = rule.roles.iter().map(|role| role.as_str()).collect();
            members.insert("description".into(), format!("For the roles {}.", roles.join(", ")).into());
            members.insert("security".into(), json!([{ "token": [] }]));
            members.insert("x-roles".into(), json!(roles));
            members.insert("x-recorded".into(), rule.personal.into());
        }
        if let Some(description) = operation.body {
            let content = json!({ "application/json": { "schema": { "type": "object" } } });
            let body = json!({ "required": true, "description": description, "content": content });
            members.insert("requestBody".into(), body);
        }
    }
    members
}

/// How every request under the rule may be refused.
fn refusals(rule: &Rule) -> &'static [(&'static str, &'static str)] {
    const OPEN: &[(&str, &str)] = &[
        ("400", "A parameter is wrong: which one, and what is allowed"),
        ("503", "Too many requests at once; try again"),
    ];
    const WITH_TOKEN: &[(&str, &str)] = &[
        ("400", "A parameter, or the body, is wrong: which, and what is allowed"),
        ("401", "No access token, a wrong one, or one that has ended"),
        ("403", "The token's role may not do this; recorded"),
        ("503", "It cannot be answered, or not be recorded, now; `retry-after` says when to try again"),
    ];
    if rule.roles.is_empty() { OPEN } else { WITH_TOKEN }
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.schema {
        Schema::Text => json!({ "type": "string", "minLength": 1 }),
        Schema::Day => json!({ "type": "string", "format": "date" }),
        Schema::Moment => json!({ "type": "string", "format": "date-time" }),
        Schema::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Schema::OneOf(words) => json!({ "type": "string", "enum": words }),
        Schema::Switch => json!({ "type": "boolean" }),
    };
    json!({
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.description,
        "schema": schema,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_is_in_the_document_and_nothing_else() {
        let ruled: BTreeSet<(&str, &str)> = RULES
            .iter()
            .flat_map(|rule| rule.methods.split(", ").map(|method| (rule.path, method)))
            // What GET answers, HEAD does without a body.
            .filter(|(_, method)| *method != "HEAD")
            .collect();
        let told: BTreeSet<(&str, &str)> =
            OPERATIONS.iter().map(|operation| (operation.path, operation.method)).collect();
        assert_eq!(told, ruled);
        assert_eq!(told.len(), OPERATIONS.len(), "an operation is told twice");

        let document: Value = serde_json::from_str(document()).unwrap();
        let operations = document["paths"].as_object().unwrap().iter().flat_map(|(path, members)| {
            let methods = members.as_object().unwrap().keys().filter(|member| *member != "parameters");
            methods.map(move |method| (path.as_str(), method.to_ascii_uppercase()))
        });
        let operations: BTreeSet<(&str, String)> = operations.collect();
        assert_eq!(operations, ruled.iter().map(|(path, method)| (*path, (*method).to_owned())).collect());
    }

    #[test]
    fn roles_bodies_and_levels_stand_in_the_document() {
        let document: Value = serde_json::from_str(document()).unwrap();
        for rule in RULES {
            let members = &document["paths"][rule.path];
            for method in rule.methods.split(", ").filter(|method| *method != "HEAD") {
                let operation = &members[method.to_ascii_lowercase()];
                let roles: Vec<&str> = rule.roles.iter().map(|role| role.as_str()).collect();
                let told: Vec<&str> =
                    operation["x-roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                assert_eq!(told, roles, "{method} {}", rule.path);
                let takes = ["POST", "PUT"].contains(&method);
                assert_eq!(operation.get("requestBody").is_some(), takes, "{method} {}", rule.path);
                assert!(!operation["summary"].as_str().unwrap().is_empty());
            }
            assert_eq!(members.get("parameters").is_some(), rule.path.contains('{'), "{}", rule.path);
        }
        assert_eq!(document["openapi"], "3.1.0");
    }
}
