//! Answers about layers that an image has several times.
//!
//! Here: keeping an answer while it is read, and finding it again. Not here: what is believed of it (`validate`).
//! Invariant: an answer is used again only for a blob with the same digest, which the process has verified, and for the
//! same work. It is checked again as if a process gave it. What is kept has a bounded size; without room, the layer is
//! read again.

use crate::report::Work;
use bailiff_oci::Digest;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};

/// Bytes of all answers that are kept of an image.
const KEPT: u64 = 1 << 30;

/// Answers that can be used again.
pub(crate) struct Answers {
    kept: Vec<(Digest, Work, File)>,
    /// Bytes that there is room for.
    room: u64,
}

impl Answers {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            kept: Vec::new(),
            room: KEPT,
        }
    }

    /// The answer about a blob, from its begin. None if there is none.
    pub(crate) fn about(&self, digest: Option<&Digest>, work: &Work) -> Option<File> {
        let digest = digest?;
        let mut all = self.kept.iter();
        let (_, _, file) = all.find(|(of, kept, _)| of == digest && kept == work)?;
        let mut file = file.try_clone().ok()?;
        file.rewind().ok()?;
        Some(file)
    }

    /// Reads an answer; `keep` says whether it is kept.
    pub(crate) fn record<R: Read>(&self, answer: R, keep: bool) -> Recorded<R> {
        let into = if keep {
            tempfile::tempfile().ok()
        } else {
            None
        };
        Recorded {
            answer,
            into,
            count: 0,
            room: self.room,
        }
    }

    /// Keeps what was recorded of an answer that was believed to its end.
    pub(crate) fn keep<R>(&mut self, digest: &Digest, work: &Work, recorded: Recorded<R>) {
        if let Some(file) = recorded.into {
            self.room = self.room.saturating_sub(recorded.count);
            self.kept.push((digest.clone(), work.clone(), file));
        }
    }
}

/// An answer of which every byte that is read is written to a file, as long as there is room.
pub(crate) struct Recorded<R> {
    answer: R,
    into: Option<File>,
    count: u64,
    room: u64,
}

impl<R: Read> Read for Recorded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.answer.read(into)?;
        let bytes = into.get(..read).unwrap_or_default();
        self.count = self
            .count
            .saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        let is_kept = match &mut self.into {
            Some(file) => self.count <= self.room && file.write_all(bytes).is_ok(),
            None => false,
        };
        if !is_kept {
            self.into = None;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> Digest {
        let digits: String = std::iter::repeat_n(digit, 64).collect();
        Digest::parse(&format!("sha256:{digits}")).unwrap()
    }

    fn text(file: Option<File>) -> Option<String> {
        let mut text = String::new();
        file?.read_to_string(&mut text).unwrap();
        Some(text)
    }

    #[test]
    fn an_answer_is_found_again_for_the_same_blob_and_work() {
        let mut answers = Answers::new();
        let work = |ordinal| Work::Files(vec![(ordinal, b"a".to_vec())]);
        let mut recorded = answers.record(&b"answer"[..], true);
        let mut read = String::new();
        recorded.read_to_string(&mut read).unwrap();
        answers.keep(&digest('1'), &work(0), recorded);
        for _ in 0..2 {
            let found = answers.about(Some(&digest('1')), &work(0));
            assert_eq!(text(found).as_deref(), Some("answer"));
        }
        assert_eq!(read, "answer");
        assert_eq!(text(answers.about(Some(&digest('1')), &work(1))), None);
        assert_eq!(text(answers.about(Some(&digest('2')), &work(0))), None);
        assert_eq!(text(answers.about(None, &work(0))), None);
    }

    #[test]
    fn what_is_kept_has_a_bounded_size() {
        let mut answers = Answers::new();
        answers.room = 10;
        let work = Work::Files(Vec::new());
        for (digit, length, expected) in [('1', 6, true), ('2', 5, false), ('3', 4, true)] {
            let mut recorded = answers.record(io::repeat(b'a').take(length), true);
            io::copy(&mut recorded, &mut io::sink()).unwrap();
            answers.keep(&digest(digit), &work, recorded);
            let found = answers.about(Some(&digest(digit)), &work);
            assert_eq!(found.is_some(), expected, "{digit}");
        }
        // Not all of them are in the image again.
        let mut recorded = answers.record(io::empty(), false);
        io::copy(&mut recorded, &mut io::sink()).unwrap();
        answers.keep(&digest('4'), &work, recorded);
        assert!(answers.about(Some(&digest('4')), &work).is_none());
    }
}
