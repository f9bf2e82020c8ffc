//! What is wrong with an expression, and where.
//!
//! Here: position, sentence, caret. Not here: the sentences (`parse`, `check`).
//! Invariant: lines and columns count from 1, columns in characters.

use std::fmt;

/// One fault of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What may have been meant.
    pub help: Option<String>,
    /// The line that it is in.
    snippet: String,
    place: Place,
}

/// What the API server says about the place of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Line and column.
    Known,
    /// Nothing: the expression as a whole is too long or too deep.
    Whole,
    /// Nothing: it was found while constants were computed.
    Constant,
    /// Nothing: it was found when the types were kept.
    Types,
}

impl Diagnostic {
    /// A fault at a byte offset of `source`.
    pub(crate) fn new(source: &str, at: usize, message: impl Into<String>) -> Self {
        let before = source.get(..at.min(source.len())).unwrap_or(source);
        let line = before.matches('\n').count();
        let start = before
            .rfind('\n')
            .map_or(0, |newline| newline.saturating_add(1));
        let column = before.get(start..).unwrap_or_default().chars().count();
        Self {
            line: line.saturating_add(1),
            column: column.saturating_add(1),
            message: message.into(),
            help: None,
            snippet: source.lines().nth(line).unwrap_or_default().to_owned(),
            place: Place::Known,
        }
    }

    /// The fault as the API server writes it.
    fn issue(&self) -> String {
        match self.place {
            Place::Constant => return format!("program instantiation failed: {}", self.message),
            Place::Types => return format!("unexpected compilation error: {}", self.message),
            Place::Whole => return format!("ERROR: <input>:-1:0: {}", self.message),
            Place::Known => {}
        }
        let (line, column) = (self.line, self.column);
        let snippet = self.snippet.replace('\t', " ");
        // Characters that may be wide have a wide dot or caret below them.
        let mut below = String::new();
        let mut letters = snippet.chars();
        for _ in 1..column {
            let wide = letters.next().is_some_and(|c| !c.is_ascii());
            below.push(if wide { '\u{ff0e}' } else { '.' });
        }
        let wide = letters.next().is_some_and(|c| !c.is_ascii());
        below.push(if wide { '\u{ff3e}' } else { '^' });
        let message = &self.message;
        format!("ERROR: <input>:{line}:{column}: {message}\n | {snippet}\n | {below}")
    }

    /// A fault of a constant, which the API server finds when it makes the program.
    pub(crate) fn of_constant(source: &str, at: usize, message: impl Into<String>) -> Self {
        Self {
            place: Place::Constant,
            ..Self::new(source, at, message)
        }
    }

    /// A fault of types that the API server finds when it keeps them.
    pub(crate) fn of_types(source: &str, at: usize, message: impl Into<String>) -> Self {
        Self {
            place: Place::Types,
            ..Self::new(source, at, message)
        }
    }

    /// A fault of the expression as a whole.
    pub(crate) fn of_whole(message: impl Into<String>) -> Self {
        Self {
            place: Place::Whole,
            ..Self::new("", 0, message)
        }
    }

    pub(crate) fn with_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place == Place::Whole {
            return f.write_str(&self.message);
        }
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        write!(f, "\n | {}\n | {:.>2$}", self.snippet, "^", self.column)
    }
}

/// Most faults that are told of one expression (cel-go v0.29.2, common/errors.go,
/// `maxErrorsToReport`).
const TOLD: usize = 100;

/// Faults as they are found.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    told: Vec<Diagnostic>,
    omitted: usize,
}

impl Faults {
    /// Keeps a fault, or counts it when there are enough.
    pub(crate) fn add(&mut self, fault: impl FnOnce() -> Diagnostic) {
        if self.is_full() {
            self.omitted = self.omitted.saturating_add(1);
        } else {
            self.told.push(fault());
        }
    }

    /// Adds those that were found apart.
    pub(crate) fn append(&mut self, others: Self) {
        for fault in others.told {
            self.add(|| fault);
        }
        self.omitted = self.omitted.saturating_add(others.omitted);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Whether further ones are only counted.
    pub(crate) fn is_full(&self) -> bool {
        self.told.len() >= TOLD
    }

    /// The faults in the order of the text, as an error.
    pub(crate) fn into_error(mut self) -> CompileError {
        self.told.sort_by_key(|fault| (fault.line, fault.column));
        CompileError {
            diagnostics: self.told,
            omitted: self.omitted,
        }
    }
}

/// Why an expression does not compile: the faults, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// The faults; at least one, at most 100.
    pub diagnostics: Vec<Diagnostic>,
    /// How many more there are.
    pub omitted: usize,
}

impl From<Diagnostic> for CompileError {
    fn from(fault: Diagnostic) -> Self {
        Self {
            diagnostics: vec![fault],
            omitted: 0,
        }
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl CompileError {
    /// The faults as the API server writes them: `ERROR: <input>:1:5: …`.
    #[must_use]
    pub fn issues(&self) -> String {
        let mut lines: Vec<_> = self.diagnostics.iter().map(Diagnostic::issue).collect();
        if self.omitted > 0 {
            lines.push(format!("{} more errors were truncated", self.omitted));
        }
        lines.join("\n")
    }

    /// The faults as the API server writes them where a variable is used that has them.
    pub(crate) fn of_named(&self) -> String {
        let issues = self.issues();
        if self
            .diagnostics
            .iter()
            .any(|fault| matches!(fault.place, Place::Constant | Place::Types))
        {
            return issues;
        }
        format!("compilation failed: {issues}")
    }
}

impl std::error::Error for CompileError {}

/// The name of `names` that `wrong` is a slip of, as a question: at most two edits away.
pub(crate) fn near<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    // No name is so long; comparing takes as long as both.
    if wrong.len() > 64 {
        return None;
    }
    let best = names.map(|name| (distance(wrong, name), name)).min()?;
    let allowed = if wrong.chars().count() < 4 { 1 } else { 2 };
    (best.0 <= allowed).then(|| format!("did you mean '{}'?", best.1))
}

/// Edits between two words: insert, delete, replace.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, a) in one.chars().enumerate() {
        let mut left = line.saturating_add(1);
        let mut next = vec![left];
        for ((b, diagonal), above) in other.iter().zip(&row).zip(row.iter().skip(1)) {
            let replaced = diagonal.saturating_add(usize::from(a != *b));
            left = replaced
                .min(above.saturating_add(1))
                .min(left.saturating_add(1));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}
