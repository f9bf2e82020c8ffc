//! Versions of Maven artifacts.
//!
//! Here: the order of `ComparableVersion` in `maven-artifact`, as a reading of its behavior. Not here: ranges.
//! Invariant: the order is what Maven does, also where that is no order: a qualifier that means a release is equal to
//! nothing, whatever number follows it, and there are cycles. So [`Item`] has no `Ord`.
//!
//! A version becomes a list of items. A `-` and every change between letters and digits begin a list in the list, which
//! is its last item.

use super::Reason;
use super::number::Number;
use std::cmp::Ordering;

/// The names of known qualifiers in their order. The empty one is a release.
const QUALIFIERS: [&str; 7] = ["alpha", "beta", "milestone", "rc", "snapshot", "", "sp"];

/// The place of a release among [`QUALIFIERS`].
const RELEASE: Qualifier<'static> = Qualifier::Known(5);

/// A part of a version.
#[derive(Debug)]
pub(super) enum Item {
    Number(Digits),
    Text(String),
    /// A qualifier and the number that belongs to it: `rc1`, `rc-1`.
    Numbered(String, Digits),
    List(Vec<Item>),
}

/// A number; Maven keeps longer ones in a larger type, and those are always greater.
#[derive(Debug)]
pub(super) struct Digits(String);

/// What a qualifier counts. Unknown ones are after the known ones, in the order of their letters.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Qualifier<'a> {
    Known(usize),
    Unknown(&'a str),
}

pub(super) fn parse(text: &str) -> Result<Vec<Item>, Reason> {
    if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(format!("{c} is not allowed in it").into());
    }
    Ok(Reader::default().read(&text.to_ascii_lowercase()))
}

/// Compares two versions.
pub(super) fn compare(a: &Vec<Item>, b: &Vec<Item>) -> Ordering {
    compare_lists(a, b)
}

/// Reads a version from left to right.
#[derive(Default)]
struct Reader {
    /// The lists that are open; each is the last item of the one before it.
    open: Vec<Vec<Item>>,
    /// The list that is read.
    list: Vec<Item>,
}

impl Reader {
    fn read(mut self, text: &str) -> Vec<Item> {
        let bytes = text.as_bytes();
        let (mut start, mut in_digits, mut numbered) = (0, false, false);
        for (index, byte) in bytes.iter().enumerate() {
            let run = text.get(start..index).unwrap_or_default();
            match byte {
                b'.' => {
                    self.push(run, in_digits, numbered);
                    (start, numbered) = (index + 1, false);
                }
                b'-' => {
                    let next = bytes.get(index + 1);
                    if !run.is_empty() && !in_digits && next.is_some_and(u8::is_ascii_digit) {
                        // `rc-1` is `rc1`.
                        numbered = true;
                        continue;
                    }
                    self.push(run, in_digits, numbered);
                    self.begin_list();
                    (start, numbered) = (index + 1, false);
                }
                b'0'..=b'9' => {
                    if !in_digits && !run.is_empty() {
                        numbered = true;
                        self.begin_list();
                    }
                    in_digits = true;
                }
                _ => {
                    if in_digits && !run.is_empty() {
                        self.push(run, true, numbered);
                        self.begin_list();
                        (start, numbered) = (index, false);
                    }
                    in_digits = false;
                }
            }
        }
        let run = text.get(start..).unwrap_or_default();
        if !run.is_empty() {
            if !in_digits {
                self.begin_list();
            }
            self.push(run, in_digits, numbered);
        }
        self.finish()
    }

    /// Adds a run to the list; nothing between two separators is zero.
    fn push(&mut self, run: &str, in_digits: bool, numbered: bool) {
        let first_digit = run.find(|c: char| c.is_ascii_digit());
        self.list.push(match first_digit.map(|at| run.split_at(at)) {
            _ if run.is_empty() => Item::Number(Digits::new("0")),
            Some((name, digits)) if numbered => {
                let name = name.trim_end_matches('-');
                let name = match name {
                    "a" => "alpha",
                    "b" => "beta",
                    "m" => "milestone",
                    _ => name,
                };
                Item::Numbered(without_alias(name), Digits::new(digits))
            }
            _ if in_digits => Item::Number(Digits::new(run)),
            _ => Item::Text(without_alias(run)),
        });
    }

