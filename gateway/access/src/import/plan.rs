//! What an import comes to: who is added, changed and removed, and whose badges change hands.

use std::iter::Peekable;
use std::path::Path;

use protocol::CredentialHash;
use redb::{AccessGuard, Range, ReadableTable, ReadableTableMetadata};

use super::report::{ChangeKind, Difference, ImportReport, RowError};
use super::rows::{Row, Rows};
use crate::directory::{self, Record, Tables};
use base::file_error::FileError;

/// What is to be done. Made and carried out within one change of the file.
pub(super) struct Plan {
    rows: Rows,
    /// What becomes of each good row.
    fates: Vec<Fate>,
    /// Who goes, by id.
    removed: Vec<Box<str>>,
    /// Rows that cannot be imported, by line.
    pub bad: Vec<RowError>,
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Adds,
    /// These fields, by their place in [`FIELDS`].
    Changes(u16),
    ChangesNothing,
    LeftOut,
}

/// A credential in the file, and the row that has it.
struct Given {
    credential: CredentialHash,
    line: u64,
    row: usize,
    /// It is that person's already.
    had: bool,
}

/// Looks people up in the order of their ids.
struct PeopleLookup<'a> {
    path: &'a Path,
    tables: &'a Tables<'a>,
    /// Everybody from the next one on, where so many are asked for that walking is faster than searching.
    walk: Option<Peekable<Range<'a, &'static str, &'static [u8]>>>,
}

/// The fields of which a change is told.
const FIELDS: [&str; 13] = [
    "name",
    "class",
    "opd",
    "groups",
    "status",
    "status_since",
    "status_until",
    "valid_from",
    "valid_until",
    "host",
    "language",
    "badges",
    "id_number",
];

/// The last two of [`FIELDS`], as bits.
const CREDENTIAL_FIELDS: u16 = 0b11 << (FIELDS.len() - 2);

impl Plan {
    /// Compares a file with the directory. `replace` says that whoever is not in the file will be removed.
    pub(super) fn of(path: &Path, tables: &Tables<'_>, mut rows: Rows, replace: bool) -> Result<Self, FileError> {
        let mut fates = Vec::with_capacity(rows.good.len());
        let mut given = Vec::new();
        let absent = absent(&rows);
        let mut known = PeopleLookup::of(path, tables, rows.good.len())?;
        for (at, row) in rows.good.iter_mut().enumerate() {
            let mut record = directory::decode(path, &row.record)?;
            let before = known.record(&row.id)?;
            fates.push(match &before {
                None => Fate::Adds,
                Some(before) => {
                    if !absent.is_empty() {
                        keep(&mut record, before, &absent);
                        row.record = directory::encode(path, &record)?.into();
                    }
                    match changes(before, &record) {
                        0 => Fate::ChangesNothing,
                        fields => Fate::Changes(fields),
                    }
                }
            });
            let had = |credential: &CredentialHash| before.iter().any(|before| before.has(credential));
            given.extend(record.all_credentials().map(|credential| Given {
                credential,
                line: row.line,
                row: at,
                had: had(&credential),
            }));
        }
        given.sort_unstable_by_key(|given| (given.credential, given.line));
        let bad = std::mem::take(&mut rows.bad);
        let mut plan = Self { rows, fates, removed: Vec::new(), bad };
        while plan.leave_out_owned(path, tables, &given, replace)? {}
        plan.bad.sort_by_key(|row| row.line);
        Ok(plan)
    }

    /// Plans to remove whoever is not in the file; the inner error is the reason not to.
    pub(super) fn remove_others(
        &mut self,
        path: &Path,
        tables: &Tables<'_>,
        force: bool,
    ) -> Result<Result<(), String>, FileError> {
        if self.rows.nameless {
            let reason = "bad rows do not say whom they are about, so nobody can be removed; mend them";
            return Ok(Err(reason.into()));
        }
        let failed = |error: redb::StorageError| directory::unreadable(path, &error.into());
        let mut before = 0_usize;
        for entry in tables.people.iter().map_err(failed)? {
            let (id, _) = entry.map_err(failed)?;
            before += 1;
            if !self.names(id.value()) {
                self.removed.push(id.value().into());
            }
        }
        let removed = self.removed.len();
        if removed > before / 2 && !force {
            let reason =
                format!("would remove {removed} of {before} people, more than half; if that is meant, say --force");
            return Ok(Err(reason));
        }
        Ok(Ok(()))
    }

