//! Patterns as RE2 reads them, written for the regex crate.
//!
//! Here: the syntax, with the words of Go's `regexp/syntax` (go1.26) for what is wrong. Not here:
//! characters, escapes and classes (`class`), matching (`regexes`).
//! Invariant: what is written means the same there; it names no flag but around what it is for.

mod class;
mod names;

/// How deep parts may lie within each other.
const DEEPEST: usize = 1000;
/// How often something may be repeated, repetitions within it counted.
const MOST: u32 = 1000;

/// What is wrong with a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault(pub(super) String);

impl Fault {
    fn new(kind: &str, text: &str) -> Self {
        Self(format!("{kind}: `{text}`"))
    }
}

/// Writes a pattern for the regex crate.
///
/// # Errors
/// As Go words them, without `error parsing regexp`.
pub(super) fn translated(pattern: &str) -> Result<String, Fault> {
    let mut parser = Parser {
        whole: pattern,
        flags: Flags::default(),
        groups: vec![Group::default()],
    };
    parser.pattern()?;
    let mut groups = parser.groups;
    match (groups.pop(), groups.is_empty()) {
        (Some(group), true) => Ok(group.closed().text),
        _ => Err(Fault::new("missing closing )", pattern)),
    }
}

/// What letters in `(?…)` change.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the four flags of RE2")]
pub(super) struct Flags {
    /// `i`
    any_case: bool,
    /// `m`
    lines: bool,
    /// `s`
    dot_is_all: bool,
    /// `U`
    lazy: bool,
}

/// A part that can be repeated.
#[derive(Debug, Default)]
struct Item {
    text: String,
    /// How often its most repeated part is.
    repeated: u32,
    depth: usize,
}

impl Item {
    fn single(text: String) -> Self {
        Self {
            text,
            repeated: 1,
            depth: 1,
        }
    }

    /// Parts, one after the other or one of them.
    fn joined(parts: &[Self], between: &str) -> Self {
        let alone = usize::from(parts.len() > 1);
        let texts: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        let most = parts.iter().map(|part| part.repeated).max();
        let deepest = parts.iter().map(|part| part.depth).max().unwrap_or(1);
        Self {
            text: texts.join(between),
            repeated: most.unwrap_or(1),
            depth: deepest.saturating_add(alone),
        }
    }
}

/// What stands between brackets, or all.
#[derive(Debug, Default)]
struct Group {
    /// The flags outside of it.
    outside: Flags,
    captures: bool,
    /// What stands before each `|`.
    alternatives: Vec<Item>,
    items: Vec<Item>,
}

impl Group {
    fn alternative(&mut self) {
        let items = std::mem::take(&mut self.items);
        self.alternatives.push(Item::joined(&items, ""));
    }

    fn closed(mut self) -> Item {
        self.alternative();
        Item::joined(&self.alternatives, "|")
    }
}

struct Parser<'a> {
    whole: &'a str,
    flags: Flags,
    groups: Vec<Group>,
}

impl<'a> Parser<'a> {
    fn push(&mut self, item: Item) -> Result<(), Fault> {
        if item.depth > DEEPEST {
            return Err(Fault::new("expression nests too deeply", self.whole));
        }
        if let Some(group) = self.groups.last_mut() {
            group.items.push(item);
        }
        Ok(())
    }

    fn literal(&mut self, c: u32) -> Result<(), Fault> {
        let text = class::literal(c, self.flags.any_case);
        self.push(Item::single(text))
    }

