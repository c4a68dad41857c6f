//! Who has a file open.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A process that has a file open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name, as the kernel has it: at most 15 bytes.
    pub name: String,
}

/// The processes that have this file open, as far as this user may know: its own, or all for root. A device is the same
/// under each of its names.
#[must_use]
pub fn holders(path: &Path) -> Vec<Holder> {
    let Ok(wanted) = fs::metadata(path) else { return Vec::new() };
    let is_same = |open: &fs::Metadata| {
        if wanted.rdev() != 0 {
            open.rdev() == wanted.rdev() && open.mode() == wanted.mode()
        } else {
            (open.dev(), open.ino()) == (wanted.dev(), wanted.ino())
        }
    };
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let mut found: Vec<Holder> = processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            // Follows the link: the file itself.
            files.filter_map(|file| fs::metadata(file.path()).ok()).any(|open| is_same(&open))
        })
        .map(|pid: u32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            Holder { pid, name: name.trim().to_owned() }
        })
        .collect();
    found.sort_by_key(|holder| holder.pid);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_a_file_open_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "").unwrap();
        assert_eq!(holders(&path), []);
        let _open = fs::File::open(&path).unwrap();
        let link = folder.path().join("b");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let found = holders(&link);
        assert_eq!(found.iter().map(|holder| holder.pid).collect::<Vec<_>>(), [std::process::id()]);
        assert!(!found[0].name.is_empty());
        assert_eq!(holders(Path::new("/nonexistent")), []);
    }
}
