//! Tables as kubectl prints them.
//!
//! Here: column widths and ages. Not here: the content of cells, which callers escape.
//! Invariant: a row is one line if its cells are.

use std::fmt::Write as _;

/// Spaces between columns.
const GAP: usize = 3;

/// The lines of a table, with each cell padded to the width of its column.
pub(crate) fn lines(headers: Option<&[&str]>, rows: &[Vec<String>]) -> Vec<String> {
    let width = |text: &str| text.chars().count();
    let columns = rows
        .iter()
        .map(Vec::len)
        .chain(headers.map(<[_]>::len))
        .max()
        .unwrap_or(0);
    let mut widths = vec![0; columns];
    let header: Option<Vec<String>> =
        headers.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    for row in header.iter().chain(rows) {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    header
        .iter()
        .chain(rows)
        .map(|row| {
            let mut line = String::new();
            for (cell, widest) in row.iter().zip(&widths) {
                let pad = widest.saturating_sub(width(cell)) + GAP;
                // Writing to a String does not fail.
                if write!(line, "{cell}{:pad$}", "").is_err() {
                    break;
                }
            }
            line.trim_end().to_owned()
        })
        .collect()
}

/// An age as kubectl prints it: two units below ten of the larger one, else one.
pub(crate) fn age(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: char, rest: i64, small: char| {
        if rest == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit}{rest}{small}")
        }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![
            vec!["a".to_owned(), "long cell".to_owned(), "x".to_owned()],
            vec!["bcd".to_owned(), "…".to_owned(), String::new()],
        ];
        assert_eq!(
            lines(Some(&["NAME", "B", "C"]), &rows),
            ["NAME   B           C", "a      long cell   x", "bcd    …"]
        );
    }

    #[test]
    fn ages_are_as_kubectls() {
        for (seconds, want) in [
            (-1, "0s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (601, "10m"),
            (10_800, "3h"),
            (11_000, "3h3m"),
            (100_000, "27h"),
            (200_000, "2d7h"),
            (1_000_000, "11d"),
        ] {
            assert_eq!(age(seconds), want);
        }
    }
}
