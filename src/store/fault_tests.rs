//! What is left in the folder when the disk fails, the program is killed or the power goes at any step of a
//! change: the old state or the new one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::disk::{Disk, SystemDisk};
use super::gallery::Store;
use super::person::{Person, Template};
use super::record::FileProblem;
use crate::clock::WallTime;
use crate::domain::{Embedding, ModelDigest, PersonId};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// One step fails, as on a full disk; what follows works.
    Error,
    /// From this step on nothing happens any more, as after SIGKILL.
    Kill,
    /// As `Kill`, and what was written but not synced is cut off.
    PowerCut,
}

#[derive(Debug)]
struct Inner {
    fault: Fault,
    /// Steps until the fault.
    left: usize,
    hit: bool,
    unsynced: BTreeSet<PathBuf>,
}

/// Fails at one chosen step.
#[derive(Debug, Clone)]
struct FaultyDisk(Arc<Mutex<Inner>>);

impl FaultyDisk {
    fn new(fault: Fault, after_steps: usize) -> Self {
        let inner = Inner { fault, left: after_steps, hit: false, unsynced: BTreeSet::new() };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// One step of the disk; an error if it is the one that fails, or comes after a crash.
    fn step(&self) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        if inner.hit && inner.fault != Fault::Error {
            return Err(io::Error::other("the program is dead"));
        }
        if inner.left > 0 || inner.hit {
            inner.left = inner.left.saturating_sub(1);
            return Ok(());
        }
        inner.hit = true;
        if inner.fault == Fault::PowerCut {
            for path in &inner.unsynced {
                let file = File::options().write(true).open(path).unwrap();
                file.set_len(file.metadata().unwrap().len() / 2).unwrap();
            }
        }
        Err(io::ErrorKind::StorageFull.into())
    }

    fn was_hit(&self) -> bool {
        self.0.lock().unwrap().hit
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.step()?;
        SystemDisk.create(path)
    }

    fn write(&self, file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
        // Half of it arrives even when it fails.
        file.write_all(&bytes[..bytes.len() / 2])?;
        self.0.lock().unwrap().unsynced.insert(path.to_owned());
        self.step()?;
        file.write_all(&bytes[bytes.len() / 2..])
    }

    fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        self.step()?;
        self.0.lock().unwrap().unsynced.remove(path);
        SystemDisk.sync(file, path)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let mut inner = self.0.lock().unwrap();
        if inner.unsynced.remove(from) {
            inner.unsynced.insert(to.to_owned());
        }
        SystemDisk.replace(from, to)
    }

    fn move_to_new_name(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        SystemDisk.move_to_new_name(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        SystemDisk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step()?;
        SystemDisk.sync_folder(folder)
    }
}

fn name(text: &str) -> PersonId {
    PersonId::new(text).unwrap()
}

fn time(seconds: i64) -> WallTime {
    WallTime(jiff::Timestamp::from_second(1_700_000_000 + seconds).unwrap())
}

fn template(first: f32) -> Template {
    let embedding = Embedding::new(ModelDigest([7; 32]), vec![first, 1.0, 0.5]).unwrap();
    Template { source: Some("test".into()), ..Template::new(embedding, 0.5, time(0)) }
}

/// Anna and Bert.
fn gallery() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path().join("enrolled")).unwrap();
    store.enrol(&name("Anna"), vec![template(0.1)], time(1)).unwrap();
    store.enrol(&name("Bert"), vec![template(0.2)], time(2)).unwrap();
    (folder, store)
}

/// What a person is, but for the id, which is another one each time.
fn contents(people: &[Person]) -> Vec<(PersonId, WallTime, Vec<Template>)> {
    people.iter().map(|p| (p.name.clone(), p.changed, p.templates.clone())).collect()
}

fn temporary_files(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().ends_with(".tmp")).count()
}

type Change = fn(&Store) -> Result<(), super::error::StoreError>;

const CHANGES: [(&str, Change); 4] = [
    ("enrol", |store| store.enrol(&name("Carla"), vec![template(0.3)], time(3)).map(drop)),
    ("append", |store| store.enrol(&name("Anna"), vec![template(0.4)], time(3)).map(drop)),
    ("rename", |store| store.rename(&name("Anna"), &name("Änne"), time(3)).map(drop)),
    ("remove", |store| store.remove(&name("Anna")).map(drop)),
];

#[test]
fn every_fault_leaves_the_old_state_or_the_new_one() {
    for fault in [Fault::Error, Fault::Kill, Fault::PowerCut] {
        for (what, change) in CHANGES {
            let mut steps = 0;
            loop {
                let (_folder, store) = gallery();
                let old = contents(&store.load().unwrap().people);
                let disk = FaultyDisk::new(fault, steps);
                let faulty = Store::open_on(store.folder().to_owned(), Box::new(disk.clone())).unwrap();
                let result = change(&faulty);
                let case = format!("{what}, {fault:?} after {steps} steps");
                let loaded = store.load().unwrap();
                assert_eq!(loaded.refused, [], "{case}");
                let found = contents(&loaded.people);

                if !disk.was_hit() {
                    result.unwrap();
                    assert_ne!(found, old, "{case}: it changed nothing");
                    break;
                }
                result.expect_err("a failing disk must be told");
                if fault == Fault::Error {
                    assert_eq!(temporary_files(store.folder()), 0, "{case}");
                }
                if found == old {
                    change(&store).unwrap();
                } else {
                    let (_other, reference) = gallery();
                    change(&reference).unwrap();
                    assert_eq!(found, contents(&reference.load().unwrap().people), "{case}");
                    store.remove(&name("Bert")).unwrap();
                }
                assert_eq!(temporary_files(store.folder()), 0, "{case}: the next writer cleans up");
                steps += 1;
            }
            let expected = if what == "remove" { 2 } else { 5 };
            assert_eq!(steps, expected, "{what}: a step is not covered");
        }
    }
}

#[test]
fn a_full_disk_is_told_and_keeps_the_old_state() {
    let (_folder, store) = gallery();
    let disk = FaultyDisk::new(Fault::Error, 1);
    let faulty = Store::open_on(store.folder().to_owned(), Box::new(disk)).unwrap();
    let error = faulty.enrol(&name("Anna"), vec![template(0.9)], time(9)).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.to_string().starts_with("cannot write "), "{error}");
    assert!(source.contains("no storage space"), "{source}");
    assert_eq!(store.get(&name("Anna")).unwrap().templates.len(), 1);
}

#[test]
fn a_damaged_file_that_cannot_be_moved_stays_and_is_reported() {
    for steps in 0..3 {
        let (_folder, store) = gallery();
        let anna = store.get(&name("Anna")).unwrap();
        let path = store.folder().join(anna.id.file_name());
        File::options().write(true).open(&path).unwrap().set_len(50).unwrap();
        let disk = FaultyDisk::new(Fault::Kill, steps);
        let faulty = Store::open_on(store.folder().to_owned(), Box::new(disk)).unwrap();
        let loaded = faulty.load_and_quarantine().unwrap();
        assert_eq!(loaded.people.len(), 1);
        assert_eq!(loaded.refused.len(), 1);
        assert!(matches!(loaded.refused[0].problem, FileProblem::Damaged(_)));
        let aside = store.folder().join("quarantine").join(anna.id.file_name());
        assert!(path.exists() != aside.exists(), "it is in one of the two places");
        assert_eq!(loaded.refused[0].moved_to.is_some(), aside.exists());
    }
}
