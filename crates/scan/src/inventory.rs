//! The packages of an image, with the layer of each, and what of the image is no package.
//!
//! Here: what the facts of all files mean together. Not here: what one file says (`content`), how the files are read
//! (`image`), and which advisories affect a package (`matching`).
//! Invariant: pure. What is missing, forged or not read removes no package: a package counts if any file names it, and
//! what no file explains is listed.

mod copies;
mod coverage;
mod databases;
mod distribution;
mod files;
mod languages;
mod owners;
mod rpm;
#[cfg(test)]
mod tests;

pub use coverage::{
    BinaryKind, Coverage, LIST_LIMIT, List, NotCovered, NotRead, Removed, Unidentified,
};
pub use distribution::{Database, Statement};
pub use files::{ContentDigest, FileId, Files, Found};
pub(crate) use owners::is_of_upstream;
pub use owners::settle;

use crate::ecosystem::Ecosystem;
use crate::package::Package;
use databases::Databases;
use languages::Languages;

/// The packages of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The packages: those of the distribution, then those of languages, each at each of its paths, up to 100 for
    /// each file.
    pub packages: Vec<Located>,
    /// The releases of distributions that the packages are of. Usually one.
    pub distributions: Vec<Ecosystem>,
    /// What of the image is no package, or could not be read.
    pub coverage: Coverage,
}

/// A package in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The package. Its path is the file that names it, relative to the root; `!/` separates the path in an archive.
    pub package: Package,
    /// The architecture that it was built for, as the distribution names it. None if it has none or it is unknown.
    pub architecture: Option<String>,
    /// The lowest layer from which on its name, version and architecture stay, from 0 on. None if that is unknown.
    pub layer: Option<u32>,
    /// What is special about it, sorted.
    pub marks: Vec<Mark>,
    /// The package of the distribution that installed its file, as an index of [`Inventory::packages`]. It is installed
    /// itself. None if there is none.
    pub owner: Option<usize>,
}

/// What is special about a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// It is a copy in another package.
    Vendored,
    /// Its group is not known. Its name is the one of the artifact, and advisories of any group are possible.
    AnyGroup,
    /// It is not of the registry of its ecosystem, or the file does not say so. The registry can have another package
    /// of its name.
    OtherSource,
    /// A later layer removed it from the database, or gave it another version there, and kept files of it.
    NotInDatabase,
    /// Files disagree about the release. The package counts for each release that is named.
    ReleaseConflict,
}

impl Mark {
    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vendored => "Vendored",
            Self::AnyGroup => "AnyGroup",
            Self::OtherSource => "OtherSource",
            Self::NotInDatabase => "NotInDatabase",
            Self::ReleaseConflict => "ReleaseConflict",
        }
    }
}

/// Under how many of its paths a file names its packages.
const PATHS_PER_FILE: usize = 100;
/// How many packages of languages are named, with those of the distribution. The rest is a gap.
const PACKAGE_LIMIT: usize = 1_000_000;

/// The packages of an image.
#[must_use]
pub fn inventory(files: &dyn Files) -> Inventory {
    bounded(files, PACKAGE_LIMIT)
}

/// The packages of an image, of languages as many as fit below a number.
fn bounded(files: &dyn Files, limit: usize) -> Inventory {
    let seen = Seen::of(files);
    let databases = Databases::of(files, &seen);
    let mut inventory = Inventory::default();
    let owners = databases.packages(files, &mut inventory);
    let languages = Languages::of(files, &seen, &owners, &mut inventory, limit);
    coverage::add(files, &seen, &databases, &languages, &mut inventory);
    inventory
}

/// The files that say something, each with one path.
#[derive(Default)]
struct Seen {
    /// Files with packages of a distribution.
    databases: Vec<(Vec<u8>, FileId)>,
    /// Lists of files of packages of dpkg, and diversions.
    lists: Vec<(Vec<u8>, FileId)>,
    /// Executables, shared objects, archives of Java, and compressed files that have a program.
    binaries: Vec<(Vec<u8>, FileId)>,
    /// The binaries, under each of their paths.
    paths_of_binaries: Vec<(Vec<u8>, FileId)>,
    /// Files with packages of a language, each with its first path.
    languages: Vec<(Vec<u8>, FileId)>,
    /// Their next paths, up to [`PATHS_PER_FILE`] for each.
    more_languages: Vec<(Vec<u8>, FileId)>,
    /// Files that could not be read completely.
    not_read: Vec<(Vec<u8>, FileId)>,
}

impl Seen {
    fn of(files: &dyn Files) -> Self {
        use crate::content::Fact;
        let mut seen = Self::default();
        let mut ids = std::collections::HashSet::new();
        let mut languages = std::collections::HashMap::<FileId, usize>::new();
        files.walk(&mut |path, id| {
            let facts = files.facts(id);
            if facts.is_empty() {
                return;
            }
            let has = |is: fn(&Fact) -> bool| facts.iter().any(is);
            let entry = || (path.to_vec(), id);
            if has(Fact::is_of_language) {
                let count = languages.entry(id).or_default();
                *count = count.saturating_add(1);
                match *count {
                    1 => seen.languages.push(entry()),
                    2..=PATHS_PER_FILE => seen.more_languages.push(entry()),
                    _ => {}
                }
            }
            let is_binary = has(Fact::is_of_binary);
            if is_binary {
                seen.paths_of_binaries.push(entry());
            }
            if !ids.insert(id) {
                return;
            }
            if has(|fact| matches!(fact, Fact::Dpkg(_) | Fact::Apk(_))) {
                seen.databases.push(entry());
            }
            if has(|fact| matches!(fact, Fact::DpkgFiles(_) | Fact::DpkgDiversion(_))) {
                seen.lists.push(entry());
            }
            if is_binary {
                seen.binaries.push(entry());
            }
            if has(|fact| matches!(fact, Fact::NotRead { .. })) {
                seen.not_read.push(entry());
            }
        });
        seen
    }
}

/// A path for people and for matching. Bytes that are not UTF-8 are replaced.
fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