    fn pattern(&mut self) -> Result<(), Fault> {
        let mut rest = self.whole;
        // Where the repetition before this place began; one can't follow another.
        let mut repeated: Option<&'a str> = None;
        while let Some(c) = rest.chars().next() {
            let here = rest;
            let after = rest.get(c.len_utf8()..).unwrap_or("");
            let mut is_repetition = false;
            rest = match c {
                '(' if after.starts_with('?') => self.open_with_flags(rest)?,
                '(' => {
                    self.open(true);
                    after
                }
                '|' => {
                    if let Some(group) = self.groups.last_mut() {
                        group.alternative();
                    }
                    after
                }
                ')' => {
                    self.close()?;
                    after
                }
                '^' => {
                    let text = if self.flags.lines { "(?m:^)" } else { "^" };
                    self.push(Item::single(text.to_owned()))?;
                    after
                }
                '$' => {
                    let text = if self.flags.lines { "(?m:$)" } else { "$" };
                    self.push(Item::single(text.to_owned()))?;
                    after
                }
                '.' => {
                    let text = if self.flags.dot_is_all { "(?s:.)" } else { "." };
                    self.push(Item::single(text.to_owned()))?;
                    after
                }
                '[' => {
                    let (text, after) = class::bracketed(rest, self.flags.any_case)?;
                    self.push(Item::single(text))?;
                    after
                }
                '*' | '+' | '?' => {
                    is_repetition = true;
                    let range = match c {
                        '*' => (0, None),
                        '+' => (1, None),
                        _ => (0, Some(1)),
                    };
                    self.repeat(range, false, here, after, repeated)?
                }
                '{' => match counts(after) {
                    None => {
                        self.literal(c.into())?;
                        after
                    }
                    Some((least, most, after)) => {
                        is_repetition = true;
                        let wrong = || Fault::new("invalid repeat count", until(here, after));
                        let least = least.filter(|least| *least <= MOST).ok_or_else(wrong)?;
                        let most = match most {
                            Some(most) => {
                                let most = most.filter(|most| *most <= MOST && *most >= least);
                                Some(most.ok_or_else(wrong)?)
                            }
                            None => None,
                        };
                        self.repeat((least, most), true, here, after, repeated)?
                    }
                },
                '\\' => self.escape(rest)?,
                other => {
                    self.literal(other.into())?;
                    after
                }
            };
            repeated = is_repetition.then_some(here);
        }
        Ok(())
    }

    fn open(&mut self, captures: bool) {
        self.groups.push(Group {
            outside: self.flags,
            captures,
            ..Group::default()
        });
    }

    fn close(&mut self) -> Result<(), Fault> {
        let unexpected = Fault::new("unexpected )", self.whole);
        if self.groups.len() < 2 {
            return Err(unexpected);
        }
        let group = self.groups.pop().ok_or(unexpected)?;
        self.flags = group.outside;
        let captures = usize::from(group.captures);
        let mut item = group.closed();
        item.text = format!("(?:{})", item.text);
        item.depth = item.depth.saturating_add(captures);
        self.push(item)
    }

    /// `(?i)`, `(?i-s:` or `(?P<name>`.
    fn open_with_flags(&mut self, text: &'a str) -> Result<&'a str, Fault> {
        let inside = text.get(2..).unwrap_or("");
        let named = inside
            .strip_prefix("P<")
            .filter(|name| !name.is_empty())
            .or_else(|| inside.strip_prefix('<').filter(|name| !name.is_empty()));
        if let Some(named) = named {
            let Some((name, after)) = named.split_once('>') else {
                return Err(Fault::new("invalid named capture", text));
            };
            let is_letter = |c: char| c == '_' || c.is_ascii_alphanumeric();
            if name.is_empty() || !name.chars().all(is_letter) {
                return Err(Fault::new("invalid named capture", until(text, after)));
            }
            self.open(true);
            return Ok(after);
        }
        let mut flags = self.flags;
        let (mut set, mut seen) = (true, false);
        let mut letters = inside.chars();
        while let Some(c) = letters.next() {
            match c {
                'i' => flags.any_case = set,
                'm' => flags.lines = set,
                's' => flags.dot_is_all = set,
                'U' => flags.lazy = set,
                '-' if set => {
                    (set, seen) = (false, false);
                    continue;
                }
                ':' | ')' if set || seen => {
                    if c == ':' {
                        self.open(false);
                    }
                    self.flags = flags;
                    return Ok(letters.as_str());
                }
                _ => break,
            }
            seen = true;
        }
        let read = until(text, letters.as_str());
        Err(Fault::new("invalid or unsupported Perl syntax", read))
    }

    /// Repeats what stands before; gives what follows.
    fn repeat(
        &mut self,
        (least, most): (u32, Option<u32>),
        counted: bool,
        here: &'a str,
        mut after: &'a str,
        repeated: Option<&'a str>,
    ) -> Result<&'a str, Fault> {
        let mut lazy = self.flags.lazy;
        if let Some(rest) = after.strip_prefix('?') {
            after = rest;
            lazy = !lazy;
        }
        if let Some(before) = repeated {
            let words = "invalid nested repetition operator";
            return Err(Fault::new(words, until(before, after)));
        }
        let Some(item) = self.groups.last_mut().and_then(|group| group.items.pop()) else {
            let words = "missing argument to repetition operator";
            return Err(Fault::new(words, until(here, after)));
        };
        let times = if counted { most.unwrap_or(least) } else { 1 };
        let repeated = if times == 0 && (most.is_some() || !counted) {
            0
        } else {
            item.repeated.saturating_mul(times.max(1))
        };
        if counted && times >= 2 && repeated > MOST {
            return Err(Fault::new("invalid repeat count", until(here, after)));
        }
        let count = match (least, most) {
            (0, None) => "*".to_owned(),
            (1, None) => "+".to_owned(),
            (0, Some(1)) => "?".to_owned(),
            (least, None) => format!("{{{least},}}"),
            (least, Some(most)) => format!("{{{least},{most}}}"),
        };
        let lazy = if lazy { "?" } else { "" };
        self.push(Item {
            text: format!("(?:{}){count}{lazy}", item.text),
            repeated,
            depth: item.depth.saturating_add(1),
        })?;
        Ok(after)
    }

