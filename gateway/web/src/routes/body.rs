//! Reading a request's JSON: what is wrong is named by its place, and nothing that was sent is repeated.

use serde::de::DeserializeOwned;

use crate::problem::Refusal;

/// Reads one JSON document.
pub(super) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, cause) = (error.path().to_string(), error.inner());
        let position = format!("line {} column {}", cause.line(), cause.column());
        if !cause.is_data() {
            return Refusal::bad_body(format!("not one JSON document in UTF-8, see {position}"));
        }
        let message = cause.to_string();
        let refusal = Refusal::bad_body(format!("{}, see {position}", expected(&message)));
        // A name that is unknown here may be anything, even a badge: it is not repeated.
        if message.starts_with("unknown field") { refusal } else { refusal.at(path) }
    })?;
    reader.end().map_err(|_| Refusal::bad_body("something follows the JSON document; send one"))?;
    Ok(read)
}

/// The part of serde's message that comes from the program and not from the request.
fn expected(message: &str) -> String {
    if message.starts_with("unknown field") {
        return "a field is not known here; see /api/openapi.json".to_owned();
    }
    if let Some((_, expected)) = message.rsplit_once(", expected ") {
        let expected = expected.rsplit_once(" at line ").map_or(expected, |(expected, _)| expected);
        return format!("the value is not what is expected: {expected}");
    }
    match message.split_once(" at line ") {
        Some((missing, _)) if missing.starts_with("missing field") => missing.to_owned(),
        _ => "the value is not allowed here".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Order {
        lines: Vec<Line>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Line {
        count: u8,
    }

    #[test]
    fn the_place_is_named_and_what_was_sent_is_not() {
        for (text, field, words) in [
            (r#"{"lines":[{"count":1},{"count":"SECRET, expected"}]}"#, Some("lines[1].count"), "expected: u8"),
            (r#"{"lines":[{"count":999}]}"#, Some("lines[0].count"), "expected: u8"),
            (r#"{"lines":[{}]}"#, Some("lines[0]"), "missing field `count`"),
            (r#"{"lines":"#, None, "line 1"),
            (r#"{"lines":[]} SECRET"#, None, "something follows"),
            ("", None, "not one JSON"),
        ] {
            let problem = json::<Order>(text.as_bytes()).unwrap_err();
            let (found, detail) = problem.field_and_detail();
            assert_eq!(found, field, "{text}");
            assert!(detail.contains(words) && !detail.contains("SECRET"), "{text}: {detail}");
        }
        json::<Order>(br#"{"lines":[{"count":1}]} "#).unwrap();
    }
}
