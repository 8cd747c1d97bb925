//! What is printed: tables that are Markdown as well, and numbers with their units.

use std::{fmt, time::Duration};

/// Prints a table under a title. The first column is text, the others are numbers.
pub(crate) fn print<const N: usize>(title: &str, head: [&str; N], rows: &[[String; N]]) {
    let head = head.map(str::to_owned);
    let width = |column: usize| {
        rows.iter()
            .chain([&head])
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| {
            if column == 0 {
                format!(" {cell:width$} |")
            } else {
                format!(" {cell:>width$} |")
            }
        });
        format!("|{}", cells.collect::<String>())
    };
    println!("**{title}**\n\n{}", line(&head));
    println!(
        "|{}",
        widths
            .iter()
            .enumerate()
            .map(|(column, width)| format!(
                "{:-<1$}{2}|",
                "",
                width + 1,
                if column == 0 { "-" } else { ":" }
            ))
            .collect::<String>()
    );
    for row in rows {
        println!("{}", line(row));
    }
    println!();
}

/// The middle, the slowest of a hundred, and the slowest of all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Percentiles {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

impl Percentiles {
    /// Those of some times; all zero if there are none.
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            times
                .get((times.len() * percent / 100).min(times.len().saturating_sub(1)))
                .copied()
        };
        let [p50, p99, max] = [50, 99, 100].map(|percent| at(percent).unwrap_or_default());
        Self { p50, p99, max }
    }
}

/// Milliseconds, with as many digits as mean something.
pub(crate) fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1_000.0;
    if ms < 10.0 {
        format!("{ms:.2} ms")
    } else {
        format!("{ms:.0} ms")
    }
}

/// One number in terms of another.
pub(crate) fn ratio(this: f64, that: f64) -> String {
    let ratio = this / that;
    if ratio < 10.0 {
        format!("{ratio:.2}")
    } else {
        format!("{ratio:.0}")
    }
}

/// An amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct Kib(pub(crate) f64);

impl Kib {
    /// The larger one.
    pub(crate) fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// Whether it is within a limit, in words.
    pub(crate) fn fits(self, limit: Self) -> &'static str {
        if self < limit {
            "it fits"
        } else {
            "IT DOES NOT FIT"
        }
    }
}

impl fmt::Display for Kib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(kib) = self;
        if *kib < 1024.0 {
            write!(f, "{kib:.1} KiB")
        } else {
            write!(f, "{:.1} MiB", kib / 1024.0)
        }
    }
}
