//! JSON files of results, told apart by their first field.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{CapacityReport, RunReport};

/// What a file of results holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ResultsFile {
    /// Written by `voxload run`.
    Run(Box<RunReport>),
    /// Written by `voxload capacity`.
    Capacity(Box<CapacityReport>),
}

/// Why a file of results cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refuses it.
    #[error("{path}: {1}", path = .0.display())]
    Io(PathBuf, std::io::Error),
    /// It holds something else.
    #[error("{path}: expected the JSON of `voxload run` or `voxload capacity`: {1}", path = .0.display())]
    Json(PathBuf, serde_json::Error),
}

impl ResultsFile {
    /// Reads one.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = fs::read(path).map_err(|error| FileError::Io(path.into(), error))?;
        serde_json::from_slice(&text).map_err(|error| FileError::Json(path.into(), error))
    }

    /// Writes it; what was there is replaced only once the new one is whole.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let io = |error| FileError::Io(path.into(), error);
        let json =
            serde_json::to_vec_pretty(self).map_err(|error| FileError::Json(path.into(), error))?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".part");
        fs::write(&beside, json).map_err(io)?;
        fs::rename(&beside, path).map_err(io)
    }
}
