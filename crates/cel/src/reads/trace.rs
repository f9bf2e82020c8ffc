//! Follows a variable through expressions.
//!
//! Here: which parts of it a value may be or hold, and what reads them. Not here: the tree of parts
//! (`super`).
//! Invariant: a value that goes where it is not followed is read as a whole.

use super::Reads;
use crate::ast::{Comprehension, Expr, Kind, Literal, op};
use crate::print::Expression;
use std::collections::{BTreeMap, BTreeSet};

/// How deep parts are told from each other; what lies deeper is read as a whole.
const DEPTH_LIMIT: usize = 32;
/// How many lists and maps around parts are followed.
const HELD_LIMIT: usize = 4;
/// How often a loop is gone through until what it collects is the same as before.
const ROUNDS: usize = 4;

/// What expressions read of a variable, with the named expressions that they may use. Of two named
/// expressions with one name the later counts.
#[must_use]
pub fn reads<'a>(
    variable: &str,
    named: impl IntoIterator<Item = (&'a str, &'a Expression)>,
    expressions: impl IntoIterator<Item = &'a Expression>,
) -> Reads {
    let named = named
        .into_iter()
        .map(|(name, expression)| (name, (expression, State::Waiting)));
    let mut trace = Trace {
        variable,
        parts: vec![Part::default()],
        named: named.collect(),
        scope: Vec::new(),
    };
    let all: Vec<_> = trace.named.keys().copied().collect();
    for name in all {
        trace.named(name);
    }
    for expression in expressions {
        expression.tree().walk(|expr| {
            let held = trace.follow(expr);
            trace.consume(&held);
        });
    }
    trace.collect(0)
}

/// A part of the variable; the first one is all of it.
#[derive(Default)]
struct Part {
    whole: bool,
    fields: BTreeMap<String, usize>,
    elements: Option<usize>,
    values: Option<usize>,
    depth: usize,
}

/// Which parts a value may be, and which may be in it where an expression made it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Held {
    parts: BTreeSet<usize>,
    inner: Option<Box<Self>>,
}

impl Held {
    fn join(&mut self, other: &Self) {
        self.parts.extend(&other.parts);
        if let Some(inner) = &other.inner {
            self.inner.get_or_insert_default().join(inner);
        }
    }

    fn joined(mut self, other: &Self) -> Self {
        self.join(other);
        self
    }

    fn depth(&self) -> usize {
        self.inner
            .as_ref()
            .map_or(0, |inner| inner.depth().saturating_add(1))
    }
}

enum State {
    Waiting,
    Running,
    Done(Held),
}

struct Trace<'a> {
    variable: &'a str,
    parts: Vec<Part>,
    named: BTreeMap<&'a str, (&'a Expression, State)>,
    /// Variables of loops.
    scope: Vec<(String, Held)>,
}

impl<'a> Trace<'a> {
    fn collect(&self, part: usize) -> Reads {
        let Some(part) = self.parts.get(part) else {
            return Reads::everything();
        };
        let fields = part.fields.iter();
        let boxed = |part: Option<usize>| part.map(|part| Box::new(self.collect(part)));
        let mut reads = Reads {
            whole: part.whole,
            fields: fields
                .map(|(name, part)| (name.clone(), self.collect(*part)))
                .collect(),
            elements: boxed(part.elements.filter(|_| !part.whole)),
            values: boxed(part.values.filter(|_| !part.whole)),
        };
        reads.spread();
        reads
    }

    /// What another part makes of a part: a field, the elements, the values. Nothing where it lies too
    /// deep.
    fn child(
        &mut self,
        of: usize,
        place: impl Fn(&mut Part) -> &mut Option<usize>,
    ) -> Option<usize> {
        let next = self.parts.len();
        let part = self.parts.get_mut(of)?;
        if part.depth >= DEPTH_LIMIT {
            part.whole = true;
            return None;
        }
        let depth = part.depth.saturating_add(1);
        let place = place(part);
        if let Some(known) = place {
            return Some(*known);
        }
        *place = Some(next);
        self.parts.push(Part {
            depth,
            ..Part::default()
        });
        Some(next)
    }

    fn child_field(&mut self, of: usize, name: &str) -> Option<usize> {
        if let Some(known) = self.parts.get(of)?.fields.get(name) {
            return Some(*known);
        }
        let mut made = None;
        let depth = self.parts.get(of)?.depth;
        if depth >= DEPTH_LIMIT {
            self.parts.get_mut(of)?.whole = true;
            return made;
        }
        made.replace(self.parts.len());
        self.parts.push(Part {
            depth: depth.saturating_add(1),
            ..Part::default()
        });
        let fields = &mut self.parts.get_mut(of)?.fields;
        fields.insert(name.to_owned(), made?);
        made
    }

