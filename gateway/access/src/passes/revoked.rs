//! What is no longer to be trusted although its signature holds: `revoked.toml`.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::claims::Claims;
use super::error::PassError;
use super::fault::Fault;
use base::owner::why;

/// Bytes of a certificate's hash that count, as in the EU's revocation lists.
const CERTIFICATE_HASH_BYTES: usize = 16;

/// The revocation list, ready to be asked.
#[derive(Debug, Default)]
pub(super) struct Revoked {
    passes: HashSet<String>,
    subjects: HashSet<String>,
    keys: HashSet<String>,
    certificates: HashSet<Vec<u8>>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Written {
    passes: Vec<Spanned<String>>,
    subjects: Vec<String>,
    keys: Vec<Spanned<String>>,
    certificates: Vec<Spanned<String>>,
}

impl Revoked {
    /// Reads `file`, which may be absent.
    ///
    /// # Errors
    /// Names the line of what is wrong.
    pub(super) fn read(file: &Path) -> Result<Self, PassError> {
        match fs::read_to_string(file) {
            Ok(text) => Self::parse(&text).map_err(|(line, reason)| PassError::at_line(file, line, reason)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(PassError::new(file, format!("cannot be read: {}", why(file, &error)))),
        }
    }

    /// The line and the reason, when something is wrong.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let line = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        let written: Written = toml::from_str(text).map_err(|error| {
            let remedy = "it may hold the lists passes, subjects, keys and certificates, each of texts in quotes";
            (line(error.span().map_or(0, |span| span.start)), format!("{}; {remedy}", error.message().trim_end()))
        })?;
        let digits = |list: Vec<Spanned<String>>, bytes_min: usize, what: &str| {
            let checked = list.into_iter().map(|entry| {
                let at = line(entry.span().start);
                let digits = entry.into_inner().to_ascii_lowercase();
                let good = digits.len() >= 2 * bytes_min
                    && digits.len() % 2 == 0
                    && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                if good { Ok(digits) } else { Err((at, format!("{what}, as hexadecimal digits"))) }
            });
            checked.collect::<Result<HashSet<String>, _>>()
        };
        let certificates = digits(
            written.certificates,
            CERTIFICATE_HASH_BYTES,
            "a certificate is revoked by the SHA-256 of its UVCI",
        )?;
        Ok(Self {
            passes: digits(written.passes, 8, "a pass is revoked by its id, as `gapura pass inspect` prints it")?,
            subjects: written.subjects.into_iter().collect(),
            keys: digits(written.keys, 1, "a key is revoked by its key id")?,
            certificates: certificates.iter().map(|digits| bytes(digits)).collect(),
        })
    }

    /// Whether the list speaks of these claims, and how.
    pub(super) fn fault(&self, claims: &Claims) -> Option<Fault> {
        let has = |list: &HashSet<String>, entry: &str| !list.is_empty() && list.contains(entry);
        if has(&self.passes, &claims.id_hex())
            || claims.issued_id.as_ref().is_some_and(|id| has(&self.passes, id))
            || self.has_certificate(claims)
        {
            return Some(Fault::Revoked);
        }
        if has(&self.keys, &claims.key_id) {
            return Some(Fault::KeyRevoked);
        }
        claims.subject.as_ref().filter(|subject| has(&self.subjects, subject)).map(|_| Fault::SubjectRevoked)
    }

    fn has_certificate(&self, claims: &Claims) -> bool {
        let Some(holder) = claims.holder.as_ref().filter(|_| !self.certificates.is_empty()) else { return false };
        let hash = ring::digest::digest(&ring::digest::SHA256, holder.certificate_id.as_bytes());
        hash.as_ref()
            .first_chunk::<CERTIFICATE_HASH_BYTES>()
            .is_some_and(|first| self.certificates.contains(&first[..]))
    }
}

/// The first bytes that a text of hexadecimal digits stands for.
fn bytes(digits: &str) -> Vec<u8> {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or_default();
    let pairs = digits.as_bytes().chunks_exact(2).take(CERTIFICATE_HASH_BYTES);
    pairs.map(|pair| pair.iter().map(digit).fold(0, |value, digit| value << 4 | digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, line, word) in [
            ("passes = [\n  \"0011223344556677\",\n  \"oops\",\n]\n", 3, "pass inspect"),
            ("keys = [\"0g\"]\n", 1, "key id"),
            ("\ncertificates = [\"00\"]\n", 2, "UVCI"),
            ("people = []\n", 1, "subjects"),
            ("passes = \"x\"\n", 1, "lists"),
            ("subjects = [\n", 1, "lists"),
        ] {
            let (at, reason) = Revoked::parse(text).unwrap_err();
            assert!(at == line && reason.contains(word), "{text:?}: {at}: {reason}");
        }
    }
}
