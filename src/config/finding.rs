//! What is wrong with a configuration: where, why, and what to do. All of it at once.

use super::secret::Secret;
use super::source::{Place, Sources};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity, SourceCode};
use std::cell::RefCell;
use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The hub starts, but somebody should look.
    Warning,
    /// The hub does not start.
    Error,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its code, for `waybill explain`.
    pub code: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What is wrong. Never holds a value that came from a variable or a file.
    pub message: String,
    /// Where; nothing when no file is to blame.
    pub place: Option<Place>,
    /// What to do.
    pub help: Option<String>,
}

impl Finding {
    /// An error at a place.
    pub fn error(code: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self { code, level: Level::Error, message: message.into(), place: Some(place), help: None }
    }
    /// A warning at a place.
    pub fn warning(code: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(code, place, message) }
    }
    /// The same, saying what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Collects findings while reading goes on.
#[derive(Default)]
pub struct Findings {
    list: RefCell<Vec<Finding>>,
    /// Values that came from variables and files.
    hidden: RefCell<Vec<Secret>>,
}

/// Shorter values are no secrets, and taking them out would garble every text.
const SHORTEST_HIDDEN: usize = 3;

impl Findings {
    /// Adds one.
    pub fn add(&self, finding: Finding) {
        self.list.borrow_mut().push(finding);
    }
    /// Takes care that `value` shows in no finding, whoever quotes it.
    pub fn hide(&self, value: &str) {
        if value.len() >= SHORTEST_HIDDEN {
            self.hidden.borrow_mut().push(Secret::new(value));
        }
    }
    /// All of them, in the order of the files.
    pub fn into_sorted(self) -> Vec<Finding> {
        let mut all = self.list.into_inner();
        let mut hidden = self.hidden.into_inner();
        // The longest first: one may hold another.
        hidden.sort_by_key(|s| std::cmp::Reverse(s.expose().len()));
        for text in all.iter_mut().flat_map(|f| std::iter::once(&mut f.message).chain(f.help.as_mut())) {
            for secret in hidden.iter().filter(|s| !s.expose().is_empty()) {
                if text.contains(secret.expose()) {
                    *text = text.replace(secret.expose(), "…");
                }
            }
        }
        all.sort_by_key(|f| f.place.map_or((0, 0), |p| (p.file, p.start)));
        all.dedup();
        all
    }
}

/// The text for people: one block a finding, with the lines of the file.
pub fn render(findings: &[Finding], sources: &Sources, colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false);
    let mut out = String::new();
    for finding in findings {
        let shown = Shown {
            finding,
            source: finding.place.map(|p| NamedSource::new(sources.name(p.file), sources.text(p.file).to_owned()).with_language("TOML")),
        };
        // Writing into memory does not fail; should the handler refuse, the bare message still stands.
        if handler.render_report(&mut out, &shown).is_err() {
            out.push_str(&finding.message);
        }
        out.push('\n');
    }
    out
}

/// The same for programs.
pub fn to_json(findings: &[Finding], sources: &Sources) -> serde_json::Value {
    findings
        .iter()
        .map(|f| {
            let mut out = serde_json::json!({
                "code": f.code,
                "level": if f.level == Level::Error { "error" } else { "warning" },
                "message": f.message,
            });
            if let Some(place) = f.place {
                let (line, column) = sources.line_and_column(place);
                out["file"] = sources.name(place.file).into();
                out["line"] = line.into();
                out["column"] = column.into();
                out["span"] = serde_json::json!({"start": place.start, "end": place.end});
            }
            if let Some(help) = &f.help {
                out["help"] = help.clone().into();
            }
            out
        })
        .collect()
}

struct Shown<'a> {
    finding: &'a Finding,
    source: Option<NamedSource<String>>,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}
impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}
impl std::error::Error for Shown<'_> {}
impl Diagnostic for Shown<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(self.finding.code))
    }
    fn severity(&self) -> Option<Severity> {
        Some(if self.finding.level == Level::Error { Severity::Error } else { Severity::Warning })
    }
    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.finding.help.as_ref().map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|s| s as &dyn SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.finding.place?;
        let span = LabeledSpan::new_primary_with_span(Some("here".to_owned()), (place.start, place.end.saturating_sub(place.start)));
        Some(Box::new(std::iter::once(span)))
    }
}
