//! The ledger beside the database: what must never be revived by an old backup. One line a raising of the epoch, synced before the batch
//! is acknowledged. No backup contains it, no restore replaces it.

use crate::StoreError;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const HEADER: &str = "waybill epochs 1 ";

/// An open ledger. Several processes may have it open: whoever reads to mend or adds to it holds its lock.
pub struct Ledger {
    file: File,
}

/// What a ledger held when it was opened.
pub struct Found {
    /// The notes by epoch.
    pub notes: BTreeMap<u64, Vec<u8>>,
    /// Whether it was there.
    pub existed: bool,
}

/// Where the ledger of the store in `dir` is.
pub fn path(dir: &Path) -> PathBuf {
    dir.join("epochs")
}

impl Ledger {
    /// Opens the ledger of the store `id`, or starts one. A last line that a crash cut short is dropped: its batch was never acknowledged.
    pub fn open(dir: &Path, id: &str) -> Result<(Self, Found), StoreError> {
        let header = format!("{HEADER}{id}\n");
        let file = OpenOptions::new().read(true).append(true).create(true).open(path(dir))?;
        file.lock()?;
        let mut ledger = Self { file };
        let mut text = Vec::new();
        ledger.file.read_to_end(&mut text)?;
        let mut notes = BTreeMap::new();
        let mut good = header.len();
        let existed = text.starts_with(header.as_bytes());
        if existed {
            while let Some(end) = text[good..].iter().position(|b| *b == b'\n') {
                let Some((epoch, note)) = read_line(&text[good..good + end]) else {
                    return Err(StoreError::Corrupt(format!("the ledger `epochs` is damaged at byte {good}")));
                };
                notes.insert(epoch, note);
                good += end + 1;
            }
            if good < text.len() {
                ledger.file.set_len(good as u64)?;
            }
        } else if header.as_bytes().starts_with(&text) {
            ledger.file.set_len(0)?;
            ledger.file.write_all(header.as_bytes())?;
            ledger.file.sync_all()?;
            sync_dir(dir)?;
        } else if text.starts_with(HEADER.as_bytes()) {
            return Err(StoreError::Corrupt("the ledger `epochs` beside it belongs to another store".into()));
        } else {
            return Err(StoreError::Corrupt("the file `epochs` is not a ledger of ours".into()));
        }
        ledger.file.unlock()?;
        Ok((ledger, Found { notes, existed }))
    }

    /// Adds notes, and returns when they are durable.
    pub fn append(&mut self, notes: &[(u64, Vec<u8>)]) -> Result<(), StoreError> {
        let mut text = String::new();
        for (epoch, note) in notes {
            // A String takes every write.
            let _ = write!(text, "{epoch} ");
            for b in note {
                let _ = write!(text, "{b:02x}");
            }
            let _ = writeln!(text, " {:08x}", check(*epoch, note));
        }
        self.file.lock()?;
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        self.file.unlock()?;
        Ok(written?)
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
