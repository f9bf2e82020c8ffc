//! The order in which `sort` and `sortBy` put what is equal.
//!
//! Here: the pattern-defeating quicksort (Orson Peters) with the choices of Go's `sort.Slice` (go1.26,
//! src/sort), which the API server sorts with: it is not stable, and an expression sees where equal
//! keys went. Not here: what is compared (`lists`).
//! Invariant: the same comparisons lead to the same order as there, in O(n log n) of them.

/// Up to this length elements are inserted one by one.
const INSERTED: usize = 12;
/// From this length on a pivot is a median of medians, and neighbors are put right one by one.
const LONG: usize = 50;
/// How many comparisons choose a pivot of medians.
const MOST_SWAPS: u32 = 12;
/// How many pairs of neighbors are put right before that is given up.
const PAIRS: u32 = 5;

/// The places of so many elements in their order, of which `less` says whether the one at the first
/// place is before that at the second.
pub(super) fn sorted(length: usize, less: &dyn Fn(usize, usize) -> bool) -> Vec<usize> {
    let mut sorting = Sorting {
        places: (0..length).collect(),
        less,
    };
    let patience = usize::BITS.saturating_sub(length.leading_zeros());
    sorting.sort(0, length, patience);
    sorting.places
}

struct Sorting<'l> {
    places: Vec<usize>,
    less: &'l dyn Fn(usize, usize) -> bool,
}

