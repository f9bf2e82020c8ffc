//! The extended headers of PAX.
//!
//! Here: their records. Not here: which header they belong to (`archive`).
//! Invariant: records that Go's archive/tar rejects are a fault, also those whose values are not used. Of several records
//! with the same key the last counts.

use super::HeaderFault;
use super::header::Header;

/// The records of one extended header that have an effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    path: Vec<u8>,
    link: Vec<u8>,
    size: Vec<u8>,
    /// Values that only have to be valid: user, group, and the times of access, change and modification.
    numbers: [Vec<u8>; 2],
    times: [Vec<u8>; 3],
    pub(super) sparse: SparseRecords,
}

/// What records say about a sparse file. Empty: they say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SparseRecords {
    pub(super) major: Vec<u8>,
    pub(super) minor: Vec<u8>,
    pub(super) name: Vec<u8>,
    pub(super) size: Vec<u8>,
    pub(super) real_size: Vec<u8>,
    pub(super) count: Vec<u8>,
    pub(super) map: Vec<u8>,
}

impl Records {
    /// Reads records: `LENGTH KEY=VALUE` and a line feed each, where the length is that of the whole record.
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, HeaderFault> {
        let mut records = Self::default();
        // The format 0.0 of GNU tar has a record for each number of the map.
        let mut map: Vec<&[u8]> = Vec::new();
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes).ok_or(HeaderFault::Records)?;
            bytes = rest;
            if matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
                let is_length = key == b"GNU.sparse.numbytes";
                let wants_length = map.len() % 2 == 1;
                if is_length != wants_length || value.contains(&b',') {
                    return Err(HeaderFault::Records);
                }
                map.push(value);
            } else if let Some(field) = records.field(key) {
                *field = value.to_vec();
            }
        }
        if !map.is_empty() {
            records.sparse.map = map.join(&b',');
        }
        Ok(records)
    }

    fn field(&mut self, key: &[u8]) -> Option<&mut Vec<u8>> {
        let [user, group] = &mut self.numbers;
        let [access, change, modification] = &mut self.times;
        Some(match key {
            b"path" => &mut self.path,
            b"linkpath" => &mut self.link,
            b"size" => &mut self.size,
            b"uid" => user,
            b"gid" => group,
            b"atime" => access,
            b"ctime" => change,
            b"mtime" => modification,
            b"GNU.sparse.major" => &mut self.sparse.major,
            b"GNU.sparse.minor" => &mut self.sparse.minor,
            b"GNU.sparse.name" => &mut self.sparse.name,
            b"GNU.sparse.size" => &mut self.sparse.size,
            b"GNU.sparse.realsize" => &mut self.sparse.real_size,
            b"GNU.sparse.numblocks" => &mut self.sparse.count,
            b"GNU.sparse.map" => &mut self.sparse.map,
            _ => return None,
        })
    }

    /// Overwrites what the header says. An empty value overwrites nothing.
    pub(super) fn merge(&self, header: &mut Header) -> Result<(), HeaderFault> {
        self.merge_name(header);
        if !self.link.is_empty() {
            header.link.clone_from(&self.link);
        }
        if !self.size.is_empty() {
            header.size = decimal(&self.size)?;
        }
        for number in self.numbers.iter().filter(|number| !number.is_empty()) {
            decimal(number)?;
        }
        for time in self.times.iter().filter(|time| !time.is_empty()) {
            check_time(time)?;
        }
        Ok(())
    }

    /// Overwrites only the name, which is all that counts of a global header.
    pub(super) fn merge_name(&self, header: &mut Header) {
        if !self.path.is_empty() {
            header.name.clone_from(&self.path);
        }
    }
}

