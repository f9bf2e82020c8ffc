//! The orders of versions.
//!
//! Here: which of two versions of one ecosystem is earlier, as the tools of that ecosystem order them. Not here: ranges
//! of versions, and which scheme a package has.
//! Invariant: a text that is no version of its scheme has no place in the order. It is reported as [`Incomparable`] and
//! is never less than, equal to or greater than another version.

mod apk;
mod dpkg;
mod go;
mod maven;
mod number;
mod pep440;
mod semantic;

use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::rc::Rc;

/// The longest version that is compared, in bytes.
pub const MAX_VERSION_BYTES: usize = 256;

/// The longest excerpt of a text in an error, in bytes.
const EXCERPT_BYTES: usize = 80;

/// The longest reason in an error, in bytes.
const REASON_BYTES: usize = 120;

/// How an ecosystem orders its versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Debian and Ubuntu: as dpkg, without the texts of which dpkg warns.
    Dpkg,
    /// Alpine: as apk-tools 3, with the digits after a letter that apk-tools 2 allowed (`6.6.2p1`).
    Apk,
    /// `PyPI`: as PEP 440.
    Pep440,
    /// npm: as its `semver` package orders what it reads loosely (`v1.2.3`, `1.2.3beta`).
    Npm,
    /// Maven: as `ComparableVersion` of `maven-artifact`. This is no total order: it has cycles, such as
    /// `1-alpha` < `1` < `1.sp.1` < `1-alpha`. Do not sort with it.
    Maven,
    /// Go: as `golang.org/x/mod/semver`, with or without the `v`, and as `go/version` for toolchains (`go1.22rc1`). A
    /// toolchain compares with the versions of advisories for `stdlib`: `go1.22rc1` is `1.22.0-rc.1`.
    Go,
    /// crates.io: as Semantic Versioning 2.0.0. Build metadata is ignored.
    Cargo,
}

impl Scheme {
    /// All schemes.
    pub const ALL: [Self; 7] = [
        Self::Dpkg,
        Self::Apk,
        Self::Pep440,
        Self::Npm,
        Self::Maven,
        Self::Go,
        Self::Cargo,
    ];

    /// Compares two versions: `Less` if `a` is earlier than `b`.
    ///
    /// The order is reflexive and antisymmetric, and except for [`Scheme::Maven`] transitive, for all versions that can
    /// be compared.
    ///
    /// # Errors
    ///
    /// One of the two texts is no version of this scheme or is longer than [`MAX_VERSION_BYTES`]. The first one is
    /// reported if neither is one.
    pub fn compare(self, a: &str, b: &str) -> Result<Ordering, Incomparable> {
        order(self, (a, &self.parse(a)), (b, &self.parse(b)))
    }

    /// Whether two texts can be equal, without parsing them. Equal ones have the same digits except for zeros, which can be
    /// added in front of a number and as numbers at the end. What the order ignores does not count.
    fn can_be_equal(self, a: &str, b: &str) -> bool {
        digits(self.ordered(a)).eq(digits(self.ordered(b)))
    }

    /// The part of a text that its place in the order depends on.
    fn ordered(self, text: &str) -> &str {
        let is_ignored: fn(char) -> bool = match self {
            Self::Dpkg | Self::Apk | Self::Pep440 | Self::Maven => return text,
            // What a vendor adds to a toolchain.
            Self::Go if text.starts_with("go") => |c| matches!(c, '-' | ' '),
            // Build metadata.
            Self::Go | Self::Npm | Self::Cargo => |c| c == '+',
        };
        text.split(is_ignored).next().unwrap_or(text)
    }

    fn parse(self, text: &str) -> Result<Parsed<'_>, Reason> {
        #[cfg(test)]
        PARSED.with(|parsed| parsed.set(parsed.get() + 1));
        if text.is_empty() {
            return Err("it is empty".into());
        }
        if text.len() > MAX_VERSION_BYTES {
            return Err(format!("it is longer than {MAX_VERSION_BYTES} bytes").into());
        }
        Ok(match self {
            Self::Dpkg => Parsed::Dpkg(dpkg::parse(text)?),
            Self::Apk => Parsed::Apk(apk::parse(text)?),
            Self::Pep440 => Parsed::Pep440(pep440::parse(text)?),
            Self::Npm => Parsed::Semantic(semantic::npm(text)?),
            Self::Maven => Parsed::Maven(maven::parse(text)?),
            Self::Go => Parsed::Semantic(go::parse(text)?),
            Self::Cargo => Parsed::Semantic(semantic::cargo(text)?),
        })
    }

    /// The scheme with its article, for messages.
    fn article_and_name(self) -> &'static str {
        match self {
            Self::Dpkg => "a Debian",
            Self::Apk => "an Alpine",
            Self::Pep440 => "a Python",
            Self::Npm => "an npm",
            Self::Maven => "a Maven",
            Self::Go => "a Go",
            Self::Cargo => "a Cargo",
        }
    }
}

