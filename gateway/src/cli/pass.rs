//! `gapura pass`: signing keys, passes, and a look at passes that somebody else made.

mod judge;
mod moment;
mod picture;
mod qr;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::{Args, Subcommand, ValueEnum};
use protocol::{HealthStatus, Instant, PersonClass};
use x509_parser::pem::Pem;

use self::moment::time;
use access::passes::{NewPass, SigningAlgorithm, SigningKey};

/// Characters of a line of PEM text.
const PEM_LINE_CHARS: usize = 64;

/// Bytes of a new pass's id.
const ID_BYTES: usize = 16;

#[derive(Debug, Subcommand)]
pub(super) enum PassCommand {
    /// Make a key that signs passes, and beside it its public part for the gateways' trust folders.
    Key(NewKey),
    /// Issue a staff or visitor pass.
    Issue(Issue),
    /// Judge passes and health certificates: one JSON object for each.
    Verify(judge::Verify),
    /// Show what passes say, without verifying them.
    Inspect(judge::Inspect),
}

#[derive(Debug, Args)]
pub(super) struct NewKey {
    /// The private key's new file; the public part goes to FILE.jwks.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How it signs.
    #[arg(long, value_enum, default_value = "ed25519")]
    algorithm: Algorithm,
    /// What its passes call it; if absent, a hash of its public part.
    #[arg(long, value_name = "TEXT")]
    kid: Option<String>,
    /// Until when gateways take its passes.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Algorithm {
    Ed25519,
    Es256,
}

#[derive(Debug, Args)]
pub(super) struct Issue {
    /// The private key, PKCS#8 PEM. Its key id is read from FILE.jwks, where that is there.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The key id that the pass carries.
    #[arg(long, value_name = "TEXT")]
    kid: Option<String>,
    /// Who issues it.
    #[arg(long)]
    issuer: String,
    /// Whom it is for: the person's id in the directory.
    #[arg(long)]
    subject: String,
    /// Its end: 2026-12-31, or 2026-12-31T17:00:00+08:00; without an offset it is UTC.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Instant,
    /// The first moment of its validity; if absent, now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Instant>,
    /// Its id, 8 to 32 bytes; if absent, a random one.
    #[arg(long, value_name = "HEX", value_parser = hexadecimal)]
    id: Option<Hexadecimal>,
    /// The person's class: asn, non-asn or visitor.
    #[arg(long, value_parser = class)]
    class: Option<PersonClass>,
    /// The person's office.
    #[arg(long)]
    opd: Option<String>,
    /// Whom a visitor visits.
    #[arg(long)]
    host: Option<String>,
    /// Let its holder in once only.
    #[arg(long)]
    one_time: bool,
    /// The person's colour: green, yellow, red or black.
    #[arg(long, value_parser = colour)]
    status: Option<HealthStatus>,
    /// As what.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Where to; if absent, standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The text that stands in the QR code.
    Text,
    /// A QR code as a picture.
    Png,
    /// A QR code to be scaled.
    Svg,
}

#[derive(Clone, Debug)]
struct Hexadecimal(Vec<u8>);

/// Does what `command` says and writes what there is to say to `out`.
pub(super) fn perform(command: PassCommand, now: Instant, out: &mut impl Write) -> Result<()> {
    match command {
        PassCommand::Key(new) => make_key(&new, out),
        PassCommand::Issue(issue) => issue_pass(issue, now, out),
        PassCommand::Verify(verify) => judge::verify(&verify, now, out),
        PassCommand::Inspect(inspect) => judge::inspect(&inspect, out),
    }
}

fn make_key(new: &NewKey, out: &mut impl Write) -> Result<()> {
    let algorithm = match new.algorithm {
        Algorithm::Ed25519 => SigningAlgorithm::Ed25519,
        Algorithm::Es256 => SigningAlgorithm::Es256,
    };
    let der = SigningKey::generate(algorithm)?;
    let key = SigningKey::from_pkcs8(&der, new.kid.as_deref().map(str::as_bytes))?;
    let public = public_part(&new.out);
    if public.exists() {
        bail!("{} is there already: choose another name, so that no key is lost", public.display());
    }
    write_new(&new.out, pem("PRIVATE KEY", &der).as_bytes(), 0o600)?;
    write_new(&public, format!("{:#}\n", key.public_jwks(new.until)).as_bytes(), 0o644)?;
    writeln!(
        out,
        "{} signs passes: keep it secret, it stays here.\n{} is for the gateways: put it into their passes folder.",
        new.out.display(),
        public.display()
    )?;
    Ok(())
}