/// The first record, and what follows it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let (digits, _) = bytes.split_at_checked(space)?;
    let length = usize::try_from(decimal(digits).ok()?).ok()?;
    if length < 5 {
        return None;
    }
    let (whole, rest) = bytes.split_at_checked(length)?;
    let (line_feed, text) = whole.get(space.checked_add(1)?..)?.split_last()?;
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let key = text.get(..equals)?;
    let value = text.get(equals.checked_add(1)?..)?;
    let has_no_zero = match key {
        b"path" | b"linkpath" | b"uname" | b"gname" => !value.contains(&0),
        _ => !key.contains(&0),
    };
    (*line_feed == b'\n' && !key.is_empty() && has_no_zero).then_some((key, value, rest))
}

/// A decimal number of 64 bits, with an optional sign.
pub(super) fn decimal(text: &[u8]) -> Result<i64, HeaderFault> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(HeaderFault::Number)
}

/// Seconds, with an optional fraction.
fn check_time(text: &[u8]) -> Result<(), HeaderFault> {
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    decimal(parts.next().unwrap_or_default())?;
    let fraction = parts.next().unwrap_or_default();
    if fraction.iter().all(u8::is_ascii_digit) {
        Ok(())
    } else {
        Err(HeaderFault::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_states_its_length() {
        for (bytes, want) in [
            (&b"9 path=a\n"[..], Some((&b"path"[..], &b"a"[..]))),
            (b"9 path=a\n11 path=bc\n", Some((b"path", b"a"))),
            (b"8 path=\n", Some((b"path", b""))),
            (b"+9 path=\n", Some((b"path", b""))),
            (b"11 a=b=c d\n", Some((b"a", b"b=c d"))),
            (b"8 a=\xff\0c\n", Some((b"a", b"\xff\0c"))),
            (b"9 path=a", None),
            (b"8 path=a\n", None),
            (b"11 path=a\n", None),
            (b"9 path=\0\n", None),
            (b"8 p\0th=\n", None),
            (b"5 =a\n", None),
            (b"5 ab\n", None),
            (b"4 a=\n", None),
            (b"-9 path=a\n", None),
            (b"99999999999999999999 a=b\n", None),
            (b"5\n", None),
            (b" 6 a=b\n", None),
            (b"5  a=\n", None),
        ] {
            let found = record(bytes).map(|(key, value, _)| (key, value));
            assert_eq!(found, want, "{:?}", bytes.escape_ascii().to_string());
        }
    }

    #[test]
    fn the_last_record_counts_and_an_empty_one_has_no_effect() {
        let mut header = Header {
            name: b"name".to_vec(),
            link: b"link".to_vec(),
            kind: b'0',
            size: 7,
            mode: 0,
            device: (0, 0),
        };
        let records = Records::parse(b"9 path=a\n9 path=b\n13 linkpath=\n9 size=9\n").unwrap();
        records.merge(&mut header).unwrap();
        assert_eq!(header.name, b"b");
        assert_eq!(header.link, b"link");
        assert_eq!(header.size, 9);
        let records = Records::parse(b"9 path=a\n8 path=\n").unwrap();
        records.merge(&mut header).unwrap();
        assert_eq!(header.name, b"b");
    }

    #[test]
    fn values_without_effect_have_to_be_valid() {
        let merged = |text: &str| {
            let record = format!(" {text}\n");
            let length = (1..4)
                .map(|digits| record.len() + digits)
                .find(|length| record.len() + length.to_string().len() == *length);
            let bytes = format!("{}{record}", length.unwrap());
            let mut header = Header {
                name: Vec::new(),
                link: Vec::new(),
                kind: b'0',
                size: 0,
                mode: 0,
                device: (0, 0),
            };
            Records::parse(bytes.as_bytes())?.merge(&mut header)
        };
        for valid in [
            "uid=+5",
            "gid=-1",
            "mtime=1.",
            "mtime=-1.25",
            "atime=",
            "comment=é",
        ] {
            assert_eq!(merged(valid), Ok(()), "{valid}");
        }
        for invalid in [
            "uid=x",
            "gid=9223372036854775808",
            "mtime=.5",
            "mtime=1.5.5",
            "ctime=1.-5",
            "size=1_0",
        ] {
            assert_eq!(merged(invalid), Err(HeaderFault::Number), "{invalid}");
        }
    }
}
