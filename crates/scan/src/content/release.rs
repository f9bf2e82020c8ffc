//! Files that name the release of the distribution.
//!
//! Here: `os-release`, `debian_version`, `alpine-release` and `lsb-release`. Not here: whether they agree.
//! Invariant: pure, bounded. A value has at most [`VALUE_LIMIT`] bytes.

use super::{Content, Fact, Interest, not_read, whole};
use serde::{Deserialize, Serialize};

/// What one file says about the release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Release {
    /// `os-release`.
    Os(Os),
    /// `debian_version`: such as `12.5`, or `trixie/sid`. Ubuntu has it as well, with the name of a Debian release.
    Debian(String),
    /// `alpine-release`: such as `3.18.4`.
    Alpine(String),
    /// `lsb-release`.
    Lsb(Lsb),
}

/// The content of `os-release`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// `ID`, such as `debian`. None if it has none.
    pub id: Option<String>,
    /// `ID_LIKE`: the distributions that this one is derived from.
    pub like: Vec<String>,
    /// `VERSION_ID`, such as `12`. None if it has none, as in Debian's testing.
    pub version_id: Option<String>,
    /// `VERSION_CODENAME`, such as `bookworm`.
    pub codename: Option<String>,
    /// `PRETTY_NAME`.
    pub pretty_name: Option<String>,
}

/// The content of `lsb-release`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lsb {
    /// `DISTRIB_ID`, such as `Ubuntu`.
    pub id: Option<String>,
    /// `DISTRIB_RELEASE`, such as `22.04`.
    pub release: Option<String>,
    /// `DISTRIB_CODENAME`, such as `jammy`.
    pub codename: Option<String>,
}

/// Bytes of a file.
const FILE_LIMIT: usize = 64 << 10;
/// Bytes of a value.
const VALUE_LIMIT: usize = 256;
/// Distributions that one is derived from.
const LIKE_LIMIT: usize = 16;

const WHAT: &str = "release of the distribution";

type Parser = fn(&str) -> Release;

/// The paths, with what each of them is.
const FILES: [(&[u8], Parser); 5] = [
    (b"etc/os-release", os),
    (b"usr/lib/os-release", os),
    (b"etc/debian_version", |text| Release::Debian(line(text))),
    (b"etc/alpine-release", |text| Release::Alpine(line(text))),
    (b"etc/lsb-release", lsb),
];

/// How a file is read.
pub(super) fn interest(path: &[u8], _size: u64, _head: &[u8]) -> Interest {
    if FILES.iter().any(|(file, _)| *file == path) {
        Interest::Whole(FILE_LIMIT)
    } else {
        Interest::None
    }
}

/// Adds what a file says.
pub(super) fn read(path: &[u8], content: &mut dyn Content, facts: &mut dyn FnMut(Fact)) {
    let bytes = whole(WHAT, content, FILE_LIMIT, facts);
    let Ok(text) = str::from_utf8(&bytes) else {
        return facts(not_read(WHAT, "it is not UTF-8"));
    };
    if let Some((_, release)) = FILES.iter().find(|(file, _)| *file == path) {
        facts(Fact::Release(release(text)));
    }
}

/// The first line.
fn line(text: &str) -> String {
    bounded(text.lines().next().unwrap_or_default().trim())
}

/// The start of a value.
fn bounded(text: &str) -> String {
    text.chars().take(VALUE_LIMIT / 4).collect()
}

fn os(text: &str) -> Release {
    let mut os = Os::default();
    for (name, value) in assignments(text) {
        match name {
            "ID" => os.id = Some(value),
            "ID_LIKE" => {
                let words = value.split_whitespace().take(LIKE_LIMIT);
                os.like = words.map(str::to_owned).collect();
            }
            "VERSION_ID" => os.version_id = Some(value),
            "VERSION_CODENAME" => os.codename = Some(value),
            "PRETTY_NAME" => os.pretty_name = Some(value),
            _ => {}
        }
    }
    Release::Os(os)
}

