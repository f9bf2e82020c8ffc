//! A header of a tar archive: one block of 512 bytes.
//!
//! Here: its fields, as Go's archive/tar reads them, with which containerd reads layers. Not here: what headers mean
//! together (`archive`).
//! Invariant: a field that Go rejects is a [`HeaderFault`]; a field that Go does not read is not read.
//!
//! Source: the file formats of POSIX.1-2001 (pax), of GNU tar (`tar.h`) and of star.

use super::HeaderFault;

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;

/// A block of an archive.
pub(super) type Block = [u8; BLOCK];

/// Types of entries.
pub(super) mod types {
    pub(crate) const FILE: u8 = b'0';
    /// A file, or a directory if its name ends with `/`, of archives before POSIX.
    pub(crate) const OLD_FILE: u8 = 0;
    pub(crate) const HARD_LINK: u8 = b'1';
    pub(crate) const SYMBOLIC_LINK: u8 = b'2';
    pub(crate) const CHARACTER_DEVICE: u8 = b'3';
    pub(crate) const BLOCK_DEVICE: u8 = b'4';
    pub(crate) const DIRECTORY: u8 = b'5';
    pub(crate) const PIPE: u8 = b'6';
    pub(crate) const PAX: u8 = b'x';
    pub(crate) const PAX_GLOBAL: u8 = b'g';
    pub(crate) const GNU_LONG_NAME: u8 = b'L';
    pub(crate) const GNU_LONG_LINK: u8 = b'K';
    pub(crate) const GNU_SPARSE: u8 = b'S';
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: u8,
    pub(super) size: i64,
    pub(super) mode: i64,
    /// 0:0 in formats without devices.
    pub(super) device: (i64, i64),
}

