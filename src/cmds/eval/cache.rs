//! Embeddings kept between two runs: one file for each way of making them.
//!
//! Layout, little-endian: 16 bytes of magic, the recipe's digest (32), numbers per embedding (u32), records (u64), the
//! first 8 bytes of the SHA-256 of all that; then each record: SHA-256 of the picture's file (32), 1 if it has a face
//! (u8), the numbers (f32 each, zeros without a face), the first 8 bytes of the SHA-256 of the record so far.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::super::exit::{Exit, Failure};
use super::recipe::Recipe;

const MAGIC: &[u8; 16] = b"facewarden-emb-1";
const CHECKSUM: usize = 8;
const HEADER: usize = MAGIC.len() + 32 + 4 + 8 + CHECKSUM;
/// Of all files that are made here.
const PREFIX: &str = "embeddings-";

/// SHA-256 of a picture's file.
pub(super) type FileHash = [u8; 32];

/// What is known of pictures that were looked at before.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    recipe: Recipe,
    known: Known,
}

/// The numbers of the face on each picture; `None` if there is no face.
pub(super) type Known = BTreeMap<FileHash, Option<Vec<f32>>>;

/// `$XDG_CACHE_HOME/facewarden` or `~/.cache/facewarden`; `None` if neither variable is set.
pub(super) fn usual_folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The specification says that a relative path there is to be ignored.
    let cache = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    Some(cache.or_else(|| Some(variable("HOME")?.join(".cache")))?.join("facewarden"))
}

fn failed(exit: Exit, doing: &str, path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(exit, format!("cannot {doing} {}: {error}", path.display()))
}

impl Cache {
    /// Opens the file for `recipe` in `folder`, which is made if need be. A damaged file is said on standard error and
    /// set aside.
    pub(super) fn open(folder: &Path, recipe: &Recipe) -> Result<Self, Failure> {
        let cannot_write = |doing, e: std::io::Error| failed(Exit::CannotWrite, doing, folder, &e);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| cannot_write("make the cache folder", e))?;
        let mode = fs::metadata(folder).map_err(|e| cannot_write("look at", e))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let message = format!(
                "{0} can be looked into by others (mode {mode:03o}), and a cache holds biometric data: \
                 `chmod 700 {0}`, name another folder with --cache, or use --no-cache",
                folder.display()
            );
            return Err(Failure::new(Exit::Permission, message));
        }
        let hex: String = recipe.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = folder.join(format!("{PREFIX}{hex}"));
        let known = match fs::read(&path) {
            Ok(bytes) => match decode(&bytes, recipe) {
                Ok(known) => known,
                Err(problem) => {
                    let aside = set_aside(&path)?;
                    eprintln!(
                        "facewarden: the cache {} is damaged ({problem}); it was moved to {} and is made anew",
                        path.display(),
                        aside.display()
                    );
                    BTreeMap::new()
                }
            },
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(failed(Exit::NoInput, "read the cache", &path, &error)),
        };
        Ok(Self { path, recipe: recipe.clone(), known })
    }

    /// What is known of a picture: `Some(None)` if it is known to have no face.
    pub(super) fn get(&self, file: &FileHash) -> Option<Option<&[f32]>> {
        self.known.get(file).map(|values| values.as_deref())
    }

    /// Writes the file, with what is new beside what was known: as a whole, or not at all.
    pub(super) fn save(&self, new: &Known) -> Result<(), Failure> {
        let failed = |e: &dyn std::fmt::Display| failed(Exit::CannotWrite, "write the cache", &self.path, e);
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut all: BTreeMap<&FileHash, Option<&[f32]>> = BTreeMap::new();
        all.extend(self.known.iter().chain(new).map(|(file, values)| (file, values.as_deref())));
        // Only its owner can read a file that is made so.
        let mut file = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}new-"))
            .tempfile_in(folder)
            .map_err(|e| failed(&e))?;
        file.write_all(&encode(&all, &self.recipe)).map_err(|e| failed(&e))?;
        file.as_file().sync_all().map_err(|e| failed(&e))?;
        file.persist(&self.path).map_err(|e| failed(&e.error))?;
        Ok(())
    }
}

/// Deletes all caches in a folder, of whatever recipe, damaged ones too. Returns how many files that were.
pub(super) fn forget(folder: &Path) -> Result<usize, Failure> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(failed(Exit::NoInput, "list", folder, &error)),
    };
    let mut count = 0;
    for entry in entries {
        let entry = entry.map_err(|e| failed(Exit::NoInput, "list", folder, &e))?;
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            fs::remove_file(entry.path())
                .map_err(|e| failed(Exit::CannotWrite, "remove", &entry.path(), &e))?;
            count += 1;
        }
    }
    Ok(count)
}

