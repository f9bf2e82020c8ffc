//! The functions of the language: which there are, for which types, and what they do.
//!
//! Here: how a function is declared, and which release of Kubernetes has it
//! (k8s.io/apiserver v0.37.2, pkg/cel/environment/base.go). Not here: what each does (a file for
//! each library), what it costs (`cost`).
//! Invariant: a function that compiles for given types does not say "no such overload" for them.

pub(crate) mod authorizer;
mod conversions;
mod cost;
mod doubles;
mod effort;
mod formats;
pub(crate) mod formatting;
mod go_text;
mod lists;
mod math;
mod network;
mod opaque;
mod optionals;
mod quantity;
mod quoting;
mod re2;
pub(crate) mod regexes;
mod semver;
mod sets;
mod sorting;
mod standard;
mod strings;
pub(crate) mod times;
mod urls;

use crate::eval::EvalError;
use crate::types::{self, ObjectType, Type};
use crate::value::Value;
use std::collections::HashMap;
use std::sync::Arc;

pub use authorizer::Authorization;
pub(crate) use conversions::text_of;
pub(crate) use cost::Cost;
pub(crate) use effort::{ENTRY, Effort};
pub(crate) use go_text::go_text;
pub use opaque::Opaque;
pub(crate) use quoting::quoted;
pub(crate) use times::{duration_seconds, duration_text};

/// What a function gives.
pub(crate) type Outcome<'a> = Result<Value<'a>, EvalError>;
/// What a function does with its arguments, the target first.
pub(crate) type Run = for<'a> fn(&[Value<'a>]) -> Outcome<'a>;

/// A function as its library declares it: name, what it does, and the overloads with what each
/// is for, such as `string.(string) -> bool` for a method.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
    pub(crate) overloads: &'static [(&'static str, &'static str)],
}

/// One way to call a function.
#[derive(Debug)]
pub(crate) struct Overload {
    pub(crate) id: &'static str,
    pub(crate) member: bool,
    pub(crate) arguments: Vec<Type>,
    pub(crate) result: Type,
    /// How many type parameters it has.
    pub(crate) parameters: u32,
}

impl Overload {
    /// A function of the host; its type parameters are numbered from 0.
    pub(crate) fn declared(id: &'static str, arguments: &[Type], result: &Type) -> Self {
        let mut parameters = 0;
        let mut own = |ty: &Type| renumbered(ty, &mut parameters);
        Self {
            id,
            member: false,
            arguments: arguments.iter().map(&mut own).collect(),
            result: own(result),
            parameters,
        }
    }
}

/// A type with the numbers that type parameters have in declarations.
fn renumbered(ty: &Type, parameters: &mut u32) -> Type {
    let mut part = |part: &Type| Arc::new(renumbered(part, parameters));
    match ty {
        Type::Param(number) => {
            *parameters = number.saturating_add(1).max(*parameters);
            Type::Param(parameter(*number))
        }
        Type::List(a) => Type::List(part(a)),
        Type::Optional(a) => Type::Optional(part(a)),
        Type::Map(a, b) => Type::Map(part(a), part(b)),
        Type::Type(Some(a)) => Type::Type(Some(part(a))),
        Type::Opaque(name, parts) => Type::Opaque(
            name,
            parts.iter().map(|p| renumbered(p, parameters)).collect(),
        ),
        other => other.clone(),
    }
}

/// A function with all of its overloads.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// One for each library that has a function of this name.
    pub(crate) runs: Vec<Run>,
    pub(crate) overloads: Vec<Overload>,
}

