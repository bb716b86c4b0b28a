//! The folder of compiled components: machine code that will be run, so only the owner may write there. The folder of the server's
//! sockets is held to the same.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a folder is not used.
#[derive(Debug, thiserror::Error)]
pub enum CacheFolderError {
    /// It cannot be made, read or written.
    #[error("{}: {source}", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is a file or a link.
    #[error("{} is not a folder", folder.display())]
    NotAFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// It belongs to another user.
    #[error("{} belongs to another user (uid {owner})", folder.display())]
    ForeignOwner {
        /// The folder.
        folder: PathBuf,
        /// Who owns it.
        owner: u32,
    },
    /// Group or others may write.
    #[error("{} can be written by others (mode {mode:o}); use a folder of mode 700", folder.display())]
    OthersMayWrite {
        /// The folder.
        folder: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Makes the folder with mode 0700, or checks one that exists; returns its absolute path.
///
/// Only the folder itself is checked; whoever may rename its parents is trusted.
pub(crate) fn private_folder(folder: &Path) -> Result<PathBuf, CacheFolderError> {
    let fail = |source| CacheFolderError::Io { folder: folder.to_owned(), source };
    make(folder).map_err(fail)?;
    check(folder)?;
    fs::canonicalize(folder).map_err(fail)
}

#[cfg(unix)]
fn make(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(folder)
}

#[cfg(unix)]
fn check(folder: &Path) -> Result<(), CacheFolderError> {
    use std::os::unix::fs::MetadataExt;
    let fail = |source| CacheFolderError::Io { folder: folder.to_owned(), source };
    let meta = fs::symlink_metadata(folder).map_err(fail)?;
    if !meta.is_dir() {
        return Err(CacheFolderError::NotAFolder { folder: folder.to_owned() });
    }
    let mode = meta.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(CacheFolderError::OthersMayWrite { folder: folder.to_owned(), mode });
    }
    // The owner of a file made here is this process; no other way to ask without unsafe code. It also proves that we may write.
    // Hosts that start at once look at the same folder.
    static PROBES: AtomicU64 = AtomicU64::new(0);
    let probe = folder.join(format!(".owner-{}-{}", std::process::id(), PROBES.fetch_add(1, Ordering::Relaxed)));
    let made = OpenOptions::new().write(true).create_new(true).open(&probe).and_then(|file| file.metadata());
    let removed = fs::remove_file(&probe);
    let us = made.map_err(fail)?.uid();
    removed.map_err(fail)?;
    if meta.uid() == us { Ok(()) } else { Err(CacheFolderError::ForeignOwner { folder: folder.to_owned(), owner: meta.uid() }) }
}

#[cfg(not(unix))]
fn check(_folder: &Path) -> Result<(), CacheFolderError> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("wharf-cache-test-{}-{name}", std::process::id()));
        let _absent = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn a_missing_folder_is_made_for_the_owner_alone() {
        let folder = scratch("made");
        let path = private_folder(&folder).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(private_folder(&folder).unwrap(), path, "a second start accepts it");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "the probe is gone");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        let folder = scratch("open");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(private_folder(&folder), Err(CacheFolderError::OthersMayWrite { mode: 0o770, .. })));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_link_is_refused() {
        let target = scratch("target");
        let link = scratch("link");
        fs::create_dir(&target).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(private_folder(&link), Err(CacheFolderError::NotAFolder { .. })));
        fs::remove_file(link).unwrap();
        fs::remove_dir_all(target).unwrap();
    }
}