    /// All of it is read.
    fn consume(&mut self, held: &Held) {
        for part in &held.parts {
            if let Some(part) = self.parts.get_mut(*part) {
                part.whole = true;
            }
        }
        if let Some(inner) = &held.inner {
            self.consume(inner);
        }
    }

    /// How long it is, and which keys it has; of a text or a number all.
    fn measure(&mut self, held: &Held) {
        for part in &held.parts {
            self.child(*part, |part| &mut part.elements);
            self.child(*part, |part| &mut part.values);
        }
    }

    fn select(&mut self, of: &Held, name: &str) -> Held {
        let mut found = Held::default();
        for part in &of.parts {
            found.parts.extend(self.child_field(*part, name));
        }
        if let Some(inner) = &of.inner {
            found.join(inner);
        }
        found
    }

    /// Any of its elements or values.
    fn each(&mut self, of: &Held) -> Held {
        let mut found = Held::default();
        for part in &of.parts {
            let elements = self.child(*part, |part| &mut part.elements);
            let values = self.child(*part, |part| &mut part.values);
            found.parts.extend(elements.into_iter().chain(values));
        }
        if let Some(inner) = &of.inner {
            found.join(inner);
        }
        found
    }

    /// Any of its elements where it is a list; of a map it is read which keys there are.
    fn elements(&mut self, of: &Held) -> Held {
        let mut found = Held::default();
        for part in &of.parts {
            self.child(*part, |part| &mut part.values);
            found
                .parts
                .extend(self.child(*part, |part| &mut part.elements));
        }
        if let Some(inner) = &of.inner {
            found.join(inner);
        }
        found
    }

    /// A list or a map that holds it.
    fn wrapped(&mut self, held: Held) -> Held {
        if held == Held::default() {
            return held;
        }
        if held.depth() >= HELD_LIMIT {
            self.consume(&held);
            return Held::default();
        }
        Held {
            parts: BTreeSet::new(),
            inner: Some(Box::new(held)),
        }
    }

    fn is_named(&self, expr: &Expr) -> bool {
        matches!(&expr.kind, Kind::Ident(name) if name.trim_start_matches('.') == crate::env::VARIABLES
            && !self.scope.iter().any(|(local, _)| local == name))
    }

    fn named(&mut self, name: &str) -> Held {
        let Some((expression, state)) = self.named.get_mut(name) else {
            return Held::default();
        };
        match state {
            State::Done(held) => return held.clone(),
            State::Running => return Held::default(),
            State::Waiting => *state = State::Running,
        }
        let expression = *expression;
        let scope = std::mem::take(&mut self.scope);
        let held = expression.tree().walk(|expr| self.follow(expr));
        self.scope = scope;
        if let Some((_, state)) = self.named.get_mut(name) {
            *state = State::Done(held.clone());
        }
        held
    }

    fn ident(&mut self, name: &str) -> Held {
        let local = self.scope.iter().rev().find(|(local, _)| local == name);
        if let Some((_, held)) = local {
            return held.clone();
        }
        let name = name.trim_start_matches('.');
        if name == self.variable {
            return Held {
                parts: BTreeSet::from([0]),
                inner: None,
            };
        }
        if name == crate::env::VARIABLES {
            let names: Vec<&'a str> = self.named.keys().copied().collect();
            for name in names {
                let held = self.named(name);
                self.consume(&held);
            }
        }
        Held::default()
    }

