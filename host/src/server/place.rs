//! Where a Unix socket lies: a path that one host has at a time, and that only its owner can use.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::net::UnixListener;

use crate::engine::private_folder;

const ROOT: u32 = 0;

/// The path of a socket; freed when it is dropped, or when the process ends in whatever way.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    owner: u32,
    /// Whoever holds it may remove the socket and make a new one. It stays beside the socket: a lock that is removed can be had twice.
    _lock: File,
}

impl Place {
    /// Listens at a path. Blocks on the file system.
    pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, Self)> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        private_folder(folder).map_err(io::Error::other)?;
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path.with_added_extension("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::new(io::ErrorKind::AddrInUse, "another host listens there"),
            TryLockError::Error(error) => error,
        })?;
        match fs::symlink_metadata(path) {
            Ok(left) if left.file_type().is_socket() => fs::remove_file(path)?,
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let listener = UnixListener::bind(path)?;
        // From here on the socket is removed whatever fails.
        let mut place = Self { path: path.to_owned(), owner: ROOT, _lock: lock };
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        place.owner = fs::symlink_metadata(path)?.uid();
        Ok((listener, place))
    }

    /// Whether programs of this user are served.
    pub(super) fn admits(&self, user: u32) -> bool {
        user == self.owner || user == ROOT
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The lock is still held. A socket that stays is replaced by the next host.
        drop(fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn the_socket_is_its_owners_alone_and_goes_with_the_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/socket");
        let (listener, place) = Place::bind(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(place.owner, fs::metadata(folder.path()).unwrap().uid());
        drop((listener, place));
        assert!(!path.exists());
        assert!(Place::bind(&path).is_ok(), "its lock is free");
    }

    #[tokio::test]
    async fn root_and_the_owner_are_served_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let (_listener, mut place) = Place::bind(&folder.path().join("socket")).unwrap();
        place.owner = 1000;
        assert_eq!([ROOT, 999, 1000, 1001].map(|user| place.admits(user)), [true, false, true, false]);
    }

    #[tokio::test]
    async fn one_host_has_a_path_at_a_time_and_the_next_one_clears_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (listener, first) = Place::bind(&path).unwrap();
        assert_eq!(Place::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(path.exists(), "who is refused removes nothing");
        drop((listener, first));
        // What a host that was killed leaves: a socket that nobody listens on.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        assert!(Place::bind(&path).is_ok());
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        fs::write(&path, "something").unwrap();
        assert_eq!(Place::bind(&path).unwrap_err().to_string(), "there is a file that is no socket");
        assert_eq!(fs::read_to_string(&path).unwrap(), "something");
    }

    #[tokio::test]
    async fn a_folder_that_others_may_change_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let error = Place::bind(&folder.path().join("socket")).unwrap_err().to_string();
        assert!(error.contains("can be written by others"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
