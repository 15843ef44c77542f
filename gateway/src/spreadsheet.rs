//! Tables for spreadsheets: CSV (RFC 4180) in UTF-8 that no spreadsheet takes for a formula.

use csv::{Terminator, WriterBuilder};

/// Tells spreadsheets that the text is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

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

    /// Adds a row.
    ///
    /// # Errors
    /// When it has more or fewer cells than there are columns.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) -> Result<(), csv::Error> {
        for cell in cells {
            self.0.write_field(harmless(cell).as_ref())?;
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

/// The cell with an apostrophe before what a spreadsheet would take for a formula.
fn harmless(cell: &str) -> std::borrow::Cow<'_, str> {
    if cell.starts_with(|first: char| matches!(first, '=' | '+' | '-' | '@') || first.is_control()) {
        format!("'{cell}").into()
    } else {
        cell.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
