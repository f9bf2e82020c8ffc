//! The arguments of a process as bytes.
//!
//! Here: their list in one buffer. Not here: which of them the kernel side tells (`bpf`), and how a missing part shows
//! (`process/args`).
//! Invariant: a list takes the bytes of its arguments and one for each, however many there are. An argument has no NUL,
//! as the kernel ends each with one.

use std::fmt;

/// A list of arguments; each ends with a NUL.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Args(Box<[u8]>);

impl Args {
    /// Arguments of which each ends with a NUL but for the last one, which can have lost it.
    pub(crate) fn of_terminated(bytes: &[u8]) -> Self {
        match bytes.last() {
            Some(0) | None => Self(bytes.into()),
            Some(_) => Self::of_joined(bytes.to_vec()),
        }
    }

    /// Arguments that a NUL divides.
    pub(crate) fn of_joined(mut bytes: Vec<u8>) -> Self {
        bytes.push(0);
        Self(bytes.into())
    }

    /// Their bytes, divided by a NUL.
    #[must_use]
    pub fn joined(&self) -> &[u8] {
        self.0.strip_suffix(&[0]).unwrap_or_default()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let joined = self.0.strip_suffix(&[0]).into_iter();
        joined.flat_map(|joined| joined.split(|byte| *byte == 0))
    }

    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for Args {
    fn from_iter<I: IntoIterator<Item = T>>(args: I) -> Self {
        let mut bytes = Vec::new();
        for arg in args {
            bytes.extend_from_slice(arg.as_ref());
            bytes.push(0);
        }
        Self(bytes.into())
    }
}

impl<T: AsRef<[u8]>, const N: usize> PartialEq<[T; N]> for Args {
    fn eq(&self, other: &[T; N]) -> bool {
        self.iter().eq(other.iter().map(AsRef::as_ref))
    }
}

impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self.iter().map(String::from_utf8_lossy);
        f.debug_list().entries(texts).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_what_they_were() {
        for (terminated, want) in [
            (&b""[..], &[][..]),
            (b"\0", &[""]),
            (b"\0\0", &["", ""]),
            (b"a", &["a"]),
            (b"a\0", &["a"]),
            (b"a\0b", &["a", "b"]),
            (b"\0b\0", &["", "b"]),
        ] {
            let args = Args::of_terminated(terminated);
            let found: Vec<_> = args.iter().collect();
            let bytes: Vec<_> = want.iter().map(|arg| arg.as_bytes()).collect();
            assert_eq!(found, bytes, "{terminated:?}");
            assert_eq!((args.len(), args.is_empty()), (want.len(), want.is_empty()));
            assert_eq!(args.joined(), bytes.join(&0), "{terminated:?}");
            assert_eq!(args, want.iter().collect::<Args>());
            if !args.is_empty() {
                assert_eq!(Args::of_joined(args.joined().to_vec()), args);
            }
        }
        let args: Args = ["a\u{1b}", "é"].into_iter().collect();
        assert_eq!(format!("{args:?}"), r#"["a\u{1b}", "é"]"#);
        assert!(args == ["a\u{1b}", "é"] && args != ["a\u{1b}"]);
    }
}
