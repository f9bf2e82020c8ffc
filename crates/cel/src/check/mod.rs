//! From a tree to the type of each node, and what each name means.
//!
//! Here: rules for each kind of node (cel-go, checker/checker.go). Not here: which type fits
//! where (`unify`), which literals are valid (`literals`).
//! Invariant: every node has a type afterwards; all faults are found, not the first alone.

mod literals;
mod messages;
mod unify;

use crate::ast::{Comprehension, Expr, Kind, Literal, op};
use crate::diagnostic::{Diagnostic, Faults, near};
use crate::env::Env;
use crate::message;
use crate::schema::is_reserved;
use crate::types::{ObjectType, Type};
use smallvec::{SmallVec, smallvec};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use unify::{Substitutions, most_general};

/// What a name or a call turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// A variable of the environment, by its place.
    Variable(usize),
    /// A variable of a comprehension, by its place among all of the expression.
    Local(usize),
    /// A type, by its name.
    Type(&'static str),
    /// A type whose name only the checker knows: the API server's planner refuses it.
    UnknownType,
    /// A number that has a name.
    Constant(&'static str, i64),
    /// The type of a message that is made, by its whole name.
    Message(Arc<str>),
    /// The named expressions of the environment.
    Named,
    /// A function, and the overloads that fit; none where it compiles only without a check.
    Function {
        name: &'static str,
        overloads: SmallVec<[&'static str; 1]>,
    },
}

/// What the checker found out, by the number of the node.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) types: Vec<Type>,
    pub(crate) references: Vec<Option<Reference>>,
    /// How many variables of comprehensions there are.
    pub(crate) locals: usize,
    /// The place of each comprehension's accumulator, by the number of its first value.
    pub(crate) slots: HashMap<usize, usize>,
    /// Nodes that name a variable which one of a loop hides, as `.object` does in `all(object, …)`.
    pub(crate) hidden: HashSet<usize>,
    pub(crate) faults: Faults,
    pub(crate) mentions: Vec<String>,
}

/// Checks a tree of so many nodes.
pub(crate) fn check(source: &str, expr: &Expr, nodes: usize, env: &Env) -> Checked {
    let mut checker = Checker {
        source,
        env,
        types: vec![Type::Error; nodes],
        references: vec![None; nodes],
        scopes: Vec::new(),
        locals: 0,
        slots: HashMap::new(),
        hidden: HashSet::new(),
        known: Substitutions::default(),
        fresh: 0,
        faults: Faults::default(),
        mentions: Vec::new(),
    };
    checker.node(expr);
    let known = checker.known;
    let types: Vec<_> = checker
        .types
        .iter()
        .map(|ty| known.apply(ty, true))
        .collect();
    let mut faults = checker.faults;
    if known.is_exhausted() {
        faults = Faults::default();
        let message = "the types in this expression are too large to be checked";
        faults.add(|| Diagnostic::of_whole(message));
    } else if faults.is_empty() {
        faults = literals::validate(source, expr, &types, env);
        if faults.is_empty() && types.iter().any(Type::is_missing) {
            let message = "missing type conversion to proto: ";
            faults.add(|| Diagnostic::of_types(source, expr.at, message));
        }
    }
    let mut mentions = checker.mentions;
    mentions.sort();
    mentions.dedup();
    Checked {
        types,
        references: checker.references,
        locals: checker.locals,
        slots: checker.slots,
        hidden: checker.hidden,
        faults,
        mentions,
    }
}

struct Checker<'a> {
    source: &'a str,
    env: &'a Env,
    types: Vec<Type>,
    references: Vec<Option<Reference>>,
    /// Name, type and place of the variables in scope, the innermost last.
    scopes: Vec<(String, Type, usize)>,
    locals: usize,
    slots: HashMap<usize, usize>,
    hidden: HashSet<usize>,
    known: Substitutions,
    fresh: u32,
    faults: Faults,
    mentions: Vec<String>,
}

