//! Text that publishers of advisories wrote.
//!
//! Here: what of it is kept. Not here: where it is from (`osv`, `secdb`, `debian`, `debian_list`).
//! Invariant: what is kept is one line of bounded length. It is not printable yet.

/// Bytes of the name of an advisory.
pub(crate) const ID_LIMIT: usize = 256;
/// Characters of a line.
pub(crate) const LINE_LIMIT: usize = 200;

/// The first line that has text, without the marks of a heading, cut at a limit. Empty if there is none.
pub(crate) fn line(text: &str) -> String {
    let line = text
        .lines()
        .map(|line| line.trim_start_matches(['#', ' ']).trim())
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    match line.char_indices().nth(LINE_LIMIT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Whether a text can be the name of an advisory: printable ASCII without spaces.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=ID_LIMIT).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