fn issue_pass(issue: Issue, now: Instant, out: &mut impl Write) -> Result<()> {
    let key = read_key(&issue.key, issue.kid.as_deref())?;
    let id = match issue.id {
        Some(Hexadecimal(id)) => id,
        None => {
            let mut id = vec![0; ID_BYTES];
            getrandom::fill(&mut id).map_err(|error| anyhow!("the system gave no random numbers: {error}"))?;
            id
        }
    };
    let pass = NewPass {
        issuer: issue.issuer,
        subject: issue.subject,
        id,
        issued: now,
        valid_from: issue.from,
        valid_until: issue.until,
        class: issue.class,
        opd: issue.opd,
        host: issue.host,
        status: issue.status.map(|status| (status, now)),
        one_time: issue.one_time,
    };
    let text = key.issue(&pass)?;
    let content = match issue.format {
        Format::Text => format!("{text}\n").into_bytes(),
        Format::Png => qr::png(&text)?,
        Format::Svg => qr::svg(&text)?.into_bytes(),
    };
    match issue.out {
        // A pass lets its holder in: nobody else on this machine needs to read it.
        Some(file) => write_new(&file, &content, 0o600),
        None => Ok(out.write_all(&content)?),
    }
}

fn read_key(file: &Path, kid: Option<&str>) -> Result<SigningKey> {
    let context = || format!("{} cannot be used as a key", file.display());
    let text = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let sections = Pem::iter_from_buffer(&text).filter_map(Result::ok);
    let section = sections.into_iter().find(|section| section.label == "PRIVATE KEY");
    let der = section.ok_or_else(|| anyhow!("it holds no PRIVATE KEY section; `gapura pass key` makes one"));
    let der = der.with_context(context)?.contents;
    let unnamed = SigningKey::from_pkcs8(&der, None).with_context(context)?;
    let beside = kid_beside(&public_part(file)).filter(|kid| *kid != URL_SAFE_NO_PAD.encode(unnamed.id()));
    match kid.or(beside.as_deref()) {
        Some(kid) => SigningKey::from_pkcs8(&der, Some(kid.as_bytes())).with_context(context),
        None => Ok(unnamed),
    }
}

/// The key id in the JWK set that `gapura pass key` wrote.
fn kid_beside(public: &Path) -> Option<String> {
    let set: serde_json::Value = serde_json::from_slice(&fs::read(public).ok()?).ok()?;
    set.pointer("/keys/0/kid")?.as_str().map(str::to_owned)
}

fn public_part(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".jwks");
    name.into()
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(PEM_LINE_CHARS).map(String::from_utf8_lossy);
    let lines: Vec<_> = lines.collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn write_new(file: &Path, content: &[u8], mode: u32) -> Result<()> {
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    let mut opened = opened.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => anyhow!("{} is there already: choose another name", file.display()),
        _ => anyhow!("{} cannot be made: {error}", file.display()),
    })?;
    let written = opened.write_all(content).and_then(|()| opened.sync_all());
    written.with_context(|| format!("{} cannot be written", file.display()))
}

fn hexadecimal(text: &str) -> Result<Hexadecimal, String> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0);
    let digits = digits.ok_or("must be hexadecimal digits, two for each byte")?;
    Ok(Hexadecimal(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()))
}

fn class(text: &str) -> Result<PersonClass, String> {
    let class = PersonClass::ALL.into_iter().find(|class| class.as_str() == text);
    class.ok_or_else(|| "must be asn, non-asn or visitor".into())
}

fn colour(text: &str) -> Result<HealthStatus, String> {
    let colour = HealthStatus::ALL.into_iter().find(|colour| colour.as_str() == text);
    colour.ok_or_else(|| "must be green, yellow, red or black".into())
}