/// Moves a damaged file to a name that nothing has.
fn set_aside(path: &Path) -> Result<PathBuf, Failure> {
    let name = |count: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{count}"));
        PathBuf::from(name)
    };
    let aside = (1..).map(name).find(|aside| !aside.exists()).unwrap_or_else(|| name(0));
    fs::rename(path, &aside).map_err(|e| failed(Exit::CannotWrite, "move aside", path, &e))?;
    Ok(aside)
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let hash = Sha256::digest(bytes);
    std::array::from_fn(|at| hash[at])
}

fn header(recipe: &Recipe, records: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(recipe.digest);
    bytes.extend(recipe.dimension.to_le_bytes());
    bytes.extend(records.to_le_bytes());
    bytes.extend(checksum(&bytes));
    bytes
}

fn encode(known: &BTreeMap<&FileHash, Option<&[f32]>>, recipe: &Recipe) -> Vec<u8> {
    let dimension = recipe.dimension as usize;
    let mut bytes = header(recipe, known.len() as u64);
    for (file, values) in known {
        let start = bytes.len();
        bytes.extend(*file);
        bytes.push(u8::from(values.is_some()));
        match values {
            Some(values) => values.iter().for_each(|value| bytes.extend(value.to_le_bytes())),
            None => bytes.resize(bytes.len() + 4 * dimension, 0),
        }
        bytes.extend(checksum(&bytes[start..]));
    }
    bytes
}

fn decode(bytes: &[u8], recipe: &Recipe) -> Result<Known, String> {
    let record = 32 + 1 + 4 * recipe.dimension as usize + CHECKSUM;
    let Some((head, records)) = bytes.split_at_checked(HEADER) else {
        return Err("it is too short".into());
    };
    let count = (records.len() / record) as u64;
    if head != header(recipe, count) || records.len() % record != 0 {
        return Err("its beginning and its length do not go together".into());
    }
    let mut known = BTreeMap::new();
    for (at, record) in records.chunks_exact(record).enumerate() {
        let (content, sum) = record.split_at(record.len() - CHECKSUM);
        let damaged = || format!("record {} of {count}", at + 1);
        let (Some((file, [flag, values @ ..])), true) =
            (content.split_first_chunk(), checksum(content) == sum)
        else {
            return Err(damaged());
        };
        let values = match flag {
            0 => None,
            1 => Some(values.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect()),
            _ => return Err(damaged()),
        };
        known.insert(*file, values);
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ModelDigest;

    fn recipe() -> Recipe {
        Recipe { digest: [7; 32], model: ModelDigest([1; 32]), dimension: 3 }
    }

    fn filled(folder: &Path) -> PathBuf {
        let cache = Cache::open(folder, &recipe()).unwrap();
        cache.save(&Known::from([([1; 32], Some(vec![0.5, -1.0, 2.0]))])).unwrap();
        let cache = Cache::open(folder, &recipe()).unwrap();
        cache.save(&Known::from([([2; 32], None)])).unwrap();
        cache.path
    }

    #[test]
    fn what_was_kept_is_found_again_by_its_recipe_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new");
        let path = filled(&folder);
        let cache = Cache::open(&folder, &recipe()).unwrap();
        assert_eq!(cache.get(&[1; 32]), Some(Some(&[0.5, -1.0, 2.0][..])));
        assert_eq!(cache.get(&[2; 32]), Some(None));
        assert_eq!(cache.get(&[3; 32]), None);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&path)), (0o700, 0o600));
        let other = Recipe { digest: [8; 32], ..recipe() };
        assert_eq!(Cache::open(&folder, &other).unwrap().get(&[1; 32]), None);
    }

    #[test]
    fn any_damage_is_found_and_the_file_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let path = filled(folder.path());
        let good = fs::read(&path).unwrap();
        assert_eq!(decode(&good, &recipe()).unwrap().len(), 2);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            decode(&bad, &recipe()).expect_err("a changed byte");
            decode(&good[..at], &recipe()).expect_err("a part");
        }
        decode(&[&good[..], b"x"].concat(), &recipe()).expect_err("more than it should be");

        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert_eq!(Cache::open(folder.path(), &recipe()).unwrap().get(&[1; 32]), None);
        let names = || {
            let mut names: Vec<String> = fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names().len(), 1);
        assert!(names()[0].ends_with(".damaged-1"), "{:?}", names());
        filled(folder.path());
        assert_eq!(names().len(), 2);
        fs::write(folder.path().join("mine.txt"), "not a cache").unwrap();
        assert_eq!(forget(folder.path()).unwrap(), 2);
        assert_eq!(names(), ["mine.txt"]);
        assert_eq!(forget(&folder.path().join("nowhere")).unwrap(), 0);
    }

    #[test]
    fn a_folder_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(Cache::open(folder.path(), &recipe()).unwrap_err().exit, Exit::Permission);
    }
}
