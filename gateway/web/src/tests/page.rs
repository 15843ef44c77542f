//! The status page: everything that it needs comes from the gateway, and its policy lets it work.

use super::*;

const PAGE: &str = include_str!("../page.html");
const SCRIPT: &str = include_str!("../page.js");
const STYLE: &str = include_str!("../page.css");

#[tokio::test]
async fn everything_that_the_page_refers_to_is_served() {
    let site = Site::start().await;
    let reply = site.get("/?bookmark").await;
    assert_eq!((reply.code, reply.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(reply.body, PAGE);
    let references: Vec<_> = ["href=\"", "src=\""]
        .into_iter()
        .flat_map(|attribute| PAGE.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .filter(|target| !target.starts_with('#'))
        .collect();
    assert!(references.len() >= 3, "{references:?}");
    for target in references {
        let reply = site.get(target).await;
        assert_eq!(reply.code, 200, "{target}");
        let content_type = match target.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => continue,
        };
        assert_eq!(reply.header("content-type"), content_type, "{target}");
    }
}

#[test]
fn the_page_names_nothing_outside_the_gateway() {
    for (name, text) in
        [("page.html", PAGE), ("page.js", SCRIPT), ("page.css", STYLE), ("icon.svg", include_str!("../icon.svg"))]
    {
        // An XML name space is a name, not a place.
        let text = text.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for outside in ["http:", "https:", "//cdn", "ws:", "wss:", "@import", "data:"] {
            assert!(!text.contains(outside), "{name} has {outside}");
        }
        assert!(!text.split(['"', '\'', '(']).any(|piece| piece.starts_with("//")), "{name} has a URL without scheme");
    }
}

#[test]
fn the_page_keeps_to_its_content_security_policy() {
    assert!(!PAGE.contains("<style") && !PAGE.contains(" style="), "inline style would be blocked");
    assert!(PAGE.split("<script").skip(1).all(|tag| tag.starts_with(" src=\"/")), "inline script would be blocked");
    assert!(!PAGE.split_ascii_whitespace().any(|word| word.starts_with("on") && word.contains("=\"")));
    for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
        assert!(!SCRIPT.contains(sink), "the script must set text, not markup: {sink}");
    }
}

#[test]
fn the_page_reads_only_what_the_status_has() {
    let status = serde_json::to_value(status()).unwrap();
    let is_path = |c: char| c.is_ascii_alphanumeric() || "_.?".contains(c);
    let mut read = 0;
    for prefix in ["picture.", "status."] {
        for (at, _) in SCRIPT.match_indices(prefix) {
            if SCRIPT.get(..at).unwrap().ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.') {
                continue;
            }
            let path = SCRIPT.get(at + prefix.len()..).unwrap().split(|c| !is_path(c)).next().unwrap().replace('?', "");
            let mut value = &status;
            // Of a list or a number, what is read further on is the language's.
            for field in path.split('.').take_while(|field| !field.is_empty()) {
                let Some(members) = value.as_object() else { break };
                value = members.get(field).unwrap_or_else(|| panic!("the status has no {path}"));
                read += 1;
            }
        }
    }
    assert!(read > 20, "only {read} fields were found in the script");
}
