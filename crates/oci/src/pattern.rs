//! Patterns of repositories, and the set of them that a policy has.
//!
//! Here: the grammar, the match, and the same match as a CEL expression. Not here: what a policy
//! does with a match (`policy`), and the policies that the expression is rendered into
//! (`policy`).
//! Invariant: [`Patterns::find`] and [`Patterns::to_cel`] have the same result for every repository,
//! because both are made from the [`Shape`] of each pattern.
//!
//! A pattern is `host[:port]/path`, of at most [`MAX_PATTERN_BYTES`]:
//!
//! - The host is mandatory and matched whole, with its port: `ghcr.io` does not match
//!   `ghcr.io:443`. It is literal, or `*.` and a suffix; that `*` is one label, so `*.example.com`
//!   matches `a.example.com`, but not `example.com`, `a.b.example.com` or `aexample.com`.
//! - In a path, `*` is any number of characters other than `/`, also none.
//! - `**` is one or more whole path components.
//!
//! Everything else is literal. Patterns match the normal form ([`Reference::repository`]), so a
//! pattern that no normal form can match is invalid: one without a host, one with another name of
//! Docker Hub, and `docker.io/nginx`, whose normal form is `docker.io/library/nginx`.

mod fault;
mod parse;

pub use fault::{InvalidPattern, PatternFault};

use crate::reference::Reference;
use regex::bytes::{RegexSet, RegexSetBuilder};

/// The most patterns of a set.
pub const MAX_PATTERNS: usize = 64;

/// The most bytes of a pattern.
pub const MAX_PATTERN_BYTES: usize = 256;

/// The most patterns of a set whose shape is [`Shape::Regex`]: their cost in the API server grows
/// with the length of each repository.
pub const MAX_REGEXES: usize = 16;

/// How a pattern is matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The repository is this text.
    Literal(String),
    /// The repository starts with this text, which ends in `/`: the pattern is this text and `**`.
    Prefix(String),
    /// The repository matches this regular expression, which is anchored and in the syntax of RE2.
    Regex(String),
}

/// A pattern of repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    shape: Shape,
}

/// The patterns of a policy, in the order in which they are written.
///
/// Without patterns, nothing matches.
#[derive(Clone, Debug)]
pub struct Patterns {
    list: Vec<Pattern>,
    /// The regular expressions of `list`; none if there are none, because the engine takes as long to search with an
    /// empty set as with a small one, and most lists are empty.
    regexes: Option<RegexSet>,
    /// The place in `list` of each one in `regexes`.
    places: Vec<usize>,
}

/// Why texts are not a set of patterns.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidPatterns {
    /// There are more than [`MAX_PATTERNS`].
    #[error(
        "{count} repository patterns are too many; use at most {MAX_PATTERNS}, with /** for what is below a path"
    )]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// More than [`MAX_REGEXES`] need a regular expression.
    #[error(
        "{count} repository patterns have wildcards other than /** at the end; use at most {MAX_REGEXES}"
    )]
    TooManyRegexes {
        /// How many need one.
        count: usize,
    },
    /// One is invalid.
    #[error("repository pattern {index} is invalid")]
    Pattern {
        /// Its place, from 0.
        index: usize,
        /// What is wrong with it.
        source: InvalidPattern,
    },
    /// The regular expressions together are too large for the engine, which the limits rule out.
    #[error("repository patterns with wildcards are too large together; use fewer wildcards")]
    TooLarge {
        /// What the engine says.
        source: regex::Error,
    },
}

impl Pattern {
    /// The host with its port, if it is literal.
    #[must_use]
    pub fn literal_host(&self) -> Option<&str> {
        let (host, _) = self.text.split_once('/')?;
        (!host.contains('*')).then_some(host)
    }

    /// The pattern that `text` is.
    ///
    /// # Errors
    /// The text is not a pattern, or no repository can match it.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        Ok(Self {
            shape: parse::shape(text)?,
            text: text.to_owned(),
        })
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How it is matched.
    #[must_use]
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }
}