    /// The parts that the value of an expression may be or hold.
    fn follow(&mut self, expr: &Expr) -> Held {
        match &expr.kind {
            Kind::Literal(_) => Held::default(),
            Kind::Ident(name) => self.ident(name),
            Kind::Select {
                operand,
                field,
                test,
            } => {
                let found = if self.is_named(operand) {
                    self.named(field)
                } else {
                    let of = self.follow(operand);
                    self.select(&of, field)
                };
                // That it is there is read by asking for its place.
                if *test { Held::default() } else { found }
            }
            Kind::Call {
                function,
                target,
                arguments,
            } => self.call(function, target.as_deref(), arguments),
            Kind::List(elements) => {
                let mut inner = Held::default();
                for (element, _) in elements {
                    inner.join(&self.follow(element));
                }
                self.wrapped(inner)
            }
            Kind::Map(entries) => {
                let mut inner = Held::default();
                for (key, value, _) in entries {
                    self.read(key);
                    inner.join(&self.follow(value));
                }
                self.wrapped(inner)
            }
            Kind::Message { fields, .. } => {
                for field in fields {
                    self.read(&field.value);
                }
                Held::default()
            }
            Kind::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    /// All of an expression's value is read.
    fn read(&mut self, expr: &Expr) {
        let held = self.follow(expr);
        self.consume(&held);
    }

    fn call(&mut self, function: &str, target: Option<&Expr>, arguments: &[Expr]) -> Held {
        match (function, target, arguments) {
            (op::INDEX | op::OPT_INDEX | op::OPT_SELECT, None, [of, key]) => {
                let of = self.follow(of);
                if let Kind::Literal(Literal::String(name)) = &key.kind {
                    return self.select(&of, name);
                }
                self.read(key);
                self.each(&of)
            }
            (op::CONDITIONAL, None, [condition, then, otherwise]) => {
                self.read(condition);
                let then = self.follow(then);
                then.joined(&self.follow(otherwise))
            }
            (op::ADD, None, [one, two]) => {
                let one = self.follow(one);
                let both = one.joined(&self.follow(two));
                self.measure(&both);
                both
            }
            (op::IN, None, [element, of]) => {
                let of = self.follow(of);
                self.read(element);
                if let Kind::Literal(Literal::String(name)) = &element.kind {
                    for part in &of.parts {
                        self.child_field(*part, name);
                    }
                } else {
                    for part in &of.parts {
                        self.child(*part, |part| &mut part.values);
                    }
                }
                for part in &of.parts {
                    let elements = self.child(*part, |part| &mut part.elements);
                    let parts = elements.into_iter().collect();
                    self.consume(&Held { parts, inner: None });
                }
                if let Some(inner) = &of.inner {
                    self.consume(inner);
                }
                Held::default()
            }
            ("size", Some(of), []) | ("size", None, [of]) => {
                let of = self.follow(of);
                self.measure(&of);
                Held::default()
            }
            ("hasValue", Some(of), []) => {
                // Whether a part is there is read by asking for its place.
                self.follow(of);
                Held::default()
            }
            ("value", Some(of), []) | ("optional.of", None, [of]) => self.follow(of),
            ("of", Some(target), [of]) if matches!(&target.kind, Kind::Ident(name) if name == "optional") => {
                self.follow(of)
            }
            ("orValue" | "or", Some(of), [otherwise]) => {
                let of = self.follow(of);
                of.joined(&self.follow(otherwise))
            }
            ("@sortByAssociatedKeys", Some(of), [keys]) => {
                self.read(keys);
                self.follow(of)
            }
            (op::MAP_INSERT, None, [of, key, value]) => {
                self.read(key);
                let of = self.follow(of);
                let value = self.follow(value);
                let value = self.wrapped(value);
                of.joined(&value)
            }
            (op::MAP_INSERT, None, [of, entries]) => {
                let of = self.follow(of);
                let entries = self.follow(entries);
                self.measure(&entries);
                of.joined(&entries)
            }
            _ => {
                for argument in target.into_iter().chain(arguments) {
                    self.read(argument);
                }
                Held::default()
            }
        }
    }

    fn comprehension(&mut self, loop_: &Comprehension) -> Held {
        let range = self.follow(&loop_.range);
        // Of a map the only variable is the key, which is no part of it; the first of two is a key or a
        // place.
        let (first, second) = if loop_.second.is_some() {
            (Held::default(), self.each(&range))
        } else {
            (self.elements(&range), Held::default())
        };
        let mut collected = self.follow(&loop_.init);
        let depth = self.scope.len();
        let mut settled = false;
        for _ in 0..ROUNDS {
            self.scope.push((loop_.variable.clone(), first.clone()));
            if let Some(name) = &loop_.second {
                self.scope.push((name.clone(), second.clone()));
            }
            self.scope
                .push((loop_.accumulator.clone(), collected.clone()));
            self.read(&loop_.condition);
            let step = self.follow(&loop_.step);
            self.scope.truncate(depth);
            let more = collected.clone().joined(&step);
            if more == collected {
                settled = true;
                break;
            }
            collected = more;
        }
        if !settled {
            self.consume(&collected);
            collected = Held::default();
        }
        self.scope.push((loop_.accumulator.clone(), collected));
        let result = self.follow(&loop_.result);
        self.scope.truncate(depth);
        result
    }
}
