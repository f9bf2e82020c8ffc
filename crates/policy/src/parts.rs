//! The parts of a process that are only built where an expression reads them.
//!
//! Here: which those are, and which a policy reads. Not here: building them (`sensor`), following a variable through
//! expressions (`bailiff_cel::reads`).
//! Invariant: an expression has the same value for a process that has the parts that it reads and for one that has all.

use bailiff_cel::Reads;

/// Parts of a [`crate::Process`] whose texts cost more than all the rest of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessParts {
    /// `args` and `argPaths`.
    pub args: bool,
    /// `ancestors` and `parent`.
    pub ancestors: bool,
    /// `capabilities`.
    pub capabilities: bool,
}

impl ProcessParts {
    /// All parts.
    pub const ALL: Self = Self {
        args: true,
        ancestors: true,
        capabilities: true,
    };

    /// The parts that are read of the variable `process`.
    pub(crate) fn of(reads: &Reads) -> Self {
        // What goes through all of its fields needs all of them.
        if reads.is_whole() || reads.elements().is_some() || reads.values().is_some() {
            return Self::ALL;
        }
        let any = |names: [&str; 2]| names.iter().any(|name| reads.field(name).is_some());
        Self {
            args: any(["args", "argPaths"]),
            ancestors: any(["ancestors", "parent"]),
            capabilities: reads.field("capabilities").is_some(),
        }
    }

    /// What either of them has.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self {
            args: self.args || other.args,
            ancestors: self.ancestors || other.ancestors,
            capabilities: self.capabilities || other.capabilities,
        }
    }

    /// Whether a process with these parts has the others, too.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.union(other) == self
    }
}

#[cfg(test)]
mod tests;
