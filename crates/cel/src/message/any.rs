//! `google.protobuf.Any`: a message as bytes, with the name of its type.
//!
//! Here: the bytes of the well-known types (protobuf.dev, "Encoding"). Not here: what a message of a
//! type is (`message`).
//! Invariant: bytes that are not whole, not text where text is meant, or nested deeper than a value may
//! be are an error.

use super::native::Native;
use super::{Made, Make, Proto, bytes, duration, proto, text, timestamp};
use crate::eval::EvalError;
use crate::stack;
use crate::value::{DEPTH, List, Map, Message, MessageKind, Value};
use std::sync::Arc;

/// What an `Any` holds.
pub(super) fn unpacked<'a>(url: &str, content: &[u8]) -> Made<'a> {
    let name = url.rsplit_once('/').map_or(url, |(_, name)| name);
    let made = match proto(name) {
        // An entry is no message of its own.
        Some(proto) if !matches!(proto.make, Make::FieldsEntry) => {
            stack::with(DEPTH, || message(proto, content, DEPTH))
        }
        _ => Err(Malformed),
    };
    // The API server adds the content, as it prints messages.
    made.map_err(|Malformed| {
        EvalError::new("unsupported conversion to ref.Val: (*dynamicpb.Message)")
    })
}

/// The bytes are not those of a message, or of none that is known.
struct Malformed;

/// One field of a message as it was read.
enum Part<'b> {
    Number(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(&'b [u8]),
}

/// The fields of a message, by their numbers.
struct Parts<'b>(&'b [u8]);

impl<'b> Parts<'b> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits.checked_shl(shift)?;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (found, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*found)
    }

    fn read(&mut self) -> Option<(u64, Part<'b>)> {
        let tag = self.number()?;
        let part = match tag & 7 {
            0 => Part::Number(self.number()?),
            1 => Part::Fixed64(self.fixed()?),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                let (found, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Part::Bytes(found)
            }
            5 => Part::Fixed32(self.fixed()?),
            _ => return None,
        };
        let field = tag >> 3;
        (field > 0).then_some((field, part))
    }
}

impl<'b> Iterator for Parts<'b> {
    type Item = Result<(u64, Part<'b>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.read().ok_or(Malformed))
    }
}

/// A scalar of a field; nothing where it was written as another kind, which is passed over.
fn scalar<'a>(native: Native, part: &Part<'_>) -> Result<Option<Value<'a>>, Malformed> {
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "the bits are what was written"
    )]
    Ok(match (native, part) {
        (Native::Bool, Part::Number(number)) => Some(Value::Bool(*number != 0)),
        (Native::Int32 | Native::Enum, Part::Number(number)) => {
            Some(Value::Int((*number as i32).into()))
        }
        (Native::Int64, Part::Number(number)) => Some(Value::Int(*number as i64)),
        (Native::Uint32, Part::Number(number)) => Some(Value::Uint((*number as u32).into())),
        (Native::Uint64, Part::Number(number)) => Some(Value::Uint(*number)),
        (Native::Double, Part::Fixed64(bits)) => Some(Value::Double(f64::from_le_bytes(*bits))),
        (Native::Float, Part::Fixed32(bits)) => {
            Some(Value::Double(f32::from_le_bytes(*bits).into()))
        }
        (Native::Bytes, Part::Bytes(content)) => Some(bytes(content)),
        (Native::String, Part::Bytes(content)) => Some(text(
            std::str::from_utf8(content)
                .map_err(|_| Malformed)?
                .to_owned(),
        )),
        _ => None,
    })
}

/// A message of a type.
fn message<'a>(proto: &Proto, content: &[u8], depth: usize) -> Result<Value<'a>, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let mut values: Vec<Option<Value<'a>>> = vec![None; proto.fields.len()];
    let (mut elements, mut entries) = (Vec::new(), Vec::new());
    let mut last = None;
    for read in Parts(content) {
        let (field, part) = read?;
        let place = usize::try_from(field.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some((_, native)) = proto.fields.get(place) else {
            continue;
        };
        let value = match (native, &part) {
            (Native::Json, Part::Bytes(content)) => Some(named("Value", content, depth)?),
            (Native::Struct, Part::Bytes(content)) => Some(named("Struct", content, depth)?),
            (Native::List, Part::Bytes(content)) => Some(named("ListValue", content, depth)?),
            (Native::Values, Part::Bytes(content)) => {
                elements.push(named("Value", content, depth)?);
                None
            }
            (Native::Fields, Part::Bytes(content)) => {
                let Value::Message(entry) = named("Struct.FieldsEntry", content, depth)? else {
                    return Err(Malformed);
                };
                let key = entry
                    .field("key")
                    .cloned()
                    .unwrap_or_else(|| Native::String.zero());
                entries.push((key, entry.field("value").cloned().unwrap_or(Value::Null)));
                None
            }
            (native, part) => scalar(*native, part)?,
        };
        if let (Some(value), Some(kept)) = (value, values.get_mut(place)) {
            last = Some(place);
            *kept = Some(value);
        }
    }
    let mut field = |place: usize| values.get_mut(place).and_then(Option::take);
    let mut int = |place: usize| match field(place) {
        Some(Value::Int(value)) => value,
        _ => 0,
    };
    Ok(match proto.make {
        Make::Wrapper => {
            let zero = proto.fields.first().map(|(_, native)| native.zero());
            field(0).or(zero).ok_or(Malformed)?
        }
        Make::Duration => duration(int(0), int(1)),
        Make::Timestamp => timestamp(int(0), int(1)),
        Make::Struct => Value::Map(Map::structure(entries)),
        Make::ListValue => Value::List(List::of(elements)),
        Make::Value => match last {
            None | Some(0) => Value::Null,
            Some(place) => field(place).ok_or(Malformed)?,
        },
        Make::Any => return Err(Malformed),
        Make::FieldsEntry => {
            let key = field(0).filter(|key| !matches!(key, Value::String(text) if text.is_empty()));
            let key = key.map(|key| (Arc::from("key"), key));
            let value = field(1).map(|value| (Arc::from("value"), value));
            let fields = key.into_iter().chain(value).collect();
            Value::Message(Arc::new(Message::new(MessageKind::FieldsEntry, fields)))
        }
        Make::Empty => Value::Message(Arc::new(Message::unpacked())),
    })
}

/// A message of a type of struct.proto.
fn named<'a>(name: &str, content: &[u8], depth: usize) -> Result<Value<'a>, Malformed> {
    let known = proto(&format!("google.protobuf.{name}")).ok_or(Malformed)?;
    message(known, content, depth)
}
