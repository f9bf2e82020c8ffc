//! The build information of Go binaries.
//!
//! Here: the modules that a binary is built from. Not here: where the information is in a file (`elf`).
//! Invariant: pure, bounded. A line that cannot be read is reported, and hides no other.

use super::records::{Faults, text};
use super::{Fact, PACKAGES_LIMIT};
use crate::package::{NAME_LIMIT, VERSION_LIMIT};
use serde::{Deserialize, Serialize};

/// The build information of a Go binary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildInfo {
    /// The version of Go without what a vendor adds, such as `go1.22.1`.
    pub go: String,
    /// The main module. None if the binary was built without modules.
    pub main: Option<Module>,
    /// The modules that it depends on, those that replace others instead of these.
    pub dependencies: Vec<Module>,
}

/// A module of Go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its path, such as `golang.org/x/net`.
    pub path: String,
    /// Its version, such as `v0.1.0`; [`DEVEL`] if it was built from a directory.
    pub version: String,
    /// The path of the module that it replaces. None if it replaces none. A directory that replaces a module has the
    /// path of that module: its code is a version of it that nobody knows.
    pub replaces: Option<String>,
}

/// The version of a module that was built from a directory.
pub const DEVEL: &str = "(devel)";

/// What is read, for messages.
pub(super) const WHAT: &str = "Go build information";

/// Adds the build information: the version of Go, and lines of fields with tabs between them.
pub(super) fn read(go: &[u8], modules: &[u8], facts: &mut dyn FnMut(Fact)) {
    let mut faults = Faults::of(WHAT);
    // A development version has a date after it, others have experiments or a vendor's words.
    let first = go.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let go = text("version of Go", first, VERSION_LIMIT).unwrap_or_else(|cause| {
        faults.add(cause, facts);
        DEVEL.to_owned()
    });
    let mut info = BuildInfo {
        go,
        main: None,
        dependencies: Vec::new(),
    };
    for (index, line) in modules.split(|byte| *byte == b'\n').enumerate() {
        let mut add = |cause| faults.add(format!("line {}: {cause}", index + 1), facts);
        let mut fields = line.split(|byte| *byte == b'\t');
        let kind = fields.next().unwrap_or_default();
        let (path, version) = (fields.next(), fields.next());
        match kind {
            b"mod" | b"dep" => match module(path, version) {
                Ok(module) if kind == b"mod" => info.main = Some(module),
                Ok(_) if info.dependencies.len() == PACKAGES_LIMIT => {
                    add(format!(
                        "there are more than the {PACKAGES_LIMIT} modules that are read"
                    ));
                    break;
                }
                Ok(module) => info.dependencies.push(module),
                Err(cause) => add(cause),
            },
            b"=>" => {
                let replaced = info.dependencies.last_mut().or(info.main.as_mut());
                match (replaced, replacement(path, version)) {
                    (_, Err(cause)) => add(cause),
                    (None, Ok(_)) => add("it replaces no module".to_owned()),
                    (Some(replaced), Ok(None)) => DEVEL.clone_into(&mut replaced.version),
                    (Some(replaced), Ok(Some(by))) => {
                        let path = std::mem::replace(&mut replaced.path, by.path);
                        replaced.version = by.version;
                        replaced.replaces = Some(path);
                    }
                }
            }
            _ => {}
        }
    }
    faults.finish(facts);
    facts(Fact::Go(info));
}

fn module(path: Option<&[u8]>, version: Option<&[u8]>) -> Result<Module, String> {
    let path = text("path", path.unwrap_or_default(), NAME_LIMIT)?;
    let version = match version.unwrap_or_default() {
        b"" => DEVEL.to_owned(),
        version => text("version", version, VERSION_LIMIT)?,
    };
    Ok(Module {
        path,
        version,
        replaces: None,
    })
}

/// What replaces a module. None if it is a directory, which has no version.
fn replacement(path: Option<&[u8]>, version: Option<&[u8]>) -> Result<Option<Module>, String> {
    let module = module(path, version)?;
    Ok(Some(module).filter(|module| module.version != DEVEL))
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::wildcard_enum_match_arm,
        reason = "what is not expected is printed"
    )]

    use super::*;

    fn shown(go: &str, modules: &str) -> Vec<String> {
        let mut shown = Vec::new();
        let module = |module: &Module| {
            let replaces = module.replaces.as_ref();
            let replaces = replaces.map(|path| format!(" for {path}"));
            format!(
                "{} {}{}",
                module.path,
                module.version,
                replaces.unwrap_or_default()
            )
        };
        read(go.as_bytes(), modules.as_bytes(), &mut |fact| match fact {
            Fact::Go(info) => {
                shown.push(info.go);
                shown.extend(
                    info.main
                        .iter()
                        .map(|main| format!("main {}", module(main))),
                );
                shown.extend(info.dependencies.iter().map(module));
            }
            Fact::NotRead { what, cause } => shown.push(format!("{what}: {cause}")),
            other => shown.push(format!("{other:?}")),
        });
        shown
    }

    #[test]
    fn modules_have_their_versions_and_replacements() {
        let modules = "\
path\texample.org/a/cmd
mod\texample.org/a\t(devel)\t
dep\tgolang.org/x/net\tv0.1.0\th1:x
dep\tgolang.org/x/text\tv0.3.0
=>\texample.org/fork\tv0.3.1-0.20200101000000-0123456789ab\th1:y
dep\tgolang.org/x/sys\tv0.1.0
=>\t../sys\t
dep\tgolang.org/x/mod\t
build\t-compiler=gc
";
        assert_eq!(
            shown("go1.22rc1 X:boringcrypto", modules),
            [
                "go1.22rc1",
                "main example.org/a (devel)",
                "golang.org/x/net v0.1.0",
                "example.org/fork v0.3.1-0.20200101000000-0123456789ab for golang.org/x/text",
                "golang.org/x/sys (devel)",
                "golang.org/x/mod (devel)",
            ]
        );
    }

    #[test]
    fn a_replaced_main_module_is_replaced() {
        assert_eq!(
            shown("go1.20", "mod\ta\tv1\n=>\tb\tv2\n"),
            ["go1.20", "main b v2 for a"]
        );
    }

    #[test]
    fn a_line_that_cannot_be_read_hides_no_other() {
        let long = "1".repeat(VERSION_LIMIT + 1);
        let modules = format!("=>\ta\tv1\ndep\t\tv1\ndep\ta\u{1b}\tv1\ndep\ta\t{long}\ndep\tb\tv1");
        assert_eq!(
            shown("", &modules),
            [
                "Go build information: its version of Go is empty",
                "Go build information: line 1: it replaces no module",
                "Go build information: line 2: its path is empty",
                "Go build information: line 3: its path has other characters than printable ASCII",
                "Go build information: line 4: its version has more than 256 bytes",
                "(devel)",
                "b v1",
            ]
        );
        let facts = shown("go1.20", &"dep\ta\tv1\n".repeat(PACKAGES_LIMIT + 1));
        assert_eq!(facts.len(), PACKAGES_LIMIT + 2);
        assert_eq!(
            facts.first().map(String::as_str),
            Some(
                "Go build information: line 100001: there are more than the 100000 modules that \
                 are read"
            )
        );
    }
}
