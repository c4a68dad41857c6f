//! What is left in the folder when the disk fails, the program is killed or the power goes at any step of a
//! change: the old state or the new one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::disk::{Disk, SystemDisk};
use super::gallery::Store;
use super::person::{Person, RecordId, Template};
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
    /// As `PowerCut`, and renames and removals in a folder that was not synced since never happened.
    PowerCutUndoing,
}

const FAULTS: [Fault; 4] = [Fault::Error, Fault::Kill, Fault::PowerCut, Fault::PowerCutUndoing];

#[derive(Debug)]
struct Inner {
    fault: Fault,
    /// Steps until the fault.
    left: usize,
    hit: bool,
    unsynced: BTreeSet<PathBuf>,
    /// What was at these paths before a rename or removal that is not synced, in order.
    undone: Vec<(PathBuf, Option<Vec<u8>>)>,
}

/// Fails at one chosen step.
#[derive(Debug, Clone)]
struct FaultyDisk(Arc<Mutex<Inner>>);

impl FaultyDisk {
    fn new(fault: Fault, after_steps: usize) -> Self {
        let inner =
            Inner { fault, left: after_steps, hit: false, unsynced: BTreeSet::new(), undone: Vec::new() };
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
        if matches!(inner.fault, Fault::PowerCut | Fault::PowerCutUndoing) {
            for path in &inner.unsynced {
                let file = File::options().write(true).open(path).unwrap();
                file.set_len(file.metadata().unwrap().len() / 2).unwrap();
            }
        }
        if inner.fault == Fault::PowerCutUndoing {
            for (path, before) in inner.undone.drain(..).rev() {
                match before {
                    Some(bytes) => put(&path, &bytes),
                    None => std::fs::remove_file(path).unwrap(),
                }
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
        inner.undone.push((to.to_owned(), std::fs::read(to).ok()));
        SystemDisk.replace(from, to)
    }

    fn move_to_new_name(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        SystemDisk.move_to_new_name(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        if let Ok(bytes) = std::fs::read(path) {
            self.0.lock().unwrap().undone.push((path.to_owned(), Some(bytes)));
        }
        SystemDisk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step()?;
        self.0.lock().unwrap().undone.retain(|(path, _)| path.parent() != Some(folder));
        SystemDisk.sync_folder(folder)
    }
}

/// A file as the store makes them.
fn put(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
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

/// Enrols somebody with the photo that the template was made of.
fn enrol_with_photo(store: &Store, who: &str) -> Result<(), super::error::StoreError> {
    let mut changes = store.begin()?;
    // The same each time, so that states can be compared.
    changes.restore_photo(PHOTO, PICTURE)?;
    let template = Template { photo: Some(PHOTO), ..template(0.3) };
    changes.enrol(&name(who), vec![template], time(3)).map(drop)
}

const PHOTO: RecordId = RecordId(ulid::Ulid(99));
const PICTURE: &[u8] = b"a picture of a face";

/// What is done, and how many steps of the disk that takes.
const CHANGES: [(&str, usize, Change); 6] = [
    ("enrol", 5, |store| store.enrol(&name("Carla"), vec![template(0.3)], time(3)).map(drop)),
    ("append", 5, |store| store.enrol(&name("Anna"), vec![template(0.4)], time(3)).map(drop)),
    ("rename", 5, |store| store.rename(&name("Anna"), &name("Änne"), time(3)).map(drop)),
    ("remove", 2, |store| store.remove(&name("Anna")).map(drop)),
    ("enrol with a photo", 10, |store| enrol_with_photo(store, "Carla")),
    ("import", 5, |store| {
        let mut changes = store.begin()?;
        let known = changes.get(&name("Anna")).unwrap().clone();
        let templates = vec![template(0.8), template(0.9)];
        changes.restore(Person { templates, changed: time(9), ..known }).map(drop)
    }),
];

#[test]
fn every_fault_leaves_the_old_state_or_the_new_one() {
    for fault in FAULTS {
        for (what, expected, change) in CHANGES {
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
            assert_eq!(steps, expected, "{what}: a step is not covered");
        }
    }
}

#[test]
fn nobody_is_lost_wherever_a_change_of_the_key_ends() {
    for fault in FAULTS {
        let mut steps = 0;
        loop {
            let (_folder, store) = gallery();
            enrol_with_photo(&store, "Carla").unwrap();
            let people = store.load().unwrap().people;
            let first = store.key().read().unwrap().current.id();
            let disk = FaultyDisk::new(fault, steps);
            let faulty = Store::open_on(store.folder().to_owned(), Box::new(disk.clone())).unwrap();
            let result = faulty.rotate_key(None);
            let case = format!("{fault:?} after {steps} steps");
            let loaded = store.load().unwrap();
            assert_eq!((loaded.people, loaded.refused), (people.clone(), vec![]), "{case}");
            assert_eq!(*store.photo(PHOTO).unwrap(), PICTURE, "{case}");
            let keys = store.key().read().unwrap();
            if !disk.was_hit() {
                assert_eq!(result.unwrap().files, 4);
                assert!(keys.former.is_none() && keys.current.id() != first);
                break;
            }
            result.expect_err("a failing disk must be told");
            // The next writer, and the next rotation.
            store.enrol(&name("Dora"), vec![template(0.6)], time(4)).unwrap();
            store.rotate_key(None).unwrap();
            let keys = store.key().read().unwrap();
            assert!(keys.former.is_none() && keys.current.id() != first, "{case}");
            assert_eq!(store.load().unwrap().people.len(), people.len() + 1, "{case}");
            assert!(store.inspect().unwrap().is_sound(), "{case}: {:?}", store.inspect());
            steps += 1;
        }
        // The key twice, three people and a photo.
        assert_eq!(steps, 5 * 2 + 5 * 4, "{fault:?}: a step is not covered");
    }
}

#[test]
fn whoever_is_removed_leaves_no_photo_wherever_that_ends() {
    for fault in FAULTS {
        for steps in 0.. {
            let (_folder, store) = gallery();
            enrol_with_photo(&store, "Carla").unwrap();
            let disk = FaultyDisk::new(fault, steps);
            let faulty = Store::open_on(store.folder().to_owned(), Box::new(disk.clone())).unwrap();
            let result = faulty.remove(&name("Carla"));
            let is_there = store.get(&name("Carla")).is_ok();
            assert!(is_there || store.photo(PHOTO).is_err(), "{fault:?} after {steps}: a photo of nobody");
            if !disk.was_hit() {
                assert_eq!(result.unwrap().photos, 1);
                break;
            }
            if is_there {
                store.remove(&name("Carla")).unwrap();
            }
            assert!(store.inspect().unwrap().is_sound());
            assert!(steps < 4);
        }
    }
}

/// A great many changes of every kind, each of which is cut off somewhere, one after the other in one gallery.
/// `FACEWARDEN_FAULTS=10000 cargo nextest run faults_in_a_row` says how many; 200 unless told.
#[test]
fn many_faults_in_a_row_lose_nobody() {
    let faults: usize = std::env::var("FACEWARDEN_FAULTS").map_or(200, |text| text.parse().unwrap());
    let (_folder, store) = gallery();
    // The same each time (xorshift64).
    let mut random = 88_172_645_463_325_252_u64;
    let mut below = |most: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % most as u64).unwrap()
    };
    let mut hit = 0;
    while hit < faults {
        let before = store.load().unwrap().people;
        let fault = FAULTS[below(FAULTS.len())];
        let disk = FaultyDisk::new(fault, below(24));
        let faulty = Store::open_on(store.folder().to_owned(), Box::new(disk.clone())).unwrap();
        let who = name(&format!("P{}", below(4)));
        let what = below(4);
        let result = match what {
            0 => enrol_with_photo(&faulty, who.as_str()),
            1 => faulty.enrol(&who, vec![template(0.5)], time(5)).map(drop),
            2 => faulty.remove(&who).map(drop),
            _ => faulty.rotate_key(None).map(drop),
        };
        hit += usize::from(disk.was_hit());
        let loaded = store.load().unwrap();
        assert_eq!(loaded.refused, [], "{fault:?} in {what}: {result:?}");
        let is_other = |person: &&Person| person.name != who;
        let others = |people: &[Person]| people.iter().filter(is_other).cloned().collect::<Vec<_>>();
        assert_eq!(others(&loaded.people), others(&before), "{fault:?} in {what}: somebody else changed");
        let find = |people: &[Person]| people.iter().find(|person| person.name == who).cloned();
        let (was, is) = (find(&before), find(&loaded.people));
        let steps_back = |person: &Option<Person>| person.as_ref().map_or(0, |p| p.templates.len());
        let is_new = match what {
            0 | 1 => steps_back(&is) == steps_back(&was) + 1,
            2 => is.is_none(),
            _ => is == was,
        };
        assert!(is == was || is_new, "{fault:?} in {what}: neither old nor new");
        if steps_back(&is) > 20 {
            store.remove(&who).unwrap();
        }
    }
    println!("{hit} faults, 0 lost");
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
