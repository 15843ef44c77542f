//! What commands write: lines on standard output, and answers in one of several formats, there or in a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Where the answer goes.
#[derive(Debug, Args)]
pub(super) struct Output {
    /// Write to this new file, which only its owner may read, instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file where there is one already.
    #[arg(long, requires = "out")]
    force: bool,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Table,
    Json,
    Ndjson,
    Csv,
    Html,
    Svg,
}

/// Writes a line to standard output.
///
/// # Errors
/// When nobody reads it any more.
pub(super) fn print_line(line: std::fmt::Arguments<'_>) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output is closed")
}

impl Format {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Html => "html",
            Self::Svg => "svg",
        }
    }

    /// The format that was named, JSON where `--json` was given; else `default`.
    pub(super) fn of(named: Option<Self>, json: bool, default: Self) -> Self {
        named.unwrap_or(if json { Self::Json } else { default })
    }
}

/// Reads one of the formats that a command offers.
pub(super) fn one_of(formats: &'static [Format]) -> impl TypedValueParser<Value = Format> {
    let names = formats.iter().map(|format| format.as_str());
    PossibleValuesParser::new(names).try_map(|name| {
        let named = formats.iter().copied().find(|format| format.as_str() == name);
        named.ok_or("is not offered")
    })
}

impl Output {
    /// Whether the answer goes to a file.
    pub(super) fn is_file(&self) -> bool {
        self.out.is_some()
    }

    /// Refuses before the gateway is asked, which would keep a record of the look.
    pub(super) fn check(&self) -> Result<()> {
        match &self.out {
            Some(file) if !self.force && file.symlink_metadata().is_ok() => {
                bail!("{} is there already: choose another name, or replace it with --force", file.display())
            }
            _ => Ok(()),
        }
    }

    /// Has the answer written; a file is there as a whole or not at all.
    pub(super) fn write(&self, out: &mut dyn Write, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        let Some(file) = &self.out else {
            fill(out)?;
            return Ok(out.flush()?);
        };
        let unfinished = unfinished(file);
        let written = create(&unfinished).and_then(|created| {
            let mut created = BufWriter::new(created);
            fill(&mut created)?;
            created.flush()?;
            created.get_ref().sync_all()?;
            self.check()?;
            Ok(fs::rename(&unfinished, file)?)
        });
        if written.is_err() {
            fs::remove_file(&unfinished).ok();
        }
        written.with_context(|| format!("{} was not written", file.display()))
    }
}

/// Where the file is until it is complete: beside it.
fn unfinished(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.unfinished", std::process::id()));
    file.with_file_name(name)
}

fn create(file: &Path) -> Result<File> {
    Ok(OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?)
}
