//! Tables for people: columns as wide as what stands in them, numbers to the right.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

/// What stands between two columns.
const GAP: &str = "  ";

/// A table that is written piece by piece; its columns only become wider.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    headed: bool,
}

struct Column {
    title: &'static str,
    is_number: bool,
    width: usize,
}

impl Table {
    /// A table with these columns; a `>` before the title puts a column to the right.
    pub(super) fn new(titles: &[&'static str]) -> Self {
        let column = |title: &&'static str| {
            let number = title.strip_prefix('>');
            let title = number.unwrap_or(title);
            Column { title, is_number: number.is_some(), width: title.chars().count() }
        };
        Self { columns: titles.iter().map(column).collect(), rows: Vec::new(), headed: false }
    }

    /// Adds a row, one text for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) {
        let row: Vec<String> = cells.into_iter().map(|cell| printable(cell.as_ref())).collect();
        for (column, cell) in self.columns.iter_mut().zip(&row) {
            column.width = column.width.max(cell.chars().count());
        }
        self.rows.push(row);
    }

    /// Writes the rows that were added since the last time, the first time with the titles.
    pub(super) fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        if !self.headed {
            let titles: Vec<_> = self.columns.iter().map(|column| column.title.to_owned()).collect();
            writeln!(out, "{}", self.line(&titles))?;
            self.headed = true;
        }
        let rows = std::mem::take(&mut self.rows);
        rows.iter().try_for_each(|row| writeln!(out, "{}", self.line(row)))
    }

    fn line(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (column, cell) in self.columns.iter().zip(cells) {
            let width = column.width;
            // Nothing can go wrong in memory.
            let written = if column.is_number {
                write!(line, "{cell:>width$}{GAP}")
            } else {
                write!(line, "{cell:<width$}{GAP}")
            };
            written.ok();
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// The text without what would move the cursor of a terminal or turn its writing round.
pub(super) fn printable(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

/// Minutes as hours and minutes, `7:05`.
pub(super) fn hours(minutes: i64) -> String {
    format!("{}:{:02}", minutes / 60, minutes % 60)
}

/// So many of them: `1 event`, `2 events`.
pub(super) fn count<N: Copy + fmt::Display + PartialEq + From<u8>>(number: N, one: &str, many: &str) -> String {
    format!("{number} {}", if number == N::from(1) { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them_and_stay_so() {
        let mut table = Table::new(&["NAME", ">COUNT", "NOTES"]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        assert!(out.is_empty());
        table.row(["Ketut Satu", "7", ""]);
        table.write(&mut out).unwrap();
        table.row(["é", "12", "late"]);
        table.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "NAME        COUNT  NOTES\nKetut Satu      7\né              12  late\n");
    }

    #[test]
    fn no_text_moves_the_cursor() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c\n"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}");
    }
}
