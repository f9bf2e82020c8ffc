//! From a checked tree to its estimate.
//!
//! Here: what nodes cost, where they lie, how large they are (cel-go v0.29.2, checker/cost.go,
//! `coster`). Not here: functions (`call`, `growth`).
//! Invariant: nodes are looked at in the API server's order, because paths and sizes of earlier
//! ones are kept.

use super::call::{Call, Operand};
use super::path::{Path, Paths};
use super::{Range, Sizes};
use crate::ast::{Comprehension, Expr, Kind, Literal, op};
use crate::check::Reference;
use crate::env::{Env, VARIABLES};
use crate::library::Cost;
use crate::types::Type;
use std::collections::HashMap;

/// The estimate of a tree, by the types and the meanings of its nodes.
pub(crate) fn estimate(
    expr: &Expr,
    types: &[Type],
    references: &[Option<Reference>],
    env: &Env,
    sizes: &dyn Sizes,
) -> Range {
    let mut walk = Walk {
        types,
        references,
        env,
        sizes,
        paths: Paths::default(),
        places: HashMap::new(),
        known: HashMap::new(),
        entries: HashMap::new(),
        locals: Vec::new(),
    };
    walk.cost(expr)
}

/// The sizes of what a list or a map holds.
#[derive(Clone, Copy)]
struct Entries {
    list: bool,
    key: Range,
    value: Range,
}

/// A variable of a loop.
struct Local<'a> {
    name: &'a str,
    path: Path,
    size: Option<Range>,
    entries: Option<Entries>,
}

struct Walk<'a> {
    types: &'a [Type],
    references: &'a [Option<Reference>],
    env: &'a Env,
    sizes: &'a dyn Sizes,
    paths: Paths<'a>,
    /// By the number of the node.
    places: HashMap<usize, Path>,
    known: HashMap<usize, Range>,
    entries: HashMap<usize, Entries>,
    locals: Vec<Local<'a>>,
}

const ONE: Range = Range::fixed(1);
const LIST: Range = Range::fixed(10);
const MAP: Range = Range::fixed(30);
const MESSAGE: Range = Range::fixed(40);

impl<'a> Walk<'a> {
    fn cost(&mut self, expr: &'a Expr) -> Range {
        match &expr.kind {
            Kind::Literal(_) => Range::fixed(0),
            Kind::Ident(name) => self.ident(expr, name),
            Kind::Select {
                operand,
                field,
                test,
            } => self.select(expr, operand, field, *test),
            Kind::Call {
                function,
                target,
                arguments,
            } => self.call(expr, function, target.as_deref(), arguments),
            Kind::List(elements) => {
                let mut sum = Range::fixed(0);
                let mut value = nothing_yet(elements.is_empty());
                for (element, _) in elements {
                    sum = sum.plus(self.cost(element));
                    value = value.or(self.size_or_unknown(element));
                }
                let (list, key) = (true, ONE);
                self.entries.insert(expr.id, Entries { list, key, value });
                sum.plus(LIST)
            }
            Kind::Map(entries) => {
                let mut sum = Range::fixed(0);
                let mut key = nothing_yet(entries.is_empty());
                let mut value = key;
                for (k, v, _) in entries {
                    sum = sum.plus(self.cost(k)).plus(self.cost(v));
                    key = key.or(self.size_or_unknown(k));
                    value = value.or(self.size_or_unknown(v));
                }
                let list = false;
                self.entries.insert(expr.id, Entries { list, key, value });
                sum.plus(MAP)
            }
            Kind::Message { fields, .. } => {
                let mut sum = Range::fixed(0);
                for field in fields {
                    sum = sum.plus(self.cost(&field.value));
                }
                sum.plus(MESSAGE)
            }
            Kind::Comprehension(c) if is_binding(c) => self.binding(expr, c),
            Kind::Comprehension(c) => self.comprehension(expr, c),
        }
    }

