//! The bytes of a layer once they are unpacked.
//!
//! Here: which compression a layer has, and a reader that unpacks and counts. Not here: what the bytes mean
//! (`archive`).
//! Invariant: no more is unpacked than the limit, and nothing that follows the compressed data is skipped silently.

use super::{CannotUnpack, Exceeded, MAX_WINDOW_BYTES};
use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use zstd::Decoder as ZstdDecoder;

/// How a layer is compressed. Its first bytes say so, whatever its media type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// It is not compressed.
    None,
    /// gzip, of one or more members.
    Gzip,
    /// Zstandard, of one or more frames, also skippable ones.
    Zstd,
}

impl Compression {
    /// Bytes at the begin that tell the compression.
    pub const HEAD: usize = 10;

    /// The compression of data that begins with these bytes.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            // A skippable frame has 8 bytes at least.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, _, _, _, _, ..] => {
                Self::Zstd
            }
            _ => Self::None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Bytes that are read from the layer at once.
const BUFFER: usize = 64 << 10;

/// The logarithm of [`MAX_WINDOW_BYTES`].
const WINDOW_LOG: u32 = MAX_WINDOW_BYTES.ilog2();

/// What libzstd reports of a frame with a larger window.
const WINDOW_EXCEEDED: &str = "Frame requires too much memory for decoding";

/// A reader of unpacked bytes. Its errors contain [`CannotUnpack`].
pub(super) struct Unpacked<R> {
    state: State<R>,
    observer: Option<Observer>,
    count: u64,
    limit: u64,
}

/// Is shown every unpacked byte, in their order and once.
pub(super) type Observer = Box<dyn FnMut(&[u8])>;

type Input<R> = Chain<Cursor<Vec<u8>>, BufReader<Source<R>>>;

enum State<R> {
    /// Nothing was read yet.
    New(Source<R>),
    Plain(Input<R>),
    Gzip(Box<MultiGzDecoder<Input<R>>>),
    Zstd(Box<ZstdDecoder<'static, Input<R>>>),
    /// It could not be opened.
    Closed,
}

impl<R: Read> Unpacked<R> {
    /// Unpacks at most this number of bytes.
    pub(super) fn new(reader: R, limit: u64, observer: Option<Observer>) -> Self {
        Self {
            observer,
            state: State::New(Source {
                reader,
                failure: None,
            }),
            count: 0,
            limit,
        }
    }

    /// Bytes so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Counts bytes that no archive has, as those of the holes of a sparse file.
    pub(super) fn count_holes(&mut self, bytes: u64) -> Result<(), CannotUnpack> {
        match self.count.checked_add(bytes) {
            Some(count) if count <= self.limit => {
                self.count = count;
                Ok(())
            }
            _ => Err(self.exceeded()),
        }
    }

    fn exceeded(&self) -> CannotUnpack {
        CannotUnpack::Limit(Exceeded::Unpacked(self.limit))
    }

