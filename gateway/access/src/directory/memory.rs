//! The directory in memory: packed, because a million people must fit twice while a new one is read.
//!
//! Two sorted arrays are searched in halves: people by id, and credentials by hash. What belongs to a person stands in a row of
//! fixed size; its id and host are in one text, and offices and groups, which many share, are kept once.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use protocol::{CredentialHash, HealthStatus, Instant, Language, PersonClass};
use redb::ReadableTable;

use super::file::{self, META, PEOPLE, SYNCED_AT};
use super::record::Entry;
use base::file_error::FileError;

/// Stands for a moment that is not known; [`Instant`] has no such value.
const NEVER: i64 = i64::MIN;

/// The people whose credentials are known; read whole and replaced whole.
#[derive(Default)]
pub struct Directory {
    /// Ids, each followed by its person's host.
    texts: String,
    /// Sorted by id.
    people: Vec<Row>,
    /// Sorted by hash; the number is a place in `people`.
    credentials: Vec<(CredentialHash, u32)>,
    places: Vec<Affiliation>,
    synced_at: Option<Instant>,
}

/// One person, as far as decisions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person<'a> {
    /// The directory's id.
    pub id: &'a str,
    /// The person's class.
    pub class: PersonClass,
    /// The person's office; may be empty.
    pub opd: &'a str,
    /// The groups that the person is in, sorted.
    pub groups: &'a [Box<str>],
    /// The health status, where one is known.
    pub status: Option<HealthStatus>,
    /// Since when that status holds.
    pub status_since: Option<Instant>,
    /// When that status ends.
    pub status_until: Option<Instant>,
    /// When the visit, or the contract, begins.
    pub valid_from: Option<Instant>,
    /// When the visit, or the contract, ends.
    pub valid_until: Option<Instant>,
    /// Whom or what a visitor visits: a person's id or an office.
    pub host: Option<&'a str>,
    /// The language to speak; both where none is known.
    pub language: Option<Language>,
}

/// What many people have in common.
struct Affiliation {
    opd: Box<str>,
    groups: Box<[Box<str>]>,
}

/// 48 bytes a person.
struct Row {
    status_since: i64,
    status_until: i64,
    valid_from: i64,
    valid_until: i64,
    text_from: u32,
    place: u32,
    id_bytes: u8,
    host_bytes: u8,
    class: PersonClass,
    status: Option<HealthStatus>,
    language: Option<Language>,
}

impl Directory {
    /// Reads the file at `path` and closes it again, so that an import can write it; no file means nobody. The file is
    /// left as it is: whoever watches it for changes must not see one.
    ///
    /// # Errors
    /// When the file is in use (try again) or is no directory.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let Some(database) = file::open_to_read(path)? else { return Ok(Self::default()) };
        let failed = |error: redb::Error| file::unreadable(path, &error);
        let Some(people) = file::table(path, &database, PEOPLE)? else { return Ok(Self::default()) };
        let count = redb::ReadableTableMetadata::len(&people).map_err(|error| failed(error.into()))?;
        let mut builder = Builder::with_capacity(usize::try_from(count).unwrap_or(0));
        for entry in people.iter().map_err(|error| failed(error.into()))? {
            let (id, bytes) = entry.map_err(|error| failed(error.into()))?;
            builder.add(id.value(), bytes.value()).map_err(|reason| file::damaged(path, &reason))?;
        }
        if let Some(meta) = file::table(path, &database, META)? {
            let synced_at = meta.get(SYNCED_AT).map_err(|error| failed(error.into()))?;
            builder.directory.synced_at = synced_at.map(|at| Instant::from_unix_ms(at.value()));
        }
        Ok(builder.finish())
    }

    /// The person to whom a credential belongs.
    pub fn find(&self, credential: &CredentialHash) -> Option<Person<'_>> {
        let at = self.credentials.binary_search_by(|(hash, _)| hash.cmp(credential)).ok()?;
        let (_, row) = self.credentials.get(at)?;
        self.seen(self.people.get(usize::try_from(*row).ok()?)?)
    }

    /// The person with this id.
    pub fn person(&self, id: &str) -> Option<Person<'_>> {
        let at = self.people.binary_search_by(|row| self.id(row).cmp(id)).ok()?;
        self.seen(self.people.get(at)?)
    }

    /// Everybody who is in one of `groups`: the id, and the first of them that the person is in.
    pub fn members<'a>(&'a self, groups: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        let first_of = |place: &Affiliation| {
            let is_in = |group: &&str| place.groups.iter().any(|of| **of == **group);
            groups.iter().copied().find(is_in)
        };
        let first_by_place: Vec<Option<&str>> = self.places.iter().map(first_of).collect();
        let group_of = move |row: &Row| first_by_place.get(to_usize(row.place)).copied().flatten();
        self.people.iter().filter_map(move |row| Some((self.id(row), group_of(row)?)))
    }

    /// Everybody who works here, contract staff too: the id and the office, which may be empty.
    pub fn staff(&self) -> impl Iterator<Item = (&str, &str)> {
        let staff = self.people.iter().filter(|row| matches!(row.class, PersonClass::Asn | PersonClass::NonAsn));
        staff.filter_map(|row| Some((self.id(row), &*self.places.get(to_usize(row.place))?.opd)))
    }

    /// Number of people.
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// Number of credentials: badges and ID numbers.
    pub fn credentials(&self) -> usize {
        self.credentials.len()
    }

    /// When the last import or change was made; [`None`] where nobody has ever been imported, or by a version that did not
    /// note it.
    pub fn synced_at(&self) -> Option<Instant> {
        self.synced_at
    }

    /// A directory of these people: id and encoded record.
    #[cfg(any(test, feature = "testing"))]
    #[allow(clippy::unwrap_used, reason = "only tests have this function")]
    pub(crate) fn of<'a>(people: impl IntoIterator<Item = (&'a str, super::Record)>) -> Self {
        let people: std::collections::BTreeMap<_, _> = people.into_iter().collect();
        let mut builder = Builder::with_capacity(people.len());
        for (id, record) in people {
            builder.add(id, &minicbor::to_vec(record).unwrap()).unwrap();
        }
        builder.finish()
    }

    fn id(&self, row: &Row) -> &str {
        let from = to_usize(row.text_from);
        self.texts.get(from..from + usize::from(row.id_bytes)).unwrap_or_default()
    }

    fn seen(&self, row: &Row) -> Option<Person<'_>> {
        let id = self.id(row);
        let host_from = to_usize(row.text_from) + id.len();
        let place = self.places.get(to_usize(row.place))?;
        Some(Person {
            id,
            class: row.class,
            opd: &place.opd,
            groups: &place.groups,
            status: row.status,
            status_since: known(row.status_since),
            status_until: known(row.status_until),
            valid_from: known(row.valid_from),
            valid_until: known(row.valid_until),
            host: self.texts.get(host_from..host_from + usize::from(row.host_bytes)).filter(|host| !host.is_empty()),
            language: row.language,
        })
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({} people, {} credentials)", self.people(), self.credentials())
    }
}