    fn reference(&self, expr: &Expr) -> Option<&'a Reference> {
        self.references.get(expr.id)?.as_ref()
    }

    fn type_of(&self, expr: &Expr) -> &'a Type {
        self.types.get(expr.id).unwrap_or(&Type::Error)
    }

    fn local(&self, name: &str) -> Option<&Local<'a>> {
        self.locals.iter().rev().find(|local| local.name == name)
    }

    fn ident(&mut self, expr: &Expr, name: &'a str) -> Range {
        let path = if let Some(local) = self.local(name) {
            local.path
        } else {
            // The dot is kept where a loop's variable would be meant without it.
            let plain = name.strip_prefix('.').unwrap_or(name);
            let hidden = self.local(plain).is_some();
            let meant = if hidden { None } else { self.meant(expr) };
            self.paths.of(meant.unwrap_or(name))
        };
        self.places.insert(expr.id, path);
        ONE
    }

    /// The whole name of a variable or a type.
    fn meant(&self, expr: &Expr) -> Option<&'a str> {
        match self.reference(expr)? {
            Reference::Variable(place) => Some(self.env.variable_name(*place)),
            Reference::Type(name) => Some(name),
            Reference::Named => Some(VARIABLES),
            Reference::Constant(name, _) => Some(name),
            Reference::Local(_)
            | Reference::UnknownType
            | Reference::Message(_)
            | Reference::Function { .. } => None,
        }
    }

    fn select(&mut self, expr: &Expr, operand: &'a Expr, field: &'a str, test: bool) -> Range {
        if test {
            // Asking is free, in every environment of the API server.
            return self.cost(operand);
        }
        if let Some(name) = self.meant(expr) {
            // A variable or a type whose name has a dot.
            let path = self.paths.of(name);
            self.places.insert(expr.id, path);
            return ONE;
        }
        let mut sum = self.cost(operand);
        if matches!(self.type_of(operand), Type::Map(..) | Type::Object(_)) {
            sum = sum.plus(ONE);
        }
        let path = self.path(operand);
        let path = self.paths.longer(path, field);
        self.places.insert(expr.id, path);
        sum
    }

    fn call(
        &mut self,
        expr: &'a Expr,
        function: &'a str,
        target: Option<&'a Expr>,
        arguments: &'a [Expr],
    ) -> Range {
        if let ("dyn", [argument, ..]) = (function, arguments) {
            let cost = self.cost(argument);
            self.copy_sizes(expr, argument);
            return ONE.plus(cost);
        }
        let (mut costs, mut operands) = (Vec::new(), Vec::new());
        for argument in arguments {
            costs.push(self.cost(argument));
            operands.push(self.operand(argument));
        }
        let (name, overloads): (&str, &[&str]) = match self.reference(expr) {
            Some(Reference::Function { name, overloads }) => (name, overloads),
            _ if function == op::OPT_SELECT => (function, &["select_optional_field"]),
            _ => return Range::fixed(0),
        };
        let mut sum = Range::fixed(0);
        // `optional.of(x)` is a function with a dot in its name.
        if let Some(target) = target.filter(|_| !name.contains('.') || name.starts_with("cel.@")) {
            sum = self.cost(target);
            operands.insert(0, self.operand(target));
        }
        let mut cost = Range::NOTHING;
        let mut size: Option<Range> = None;
        for overload in overloads {
            let (one, made) = self.overload(expr, name, overload, &operands, &costs);
            cost = cost.or(one);
            if let Some(made) = made {
                size = Some(size.map_or(made, |size| size.or(made)));
            }
            let part = match *overload {
                "index_list" => Some("@items"),
                "index_map" => Some("@values"),
                _ => None,
            };
            if let (Some(part), Some(first)) = (part, arguments.first()) {
                size = self.entries_of(first).map(|entries| entries.value);
                let path = self.path(first);
                let path = self.paths.longer(path, part);
                self.places.insert(expr.id, path);
            }
            if size.is_none() {
                size = self.size(expr);
            }
        }
        self.set_size(expr, size);
        sum.plus(cost)
    }

    /// What a call of one overload costs, with its arguments, and how large what it gives is.
    fn overload(
        &mut self,
        expr: &Expr,
        function: &str,
        overload: &str,
        operands: &[Operand<'a>],
        costs: &[Range],
    ) -> (Range, Option<Range>) {
        let size = |operand: &Operand<'a>| operand.size.unwrap_or(Range::UNKNOWN);
        match (overload, operands, costs) {
            ("logical_or" | "logical_and", _, [left, right]) => {
                let max = left.plus(*right).max;
                return (Range { min: left.min, max }, None);
            }
            ("conditional", [_, a, b], [condition, yes, no]) => {
                let either = self.entries_of(a.expr).zip(self.entries_of(b.expr));
                self.set_entries(expr, either.map(|(a, b)| a.or(b)));
                return (condition.plus(yes.or(*no)), Some(size(a).or(size(b))));
            }
            ("add_string" | "add_bytes" | "add_list", [a, b], _) => {
                let both = self.entries_of(a.expr).zip(self.entries_of(b.expr));
                self.set_entries(expr, both.map(|(a, b)| a.or(b)));
            }
            _ => {}
        }
        let call = Call {
            operands,
            paths: &self.paths,
            sizes: self.sizes,
            again: !is_core(function),
        };
        let made = call.growth(function, overload);
        let cost = call.cost(Cost::of(function, Some(overload)), made);
        let arguments = costs.iter().fold(Range::fixed(0), |sum, c| sum.plus(*c));
        (cost.plus(arguments), made)
    }

    /// A loop over nothing, which gives a value a name.
    fn binding(&mut self, expr: &Expr, c: &'a Comprehension) -> Range {
        let sum = self.cost(&c.range).plus(self.cost(&c.init));
        let outside = self.locals.len();
        self.push(&c.accumulator, &c.init);
        let sum = sum.plus(self.cost(&c.result));
        self.locals.truncate(outside);
        self.copy_sizes(expr, &c.result);
        sum
    }

    fn comprehension(&mut self, expr: &Expr, c: &'a Comprehension) -> Range {
        let sum = self.cost(&c.range).plus(self.cost(&c.init));
        let outside = self.locals.len();
        self.push(&c.accumulator, &c.init);
        let inside = self.locals.len();
        let entries = self.entries_of(&c.range);
        let list = match entries {
            Some(entries) => entries.list,
            None => matches!(self.type_of(&c.range), Type::List(_)),
        };
        let (key, value) = if list {
            ("@indices", "@items")
        } else {
            ("@keys", "@values")
        };
        let sizes = entries.map(|entries| (entries.key, entries.value));
        let (keys, values) = (sizes.map(|sizes| sizes.0), sizes.map(|sizes| sizes.1));
        match &c.second {
            Some(second) => {
                self.push_part(&c.variable, &c.range, key, keys);
                self.push_part(second, &c.range, value, values);
            }
            None if list => self.push_part(&c.variable, &c.range, value, values),
            None => self.push_part(&c.variable, &c.range, key, keys),
        }
        let condition = self.cost(&c.condition);
        let step = self.cost(&c.step);
        self.locals.truncate(inside);
        let sum = sum.plus(self.cost(&c.result));
        self.locals.truncate(outside);
        let rounds = self.size_or_unknown(&c.range);
        match &c.init.kind {
            Kind::Literal(_) => {
                let size = self.size(&c.init);
                self.set_size(expr, size);
            }
            Kind::List(_) | Kind::Map(_) => {
                self.set_size(expr, Some(rounds));
                let entries = self.entries_of(&c.step);
                self.set_entries(expr, entries);
            }
            Kind::Ident(_)
            | Kind::Select { .. }
            | Kind::Call { .. }
            | Kind::Message { .. }
            | Kind::Comprehension(_) => {}
        }
        sum.plus(rounds.times(step.plus(condition)))
    }

    fn push(&mut self, name: &'a str, value: &Expr) {
        let (path, entries) = (self.path(value), self.entries_of(value));
        let size = self.size(value);
        self.locals.push(Local {
            name,
            path,
            size,
            entries,
        });
    }

    fn push_part(&mut self, name: &'a str, of: &Expr, part: &'a str, size: Option<Range>) {
        let path = self.path(of);
        let path = self.paths.longer(path, part);
        self.locals.push(Local {
            name,
            path,
            size,
            entries: None,
        });
    }

    /// The name of a node that is a loop's variable, with what is known of it.
    fn as_local(&self, expr: &Expr) -> Option<&Local<'a>> {
        match &expr.kind {
            Kind::Ident(name) => self.local(name),
            _ => None,
        }
    }

    fn path(&self, expr: &Expr) -> Path {
        self.as_local(expr).map_or_else(
            || self.places.get(&expr.id).copied().unwrap_or_default(),
            |local| local.path,
        )
    }

    fn operand(&mut self, expr: &'a Expr) -> Operand<'a> {
        Operand {
            expr,
            path: self.path(expr),
            ty: self.type_of(expr),
            size: self.size(expr),
        }
    }

    /// The size of a node; what was asked for is kept.
    fn size(&mut self, expr: &Expr) -> Option<Range> {
        if let Some(size) = self.known.get(&expr.id) {
            return Some(*size);
        }
        if let Some(size) = written_size(expr) {
            return Some(Range::fixed(size));
        }
        let (path, ty) = (self.path(expr), self.type_of(expr));
        if let Some(size) = self.sizes.size(self.paths.parts(path), ty) {
            self.known.insert(expr.id, size);
            return Some(size);
        }
        if is_scalar(ty) {
            return Some(ONE);
        }
        self.as_local(expr).and_then(|local| local.size)
    }

    fn size_or_unknown(&mut self, expr: &Expr) -> Range {
        self.size(expr).unwrap_or(Range::UNKNOWN)
    }

    fn set_size(&mut self, expr: &Expr, size: Option<Range>) {
        if let Some(size) = size {
            self.known.insert(expr.id, size);
        }
    }

    fn entries_of(&self, expr: &Expr) -> Option<Entries> {
        let known = self.entries.get(&expr.id).copied();
        known.or_else(|| self.as_local(expr).and_then(|local| local.entries))
    }

    fn set_entries(&mut self, expr: &Expr, entries: Option<Entries>) {
        if let Some(entries) = entries {
            self.entries.insert(expr.id, entries);
        }
    }

    fn copy_sizes(&mut self, to: &Expr, from: &Expr) {
        let size = self.size(from);
        self.set_size(to, size);
        self.set_entries(to, self.entries_of(from));
    }
}

