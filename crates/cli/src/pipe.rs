//! Output that somebody can stop reading.
//!
//! Here: a writer for commands whose exit code is a result. Not here: what they write.
//! Invariant: a reader that closes a pipe, as `head` does, changes no exit code. Other errors are errors.

use std::io::{self, ErrorKind, Write};

/// Writes until the reader closes the pipe. What is written then is dropped.
pub(crate) struct UntilClosed<W> {
    to: W,
    is_closed: bool,
}

impl<W: Write> UntilClosed<W> {
    pub(crate) fn new(to: W) -> Self {
        Self {
            to,
            is_closed: false,
        }
    }

    fn closed<T>(&mut self, result: io::Result<T>, instead: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(instead)
            }
            result => result,
        }
    }
}

impl<W: Write> Write for UntilClosed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_closed {
            return Ok(bytes.len());
        }
        let written = self.to.write(bytes);
        self.closed(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let flushed = self.to.flush();
        self.closed(flushed, ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::BufWriter;

    #[test]
    fn what_is_written_to_a_closed_pipe_is_dropped() {
        for buffer in [0, 1 << 20] {
            let (reader, writer) = io::pipe().unwrap();
            drop(reader);
            let mut out = UntilClosed::new(BufWriter::with_capacity(buffer, writer));
            for _ in 0..3 {
                writeln!(out, "line").unwrap();
                out.flush().unwrap();
            }
            assert!(out.is_closed);
        }
    }

    #[test]
    fn another_error_is_an_error() {
        let mut out = UntilClosed::new(File::create("/dev/full").unwrap());
        let error = writeln!(out, "line").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }
}
