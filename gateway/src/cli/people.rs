//! People on the command line: `import people` and `export people`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant as Monotonic};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use protocol::Instant;

use super::output::print_line;
use crate::config::Config;
use crate::inputs;
use crate::reload::loss;
use access::{
    CredentialKey, ExportError, ImportError, ImportOptions, ImportReport, PeopleFormat, export_people, import_people,
};

#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Add or change people and their badges from a CSV or NDJSON file: all rows, or none.
    People(ImportPeople),
}

#[derive(Debug, Subcommand)]
pub(super) enum Export {
    /// Write everybody to standard output, in a form that can be imported again; badges and ID numbers as keyed hashes.
    People {
        /// How the people are written.
        #[arg(long, value_enum, default_value = "csv")]
        format: FormatArgument,
    },
}

#[derive(Debug, Args)]
pub(super) struct ImportPeople {
    /// The file, or - for standard input. Columns: person, class (asn, non-asn, visitor), and if wanted name, opd, groups,
    /// badge, status, status_since, status_until, valid_from, valid_until, host, language, id_number.
    file: PathBuf,
    /// Its format; if not given, .ndjson and .jsonl are NDJSON and everything else is CSV.
    #[arg(long, value_enum)]
    format: Option<FormatArgument>,
    /// Import the good rows although there are bad ones.
    #[arg(long)]
    skip_bad: bool,
    /// Check and count, write nothing.
    #[arg(long)]
    dry_run: bool,
    /// List who is added (+), changed (~, with the names of the fields) and removed (-).
    #[arg(long)]
    diff: bool,
    /// Remove whoever is not in the file.
    #[arg(long)]
    replace: bool,
    /// Remove them even where they are more than half of all people.
    #[arg(long, requires = "replace")]
    force: bool,
    /// Print what was done as one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum FormatArgument {
    Csv,
    Ndjson,
}

/// Imports, and says what has changed.
pub(super) fn import(config: &Config, Import::People(arguments): Import, now: Instant) -> Result<()> {
    let folder = config.folder();
    let key = CredentialKey::read(&folder.badge_key())?;
    let time_zone = config.time_zone()?;
    let (name, input) = open(&arguments.file)?;
    let options = ImportOptions {
        format: arguments.format.map_or_else(|| format_of(&arguments.file), PeopleFormat::from),
        skip_bad: arguments.skip_bad,
        dry_run: arguments.dry_run,
        diff: arguments.diff,
        replace: arguments.replace,
        force: arguments.force,
    };
    let directory = inputs::directory(&folder);
    if !options.replace && inputs::known_files(&folder).knows(&directory) {
        // A new one would hold nobody but those of this file.
        if let Some(reason) = loss(&directory) {
            bail!("{reason}");
        }
    }
    let started = Monotonic::now();
    let imported = import_people(&directory, &key, &time_zone, input, &name, &options, now);
    let took = started.elapsed();
    match imported {
        Ok(report) if arguments.json => print_json_report(&report, options.dry_run, took),
        Ok(report) => print_report(&report, options.dry_run, took, &name),
        Err(error) => {
            if let (ImportError::Rows { rows, .. }, true) = (&error, arguments.json) {
                print_line(format_args!(
                    "{}",
                    serde_json::json!({ "imported": false, "bad": rows.len(), "bad_rows": rows })
                ))?;
            }
            Err(error.into())
        }
    }
}

/// Exports to standard output.
pub(super) fn export(config: &Config, Export::People { format }: &Export) -> Result<()> {
    let out = io::BufWriter::new(io::stdout().lock());
    match export_people(&inputs::directory(&config.folder()), (*format).into(), out) {
        // Whoever reads has had enough.
        Err(ExportError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        exported => exported.map(drop).map_err(Into::into),
    }
}

fn open(file: &Path) -> Result<(String, Box<dyn Read>)> {
    if file == Path::new("-") {
        return Ok(("standard input".into(), Box::new(io::stdin().lock())));
    }
    let name = file.display().to_string();
    let input = File::open(file).with_context(|| format!("{name} cannot be opened"))?;
    Ok((name, Box::new(input)))
}

fn format_of(file: &Path) -> PeopleFormat {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("ndjson" | "jsonl") => PeopleFormat::Ndjson,
        _ => PeopleFormat::Csv,
    }
}

fn print_report(report: &ImportReport, dry_run: bool, took: Duration, name: &str) -> Result<()> {
    let mut errors = io::stderr().lock();
    report.bad_rows.iter().try_for_each(|bad| writeln!(errors, "{name}: {bad}; left out"))?;
    report.diff.iter().try_for_each(|difference| print_line(format_args!("{difference}")))?;
    if let Some(aside) = &report.set_aside {
        writeln!(errors, "the directory could not be used and is in {aside} now; delete it when all is well")?;
    }
    let done = if dry_run { "would be" } else { "were" };
    let ImportReport { added, changed, unchanged, removed, bad_rows, .. } = report;
    print_line(format_args!(
        "{added} people {done} added, {changed} changed, {unchanged} unchanged, {removed} removed, {} rows left out; \
         {} rows/s",
        bad_rows.len(),
        rows_per_second(report, took),
    ))
}

fn print_json_report(report: &ImportReport, dry_run: bool, took: Duration) -> Result<()> {
    #[derive(serde::Serialize)]
    struct Report<'a> {
        imported: bool,
        dry_run: bool,
        bad: usize,
        rows_per_second: u64,
        #[serde(flatten)]
        report: &'a ImportReport,
    }
    let line = Report {
        imported: !dry_run,
        dry_run,
        bad: report.bad_rows.len(),
        rows_per_second: rows_per_second(report, took),
        report,
    };
    print_line(format_args!("{}", serde_json::to_string(&line)?))
}

fn rows_per_second(report: &ImportReport, took: Duration) -> u64 {
    let ImportReport { added, changed, unchanged, bad_rows, .. } = report;
    let rows = (added + changed + unchanged + bad_rows.len()) as u128;
    u64::try_from(rows * 1_000_000 / took.as_micros().max(1)).unwrap_or(u64::MAX)
}

impl From<FormatArgument> for PeopleFormat {
    fn from(format: FormatArgument) -> Self {
        match format {
            FormatArgument::Csv => Self::Csv,
            FormatArgument::Ndjson => Self::Ndjson,
        }
    }
}
