//! Versions of Alpine packages: `digits{.digits}[letter]{_suffix[number]}[~commit][-rNUMBER]`.
//!
//! Here: their syntax and the order of apk-tools 3. Not here: which release of Alpine they belong to.
//! Invariant: a version is a list of tokens that ends with [`Token::End`], and the order of versions is the one of
//! these lists.
//!
//! Two things come from apk-tools 2, because security databases of old releases have them: digits after a letter
//! (`6.6.2p1`), and a revision without a number (`1-r`).

use super::Reason;
use super::number::{Number, split, split_digits};

/// A token. At the first difference of two versions the lesser token belongs to the earlier version.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Token<'a> {
    /// A suffix of a version before the one without it.
    Before(Before),
    End,
    Revision(Number<'a>),
    Commit(&'a str),
    SuffixNumber(Number<'a>),
    /// A suffix of a version after the one without it.
    After(After),
    Letter(char),
    Digits(Digits<'a>),
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Before {
    Alpha,
    Beta,
    Pre,
    Rc,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum After {
    Cvs,
    Svn,
    Git,
    Hg,
    P,
}

/// Digits between dots. Those with a leading zero are compared as a fraction: 0015 is before 002.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Digits<'a> {
    Fraction(&'a str),
    Number(Number<'a>),
}

/// How far a version is read: what was last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Last {
    Digits,
    Letter,
    Suffix,
    Commit,
    Revision,
}

pub(super) fn parse(text: &str) -> Result<Vec<Token<'_>>, Reason> {
    let (first, mut rest) = split_digits(text);
    if first.is_empty() {
        return Err("it must start with a digit".into());
    }
    let mut tokens = vec![Token::Digits(Digits::Number(Number::new(first)))];
    let mut last = Last::Digits;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '.' if last == Last::Digits => {
                let (run, after) = split_digits(after);
                tokens.push(Token::Digits(match run.chars().next() {
                    None => return Err("a . must be followed by a digit".into()),
                    Some('0') => Digits::Fraction(run),
                    Some(_) => Digits::Number(Number::new(run)),
                }));
                rest = after;
            }
            'a'..='z' if last == Last::Digits => {
                tokens.push(Token::Letter(c));
                (last, rest) = (Last::Letter, after);
            }
            '0'..='9' if last == Last::Letter => {
                let (run, after) = split_digits(rest);
                tokens.push(Token::Digits(Digits::Number(Number::new(run))));
                (last, rest) = (Last::Digits, after);
            }
            '_' if last <= Last::Suffix => {
                let (name, after) = split(after, |c| c.is_ascii_lowercase());
                tokens.push(suffix(name)?);
                let (run, after) = split_digits(after);
                if !run.is_empty() {
                    tokens.push(Token::SuffixNumber(Number::new(run)));
                }
                (last, rest) = (Last::Suffix, after);
            }
            '~' if last < Last::Commit => {
                let (commit, after) = split(after, |c| c.is_ascii_hexdigit());
                if commit.is_empty() {
                    return Err("a ~ must be followed by the hash of a commit".into());
                }
                tokens.push(Token::Commit(commit));
                (last, rest) = (Last::Commit, after);
            }
            '-' if last < Last::Revision && after.starts_with('r') => {
                let (run, after) = split_digits(after.get(1..).unwrap_or_default());
                tokens.push(Token::Revision(Number::new(run)));
                (last, rest) = (Last::Revision, after);
            }
            _ => {
                return Err(
                    format!("{c} is not allowed at byte {}", text.len() - rest.len()).into(),
                );
            }
        }
    }
    tokens.push(Token::End);
    Ok(tokens)
}

fn suffix(name: &str) -> Result<Token<'_>, Reason> {
    Ok(match name {
        "alpha" => Token::Before(Before::Alpha),
        "beta" => Token::Before(Before::Beta),
        "pre" => Token::Before(Before::Pre),
        "rc" => Token::Before(Before::Rc),
        "cvs" => Token::After(After::Cvs),
        "svn" => Token::After(After::Svn),
        "git" => Token::After(After::Git),
        "hg" => Token::After(After::Hg),
        "p" => Token::After(After::P),
        _ => return Err("after _ must be alpha, beta, pre, rc, cvs, svn, git, hg or p".into()),
    })
}
