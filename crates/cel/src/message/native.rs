//! Values as what the field of a message holds.
//!
//! Here: which values a field takes, as which it keeps them, and in which words it refuses others
//! (cel-go v0.29.2, `ConvertToNative` in common/types). Not here: which fields there are (`message`).
//! Invariant: what a field holds is a value of the language again: numbers within JSON are doubles, or
//! text where a double can't hold them.

use super::object::{Place, fields, is_object, object, structured};
use super::{Made, bytes, text};
use crate::eval::EvalError;
use crate::library::{self, Opaque, duration_seconds, go_text};
use crate::stack;
use crate::types::Type;
use crate::value::{DEPTH, List, Map, MessageKind, Value};
use base64::Engine as _;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Native {
    Bool,
    Bytes,
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    String,
    /// A number of an enumeration.
    Enum,
    /// A `google.protobuf.Value`.
    Json,
    /// A `google.protobuf.Struct`.
    Struct,
    /// A `google.protobuf.ListValue`.
    List,
    /// The entries of a `google.protobuf.Struct`.
    Fields,
    /// The elements of a `google.protobuf.ListValue`.
    Values,
}

/// The largest whole number that JSON keeps (cel-go v0.29.2, common/types/int.go, `maxIntJSON`).
const MAX_JSON: u64 = (1 << 53) - 1;

const JSON: &str = "*structpb.Value";

type Converted<'a> = Result<Value<'a>, String>;

impl Native {
    pub(super) fn ty(self) -> Type {
        match self {
            Self::Bool => Type::Bool,
            Self::Bytes => Type::Bytes,
            Self::Double | Self::Float => Type::Double,
            Self::Int32 | Self::Int64 | Self::Enum => Type::Int,
            Self::Uint32 | Self::Uint64 => Type::Uint,
            Self::String => Type::String,
            Self::Json => Type::Dyn,
            Self::Struct | Self::Fields => Type::map(Type::Dyn),
            Self::List | Self::Values => Type::list(Type::Dyn),
        }
    }

    /// What a field is that was not set.
    pub(super) fn zero<'a>(self) -> Value<'a> {
        match self {
            Self::Bool => Value::Bool(false),
            Self::Bytes => bytes(&[]),
            Self::Double | Self::Float => Value::Double(0.0),
            Self::Int32 | Self::Int64 | Self::Enum => Value::Int(0),
            Self::Uint32 | Self::Uint64 => Value::Uint(0),
            Self::String => text(String::new()),
            Self::Json => Value::Null,
            Self::Struct | Self::Fields => Value::Map(Map::structure([])),
            Self::List | Self::Values => Value::List(List::of(Vec::new())),
        }
    }

    /// The name of Go's type, as errors of the API server have it.
    fn go_type(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Bytes => "[]uint8",
            Self::Double => "float64",
            Self::Float => "float32",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::String => "string",
            Self::Enum => "protoreflect.EnumNumber",
            Self::Json | Self::Fields | Self::Values => JSON,
            Self::Struct => "*structpb.Struct",
            Self::List => "*structpb.ListValue",
        }
    }

    /// What a field of a message keeps of a value.
    pub(super) fn of<'a>(self, value: Value<'a>, message: &str, field: &str) -> Made<'a> {
        let refused = |value: &Value<'_>| {
            let found = value.type_of().declared_name();
            Err(EvalError::new(format!(
                "unsupported field type for {message}.{field}: {found}"
            )))
        };
        // Each part is converted for itself, also where the whole can't be.
        let converted = match (self, value) {
            (Self::Values, Value::List(list)) => elements(&list),
            (Self::Fields, Value::Map(map)) => entries(&map),
            (Self::Values | Self::Fields, value) => return refused(&value),
            (_, value) => self.convert(value),
        };
        converted.map_err(|words| {
            EvalError::new(format!(
                "field type conversion error for {message}.{field} value type: {words}"
            ))
        })
    }

    fn convert(self, value: Value<'_>) -> Converted<'_> {
        let overflow = |kind: &str| format!("{kind} overflow");
        match (self, value) {
            (_, Value::Optional(None)) => Err("optional.none() dereference".to_owned()),
            (_, Value::Optional(Some(inner))) => self.convert((*inner).clone()),
            (Self::Bool, value @ Value::Bool(_))
            | (Self::Bytes, value @ Value::Bytes(_))
            | (Self::Double, value @ Value::Double(_))
            | (Self::Int64, value @ Value::Int(_))
            | (Self::Uint64, value @ Value::Uint(_))
            | (Self::String, value @ Value::String(_)) => Ok(value),
            (Self::Int32 | Self::Enum, Value::Int(value)) => i32::try_from(value)
                .map(|value| Value::Int(value.into()))
                .map_err(|_| overflow("integer")),
            (Self::Uint32, Value::Uint(value)) => u32::try_from(value)
                .map(|value| Value::Uint(value.into()))
                .map_err(|_| overflow("unsigned integer")),
            #[expect(
                clippy::as_conversions,
                clippy::cast_possible_truncation,
                reason = "the nearest number of 32 bits is what the field holds"
            )]
            (Self::Float, Value::Double(value)) => Ok(Value::Double((value as f32).into())),
            (Self::String, Value::Opaque(opaque)) if !matches!(*opaque, Opaque::Format(_)) => {
                Ok(text(opaque.to_string()))
            }
            (Self::Bytes, Value::List(list)) => octets(&list),
            (Self::Struct, Value::Map(map)) if map.is_plain() => entries(&map),
            (Self::List, Value::List(list)) if list.is_plain() => elements(&list),
            (Self::Struct, value @ Value::Message(_)) if is_object(&value) => json(&value),
            (Self::List, Value::Map(map)) if map.is_plain() => match map.entries().next() {
                None => Ok(self.zero()),
                Some((key, _)) => Err(format!(
                    "type conversion error, no such field '{}' in type 'structpb.ListValue'",
                    upper_camel(&library::text_of(&key))
                )),
            },
            (Self::Json, value) => json(&value),
            (native, value) => Err(mismatch(&value, native.go_type())),
        }
    }
}