impl Header {
    /// Whether no content follows, whatever the size says.
    pub(super) fn is_header_only(&self) -> bool {
        matches!(
            self.kind,
            types::HARD_LINK
                | types::SYMBOLIC_LINK
                | types::CHARACTER_DEVICE
                | types::BLOCK_DEVICE
                | types::DIRECTORY
                | types::PIPE
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    V7,
    Ustar,
    Star,
    Gnu,
}

/// The format of a header, if its checksum is right.
pub(super) fn format(block: &Block) -> Result<Format, HeaderFault> {
    let stated = octal(field(block, 148, 8)).map_err(|_error| HeaderFault::Checksum)?;
    let (mut unsigned, mut signed) = (0_i64, 0_i64);
    for (position, byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&position) {
            b' '
        } else {
            *byte
        };
        unsigned = unsigned.saturating_add(i64::from(byte));
        // Sun's tar added signed bytes.
        signed = signed.saturating_add(i64::from(byte.cast_signed()));
    }
    if stated != unsigned && stated != signed {
        return Err(HeaderFault::Checksum);
    }
    let trailer = field(block, 508, 4);
    Ok(match (field(block, 257, 6), field(block, 263, 2)) {
        (b"ustar\0", _) if trailer == b"tar\0" => Format::Star,
        (b"ustar\0", _) => Format::Ustar,
        (b"ustar ", b" \0") => Format::Gnu,
        _ => Format::V7,
    })
}

/// Reads a header.
pub(super) fn parse(block: &Block) -> Result<Header, HeaderFault> {
    let format = format(block)?;
    let mut header = Header {
        name: text(field(block, 0, 100)).to_vec(),
        link: text(field(block, 157, 100)).to_vec(),
        kind: field(block, 156, 1).first().copied().unwrap_or_default(),
        size: number(field(block, 124, 12))?,
        mode: number(field(block, 100, 8))?,
        device: (0, 0),
    };
    // User, group and time are not used. A header in which they are invalid is rejected nevertheless.
    for (at, bytes) in [(108, 8), (116, 8), (136, 12)] {
        number(field(block, at, bytes))?;
    }
    if format != Format::V7 {
        header.device = (number(field(block, 329, 8))?, number(field(block, 337, 8))?);
    }
    let prefix: &[u8] = match format {
        Format::V7 => &[],
        Format::Ustar => text(field(block, 345, 155)),
        Format::Star => {
            number(field(block, 476, 12))?;
            number(field(block, 488, 12))?;
            text(field(block, 345, 131))
        }
        Format::Gnu => {
            // Go wrote a prefix here before 1.8, where GNU tar has times.
            let time = |at| {
                let bytes = field(block, at, 12);
                bytes.first() == Some(&0) || number(bytes).is_ok()
            };
            let prefix = text(field(block, 345, 155));
            if (time(345) && time(357)) || !prefix.is_ascii() {
                &[]
            } else {
                prefix
            }
        }
    };
    if !prefix.is_empty() {
        header.name = [prefix, b"/", &header.name].concat();
    }
    Ok(header)
}

/// A part of the map of a sparse file of GNU tar's old format: where data is, and whether another block follows.
pub(super) struct SparseBlock {
    /// Offsets and lengths.
    pub(super) entries: Vec<(i64, i64)>,
    pub(super) continues: bool,
}

/// The map in the header of a sparse file, and the size of the file with its holes.
pub(super) fn sparse_header(block: &Block) -> Result<(SparseBlock, i64), HeaderFault> {
    if format(block)? != Format::Gnu {
        return Err(HeaderFault::SparseMap);
    }
    let size = number(field(block, 483, 12))?;
    Ok((sparse_entries(block, 386, 4)?, size))
}

/// A block that continues the map.
pub(super) fn sparse_block(block: &Block) -> Result<SparseBlock, HeaderFault> {
    sparse_entries(block, 0, 21)
}

fn sparse_entries(block: &Block, at: usize, count: usize) -> Result<SparseBlock, HeaderFault> {
    let end = at.saturating_add(count.saturating_mul(24));
    let mut entries = Vec::new();
    for start in (at..end).step_by(24) {
        let offset = field(block, start, 12);
        if offset.first() == Some(&0) {
            break;
        }
        let length = field(block, start.saturating_add(12), 12);
        entries.push((number(offset)?, number(length)?));
    }
    Ok(SparseBlock {
        entries,
        continues: field(block, end, 1) != [0],
    })
}

fn field(block: &Block, at: usize, bytes: usize) -> &[u8] {
    block.get(at..at.saturating_add(bytes)).unwrap_or_default()
}

/// Bytes up to the first zero.
pub(super) fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number, in octal or, as GNU tar writes large and negative ones, in base 256.
fn number(bytes: &[u8]) -> Result<i64, HeaderFault> {
    let Some((first, rest)) = bytes.split_first() else {
        return Ok(0);
    };
    if first & 0x80 == 0 {
        return octal(bytes);
    }
    // Two's complement: the bits of a negative number are inverted to read them as a positive one.
    let inverted = if first & 0x40 == 0 { 0 } else { 0xff };
    let mut value = u64::from((first ^ inverted) & 0x7f);
    for byte in rest {
        if value >> 56 != 0 {
            return Err(HeaderFault::Number);
        }
        value = (value << 8) | u64::from(byte ^ inverted);
    }
    let value = i64::try_from(value).map_err(|_error| HeaderFault::Number)?;
    Ok(if inverted == 0 { value } else { !value })
}

fn octal(bytes: &[u8]) -> Result<i64, HeaderFault> {
    let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
    let Some(start) = bytes.iter().position(|byte| !is_padding(byte)) else {
        return Ok(0);
    };
    let end = bytes.iter().rposition(|byte| !is_padding(byte));
    let digits = text(bytes.get(start..=end.unwrap_or(start)).unwrap_or_default());
    let mut value = 0_i64;
    for digit in digits {
        if !matches!(digit, b'0'..=b'7') {
            return Err(HeaderFault::Number);
        }
        let shifted = value.checked_mul(8).ok_or(HeaderFault::Number)?;
        value = shifted
            .checked_add(i64::from(digit.saturating_sub(b'0')))
            .ok_or(HeaderFault::Number)?;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_in_base_256() {
        for (bytes, want) in [
            (&b"0000644\0"[..], Ok(0o644)),
            (b" 644 \0  ", Ok(0o644)),
            (b"\0\x000644\0", Ok(0o644)),
            (b"        ", Ok(0)),
            (b"", Ok(0)),
            (b"777777777777", Ok((1 << 36) - 1)),
            (b"12\0junk", Ok(0o12)),
            (b"128", Err(HeaderFault::Number)),
            (b"-1", Err(HeaderFault::Number)),
            (b"0x1f", Err(HeaderFault::Number)),
            (b"1 2", Err(HeaderFault::Number)),
            (b"\x80\0\0\0\0\0\0\x01", Ok(1)),
            (b"\x80\0\0\x02\0\0\0\0\0\0\0\0", Err(HeaderFault::Number)),
            (b"\x80\0\0\0\0\0\0\x20\0\0\0\0", Ok(32 << 32)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Ok(-1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\x00", Ok(-256)),
            (b"\xc0\0\0\0\0\0\0\0\0", Err(HeaderFault::Number)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", Err(HeaderFault::Number)),
        ] {
            assert_eq!(number(bytes), want, "{bytes:?}");
        }
    }
}
