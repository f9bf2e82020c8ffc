//! The packages that are looked up.
//!
//! Here: where they come from. Not here: the format of a list (`bailiff_scan::package_list`).
//! Invariant: what could not be read is reported, and hides no package.

use super::args::ScanArgs;
use super::images::{self, Images};
use super::{TEXT_LIMIT, files, shown};
use crate::Error;
use bailiff_response::messages::escaped;
use bailiff_scan::package_list::{self, LIST_LIMIT, PackageList};
use bailiff_scan::result::{Target, Unread};
use std::io::{Read, Write};
use std::path::Path;

/// The packages that are looked up.
#[derive(Debug, Default)]
pub(super) struct Packages {
    /// Where they are from, for people: the image, or the path of the list.
    pub(super) from: String,
    /// The packages, of each image that was scanned.
    pub(super) targets: Vec<Target>,
    /// What is known about the images besides. None for a list.
    pub(super) images: Option<Images>,
    /// What could not be read.
    pub(super) unread: Unread,
}

/// Reads the packages.
///
/// # Errors
/// If nothing can be read of them.
pub(super) fn gather(
    args: &ScanArgs,
    input: &mut impl Read,
    err: &mut impl Write,
) -> Result<Packages, Error> {
    match &args.packages {
        Some(path) => list(path, input),
        None => images::gather(args, err),
    }
}

fn list(path: &Path, input: &mut impl Read) -> Result<Packages, Error> {
    let is_input = path == Path::new("-");
    let from = if is_input {
        "standard input".to_owned()
    } else {
        shown(path)
    };
    let error = |cause: &str| {
        let cause = escaped(cause, TEXT_LIMIT);
        Error::Input(format!("cannot read the packages of {from}: {cause}"))
    };
    let bytes = if is_input {
        let mut bytes = Vec::new();
        let limit = u64::try_from(LIST_LIMIT).unwrap_or(u64::MAX);
        let read = input.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map(|_| bytes)
    } else {
        files::bytes(path, LIST_LIMIT)
    };
    let bytes = bytes.map_err(|cause| {
        error(&format!(
            "{cause}; set --packages to a file that exists, or to - for standard input"
        ))
    })?;
    let list = package_list::read(&bytes).map_err(|cause| error(&cause.to_string()))?;
    let PackageList {
        packages,
        errors: first,
        failed,
    } = list;
    if let Some(first) = first.first().filter(|_| packages.is_empty()) {
        return Err(error(&format!(
            "no entry can be read (errors: {failed}); the first is {first}; see `bailiff scan --help` for the format"
        )));
    }
    let mut unread = Unread::default();
    let first: Vec<_> = first
        .iter()
        .map(|error| format!("{} of {from}: {}", error.entry, error.cause))
        .collect();
    unread.add_first(first.iter().map(String::as_str), failed);
    Ok(Packages {
        from,
        targets: vec![Target::list(packages)],
        images: None,
        unread,
    })
}
