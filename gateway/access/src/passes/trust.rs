//! The folder of keys that one kind of pass is verified with.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509_parser::pem::Pem;

use super::error::PassError;
use super::jwk;
use super::keys::TrustedKey;

/// Largest file of a trust folder: a national list of ten thousand keys fits.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Keys, found by the id that passes name them by.
#[derive(Debug, Default)]
pub(super) struct TrustList {
    keys: Vec<TrustedKey>,
    by_id: HashMap<Vec<u8>, Vec<usize>>,
}

impl TrustList {
    /// Reads every file of `folder`, which may be absent. Hidden files and folders are left out.
    ///
    /// # Errors
    /// Names the file that holds anything but certificates and public keys.
    pub(super) fn read(folder: &Path) -> Result<Self, PassError> {
        let mut list = Self::default();
        list.add_folder(folder)?;
        Ok(list)
    }

    /// Adds the keys of another folder.
    pub(super) fn add_folder(&mut self, folder: &Path) -> Result<(), PassError> {
        for file in files(folder)? {
            let keys = read(&file).map_err(|reason| PassError::new(&file, reason))?;
            keys.into_iter().for_each(|key| self.add(key));
        }
        Ok(())
    }

    /// The keys that go by `id`, each with its place; several may.
    pub(super) fn find(&self, id: &[u8]) -> impl Iterator<Item = (usize, &TrustedKey)> {
        let places = self.by_id.get(id).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|place| Some((*place, self.keys.get(*place)?)))
    }

    /// The key at a place that [`find`](Self::find) gave.
    pub(super) fn at(&self, place: usize) -> Option<&TrustedKey> {
        self.keys.get(place)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn add(&mut self, key: TrustedKey) {
        let place = self.keys.len();
        for id in &key.ids {
            let places = self.by_id.entry(id.clone()).or_default();
            // A key whose text and decoded id are the same goes by it once.
            if places.last() != Some(&place) {
                places.push(place);
            }
        }
        self.keys.push(key);
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, PassError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(PassError::new(folder, format!("cannot be listed: {error}"))),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| PassError::new(folder, format!("cannot be listed: {error}")))?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The keys in one file: a JWK set, PEM text, DER, or DER in base64.
fn read(file: &Path) -> Result<Vec<TrustedKey>, String> {
    let size = fs::metadata(file).map_err(|error| format!("cannot be read: {error}"))?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("is larger than {FILE_BYTES_MAX} bytes: split it"));
    }
    let content = fs::read(file).map_err(|error| format!("cannot be read: {error}"))?;
    let text = content.trim_ascii();
    let keys = match text.first() {
        Some(b'{' | b'[') => jwk::parse(text)?,
        _ if contains(text, b"-----BEGIN ") => pem(&content)?,
        _ => {
            let der = STANDARD.decode(text).unwrap_or(content);
            vec![key_of_der(&der).ok_or("holds neither a certificate nor a public key (PEM, DER or a JWK set)")?]
        }
    };
    if keys.is_empty() {
        return Err("holds no key: put a certificate, a public key or a JWK set there, or delete the file".into());
    }
    Ok(keys)
}

fn key_of_der(der: &[u8]) -> Option<TrustedKey> {
    TrustedKey::of_certificate(der).or_else(|| TrustedKey::of_public_key(der))
}

fn pem(content: &[u8]) -> Result<Vec<TrustedKey>, String> {
    let mut keys = Vec::new();
    for section in Pem::iter_from_buffer(content) {
        let section = section.map_err(|_| "is damaged PEM text: copy the file again, whole")?;
        let key = match section.label.as_str() {
            "CERTIFICATE" => TrustedKey::of_certificate(&section.contents),
            "PUBLIC KEY" => TrustedKey::of_public_key(&section.contents),
            label if label.contains("PRIVATE KEY") => {
                return Err(
                    "holds a private key: only public keys belong here; replace it, it may have been seen".into()
                );
            }
            label => return Err(format!("holds a {label} section; only CERTIFICATE and PUBLIC KEY belong here")),
        };
        let place = keys.len() + 1;
        keys.push(key.ok_or_else(|| format!("section {place} ({}) cannot be understood", section.label))?);
    }
    Ok(keys)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
