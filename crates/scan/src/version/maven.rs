//! Versions of Maven artifacts.
//!
//! Here: the order of `ComparableVersion` in `maven-artifact` 3. Not here: ranges, and Maven 4, which orders some
//! qualifiers after a dot in another way.
//! Invariant: the order is what Maven does, also where that is no order, because it has cycles. So [`Item`] has no
//! `Ord`.
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

/// A version as the list of its items.
#[derive(Debug)]
pub(super) struct Version(Vec<Item>);

/// A part of a version.
#[derive(Debug)]
enum Item {
    Number(Digits),
    Text(String),
    List(Vec<Item>),
}

/// A number; Maven keeps longer ones in a larger type, and those are always greater.
#[derive(Debug)]
struct Digits(String);

/// What a qualifier counts. Unknown ones are after the known ones, in the order of their letters.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Qualifier<'a> {
    Known(usize),
    Unknown(&'a str),
}

pub(super) fn parse(text: &str) -> Result<Version, Reason> {
    if !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err("it must consist of printable ASCII characters without spaces".into());
    }
    let items = Reader::default().read(&text.to_ascii_lowercase());
    Ok(Version(items))
}

/// Compares two versions.
pub(super) fn compare(a: &Version, b: &Version) -> Ordering {
    compare_lists(&a.0, &b.0)
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
        let (mut start, mut in_digits) = (0, false);
        for (index, byte) in text.bytes().enumerate() {
            let run = text.get(start..index).unwrap_or_default();
            match byte {
                b'.' => {
                    self.push(run, in_digits);
                    start = index + 1;
                }
                b'-' => {
                    self.push(run, in_digits);
                    self.begin_list();
                    start = index + 1;
                }
                b'0'..=b'9' => {
                    if !in_digits && !run.is_empty() {
                        self.begin_list();
                        self.list.push(Item::Text(without_short_form(run)));
                        self.begin_list();
                        start = index;
                    }
                    in_digits = true;
                }
                _ => {
                    if in_digits && !run.is_empty() {
                        self.push(run, true);
                        self.begin_list();
                        start = index;
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
            self.push(run, in_digits);
        }
        self.finish()
    }

    /// Adds a run to the list; nothing between two separators is zero.
    fn push(&mut self, run: &str, in_digits: bool) {
        self.list.push(if run.is_empty() {
            Item::Number(Digits::new("0"))
        } else if in_digits {
            Item::Number(Digits::new(run))
        } else {
            Item::Text(run.to_owned())
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

/// The name of a qualifier before a digit, where one letter stands for three of them.
fn without_short_form(run: &str) -> String {
    match run {
        "a" => "alpha",
        "b" => "beta",
        "m" => "milestone",
        _ => run,
    }
    .to_owned()
}

/// Removes what means nothing (zeros, releases, empty lists) from the end, also before lists.
fn normalize(list: &mut Vec<Item>) {
    for index in (0..list.len()).rev() {
        match list.get(index) {
            Some(item) if item.is_nothing() => {
                list.remove(index);
            }
            Some(Item::List(_)) => {}
            Some(Item::Number(_) | Item::Text(_)) | None => break,
        }
    }
}

impl Item {
    fn is_nothing(&self) -> bool {
        match self {
            Self::Number(digits) => digits.is_zero(),
            Self::Text(name) => qualifier(name) == RELEASE,
            Self::List(items) => items.is_empty(),
        }
    }

    /// Compares an item with a version that ends before it.
    fn compare_to_end(&self) -> Ordering {
        match self {
            Self::Number(digits) if digits.is_zero() => Ordering::Equal,
            Self::Number(_) => Ordering::Greater,
            Self::Text(name) => qualifier(name).cmp(&RELEASE),
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
            Self::Text(_) => 0,
            Self::List(_) => 1,
            Self::Number(_) => 2,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.compare(b),
            (Self::List(a), Self::List(b)) => compare_lists(a, b),
            (Self::Text(a), Self::Text(b)) => qualifier(a).cmp(&qualifier(b)),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

fn compare_lists(a: &[Item], b: &[Item]) -> Ordering {
    let both = a.iter().zip(b).map(|(a, b)| a.compare(b));
    let rest_of_a = a.iter().skip(b.len()).map(Item::compare_to_end);
    let rest_of_b = b
        .iter()
        .skip(a.len())
        .map(|item| item.compare_to_end().reverse());
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
        "cr" => qualifier("rc"),
        _ => QUALIFIERS
            .iter()
            .position(|known| *known == name)
            .map_or(Qualifier::Unknown(name), Qualifier::Known),
    }
}
