//! Where files come from: the disk, or a map in memory for tests. Nothing else in this crate opens a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Something that has files.
pub trait Source {
    /// The whole file. A file longer than 16 MiB is an error.
    ///
    /// # Errors
    /// As opening and reading a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// The file system. Relative paths are relative to the working directory, as with PgBouncer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Source for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(LONGEST_FILE as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > LONGEST_FILE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 16 MiB"));
        }
        Ok(bytes)
    }
}

impl Source for BTreeMap<PathBuf, Vec<u8>> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Longest file that is read, in bytes.
const LONGEST_FILE: usize = 16 << 20;