    /// What the plan comes to.
    pub(super) fn report(&self, diff: bool) -> ImportReport {
        let count = |kind: fn(&Fate) -> bool| self.fates.iter().filter(|fate| kind(fate)).count();
        let mut report = ImportReport {
            added: count(|fate| matches!(fate, Fate::Adds)),
            changed: count(|fate| matches!(fate, Fate::Changes(_))),
            unchanged: count(|fate| matches!(fate, Fate::ChangesNothing)),
            removed: self.removed.len(),
            bad_rows: self.bad.clone(),
            diff: Vec::new(),
            set_aside: None,
        };
        if diff {
            report.diff.extend(self.rows.good.iter().zip(&self.fates).filter_map(|(row, fate)| difference(row, fate)));
            let removed = self.removed.iter();
            report.diff.extend(removed.map(|id| told(id, ChangeKind::Removed, Vec::new())));
            report.diff.sort_by(|one, other| one.id.cmp(&other.id));
        }
        report
    }

    /// Does it.
    pub(super) fn carry_out(&self, path: &Path, tables: &mut Tables<'_>) -> Result<(), FileError> {
        let (mut taken, mut given) = (Vec::new(), Vec::new());
        for id in &self.removed {
            taken.extend(tables.record(id)?.iter().flat_map(Record::all_credentials));
            tables.strike(id)?;
        }
        for (row, fate) in self.rows.good.iter().zip(&self.fates) {
            let new_credentials = match fate {
                Fate::LeftOut | Fate::ChangesNothing => continue,
                Fate::Changes(fields) => fields & CREDENTIAL_FIELDS != 0,
                Fate::Adds => true,
            };
            if new_credentials {
                taken.extend(tables.record(&row.id)?.iter().flat_map(Record::all_credentials));
                let record = directory::decode(path, &row.record)?;
                given.extend(record.all_credentials().map(|credential| (credential, &row.id)));
            }
            tables.put(&row.id, &row.record)?;
        }
        // A badge that changes hands is taken before it is given. In order, which spares the disk.
        taken.sort_unstable();
        given.sort_unstable();
        taken.iter().try_for_each(|credential| tables.take(credential))?;
        given.iter().try_for_each(|(credential, id)| tables.give(credential, id))
    }

    /// Leaves out rows that would give a credential a second owner, and says whether there were any. A badge may change hands
    /// within one import: what counts is who has it afterwards, and a row that is left out leaves its person's as they were.
    fn leave_out_owned(
        &mut self,
        path: &Path,
        tables: &Tables<'_>,
        given: &[Given],
        replace: bool,
    ) -> Result<bool, FileError> {
        let mut refused = Vec::new();
        for same in given.chunk_by(|one, other| one.credential == other.credential) {
            let mut takers = same.iter().filter(|given| self.fates.get(given.row) != Some(&Fate::LeftOut));
            let Some(first) = takers.next() else { continue };
            let owner = match same.iter().find(|given| given.had).and_then(|given| self.rows.good.get(given.row)) {
                Some(row) => Some(row.id.to_string()),
                None => tables.owner(&first.credential)?,
            };
            match owner.filter(|owner| self.keeps(owner, replace)) {
                Some(owner) => {
                    let reason = format!("belongs to {owner}, whom this file leaves as is");
                    refused.extend(std::iter::once(first).chain(takers).map(|taker| (taker, reason.clone())));
                }
                None => refused.extend(
                    takers
                        .filter(|taker| taker.row != first.row)
                        .map(|taker| (taker, format!("is also on line {}; it can have one owner", first.line))),
                ),
            }
        }
        let any = !refused.is_empty();
        for (Given { credential, line, row, .. }, reason) in refused {
            let Some((fate, good)) = self.fates.get_mut(*row).zip(self.rows.good.get(*row)) else { continue };
            if std::mem::replace(fate, Fate::LeftOut) == Fate::LeftOut {
                continue;
            }
            let id_number = directory::decode(path, &good.record)?.id_number;
            let field = if id_number == Some(*credential) { "id_number" } else { "badges" };
            let column = self.rows.column(field).unwrap_or("credentials");
            let what = if field == "id_number" { "this number" } else { "a badge of this row" };
            self.bad.push(RowError { line: *line, column, reason: format!("{what} {reason}") });
        }
        Ok(any)
    }

    /// Whether this person will have the credentials that they have now.
    fn keeps(&self, id: &str, replace: bool) -> bool {
        match self.row(id) {
            Some(row) => self.fates.get(row) == Some(&Fate::LeftOut),
            None => !replace || self.rows.bad_ids.contains(id),
        }
    }

