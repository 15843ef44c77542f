//! A simulated history: some days of a regency go through a real gateway, and its ledgers are compared with the truth.

use std::path::Path;

use serde_json::Value;

use crate::harness::program;

/// The summary of a history with these further arguments, and whether it was satisfied.
fn history(arguments: &str) -> (Value, bool) {
    let output = program(Path::new(env!("CARGO_BIN_EXE_simulator-under-test")))
        .args(["history", "--staff", "60", "--zones", "5", "--days", "3", "--json"])
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    let (said, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let summary = serde_json::from_str(said.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("no summary ({error}): {said}\n{complaints}"));
    (summary, output.status.success())
}

#[test]
fn what_the_ledgers_say_of_days_without_slips_is_the_truth() {
    let (summary, success) = history("--missed-exits 0 --missed-entries 0 --bad-clocks 0 --queries 10");
    assert!(success, "{summary:#}");
    assert!(summary["attendance_rows"].as_u64().unwrap() > 60, "{summary:#}");
    for shares in ["contacts_certain", "contacts_any"] {
        assert_eq!(
            (&summary[shares]["precision"], &summary[shares]["recall"]),
            (&1.0.into(), &1.0.into()),
            "{summary:#}"
        );
    }
    assert_eq!(summary["missing_exit"]["said"], 0, "{summary:#}");
}

#[test]
fn the_ledgers_find_missed_scans_and_prove_no_contact_that_was_none() {
    let (summary, success) = history("--missed-exits 10 --missed-entries 5 --bad-clocks 0 --queries 10");
    assert!(success, "{summary:#}");
    for flag in ["missing_exit", "missing_entry"] {
        let shares = &summary[flag];
        assert!(shares["truth"].as_u64().unwrap() > 3, "{summary:#}");
        assert_eq!((&shares["precision"], &shares["recall"]), (&1.0.into(), &1.0.into()), "{summary:#}");
    }
    assert_eq!(summary["contacts_certain"]["precision"], 1.0, "{summary:#}");
    assert_eq!(summary["contacts_any"]["recall"], 1.0, "{summary:#}");
}
