//! A directory with the files of a command that a test runs.
//!
//! Here: the files, arguments with the path of the directory, and texts without it. Not here: the commands.
//! Invariant: `{}` stands for the directory, in arguments and in what is printed.

use std::path::PathBuf;
use tempfile::TempDir;

/// A directory that exists as long as this.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The path of the directory.
    pub(crate) fn root(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn add(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// The names in a directory of it, sorted.
    pub(crate) fn names(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(directory)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    }

    /// A command with flags that spaces separate.
    pub(crate) fn arguments(&self, command: &str, flags: &str) -> Vec<String> {
        let flags = flags.split_whitespace();
        let flags = flags.map(|flag| flag.replace("{}", self.root()));
        std::iter::once(command.to_owned()).chain(flags).collect()
    }

    /// A text that a command printed.
    pub(crate) fn printed(&self, text: Vec<u8>) -> String {
        self.shown(&String::from_utf8(text).unwrap())
    }

    /// A text as tests compare it.
    pub(crate) fn shown(&self, text: &impl ToString) -> String {
        text.to_string().replace(self.root(), "{}")
    }
}
