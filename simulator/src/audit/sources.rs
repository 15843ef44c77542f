//! Where the audit's records come from: files with one JSON object a line, and the gateway's API.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use super::Audit;
use crate::api::GatewayApi;

/// Longest line of a record, in bytes.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Hands every line of `path` to `take`. A last line that was cut short is left out: its writer was ended in the
/// middle of it.
///
/// # Errors
/// When the file cannot be read or a line is not what is expected, with the line's number.
pub fn lines<T: DeserializeOwned>(path: &Path, mut take: impl FnMut(T)) -> Result<()> {
    let name = path.display();
    let mut file = BufReader::new(File::open(path).with_context(|| format!("cannot open {name}"))?);
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let read = file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if read.with_context(|| format!("cannot read {name}"))? == 0 {
            break;
        }
        let whole = line.last() == Some(&b'\n');
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(record) => take(record),
            Err(_) if !whole && (line.len() as u64) < LINE_BYTES_MAX => break,
            Err(_) if !whole => bail!("{name}, line {number}: longer than {LINE_BYTES_MAX} bytes"),
            Err(error) => return Err(error).with_context(|| format!("{name}, line {number}")),
        }
    }
    Ok(())
}

/// Hands every event of the gateway's log, and what is in quarantine, to `audit`.
///
/// # Errors
/// When the gateway does not answer as expected.
pub async fn events_of_gateway(gateway: &GatewayApi, audit: &mut Audit) -> Result<()> {
    let mut after = 0;
    loop {
        let events = gateway.events(after).await?;
        let Some(last) = events.last() else { break };
        if last.number <= after {
            bail!("the gateway answered event {} when asked for those after {after}", last.number);
        }
        after = last.number;
        events.iter().for_each(|event| audit.event(event));
    }
    for (first, last) in gateway.status().await?.upstream.unwrap_or_default().quarantined {
        audit.quarantine(first, last);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use protocol::{Event, EventKind, ScanId};

    use super::super::Forwarded;
    use super::*;

    fn read<T: DeserializeOwned>(content: &[u8]) -> Result<Vec<T>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let mut records = Vec::new();
        lines(file.path(), |record| records.push(record))?;
        Ok(records)
    }

    #[test]
    fn events_are_read_as_the_gateway_writes_them() {
        let at = r#""received_at":"2026-01-01T00:00:00Z","decided_at":"2026-01-01T00:00:00Z""#;
        let verdict = r#""verdict":{"outcome":"granted","open":true,"reason":"staff","text":{"id":"","en":""},"mode":"enforce","policies":[]}"#;
        let scan = r#"{"scan":{"epoch":1,"seq":2,"scanned_at":"2026-01-01T00:00:00Z","direction":"in","credential":"07070707070707070707070707070707","clock":"good"}}"#;
        let assist = r#"{"assist":{"action":"admit","helper":"Contoh","reason":"forgot","direction":"in","device":"lobby","via":"mqtt","answers":{"epoch":1,"seq":2,"event":1}}}"#;
        let line = |number: u8, subject: &str| {
            format!("{{\"number\":{number},\"door\":\"a\",{at},\"subject\":{subject},{verdict}}}\n")
        };
        let log = [
            line(1, scan),
            line(2, r#"{"malformed":{"epoch":3,"seq":4,"payload_bytes":9}}"#),
            "\n".into(),
            line(3, r#"{"malformed":{"payload_bytes":9}}"#),
            line(4, assist),
        ];
        let events: Vec<Event> = read(log.concat().as_bytes()).unwrap();
        let ids: Vec<Option<ScanId>> = events.iter().map(Event::scan_id).collect();
        let id = |epoch, seq| Some(ScanId { epoch, seq });
        assert_eq!(ids, [id(1, 2), id(3, 4), None, None]);
        assert!(
            matches!(events[2].subject, EventKind::Malformed(_)) && matches!(events[3].subject, EventKind::Assist(_))
        );
    }

    #[test]
    fn a_ledgers_ids_may_be_texts_or_numbers() {
        let ids: Vec<u64> = read::<Forwarded>(b"{\"source\":\"s\",\"id\":\"7\",\"door\":\"d\"}\n{\"id\":8}\n")
            .unwrap()
            .iter()
            .map(|forwarded| forwarded.id)
            .collect();
        assert_eq!(ids, [7, 8]);
    }

    #[test]
    fn a_line_cut_short_at_the_end_is_left_out_and_anywhere_else_an_error() {
        assert_eq!(read::<Forwarded>(b"{\"id\":1}\n{\"id\":").unwrap().len(), 1);
        let error = read::<Forwarded>(b"{\"id\":1}\n{\"id\":\n{\"id\":3}\n").unwrap_err();
        assert!(error.to_string().ends_with("line 2"), "{error}");
    }

    #[test]
    fn a_line_without_end_is_refused_with_bounded_memory() {
        let line = "x".repeat(200_000);
        assert!(read::<Forwarded>(line.as_bytes()).unwrap_err().to_string().contains("line 1: longer than"));
    }
}
