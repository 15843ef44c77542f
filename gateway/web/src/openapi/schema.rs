//! Schemas of what is asked and answered, as its types tell them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, ToSchema};

/// The schemas that the document names, by name.
pub(super) type Components = BTreeMap<String, RefOr<Schema>>;

/// A type's schema; what it refers to is added to the components.
pub(super) type Schemas = fn(&mut Components) -> RefOr<Schema>;

/// The parameters of a query.
pub(super) type Parameters = fn() -> Vec<Value>;

/// What a body is made of.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Text for people, tables or pictures.
    Text,
    /// JSON of this type.
    Json(Schemas),
    /// JSON of this type on every line. What OpenAPI 3.1 can say of that is that it is text.
    Lines(Schemas),
    /// A JSON object that is not described further.
    AnyObject,
}

impl Kind {
    /// The media type's description.
    pub(super) fn describe(self, components: &mut Components) -> Value {
        match self {
            Self::Text => json!({ "schema": { "type": "string" } }),
            Self::Json(schema) => json!({ "schema": schema(components) }),
            Self::Lines(schema) => json!({
                "schema": { "type": "string", "description": "A JSON object on every line" },
                "x-line-schema": schema(components),
            }),
            Self::AnyObject => json!({ "schema": { "type": "object" } }),
        }
    }
}

/// The schema of `T`: a reference, where it has a name among the components.
pub(super) fn of<T: ToSchema>(components: &mut Components) -> RefOr<Schema> {
    let mut inner = Vec::new();
    T::schemas(&mut inner);
    components.extend(inner);
    let schema = T::schema();
    let name = T::name();
    let is_named = name.starts_with(char::is_uppercase) && name != "String";
    if !is_named {
        return schema;
    }
    components.insert(name.to_string(), schema);
    utoipa::openapi::Ref::from_schema_name(name).into()
}

/// The parameters of the query `T`.
pub(super) fn parameters<T: IntoParams>() -> Vec<Value> {
    let parameters = T::into_params(|| Some(ParameterIn::Query));
    parameters.iter().filter_map(|parameter| serde_json::to_value(parameter).ok()).map(without_null).collect()
}

/// Of an operation without any.
pub(super) fn no_parameters() -> Vec<Value> {
    Vec::new()
}

/// A parameter is given or not; it is never `null`.
fn without_null(mut parameter: Value) -> Value {
    if let Some(schema) = parameter.get_mut("schema").and_then(Value::as_object_mut) {
        if let Some(kind) = schema.get("type").and_then(one_beside_null) {
            schema.insert("type".into(), kind);
        }
        if let Some(Value::Object(other)) = schema.get("oneOf").and_then(one_beside_null) {
            *schema = other;
        }
    }
    parameter
}

/// Of types, or of schemas: the one that is not `null`, where there is one.
fn one_beside_null(list: &Value) -> Option<Value> {
    let others = list.as_array()?.iter().filter(|item| **item != "null" && item["type"] != "null");
    match others.collect::<Vec<_>>().as_slice() {
        [one] => Some((*one).clone()),
        _ => None,
    }
}