impl Entries {
    fn or(self, other: Self) -> Self {
        Self {
            list: self.list,
            key: self.key.or(other.key),
            value: self.value.or(other.value),
        }
    }
}

/// Whether a function's cost is cel-go's own and not of one of its or the API server's libraries.
fn is_core(function: &str) -> bool {
    function.starts_with('_')
        || matches!(
            function,
            op::IN
                | "startsWith"
                | "endsWith"
                | "matches"
                | "contains"
                | "bytes"
                | "string"
                | "format"
                | "strings.quote"
        )
}

/// The sizes of the elements so far: of none there is no least one.
fn nothing_yet(empty: bool) -> Range {
    if empty {
        Range::fixed(0)
    } else {
        Range::NOTHING
    }
}

fn is_binding(c: &Comprehension) -> bool {
    matches!(&c.range.kind, Kind::List(elements) if elements.is_empty())
        && matches!(c.condition.kind, Kind::Literal(Literal::Bool(false)))
}

/// The size of what stands in the expression.
fn written_size(expr: &Expr) -> Option<u64> {
    let size = match &expr.kind {
        Kind::Literal(Literal::String(text)) => text.chars().count(),
        Kind::Literal(Literal::Bytes(bytes)) => bytes.len(),
        Kind::Literal(_) => 1,
        Kind::List(elements) => elements.len(),
        Kind::Map(entries) => entries.len(),
        Kind::Ident(_)
        | Kind::Select { .. }
        | Kind::Call { .. }
        | Kind::Message { .. }
        | Kind::Comprehension(_) => {
            return None;
        }
    };
    Some(u64::try_from(size).unwrap_or(u64::MAX))
}

fn is_scalar(ty: &Type) -> bool {
    match ty.bare() {
        Type::Bool | Type::Int | Type::Uint | Type::Double | Type::Duration | Type::Timestamp => {
            true
        }
        Type::Optional(inner) => is_scalar(inner),
        _ => false,
    }
}
