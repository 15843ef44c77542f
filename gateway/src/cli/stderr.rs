//! Standard error that may fail: a full disk or a reader that has gone away must not end the gateway.

use std::io::{self, Write};

/// Writes to standard error, and passes over what cannot be written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::stderr().write_all(bytes).unwrap_or_default();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush().unwrap_or_default();
        Ok(())
    }
}