    /// Begins a list in the list, unless this is still empty.
    fn begin_list(&mut self) {
        if !self.list.is_empty() {
            self.open.push(std::mem::take(&mut self.list));
        }
    }

    /// Closes all lists, from the innermost one on.
    fn finish(mut self) -> Vec<Item> {
        normalize(&mut self.list);
        while let Some(mut outer) = self.open.pop() {
            outer.push(Item::List(self.list));
            normalize(&mut outer);
            self.list = outer;
        }
        self.list
    }
}

fn without_alias(name: &str) -> String {
    if name == "cr" { "rc" } else { name }.to_owned()
}

/// Removes what means nothing: zeros and empty lists at the end, and those before a qualifier.
fn normalize(list: &mut Vec<Item>) {
    for index in (0..list.len()).rev() {
        let removed = list.get(index).is_some_and(Item::is_nothing)
            && match list.get(index + 1) {
                None | Some(Item::Text(_)) => true,
                Some(Item::List(inner)) => {
                    matches!(inner.first(), Some(Item::Text(_) | Item::Numbered(..)))
                }
                Some(Item::Number(_) | Item::Numbered(..)) => false,
            };
        if removed {
            list.remove(index);
        }
    }
}

impl Item {
    fn is_nothing(&self) -> bool {
        match self {
            Self::Number(digits) => digits.is_zero(),
            Self::List(items) => items.is_empty(),
            Self::Text(_) | Self::Numbered(..) => false,
        }
    }

    /// Compares an item with a version that ends before it.
    fn compare_to_end(&self) -> Ordering {
        match self {
            Self::Number(digits) if digits.is_zero() => Ordering::Equal,
            Self::Number(_) => Ordering::Greater,
            Self::Text(name) | Self::Numbered(name, _) => qualifier(name).cmp(&RELEASE),
            Self::List(items) => items
                .iter()
                .map(Self::compare_to_end)
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal),
        }
    }

    /// How items of different kinds are ordered: the lesser one is earlier.
    fn rank(&self) -> u8 {
        match self {
            Self::Text(_) | Self::Numbered(..) => 0,
            Self::List(_) => 1,
            Self::Number(_) => 2,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.compare(b),
            (Self::List(a), Self::List(b)) => compare_lists(a, b),
            (Self::Text(a), Self::Text(b)) => qualifier(a).cmp(&qualifier(b)),
            (Self::Text(a), Self::Numbered(b, _)) => {
                qualifier(a).cmp(&qualifier(b)).then(Ordering::Less)
            }
            (Self::Numbered(a, _), Self::Text(b)) => {
                qualifier(a).cmp(&qualifier(b)).then(Ordering::Greater)
            }
            (Self::Numbered(a, m), Self::Numbered(b, n)) => {
                qualifier(a).cmp(&qualifier(b)).then_with(|| m.compare(n))
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

fn compare_lists(a: &[Item], b: &[Item]) -> Ordering {
    let both = a.iter().zip(b).map(|(a, b)| a.compare(b));
    let rest_of_a = a.iter().skip(b.len()).map(Item::compare_to_end);
    let rest_of_b = b.iter().skip(a.len()).map(|item| item.compare_to_end().reverse());
    both.chain(rest_of_a)
        .chain(rest_of_b)
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

impl Digits {
    fn new(run: &str) -> Self {
        let digits = run.trim_start_matches('0');
        Self(if digits.is_empty() { run } else { digits }.to_owned())
    }

    fn is_zero(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'0')
    }

    /// The type that Maven keeps the number in. Zeros keep their length there.
    fn size(&self) -> u8 {
        match self.0.len() {
            0..=9 => 0,
            10..=18 => 1,
            _ => 2,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.size()
            .cmp(&other.size())
            .then_with(|| Number::new(&self.0).cmp(&Number::new(&other.0)))
    }
}

fn qualifier(name: &str) -> Qualifier<'_> {
    match name {
        "ga" | "final" | "release" => RELEASE,
        _ => QUALIFIERS
            .iter()
            .position(|known| *known == name)
            .map_or(Qualifier::Unknown(name), Qualifier::Known),
    }
}
