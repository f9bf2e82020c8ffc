//! Where data lies: the path from a variable to a node.
//!
//! Here: paths that are made longer. Not here: which node has which (`walk`).
//! Invariant: a path reads as the API server's does. There a path is a slice, and two paths that
//! continue the same one may share their memory: the later one then overwrites the last part of
//! the earlier one (cel-go v0.29.2, checker/cost.go, `append(c.getPath(…), …)`). Which sizes are
//! asked for follows from it, so it is kept.

/// Of a path, which array holds it and how many parts it has; the default is no path.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Path {
    array: usize,
    length: usize,
}

/// The memory of all paths.
#[derive(Debug, Default)]
pub(super) struct Paths<'a> {
    /// Parts, and for how many there is room.
    arrays: Vec<(Vec<&'a str>, usize)>,
}

impl<'a> Paths<'a> {
    /// The path of a variable.
    pub(super) fn of(&mut self, variable: &'a str) -> Path {
        self.longer(Path::default(), variable)
    }

    /// The path of a part.
    pub(super) fn longer(&mut self, path: Path, part: &'a str) -> Path {
        let length = path.length.saturating_add(1);
        let continued = path.length > 0;
        if let Some((parts, room)) = self.arrays.get_mut(path.array).filter(|_| continued)
            && length <= *room
        {
            match parts.get_mut(path.length) {
                Some(place) => *place = part,
                None => parts.push(part),
            }
            let array = path.array;
            return Path { array, length };
        }
        let mut parts = self.parts(path).to_vec();
        parts.push(part);
        // Go doubles; it does so up to 256 parts, and no path is that long.
        let room = path.length.saturating_mul(2).max(length);
        self.arrays.push((parts, room));
        let array = self.arrays.len().saturating_sub(1);
        Path { array, length }
    }

    pub(super) fn parts(&self, path: Path) -> &[&'a str] {
        self.arrays
            .get(path.array)
            .and_then(|(parts, _)| parts.get(..path.length))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_continuations_may_overwrite_the_earlier() {
        let mut paths = Paths::default();
        let two = paths.of("object");
        let two = paths.longer(two, "spec");
        // Room for two: each continuation is an array of its own.
        let (a, b) = (paths.longer(two, "a"), paths.longer(two, "b"));
        assert_eq!(paths.parts(a), ["object", "spec", "a"]);
        assert_eq!(paths.parts(b), ["object", "spec", "b"]);
        // Room for four, and three are there.
        let (c, d) = (paths.longer(a, "c"), paths.longer(a, "d"));
        assert_eq!(paths.parts(c), ["object", "spec", "a", "d"]);
        assert_eq!(paths.parts(d), ["object", "spec", "a", "d"]);
        assert!(paths.parts(Path::default()).is_empty());
    }
}
