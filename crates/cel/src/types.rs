//! The types of expressions.
//!
//! Here: types, their names, what fits where. Not here: rules for functions (`check`).
//! Invariant: `Dyn` fits everywhere and everything fits it; nothing else converts.

use std::fmt;
use std::sync::Arc;

/// The type of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Known only at run time.
    Dyn,
    /// `null`.
    Null,
    /// `true` and `false`.
    Bool,
    /// 64 bits, signed.
    Int,
    /// 64 bits, unsigned.
    Uint,
    /// 64 bits, IEEE 754.
    Double,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// A span of time.
    Duration,
    /// A point in time.
    Timestamp,
    /// A list of elements of one type.
    List(Box<Type>),
    /// A map with keys and values of one type each.
    Map(Box<Type>, Box<Type>),
    /// A value that may be absent.
    Optional(Box<Type>),
    /// A structure with declared fields.
    Object(Arc<ObjectType>),
    /// A type, as a value.
    Type,
}

/// A structure with declared fields.
#[derive(Debug, PartialEq, Eq)]
pub struct ObjectType {
    name: String,
    fields: Vec<(String, Type)>,
}

impl ObjectType {
    /// A structure: its name for messages, and its fields. A field's place in the list is the
    /// index that [`crate::Object::field`] is asked for.
    #[must_use]
    #[expect(
        clippy::new_ret_no_self,
        reason = "nobody needs the structure but as a type"
    )]
    pub fn new<'a>(name: &str, fields: impl IntoIterator<Item = (&'a str, Type)>) -> Type {
        let fields = fields
            .into_iter()
            .map(|(name, ty)| (name.to_owned(), ty))
            .collect();
        Type::Object(Arc::new(Self {
            name: name.to_owned(),
            fields,
        }))
    }

    /// The place and the type of a field.
    pub(crate) fn field(&self, name: &str) -> Option<(usize, &Type)> {
        self.fields
            .iter()
            .enumerate()
            .find(|(_, field)| field.0 == name)
            .map(|(index, field)| (index, &field.1))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.0.as_str())
    }

    /// The place of a field, for evaluation through `dyn`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Type {
    /// A list of this type.
    #[must_use]
    pub fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    /// A map from text to this type.
    #[must_use]
    pub fn map(value: Self) -> Self {
        Self::Map(Box::new(Self::String), Box::new(value))
    }

    /// This type, or absent.
    #[must_use]
    pub fn optional(value: Self) -> Self {
        Self::Optional(Box::new(value))
    }

    /// Whether a value of this type may stand where `other` is asked for, or may turn out to at
    /// run time.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => a.fits(b),
            (Self::Map(ak, av), Self::Map(bk, bv)) => ak.fits(bk) && av.fits(bv),
            // An absent object is null in Kubernetes' environments.
            (Self::Null, Self::Object(_) | Self::Timestamp | Self::Duration)
            | (Self::Object(_) | Self::Timestamp | Self::Duration, Self::Null) => true,
            _ => self == other,
        }
    }

    /// The more general of two types that fit each other; `Dyn` where they do not.
    pub(crate) fn join(self, other: &Self) -> Self {
        if self == *other { self } else { Self::Dyn }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Duration => f.write_str("duration"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::List(element) => write!(f, "list({element})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Optional(value) => write!(f, "optional_type({value})"),
            Self::Object(object) => f.write_str(object.name()),
            Self::Type => f.write_str("type"),
        }
    }
}
