//! Cuts the JSON of a list or of a watch into its objects.
//!
//! Here: finding where an object begins and ends. Not here: what it says; decoding it finds
//! that it is no JSON.
//! Invariant: no more bytes are kept than the limit, and none of an object that has more.

/// A part of the response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// An element of `items`; none: it has more bytes than the limit.
    Item(Option<Vec<u8>>),
    /// A list or an event of a watch is over.
    End(Fields),
}

/// Fields of a list, or of an event of a watch, as JSON.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) metadata: Option<Vec<u8>>,
    pub(super) type_: Option<Vec<u8>>,
    /// Absent where it has more bytes than the limit.
    pub(super) object: Option<Vec<u8>>,
}

/// What is kept of the bytes that come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Nothing,
    Item,
    Metadata,
    Type,
    Object,
}

#[derive(Debug)]
pub(super) struct Splitter {
    limit: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The text at depth 1 that was read last: a key, where a colon follows.
    name: Vec<u8>,
    key: Vec<u8>,
    kept: Kept,
    buffer: Vec<u8>,
    too_large: bool,
    fields: Fields,
}

/// Most bytes of a key that is looked at.
const NAME_LIMIT_BYTES: usize = 32;

impl Splitter {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            depth: 0,
            in_string: false,
            escaped: false,
            name: Vec::new(),
            key: Vec::new(),
            kept: Kept::Nothing,
            buffer: Vec::new(),
            too_large: false,
            fields: Fields::default(),
        }
    }

    /// Whether no list or event was begun that is not over.
    pub(super) const fn is_between(&self) -> bool {
        self.depth == 0
    }

    /// Takes bytes up to the end of a piece, and how many these are.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (usize, Option<Piece>) {
        let mut from = 0;
        for (index, byte) in bytes.iter().enumerate() {
            let next = index.saturating_add(1);
            let was = self.kept;
            let ended = self.byte(*byte);
            match (was, self.kept) {
                (Kept::Nothing, Kept::Nothing) => {}
                // It begins with this byte.
                (Kept::Nothing, _) => from = index,
                (_, _) if ended => {
                    self.keep(bytes.get(from..next).unwrap_or_default());
                    if let Some(item) = self.end_value() {
                        return (next, Some(item));
                    }
                }
                (_, _) => {}
            }
            if self.depth == 0 && *byte == b'}' && !self.in_string {
                let fields = std::mem::take(&mut self.fields);
                self.key.clear();
                return (next, Some(Piece::End(fields)));
            }
        }
        if self.kept != Kept::Nothing {
            self.keep(bytes.get(from..).unwrap_or_default());
        }
        (bytes.len(), None)
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.too_large || self.buffer.len().saturating_add(bytes.len()) > self.limit {
            self.too_large = true;
            self.buffer = Vec::new();
        } else {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The value that was kept is complete.
    fn end_value(&mut self) -> Option<Piece> {
        let kept = std::mem::replace(&mut self.kept, Kept::Nothing);
        let buffer = std::mem::take(&mut self.buffer);
        let value = (!std::mem::take(&mut self.too_large)).then_some(buffer);
        match kept {
            Kept::Nothing => {}
            Kept::Item => return Some(Piece::Item(value)),
            Kept::Metadata => self.fields.metadata = value,
            Kept::Type => self.fields.type_ = value,
            Kept::Object => self.fields.object = value,
        }
        None
    }

    /// Takes a byte; whether it ends the value that is kept.
    fn byte(&mut self, byte: u8) -> bool {
        if self.in_string {
            return self.byte_of_string(byte);
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.name.clear();
                if self.depth == 1 && self.key == b"type" && self.kept == Kept::Nothing {
                    self.kept = Kept::Type;
                }
            }
            b':' if self.depth == 1 => self.key = std::mem::take(&mut self.name),
            b',' if self.depth == 1 => self.key.clear(),
            b'{' | b'[' => {
                if self.kept == Kept::Nothing && byte == b'{' {
                    self.kept = match (self.depth, self.key.as_slice()) {
                        (2, b"items") => Kept::Item,
                        (1, b"metadata") => Kept::Metadata,
                        (1, b"object") => Kept::Object,
                        _ => Kept::Nothing,
                    };
                }
                self.depth = self.depth.saturating_add(1);
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return match self.kept {
                    Kept::Item => self.depth == 2,
                    Kept::Metadata | Kept::Object => self.depth == 1,
                    Kept::Nothing | Kept::Type => false,
                };
            }
            _ => {}
        }
        false
    }

    fn byte_of_string(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => {
                self.in_string = false;
                return self.kept == Kept::Type;
            }
            other if self.depth == 1 && self.name.len() < NAME_LIMIT_BYTES => self.name.push(other),
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every piece of a text that comes in parts of this length.
    fn pieces(text: &str, part: usize, limit: usize) -> (Vec<Piece>, bool) {
        let mut splitter = Splitter::new(limit);
        let mut found = Vec::new();
        for mut bytes in text.as_bytes().chunks(part) {
            while !bytes.is_empty() {
                let (used, piece) = splitter.push(bytes);
                found.extend(piece);
                bytes = &bytes[used..];
            }
        }
        (found, splitter.is_between())
    }

    fn item(text: &str) -> Piece {
        Piece::Item(Some(text.into()))
    }

    fn end(metadata: &str) -> Piece {
        Piece::End(Fields {
            metadata: Some(metadata.into()),
            ..Fields::default()
        })
    }

    #[test]
    fn each_object_of_a_list_is_a_piece_wherever_the_bytes_are_parted() {
        let list = r#"{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":[{"a":"]}\"{","items":[{}]}, {"metadata":{"x":[1,{"y":2}]}}],"more":[{"z":1}]}
"#;
        let want = || {
            vec![
                item(r#"{"a":"]}\"{","items":[{}]}"#),
                item(r#"{"metadata":{"x":[1,{"y":2}]}}"#),
                end(r#"{"resourceVersion":"7"}"#),
            ]
        };
        for part in 1..list.len() {
            assert_eq!(pieces(list, part, 1000), (want(), true), "{part}");
        }
        let metadata_last = r#"{"items":[{"a":1}],"metadata":{"resourceVersion":"7"}}"#;
        let found = pieces(metadata_last, 5, 1000).0;
        assert_eq!(
            found,
            [item(r#"{"a":1}"#), end(r#"{"resourceVersion":"7"}"#)]
        );
        let none = pieces(r#"{"metadata":{},"items":null}"#, 5, 1000).0;
        assert_eq!(none, [end("{}")]);
    }

    #[test]
    fn each_event_of_a_watch_is_a_piece() {
        let watch = "{\"type\":\"ADDED\",\"object\":{\"type\":\"x\",\"n\":1}}\n{\"object\":{},\"type\":\"BOOKMARK\"}\n";
        let event = |type_: &str, object: &str| {
            Piece::End(Fields {
                metadata: None,
                type_: Some(type_.into()),
                object: Some(object.into()),
            })
        };
        for part in 1..watch.len() {
            let want = vec![
                event("\"ADDED\"", r#"{"type":"x","n":1}"#),
                event("\"BOOKMARK\"", "{}"),
            ];
            assert_eq!(pieces(watch, part, 1000), (want, true), "{part}");
        }
    }

    #[test]
    fn of_an_object_that_is_too_large_nothing_is_kept_and_others_are() {
        let large = "x".repeat(100);
        let list = format!(r#"{{"items":[{{"a":"{large}"}},{{"b":1}}],"metadata":{{}}}}"#);
        for part in [1, 7, 1000] {
            let want = vec![Piece::Item(None), item(r#"{"b":1}"#), end("{}")];
            assert_eq!(pieces(&list, part, 50), (want, true));
        }
        let mut splitter = Splitter::new(50);
        splitter.push(format!(r#"{{"items":[{{"a":"{large}{large}"#).as_bytes());
        assert!(splitter.buffer.capacity() <= 50 && !splitter.is_between());
    }
}
