//! Arguments of which a part is missing.
//!
//! Here: how the gap shows, and cutting what is too long. Not here: what is read of a process (`kernel/record`).
//! Invariant: beginning and end are kept, and what is missing is in one argument alone, where [`GAP`] stands for it:
//! what is in front of the argument that matters does not hide it, and neither does what follows.

use crate::kernel::args::Args;
use crate::kernel::record::Exec;
use std::borrow::Cow;

/// What stands for the missing part.
const GAP: &str = "…";

/// The arguments of a process, and the place of the one that has the gap; none: it has none.
pub(crate) fn shown(exec: &Exec) -> (Cow<'_, Args>, Option<usize>) {
    if exec.args_tail.is_empty() {
        return (Cow::Borrowed(&exec.args), None);
    }
    let args = around_gap(exec.args.joined(), exec.args_tail.joined());
    (Cow::Owned(args), Some(exec.args.len().saturating_sub(1)))
}

/// Arguments within so many bytes with what divides them: a quarter of it is for the end. None: all of them fit.
pub(crate) fn shortened(args: &[Vec<u8>], limit: usize) -> Option<Vec<Vec<u8>>> {
    let whole = args.join(&0_u8);
    if whole.len() <= limit {
        return None;
    }
    let tail = limit / 4;
    let head = limit.saturating_sub(tail).saturating_sub(GAP.len());
    let from = whole.len().saturating_sub(tail);
    let args = around_gap(
        whole.get(..head).unwrap_or_default(),
        whole.get(from..).unwrap_or_default(),
    );
    Some(args.iter().map(<[u8]>::to_vec).collect())
}

/// Arguments from their beginning and their end.
fn around_gap(head: &[u8], tail: &[u8]) -> Args {
    Args::of_joined([whole_at_end(head), GAP.as_bytes(), whole_at_start(tail)].concat())
}

/// Whether a byte continues a character of UTF-8.
const fn continues(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// The bytes without a character at their end of which a part is missing: text stays text.
fn whole_at_end(bytes: &[u8]) -> &[u8] {
    let Some(last) = bytes.iter().rposition(|byte| !continues(*byte)) else {
        return bytes;
    };
    let length = match bytes.get(last) {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        Some(_) | None => 1,
    };
    if bytes.len().saturating_sub(last) < length {
        bytes.get(..last).unwrap_or_default()
    } else {
        bytes
    }
}

/// The same at their start.
fn whole_at_start(bytes: &[u8]) -> &[u8] {
    let parts = bytes.iter().take(3).take_while(|byte| continues(**byte));
    bytes.get(parts.count()..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::record::ProcessKey;
    use crate::kernel::record::tests::joined;

    fn bytes(args: &[&str]) -> Vec<Vec<u8>> {
        args.iter().map(|arg| arg.as_bytes().to_vec()).collect()
    }

    fn texts<T: AsRef<[u8]>>(args: impl IntoIterator<Item = T>) -> Vec<String> {
        args.into_iter()
            .map(|arg| String::from_utf8(arg.as_ref().to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn a_gap_is_in_one_argument_with_what_is_around_it() {
        for (head, tail, want, gap) in [
            (&["a", "b"][..], &[][..], &["a", "b"][..], None),
            (&["a", "b"], &["c", "d"], &["a", "b…c", "d"], Some(1)),
            (&["ab"], &["cd"], &["ab…cd"], Some(0)),
            (&["a"], &["", "d"], &["a…", "d"], Some(0)),
            (&[], &["d"], &["…d"], Some(0)),
        ] {
            let exec = Exec {
                args: head.iter().collect(),
                args_tail: tail.iter().collect(),
                ..joined(ProcessKey { pid: 1, start: 1 }, "/bin/a")
            };
            let (args, place) = shown(&exec);
            assert_eq!((texts(args.iter()), place), (texts(want), gap));
        }
    }

    #[test]
    fn text_around_a_gap_stays_text() {
        for (head, tail, want) in [
            (&b"a\xc3"[..], &b"\xa4b"[..], "a…b"),
            (b"a\xc3\xa4", b"\xc3\xa4", "aä…ä"),
            (b"\xe2\x80", b"\x80\xa6c", "…c"),
            (b"\xf0\x9f\x98", b"\x9f\x98\x80", "…"),
            (b"\xf0\x9f\x98\x80", b"d", "😀…d"),
            (b"", b"", "…"),
        ] {
            assert_eq!(texts(around_gap(head, tail).iter()), [want], "{head:x?}");
        }
        // What is no text anyway stays as it is, but for the bytes at the gap.
        assert_eq!(around_gap(b"\xff", b"\xff"), [b"\xff\xe2\x80\xa6\xff"]);
    }

    #[test]
    fn what_is_too_long_keeps_its_beginning_and_its_end() {
        let args = bytes(&["sh", "-c", &"x".repeat(100), "--end"]);
        assert_eq!(shortened(&args, 112), None);
        let short = shortened(&args, 111).unwrap();
        assert_eq!(texts(&short)[..2], ["sh", "-c"]);
        assert_eq!(short.last(), Some(&b"--end".to_vec()));
        assert_eq!(short.join(&0_u8).len(), 111);
        let least = shortened(&args, 0).unwrap();
        assert_eq!(texts(&least), ["…"]);
        assert_eq!(shortened(&[], 0), None);
    }
}
