//! The ledger beside the database: what must never be revived by an old backup. One line a raising of the epoch, synced before the batch
//! is acknowledged. No backup contains it, no restore replaces it.

use crate::StoreError;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const HEADER: &str = "waybill epochs 1 ";

/// A look at the end suffices at an opening: only there a crash can have cut something off.
const TAIL: u64 = 64 * 1024;

/// An open ledger. Several processes may have it open: whoever reads to mend or adds to it holds its lock.
pub struct Ledger {
    file: File,
    header: usize,
    /// What is in the database but could not be written here.
    unwritten: Vec<(u64, Vec<u8>)>,
}

/// What a ledger held when it was opened.
pub struct Found {
    /// The notes by epoch, as far as they were read.
    pub notes: BTreeMap<u64, Vec<u8>>,
    /// Whether older notes stand before those.
    pub more: bool,
    /// Whether it was there.
    pub existed: bool,
}

/// Where the ledger of the store in `dir` is.
pub fn path(dir: &Path) -> PathBuf {
    dir.join("epochs")
}

impl Ledger {
    /// Opens the ledger of the store `id`, or starts one, and reads its end. A last line that a crash cut short is dropped: its batch was never
    /// acknowledged.
    pub fn open(dir: &Path, id: &str) -> Result<(Self, Found), StoreError> {
        let header = format!("{HEADER}{id}\n");
        let file = OpenOptions::new().read(true).append(true).create(true).open(path(dir))?;
        file.lock()?;
        let mut ledger = Self { file, header: header.len(), unwritten: Vec::new() };
        let mut start = Vec::new();
        (&ledger.file).take(header.len() as u64).read_to_end(&mut start)?;
        let existed = start == header.as_bytes();
        let mut found = Found { notes: BTreeMap::new(), more: false, existed };
        if existed {
            let size = ledger.file.metadata()?.len();
            let from = size.saturating_sub(TAIL);
            found.more = from > header.len() as u64;
            let (mut notes, mut good) = ledger.notes_from(if found.more { from } else { header.len() as u64 }, found.more)?;
            if found.more && notes.is_empty() {
                // The last note alone is longer than the part that was looked at.
                found.more = false;
                (notes, good) = ledger.notes_from(header.len() as u64, false)?;
            }
            found.notes = notes;
            if good < size {
                ledger.file.set_len(good)?;
            }
        } else if header.as_bytes().starts_with(&start) {
            ledger.file.set_len(0)?;
            ledger.file.write_all(header.as_bytes())?;
            ledger.file.sync_all()?;
            sync_dir(dir)?;
        } else if start.starts_with(HEADER.as_bytes()) {
            return Err(StoreError::Corrupt("the ledger `epochs` beside it belongs to another store".into()));
        } else {
            return Err(StoreError::Corrupt("the file `epochs` is not a ledger of ours".into()));
        }
        ledger.file.unlock()?;
        Ok((ledger, found))
    }

    /// All notes.
    pub fn all(&mut self) -> Result<BTreeMap<u64, Vec<u8>>, StoreError> {
        self.file.lock()?;
        let notes = self.notes_from(self.header as u64, false);
        self.file.unlock()?;
        Ok(notes?.0)
    }

    /// The notes in the lines from byte `from` on, and where the last whole line ends. With `inside`, `from` may stand in the midst of a line.
    fn notes_from(&self, from: u64, inside: bool) -> Result<(BTreeMap<u64, Vec<u8>>, u64), StoreError> {
        let mut text = Vec::new();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut text)?;
        let line_end = |at: usize| text[at..].iter().position(|b| *b == b'\n');
        let mut good = if inside { line_end(0).map_or(text.len(), |end| end + 1) } else { 0 };
        let mut notes = BTreeMap::new();
        while let Some(end) = line_end(good) {
            let Some((epoch, note)) = read_line(&text[good..good + end]) else {
                return Err(StoreError::Corrupt(format!("the ledger `epochs` is damaged at byte {}", from + good as u64)));
            };
            notes.insert(epoch, note);
            good += end + 1;
        }
        Ok((notes, from + good as u64))
    }

    /// Adds notes, and returns when they are durable. What cannot be written is tried again with the next.
    pub fn append(&mut self, notes: &[(u64, Vec<u8>)]) -> Result<(), StoreError> {
        self.unwritten.extend_from_slice(notes);
        let mut text = String::new();
        for (epoch, note) in &self.unwritten {
            // A String takes every write.
            let _ = write!(text, "{epoch} ");
            for b in note {
                let _ = write!(text, "{b:02x}");
            }
            let _ = writeln!(text, " {:08x}", check(*epoch, note));
        }
        self.file.lock()?;
        let size = self.file.metadata()?.len();
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // A line that is there in part would spoil those behind it.
            self.file.set_len(size)?;
        }
        self.file.unlock()?;
        written?;
        self.unwritten.clear();
        Ok(())
    }
}

fn read_line(line: &[u8]) -> Option<(u64, Vec<u8>)> {
    let mut parts = std::str::from_utf8(line).ok()?.split(' ');
    let epoch = parts.next()?.parse().ok()?;
    let hex = parts.next()?;
    let sum = u32::from_str_radix(parts.next()?, 16).ok()?;
    if parts.next().is_some() || hex.len() % 2 != 0 {
        return None;
    }
    let note = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(hex.get(i..i + 2)?, 16).ok()).collect::<Option<Vec<_>>>()?;
    (check(epoch, &note) == sum).then_some((epoch, note))
}

/// FNV-1a: against torn writes, not against people.
fn check(epoch: u64, note: &[u8]) -> u32 {
    epoch.to_be_bytes().iter().chain(note).fold(0x811c_9dc5, |sum, b| (sum ^ u32::from(*b)).wrapping_mul(0x0100_0193))
}

/// Makes a new or renamed file in `dir` durable.
pub fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    Ok(File::open(dir)?.sync_all()?)
}
