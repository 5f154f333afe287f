//! The table of results, in Markdown.

use crate::rows::{Against, ROWS, Row, Target, Unit};
use crate::{Figure, Results};

/// Lays the columns out side by side, with the ratios of our figures to the native ones and to
/// gVisor's, and with what they should reach.
pub fn render(columns: &[(String, Results)]) -> String {
    let find = |name: &str| {
        columns.iter().find(|(column, _)| column.rsplit('/').next() == Some(name)).map(|(_, r)| r)
    };
    let (native, ours, gvisor) = (find("native"), find("runsc-rs"), find("runsc"));
    let mut lines = vec![heading(columns)];
    for row in ROWS.iter().filter(|row| columns.iter().any(|(_, r)| r.contains_key(row.name))) {
        let value = |results: Option<&Results>| match results?.get(row.name)? {
            Figure::Value(value) => Some(*value),
            _ => None,
        };
        let our_figure = ours.and_then(|results| results.get(row.name));
        let (native, ours, gvisor) = (value(native), value(ours), value(gvisor));
        let mut line = vec![row.name.to_owned()];
        line.extend(columns.iter().map(|(_, results)| cell(row, results.get(row.name))));
        line.push(ratio(row, ours, native));
        line.push(ratio(row, ours, gvisor));
        line.push(
            row.target.map(|t| verdict(row, t, our_figure, native, gvisor)).unwrap_or_default(),
        );
        lines.push(line);
    }
    align(&lines)
}

fn heading(columns: &[(String, Results)]) -> Vec<String> {
    let names = columns.iter().map(|(name, _)| name.as_str());
    let first = ["primitive or program"].into_iter();
    let last = ["ours/native", "ours/gVisor", "target"];
    first.chain(names).chain(last).map(String::from).collect()
}

/// Pads the cells: the first and the last column to the left, figures to the right.
fn align(lines: &[Vec<String>]) -> String {
    let count = lines.first().map_or(0, Vec::len);
    let width = |index: usize| lines.iter().map(|l| l[index].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let is_left = |index: usize| index == 0 || index + 1 == count;
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (index, cell) in line.iter().enumerate() {
            let width = widths[index];
            text.push_str(&match is_left(index) {
                true => format!("| {cell:<width$} "),
                false => format!("| {cell:>width$} "),
            });
        }
        text.push_str("|\n");
        if number == 0 {
            for (index, &width) in widths.iter().enumerate() {
                let rule = "-".repeat(width + 1);
                text.push_str(&if is_left(index) {
                    format!("|{rule}-")
                } else {
                    format!("|{rule}:")
                });
            }
            text.push_str("|\n");
        }
    }
    text
}

fn cell(row: &Row, figure: Option<&Figure>) -> String {
    match figure {
        Some(Figure::Value(value)) => show(row.unit, *value),
        Some(Figure::Timeout) => "timeout".to_owned(),
        Some(Figure::Failed) => "failed".to_owned(),
        None => "–".to_owned(),
    }
}

fn ratio(row: &Row, ours: Option<f64>, other: Option<f64>) -> String {
    match (ours, other) {
        (Some(ours), Some(other)) if other > 0.0 && row.unit != Unit::Ratio => {
            format!("{:.2}", ours / other)
        }
        _ => "–".to_owned(),
    }
}

/// The target and whether it is reached, if that is known.
fn verdict(
    row: &Row,
    target: Target,
    ours: Option<&Figure>,
    native: Option<f64>,
    gvisor: Option<f64>,
) -> String {
    let sign = if row.unit == Unit::Rate { "≥" } else { "≤" };
    let (text, other) = match target.against {
        Against::Native => (format!("{sign} {} native", target.factor), native),
        Against::Gvisor => (format!("{sign} {} gVisor", target.factor), gvisor),
        Against::Fixed => (format!("{sign} {}", show(row.unit, target.factor)), Some(1.0)),
    };
    let is_reached = match (ours, other) {
        (None, _) | (Some(Figure::Value(_)), None) => return text,
        (Some(Figure::Timeout | Figure::Failed), _) => false,
        (Some(Figure::Value(ours)), Some(other)) if row.unit == Unit::Rate => {
            *ours >= target.factor * other
        }
        (Some(Figure::Value(ours)), Some(other)) => *ours <= target.factor * other,
    };
    format!("{text}: {}", if is_reached { "yes" } else { "NO" })
}

fn show(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Bytes => format!("{:.1} MiB", value / f64::from(1 << 20)),
        Unit::Share => format!("{:.2} %", value * 100.0),
        Unit::Ratio => format!("{value:.2} ×"),
        Unit::Rate if value < 1e3 => format!("{value:.0} /s"),
        Unit::Rate => format!("{:.1} k/s", value / 1e3),
        Unit::Time if value < 1e3 => format!("{value:.0} ns"),
        Unit::Time if value < 1e6 => format!("{:.2} µs", value / 1e3),
        Unit::Time => format!("{:.2} ms", value / 1e6),
    }
}
