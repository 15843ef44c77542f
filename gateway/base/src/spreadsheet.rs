//! Tables for spreadsheets: CSV (RFC 4180) in UTF-8 of which no cell is taken for a formula.

use std::borrow::Cow;

use csv::{Terminator, WriterBuilder};

/// Tells spreadsheets that the text is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// What tells a spreadsheet that a cell is text.
const GUARD: char = '\'';

/// A table that is written row by row.
#[derive(Debug)]
pub struct Spreadsheet(csv::Writer<Vec<u8>>);

impl Spreadsheet {
    /// The type of the document, as in the header `Content-Type`.
    pub const CONTENT_TYPE: &'static str = "text/csv; charset=utf-8";

    /// A table with these columns.
    ///
    /// # Errors
    /// Never, as it is written to memory.
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Result<Self, csv::Error> {
        let writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(BYTE_ORDER_MARK.to_vec());
        let mut table = Self(writer);
        table.row(columns)?;
        Ok(table)
    }

    /// Rows that follow those of a table that is written already.
    pub fn continued() -> Self {
        Self(WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new()))
    }

    /// Adds a row; each cell is guarded.
    ///
    /// # Errors
    /// When it has more or fewer cells than there are columns.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) -> Result<(), csv::Error> {
        for cell in cells {
            self.0.write_field(guarded(cell.as_ref()).as_ref())?;
        }
        self.0.write_record(None::<&[u8]>)
    }

    /// The table's text.
    ///
    /// # Errors
    /// Never, as it is written to memory.
    pub fn into_bytes(self) -> Result<Vec<u8>, csv::Error> {
        self.0.into_inner().map_err(|error| csv::Error::from(std::io::Error::from(error.error().kind())))
    }
}

/// A cell that no spreadsheet takes for a formula.
pub fn guarded(text: &str) -> Cow<'_, str> {
    let mut chars = text.chars();
    let needed = match chars.next() {
        Some(GUARD) => chars.next().is_some_and(|second| second == GUARD || begins_formula(second)),
        first => first.is_some_and(begins_formula),
    };
    if needed { format!("{GUARD}{text}").into() } else { text.into() }
}

/// What was in a cell before it was guarded.
pub fn unguarded(cell: &str) -> &str {
    let guarded = |text: &&str| text.starts_with(GUARD) || text.starts_with(begins_formula);
    cell.strip_prefix(GUARD).filter(guarded).unwrap_or(cell)
}

/// What a spreadsheet takes a cell for a formula by.
fn begins_formula(first: char) -> bool {
    matches!(first, '=' | '+' | '-' | '@') || first.is_control()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_looks_like_a_formula_becomes_text() {
        for text in ["=1+1", "+62 811", "-5", "@sum", "\tx", "\rx"] {
            assert_eq!(guarded(text), format!("'{text}"));
        }
        for text in ["", "Ayu", "O'Brien", "'Aisyah", "1+1"] {
            assert_eq!(guarded(text), text);
        }
    }

    #[test]
    fn cells_are_quoted_where_needed_and_never_formulas() {
        let mut table = Spreadsheet::new(["name", "note"]).unwrap();
        for row in [
            ["Contoh", "plain"],
            ["Contoh, S.Kom.", "says \"hi\"\nand goes"],
            ["=1+1", "+62"],
            ["-1", "@SUM(A1)"],
            ["\t=1", "\r=1"],
            ["", "a=b"],
        ] {
            table.row(row).unwrap();
        }
        let text = String::from_utf8(table.into_bytes().unwrap()).unwrap();
        assert_eq!(
            text,
            "\u{feff}name,note\r\nContoh,plain\r\n\"Contoh, S.Kom.\",\"says \"\"hi\"\"\nand goes\"\r\n'=1+1,'+62\r\n'-1,'@SUM(A1)\r\n\
             '\t=1,\"'\r=1\"\r\n,a=b\r\n"
        );
    }

    #[test]
    fn a_row_must_have_a_cell_for_each_column() {
        let mut table = Spreadsheet::new(["a", "b"]).unwrap();
        assert!(table.row(["1"]).is_err());
    }

    proptest! {
        #[test]
        fn a_guarded_cell_is_no_formula_and_comes_back(text in "['=+@\t\r-]{0,3}[a-z]{0,3}") {
            let cell = guarded(&text);
            prop_assert!(!cell.starts_with(begins_formula));
            prop_assert_eq!(unguarded(&cell), text.as_str());
        }
    }
}
