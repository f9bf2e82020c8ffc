//! Which type fits where, and what a type that was not known turns out to be.
//!
//! Here: assignability and substitution (cel-go, checker/types.go). Not here: nodes (`check`).
//! Invariant: a failed attempt leaves no trace in the substitutions, and both together end after a
//! number of steps, however large types become.

use crate::types::Type;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

/// Most parts of types that are looked at in a check. A macro can double the type of what it is
/// given, `[x].map(y, {y: y})`, so a text of a few hundred characters has types that no memory holds;
/// the API server has no such limit. A text of 100,000 characters takes some hundred thousand.
const STEPS_LIMIT: u64 = 4_000_000;

/// What is known of type parameters.
#[derive(Debug, Default)]
pub(super) struct Substitutions {
    known: HashMap<u32, Type>,
    /// What the attempt that is made has changed, with what was there before.
    changed: Vec<(u32, Option<Type>)>,
    steps: Cell<u64>,
}

impl Substitutions {
    /// Whether each of `from` may stand where that of `to` is asked for; what follows is kept.
    pub(super) fn assign_all(&mut self, from: &[Type], to: &[Type]) -> bool {
        if from.len() != to.len() {
            return false;
        }
        self.changed.clear();
        let fits = from.iter().zip(to).all(|(a, b)| self.fits(a, b));
        if !fits {
            while let Some((parameter, before)) = self.changed.pop() {
                match before {
                    Some(ty) => self.known.insert(parameter, ty),
                    None => self.known.remove(&parameter),
                };
            }
        }
        fits
    }

    /// Counts a step; whether there was one left.
    fn step(&self) -> bool {
        self.steps.set(self.steps.get().saturating_add(1));
        !self.is_exhausted()
    }

    /// Whether types became too large, so nothing that was found out holds.
    pub(super) fn is_exhausted(&self) -> bool {
        self.steps.get() > STEPS_LIMIT
    }

    fn learn(&mut self, parameter: u32, ty: Type) {
        let before = self.known.insert(parameter, ty);
        self.changed.push((parameter, before));
    }

    /// Whether one type may stand where another is asked for; what follows is kept.
    pub(super) fn assign(&mut self, from: &Type, to: &Type) -> bool {
        self.assign_all(std::slice::from_ref(from), std::slice::from_ref(to))
    }

    fn fits(&mut self, a: &Type, b: &Type) -> bool {
        if !self.step() {
            return false;
        }
        if let Type::Param(parameter) = b {
            let (valid, known) = self.substitute_for(a, *parameter);
            if valid || known {
                return valid;
            }
        }
        if let Type::Param(parameter) = a {
            return self.substitute_for(b, *parameter).0;
        }
        match (a, b) {
            (Type::Dyn | Type::Any | Type::Error, _) | (_, Type::Dyn | Type::Any | Type::Error) => {
                true
            }
            (Type::Missing, _) | (_, Type::Missing) => false,
            (Type::Null, other) | (other, Type::Null) => is_nullable(other),
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => {
                self.fits(a, b)
            }
            (Type::Map(ak, av), Type::Map(bk, bv)) => self.fits(ak, bk) && self.fits(av, bv),
            (Type::Object(a), Type::Object(b)) => a.name() == b.name(),
            (Type::Type(_), Type::Type(_)) => true,
            (Type::Opaque(a, ap), Type::Opaque(b, bp)) => {
                a == b && ap.len() == bp.len() && ap.iter().zip(bp).all(|(a, b)| self.fits(a, b))
            }
            (a, b) => a == b,
        }
    }

    /// Whether a type may be what a parameter stands for, and whether that was known before.
    fn substitute_for(&mut self, ty: &Type, parameter: u32) -> (bool, bool) {
        if *ty == Type::Param(parameter) {
            return (true, true);
        }
        if let Some(known) = self.known.get(&parameter).cloned() {
            if *ty == known {
                return (true, true);
            }
            if self.fits(ty, &known) {
                let general = most_general(ty, &known);
                if self.is_free_of(parameter, &general) {
                    self.learn(parameter, general);
                }
                return (true, true);
            }
            return (false, true);
        }
        if self.is_free_of(parameter, ty) {
            self.learn(parameter, ty.clone());
            return (true, false);
        }
        (false, false)
    }

    /// Whether a parameter is no part of a type.
    fn is_free_of(&self, parameter: u32, ty: &Type) -> bool {
        if !self.step() {
            return false;
        }
        match ty {
            Type::Param(other) if *other == parameter => false,
            Type::Param(other) => self
                .known
                .get(other)
                .is_none_or(|known| self.is_free_of(parameter, known)),
            _ => ty
                .parameters()
                .into_iter()
                .all(|part| self.is_free_of(parameter, part)),
        }
    }

    /// A type with everything that is known put in; with `close` the rest is `dyn`.
    pub(super) fn apply(&self, ty: &Type, close: bool) -> Type {
        if !self.step() {
            return Type::Dyn;
        }
        let part = |part: &Arc<Type>| Arc::new(self.apply(part, close));
        match ty {
            Type::Param(parameter) => match self.known.get(parameter) {
                Some(known) => self.apply(known, close),
                None if close => Type::Dyn,
                None => ty.clone(),
            },
            Type::List(a) => Type::List(part(a)),
            Type::Optional(a) => Type::Optional(part(a)),
            Type::Map(a, b) => Type::Map(part(a), part(b)),
            Type::Type(Some(a)) => Type::Type(Some(part(a))),
            Type::Opaque(name, parts) => {
                Type::Opaque(name, parts.iter().map(|p| self.apply(p, close)).collect())
            }
            _ => ty.clone(),
        }
    }

    /// Gives a parameter a meaning.
    pub(super) fn set(&mut self, parameter: u32, ty: Type) {
        self.known.insert(parameter, ty);
    }
}

fn is_nullable(ty: &Type) -> bool {
    matches!(
        ty,
        Type::Null
            | Type::Object(_)
            | Type::Opaque(..)
            | Type::Optional(_)
            | Type::Wrapper(_)
            | Type::Timestamp
            | Type::Duration
    )
}

/// The more general of two types that fit each other.
pub(super) fn most_general(a: &Type, b: &Type) -> Type {
    if is_as_general(a, b) { a } else { b }.clone()
}

fn is_as_general(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dyn | Type::Any | Type::Param(_), _) => true,
        (_, Type::Dyn | Type::Any | Type::Param(_)) => false,
        (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => {
            is_as_general(a, b)
        }
        (Type::Map(ak, av), Type::Map(bk, bv)) => is_as_general(ak, bk) && is_as_general(av, bv),
        (Type::Type(_), Type::Type(_)) => true,
        (Type::Opaque(a, ap), Type::Opaque(b, bp)) => {
            a == b && ap.len() == bp.len() && ap.iter().zip(bp).all(|(a, b)| is_as_general(a, b))
        }
        (a, b) => a == b,
    }
}
