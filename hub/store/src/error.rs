//! What can go wrong in the store, and how it is told to a caller.

use rusqlite::ErrorCode;
use waybill_model::{Problem, ProblemCode};

/// Why the store did not do something. No text here holds data from an entity or a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A precondition of the batch did not hold; nothing of the batch was done.
    #[error("the {what} is not in the state that was expected")]
    Conflict {
        /// `entity`, `document`, or what a check of the caller named.
        what: String,
    },
    /// A value cannot be stored.
    #[error("cannot be stored: {0}")]
    Invalid(String),
    /// The database was written by a newer version of the program.
    #[error("the database has schema {found}, this program knows up to {known}")]
    TooNew {
        /// The database's schema version.
        found: i64,
        /// The newest one that this program knows.
        known: i64,
    },
    /// The file is no database of ours, or it is damaged.
    #[error("the database is damaged or is not one of ours: {0}")]
    Corrupt(String),
    /// There is no room left. The state is as it was before the batch.
    #[error("no room is left for the database; nothing was written")]
    Full,
    /// Too much is waiting, or another process holds the database.
    #[error("the store is busy")]
    Busy,
    /// Another hub runs on this directory.
    #[error("another hub has this data directory open")]
    InUse,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The operating system refused something.
    #[error("the store's files: {0}")]
    Io(String),
    /// A closure that was given to the store ended the wrong way; its batch was undone.
    #[error("a step inside the store ended unexpectedly")]
    Panicked,
}

impl StoreError {
    /// A precondition on `what` did not hold.
    pub fn conflict(what: impl Into<String>) -> Self {
        Self::Conflict { what: what.into() }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(e: rusqlite::Error) -> Self {
        match &e {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DiskFull => Self::Full,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt(failure.to_string()),
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
                ErrorCode::TooBig => Self::Invalid("a value is too large".into()),
                // The extended code's text names no data; the message of the statement might.
                _ => Self::Io(failure.to_string()),
            },
            rusqlite::Error::InvalidColumnType(column, ..) => Self::Corrupt(format!("column {column} has a type it cannot have")),
            rusqlite::Error::QueryReturnedNoRows => Self::Corrupt("a row is missing".into()),
            other => Self::Io(other.to_string()),
        }
    }
}
impl From<std::io::Error> for StoreError {
    fn from(e: std::io::Error) -> Self {
        if e.kind() == std::io::ErrorKind::StorageFull { Self::Full } else { Self::Io(e.to_string()) }
    }
}

impl From<StoreError> for Problem {
    fn from(e: StoreError) -> Self {
        let detail = e.to_string();
        let make = |code, status, title: &str, help: &str| Problem::new(ProblemCode(code), status, title, detail.clone()).help(help);
        match e {
            StoreError::Conflict { .. } => make("store-conflict", 409, "Changed by somebody else", "Read the current state and try again."),
            StoreError::Invalid(_) => make("store-invalid", 400, "Cannot be stored", "See what the detail says about the value."),
            StoreError::TooNew { .. } => {
                make("store-too-new", 500, "Database of a newer version", "Start the version that wrote it, or restore a backup made by this one.")
            }
            StoreError::Corrupt(_) => make("store-damaged", 500, "Database damaged", "Restore the last backup with `waybill restore`."),
            StoreError::Full => make("store-full", 507, "No room left", "Free space on the data directory's disk, or raise the limit."),
            StoreError::Busy => make("store-busy", 503, "Store busy", "Try again in a moment."),
            StoreError::InUse => make("store-in-use", 503, "Data directory in use", "Stop the other hub, or give this one its own directory."),
            StoreError::Closed => make("store-closed", 503, "Store closed", "The hub is stopping; try again when it is back."),
            StoreError::Io(_) => make("store-failed", 500, "Store's files not usable", "Check the data directory, its owner and its disk."),
            StoreError::Panicked => make("store-internal", 500, "Internal error", "Report this, with the hub's log."),
        }
    }
}
