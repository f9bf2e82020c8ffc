//! Kubernetes manifests from files, directories and standard input.
//!
//! Here: which files are read, their documents, and where each object is from. Not here: decoding a
//! document (`document`), the pods of workloads (`pods`), policies (`admission`).
//! Invariant: a document that cannot be read is an error with its place, and hides no other; how much is
//! read is bounded.

mod document;
mod pods;
#[cfg(test)]
mod tests;

pub(crate) use pods::{Labels, Manifest, manifest};

use bailiff_response::messages::escaped;
use document::Budget;
use serde_json::Value as Json;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a file.
const FILE_LIMIT: u64 = 16 << 20;
/// Files of a run.
const FILES_LIMIT: usize = 10_000;
/// Objects of a run, including those in lists.
const OBJECTS_LIMIT: usize = 20_000;
/// Levels of directories below the one that was named.
const DIRECTORIES_LIMIT: usize = 32;
/// Characters of a path or a cause in a message.
const TEXT_LIMIT: usize = 400;
/// What directories are searched for, as kubectl does.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// A field that begins what `helm install --dry-run` prints before the manifests, and after which its notes end
/// the last one.
const HELM_REPORT: &str = "LAST DEPLOYED";

/// Where an object is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Path of the file, or `standard input`.
    pub(crate) file: String,
    /// Number of the document, from 1.
    pub(crate) document: usize,
    /// Line that the document starts at, from 1; none for JSON.
    pub(crate) line: Option<usize>,
    /// Position in the list that the document is, from 1.
    pub(crate) item: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = escaped(&self.file, TEXT_LIMIT);
        write!(f, "{file}, document {}", self.document)?;
        if let Some(line) = self.line {
            write!(f, " (line {line})")?;
        }
        match self.item {
            Some(item) => write!(f, ", item {item}"),
            None => Ok(()),
        }
    }
}

/// An object of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    pub(crate) place: Place,
    pub(crate) json: Json,
}

impl Object {
    /// A text of the object; empty if it is absent or no text.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        let value = self.json.pointer(pointer).and_then(Json::as_str);
        value.unwrap_or_default()
    }

    /// Kind and name, such as `deployment/web`, for messages.
    pub(crate) fn name(&self) -> String {
        let kind = self.text("/kind").to_lowercase();
        let name = match self.text("/metadata/name") {
            "" => match self.text("/metadata/generateName") {
                "" => "(no name)".to_owned(),
                prefix => format!("{prefix}*"),
            },
            name => name.to_owned(),
        };
        escaped(&format!("{kind}/{name}"), TEXT_LIMIT)
    }
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Manifests {
    /// The objects, in the order of the files.
    pub(crate) objects: Vec<Object>,
    /// What cannot be read: each with its place and a remedy.
    pub(crate) errors: Vec<String>,
}

impl Manifests {
    /// Reads files, directories and, for `-`, standard input. `recursive`: with their subdirectories.
    pub(crate) fn read(paths: &[PathBuf], recursive: bool, input: &mut impl Read) -> Self {
        let mut manifests = Self::default();
        let mut files = Vec::new();
        for path in paths {
            if let Err(error) = list(path, recursive, &mut files) {
                manifests.errors.push(error);
            }
        }
        let budget = Budget::default();
        for file in &files {
            let name = if file == Path::new("-") {
                "standard input".to_owned()
            } else {
                file.display().to_string()
            };
            match text(file, &mut *input) {
                Ok(text) => manifests.add(&name, &text, &budget),
                Err(cause) => manifests.errors.push(format!(
                    "cannot read {}: {cause}",
                    escaped(&name, TEXT_LIMIT)
                )),
            }
        }
        manifests
    }

