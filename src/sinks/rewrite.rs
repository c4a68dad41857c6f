//! Replacing lines of a file: the whole file at once, so that a crash leaves the old one or the new one.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// What becomes of a line.
pub(super) enum Fate {
    /// It stays.
    Keep,
    /// This stands in its place, without a line break.
    Replace(Vec<u8>),
    /// It goes.
    Drop,
}

/// Gives each line, without its line break, to `judge`, and writes what that says. Gives back how many lines changed; the
/// file is not touched if none did. The new one is for its owner alone, and belongs to whom the old one belonged.
///
/// # Errors
/// If the disk fails. Then the file is as it was, or, where only the folder could not be synced, as it ought to be.
pub(super) fn rewrite(path: &Path, judge: &mut dyn FnMut(&[u8]) -> Fate) -> io::Result<u64> {
    let old = File::open(path)?;
    let metadata = old.metadata()?;
    let is_changed = for_each_line(&old, &mut |line, _| Ok(!matches!(judge(line), Fate::Keep)))?;
    if is_changed == 0 {
        return Ok(0);
    }
    let temporary = beside(path);
    let written = write_new(&temporary, &metadata, |new| {
        let mut new = BufWriter::with_capacity(1 << 16, new);
        let count = for_each_line(&File::open(path)?, &mut |line, is_whole| {
            let judged = judge(line);
            match &judged {
                Fate::Keep => new.write_all(line)?,
                Fate::Replace(other) => new.write_all(other)?,
                Fate::Drop => return Ok(true),
            }
            if is_whole || matches!(judged, Fate::Replace(_)) {
                new.write_all(b"\n")?;
            }
            Ok(!matches!(judged, Fate::Keep))
        })?;
        new.flush()?;
        Ok(count)
    });
    let count = written.and_then(|count| fs::rename(&temporary, path).map(|()| count));
    if count.is_err() {
        // Best effort: the first error is the one to tell, and the next try replaces what is left.
        drop(fs::remove_file(&temporary));
    }
    let count = count?;
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(count)
}

fn write_new(
    path: &Path,
    old: &fs::Metadata,
    write: impl FnOnce(&File) -> io::Result<u64>,
) -> io::Result<u64> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let own = new.metadata()?;
    if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
        fchown(&new, Some(old.uid()), Some(old.gid()))?;
    }
    let count = write(&new)?;
    new.sync_all()?;
    Ok(count)
}

/// Hidden, so that nobody takes it for a file of the log.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".forgetting");
    path.with_file_name(name)
}

/// Counts the lines for which `work` says true. It is given each line without its line break, and whether it had one.
fn for_each_line(file: &File, work: &mut dyn FnMut(&[u8], bool) -> io::Result<bool>) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut line, mut count) = (Vec::new(), 0);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(count);
        }
        let is_whole = line.last() == Some(&b'\n');
        let bytes = line.strip_suffix(b"\n").unwrap_or(&line);
        count += u64::from(work(bytes, is_whole)?);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn lines_are_replaced_and_dropped_and_a_file_without_such_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        fs::write(&path, "a\nb\nc\nhalf").unwrap();
        let inode = || fs::metadata(&path).unwrap().ino();
        let before = inode();
        assert_eq!(rewrite(&path, &mut |_| Fate::Keep).unwrap(), 0);
        assert_eq!(inode(), before);
        let mut judge = |line: &[u8]| match line {
            b"a" => Fate::Replace(b"A".to_vec()),
            b"b" => Fate::Drop,
            _ => Fate::Keep,
        };
        // What an earlier try left is in nobody's way.
        fs::write(beside(&path), "old").unwrap();
        assert_eq!(rewrite(&path, &mut judge).unwrap(), 2);
        assert_eq!(fs::read_to_string(&path).unwrap(), "A\nc\nhalf");
        assert_ne!(inode(), before);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(rewrite(&folder.path().join("none"), &mut judge).is_err());
    }
}
