//! One figure and its target.

use serde_json::{Value, json};

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// At most this.
    Most(f64),
    /// At least this.
    Least(f64),
    /// Nothing: it is told, to be read beside the others.
    Told,
}

/// One measured figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// What was measured; nothing when it could not be.
    pub value: Option<f64>,
    /// In what unit.
    pub unit: &'static str,
    /// What is promised.
    pub target: Target,
    /// What a reader should know beside it.
    pub note: String,
}

impl Figure {
    /// A measured figure of a group's list.
    pub fn of(list: &[(&'static str, &'static str, Target)], name: &'static str, value: f64, note: impl Into<String>) -> Self {
        let (unit, target) = list.iter().find(|(n, ..)| *n == name).map_or(("", Target::Most(0.0)), |(_, u, t)| (*u, *t));
        Self { name, value: Some(value), unit, target, note: note.into() }
    }

    /// Whether the promise is kept.
    pub fn holds(&self) -> bool {
        self.value.is_some_and(|v| match self.target {
            Target::Most(most) => v <= most,
            Target::Least(least) => v >= least,
            Target::Told => true,
        })
    }

    fn verdict(&self) -> &'static str {
        match (self.target, self.holds()) {
            (Target::Told, true) => "told",
            (Target::Told, false) => "skipped",
            (_, true) => "ok",
            (_, false) => "short",
        }
    }

    /// The figure as a line: name, value, unit, target, `ok` or `short`, and a note behind `#`. One without a target is `told` or `skipped`.
    pub fn line(&self) -> String {
        let value = self.value.map_or_else(|| "-".to_owned(), shown);
        let target = match self.target {
            Target::Most(most) => format!("<={}", shown(most)),
            Target::Least(least) => format!(">={}", shown(least)),
            Target::Told => "-".to_owned(),
        };
        let verdict = self.verdict();
        let note = if self.note.is_empty() { String::new() } else { format!("  # {}", self.note) };
        format!("{:<24} {value:>10} {:<14} {target:>9} {verdict}{note}", self.name, self.unit)
    }

    /// The figure for programs.
    pub fn to_json(&self) -> Value {
        let target = match self.target {
            Target::Most(most) => json!({"most": most}),
            Target::Least(least) => json!({"least": least}),
            Target::Told => Value::Null,
        };
        json!({
            "name": self.name, "value": self.value, "unit": self.unit, "target": target, "verdict": self.verdict(), "note": self.note,
        })
    }
}

/// A figure that could not be taken.
pub fn failed(name: &'static str, unit: &'static str, target: Target, why: &str) -> Figure {
    Figure { name, value: None, unit, target, note: why.to_owned() }
}

/// The figure `name` of a group's list, which could not be taken.
pub fn unmeasured(list: &[(&'static str, &'static str, Target)], name: &'static str, why: &str) -> Figure {
    Figure { value: None, ..Figure::of(list, name, 0.0, why) }
}

/// Three significant digits, without an exponent.
fn shown(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