    fn decode(&mut self, into: &mut [u8]) -> Result<usize, CannotUnpack> {
        if let State::New(_) = self.state {
            let State::New(source) = std::mem::replace(&mut self.state, State::Closed) else {
                return Err(CannotUnpack::Truncated);
            };
            self.state = State::open(source)?;
        }
        let (result, compression) = match &mut self.state {
            State::New(_) | State::Closed => return Err(CannotUnpack::Truncated),
            State::Plain(input) => (input.read(into), Compression::None),
            State::Gzip(decoder) => (decoder.read(into), Compression::Gzip),
            State::Zstd(decoder) => (decoder.read(into), Compression::Zstd),
        };
        result.map_err(|error| {
            let failure = match &self.state {
                State::New(_) | State::Closed => None,
                State::Plain(input) => input.get_ref().1.get_ref().failure.clone(),
                State::Gzip(decoder) => decoder.get_ref().get_ref().1.get_ref().failure.clone(),
                State::Zstd(decoder) => decoder.get_ref().get_ref().1.get_ref().failure.clone(),
            };
            cause(&error, failure, compression)
        })
    }
}

fn cause(error: &io::Error, failure: Option<String>, compression: Compression) -> CannotUnpack {
    if let Some(cause) = failure {
        return CannotUnpack::Read { cause };
    }
    let cause = error.to_string();
    if compression == Compression::Zstd && cause.contains(WINDOW_EXCEEDED) {
        return CannotUnpack::Limit(Exceeded::Window);
    }
    CannotUnpack::Damaged { compression, cause }
}

impl<R: Read> State<R> {
    fn open(mut source: Source<R>) -> Result<Self, CannotUnpack> {
        let mut head = Vec::with_capacity(Compression::HEAD);
        let most = u64::try_from(Compression::HEAD).unwrap_or(u64::MAX);
        let read = source.by_ref().take(most).read_to_end(&mut head);
        let compression = Compression::of(&head);
        let input = Cursor::new(head).chain(BufReader::with_capacity(BUFFER, source));
        if let Err(error) = read {
            let failure = input.get_ref().1.get_ref().failure.clone();
            return Err(cause(&error, failure, compression));
        }
        Ok(match compression {
            Compression::None => Self::Plain(input),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(input))),
            Compression::Zstd => {
                let damaged = |error| cause(&error, None, compression);
                let mut decoder = ZstdDecoder::with_buffer(input).map_err(damaged)?;
                decoder.window_log_max(WINDOW_LOG).map_err(damaged)?;
                Self::Zstd(Box::new(decoder))
            }
        })
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let room = self.limit.saturating_sub(self.count);
        if room == 0 {
            // What was unpacked up to the limit counts. Whether there is more shows one further byte.
            return match self.decode(&mut [0]).map_err(io::Error::other)? {
                0 => Ok(0),
                _ => Err(io::Error::other(self.exceeded())),
            };
        }
        let most = usize::try_from(room).unwrap_or(usize::MAX).min(into.len());
        let into = into.get_mut(..most).unwrap_or_default();
        let read = self.decode(into).map_err(io::Error::other)?;
        if let Some(observer) = &mut self.observer {
            observer(into.get(..read).unwrap_or_default());
        }
        self.count = self
            .count
            .saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}

/// The reader of the layer, which remembers its failure: a decompressor reports it like damaged data.
struct Source<R> {
    reader: R,
    failure: Option<String>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failure = Some(error.to_string());
                    return Err(error);
                }
                Ok(read) => return Ok(read),
            }
        }
    }
}

/// The cause that an error of [`Unpacked`] contains.
pub(super) fn cannot_unpack(error: io::Error) -> CannotUnpack {
    match error.downcast::<CannotUnpack>() {
        Ok(cause) => cause,
        Err(error) => CannotUnpack::Read {
            cause: error.to_string(),
        },
    }
}

/// Unpacked bytes with a buffer, of which exact numbers are read.
pub(super) struct Blocks<R> {
    input: BufReader<Unpacked<R>>,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(unpacked: Unpacked<R>) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER, unpacked),
        }
    }

    pub(super) fn unpacked(&self) -> &Unpacked<R> {
        self.input.get_ref()
    }

    pub(super) fn count_holes(&mut self, bytes: u64) -> Result<(), CannotUnpack> {
        self.input.get_mut().count_holes(bytes)
    }

    /// Some bytes, at least one except at the end.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<usize, CannotUnpack> {
        self.input.read(into).map_err(cannot_unpack)
    }

    /// Fills all of `into`, except at the end. Returns how many bytes there were.
    pub(super) fn fill(&mut self, into: &mut [u8]) -> Result<usize, CannotUnpack> {
        let mut filled = 0_usize;
        // Nothing is read for an empty rest: what follows may be over the limit.
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read(rest)? {
                0 => break,
                read => filled = filled.saturating_add(read),
            }
        }
        Ok(filled)
    }

    /// Skips up to this number of bytes. Returns how many there were.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<u64, CannotUnpack> {
        let mut left = bytes;
        while left > 0 {
            let available = self.input.fill_buf().map_err(cannot_unpack)?.len();
            if available == 0 {
                break;
            }
            let step = available.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.input.consume(step);
            left = left.saturating_sub(u64::try_from(step).unwrap_or(u64::MAX));
        }
        Ok(bytes.saturating_sub(left))
    }
}