    /// What a backslash begins outside of brackets.
    fn escape(&mut self, text: &'a str) -> Result<&'a str, Fault> {
        let mut letters = text.chars();
        letters.next();
        let letter = letters.next();
        let after = letters.as_str();
        let plain = match letter {
            Some('A') => r"\A",
            Some('z') => r"\z",
            Some('b') => r"(?-u:\b)",
            Some('B') => r"(?-u:\B)",
            Some('C') => return Err(Fault::new("invalid escape sequence", r"\C")),
            Some('Q') => {
                let (quoted, after) = after.split_once(r"\E").unwrap_or((after, ""));
                for c in quoted.chars() {
                    self.literal(c.into())?;
                }
                return Ok(after);
            }
            _ => {
                if let Some((set, after)) = class::set(text)? {
                    let set = class::alone(&set, self.flags.any_case);
                    self.push(Item::single(set))?;
                    return Ok(after);
                }
                let (c, after) = class::escaped(text)?;
                self.literal(c)?;
                return Ok(after);
            }
        };
        self.push(Item::single(plain.to_owned()))?;
        Ok(after)
    }
}

/// The part of `text` before `rest`, which is its end.
fn until<'a>(text: &'a str, rest: &str) -> &'a str {
    text.get(..text.len().saturating_sub(rest.len()))
        .unwrap_or(text)
}

/// A count; absent when it is too large.
type Count = Option<u32>;

/// `3}`, `3,}` or `3,5}`: the least, the most where there is one, and what follows.
fn counts(text: &str) -> Option<(Count, Option<Count>, &str)> {
    let (least, rest) = number(text)?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((least, Some(least), rest));
    }
    let rest = rest.strip_prefix(',')?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((least, None, rest));
    }
    let (most, rest) = number(rest)?;
    let rest = rest.strip_prefix('}')?;
    Some((least, Some(most), rest))
}

fn number(text: &str) -> Option<(Count, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().ok(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_the_words_of_go() {
        for (pattern, wanted) in [
            ("(", "missing closing ): `(`"),
            ("a)", "unexpected ): `a)`"),
            ("[a-", "missing closing ]: `[a-`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
            (r"\p{Foo}", r"invalid character class range: `\p{Foo}`"),
            (r"\pX", r"invalid character class range: `\pX`"),
            (r"\8", r"invalid escape sequence: `\8`"),
            (r"\C", r"invalid escape sequence: `\C`"),
            (r"[\b]", r"invalid escape sequence: `\b`"),
            (r"a\", "trailing backslash at end of expression: ``"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("a{2}+?", "invalid nested repetition operator: `{2}+?`"),
            ("*", "missing argument to repetition operator: `*`"),
            ("(|+?)", "missing argument to repetition operator: `+?`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("a{3,2}", "invalid repeat count: `{3,2}`"),
            ("(a{500}){3}", "invalid repeat count: `{3}`"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            ("(?i-)a", "invalid or unsupported Perl syntax: `(?i-)`"),
            ("(?P<a b>x)", "invalid named capture: `(?P<a b>`"),
            ("(?P<a", "invalid named capture: `(?P<a`"),
        ] {
            let found = translated(pattern).map_err(|fault| fault.0);
            assert_eq!(found, Err(wanted.to_owned()), "{pattern}");
        }
    }

    #[test]
    fn patterns_mean_the_same_for_the_regex_crate() {
        for (pattern, wanted) in [
            ("a{,2}", r"a\{,2\}"),
            ("a{02}", r"a\{02\}"),
            ("(?i)k", "(?i:k)"),
            ("(?i:a)b", "(?:(?i:a))b"),
            ("(?s).(?-s).", "(?s:.)."),
            ("(?U)a+b+?", "(?:a)+?(?:b)+"),
            ("(a|)b*", "(?:a|)(?:b)*"),
            (r"\d", "[0-9]"),
            (r"\Qa.b\E+", r"a\.(?:b)+"),
            (r"\x{263A}\x41\101\0", "☺AA\0"),
            ("[^]a-c]", r"[^\x{5d}\x{61}-\x{63}]"),
        ] {
            assert_eq!(translated(pattern), Ok(wanted.to_owned()), "{pattern}");
        }
    }
}