    /// Whether the file speaks of this person, well or badly.
    fn names(&self, id: &str) -> bool {
        self.row(id).is_some() || self.rows.bad_ids.contains(id)
    }

    fn row(&self, id: &str) -> Option<usize> {
        self.rows.good.binary_search_by(|row| (*row.id).cmp(id)).ok()
    }
}

impl<'a> PeopleLookup<'a> {
    fn of(path: &'a Path, tables: &'a Tables<'a>, rows: usize) -> Result<Self, FileError> {
        let failed = |error: redb::StorageError| directory::unreadable(path, &error.into());
        let many = tables.people.len().map_err(failed)? / 8 < rows as u64;
        let walk = many.then(|| tables.people.iter()).transpose().map_err(failed)?;
        Ok(Self { path, tables, walk: walk.map(Iterator::peekable) })
    }

    /// The person with this id, which comes behind every id that was asked for before.
    fn record(&mut self, id: &str) -> Result<Option<Record>, FileError> {
        let Some(walk) = &mut self.walk else { return self.tables.record(id) };
        let before =
            |entry: &Result<(AccessGuard<'_, &str>, _), _>| matches!(entry, Ok((other, _)) if other.value() < id);
        while walk.next_if(before).is_some() {}
        let here =
            |entry: &Result<(AccessGuard<'_, &str>, _), _>| !matches!(entry, Ok((other, _)) if other.value() != id);
        let Some(entry) = walk.next_if(here) else { return Ok(None) };
        let (_, bytes) = entry.map_err(|error: redb::StorageError| directory::unreadable(self.path, &error.into()))?;
        directory::decode(self.path, bytes.value()).map(Some)
    }
}

fn difference(row: &Row, fate: &Fate) -> Option<Difference> {
    match fate {
        Fate::Adds => Some(told(&row.id, ChangeKind::Added, Vec::new())),
        Fate::Changes(fields) => {
            let changed = (0..).zip(FIELDS).filter(|(at, _)| fields & (1 << at) != 0);
            Some(told(&row.id, ChangeKind::Changed, changed.map(|(_, field)| field).collect()))
        }
        Fate::ChangesNothing | Fate::LeftOut => None,
    }
}

fn told(id: &str, change: ChangeKind, fields: Vec<&'static str>) -> Difference {
    Difference { id: id.into(), change, fields }
}

/// Which of [`FIELDS`] differ, a bit each.
fn changes(before: &Record, after: &Record) -> u16 {
    let differ = [
        before.name != after.name,
        before.class != after.class,
        before.opd != after.opd,
        before.groups != after.groups,
        before.status != after.status,
        before.status_since != after.status_since,
        before.status_until != after.status_until,
        before.valid_from != after.valid_from,
        before.valid_until != after.valid_until,
        before.host != after.host,
        before.language != after.language,
        before.credentials != after.credentials,
        before.id_number != after.id_number,
    ];
    (0..).zip(differ).fold(0, |bits, (at, differs)| bits | u16::from(differs) << at)
}

/// Fields that go together, of which a file speaks in none of its columns.
fn absent(rows: &Rows) -> Vec<&'static str> {
    const TOGETHER: [&[&str]; 9] = [
        &["name"],
        &["opd"],
        &["groups"],
        &["status", "status_since", "status_until"],
        &["valid_from", "valid_until"],
        &["host"],
        &["language"],
        &["id_number"],
        &["badges", "credentials"],
    ];
    let mut absent = TOGETHER.to_vec();
    absent.retain(|fields| fields.iter().all(|field| rows.column(field).is_none()));
    absent.concat()
}

/// Leaves these fields as they were.
fn keep(record: &mut Record, before: &Record, fields: &[&str]) {
    for field in fields {
        match *field {
            "name" => record.name.clone_from(&before.name),
            "opd" => record.opd.clone_from(&before.opd),
            "groups" => record.groups.clone_from(&before.groups),
            "status" => record.status = before.status,
            "status_since" => record.status_since = before.status_since,
            "status_until" => record.status_until = before.status_until,
            "valid_from" => record.valid_from = before.valid_from,
            "valid_until" => record.valid_until = before.valid_until,
            "host" => record.host.clone_from(&before.host),
            "language" => record.language = before.language,
            "id_number" => record.id_number = before.id_number,
            _ => record.credentials.clone_from(&before.credentials),
        }
    }
}