/// What choosing a pivot tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hint {
    Unknown,
    Rising,
    Falling,
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "places in a list that is in memory, each kept within its bounds"
)]
impl Sorting<'_> {
    fn less(&self, a: usize, b: usize) -> bool {
        match (self.places.get(a), self.places.get(b)) {
            (Some(a), Some(b)) => (self.less)(*a, *b),
            _ => false,
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.places.swap(a, b);
    }

    /// Sorts a part; `patience` is how many bad pivots it takes to turn to a heap.
    fn sort(&mut self, mut first: usize, mut end: usize, mut patience: u32) {
        let (mut balanced, mut partitioned) = (true, true);
        loop {
            let length = end - first;
            if length <= INSERTED {
                return self.insert_each(first, end);
            }
            if patience == 0 {
                return self.heap(first, end);
            }
            if !balanced {
                self.scatter(first, length);
                patience -= 1;
            }
            let (mut pivot, mut hint) = self.pivot(first, length);
            if hint == Hint::Falling {
                if let Some(part) = self.places.get_mut(first..end) {
                    part.reverse();
                }
                pivot = end - 1 - (pivot - first);
                hint = Hint::Rising;
            }
            if balanced && partitioned && hint == Hint::Rising && self.is_soon_sorted(first, end) {
                return;
            }
            // All before are not greater than these: with an equal one there, many are equal.
            if first > 0 && !self.less(first - 1, pivot) {
                first = self.part_equal(first, end, pivot);
                continue;
            }
            let middle;
            (middle, partitioned) = self.part(first, end, pivot);
            let (left, right) = (middle - first, end - middle);
            balanced = left.min(right) >= length / 8;
            if left < right {
                self.sort(first, middle, patience);
                first = middle + 1;
            } else {
                self.sort(middle + 1, end, patience);
                end = middle;
            }
        }
    }

    fn insert_each(&mut self, first: usize, end: usize) {
        for next in first + 1..end {
            let mut place = next;
            while place > first && self.less(place, place - 1) {
                self.swap(place, place - 1);
                place -= 1;
            }
        }
    }

    fn heap(&mut self, first: usize, end: usize) {
        let length = end - first;
        for root in (0..length / 2 + length % 2).rev() {
            self.sift(root, length, first);
        }
        for last in (0..length).rev() {
            self.swap(first, first + last);
            self.sift(0, last, first);
        }
    }

    /// Lets the element at a root sink to its place in a heap.
    fn sift(&mut self, mut root: usize, length: usize, first: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= length {
                return;
            }
            if child + 1 < length && self.less(first + child, first + child + 1) {
                child += 1;
            }
            if !self.less(first + root, first + child) {
                return;
            }
            self.swap(first + root, first + child);
            root = child;
        }
    }

    /// Moves three elements somewhere else, to break a pattern that makes bad pivots.
    fn scatter(&mut self, first: usize, length: usize) {
        let bits = usize::BITS - length.leading_zeros();
        let mask = 1_u64.checked_shl(bits).unwrap_or(0).wrapping_sub(1);
        let mut random = u64::try_from(length).unwrap_or(u64::MAX);
        let around = first + length / 4 * 2;
        for place in around - 1..=around + 1 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let other = usize::try_from(random & mask).unwrap_or(0);
            let other = if other >= length {
                other - length
            } else {
                other
            };
            self.swap(place, first + other);
        }
    }

    fn pivot(&self, first: usize, length: usize) -> (usize, Hint) {
        let quarter = length / 4;
        let mut swaps = 0;
        let places = [1, 2, 3].map(|times| first + quarter * times);
        let places = if length >= LONG {
            places.map(|place| self.median([place - 1, place, place + 1], &mut swaps))
        } else {
            places
        };
        let pivot = self.median(places, &mut swaps);
        let hint = match swaps {
            0 => Hint::Rising,
            MOST_SWAPS => Hint::Falling,
            _ => Hint::Unknown,
        };
        (pivot, hint)
    }

    /// Which of three places has the element in the middle.
    fn median(&self, [a, b, c]: [usize; 3], swaps: &mut u32) -> usize {
        let mut ordered = |a, b| {
            if self.less(b, a) {
                *swaps += 1;
                (b, a)
            } else {
                (a, b)
            }
        };
        let (a, b) = ordered(a, b);
        let (b, _) = ordered(b, c);
        ordered(a, b).1
    }

    /// Whether a part is sorted after a few neighbors were put right.
    fn is_soon_sorted(&mut self, first: usize, end: usize) -> bool {
        let mut place = first + 1;
        for _ in 0..PAIRS {
            while place < end && !self.less(place, place - 1) {
                place += 1;
            }
            if place == end {
                return true;
            }
            if end - first < LONG {
                return false;
            }
            self.swap(place, place - 1);
            if place - first >= 2 {
                let mut lower = place - 1;
                while lower >= 1 && self.less(lower, lower - 1) {
                    self.swap(lower, lower - 1);
                    lower -= 1;
                }
            }
            if end - place >= 2 {
                let mut upper = place + 1;
                while upper < end && self.less(upper, upper - 1) {
                    self.swap(upper, upper - 1);
                    upper += 1;
                }
            }
        }
        false
    }

    /// Puts what is equal to the pivot before what is greater, and says where that begins; nothing in
    /// the part is less.
    fn part_equal(&mut self, first: usize, end: usize, pivot: usize) -> usize {
        self.swap(first, pivot);
        let (mut low, mut high) = (first + 1, end - 1);
        loop {
            while low <= high && !self.less(first, low) {
                low += 1;
            }
            while low <= high && self.less(first, high) {
                high -= 1;
            }
            if low > high {
                return low;
            }
            self.swap(low, high);
            low += 1;
            high -= 1;
        }
    }

    /// Puts what is less than the pivot before it and the rest behind it; says where it is then, and
    /// whether that was so before.
    fn part(&mut self, first: usize, end: usize, pivot: usize) -> (usize, bool) {
        self.swap(first, pivot);
        let (mut low, mut high) = (first + 1, end - 1);
        let mut was = true;
        loop {
            while low <= high && self.less(low, first) {
                low += 1;
            }
            while low <= high && !self.less(high, first) {
                high -= 1;
            }
            if low > high {
                self.swap(high, first);
                return (high, was);
            }
            was = false;
            self.swap(low, high);
            low += 1;
            high -= 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a panic is the report of a test")]
mod tests {
    use super::sorted;

    /// What has different keys is sorted, whatever it looks like.
    #[test]
    fn places_are_in_the_order_of_their_keys() {
        for length in 0..400_u64 {
            let patterns: [fn(u64, u64) -> u64; 6] = [
                |at, _| at,
                |at, length| length - at,
                |at, _| at % 7,
                |at, length| if at < length / 2 { at } else { length - at },
                |at, _| at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40,
                |at, length| (at ^ (at >> 1)) % (length / 3 + 1),
            ];
            for pattern in patterns {
                let keys: Vec<_> = (0..length).map(|at| pattern(at, length)).collect();
                let found = sorted(keys.len(), &|a, b| keys[a] < keys[b]);
                assert!(found.is_sorted_by_key(|at| keys[*at]), "{keys:?}");
                let mut all = found.clone();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..keys.len()), "{keys:?}");
            }
        }
    }
}
