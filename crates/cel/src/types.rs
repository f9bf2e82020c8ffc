//! The types of expressions.
//!
//! Here: types, how they are written, and the accessors that declare them. Not here: which fits
//! where (`check::unify`), rules for functions (`library`).
//! Invariant: a type is written as the API server writes it (cel-go, checker/format.go).

use std::fmt;
use std::sync::Arc;

/// The type of an expression. A wrapper equals what it wraps, as in the API server's checker, which
/// tells them apart only where `null` is.
#[derive(Clone, Debug)]
pub enum Type {
    /// Known only at run time.
    Dyn,
    /// Known only at run time, and made as a `google.protobuf.Any`.
    Any,
    /// Of an expression with a fault; it fits everywhere, so one fault is said once.
    Error,
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
    List(Arc<Type>),
    /// A map with keys and values of one type each.
    Map(Arc<Type>, Arc<Type>),
    /// A value that may be absent.
    Optional(Arc<Type>),
    /// A boolean, a number, text or bytes, or `null`: the type of `google.protobuf.BoolValue` and its like.
    Wrapper(Arc<Type>),
    /// A structure with declared fields.
    Object(Arc<ObjectType>),
    /// A type that only its own functions know.
    Opaque(&'static str, Vec<Type>),
    /// A type, as a value; of what, where that is known.
    Type(Option<Arc<Type>>),
    /// A type that is not known yet while checking.
    Param(u32),
    /// Of a field that a patch does not have: no type, which the API server finds late.
    Missing,
}

impl PartialEq for Type {
    fn eq(&self, other: &Self) -> bool {
        match (self.bare(), other.bare()) {
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => a == b,
            (Self::Map(ak, av), Self::Map(bk, bv)) => ak == bk && av == bv,
            (Self::Object(a), Self::Object(b)) => a == b,
            (Self::Opaque(a, ap), Self::Opaque(b, bp)) => a == b && ap == bp,
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::Param(a), Self::Param(b)) => a == b,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}

impl Eq for Type {}

/// A structure with declared fields.
#[derive(Debug, PartialEq, Eq)]
pub struct ObjectType {
    name: String,
    fields: Fields,
}

/// Which fields a structure has.
#[derive(Debug, PartialEq, Eq)]
enum Fields {
    /// None: only its own functions know it.
    Hidden,
    Declared(Vec<(String, Type)>),
    /// Every name is one, of any type.
    Any,
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
            fields: Fields::Declared(fields),
        }))
    }

    /// A structure that has every field.
    pub(crate) fn of_any_fields(name: &str) -> Type {
        Type::Object(Arc::new(Self {
            name: name.to_owned(),
            fields: Fields::Any,
        }))
    }

    /// A structure without fields, such as a quantity.
    pub(crate) fn abstract_type(name: &str) -> Type {
        Type::Object(Arc::new(Self {
            name: name.to_owned(),
            fields: Fields::Hidden,
        }))
    }

    /// Whether its fields are declared.
    pub(crate) fn has_fields(&self) -> bool {
        !matches!(self.fields, Fields::Hidden)
    }

    /// Whether every name is a field.
    pub(crate) fn has_any_field(&self) -> bool {
        matches!(self.fields, Fields::Any)
    }

    fn declared(&self) -> &[(String, Type)] {
        match &self.fields {
            Fields::Declared(fields) => fields,
            Fields::Hidden | Fields::Any => &[],
        }
    }

    /// The place and the type of a field.
    pub(crate) fn field(&self, name: &str) -> Option<(usize, &Type)> {
        self.declared()
            .iter()
            .enumerate()
            .find(|(_, field)| field.0 == name)
            .map(|(index, field)| (index, &field.1))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.declared().iter().map(|field| field.0.as_str())
    }

    /// The fields with their types.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &Type)> {
        self.declared()
            .iter()
            .map(|field| (field.0.as_str(), &field.1))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// The type of `quantity()`.
pub(crate) const QUANTITY: &str = "kubernetes.Quantity";
/// The type of `url()`.
pub(crate) const URL: &str = "kubernetes.URL";
/// The type of `semver()`.
pub(crate) const SEMVER: &str = "kubernetes.Semver";
/// The type of `format.named()`.
pub(crate) const FORMAT: &str = "kubernetes.NamedFormat";
/// The type of `authorizer`.
pub(crate) const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
/// The type of `authorizer.path()`.
pub(crate) const PATH_CHECK: &str = "kubernetes.authorization.PathCheck";
/// The type of `authorizer.group()`.
pub(crate) const GROUP_CHECK: &str = "kubernetes.authorization.GroupCheck";
/// The type of a resource that is asked about.
pub(crate) const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";
/// The type of what `check()` gives.
pub(crate) const DECISION: &str = "kubernetes.authorization.Decision";
/// The type of `ip()`.
pub(crate) const IP: &str = "net.IP";
/// The type of `cidr()`.
pub(crate) const CIDR: &str = "net.CIDR";

