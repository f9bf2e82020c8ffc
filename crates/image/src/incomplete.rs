//! What of an image was not read, and why.
//!
//! Here: the causes and their messages. Not here: what was read in spite of them.
//! Invariant: a message is printable ASCII of bounded length, whatever an image or a process wrote.

use crate::limits::Limit;
use crate::process::Ended;
use crate::sandbox::SandboxError;
use crate::validate::Invalid;
use bailiff_oci::layer::CannotUnpack;
use nix::sys::signal::Signal;
use std::fmt;

/// A part of an image that was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incomplete {
    /// The number of the layer, from 0 for the lowest. None for the image.
    pub layer: Option<u32>,
    /// Why.
    pub cause: Cause,
}

/// Why something was not read. What was read before counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The process that reads the layer could not be started, with the kernel's word.
    CannotStart(String),
    /// The process could not enter its sandbox, and read nothing.
    NoSandbox(SandboxError),
    /// The process ended before it had read everything.
    Ended(Ended),
    /// A limit of the image was exceeded. [`Ended::Cpu`] is that of a layer.
    Limit(Limit),
    /// The rest of the layer cannot be unpacked.
    CannotUnpack(CannotUnpack),
    /// A part of the layer has no place in the tree, as the container runtime does not unpack it.
    CannotApply(CannotUnpack),
    /// The blob or the spool could not be read or written: the kernel's error number.
    Files(i32),
    /// The blob has another digest than the manifest says: its algorithm and digits.
    BlobDigest(String),
    /// The unpacked layer has another digest than the configuration says: its algorithm and digits.
    ContentDigest(String),
    /// The answer of the process is not believed from some part on.
    Answer(Invalid),
    /// The answer could not be read: the kernel's error number.
    Pipe(i32),
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Some(layer) => write!(f, "layer {}: {}", layer.saturating_add(1), self.cause),
            None => self.cause.fmt(f),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CannotStart(cause) => write!(
                f,
                "cannot start the process that reads the layer: {}",
                cause.escape_default()
            ),
            Self::NoSandbox(cause) => write!(
                f,
                "cannot start the sandbox of the process that reads the layer: {cause}; use --no-sandbox to read it without \
                 a sandbox"
            ),
            Self::Ended(ended) => write!(f, "the process that reads the layer {ended}"),
            Self::Limit(limit) => write!(f, "the image exceeds the limit of {limit}"),
            Self::CannotUnpack(cause) => write!(f, "cannot unpack the layer: {cause}"),
            Self::CannotApply(cause) => write!(f, "cannot unpack a part of the layer: {cause}"),
            Self::Files(errno) => write!(f, "cannot read the layer: {}", word(*errno)),
            Self::BlobDigest(found) => write!(
                f,
                "the layer has the digest {}, and not the one in the manifest; pull the image again",
                found.escape_default()
            ),
            Self::ContentDigest(found) => write!(
                f,
                "the unpacked layer has the digest {}, and not the one in the image's configuration",
                found.escape_default()
            ),
            Self::Answer(invalid) => write!(
                f,
                "the answer of the process that reads the layer is invalid: {invalid}; the layer might have taken \
                 over the process"
            ),
            Self::Pipe(errno) => write!(
                f,
                "cannot read the answer of the process that reads the layer: {}",
                word(*errno)
            ),
        }
    }
}

/// The kernel's word for an error number.
fn word(errno: i32) -> &'static str {
    nix::errno::Errno::from_raw(errno).desc()
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normally => f.write_str("ended before it had read everything"),
            Self::Exit(code) => write!(f, "failed with exit code {code}"),
            Self::Cpu => f.write_str("exceeded its CPU time"),
            Self::Forbidden => f.write_str(
                "was killed for a forbidden system call; the layer might have taken over the process",
            ),
            Self::Aborted => f.write_str("exceeded its memory or its stack"),
            Self::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "was killed by {signal}"),
                Err(_) => write!(f, "was killed by signal {number}"),
            },
            Self::Unknown => f.write_str("ended, and its exit status is unknown"),
        }
    }
}
