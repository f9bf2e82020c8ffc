//! Lists of paths that databases have.
//!
//! Here: how they are kept. Not here: which files there are.
//! Invariant: a path is relative to the root or to the directory that its list names. It is not resolved: `..` and
//! symbolic links are for who looks it up.

use serde::{Deserialize, Serialize};

/// Bytes of a path. Longer ones are not read.
pub const PATH_LIMIT: usize = 4096;

/// Paths, kept one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    /// Each path ends with a newline. No format that is read has newlines in paths.
    lines: Vec<u8>,
}

impl Paths {
    /// Adds a path. `/` and `./` at its start are removed. The root itself, and a path that has a newline or more than
    /// [`PATH_LIMIT`] bytes, is not added.
    pub fn push(&mut self, path: &[u8]) {
        let mut path = path;
        while let Some(rest) = path.strip_prefix(b"/").or(path.strip_prefix(b"./")) {
            path = rest;
        }
        if !matches!(path, b"" | b".") && path.len() <= PATH_LIMIT && !path.contains(&b'\n') {
            self.lines.extend_from_slice(path);
            self.lines.push(b'\n');
        }
    }

    /// The paths, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let paths = self.lines.split(|byte| *byte == b'\n');
        paths.filter(|path| !path.is_empty())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The bytes that they take.
    #[must_use]
    pub fn size(&self) -> usize {
        self.lines.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_and_the_root_is_none() {
        let mut paths = Paths::default();
        for path in [
            &b"/usr/bin/a"[..],
            b"/.",
            b"/",
            b"",
            b"./usr/bin/b",
            b"a\nb",
            b"//usr/../c",
            &[b'x'; PATH_LIMIT + 1],
        ] {
            paths.push(path);
        }
        let shown: Vec<_> = paths.iter().map(String::from_utf8_lossy).collect();
        assert_eq!(shown, ["usr/bin/a", "usr/bin/b", "usr/../c"]);
    }
}