impl Patterns {
    /// The patterns that `texts` are.
    ///
    /// # Errors
    /// A text is not a pattern, or there are more than the limits allow.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, InvalidPatterns> {
        if texts.len() > MAX_PATTERNS {
            let count = texts.len();
            return Err(InvalidPatterns::TooMany { count });
        }
        let mut list = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let pattern = Pattern::parse(text.as_ref())
                .map_err(|source| InvalidPatterns::Pattern { index, source })?;
            list.push(pattern);
        }
        let (places, texts): (Vec<_>, Vec<_>) = list
            .iter()
            .enumerate()
            .filter_map(|(place, pattern)| Some((place, pattern.shape.regex()?)))
            .unzip();
        if places.len() > MAX_REGEXES {
            let count = places.len();
            return Err(InvalidPatterns::TooManyRegexes { count });
        }
        // Repositories are ASCII, so bytes are characters, and the automata are small.
        let build = || RegexSetBuilder::new(texts).unicode(false).build();
        let regexes = (!places.is_empty())
            .then(build)
            .transpose()
            .map_err(|source| InvalidPatterns::TooLarge { source })?;
        Ok(Self {
            list,
            regexes,
            places,
        })
    }

    /// All of them, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Pattern] {
        &self.list
    }

    /// Whether any pattern matches the repository of `reference`.
    #[must_use]
    pub fn matches(&self, reference: &Reference) -> bool {
        let repository = reference.repository();
        self.list
            .iter()
            .any(|pattern| pattern.shape.matches_plainly(repository))
            || self
                .regexes
                .as_ref()
                .is_some_and(|regexes| regexes.is_match(repository.as_bytes()))
    }

    /// The first pattern that matches the repository of `reference`.
    #[must_use]
    pub fn find(&self, reference: &Reference) -> Option<&Pattern> {
        let repository = reference.repository();
        let plain = self
            .list
            .iter()
            .position(|pattern| pattern.shape.matches_plainly(repository));
        let regex = self.regexes.as_ref().and_then(|regexes| {
            let matched = regexes.matches(repository.as_bytes()).iter().next()?;
            self.places.get(matched).copied()
        });
        let first = plain.into_iter().chain(regex).min()?;
        self.list.get(first)
    }

    /// A CEL expression that is true where [`Self::matches`] is.
    ///
    /// `variable` is an identifier or a selection of fields, such as `variables.repository`. Its
    /// value must be a repository in normal form. The expression contains it at most
    /// [`MAX_PATTERNS`] times and uses only `in`, `startsWith`, `matches` and `||`. It has
    /// parentheses, so it can be an operand.
    #[must_use]
    pub fn to_cel(&self, variable: &str) -> String {
        let mut literals = Vec::new();
        let mut calls = Vec::new();
        let mut regexes = Vec::new();
        for pattern in &self.list {
            // No character of a pattern ends a string of CEL or is an escape in one, except for the
            // backslash of a regular expression.
            match &pattern.shape {
                Shape::Literal(text) => literals.push(format!("'{text}'")),
                Shape::Prefix(text) => calls.push(format!("{variable}.startsWith('{text}')")),
                Shape::Regex(text) => regexes.push(text.trim_matches(['^', '$'])),
            }
        }
        if !literals.is_empty() {
            let list = literals.join(", ");
            calls.insert(0, format!("{variable} in [{list}]"));
        }
        if !regexes.is_empty() {
            let any = regexes.join("|");
            calls.push(format!("{variable}.matches(r'^(?:{any})$')"));
        }
        match calls.as_slice() {
            [] => "false".to_owned(),
            calls => format!("({})", calls.join(" || ")),
        }
    }
}

impl Shape {
    /// The text of a regular expression.
    fn regex(&self) -> Option<&str> {
        match self {
            Self::Regex(text) => Some(text),
            Self::Literal(_) | Self::Prefix(_) => None,
        }
    }

    /// Whether a repository matches without a regular expression.
    fn matches_plainly(&self, repository: &str) -> bool {
        match self {
            Self::Literal(text) => repository == text,
            Self::Prefix(text) => repository.starts_with(text),
            Self::Regex(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
