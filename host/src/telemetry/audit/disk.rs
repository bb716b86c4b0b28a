//! What the log asks of a file system, so that tests can put one there that fails, stalls, or loses what it was not made to keep.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Only the host's own user reads what was asked of databases.
const MODE: u32 = 0o600;

/// A folder with the files of a log, which go by their names in it.
pub(super) trait Folder {
    /// A file in it that is open.
    type File: Bytes;

    /// A file that is there, to be read and written; nothing if it is not.
    fn open(&mut self, name: &str) -> io::Result<Option<Self::File>>;

    /// A file that is empty.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;

    /// Gives a file a name that is free.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&mut self, name: &str) -> io::Result<()>;

    fn names(&mut self) -> io::Result<Vec<String>>;

    /// Returns when names are on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// The bytes of a file. Each call may do less than it is asked to, as those of the system may.
pub(super) trait Bytes {
    fn size(&mut self) -> io::Result<u64>;

    fn read_at(&mut self, buffer: &mut [u8], at: u64) -> io::Result<usize>;

    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<usize>;

    fn cut(&mut self, size: u64) -> io::Result<()>;

    /// Returns when the bytes are on the disk. After an error nobody knows which of them are, and asking again does not tell: they have to
    /// be written again.
    fn sync(&mut self) -> io::Result<()>;

    fn read_exactly_at(&mut self, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => (buffer, at) = (&mut buffer[read..], at + read as u64),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_all_at(&mut self, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => (bytes, at) = (&bytes[written..], at + written as u64),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The folder of a log, of which no other host writes the same log.
pub(super) struct Locked {
    path: PathBuf,
    /// The lock goes when this is closed, whatever the process dies of.
    _lock: File,
}

impl Locked {
    /// Takes the lock, a file beside the log: the log itself changes its name.
    ///
    /// # Errors
    /// `WouldBlock` when another host has it.
    pub(super) fn new(path: &Path, name: &str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(MODE).open(path.join(format!("{name}.lock")))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Folder for Locked {
    type File = File;

    fn open(&mut self, name: &str) -> io::Result<Option<File>> {
        let path = self.path.join(name);
        // To open a named pipe would wait for whoever reads it.
        match fs::metadata(&path) {
            Ok(found) if !found.is_file() => Err(io::Error::other("not a plain file")),
            Ok(_) => OpenOptions::new().read(true).write(true).open(path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&mut self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(MODE).open(self.path.join(name))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let to = self.path.join(to);
        // Nobody else writes names of this log: the lock is ours.
        if fs::exists(&to)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::rename(self.path.join(from), to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn names(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // What is no text is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn sync(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl Bytes for File {
    fn size(&mut self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&mut self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(&*self, buffer, at)
    }

    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<usize> {
        FileExt::write_at(&*self, bytes, at)
    }

    fn cut(&mut self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
