//! How files are, for who looks again and again whether any has changed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Files and folders that are looked at in a crate.
pub(super) const MOST: usize = 10_000;

/// Files that are there: when they were changed last, and how long they are.
pub(super) type Seen = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// Looks at a file.
pub(super) fn look_at(file: &Path, seen: &mut Seen) {
    if let Ok(about) = fs::metadata(file) {
        seen.insert(file.to_owned(), (about.modified().ok(), about.len()));
    }
}

/// Looks at what makes a crate without being named by anything: Rust and manifests, but for hidden files and what cargo has made. Links to folders
/// are not followed. Says whether that was all, or there is more than [`MOST`].
pub(super) fn look_below(folder: &Path, seen: &mut Seen) -> bool {
    let (mut folders, mut left) = (vec![folder.to_owned()], MOST);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if left == 0 {
                return false;
            }
            left -= 1;
            let (path, name) = (entry.path(), entry.file_name());
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                // The folder for what cargo makes may be called otherwise.
                if !is_hidden && name != "target" && !path.join("CACHEDIR.TAG").exists() {
                    folders.push(path);
                }
            } else if !is_hidden && (name == "Cargo.toml" || path.extension().is_some_and(|extension| extension == "rs")) {
                look_at(&path, seen);
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn seen(folder: &Path) -> Seen {
        let mut seen = Seen::new();
        assert!(look_below(folder, &mut seen));
        seen
    }

    #[test]
    fn only_what_makes_a_crate_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let made = ["Cargo.toml", "build.rs", "part/Cargo.toml", "src/lib.rs", "src/target.rs"];
        let rest = [
            "Cargo.lock",
            "data.db",
            "wharf.toml",
            "src/.lib.rs.swp",
            ".git/a.rs",
            "target/a.rs",
            "out/a.rs",
            "out/CACHEDIR.TAG",
        ];
        for path in made.iter().chain(&rest) {
            write(&folder.path().join(path), "");
        }
        let expected: Vec<PathBuf> = made.iter().map(|path| folder.path().join(path)).collect();
        assert_eq!(seen(folder.path()).into_keys().collect::<Vec<_>>(), expected);
        assert!(seen(&folder.path().join("nowhere")).is_empty());
    }

    #[test]
    fn a_change_shows_by_its_time_or_its_length() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("a.rs"), folder.path().join("b.rs"));
        write(&file, "one");
        let first = seen(folder.path());
        assert_eq!(seen(folder.path()), first);
        let time = fs::metadata(&file).unwrap().modified().unwrap();
        let set_time = |time| fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        write(&file, "three");
        set_time(time);
        let longer = seen(folder.path());
        assert_ne!(longer, first);
        // As what is put in place of a newer file.
        write(&file, "one");
        set_time(time - Duration::from_secs(1));
        assert_ne!(seen(folder.path()), first);
        set_time(time);
        assert_eq!(seen(folder.path()), first);
        write(&other, "");
        assert_ne!(seen(folder.path()), first);
        fs::remove_file(other).unwrap();
        assert_eq!(seen(folder.path()), first);
    }

    #[test]
    fn there_is_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..=MOST {
            fs::write(folder.path().join(format!("{number}.rs")), "").unwrap();
        }
        let mut seen = Seen::new();
        assert!(!look_below(folder.path(), &mut seen));
        assert_eq!(seen.len(), MOST);
    }
}
