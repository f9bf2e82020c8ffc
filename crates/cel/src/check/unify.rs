//! Which type fits where, and what a type that was not known turns out to be.
//!
//! Here: assignability and substitution (cel-go, checker/types.go). Not here: nodes (`check`).
//! Invariant: a failed attempt leaves no trace in the substitutions.

use crate::types::Type;
use std::collections::HashMap;
use std::sync::Arc;

/// What is known of type parameters.
#[derive(Clone, Debug, Default)]
pub(super) struct Substitutions(HashMap<u32, Type>);

impl Substitutions {
    /// Whether each of `from` may stand where that of `to` is asked for; what follows is kept.
    pub(super) fn assign_all(&mut self, from: &[Type], to: &[Type]) -> bool {
        if from.len() != to.len() {
            return false;
        }
        // Most overloads fail at the first argument, before anything is learned.
        let mut attempt = self.clone();
        let fits = from.iter().zip(to).all(|(a, b)| attempt.fits(a, b));
        if fits {
            *self = attempt;
        }
        fits
    }

    /// Whether one type may stand where another is asked for; what follows is kept.
    pub(super) fn assign(&mut self, from: &Type, to: &Type) -> bool {
        self.assign_all(std::slice::from_ref(from), std::slice::from_ref(to))
    }

    fn fits(&mut self, a: &Type, b: &Type) -> bool {
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
            (Type::Dyn | Type::Error, _) | (_, Type::Dyn | Type::Error) => true,
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
        if let Some(known) = self.0.get(&parameter).cloned() {
            if *ty == known {
                return (true, true);
            }
            if self.fits(ty, &known) {
                let general = most_general(ty, &known);
                if self.is_free_of(parameter, &general) {
                    self.0.insert(parameter, general);
                }
                return (true, true);
            }
            return (false, true);
        }
        if self.is_free_of(parameter, ty) {
            self.0.insert(parameter, ty.clone());
            return (true, false);
        }
        (false, false)
    }

    /// Whether a parameter is no part of a type.
    fn is_free_of(&self, parameter: u32, ty: &Type) -> bool {
        match ty {
            Type::Param(other) if *other == parameter => false,
            Type::Param(other) => self
                .0
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
        let part = |part: &Arc<Type>| Arc::new(self.apply(part, close));
        match ty {
            Type::Param(parameter) => match self.0.get(parameter) {
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
        self.0.insert(parameter, ty);
    }
}

fn is_nullable(ty: &Type) -> bool {
    matches!(
        ty,
        Type::Null
            | Type::Object(_)
            | Type::Opaque(..)
            | Type::Optional(_)
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
        (Type::Dyn | Type::Param(_), _) => true,
        (_, Type::Dyn | Type::Param(_)) => false,
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