/// The elements of a list as JSON has them.
fn elements<'a>(list: &List<'a>) -> Converted<'a> {
    let elements: Result<Vec<_>, _> = list.iter().map(|element| json(&element)).collect();
    Ok(Value::List(List::of(elements?)))
}

/// The entries of a map as JSON has them.
fn entries<'a>(map: &Map<'a>) -> Converted<'a> {
    let mut made = Vec::with_capacity(map.len());
    for (key, value) in map.entries() {
        made.push((Native::String.convert(key)?, json(&value)?));
    }
    Ok(Value::Map(Map::structure(made)))
}

/// A list of small numbers as bytes.
fn octets<'a>(list: &List<'_>) -> Converted<'a> {
    let octets: Result<Vec<u8>, String> = list.iter().map(|element| octet(&element)).collect();
    Ok(bytes(&octets?))
}

fn octet(element: &Value<'_>) -> Result<u8, String> {
    match element {
        Value::Uint(value) => {
            u8::try_from(*value).map_err(|_| "unsigned integer overflow".to_owned())
        }
        Value::Optional(None) => Err("optional.none() dereference".to_owned()),
        Value::Optional(Some(inner)) => octet(inner),
        other => Err(mismatch(other, "uint8")),
    }
}

/// A field's name as Go has it, `a_b-c` as `ABC` (cel-go v0.29.2, common/types/map.go,
/// `upperCamelCase`): a word begins with a capital, and a letter is as it was only after a small one.
fn upper_camel(name: &str) -> String {
    let mut made = String::new();
    let mut before = '_';
    for letter in name.trim().chars() {
        match (before, letter) {
            (_, '_' | '-') => {}
            ('_' | '-', letter) => made.push(upper(letter)),
            ('a'..='z', letter) => made.push(letter),
            (_, letter) => made.push(lower(letter)),
        }
        before = letter;
    }
    made
}

/// One letter for one, as Go does it.
fn upper(letter: char) -> char {
    let mut letters = letter.to_uppercase();
    match (letters.next(), letters.next()) {
        (Some(one), None) => one,
        _ => letter,
    }
}

fn lower(letter: char) -> char {
    let mut letters = letter.to_lowercase();
    match (letters.next(), letters.next()) {
        (Some(one), None) => one,
        _ => letter,
    }
}

/// Why a value is not what is asked for by the name of Go's type.
fn mismatch(value: &Value<'_>, wanted: &str) -> String {
    let from = |what: &str| format!("type conversion error from {what} to '{wanted}'");
    match value {
        Value::Bool(_) => from("bool"),
        Value::Int(_) => format!("unsupported type conversion from 'int' to {wanted}"),
        Value::Uint(_) => format!("unsupported type conversion from 'uint' to {wanted}"),
        Value::Double(_) => from("Double"),
        Value::Bytes(_) => from("Bytes"),
        Value::String(_) => format!("unsupported native conversion from string to '{wanted}'"),
        Value::Null => from("'null_type'"),
        Value::Duration(_) => from("'Duration'"),
        Value::Timestamp(_) => from("'Timestamp'"),
        Value::List(list) if list.is_plain() => from("list"),
        Value::List(_) => from("'list(dyn)'"),
        Value::Map(Map::Typed(..)) => from("'map(dyn, dyn)'"),
        Value::Map(Map::Go(_, of)) if of.is_map() => from("'map(dyn, dyn)'"),
        Value::Map(Map::Go(_, of)) => {
            format!(
                "type conversion error from struct type {} to {wanted}",
                of.name()
            )
        }
        Value::Map(_) => from("map"),
        Value::Type(_) => "type conversion not supported for 'type'".to_owned(),
        Value::Opaque(opaque) => from(match &**opaque {
            Opaque::Quantity(_) => "'Quantity'",
            Opaque::Url(_) => "'URL'",
            Opaque::Ip(_) => "'IP'",
            Opaque::Cidr(_) => "'CIDR'",
            Opaque::Semver(_) => "'Semver'",
            Opaque::Format(_) => "'Format'",
        }),
        Value::Authorization(_) | Value::Object(_) | Value::Optional(_) => {
            from(&format!("'{}'", value.type_name()))
        }
        Value::Preserved(_) => format!(
            "type conversion to '{wanted}' not supported for values preserved by x-kubernetes-preserve-unknown-fields"
        ),
        Value::Message(message) => match message.kind() {
            // Its fields are converted before it is looked at what is wanted.
            MessageKind::Object(_) => match object(message) {
                Ok(_) => format!("unable to convert to {wanted}"),
                Err(words) => words,
            },
            MessageKind::Patch => format!("cannot convert to native type: {wanted}"),
            kind => match wanted.strip_prefix("*structpb.") {
                Some(name) => format!(
                    "type conversion error: pb.Merge() arguments must be the same type. got: google.protobuf.{name}, {}",
                    kind.name()
                ),
                None => from(&format!("'{}'", message.go_type())),
            },
        },
        Value::Fault(error) => error.to_string(),
    }
}

