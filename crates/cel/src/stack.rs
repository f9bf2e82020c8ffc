//! The stack that walking a tree takes.
//!
//! Here: room for so many levels of recursion, wherever the caller is. Not here: how deep a tree may
//! be (`parse`).
//! Invariant: no tree that parses overflows the stack of a thread, however small that is; a shallow
//! one takes no other stack than the thread's own.

/// What one level of a tree takes at most in the deepest of its walkers, in bytes; measured by
/// `tests/nesting.rs`, which runs every kind of nesting at its limit.
const LEVEL: usize = if cfg!(debug_assertions) {
    16 * 1024
} else {
    4 * 1024
};

/// What the functions take that a walker calls and that do not recurse.
const REST: usize = 128 * 1024;

/// Runs something that recurses so many levels deep, on a stack of its own where the rest of the
/// thread's is too small.
pub(crate) fn with<T>(levels: usize, walk: impl FnOnce() -> T) -> T {
    let size = levels.saturating_mul(LEVEL).saturating_add(REST);
    stacker::maybe_grow(size, size, walk)
}

/// The depth of a tree as a number of levels.
pub(crate) fn levels(depth: u32) -> usize {
    usize::try_from(depth).unwrap_or(usize::MAX)
}