/// All functions of an environment.
#[derive(Debug, Default)]
pub(crate) struct Library(HashMap<&'static str, Function>);

impl Library {
    pub(crate) fn get(&self, name: &str) -> Option<&Function> {
        self.0.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    fn add(&mut self, rows: &[Row]) {
        for row in rows {
            let function = self.0.entry(row.name).or_insert_with(|| Function {
                name: row.name,
                runs: Vec::new(),
                overloads: Vec::new(),
            });
            function.runs.push(row.run);
            let overloads = row.overloads.iter().map(|(id, text)| declared(id, text));
            function.overloads.extend(overloads);
        }
    }

    /// The functions of a minor release of Kubernetes 1; with `specification` those of the
    /// language's own conformance tests.
    pub(crate) fn of(minor: u32, specification: bool) -> Self {
        let mut library = Self::default();
        library.add(standard::ROWS);
        library.add(optionals::ROWS);
        if specification {
            // Before the others, which they make stricter.
            library.add(strings::SPECIFICATION);
        }
        library.add(strings::ROWS);
        library.add(sets::ROWS);
        if specification {
            library.add(math::ROWS);
            library.add(network::SPECIFICATION);
            library.add(network::ROWS);
            library.add(lists::EXTENDED);
            library.add(standard::TWO_VARIABLES);
            return library;
        }
        library.add(authorizer::ROWS);
        library.add(urls::ROWS);
        library.add(regexes::ROWS);
        library.add(lists::ROWS);
        library.add(quantity::ROWS);
        library.add(network::ROWS);
        for (since, rows) in [
            (31, formats::ROWS),
            (31, authorizer::SELECTORS),
            (32, standard::TWO_VARIABLES),
            (33, semver::ROWS),
            (34, lists::EXTENDED),
            (37, lists::INCLUDES),
            // An environment hides them that has no such types.
            (0, crate::message::ROWS),
        ] {
            if minor >= since {
                library.add(rows);
            }
        }
        library
    }
}

/// The number of a type parameter of a declaration, far from those of a check.
pub(crate) const fn parameter(number: u32) -> u32 {
    u32::MAX.saturating_sub(number)
}

/// Reads a declaration.
fn declared(id: &'static str, text: &str) -> Overload {
    let mut parameters = 0;
    let (call, result) = text.split_once(" -> ").unwrap_or((text, "dyn"));
    let open = call.find('(').filter(|_| !call.contains(".("));
    let (target, inside) = match (open, call.split_once(".(")) {
        (None, Some((target, inside))) => (Some(target), inside),
        _ => (None, call.strip_prefix('(').unwrap_or(call)),
    };
    let inside = inside.strip_suffix(')').unwrap_or(inside);
    let mut arguments = Vec::new();
    arguments.extend(target.map(|target| type_of(target, &mut parameters)));
    arguments.extend(split(inside).map(|part| type_of(part, &mut parameters)));
    Overload {
        id,
        member: target.is_some(),
        arguments,
        result: type_of(result, &mut parameters),
        parameters,
    }
}

/// The parts between commas that are in no brackets.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |c| {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}

fn type_of(text: &str, parameters: &mut u32) -> Type {
    if let Some((outer, inner)) = text.split_once('(') {
        let inner = inner.strip_suffix(')').unwrap_or(inner);
        let mut parts = split(inner).map(|part| type_of(part, parameters));
        let first = parts.next().unwrap_or(Type::Dyn);
        return match (outer, parts.next()) {
            ("list", _) => Type::list(first),
            ("optional", _) => Type::optional(first),
            ("map", Some(value)) => Type::Map(Arc::new(first), Arc::new(value)),
            ("type", _) => Type::of_type(first),
            _ => Type::Dyn,
        };
    }
    let mut numbered = |number: u32| {
        *parameters = number.saturating_add(1).max(*parameters);
        Type::Param(parameter(number))
    };
    match text {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "duration" => Type::Duration,
        "timestamp" => Type::Timestamp,
        "quantity" => ObjectType::abstract_type(types::QUANTITY),
        "url" => ObjectType::abstract_type(types::URL),
        "semver" => ObjectType::abstract_type(types::SEMVER),
        "format" => ObjectType::abstract_type(types::FORMAT),
        "authorizer" => ObjectType::abstract_type(types::AUTHORIZER),
        "pathcheck" => ObjectType::abstract_type(types::PATH_CHECK),
        "groupcheck" => ObjectType::abstract_type(types::GROUP_CHECK),
        "resourcecheck" => ObjectType::abstract_type(types::RESOURCE_CHECK),
        "decision" => ObjectType::abstract_type(types::DECISION),
        "ip" => Type::opaque(types::IP),
        "cidr" => Type::opaque(types::CIDR),
        "A" => numbered(0),
        "B" => numbered(1),
        _ => Type::Dyn,
    }
}

/// The error of a function that is not for these values.
pub(crate) fn no_overload<'a>() -> Outcome<'a> {
    Err(EvalError::no_overload())
}

/// Another error.
pub(crate) fn fail<'a>(message: impl Into<String>) -> Outcome<'a> {
    Err(EvalError::new(message))
}

/// A count as a value.
pub(crate) fn count<'a>(number: usize) -> Value<'a> {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_read_as_they_are_written() {
        let method = declared("id", "list(A).(int, map(string, A)) -> optional(A)");
        assert!(method.member);
        assert_eq!(method.parameters, 1);
        let a = Type::Param(parameter(0));
        let map = Type::Map(Type::String.into(), a.clone().into());
        assert_eq!(method.arguments, [Type::list(a.clone()), Type::Int, map]);
        assert_eq!(method.result, Type::optional(a));
        let function = declared("id", "() -> bool");
        assert!(!function.member && function.arguments.is_empty());
    }
}
