//! `path.data`: the folder for what must outlive the process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The folder, locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    /// The identity of this node, the same after every start.
    pub(crate) node_id: String,
    _lock: File,
}

/// The folder can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    #[error(
        "Logstash could not be started because there is already another instance using the configured data directory ({0}).  \
         If you wish to run multiple instances, you must change the \"path.data\" setting."
    )]
    Locked(PathBuf),
    #[error("path.data {path} can't be used: {error}")]
    Io { path: PathBuf, error: io::Error },
}

impl DataDir {
    /// Makes the folder where needed, and takes it for this process.
    pub(crate) fn open(path: &Path) -> Result<DataDir, DataDirError> {
        let failed = |error| DataDirError::Io { path: path.to_owned(), error };
        std::fs::create_dir_all(path).map_err(failed)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(".lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataDirError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        Ok(DataDir { node_id: node_id(&path.join("uuid")).map_err(failed)?, _lock: lock })
    }
}

fn node_id(file: &Path) -> io::Result<String> {
    match std::fs::read_to_string(file) {
        Ok(text) if Uuid::parse_str(text.trim()).is_ok() => Ok(text.trim().to_owned()),
        Ok(_) => new_node_id(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => new_node_id(file),
        Err(error) => Err(error),
    }
}

fn new_node_id(file: &Path) -> io::Result<String> {
    let id = Uuid::new_v4().to_string();
    std::fs::write(file, &id)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_one_identity_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let first = DataDir::open(&path).unwrap();
        assert!(matches!(DataDir::open(&path), Err(DataDirError::Locked(_))));
        let id = first.node_id.clone();
        drop(first);
        assert_eq!(DataDir::open(&path).unwrap().node_id, id);
    }

    #[test]
    fn a_file_in_its_place_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataDir::open(file.path()).unwrap_err().to_string();
        assert!(error.contains(&file.path().display().to_string()), "{error}");
    }
}
