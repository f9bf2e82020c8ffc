//! What names mean in an environment.
//!
//! Here: variables, types and functions by their names, the innermost first. Not here: how they are
//! declared (`env`), what they do (`library`, `message`).
//! Invariant: a name means the same wherever it is looked for: in the checker, in the plan, in a
//! message about it.

use super::{Env, VARIABLES};
use crate::check::Reference;
use crate::library::Function;
use crate::message;
use crate::types::{self, ObjectType, Type};
use std::collections::HashMap;
use std::sync::Arc;

/// The type of the named expressions together.
const NAMED_TYPE: &str = "kubernetes.variables";

impl Env {
    pub(crate) fn variable_name(&self, place: usize) -> &str {
        self.variables.get(place).map_or("", |(name, _)| name)
    }

    pub(crate) fn variable_names(&self) -> impl Iterator<Item = &str> {
        let names = self.variables.iter().map(|(name, _)| name.as_str());
        // Some only keep a place.
        names.filter(|name| !name.starts_with('@'))
    }

    pub(crate) fn function_names(&self) -> impl Iterator<Item = &'static str> {
        self.library
            .names()
            .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
            .filter(|name| self.mutation || *name != message::ESCAPE)
    }

    /// Names that a name may stand for, the innermost first.
    pub(crate) fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(global) = name.strip_prefix('.') {
            return vec![global.to_owned()];
        }
        let mut found = Vec::new();
        let mut outer = self.container.as_str();
        while !outer.is_empty() {
            found.push(format!("{outer}.{name}"));
            outer = outer.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
        found.push(name.to_owned());
        found
    }

    /// The meaning of a name.
    pub(crate) fn resolve(&self, name: &str) -> Option<(Reference, Type)> {
        self.candidates(name).iter().find_map(|name| {
            let declared = self.variables.iter().position(|(known, _)| known == name);
            if let Some(place) = declared {
                let ty = self
                    .variables
                    .get(place)
                    .map_or(Type::Dyn, |(_, ty)| ty.clone());
                return Some((Reference::Variable(place), ty));
            }
            if self.composed && name == VARIABLES {
                let fields = self
                    .named_types
                    .iter()
                    .map(|(n, ty)| (n.as_str(), ty.clone()));
                return Some((Reference::Named, ObjectType::new(NAMED_TYPE, fields)));
            }
            if name == message::NULL_VALUE.0 {
                let (name, number) = message::NULL_VALUE;
                return Some((Reference::Constant(name, number), Type::Int));
            }
            if let Some((name, ty)) = type_of(name) {
                return Some((Reference::Type(name), Type::of_type(ty)));
            }
            let ty = self.structure(name)?;
            Some((Reference::UnknownType, Type::of_type(ty)))
        })
    }

    /// A type whose name only the checker knows.
    pub(crate) fn structure(&self, name: &str) -> Option<Type> {
        if self.mutation
            && let Some(ty) = message::type_of_mutation(name)
        {
            return Some(ty);
        }
        if let Some(proto) = message::proto(name) {
            return Some(proto.ty());
        }
        // All names of types are longer than that of the variable's own.
        let roots = self.variables.iter().map(|(_, ty)| ty);
        let of_root = |ty: &Type| matches!(ty, Type::Object(object) if object.has_fields() && begins_alike(object.name(), name));
        let of_named = self.composed && name == NAMED_TYPE;
        if of_named {
            let fields = self.named_types.iter();
            let fields = fields.map(|(name, ty)| (name.as_str(), ty.clone()));
            return Some(ObjectType::new(NAMED_TYPE, fields));
        }
        if !roots.clone().any(of_root) {
            return None;
        }
        let structures = self.structures.get_or_init(|| {
            let mut found = HashMap::new();
            for ty in roots {
                if let Type::Object(object) = ty {
                    collect(object.name(), ty, &mut found);
                }
            }
            found
        });
        structures.get(name).cloned()
    }

    /// A function by its name.
    pub(crate) fn function(&self, name: &str) -> Option<&Function> {
        let find = |name: &str| {
            let there = self.mutation || name != message::ESCAPE;
            let known = || self.library.get(name).filter(|_| there);
            self.declared.get(name).or_else(known)
        };
        if self.container.is_empty() {
            return find(name.strip_prefix('.').unwrap_or(name));
        }
        self.candidates(name).iter().find_map(|name| find(name))
    }
}

/// Whether two names have the same first word.
fn begins_alike(a: &str, b: &str) -> bool {
    a.split('.').next() == b.split('.').next()
}

/// The types that a type is made of: structures by their names, lists and maps by where they are
/// (k8s.io/apiserver v0.37.2, pkg/cel/types.go, `buildDeclTypes`).
fn collect(path: &str, ty: &Type, found: &mut HashMap<String, Type>) {
    match ty {
        Type::Object(object) if object.has_fields() => {
            found.insert(object.name().to_owned(), ty.clone());
            for (name, field) in object.fields() {
                collect(&format!("{path}.{name}"), field, found);
            }
        }
        Type::List(element) => {
            collect(&format!("{path}.@idx"), element, found);
            found.insert(path.to_owned(), ty.clone());
        }
        Type::Map(_, value) => {
            collect(&format!("{path}.@elem"), value, found);
            found.insert(path.to_owned(), ty.clone());
        }
        _ => {}
    }
}

/// The types that have a name, with that name.
pub(crate) fn type_of(name: &str) -> Option<(&'static str, Type)> {
    let any = || Arc::new(Type::Dyn);
    Some(match name {
        "bool" => ("bool", Type::Bool),
        "int" => ("int", Type::Int),
        "uint" => ("uint", Type::Uint),
        "double" => ("double", Type::Double),
        "string" => ("string", Type::String),
        "bytes" => ("bytes", Type::Bytes),
        "list" => ("list", Type::List(any())),
        "map" => ("map", Type::Map(any(), any())),
        "null_type" => ("null_type", Type::Null),
        "type" => ("type", Type::Type(None)),
        "optional_type" => ("optional_type", Type::Optional(any())),
        // These two are known to the checker alone (`plan`).
        "timestamp" => ("timestamp", Type::Timestamp),
        "duration" => ("duration", Type::Duration),
        types::IP => (types::IP, Type::opaque(types::IP)),
        types::CIDR => (types::CIDR, Type::opaque(types::CIDR)),
        name => {
            let proto = message::proto(name).filter(|proto| proto.is_value())?;
            (proto.name, proto.ty())
        }
    })
}
