//! What is known about the packages.
//!
//! Here: where advisories and the catalog of known exploited vulnerabilities come from. Not here: files and archives of
//! records (`files`), an index (`index`), and what a record says (`bailiff_scan::advisory`).
//! Invariant: what could not be read is reported, and hides no advisory.

use super::args::ScanArgs;
use super::index;
use super::{TEXT_LIMIT, files, shown};
use crate::Error;
use bailiff_response::messages::escaped;
use bailiff_scan::advisory::collection::{Advisories, Collection};
use bailiff_scan::known_exploited::{CATALOG_LIMIT, KnownExploited};
use bailiff_scan::package::subjects;
use bailiff_scan::result::{Knowledge, Target};
use jiff::Timestamp;
use std::path::Path;

/// What is opened before it is known which packages there are.
#[derive(Debug)]
pub(super) struct Opened {
    /// The catalog of `--known-exploited`.
    known_exploited: Option<KnownExploited>,
    /// The index. None with `--advisories`.
    index: Option<index::Opened>,
}

/// Opens what is known.
///
/// # Errors
/// If the catalog cannot be read, the index not be opened, or none of the paths of `--advisories`.
pub(super) fn open(args: &ScanArgs) -> Result<Opened, Error> {
    let known_exploited = match &args.known_exploited {
        Some(path) => Some(catalog(path)?),
        None => None,
    };
    let index = if args.advisories.is_empty() {
        let path = crate::feed::index_path(args.index.as_deref())?;
        Some(index::open(path)?)
    } else {
        let mut errors = args.advisories.iter().map(|path| not_opened(path));
        // One that can be opened has advisories, or else that is an error later.
        if let Some(Some(error)) = errors.next()
            && errors.all(|error| error.is_some())
        {
            return Err(Error::Input(no_advisories(args, Some(&error))));
        }
        None
    };
    Ok(Opened {
        known_exploited,
        index,
    })
}

/// Why a path cannot be opened. None if it can.
fn not_opened(path: &Path) -> Option<String> {
    let opened = std::fs::metadata(path).and_then(|metadata| {
        if metadata.is_dir() {
            std::fs::read_dir(path).map(drop)
        } else if metadata.is_file() {
            std::fs::File::open(path).map(drop)
        } else {
            // Opening a pipe waits, and closing it ends who writes to it.
            Ok(())
        }
    });
    let error = opened.err()?;
    Some(format!("{}: {error}", path.to_string_lossy()))
}

/// Reads what is known about the packages at this time.
///
/// # Errors
/// If no advisory can be read, or none about the vulnerability to explain.
pub(super) fn gather<'a>(
    args: &ScanArgs,
    opened: &'a Opened,
    targets: &[Target],
    now: Timestamp,
) -> Result<Knowledge<'a>, Error> {
    let mut knowledge = match &opened.index {
        Some(index) => index.gather(targets)?,
        None => Knowledge {
            advisories: of_files(args, targets, now)?,
            ..Knowledge::default()
        },
    };
    if let Some(catalog) = &opened.known_exploited {
        // The unreadable entries of the index's own are errors of one of its sources.
        if catalog.unreadable > 0 {
            knowledge.unread.add(&format!(
                "{} entries of the catalog of known exploited vulnerabilities",
                catalog.unreadable
            ));
        }
        knowledge.known_exploited = Some(catalog.clone());
    }
    Ok(knowledge)
}

/// The advisories of the files of `--advisories`.
fn of_files(args: &ScanArgs, targets: &[Target], now: Timestamp) -> Result<Advisories, Error> {
    let wanted = subjects(targets.iter().flat_map(Target::packages))
        .into_iter()
        .map(|s| (s.ecosystem, s.name));
    let mut collection = Collection::of(wanted, now);
    if let Some(id) = &args.explain {
        collection.ask(id);
    }
    for path in &args.advisories {
        files::read(path, &mut collection);
    }
    let advisories = collection.collected();
    if advisories.read.is_empty() {
        let first = advisories.errors.first();
        return Err(Error::Input(no_advisories(args, first)));
    }
    if let Some(id) = args.explain.as_ref().filter(|_| !advisories.is_asked_read) {
        let id = escaped(id, TEXT_LIMIT);
        return Err(Error::Input(format!(
            "cannot explain {id}: no advisory about it was read; check the name, or add its advisories with --advisories"
        )));
    }
    Ok(advisories)
}

/// Why there are no advisories. `error`: the first one about a file.
fn no_advisories(args: &ScanArgs, error: Option<&String>) -> String {
    let paths: Vec<_> = args.advisories.iter().map(|path| shown(path)).collect();
    let (cause, remedy) = match error {
        Some(error) => (format!("cannot read {}", escaped(error, TEXT_LIMIT)), ""),
        None => (
            "there are no records of an ecosystem that Bailiff knows".to_owned(),
            ", such as all.zip of an ecosystem",
        ),
    };
    format!(
        "cannot read advisories of {}: {cause}; set --advisories to files of OSV{remedy}",
        paths.join(", ")
    )
}

fn catalog(path: &Path) -> Result<KnownExploited, Error> {
    let catalog = match files::bytes(path, CATALOG_LIMIT) {
        Ok(bytes) => KnownExploited::read(&bytes)
            .map_err(|error| format!("{error}; set --known-exploited to CISA's JSON file")),
        Err(error) => Err(format!(
            "{error}; set --known-exploited to a file that exists"
        )),
    };
    catalog.map_err(|cause| {
        let (path, cause) = (shown(path), escaped(&cause, TEXT_LIMIT));
        Error::Input(format!(
            "cannot read the known exploited vulnerabilities of {path}: {cause}"
        ))
    })
}
