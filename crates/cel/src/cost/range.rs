//! A range of costs or sizes, and how ranges are added and multiplied.
//!
//! Here: arithmetic that ends at the largest number instead of wrapping (cel-go, checker/cost.go,
//! `CostEstimate`, `SizeEstimate`). Not here: what is added up (`walk`, `call`).
//! Invariant: each operation gives the bits that the API server's gives, rounding of doubles
//! included.

/// What a cost or a size is at least and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// At least this.
    pub min: u64,
    /// At most this; [`u64::MAX`] where there is no bound.
    pub max: u64,
}

impl Range {
    /// Anything.
    pub const UNKNOWN: Self = Self {
        min: 0,
        max: u64::MAX,
    };

    /// Exactly this.
    #[must_use]
    pub const fn fixed(value: u64) -> Self {
        Self {
            min: value,
            max: value,
        }
    }

    /// A range that nothing lies in, to be widened by [`Self::or`].
    pub(super) const NOTHING: Self = Self {
        min: u64::MAX,
        max: 0,
    };

    /// One after the other.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            min: self.min.saturating_add(other.min),
            max: self.max.saturating_add(other.max),
        }
    }

    /// One for each of the other.
    pub(super) fn times(self, other: Self) -> Self {
        Self {
            min: self.min.saturating_mul(other.min),
            max: self.max.saturating_mul(other.max),
        }
    }

    /// Either.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    /// A part or a multiple, rounded up.
    pub(super) fn scaled(self, factor: f64) -> Self {
        Self {
            min: scaled(self.min, factor),
            max: scaled(self.max, factor),
        }
    }
}

/// The API server multiplies doubles, and so are its estimates: a tenth of the largest number is
/// 1844674407370955264.
fn scaled(value: u64, factor: f64) -> u64 {
    whole((double(value) * factor).ceil())
}

/// The nearest double.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "rounded as in Go"
)]
pub(super) fn double(value: u64) -> f64 {
    value as f64
}

/// The number of a double that is no fraction; the largest for those above it.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` ends at the bounds"
)]
pub(super) fn whole(value: f64) -> u64 {
    value as u64
}