impl Checker<'_> {
    fn fault(&mut self, at: usize, message: impl Into<String>, help: Option<String>) {
        self.faults
            .add(|| Diagnostic::new(self.source, at, message).with_help(help));
    }

    /// What may have been meant, as long as it will be told: looking takes longer than a check.
    fn near<'n>(&self, wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
        if self.faults.is_full() {
            return None;
        }
        near(wrong, names)
    }

    fn mismatch(&mut self, at: usize, expected: &Type, found: &Type) {
        self.fault(
            at,
            format!("expected type '{expected}' but found '{found}'"),
            None,
        );
    }

    fn undeclared(&mut self, at: usize, name: &str, help: Option<String>) {
        let container = &self.env.container;
        let message = format!("undeclared reference to '{name}' (in container '{container}')");
        self.fault(at, message, help);
    }

    fn variable(&mut self) -> Type {
        let number = self.fresh;
        self.fresh = number.saturating_add(1);
        Type::Param(number)
    }

    fn set(&mut self, expr: &Expr, ty: Type) {
        if let Some(place) = self.types.get_mut(expr.id) {
            *place = ty;
        }
    }

    fn refer(&mut self, expr: &Expr, reference: Reference) {
        if let Some(place) = self.references.get_mut(expr.id) {
            *place = Some(reference);
        }
    }

    fn type_of(&self, expr: &Expr) -> Type {
        self.types.get(expr.id).cloned().unwrap_or(Type::Error)
    }

    fn node(&mut self, expr: &Expr) {
        let ty = match &expr.kind {
            Kind::Literal(literal) => match literal {
                Literal::Null => Type::Null,
                Literal::Bool(_) => Type::Bool,
                Literal::Int(_) => Type::Int,
                Literal::Uint(_) => Type::Uint,
                Literal::Double(_) => Type::Double,
                Literal::String(_) => Type::String,
                Literal::Bytes(_) => Type::Bytes,
            },
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
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(entries),
            Kind::Message { name, fields } => self.message(expr, name, fields),
            Kind::Comprehension(comprehension) => self.comprehension(comprehension),
        };
        self.set(expr, ty);
    }

    /// The meaning of a name with dots, from the innermost scope to the widest.
    fn resolve(&mut self, name: &str) -> Option<(Reference, Type)> {
        let global = name.starts_with('.');
        let first = name.split('.').next().unwrap_or(name);
        if !global
            && let Some((_, ty, place)) = self.scopes.iter().rev().find(|(n, _, _)| n == first)
        {
            // A local variable hides everything that begins with its name.
            return (first == name).then(|| (Reference::Local(*place), ty.clone()));
        }
        self.env.resolve(name)
    }

    /// Notes a name that begins with a dot where a variable of a loop has the same.
    fn note_hidden(&mut self, expr: &Expr, name: &str) {
        let first = name.strip_prefix('.').map(|name| name.split('.').next());
        if let Some(first) = first.flatten()
            && self.scopes.iter().any(|(known, _, _)| known == first)
        {
            self.hidden.insert(expr.id);
        }
    }

    fn ident(&mut self, expr: &Expr, name: &str) -> Type {
        if let Some((reference, ty)) = self.resolve(name) {
            if let Reference::Variable(_) = reference {
                self.mentions.push(name.to_owned());
            }
            self.note_hidden(expr, name);
            self.refer(expr, reference);
            return ty;
        }
        let names = self.env.variable_names();
        let locals = self.scopes.iter().map(|(name, _, _)| name.as_str());
        let help = self.near(name, names.chain(locals.filter(|n| !n.starts_with('@'))));
        self.undeclared(expr.at, name, help);
        Type::Error
    }

    fn select(&mut self, expr: &Expr, operand: &Expr, field: &str, test: bool) -> Type {
        if !test
            && let Some(name) = qualified(operand)
            && let Some((reference, ty)) = self.resolve(&format!("{name}.{field}"))
        {
            self.note_hidden(expr, &name);
            self.refer(expr, reference);
            return ty;
        }
        let ty = self.field(expr, operand, field, false);
        if test {
            Type::Bool
        } else {
            self.known.apply(&ty, false)
        }
    }

    fn field(&mut self, expr: &Expr, operand: &Expr, field: &str, optional: bool) -> Type {
        self.node(operand);
        let ty = self.known.apply(&self.type_of(operand), false);
        let (target, was_optional) = unwrapped(&ty);
        let found = match &target {
            Type::Map(_, value) => (**value).clone(),
            Type::Object(object) if object.has_any_field() => Type::Dyn,
            Type::Object(object) => match self.declared_field(object, field) {
                Some((_, ty)) => {
                    let ty = ty.clone();
                    if let Kind::Ident(name) = &operand.kind {
                        self.mentions.push(format!("{name}.{field}"));
                    }
                    ty
                }
                None if object.name() == message::PATCH => Type::Missing,
                None if object.has_fields() => {
                    let help = self.near(field, object.names());
                    self.fault(expr.at, format!("undefined field '{field}'"), help);
                    Type::Error
                }
                None => {
                    let name = object.name();
                    let message = format!("unexpected failed resolution of '{name}'");
                    self.fault(expr.at, message, None);
                    Type::Error
                }
            },
            Type::Param(_) => {
                self.known.assign(&Type::Dyn, &target);
                Type::Dyn
            }
            Type::Dyn | Type::Any | Type::Error => Type::Dyn,
            other => {
                let message = format!("type '{other}' does not support field selection");
                self.fault(expr.at, message, None);
                Type::Dyn
            }
        };
        if was_optional || optional {
            Type::optional(found)
        } else {
            found
        }
    }

    /// A field by its name; a word of the language is also the property that is called so.
    fn declared_field<'t>(&self, object: &'t ObjectType, name: &str) -> Option<(usize, &'t Type)> {
        object.field(name).or_else(|| {
            let keyword = self.env.keyword_fields && is_reserved(name);
            object.field(&format!("__{name}__")).filter(|_| keyword)
        })
    }

    fn call(
        &mut self,
        expr: &Expr,
        function: &str,
        target: Option<&Expr>,
        arguments: &[Expr],
    ) -> Type {
        if function == op::OPT_SELECT
            && let [operand, name] = arguments
            && let Kind::Literal(Literal::String(field)) = &name.kind
        {
            self.set(name, Type::String);
            let ty = self.field(expr, operand, field, true);
            return self.known.apply(&ty, false);
        }
        for argument in arguments {
            self.node(argument);
        }
        let Some(target) = target else {
            return self.overload(expr, function, None, arguments);
        };
        // `optional.of(x)` is a function with a dot in its name.
        if let Some(prefix) = qualified(target) {
            let name = format!("{prefix}.{function}");
            if self.env.function(&name).is_some() {
                return self.overload(expr, &name, None, arguments);
            }
        }
        self.node(target);
        self.overload(expr, function, Some(target), arguments)
    }

    fn overload(
        &mut self,
        expr: &Expr,
        function: &str,
        target: Option<&Expr>,
        arguments: &[Expr],
    ) -> Type {
        let Some(declared) = self.env.function(function) else {
            let help = self.near(function, self.env.function_names());
            self.undeclared(expr.at, function, help);
            return Type::Error;
        };
        let mut types: Vec<_> = target
            .into_iter()
            .chain(arguments)
            .map(|argument| self.type_of(argument))
            .collect();
        if matches!(function, op::AND | op::OR) {
            let mut fits = true;
            for (argument, ty) in arguments.iter().zip(&types) {
                if !self.known.assign(ty, &Type::Bool) {
                    self.mismatch(argument.at, &Type::Bool, ty);
                    fits = false;
                }
            }
            let name = declared.name;
            let first = declared.overloads.first();
            let overloads = first.map(|overload| overload.id).into_iter().collect();
            self.refer(expr, Reference::Function { name, overloads });
            return if fits { Type::Bool } else { Type::Error };
        }
        let (mut result, mut overloads): (Option<Type>, _) = (None, SmallVec::new());
        for overload in &declared.overloads {
            if overload.member != target.is_some() {
                continue;
            }
            let (wanted, given) = self.instance(overload);
            if !self.known.assign_all(&types, &wanted) {
                continue;
            }
            if !overloads.contains(&overload.id) {
                overloads.push(overload.id);
            }
            let given = self.known.apply(&given, false);
            if result.is_none() && given == Type::Missing {
                // To the API server's checker that is no result.
                continue;
            }
            result = Some(match result {
                None => given,
                Some(before) if before.is_dynamic() => before,
                Some(before) if before == given => before,
                Some(_) => Type::Dyn,
            });
        }
        let Some(result) = result else {
            for ty in &mut types {
                *ty = self.known.apply(ty, true);
            }
            let applied = signature(&types, target.is_some());
            let function = function.strip_prefix('.').unwrap_or(function);
            let message =
                format!("found no matching overload for '{function}' applied to '{applied}'");
            self.fault(expr.at, message, None);
            // A caller that goes on without a check chooses at run time.
            let name = declared.name;
            let overloads = smallvec![];
            self.refer(expr, Reference::Function { name, overloads });
            return Type::Error;
        };
        let name = declared.name;
        self.refer(expr, Reference::Function { name, overloads });
        result
    }

    /// An overload's types with parameters of its own.
    fn instance(&mut self, overload: &crate::library::Overload) -> (Vec<Type>, Type) {
        if overload.parameters == 0 {
            return (overload.arguments.clone(), overload.result.clone());
        }
        let mut fresh = Substitutions::default();
        for parameter in 0..overload.parameters {
            let variable = self.variable();
            fresh.set(crate::library::parameter(parameter), variable);
        }
        let arguments = overload
            .arguments
            .iter()
            .map(|ty| fresh.apply(ty, false))
            .collect();
        (arguments, fresh.apply(&overload.result, false))
    }

    /// The type of an element that may be optional.
    fn element(&mut self, expr: &Expr, optional: bool) -> Type {
        self.node(expr);
        let ty = self.type_of(expr);
        if !optional {
            return ty;
        }
        let (inner, is_optional) = unwrapped(&ty);
        if !is_optional && !inner.is_dynamic() {
            self.mismatch(expr.at, &Type::optional(inner.clone()), &inner);
        }
        inner
    }

    fn join(&mut self, before: Option<Type>, now: Type) -> Type {
        let Some(before) = before else {
            return now;
        };
        if self.known.assign(&before, &now) {
            if self.env.strict && now == Type::Null {
                // The specification keeps what can be null.
                return before;
            }
            return most_general(&before, &now);
        }
        // Mixed types are the validator's matter (`literals`).
        Type::Dyn
    }

    fn list(&mut self, elements: &[(Expr, bool)]) -> Type {
        let mut joined = None;
        for (element, optional) in elements {
            let ty = self.element(element, *optional);
            joined = Some(self.join(joined, ty));
        }
        Type::list(joined.unwrap_or_else(|| self.variable()))
    }

    fn map(&mut self, entries: &[(Expr, Expr, bool)]) -> Type {
        let (mut keys, mut values) = (None, None);
        for (key, value, optional) in entries {
            self.node(key);
            let ty = self.type_of(key);
            keys = Some(self.join(keys, ty));
            let ty = self.element(value, *optional);
            values = Some(self.join(values, ty));
        }
        let keys = keys.unwrap_or_else(|| self.variable());
        let values = values.unwrap_or_else(|| self.variable());
        Type::Map(keys.into(), values.into())
    }

    fn declare(&mut self, name: &str, ty: Type) {
        self.scopes.push((name.to_owned(), ty, self.locals));
        self.locals = self.locals.saturating_add(1);
    }

    fn comprehension(&mut self, c: &Comprehension) -> Type {
        self.node(&c.range);
        self.node(&c.init);
        let range = self.known.apply(&self.type_of(&c.range), false);
        let accumulated = self.type_of(&c.init);
        let two = c.second.is_some();
        let (first, second) = match &range {
            Type::List(element) if two => (Type::Int, (**element).clone()),
            Type::List(element) => ((**element).clone(), Type::Error),
            Type::Map(key, value) => ((**key).clone(), (**value).clone()),
            Type::Dyn | Type::Error | Type::Param(_) => {
                self.known.assign(&Type::Dyn, &range);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.fault(c.range.at, message, None);
                (Type::Error, Type::Error)
            }
        };
        let outside = self.scopes.len();
        self.slots.insert(c.init.id, self.locals);
        self.declare(&c.accumulator, accumulated.clone());
        let inside = self.scopes.len();
        self.declare(&c.variable, first);
        // A place for the second variable is kept in any case, so places follow from the loop's.
        self.declare(c.second.as_deref().unwrap_or("@"), second);
        self.node(&c.condition);
        self.wants(&c.condition, &Type::Bool);
        self.node(&c.step);
        self.wants(&c.step, &accumulated);
        self.scopes.truncate(inside);
        self.node(&c.result);
        self.scopes.truncate(outside);
        self.known.apply(&self.type_of(&c.result), false)
    }

    fn wants(&mut self, expr: &Expr, ty: &Type) {
        let found = self.type_of(expr);
        if !self.known.assign(ty, &found) {
            self.mismatch(expr.at, ty, &found);
        }
    }
}

/// A name with dots, when a node is nothing else.
pub(crate) fn qualified(expr: &Expr) -> Option<String> {
    match &expr.kind {
        Kind::Ident(name) => Some(name.clone()),
        Kind::Select {
            operand,
            field,
            test: false,
        } => Some(format!("{}.{field}", qualified(operand)?)),
        _ => None,
    }
}

fn unwrapped(ty: &Type) -> (Type, bool) {
    match ty {
        Type::Optional(inner) => ((**inner).clone(), true),
        ty => (ty.clone(), false),
    }
}

fn signature(types: &[Type], method: bool) -> String {
    let mut words = types.iter().map(ToString::to_string);
    let target = if method { words.next() } else { None };
    let arguments = words.collect::<Vec<_>>().join(", ");
    match target {
        Some(target) => format!("{target}.({arguments})"),
        None => format!("({arguments})"),
    }
}
