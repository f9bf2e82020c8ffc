//! Writes tar archives of every kind, valid and not.
//!
//! Here: bytes of headers and content. Not here: which entries an archive has (`generated`).
//! Invariant: written by the formats alone, without the code that reads them.

use std::io::Write as _;

/// How names and numbers are written that do not fit, and the magic of headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    V7,
    Ustar,
    Pax,
    Gnu,
}

/// A member of an archive.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) link: Vec<u8>,
    pub(crate) content: Vec<u8>,
    /// What the header says instead of the length of the content.
    pub(crate) size: Option<i64>,
    pub(crate) device: (i64, i64),
    pub(crate) style: Style,
    /// Names are in a header of their own even if they fit, with another name in the header.
    pub(crate) is_extended: bool,
    /// Records of an extended header before it, as `KEY=VALUE`.
    pub(crate) records: Vec<Vec<u8>>,
    /// Numbers are in base 256.
    pub(crate) is_binary: bool,
}

impl Member {
    pub(crate) fn new(kind: u8, name: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            kind,
            link: Vec::new(),
            content: Vec::new(),
            size: None,
            device: (0, 0),
            style: Style::Ustar,
            is_extended: false,
            records: Vec::new(),
            is_binary: false,
        }
    }

    pub(crate) fn file(name: impl Into<Vec<u8>>, content: impl Into<Vec<u8>>) -> Self {
        Self {
            content: content.into(),
            ..Self::new(b'0', name)
        }
    }

    pub(crate) fn directory(name: impl Into<Vec<u8>>) -> Self {
        Self::new(b'5', name)
    }

    pub(crate) fn symlink(name: impl Into<Vec<u8>>, target: impl Into<Vec<u8>>) -> Self {
        Self {
            link: target.into(),
            ..Self::new(b'2', name)
        }
    }

    pub(crate) fn hard_link(name: impl Into<Vec<u8>>, target: impl Into<Vec<u8>>) -> Self {
        Self {
            link: target.into(),
            ..Self::new(b'1', name)
        }
    }
}

/// An archive with its end.
pub(crate) fn archive(members: &[Member]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for member in members {
        write(&mut bytes, member);
    }
    bytes.extend_from_slice(&[0; 1024]);
    bytes
}

/// Adds a member.
pub(crate) fn write(bytes: &mut Vec<u8>, member: &Member) {
    let mut records = member.records.clone();
    let is_name_long = member.is_extended || member.name.len() > 100;
    let is_link_long = member.is_extended || member.link.len() > 100;
    let (mut name, mut link) = (member.name.clone(), member.link.clone());
    let mut prefix = Vec::new();
    match member.style {
        Style::Gnu => {
            for (kind, text, is_long) in [
                (b'L', &member.name, is_name_long),
                (b'K', &member.link, is_link_long),
            ] {
                if is_long {
                    let content = [&**text, b"\0"].concat();
                    let header = Member {
                        content: content.clone(),
                        ..Member::new(kind, "././@LongLink")
                    };
                    block(bytes, &header, b"././@LongLink", b"", b"");
                    padded(bytes, &content);
                }
            }
        }
        Style::Pax => {
            for (key, text, is_long) in [
                (&b"path="[..], &member.name, is_name_long),
                (b"linkpath=", &member.link, is_link_long),
            ] {
                if is_long {
                    records.push([key, text].concat());
                }
            }
        }
        Style::Ustar => {
            // A directory of at most 155 bytes and a name of at most 100.
            let split = name
                .iter()
                .enumerate()
                .find(|(at, byte)| **byte == b'/' && name.len() - at - 1 <= 100 && *at <= 155)
                .map(|(at, _)| at)
                .filter(|_| is_name_long);
            if let Some(at) = split {
                prefix = name[..at].to_vec();
                name.drain(..=at);
            }
        }
        Style::V7 => {}
    }
    if !records.is_empty() {
        let kind = if member.kind == b'g' { b'g' } else { b'x' };
        let content = encoded(&records);
        let header = Member {
            content: content.clone(),
            ..Member::new(kind, "PaxHeaders/0")
        };
        let header_name = if kind == b'g' {
            &name[..name.len().min(100)]
        } else {
            b"PaxHeaders/0"
        };
        block(bytes, &header, header_name, b"", b"");
        padded(bytes, &content);
        if kind == b'g' {
            return;
        }
    }
    if matches!(member.style, Style::Gnu | Style::Pax) {
        if is_name_long {
            name = b"other/name".to_vec();
        }
        if is_link_long {
            link = b"other/link".to_vec();
        }
    }
    name.truncate(100);
    link.truncate(100);
    block(bytes, member, &name, &link, &prefix);
    padded(bytes, &member.content);
}

/// Records with their lengths.
pub(crate) fn encoded(records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        let rest = record.len() + 2;
        let length = (rest + 1..rest + 10)
            .find(|length| rest + length.to_string().len() == *length)
            .unwrap();
        write!(bytes, "{length} ").unwrap();
        bytes.extend_from_slice(record);
        bytes.push(b'\n');
    }
    bytes
}

fn padded(bytes: &mut Vec<u8>, content: &[u8]) {
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
}

fn number(value: i64, bytes: usize, is_binary: bool) -> Vec<u8> {
    let digits = format!("{:0width$o}\0", value, width = bytes - 1);
    if !is_binary && value >= 0 && digits.len() <= bytes {
        return digits.into_bytes();
    }
    let mut binary = vec![if value < 0 { 0xff } else { 0 }; bytes];
    let value = value.to_be_bytes();
    let kept = value.len().min(bytes);
    binary[bytes - kept..].copy_from_slice(&value[value.len() - kept..]);
    binary[0] |= 0x80;
    binary
}

fn block(bytes: &mut Vec<u8>, member: &Member, name: &[u8], link: &[u8], prefix: &[u8]) {
    let mut block = [0; 512];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    let size = member
        .size
        .unwrap_or_else(|| i64::try_from(member.content.len()).unwrap());
    put(0, name);
    put(100, &number(0o755, 8, false));
    put(108, &number(0, 8, member.is_binary));
    put(116, &number(0, 8, member.is_binary));
    put(124, &number(size, 12, member.is_binary));
    put(136, &number(1_700_000_000, 12, member.is_binary));
    put(148, b"        ");
    put(156, &[member.kind]);
    put(157, link);
    match member.style {
        Style::V7 => {}
        Style::Ustar | Style::Pax => put(257, b"ustar\x0000"),
        Style::Gnu => put(257, b"ustar  \0"),
    }
    if member.style != Style::V7 {
        put(329, &number(member.device.0, 8, false));
        put(337, &number(member.device.1, 8, false));
        put(345, prefix);
    }
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    bytes.extend_from_slice(&block);
}
