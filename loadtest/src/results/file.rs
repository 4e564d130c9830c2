//! JSON files of results, told apart by their first field.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{CapacityReport, RunReport};

/// What a file of results holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
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

/// By hand: where serde reads the tag, it keeps the rest in a form in which a map's numbers (SIP
/// statuses) are texts.
impl<'de> Deserialize<'de> for ResultsFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(from)?;
        let kind = value.as_object_mut().and_then(|file| file.remove("kind"));
        let read = match kind.as_ref().and_then(Value::as_str) {
            Some("run") => serde_json::from_value(value).map(Self::Run),
            Some("capacity") => serde_json::from_value(value).map(Self::Capacity),
            _ => return Err(D::Error::custom("a field `kind` with `run` or `capacity`")),
        };
        read.map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{self, samples};

    #[test]
    fn files_are_read_as_they_were_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("results.json");
        for written in [
            ResultsFile::Run(Box::new(samples::run(700, 20))),
            ResultsFile::Capacity(Box::new(samples::capacity())),
        ] {
            written.write(&path).expect("written");
            // Floats may differ in their last bit.
            let read = ResultsFile::read(&path).expect("read");
            assert_eq!(report::markdown(&read), report::markdown(&written));
        }
        for wrong in ["", "[]", "{}", r#"{"kind":"other"}"#, r#"{"kind":"run"}"#] {
            fs::write(&path, wrong).expect("written");
            let error = ResultsFile::read(&path).expect_err(wrong).to_string();
            assert!(error.contains("expected the JSON of `voxload run`"), "{error}");
        }
    }
}