fn lsb(text: &str) -> Release {
    let mut lsb = Lsb::default();
    for (name, value) in assignments(text) {
        match name {
            "DISTRIB_ID" => lsb.id = Some(value),
            "DISTRIB_RELEASE" => lsb.release = Some(value),
            "DISTRIB_CODENAME" => lsb.codename = Some(value),
            _ => {}
        }
    }
    Release::Lsb(lsb)
}

/// The assignments of a file in the syntax of a shell, as os-release(5) restricts it. An empty value is none. Of several
/// of one name, the last one counts, as in a shell.
fn assignments(text: &str) -> impl Iterator<Item = (&str, String)> {
    let lines = text.lines().map(str::trim);
    let pairs = lines.filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(name, value)| (name, unquoted(value)));
    pairs.filter(|(_, value)| !value.is_empty())
}

/// The value of a quoted or unquoted word. Between double quotes, a backslash stands before the character that is meant.
fn unquoted(word: &str) -> String {
    let (quote, rest) = match word.chars().next() {
        Some(quote @ ('"' | '\'')) => (Some(quote), word.get(1..).unwrap_or_default()),
        Some(_) | None => (None, word),
    };
    let mut value = String::new();
    let mut characters = rest.chars();
    while let Some(c) = characters.next() {
        match c {
            c if Some(c) == quote => break,
            '\\' if quote != Some('\'') => value.extend(characters.next()),
            c if quote.is_none() && c.is_whitespace() => break,
            c => value.push(c),
        }
    }
    bounded(value.trim())
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;
    use std::io::Cursor;

    fn release(path: &str, text: &str) -> Release {
        let mut facts = Vec::new();
        read(
            path.as_bytes().into(),
            &mut Cursor::new(text),
            &mut |fact| {
                facts.push(fact);
            },
        );
        match &*facts {
            [Fact::Release(release)] => release.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn os_release_is_read_as_a_shell_does() {
        let text = "\
# comment
PRETTY_NAME=\"Debian \\\"GNU\\\"/Linux 12 (bookworm)\"
VERSION_ID='12'
VERSION_ID=\"13\"
ID=debian # comment
ID_LIKE=\"a b\"
VERSION_CODENAME=
no assignment
";
        let expected = Os {
            id: Some("debian".to_owned()),
            like: vec!["a".to_owned(), "b".to_owned()],
            version_id: Some("13".to_owned()),
            codename: None,
            pretty_name: Some("Debian \"GNU\"/Linux 12 (bookworm)".to_owned()),
        };
        for path in ["etc/os-release", "usr/lib/os-release"] {
            assert_eq!(release(path, text), Release::Os(expected.clone()));
        }
    }

    #[test]
    fn other_files_name_the_release_as_well() {
        assert_eq!(
            release("etc/debian_version", "12.5\nx\n"),
            Release::Debian("12.5".to_owned())
        );
        assert_eq!(
            release("etc/alpine-release", "3.18.4"),
            Release::Alpine("3.18.4".to_owned())
        );
        let text = "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\nDISTRIB_CODENAME=jammy\n";
        assert_eq!(
            release("etc/lsb-release", text),
            Release::Lsb(Lsb {
                id: Some("Ubuntu".to_owned()),
                release: Some("22.04".to_owned()),
                codename: Some("jammy".to_owned()),
            })
        );
    }

    #[test]
    fn a_value_has_a_bounded_length() {
        let text = format!("ID={}\n", "é".repeat(VALUE_LIMIT));
        let Release::Os(os) = release("etc/os-release", &text) else {
            panic!("it is os-release");
        };
        assert_eq!(os.id.map(|id| id.len()), Some(VALUE_LIMIT / 2));
    }

    #[test]
    fn what_is_no_text_is_reported() {
        let mut facts = Vec::new();
        read(
            b"etc/os-release".as_slice().into(),
            &mut Cursor::new(b"\xff"),
            &mut |fact| {
                facts.push(fact);
            },
        );
        assert_eq!(facts, [not_read(WHAT, "it is not UTF-8")]);
    }
}