#[cfg(test)]
thread_local! {
    /// The texts that were parsed.
    pub(crate) static PARSED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A version of a scheme.
enum Parsed<'a> {
    Dpkg(dpkg::Version<'a>),
    Apk(Vec<apk::Token<'a>>),
    Pep440(pep440_rs::Version),
    Semantic(semver::Version),
    Maven(maven::Version),
}

/// The order of two texts of a scheme.
fn order(
    scheme: Scheme,
    (a, parsed_a): (&str, &Result<Parsed<'_>, Reason>),
    (b, parsed_b): (&str, &Result<Parsed<'_>, Reason>),
) -> Result<Ordering, Incomparable> {
    let error = |operand, text, reason: &str| Incomparable {
        scheme,
        operand,
        excerpt: excerpt(text),
        reason: printable(reason, REASON_BYTES, |_| true),
    };
    let parsed_a = parsed_a
        .as_ref()
        .map_err(|reason| error(Operand::First, a, reason))?;
    let parsed_b = parsed_b
        .as_ref()
        .map_err(|reason| error(Operand::Second, b, reason))?;
    Ok(match (parsed_a, parsed_b) {
        (Parsed::Dpkg(a), Parsed::Dpkg(b)) => a.cmp(b),
        (Parsed::Apk(a), Parsed::Apk(b)) => a.cmp(b),
        (Parsed::Pep440(a), Parsed::Pep440(b)) => a.cmp(b),
        (Parsed::Semantic(a), Parsed::Semantic(b)) => a.cmp_precedence(b),
        (Parsed::Maven(a), Parsed::Maven(b)) => maven::compare(a, b),
        (
            Parsed::Dpkg(_)
            | Parsed::Apk(_)
            | Parsed::Pep440(_)
            | Parsed::Semantic(_)
            | Parsed::Maven(_),
            _,
        ) => unreachable!("both are of one scheme"),
    })
}

/// Versions of one scheme that are compared with each other, each parsed once.
pub(crate) struct Versions<'a> {
    scheme: Scheme,
    parsed: RefCell<HashMap<&'a str, Rc<Result<Parsed<'a>, Reason>>>>,
}

impl<'a> Versions<'a> {
    pub(crate) fn of(scheme: Scheme) -> Self {
        let parsed = RefCell::default();
        Self { scheme, parsed }
    }

    /// Compares two versions, as [`Scheme::compare`].
    ///
    /// # Errors
    ///
    /// One of the two is no version.
    pub(crate) fn compare(&self, a: &'a str, b: &'a str) -> Result<Ordering, Incomparable> {
        let (parsed_a, parsed_b) = (self.parsed(a), self.parsed(b));
        order(self.scheme, (a, &parsed_a), (b, &parsed_b))
    }

    /// Compares two versions, and keeps nothing of the second one.
    ///
    /// # Errors
    ///
    /// One of the two is no version.
    pub(crate) fn compare_once(&self, a: &'a str, b: &str) -> Result<Ordering, Incomparable> {
        order(
            self.scheme,
            (a, &self.parsed(a)),
            (b, &self.scheme.parse(b)),
        )
    }

    /// Whether two versions can be equal. If not, they are not, or one of them is no version.
    pub(crate) fn can_be_equal(&self, a: &str, b: &str) -> bool {
        self.scheme.can_be_equal(a, b)
    }

    fn parsed(&self, text: &'a str) -> Rc<Result<Parsed<'a>, Reason>> {
        let mut all = self.parsed.borrow_mut();
        let parsed = all
            .entry(text)
            .or_insert_with(|| Rc::new(self.scheme.parse(text)));
        Rc::clone(parsed)
    }
}

/// The digits of a text except for zeros.
fn digits(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().filter(|byte| matches!(byte, b'1'..=b'9'))
}

/// Why a text is no version; it can hold characters of the text.
type Reason = Cow<'static, str>;

/// One of the two versions of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// The left one, `a`.
    First,
    /// The right one, `b`.
    Second,
}

/// Two versions that have no order, because one of them is no version of the scheme.
///
/// Its message is printable ASCII and has at most 300 bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot compare \"{excerpt}\" as {} version: {reason}", .scheme.article_and_name())]
pub struct Incomparable {
    scheme: Scheme,
    operand: Operand,
    excerpt: String,
    reason: String,
}

impl Incomparable {
    /// The scheme of the comparison.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Which of the two texts is no version.
    #[must_use]
    pub fn operand(&self) -> Operand {
        self.operand
    }

    /// The start of that text, as printable ASCII; `...` at the end stands for the rest.
    #[must_use]
    pub fn excerpt(&self) -> &str {
        &self.excerpt
    }

    /// Why it is no version, as printable ASCII.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// The start of a text between quotation marks, as printable ASCII.
fn excerpt(text: &str) -> String {
    printable(text, EXCERPT_BYTES, |c| c != '"' && c != '\\')
}

/// The start of a text as printable ASCII of at most `limit` bytes. Other characters than those that are shown are
/// escaped; `...` at the end stands for the rest.
fn printable(text: &str, limit: usize, is_shown: impl Fn(char) -> bool) -> String {
    let mut shown = String::new();
    let mut cut = 0;
    for c in text.chars() {
        if shown.len() + "...".len() <= limit {
            cut = shown.len();
        }
        if (c == ' ' || c.is_ascii_graphic()) && is_shown(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
        if shown.len() > limit {
            shown.truncate(cut);
            shown.push_str("...");
            break;
        }
    }
    shown
}
