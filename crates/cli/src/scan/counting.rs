//! What decides which findings count.
//!
//! Here: the file of findings to ignore. Not here: its entries, and what they ignore (`bailiff_scan::ignore`).
//! Invariant: a file that cannot be used ends the command, because it would change the result unnoticed.

use super::args::ScanArgs;
use super::{TEXT_LIMIT, files, shown};
use crate::Error;
use bailiff_response::messages::escaped;
use bailiff_scan::counting::Counting;
use bailiff_scan::ignore::{IgnoreList, LIST_LIMIT};
use jiff::civil::Date;
use serde_json::Value as Json;
use std::path::Path;

/// What decides which findings count on this day, in UTC.
///
/// # Errors
/// If the list of findings to ignore cannot be used.
pub(super) fn gather(args: &ScanArgs, today: Date) -> Result<Counting, Error> {
    let ignore = match &args.ignore {
        Some(path) => list(path)?,
        None => IgnoreList::default(),
    };
    Ok(Counting {
        ignore,
        today,
        only_fixed: args.only_fixed,
    })
}

fn list(path: &Path) -> Result<IgnoreList, Error> {
    let read = || -> Result<IgnoreList, String> {
        let bytes = files::bytes(path, LIST_LIMIT)
            .map_err(|error| format!("{error}; set --ignore to a file that exists"))?;
        if bytes.len() > LIST_LIMIT {
            return Err(format!(
                "it has more than the {LIST_LIMIT} bytes that are read; remove entries that have expired"
            ));
        }
        // JSON is YAML as well.
        let entries: Vec<Json> = serde_yaml_ng::from_slice(&bytes).map_err(|error| {
            format!(
                "it is no list in YAML or JSON: {error}; see `bailiff scan --help` for the format"
            )
        })?;
        IgnoreList::of(entries)
            .map_err(|error| format!("{error}; each entry needs id, package, reason and expires"))
    };
    read().map_err(|cause| {
        let (path, cause) = (shown(path), escaped(&cause, TEXT_LIMIT));
        Error::Input(format!(
            "cannot read the findings to ignore of {path}: {cause}"
        ))
    })
}
