//! Health certificates that others made and published with their verdicts: read from a folder, where there is one.

use std::fs;
use std::path::Path;

use crate::passes::{Fault, HealthRules, Passes, moment_of};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The folder: files with `PREFIX`, `TESTCTX` and `EXPECTEDRESULTS`, as in the EU's interoperability test set.
const FOLDER: &str = "GAPURA_DCC_VECTORS";

/// Whatever is expected to fail makes a certificate invalid.
const STEPS: [&str; 10] = [
    "VERIFY",
    "EXPIRATIONCHECK",
    "KEYUSAGE",
    "SCHEMAVALIDATION",
    "B45DECODE",
    "UNPREFIX",
    "COMPRESSION",
    "DECODE",
    "VALIDOBJECT",
    "VALIDJSON",
];

#[test]
fn published_certificates_get_their_published_verdict() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        eprintln!("SKIPPED: {FOLDER} names no folder of published certificates");
        return;
    };
    let mut judged = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let Some((expected, found)) = verdicts(&path) else { continue };
            judged += 1;
            if expected == found.is_some() {
                wrong.push(format!("{}: {}", path.file_name().unwrap().display(), found.unwrap_or("valid".into())));
            }
        }
    }
    wrong.sort();
    eprintln!("{} of {judged} published verdicts are met", judged - wrong.len());
    assert!(judged > 0 && wrong.is_empty(), "{wrong:#?}");
}

/// Whether the certificate in `path` should be valid, and why it is not.
fn verdicts(path: &Path) -> Option<(bool, Option<String>)> {
    let text = fs::read(path).unwrap();
    let case: serde_json::Value = serde_json::from_slice(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text)).ok()?;
    let context = &case["TESTCTX"];
    let at = context["VALIDATIONCLOCK"].as_str().and_then(moment_of)?;
    let folder = tempfile::tempdir().unwrap();
    let certificate = STANDARD.decode(context["CERTIFICATE"].as_str()?).ok()?;
    fs::write(folder.path().join("signer.der"), certificate).unwrap();
    let passes = Passes::read_flat(folder.path(), None, HealthRules::default()).ok()?;
    let valid = STEPS.iter().all(|step| case["EXPECTEDRESULTS"][format!("EXPECTED{step}")] != false);
    let Some(checked) = passes.check(case["PREFIX"].as_str()?, at) else {
        return Some((valid, Some(Fault::Prefix.to_string())));
    };
    let why = |fault| format!("{fault}, at {at}: {}", checked.detail.as_deref().unwrap_or_default());
    Some((valid, checked.fault.map(why)))
}
