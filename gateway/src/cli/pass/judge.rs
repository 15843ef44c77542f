//! `gapura pass verify` and `inspect`: what passes say, as JSON, one object for each.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use protocol::Instant;
use serde_json::{Map, Value, json};

use super::moment::time;
use super::picture::Picture;
use super::qr;
use access::passes::{self, Claims, Fault, HealthRules, PassKind, Passes};

/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The folder with the signers' certificates or keys: PEM, DER or JWK sets.
    #[arg(long, value_name = "DIR")]
    trust: PathBuf,
    /// The moment to judge at; if absent, now. Without an offset it is UTC.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Instant>,
    /// What is revoked, in the form of revoked.toml.
    #[arg(long, value_name = "FILE")]
    revoked: Option<PathBuf>,
    /// Print who the holder is too.
    #[arg(long)]
    show_holder: bool,
    /// Fail when a pass is not valid.
    #[arg(long)]
    check: bool,
    /// A file with one pass a line, a PNG or JPEG picture, '-' for standard input, or a pass itself.
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Print who the holder is too.
    #[arg(long)]
    show_holder: bool,
    /// A file with one pass a line, a PNG or JPEG picture, '-' for standard input, or a pass itself.
    file: PathBuf,
}

pub(super) fn verify(verify: &Verify, now: Instant, out: &mut impl Write) -> Result<()> {
    let passes = Passes::read_flat(&verify.trust, verify.revoked.as_deref(), HealthRules::default())?;
    if passes.keys() == 0 {
        bail!("{} holds no key: put the signers' certificates or keys there", verify.trust.display());
    }
    let at = verify.at.unwrap_or(now);
    let (mut judged, mut invalid) = (0_usize, 0_usize);
    for (line, text) in texts(&verify.file)? {
        let judgement = judgement(&passes, line, &text, at, verify.show_holder);
        judged += 1;
        invalid += usize::from(judgement.get("valid") != Some(&Value::Bool(true)));
        writeln!(out, "{judgement}")?;
    }
    out.flush()?;
    if verify.check && invalid > 0 {
        bail!("{invalid} of {judged} passes are not valid");
    }
    Ok(())
}

fn judgement(passes: &Passes, line: usize, text: &str, at: Instant, show_holder: bool) -> Value {
    let checked = passes.check(text, at);
    // A space is a base45 digit: only when it does not fit may it have come from the file.
    let trimmed = || passes.check(text.trim(), at).filter(|checked| checked.fault.is_none());
    let is_valid = checked.as_ref().is_some_and(|checked| checked.fault.is_none());
    let checked = if is_valid { checked } else { trimmed().or(checked) };
    let Some(checked) = checked else {
        let (reason, sentence) = (Fault::Prefix.as_str(), Fault::Prefix.sentence());
        return json!({
            "line": line, "kind": null, "valid": false, "reason": reason, "detail": sentence, "status": null,
            "claims": null,
        });
    };
    let claims = checked.claims.as_deref();
    let sentence = checked.fault.map(Fault::sentence);
    let detail = match (sentence, checked.detail.as_deref()) {
        (Some(sentence), Some(detail)) if detail != sentence => Some(format!("{sentence} ({detail})")),
        (sentence, detail) => sentence.or(detail).map(str::to_owned),
    };
    json!({
        "line": line,
        "kind": checked.kind.as_str(),
        "valid": checked.fault.is_none(),
        "reason": checked.fault.map(Fault::as_str),
        "detail": detail,
        "status": claims.and_then(|claims| claims.status),
        "claims": claims.map(|claims| shown(claims, show_holder)),
    })
}

pub(super) fn inspect(inspect: &Inspect, out: &mut impl Write) -> Result<()> {
    for (line, text) in texts(&inspect.file)? {
        let shown = match passes::inspect(&text) {
            Ok((kind, claims)) => {
                let claims = shown(&claims, inspect.show_holder);
                json!({ "line": line, "kind": kind.as_str(), "verified": false, "claims": claims })
            }
            Err((fault, detail)) => {
                let kind = PassKind::of(&text).map(PassKind::as_str);
                json!({ "line": line, "kind": kind, "verified": false, "reason": fault.as_str(), "detail": detail })
            }
        };
        writeln!(out, "{shown}")?;
    }
    Ok(out.flush()?)
}

/// The claims without what is absent, and without who the holder is where that is not wanted.
fn shown(claims: &Claims, show_holder: bool) -> Value {
    let mut shown = json!({
        "issuer": claims.issuer,
        "id": claims.id_hex(),
        "key_id": claims.key_id,
        "algorithm": claims.algorithm,
        "issued": claims.issued,
        "valid_from": claims.valid_from,
        "expires": claims.valid_until,
        "status": claims.status,
        "status_since": claims.status_since,
        "class": claims.class,
        "opd": claims.opd,
        "one_time": claims.one_time.then_some(true),
    });
    let fields: &mut Map<String, Value> = match shown.as_object_mut() {
        Some(fields) => fields,
        None => return shown,
    };
    let attested = claims.statement.as_ref().and_then(|statement| serde_json::to_value(statement).ok());
    fields.extend(
        attested.as_ref().and_then(Value::as_object).into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())),
    );
    if show_holder {
        fields.insert("subject".into(), json!(claims.subject));
        fields.insert("host".into(), json!(claims.host));
        fields.insert("pass_id".into(), json!(claims.issued_id));
        fields.insert("holder".into(), json!(claims.holder));
    }
    fields.retain(|_, value| !value.is_null());
    shown
}

/// The passes in a file with the number of each: of its line, or of the code in a picture.
fn texts(file: &Path) -> Result<Vec<(usize, String)>> {
    let name = file.display();
    let content = match file.to_str() {
        Some("-") => read(std::io::stdin().lock()).context("standard input cannot be read")?,
        Some(text) if PassKind::of(text).is_some() && !file.exists() => text.as_bytes().to_vec(),
        _ => {
            let opened = fs::File::open(file);
            let content = opened.map_err(anyhow::Error::from).and_then(read);
            content.with_context(|| format!("{name} cannot be read"))?
        }
    };
    let texts: Vec<_> = if Picture::is_picture(&content) {
        (1..).zip(qr::read(&content).with_context(|| name.to_string())?).collect()
    } else {
        let text = String::from_utf8_lossy(&content);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines = (1..).zip(text.split('\n').map(|line| line.trim_end_matches('\r')));
        lines.filter(|(_, line)| !line.is_empty()).map(|(line, text)| (line, text.to_owned())).collect()
    };
    if texts.is_empty() {
        bail!("{name} holds no pass: put one on each line");
    }
    Ok(texts)
}

fn read(from: impl Read) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    from.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > FILE_BYTES_MAX {
        bail!("it is larger than {FILE_BYTES_MAX} bytes: split it");
    }
    Ok(content)
}
