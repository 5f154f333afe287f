//! The table of results.

use crate::Results;
use std::fmt::Write;

/// Lays the columns out side by side; the first is the reference for ratios.
pub fn render(columns: &[(String, Results)]) -> String {
    let mut names: Vec<&String> = Vec::new();
    for (_, results) in columns {
        names.extend(results.keys());
    }
    names.sort();
    names.dedup();
    let mut text = format!("{:<26}", "primitive");
    for (name, _) in columns {
        let _ = write!(text, "{name:>22}");
    }
    text.push('\n');
    for name in names {
        let _ = write!(text, "{name:<26}");
        let reference = columns.first().and_then(|(_, results)| results.get(name));
        for (index, (_, results)) in columns.iter().enumerate() {
            let cell = match (results.get(name), reference) {
                (None, _) => "–".to_owned(),
                (Some(value), Some(reference)) if index > 0 && *reference > 0.0 => {
                    format!("{} ({:.1}×)", show(name, *value), value / reference)
                }
                (Some(value), _) => show(name, *value),
            };
            let _ = write!(text, "{cell:>22}");
        }
        text.push('\n');
    }
    text
}

fn show(name: &str, value: f64) -> String {
    if name == "idle_memory" {
        return format!("{:.1} MiB", value / f64::from(1 << 20));
    }
    match value {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.2} µs", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}
