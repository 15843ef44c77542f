//! What a spreadsheet makes of a cell in a CSV file: a formula, unless it is guarded.

/// What a spreadsheet takes a cell for a formula by.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];
/// What tells a spreadsheet that a cell is text.
const GUARD: char = '\'';

/// A cell that no spreadsheet takes for a formula.
pub fn guarded(text: &str) -> String {
    let mut chars = text.chars();
    let needed = match chars.next() {
        Some(GUARD) => chars.next().is_some_and(|second| second == GUARD || FORMULA.contains(&second)),
        first => first.is_some_and(|first| FORMULA.contains(&first)),
    };
    if needed { format!("{GUARD}{text}") } else { text.to_owned() }
}

/// What was in a cell before it was guarded.
pub fn unguarded(cell: &str) -> &str {
    let guarded = |text: &&str| text.starts_with(GUARD) || text.starts_with(FORMULA);
    cell.strip_prefix(GUARD).filter(guarded).unwrap_or(cell)
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

    proptest! {
        #[test]
        fn a_guarded_cell_is_no_formula_and_comes_back(text in "['=+@\t\r-]{0,3}[a-z]{0,3}") {
            let cell = guarded(&text);
            prop_assert!(!cell.starts_with(FORMULA));
            prop_assert_eq!(unguarded(&cell), text);
        }
    }
}
