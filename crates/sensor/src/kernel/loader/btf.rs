//! The kernel's type information, with that of overlayfs where it is a module.
//!
//! Here: joining what the kernel shows in two pieces. Not here: what is looked up in it
//! (`loader`).
//! Invariant: types of the kernel itself keep their numbers, by which programs are attached; a
//! module whose types can't be joined is told of, and takes nothing away.

use aya::{Btf, BtfError, Endianness};
use std::io::ErrorKind;
use std::path::Path;

/// Where a kernel shows its types.
pub(super) const FOLDER: &str = "/sys/kernel/btf";
/// The module, for `process.executableSource`. Where overlayfs is built in, the kernel's own types
/// have it.
const MODULE: &str = "overlay";
/// Bytes of the header: magic, version, flags, its length, then four numbers of 32 bits
/// (Linux 6.18, `Documentation/bpf/btf.rst`, section 2.1).
const HEADER: u32 = 24;

/// The kernel's types alone.
///
/// # Errors
/// When the kernel does not show them.
pub(super) fn of_kernel(folder: &Path) -> Result<Btf, BtfError> {
    Btf::parse_file(folder.join("vmlinux"), Endianness::default())
}

/// The kernel's types and those of the module; none: it is built in, not loaded, or can't be read.
pub(super) fn with_module(folder: &Path) -> Option<Btf> {
    let module = match std::fs::read(folder.join(MODULE)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        read => read.ok(),
    };
    let kernel = std::fs::read(folder.join("vmlinux")).ok();
    let joined = kernel
        .zip(module)
        .and_then(|(kernel, module)| join(&kernel, &module))
        .and_then(|joined| Btf::parse(&joined, Endianness::default()).ok());
    if joined.is_none() {
        tracing::warn!(
            MODULE,
            "Could not read the types of a kernel module: where executables come from is unknown"
        );
    }
    joined
}

/// Types and texts of the kernel, then those of a module. A module's numbers of types and places
/// of texts go on where the kernel's end (split BTF: Linux 6.18, `tools/lib/bpf/btf.c`,
/// `btf__new_split`), so nothing in them has to be changed.
fn join(kernel: &[u8], module: &[u8]) -> Option<Vec<u8>> {
    let ((types, texts), (more_types, more_texts)) = (parts(kernel)?, parts(module)?);
    let length = |a: &[u8], b: &[u8]| u32::try_from(a.len().checked_add(b.len())?).ok();
    let (types_length, texts_length) = (length(types, more_types)?, length(texts, more_texts)?);
    let mut joined = kernel.get(..4)?.to_vec();
    for number in [HEADER, 0, types_length, types_length, texts_length] {
        joined.extend(number.to_ne_bytes());
    }
    for part in [types, more_types, texts, more_texts] {
        joined.extend_from_slice(part);
    }
    Some(joined)
}

/// Types and texts of a piece.
fn parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let number = |at: usize| {
        let four = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(u32::from_ne_bytes(four)).ok()
    };
    let body = bytes.get(number(4)?..)?;
    let part = |at: usize| {
        let start = number(at)?;
        body.get(start..start.checked_add(number(at.checked_add(4)?)?)?)
    };
    Some((part(8)?, part(16)?))
}

#[cfg(test)]
mod tests;