    /// Adds the documents of a file.
    fn add(&mut self, file: &str, text: &str, budget: &Budget) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let is_json = Path::new(file)
            .extension()
            .is_some_and(|extension| extension == "json");
        // A file of JSON can have several objects without a separator.
        let decoded = match document::json(text, budget) {
            Err(_) if !is_json => document::yaml(text, budget),
            Ok(documents) | Err(documents) => documents,
        };
        for (number, (line, decoded)) in (1..).zip(decoded) {
            let place = Place {
                file: file.to_owned(),
                document: number,
                line,
                item: None,
            };
            match decoded {
                Ok(Json::Null) => {}
                Ok(json) => self.add_object(Object { place, json }),
                Err(cause) => {
                    let cause = escaped(&cause, TEXT_LIMIT);
                    self.errors.push(format!("cannot read {place}: {cause}"));
                }
            }
        }
    }

    /// Adds an object, or the objects of a list.
    fn add_object(&mut self, object: Object) {
        let fault = |what: &str| format!("cannot read {}: {what}", object.place);
        let kind = object.text("/kind");
        if kind.is_empty() || object.text("/apiVersion").is_empty() {
            let what = if object.json[HELM_REPORT].is_string() {
                "it is a report of `helm install` or `helm upgrade`, which is no manifest; use `helm template`"
            } else {
                "it has no apiVersion or no kind; add both, or remove the document"
            };
            self.errors.push(fault(what));
            return;
        }
        let element = match kind.strip_suffix("List") {
            Some(element) if object.json["items"].is_array() => element.to_owned(),
            Some(_) | None if self.objects.len() >= OBJECTS_LIMIT => {
                let what = format!(
                    "there are more than {OBJECTS_LIMIT} objects; check fewer files at once"
                );
                // Once for all that follow.
                if !self.errors.iter().any(|error| error.ends_with(&what)) {
                    self.errors.push(fault(&what));
                }
                return;
            }
            Some(_) | None => return self.objects.push(object),
        };
        if object.place.item.is_some() {
            let what = "a list contains another list; put the objects into one list";
            self.errors.push(fault(what));
            return;
        }
        let Object { place, mut json } = object;
        let api_version = json["apiVersion"].take();
        let Json::Array(items) = json["items"].take() else {
            return;
        };
        for (number, mut item) in (1..).zip(items) {
            // The elements of typed lists, such as a DeploymentList, have no kind of their own.
            if let (Json::Object(fields), false) = (&mut item, element.is_empty()) {
                let entry = fields.entry("apiVersion");
                entry.or_insert_with(|| api_version.clone());
                let entry = fields.entry("kind");
                entry.or_insert_with(|| element.clone().into());
            }
            let place = Place {
                item: Some(number),
                ..place.clone()
            };
            self.add_object(Object { place, json: item });
        }
    }
}

/// Adds a file, or the files of a directory in the order of their names.
fn list(path: &Path, recursive: bool, files: &mut Vec<PathBuf>) -> Result<(), String> {
    if path == Path::new("-") || !path.is_dir() {
        // A file that does not exist is an error where it is read.
        return add_file(path, files);
    }
    let before = files.len();
    search(path, recursive, 0, files)?;
    if files.len() == before {
        return Err(format!(
            "cannot read directory {}: it has no files that end in .json, .yaml or .yml; set -R to include subdirectories",
            escaped(&path.display().to_string(), TEXT_LIMIT)
        ));
    }
    Ok(())
}

fn add_file(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    if files.len() >= FILES_LIMIT {
        return Err(format!(
            "cannot read {}: there are more than {FILES_LIMIT} files; check fewer at once",
            escaped(&path.display().to_string(), TEXT_LIMIT)
        ));
    }
    files.push(path.to_owned());
    Ok(())
}

fn search(
    path: &Path,
    recursive: bool,
    depth: usize,
    files: &mut Vec<PathBuf>,
) -> Result<(), String> {
    let name = || escaped(&path.display().to_string(), TEXT_LIMIT);
    if depth > DIRECTORIES_LIMIT {
        return Err(format!(
            "cannot read directory {}: it is more than {DIRECTORIES_LIMIT} levels deep; name it itself",
            name()
        ));
    }
    let unreadable = |error: std::io::Error| {
        format!(
            "cannot read directory {}: {error}; check its path and permissions",
            name()
        )
    };
    let entries = std::fs::read_dir(path).map_err(unreadable)?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // Symbolic links to directories are not followed, because they can lead back here.
        if entry.file_type().map_err(unreadable)?.is_dir() {
            if recursive {
                search(&path, recursive, depth + 1, files)?;
            }
            continue;
        }
        let extension = path.extension().and_then(std::ffi::OsStr::to_str);
        if extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) && path.is_file() {
            add_file(&path, files)?;
        }
    }
    Ok(())
}

/// The text of a file; or why it cannot be read, and the remedy.
fn text(path: &Path, input: &mut impl Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        input.take(FILE_LIMIT + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut bytes))
    };
    let count = read.map_err(|error| format!("{error}; check the path and its permissions"))?;
    if u64::try_from(count).is_ok_and(|count| count > FILE_LIMIT) {
        return Err(format!(
            "it has more than {} MiB; split it into several files",
            FILE_LIMIT >> 20
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("byte {at} is not UTF-8; save the file as UTF-8")
    })
}
