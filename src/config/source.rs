//! The files a configuration comes from, and places in them.

use std::path::{Path, PathBuf};

/// A stretch of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Which file, as an index into [`Sources`].
    pub file: usize,
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// The files, in the order in which they were named: the city's file, then its overlays.
#[derive(Debug, Default, Clone)]
pub struct Sources(Vec<Source>);

#[derive(Debug, Clone)]
struct Source {
    name: String,
    path: PathBuf,
    text: String,
}

impl Sources {
    /// Adds a file; its index.
    pub fn add(&mut self, path: &Path, text: String) -> usize {
        self.0.push(Source { name: path.display().to_string(), path: path.to_owned(), text });
        self.0.len() - 1
    }
    /// A file's name, as it was given.
    pub fn name(&self, file: usize) -> &str {
        self.0.get(file).map_or("", |s| &s.name)
    }
    /// A file's text.
    pub fn text(&self, file: usize) -> &str {
        self.0.get(file).map_or("", |s| &s.text)
    }
    /// The folder that relative paths in a file start from.
    pub fn folder(&self, file: usize) -> &Path {
        self.0.get(file).and_then(|s| s.path.parent()).unwrap_or(Path::new(""))
    }
    /// Line and column of a place's start, counted from one; the column in characters.
    pub fn line_and_column(&self, place: Place) -> (usize, usize) {
        let before = self.text(place.file).get(..place.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}