/// Takes people in the order of their ids.
struct Builder {
    directory: Directory,
    /// Where a place stands, by its groups and office.
    places: HashMap<Box<str>, u32>,
    key: String,
}

impl Builder {
    fn with_capacity(people: usize) -> Self {
        let directory = Directory {
            people: Vec::with_capacity(people),
            credentials: Vec::with_capacity(people),
            ..Directory::default()
        };
        Self { directory, places: HashMap::new(), key: String::new() }
    }

    fn add(&mut self, id: &str, bytes: &[u8]) -> Result<(), String> {
        let entry: Entry<'_> = minicbor::decode(bytes).map_err(|error| error.to_string())?;
        let host = entry.host.unwrap_or_default();
        let too_large = |_| "too large".to_owned();
        let row = u32::try_from(self.directory.people.len()).map_err(too_large)?;
        let row_of = Row {
            status_since: entry.status_since.map_or(NEVER, Instant::unix_ms),
            status_until: entry.status_until.map_or(NEVER, Instant::unix_ms),
            valid_from: entry.valid_from.map_or(NEVER, Instant::unix_ms),
            valid_until: entry.valid_until.map_or(NEVER, Instant::unix_ms),
            text_from: u32::try_from(self.directory.texts.len()).map_err(too_large)?,
            place: self.place(&entry)?,
            id_bytes: u8::try_from(id.len()).map_err(too_large)?,
            host_bytes: u8::try_from(host.len()).map_err(too_large)?,
            class: entry.class,
            status: entry.status,
            language: entry.language,
        };
        self.directory.texts.push_str(id);
        self.directory.texts.push_str(host);
        self.directory.people.push(row_of);
        let credentials = &mut self.directory.credentials;
        entry.credentials.for_each(|hash| credentials.push((hash, row))).map_err(|error| error.to_string())?;
        credentials.extend(entry.id_number.map(|hash| (hash, row)));
        Ok(())
    }

    fn place(&mut self, entry: &Entry<'_>) -> Result<u32, String> {
        self.key.clear();
        if let Some(groups) = &entry.groups {
            // A group has no such byte in it, an office may.
            let add = |group: &str| self.key.extend([group, "\0"]);
            groups.for_each(add).map_err(|error| error.to_string())?;
        }
        let groups_end = self.key.len();
        self.key.push_str(entry.opd);
        if let Some(place) = self.places.get(self.key.as_str()) {
            return Ok(*place);
        }
        let place = u32::try_from(self.directory.places.len()).map_err(|_| "too large".to_owned())?;
        let groups = self.key.get(..groups_end).unwrap_or_default().split_terminator('\0');
        self.directory.places.push(Affiliation { opd: entry.opd.into(), groups: groups.map(Into::into).collect() });
        self.places.insert(self.key.as_str().into(), place);
        Ok(place)
    }

    fn finish(self) -> Directory {
        let mut directory = self.directory;
        directory.credentials.sort_unstable();
        // A credential has one owner; in a file that says otherwise, the first by id.
        directory.credentials.dedup_by_key(|(hash, _)| *hash);
        directory.texts.shrink_to_fit();
        directory.people.shrink_to_fit();
        directory.credentials.shrink_to_fit();
        directory.places.shrink_to_fit();
        directory
    }
}

fn known(at: i64) -> Option<Instant> {
    (at != NEVER).then(|| Instant::from_unix_ms(at))
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
