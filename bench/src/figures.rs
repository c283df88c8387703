//! Measured figures of both sides, and the table of their medians.

use crate::target::Side;
use std::fmt::Write as _;

/// A measured figure: name, unit, whether more is better, and the values of each side's rounds.
pub struct Figure {
    name: String,
    unit: &'static str,
    more_is_better: bool,
    postgresql: Vec<f64>,
    serin: Vec<f64>,
}

impl Figure {
    pub fn new(name: impl Into<String>, unit: &'static str, more_is_better: bool) -> Figure {
        Figure { name: name.into(), unit, more_is_better, postgresql: Vec::new(), serin: Vec::new() }
    }
    pub fn name(&self) -> &str {
        &self.name
    }
    pub fn push(&mut self, side: Side, value: f64) {
        match side {
            Side::PostgreSql => self.postgresql.push(value),
            Side::Serin => self.serin.push(value),
        }
    }
}

pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// Medians side by side, as Markdown; with a ratio where both sides were run.
pub fn table(figures: &[Figure], compared: bool) -> String {
    let mut text =
        String::from("| workload | unit | PostgreSQL | Serin | ratio |\n|---|---|---:|---:|---:|\n");
    let show = |value: Option<f64>| match value {
        None => "–".to_owned(),
        Some(value) if value >= 1000.0 => format!("{value:.0}"),
        Some(value) if value >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.4}"),
    };
    for figure in figures {
        let (postgresql, serin) = (median(&figure.postgresql), median(&figure.serin));
        let ratio = match (postgresql, serin) {
            (Some(postgresql), Some(serin)) if compared && postgresql > 0.0 => {
                let sense = if figure.more_is_better { "×" } else { "× (less is better)" };
                format!("{:.2}{sense}", serin / postgresql)
            }
            _ => "–".to_owned(),
        };
        let (postgresql, serin) = (show(postgresql), show(serin));
        let _ = writeln!(text, "| {} | {} | {postgresql} | {serin} | {ratio} |", figure.name, figure.unit);
    }
    text
}
