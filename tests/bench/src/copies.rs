//! Components with the same code and other bytes, as if many authors had written the same handler.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use support::guests::{component, target_folder};

/// Copies of a guest that differ in a section that nobody reads. They stay, for what is compiled of them is kept as well.
///
/// # Errors
/// When there is no room.
/// # Panics
/// When the guest is not built.
pub(crate) fn copies(guest: &str, count: usize) -> Result<Vec<PathBuf>> {
    let folder = target_folder().join("bench/copies");
    fs::create_dir_all(&folder)?;
    let original = fs::read(component(guest))?;
    (0..count).map(|number| copy(&folder, guest, &original, number)).collect()
}

fn copy(folder: &Path, guest: &str, original: &[u8], number: usize) -> Result<PathBuf> {
    let path = folder.join(format!("{guest}-{number}.wasm"));
    fs::write(&path, [original, &section(number)].concat()).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// A custom section (0): its length, the length of its name, its name, and a number.
fn section(number: usize) -> Vec<u8> {
    let name = b"copy";
    let content = (number as u64).to_le_bytes();
    let mut section = vec![0, (1 + name.len() + content.len()) as u8, name.len() as u8];
    section.extend_from_slice(name);
    section.extend_from_slice(&content);
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_says_how_long_it_is() {
        assert_eq!(section(258), [0, 13, 4, b'c', b'o', b'p', b'y', 2, 1, 0, 0, 0, 0, 0, 0]);
    }
}
