//! The API for programs: an OpenAPI 3.1 document, made of the table of rules, of what is said of each operation, and of the types that
//! are asked and answered.

mod operations;
mod schema;

use std::sync::LazyLock;

use protocol::api::ProblemDetails;
use serde_json::{Map, Value, json};

use self::operations::{Answer, OPERATIONS, Operation, READINESS, TAGS};
use self::schema::{Components, of};
use super::route::{RULES, Route, Rule};

const PROBLEM: &str = "application/problem+json";

/// The document, as it is served.
pub(super) fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| whole().to_string());
    &DOCUMENT
}

fn whole() -> Value {
    let mut components = Components::new();
    let mut paths: Map<String, Value> = Map::new();
    for rule in &RULES {
        let path = paths.entry(rule.path).or_insert_with(|| json!({}));
        let operations = OPERATIONS.iter().filter(|operation| operation.path == rule.path);
        for operation in
            operations.filter(|operation| rule.methods.split(", ").any(|method| method == operation.method))
        {
            path[operation.method.to_ascii_lowercase()] = describe(rule, operation, &mut components);
        }
    }
    let tags: Vec<Value> =
        TAGS.iter().map(|(name, description)| json!({ "name": name, "description": description })).collect();
    let mut schemas = json!(components);
    schemas["Assist"]["dependentRequired"] = json!({ "epoch": ["seq"], "seq": ["epoch"] });
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
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "An access token of the site, made with `gapura token add`. The roles that may use an operation \
                                stand beside it.",
            } },
            "schemas": schemas,
        },
    })
}

fn describe(rule: &Rule, operation: &Operation, components: &mut Components) -> Value {
    let mut responses = Map::new();
    for answer in operation.answers {
        responses.insert(answer.status.to_string(), describe_answer(answer, components));
    }
    let problem = json!({ PROBLEM: { "schema": of::<ProblemDetails>(components) } });
    for (status, description) in operation.refusals.iter().chain(refusals(rule, operation)) {
        let mut refusal = json!({ "description": description, "content": problem });
        if let Some(headers) = headers_of_refusal(*status) {
            refusal["headers"] = headers;
        }
        responses.insert(status.to_string(), refusal);
    }
    if rule.route == Route::readyz {
        for (kind, body) in READINESS {
            responses["503"]["content"][*kind] = body.describe(components);
        }
    }
    let parameters: Vec<Value> = level(rule).into_iter().chain((operation.parameters)()).collect();
    let mut members = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
    });
    let mut description = operation.description.to_owned();
    if !rule.roles.is_empty() {
        let roles: Vec<&str> = rule.roles.iter().map(|role| role.as_str()).collect();
        description = format!("{description} For the roles {}.", roles.join(", "));
        members["security"] = json!([{ "token": [] }]);
        members["x-roles"] = json!(roles);
        members["x-recorded"] = rule.is_recorded().into();
    }
    if !description.is_empty() {
        members["description"] = description.trim_start().into();
    }
    if let Some((description, schema)) = operation.body {
        let content = json!({ "application/json": { "schema": schema(components) } });
        members["requestBody"] = json!({ "required": true, "description": description, "content": content });
    }
    members
}

fn describe_answer(answer: &Answer, components: &mut Components) -> Value {
    let mut members = json!({ "description": answer.description });
    for (kind, body) in answer.content {
        members["content"][*kind] = body.describe(components);
    }
    for header in answer.headers {
        let schema = (header.schema)(components);
        members["headers"][header.name] =
            json!({ "description": header.description, "required": true, "schema": schema });
    }
    members
}

/// The parameter for the level in braces.
fn level(rule: &Rule) -> Option<Value> {
    let name = rule.path.split_once('{')?.1.split('}').next()?;
    let (description, schema) = match (name, rule.route) {
        ("door", _) => ("A door's name", json!({ "type": "string", "pattern": "^[a-z0-9-]{1,32}$" })),
        (_, Route::people) => ("A person's id", json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" })),
        _ => (
            "A person's id, or ~ and the hash of an unknown credential",
            json!({ "type": "string", "minLength": 1, "maxLength": 128 }),
        ),
    };
    Some(json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema }))
}

/// How every request under the rule may be refused.
fn refusals(rule: &Rule, operation: &Operation) -> impl Iterator<Item = &'static (u16, &'static str)> {
    const ALL: &[(u16, &str)] = &[
        (400, "A parameter, the body, or the Host header is wrong: which, and what is allowed"),
        (413, "The body is too large, or none is taken here"),
        (421, "The gateway is not called by this name"),
        (431, "The request's line and headers are too large"),
        (500, "The gateway failed; the reason is in its own log"),
        (503, "It cannot be answered, or not be recorded, now"),
    ];
    const WITH_TOKEN: &[(u16, &str)] = &[
        (401, "No access token, a wrong one, or one that has ended"),
        (403, "The token's role may not do this, recorded; or a purpose is needed"),
    ];
    const WITH_BODY: &[(u16, &str)] = &[(408, "The body comes too slowly"), (415, "The body is not said to be JSON")];
    let with_token = WITH_TOKEN.iter().filter(|_| !rule.roles.is_empty());
    let with_body = WITH_BODY.iter().filter(|_| operation.body.is_some());
    ALL.iter().chain(with_token).chain(with_body)
}

/// What comes with a refusal of this status.
fn headers_of_refusal(status: u16) -> Option<Value> {
    let (name, description, kind) = match status {
        401 => ("WWW-Authenticate", "How to show a token (RFC 6750)", "string"),
        429 | 503 => ("Retry-After", "After how many seconds to try again", "integer"),
        _ => return None,
    };
    Some(json!({ name: { "description": description, "schema": { "type": kind } } }))
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
            let methods = members.as_object().unwrap().keys();
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
                assert_eq!(operation.get("security").is_some(), !roles.is_empty(), "{method} {}", rule.path);
                let takes = ["POST", "PUT"].contains(&method) && rule.body_bytes_max > 0;
                assert_eq!(operation.get("requestBody").is_some(), takes, "{method} {}", rule.path);
                assert!(!operation["summary"].as_str().unwrap().is_empty());
                let levels: Vec<_> =
                    operation["parameters"].as_array().unwrap().iter().filter(|known| known["in"] == "path").collect();
                assert_eq!(levels.len(), usize::from(rule.path.contains('{')), "{}", rule.path);
            }
        }
        assert_eq!(document["openapi"], "3.1.0");
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_a_tag_and_typed_answers() {
        let document: Value = serde_json::from_str(document()).unwrap();
        let mut ids = BTreeSet::new();
        let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
        for members in document["paths"].as_object().unwrap().values() {
            for operation in members.as_object().unwrap().values() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id.to_owned()), "{id} is there twice");
                assert!(tags.contains(&&operation["tags"][0]), "{id}");
                for (status, response) in operation["responses"].as_object().unwrap() {
                    assert_eq!(response.get("content").is_none(), status == "204", "{id} {status}");
                    for (kind, body) in response["content"].as_object().into_iter().flatten() {
                        assert!(body["schema"].is_object(), "{id} {status} {kind}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document: Value = serde_json::from_str(document()).unwrap();
        fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str));
                    members.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let wanted: BTreeSet<String> = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
        assert_eq!(found.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), wanted);
    }
}
