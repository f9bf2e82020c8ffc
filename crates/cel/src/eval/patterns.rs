//! Patterns that are computed, kept from one evaluation to the next.
//!
//! Here: which are kept. Not here: patterns that stand in an expression, which are compiled with it (`plan`), and what
//! compiling one costs (`library::regexes`).
//! Invariant: what is kept changes no result and no budget: an evaluation pays for a pattern as if it were compiled. Its
//! memory is bounded, whoever the text of the patterns is from.

use crate::library::regexes;
use regex::Regex;
use std::sync::{Mutex, PoisonError};

/// Most patterns that are kept.
const KEPT: usize = 16;
/// Most steps that compiling all that are kept takes: as many as make some 640 KiB of automata.
const STEPS: u64 = 400_000;

/// The patterns that the last evaluations computed: most often the same ones, from a variable of a policy.
#[derive(Debug, Default)]
pub(crate) struct ComputedPatterns(Mutex<Vec<Kept>>);

#[derive(Debug)]
struct Kept {
    pattern: Box<str>,
    regex: Regex,
    steps: u64,
}

impl ComputedPatterns {
    /// A pattern, compiled. `steps` is what that takes ([`regexes::effort`]).
    ///
    /// # Errors
    /// As [`regexes::compile`].
    pub(super) fn compiled(&self, pattern: &str, steps: u64) -> Result<Regex, String> {
        let known = {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let mut kept = kept.iter();
            kept.find(|kept| *kept.pattern == *pattern)
                .map(|kept| kept.regex.clone())
        };
        if let Some(regex) = known {
            return Ok(regex);
        }
        // Others need not wait while it is compiled.
        let regex = regexes::compile(pattern)?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if steps <= STEPS && kept.iter().all(|kept| *kept.pattern != *pattern) {
            kept.push(Kept {
                pattern: pattern.into(),
                regex: regex.clone(),
                steps,
            });
            // The oldest ones go.
            while kept.len() > KEPT || kept.iter().map(|kept| kept.steps).sum::<u64>() > STEPS {
                kept.remove(0);
            }
        }
        Ok(regex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(patterns: &ComputedPatterns) -> Vec<String> {
        let kept = patterns.0.lock().unwrap();
        kept.iter().map(|kept| kept.pattern.to_string()).collect()
    }

    #[test]
    fn the_last_patterns_are_kept_within_bounds() {
        let patterns = ComputedPatterns::default();
        for number in 0..20 {
            let pattern = format!("^a{number}$");
            let regex = patterns.compiled(&pattern, 1).unwrap();
            assert!(regex.is_match(&format!("a{number}")));
        }
        let last: Vec<_> = (4..20).map(|number| format!("^a{number}$")).collect();
        assert_eq!(kept(&patterns), last);
        // Known ones stay where they are.
        patterns.compiled("^a4$", 1).unwrap();
        assert_eq!(kept(&patterns), last);
        // One that takes nearly all of the room drives out the others, one that takes more is not kept.
        patterns.compiled("large", STEPS).unwrap();
        patterns.compiled("too large", STEPS + 1).unwrap();
        assert_eq!(kept(&patterns), ["large"]);
        patterns.compiled("(", 1).unwrap_err();
        assert_eq!(kept(&patterns), ["large"]);
    }
}