impl Type {
    /// A list of this type.
    #[must_use]
    pub fn list(element: Self) -> Self {
        Self::List(Arc::new(element))
    }

    /// A map from text to this type.
    #[must_use]
    pub fn map(value: Self) -> Self {
        Self::Map(Arc::new(Self::String), Arc::new(value))
    }

    /// This type, or absent.
    #[must_use]
    pub fn optional(value: Self) -> Self {
        Self::Optional(Arc::new(value))
    }

    /// A type that only its own functions know.
    pub(crate) fn opaque(name: &'static str) -> Self {
        Self::Opaque(name, Vec::new())
    }

    /// This type, or `null`.
    pub(crate) fn wrapper(inner: Self) -> Self {
        Self::Wrapper(Arc::new(inner))
    }

    /// What a wrapper wraps; every other type as it is.
    pub(crate) fn bare(&self) -> &Self {
        match self {
            Self::Wrapper(inner) => inner,
            other => other,
        }
    }

    /// Whether it is made of one that is missing.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing) || self.parameters().into_iter().any(Self::is_missing)
    }

    /// Whether it is known at run time alone.
    pub(crate) fn is_dynamic(&self) -> bool {
        matches!(self, Self::Dyn | Self::Any)
    }

    /// The type of types.
    pub(crate) fn of_type(inner: Self) -> Self {
        Self::Type(Some(Arc::new(inner)))
    }

    /// The types that it is made of.
    pub(crate) fn parameters(&self) -> Vec<&Self> {
        match self {
            Self::List(a) | Self::Optional(a) | Self::Type(Some(a)) => vec![a],
            Self::Map(a, b) => vec![a, b],
            Self::Opaque(_, parts) => parts.iter().collect(),
            _ => Vec::new(),
        }
    }

    /// The type as a value of it is named at run time, with its parameters: `null_type`,
    /// `google.protobuf.Timestamp`.
    #[must_use]
    pub fn declared_name(&self) -> String {
        match self {
            Self::Null => "null_type".to_owned(),
            Self::Any => "google.protobuf.Any".to_owned(),
            Self::Duration => "google.protobuf.Duration".to_owned(),
            Self::Timestamp => "google.protobuf.Timestamp".to_owned(),
            Self::List(a) => format!("list({})", a.declared_name()),
            Self::Map(a, b) => format!("map({}, {})", a.declared_name(), b.declared_name()),
            Self::Optional(a) => format!("optional_type({})", a.declared_name()),
            Self::Type(Some(a)) => format!("type({})", a.declared_name()),
            other => other.to_string(),
        }
    }

    /// The name of a type without its parameters, as errors of `format` have it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::List(_) => "list".to_owned(),
            Self::Map(..) => "map".to_owned(),
            Self::Optional(_) => "optional_type".to_owned(),
            Self::Type(_) => "type".to_owned(),
            Self::Wrapper(inner) => inner.name(),
            other => other.declared_name(),
        }
    }

    /// What a variable of a policy has as its type when its expression has this one: the API
    /// server keeps scalars, lists and maps alone (pkg/admission/plugin/cel/composition.go,
    /// `convertCelTypeToDeclType`).
    pub(crate) fn of_named(&self) -> Self {
        match self {
            Self::List(a) => Self::list(a.of_named()),
            Self::Map(a, b) => Self::Map(Arc::new(a.of_named()), Arc::new(b.of_named())),
            Self::Any
            | Self::Bool
            | Self::Bytes
            | Self::Double
            | Self::Duration
            | Self::Int
            | Self::Null
            | Self::String
            | Self::Timestamp
            | Self::Uint => self.clone(),
            Self::Dyn
            | Self::Error
            | Self::Optional(_)
            | Self::Wrapper(_)
            | Self::Object(_)
            | Self::Opaque(..)
            | Self::Type(_)
            | Self::Param(_)
            | Self::Missing => Self::Dyn,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Any => f.write_str("any"),
            Self::Error => f.write_str("!error!"),
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
            Self::Wrapper(inner) => write!(f, "wrapper({inner})"),
            Self::Object(object) => f.write_str(object.name()),
            Self::Opaque(name, parts) if parts.is_empty() => f.write_str(name),
            Self::Opaque(name, parts) => {
                let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
                write!(f, "{name}({})", parts.join(", "))
            }
            Self::Type(None) => f.write_str("type"),
            Self::Type(Some(inner)) => write!(f, "type({inner})"),
            Self::Param(number) => write!(f, "_var{number}"),
            Self::Missing => Ok(()),
        }
    }
}
