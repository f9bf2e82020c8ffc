//! The process that reads one layer.
//!
//! Here: its life: it closes what it does not need, limits itself, enters its sandbox, reads the layer that is its standard
//! input, and writes its answer to its standard output. Not here: how a layer is read (`reading`), and who starts
//! the process (`process`).
//! Invariant: it begins before the program has a thread, a runtime, a log or parsed arguments. It writes nothing for
//! people: descriptor 2 is its spool, and a panic has no message, because an image could have written a part of it.

use crate::reading::{self, Readers};
use crate::report::{Frame, Request, Writer};
use crate::sandbox::{self, SandboxError};
use nix::errno::Errno;
use nix::unistd::Whence;
use std::ffi::OsStr;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

/// The argument that makes the program this process. It is no command for people.
pub const SUBCOMMAND: &str = "__read-layer";

/// Bytes of a request.
const REQUEST_LIMIT: u64 = 64 << 20;

/// Whether the arguments, with the program's name, ask for this process.
pub fn is_requested<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> bool {
    arguments
        .into_iter()
        .nth(1)
        .is_some_and(|argument| argument.as_ref() == SUBCOMMAND)
}

/// Reads the layer. Nothing of the process can be used afterwards, so it has to end.
#[must_use]
pub fn run(readers: Readers) -> ExitCode {
    // The message would be written to the spool.
    std::panic::set_hook(Box::new(|_| {}));
    match answer(readers) {
        Ok(()) => ExitCode::SUCCESS,
        // The parent is gone, or there was no request.
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer(readers: Readers) -> io::Result<()> {
    // Standard input and output have locks and buffers of their own; only their descriptors are used.
    let mut spool = Descriptor(io::stderr());
    let mut answer = Writer::new(Descriptor(io::stdout()));
    let closed = sandbox::close_inherited();
    let request = request(&mut spool)?;
    let started = closed.and_then(|()| start(&request));
    match started {
        Ok(frame) => {
            answer.write(&frame)?;
            answer.flush()?;
        }
        Err(cause) => {
            answer.write(&Frame::NotSandboxed(cause))?;
            return answer.flush();
        }
    }
    let mut blob = Descriptor(io::stdin());
    blob.seek(SeekFrom::Start(0))?;
    reading::read(&request, readers, blob, spool, &mut answer)
}

/// What the parent wrote to the begin of the spool.
fn request(spool: &mut Descriptor<io::Stderr>) -> io::Result<Request> {
    let mut bytes = Vec::new();
    spool.seek(SeekFrom::Start(0))?;
    spool.take(REQUEST_LIMIT).read_to_end(&mut bytes)?;
    postcard::from_bytes(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn start(request: &Request) -> Result<Frame, SandboxError> {
    sandbox::limit(request.ceilings)?;
    let landlock = if request.sandboxed {
        Some(sandbox::enter()?)
    } else {
        None
    };
    Ok(Frame::Started(landlock))
}

/// A descriptor that is used with the system calls that are allowed, and no others: `File` asks for the size of what
/// it reads.
struct Descriptor<D>(D);

impl<D: AsFd> Read for Descriptor<D> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(nix::unistd::read(&self.0, into)?)
    }
}

impl<D: AsFd> Write for Descriptor<D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(nix::unistd::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<D: AsFd> Seek for Descriptor<D> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (offset, whence) = match to {
            SeekFrom::Start(position) => {
                let offset = i64::try_from(position).map_err(|_error| Errno::EOVERFLOW)?;
                (offset, Whence::SeekSet)
            }
            SeekFrom::End(offset) => (offset, Whence::SeekEnd),
            SeekFrom::Current(offset) => (offset, Whence::SeekCur),
        };
        let position = nix::unistd::lseek(&self.0, offset, whence)?;
        Ok(u64::try_from(position).unwrap_or(0))
    }
}
