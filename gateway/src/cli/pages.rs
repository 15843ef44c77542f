//! Long answers, page by page: lines of JSON, and where the next page begins.

use anyhow::{Result, bail};
use clap::Args;
use serde::Deserialize;

use super::api::{Request, parse};
use super::inquiry::Inquiry;

/// Lines that are asked for at once.
const PAGE_LINES: u64 = 1_000;

/// How much of a long answer is wanted.
#[derive(Debug, Args)]
pub(super) struct Span {
    /// Begin after this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Everything up to the end.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

#[derive(Deserialize)]
struct Numbered {
    number: u64,
}

/// Asks for page after page, hands each page's lines to `page`, and returns how many there were. Where a limit ended it,
/// it says where it goes on.
pub(super) fn read(
    inquiry: &mut Inquiry,
    request: &Request,
    span: &Span,
    mut page: impl FnMut(&[&[u8]]) -> Result<()>,
) -> Result<u64> {
    let (mut after, mut read) = (span.after, 0_u64);
    loop {
        let limit = if span.all { PAGE_LINES } else { PAGE_LINES.min(span.limit - read) };
        let answer = inquiry.ask(request.clone().with("after", Some(after)).with("limit", Some(limit)))?;
        let (last, more) = (answer.last, answer.more);
        let body = answer.bytes()?;
        let lines: Vec<&[u8]> = body.split_inclusive(|byte| *byte == b'\n').filter(|line| *line != b"\n").collect();
        page(&lines)?;
        read += lines.len() as u64;
        let last_line = lines.last().map(|line| parse::<Numbered>(line)).transpose()?;
        let last = last.or(last_line.map(|line| line.number)).unwrap_or(after);
        if !more.unwrap_or(lines.len() as u64 >= limit) {
            return Ok(read);
        }
        if last <= after {
            bail!("the gateway says that there is more, but not where; ask again with --after {after}");
        }
        after = last;
        if !span.all && read >= span.limit {
            writeln!(inquiry.errors, "gapura: there is more: go on with --after {after}, or take --all")?;
            return Ok(read);
        }
    }
}