/// A value as JSON has it, again as a value.
///
/// # Errors
/// What JSON has nothing for, in the words of the API server.
pub(crate) fn json<'a>(value: &Value<'a>) -> Converted<'a> {
    match value {
        Value::List(_) | Value::Map(_) | Value::Optional(_) | Value::Message(_) => {
            stack::with(DEPTH, || part(value, DEPTH))
        }
        scalar => part(scalar, 1),
    }
}

fn part<'a>(value: &Value<'a>, depth: usize) -> Converted<'a> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(too_deep());
    };
    Ok(match value {
        Value::Int(number) if number.unsigned_abs() > MAX_JSON => text(number.to_string()),
        Value::Uint(number) if *number > MAX_JSON => text(number.to_string()),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::String(_)
        | Value::Bytes(_) => scalar(value),
        Value::Duration(span) => text(duration_seconds(*span)),
        Value::Timestamp(time) => text(time.to_string()),
        Value::Optional(Some(inner)) => part(inner, depth)?,
        Value::Optional(None) => return Err("optional.none() dereference".to_owned()),
        Value::List(list) if list.is_plain() => {
            let parts: Result<Vec<_>, _> =
                list.iter().map(|element| part(&element, depth)).collect();
            Value::List(List::of(parts?))
        }
        Value::Map(map) if map.is_plain() => {
            let mut entries = Vec::with_capacity(map.len());
            for (key, value) in map.entries() {
                entries.push((Native::String.convert(key)?, part(&value, depth)?));
            }
            Value::Map(Map::of(entries))
        }
        Value::Message(message) => match message.kind() {
            MessageKind::Patch => return Err(mismatch(value, JSON)),
            MessageKind::Object(_) => {
                fields(message, depth)?;
                structured(value, Place::Field, depth)?
            }
            MessageKind::Empty | MessageKind::FieldsEntry => {
                let mut entries = Vec::new();
                for (name, value) in message.fields() {
                    finite(value, depth)?;
                    entries.push((text(name.to_owned()), part(value, depth)?));
                }
                Value::Map(Map::of(entries))
            }
        },
        other => return Err(mismatch(other, JSON)),
    })
}

/// Refuses numbers that JSON has nothing for in what a message keeps; outside of messages they are
/// text (protobuf-go v1.36, `encoding/protojson/well_known_types.go`,
/// `marshalKnownValue`). Of several in a map the first by its key is told.
///
/// # Errors
/// Which number it is, in the words of the API server.
pub(super) fn finite(value: &Value<'_>, depth: usize) -> Result<(), String> {
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    match value {
        Value::Double(number) if !number.is_finite() => Err(format!(
            "proto: google.protobuf.Value.number_value: invalid {} value",
            go_text(value)
        )),
        Value::List(list) => list.iter().try_for_each(|element| finite(&element, depth)),
        Value::Map(map) => {
            let found = map.entries().filter_map(|(key, value)| {
                let words = finite(&value, depth).err()?;
                Some((library::text_of(&key), words))
            });
            found.min().map_or(Ok(()), |(_, words)| Err(words))
        }
        _ => Ok(()),
    }
}

/// What is the same in all JSON that the API server makes: numbers are the nearest doubles, bytes
/// are written in base64.
pub(super) fn scalar<'a>(value: &Value<'a>) -> Value<'a> {
    match value {
        #[expect(
            clippy::as_conversions,
            clippy::cast_precision_loss,
            reason = "the nearest double is what JSON holds"
        )]
        Value::Int(number) => Value::Double(*number as f64),
        #[expect(
            clippy::as_conversions,
            clippy::cast_precision_loss,
            reason = "the nearest double is what JSON holds"
        )]
        Value::Uint(number) => Value::Double(*number as f64),
        Value::Bytes(bytes) => text(base64::engine::general_purpose::STANDARD.encode(&**bytes)),
        other => other.clone(),
    }
}

pub(super) fn too_deep() -> String {
    "it is nested too deep".to_owned()
}
