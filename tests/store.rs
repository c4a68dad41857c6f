//! The gallery as its users see it: real files in a real folder.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use facewarden::clock::WallTime;
use facewarden::domain::{Embedding, ModelDigest, PersonId};
use facewarden::store::{FileProblem, Person, RecordId, Store, StoreError, Template, encode};

mod sealing;

fn name(text: &str) -> PersonId {
    PersonId::new(text).unwrap()
}

fn time(seconds: i64) -> WallTime {
    WallTime(jiff::Timestamp::from_second(1_700_000_000 + seconds).unwrap())
}

fn template(first: f32) -> Template {
    let embedding = Embedding::new(ModelDigest([7; 32]), vec![first, 1.0, 0.5]).unwrap();
    Template::new(embedding, 0.5, time(0))
}

fn empty() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path().join("a/enrolled")).unwrap();
    (folder, store)
}

fn enrol(store: &Store, who: &str) -> Person {
    store.enrol(&name(who), vec![template(0.1)], time(1)).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn names(store: &Store) -> Vec<String> {
    store.load().unwrap().people.into_iter().map(|person| person.name.to_string()).collect()
}

#[test]
fn people_come_back_as_they_were_stored() {
    let (_folder, store) = empty();
    assert_eq!(store.load().unwrap().people, []);
    let anna = enrol(&store, "Anna");
    let more = Template { source: Some("door, 14:05".into()), ..template(0.7) };
    let again = store.enrol(&name("Anna"), vec![more.clone(), template(0.8)], time(60)).unwrap();
    assert_eq!((again.id, again.created, again.changed), (anna.id, time(1), time(60)));
    assert_eq!(again.templates, [template(0.1), more, template(0.8)]);
    enrol(&store, "Bert");
    let bert = store.rename(&name("Bert"), &name("Robert"), time(99)).unwrap();
    let loaded = store.load().unwrap();
    assert_eq!(loaded.people, [again, bert.clone()]);
    assert_eq!(loaded.refused, []);
    assert_eq!(store.remove(&name("Robert")).unwrap().person, bert);
    assert!(matches!(store.get(&name("Robert")), Err(StoreError::NoSuchPerson(_))));
    assert!(matches!(store.remove(&name("Robert")), Err(StoreError::NoSuchPerson(_))));
}

#[test]
fn nobody_else_can_read_it_and_no_name_reaches_outside() {
    let (outer, store) = empty();
    for who in ["../../etc/passwd", "/root", "..", ".", "a/b", "Zoë Ω 名", "con.fwp", "-rf"] {
        let person = enrol(&store, who);
        let path = store.folder().join(person.id.file_name());
        assert_eq!(mode(&path), 0o600);
        assert!(!fs::read_dir(store.folder()).unwrap().any(|f| f.unwrap().file_name() == who));
    }
    assert_eq!(names(&store).len(), 8);
    assert_eq!(mode(store.folder()), 0o700);
    assert_eq!(mode(&store.folder().join(".lock")), 0o600);
    let beside: Vec<_> =
        fs::read_dir(outer.path().join("a")).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(beside.len(), 2, "something was written beside the gallery and its key: {beside:?}");
    assert_eq!(mode(store.key().path()), 0o600);
}

#[test]
fn a_gallery_that_is_not_there_is_said_so_and_not_made_up() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none");
    let error = Store::open(&missing).unwrap_err();
    assert!(matches!(error, StoreError::MissingFolder(_)));
    assert!(error.to_string().contains("gallery.folder"), "{error}");
    assert!(!missing.exists());
    fs::write(&missing, "").unwrap();
    assert!(matches!(Store::open_or_create(&missing), Err(StoreError::NotAFolder(_))));
    let (_outer, store) = empty();
    fs::remove_dir_all(store.folder()).unwrap();
    assert!(matches!(store.load(), Err(StoreError::MissingFolder(_))), "read as empty");
    assert!(matches!(store.fingerprint(), Err(StoreError::MissingFolder(_))));
}

#[test]
fn a_folder_or_file_that_others_can_read_is_refused_with_the_command_to_run() {
    let (_folder, store) = empty();
    let anna = enrol(&store, "Anna");
    enrol(&store, "Bert");
    set_mode(store.folder(), 0o750);
    for error in [Store::open(store.folder()).unwrap_err(), store.load().unwrap_err()] {
        assert!(error.to_string().ends_with(&format!("chmod 700 {}", store.folder().display())), "{error}");
    }
    set_mode(store.folder(), 0o700);
    let path = store.folder().join(anna.id.file_name());
    set_mode(&path, 0o604);
    let before = store.fingerprint().unwrap();
    let loaded = store.load_and_quarantine().unwrap();
    assert_eq!(loaded.people.len(), 1, "the others stay served");
    let told = loaded.refused[0].to_string();
    assert!(told.ends_with(&format!("chmod 600 {}", path.display())), "{told}");
    assert!(path.exists(), "it is no damage");
    let error = store.enrol(&name("Anna"), vec![template(0.5)], time(5)).unwrap_err();
    assert!(matches!(error, StoreError::Blocked { .. }), "a second Anna was enrolled");
    store.remove(&name("Bert")).unwrap();
    set_mode(&path, 0o600);
    assert_ne!(store.fingerprint().unwrap(), before, "the cure must be noticed");
    assert_eq!(names(&store), ["Anna"]);
}

#[test]
fn damage_is_reported_by_readers_and_moved_aside_by_the_daemon() {
    let (_folder, store) = empty();
    let anna = enrol(&store, "Anna");
    enrol(&store, "Bert");
    let file_name = anna.id.file_name();
    let path = store.folder().join(&file_name);
    let good = fs::read(&path).unwrap();
    let aside = store.folder().join("quarantine");
    for round in 0..3_usize {
        let mut bad = good.clone();
        bad[100] ^= 1 << round;
        fs::write(&path, &bad).unwrap();
        let loaded = store.load().unwrap();
        assert_eq!(loaded.people.len(), 1);
        assert_eq!((loaded.refused[0].file_name.as_str(), &loaded.refused[0].moved_to), (&*file_name, &None));
        assert!(path.exists(), "a reader changes nothing");
        let moved = store.load_and_quarantine().unwrap().refused[0].moved_to.clone().unwrap();
        assert_eq!(fs::read(&moved).unwrap(), bad, "round {round}");
        assert!(!path.exists());
        fs::write(&path, &good).unwrap();
        set_mode(&path, 0o600);
    }
    assert_eq!(mode(&aside), 0o700);
    let kept: HashSet<_> = fs::read_dir(&aside).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(kept.len(), 3, "an older one was overwritten");
    assert!(kept.contains(std::ffi::OsStr::new(&file_name)));
    assert_eq!(names(&store), ["Anna", "Bert"]);
}

#[test]
fn what_is_no_person_file_is_reported_and_never_followed() {
    let (outer, store) = empty();
    let anna = enrol(&store, "Anna");
    let original = store.folder().join(anna.id.file_name());
    let elsewhere = outer.path().join("elsewhere");
    fs::copy(&original, &elsewhere).unwrap();
    let id = |n: u128| RecordId(ulid::Ulid(n)).file_name();
    symlink(&elsewhere, store.folder().join(id(1))).unwrap();
    fs::create_dir(store.folder().join(id(2))).unwrap();
    fs::write(store.folder().join(id(3)), "").unwrap();
    set_mode(&store.folder().join(id(3)), 0o600);
    fs::copy(&original, store.folder().join("copy of Anna.fwp")).unwrap();
    let status = std::process::Command::new("mkfifo").arg(store.folder().join(id(4))).status().unwrap();
    assert!(status.success());
    let big = fs::File::create(store.folder().join(id(5))).unwrap();
    big.set_permissions(Permissions::from_mode(0o600)).unwrap();
    big.set_len(1 << 40).unwrap();
    fs::write(store.folder().join("README"), "not ours").unwrap();

    let loaded = store.load_and_quarantine().unwrap();
    assert_eq!(loaded.people, std::slice::from_ref(&anna));
    let problem = |file: &str| {
        &loaded.refused.iter().find(|r| r.file_name == file).unwrap_or_else(|| panic!("{file}")).problem
    };
    assert_eq!(*problem(&id(1)), FileProblem::NotAFile);
    assert_eq!(*problem(&id(2)), FileProblem::NotAFile);
    assert!(matches!(problem(&id(3)), FileProblem::Damaged(_)));
    assert_eq!(*problem(&id(4)), FileProblem::NotAFile);
    assert!(matches!(problem(&id(5)), FileProblem::Damaged(_)));
    assert_eq!(*problem("copy of Anna.fwp"), FileProblem::WrongName(anna.id));
    assert_eq!(loaded.refused.len(), 6);
    assert!(loaded.refused.iter().all(|r| r.moved_to.is_some()));
    assert!(elsewhere.exists());
    assert_eq!(store.load().unwrap().refused, [], "all moved aside, and nothing else touched");
    assert!(store.folder().join("README").exists());
}

/// Puts a whole file into the folder without asking the store.
fn smuggle(store: &Store, person: &Person) {
    let path = store.folder().join(person.id.file_name());
    fs::write(&path, encode(person, &store.key().read().unwrap().current).unwrap()).unwrap();
    set_mode(&path, 0o600);
}

#[test]
fn two_files_that_claim_one_name_are_reported_and_neither_is_used() {
    let (_folder, store) = empty();
    let first = enrol(&store, "Anna");
    enrol(&store, "Bert");
    let second = Person { id: RecordId(ulid::Ulid(77)), ..first.clone() };
    smuggle(&store, &second);
    let loaded = store.load_and_quarantine().unwrap();
    assert_eq!(loaded.people.len(), 1);
    assert_eq!(loaded.refused.len(), 2);
    assert!(loaded.refused.iter().all(|r| r.moved_to.is_none() && r.to_string().contains("also claimed by")));
    let anna = name("Anna");
    assert!(matches!(store.get(&anna), Err(StoreError::DuplicateName { files, .. }) if files.len() == 2));
    assert!(matches!(store.remove(&anna), Err(StoreError::DuplicateName { .. })));
    assert!(matches!(
        store.enrol(&anna, vec![template(0.4)], time(5)),
        Err(StoreError::DuplicateName { .. })
    ));
    assert!(matches!(store.rename(&name("Bert"), &anna, time(5)), Err(StoreError::NameTaken(_))));
    store.rename_record(second.id, &name("Anna B."), time(6)).unwrap();
    assert_eq!(names(&store), ["Anna", "Anna B.", "Bert"]);
    smuggle(&store, &second);
    store.remove_record(second.id).unwrap();
    assert!(matches!(store.remove_record(second.id), Err(StoreError::NoSuchRecord(_))));
    assert_eq!(names(&store), ["Anna", "Bert"]);
}

#[test]
fn a_newer_format_is_left_alone() {
    use sha2::Digest;
    let (_folder, store) = empty();
    let anna = enrol(&store, "Anna");
    let path = store.folder().join(anna.id.file_name());
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 9;
    bytes.truncate(bytes.len() - 32);
    let checksum = sha2::Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    fs::write(&path, &bytes).unwrap();
    let loaded = store.load_and_quarantine().unwrap();
    assert_eq!((loaded.people.len(), loaded.refused.len()), (0, 1));
    assert_eq!(loaded.refused[0].problem, FileProblem::Newer(9));
    assert_eq!(fs::read(&path).unwrap(), bytes);
    let error = store.enrol(&name("Anna"), vec![template(0.5)], time(5)).unwrap_err();
    assert!(error.to_string().contains("newer program"), "{error}");
}

#[test]
fn templates_that_cannot_be_stored_change_nothing() {
    let (_folder, store) = empty();
    let anna = enrol(&store, "Anna");
    let before = store.fingerprint().unwrap();
    let short = Embedding::new(ModelDigest([7; 32]), vec![1.0]).unwrap();
    let other = Embedding::new(ModelDigest([8; 32]), vec![1.0]).unwrap();
    for (who, templates) in [
        ("Nobody", vec![]),
        ("Anna", vec![Template { embedding: short, ..template(0.1) }]),
        ("Anna", vec![Template { quality: 1.5, ..template(0.1) }]),
        ("Anna", vec![template(0.1); 256]),
    ] {
        let error = store.enrol(&name(who), templates, time(5)).unwrap_err();
        assert!(matches!(error, StoreError::Unstorable { .. }), "{error}");
    }
    assert_eq!(store.fingerprint().unwrap(), before);
    assert_eq!(store.get(&name("Anna")).unwrap(), anna);
    // Another model may have another length.
    store.enrol(&name("Anna"), vec![Template { embedding: other, ..template(0.1) }], time(5)).unwrap();
}

#[test]
fn the_fingerprint_tells_every_change_and_nothing_else() {
    let (_folder, store) = empty();
    let mut last = None;
    let mut is_new = || {
        let now = Some(store.fingerprint().unwrap());
        std::mem::replace(&mut last, now.clone()) != now
    };
    assert!(is_new());
    store.load_and_quarantine().unwrap();
    assert!(!is_new(), "reading is no change");
    enrol(&store, "Anna");
    assert!(is_new());
    assert!(!is_new());
    store.enrol(&name("Anna"), vec![template(0.2)], time(2)).unwrap();
    assert!(is_new());
    store.rename(&name("Anna"), &name("Bert"), time(3)).unwrap();
    assert!(is_new());
    enrol(&store, "Anna");
    assert!(is_new());
    assert_eq!(store.load().unwrap().fingerprint, store.fingerprint().unwrap());
    store.remove(&name("Anna")).unwrap();
    assert!(is_new());
}

#[test]
fn leftovers_of_a_killed_writer_are_ignored_and_then_removed() {
    let (_folder, store) = empty();
    let leftover = store.folder().join(format!(".{}.tmp", RecordId(ulid::Ulid(5)).file_name()));
    let foreign = store.folder().join(".notes.tmp");
    fs::write(&leftover, "half a file").unwrap();
    fs::write(&foreign, "not ours").unwrap();
    let loaded = store.load_and_quarantine().unwrap();
    assert_eq!((loaded.people.len(), loaded.refused.len()), (0, 0));
    assert!(leftover.exists());
    enrol(&store, "Anna");
    assert!(!leftover.exists());
    assert!(foreign.exists());
}

#[test]
fn writers_exclude_each_other_and_lose_nothing() {
    let (_folder, store) = empty();
    std::thread::scope(|scope| {
        for writer in 0..4_u8 {
            let store = &store;
            scope.spawn(move || {
                let own = Store::open(store.folder()).unwrap();
                for round in 0..5 {
                    let added = Template { source: Some(format!("{writer}/{round}")), ..template(0.3) };
                    own.enrol(&name("Anna"), vec![added], time(1)).unwrap();
                    own.enrol(&name(&format!("P{writer}{round}")), vec![template(0.3)], time(1)).unwrap();
                }
            });
        }
        for _ in 0..30 {
            let loaded = store.load().unwrap();
            assert_eq!(loaded.refused, [], "a reader saw half a file");
        }
    });
    assert_eq!(store.get(&name("Anna")).unwrap().templates.len(), 20, "a writer overwrote another's work");
    assert_eq!(names(&store).len(), 21);
}

#[test]
fn a_writer_that_never_ends_is_told_about_and_readers_do_not_care() {
    let (_folder, store) = empty();
    enrol(&store, "Anna");
    let lock = fs::File::open(store.folder().join(".lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let error = store.remove(&name("Anna")).unwrap_err();
    assert!(matches!(error, StoreError::Locked(_)), "{error}");
    assert_eq!(names(&store), ["Anna"]);
    drop(lock);
    store.remove(&name("Anna")).unwrap();
}

#[test]
fn root_leaves_files_that_the_service_can_read() {
    use std::os::unix::fs::{MetadataExt, chown};
    if !rustix::process::geteuid().is_root() {
        return; // only root can write for somebody else
    }
    let (_folder, store) = empty();
    chown(store.folder(), Some(12345), Some(12345)).unwrap();
    let anna = enrol(&store, "Anna");
    for file in [anna.id.file_name(), ".lock".into()] {
        let metadata = fs::metadata(store.folder().join(&file)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (12345, 12345), "{file}");
    }
}

/// A real file system that is small, for as long as it lives.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` if this user may not mount one.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=64k,mode=0700", "none"];
        let status = std::process::Command::new("mount").args(mount).arg(folder.path()).status().ok()?;
        status.success().then_some(Self(folder))
    }

    fn remount(&self, options: &str) {
        let mut command = std::process::Command::new("mount");
        assert!(command.args(["-o", options]).arg(self.0.path()).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        assert!(std::process::Command::new("umount").arg(self.0.path()).status().unwrap().success());
    }
}

#[test]
fn a_full_or_read_only_disk_is_told_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: this user may not mount a file system");
        return;
    };
    let store = Store::open_or_create(disk.0.path().join("enrolled")).unwrap();
    let wide = Embedding::new(ModelDigest([7; 32]), vec![0.5; 2048]).unwrap();
    let big = || vec![Template { embedding: wide.clone(), ..template(0.0) }];
    let mut enrolled = 0;
    let error = loop {
        match store.enrol(&name(&format!("P{enrolled:02}")), big(), time(1)) {
            Ok(_) => enrolled += 1,
            Err(error) => break error,
        }
    };
    assert!((3..8).contains(&enrolled), "{enrolled}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("No space left"), "{error}: {source}");
    let before = store.load().unwrap();
    assert_eq!((before.people.len(), before.refused.len()), (enrolled, 0));
    store.enrol(&name("P00"), big(), time(2)).unwrap_err();
    let left_behind = fs::read_dir(store.folder()).unwrap().count();
    assert_eq!(left_behind, enrolled + 1, "a temporary file beside the people and the lock");

    disk.remount("remount,ro");
    for error in [store.enrol(&name("New"), big(), time(3)).map(drop), store.remove(&name("P00")).map(drop)] {
        assert!(matches!(error, Err(StoreError::Io { .. })), "{error:?}");
    }
    assert_eq!(store.load().unwrap().people, before.people);
    disk.remount("remount,rw");
    store.remove(&name("P00")).unwrap();
    assert_eq!(names(&store).len(), enrolled - 1);
}

/// Runs this very test again as a process of its own that changes the gallery and its key without end, and kills it.
/// `FACEWARDEN_KILLS=10000 cargo nextest run killing_a_writer` says how often; 25 times unless told.
#[test]
fn killing_a_writer_at_any_moment_loses_nobody() {
    const CHILD: &str = "FACEWARDEN_TEST_WRITER";
    if let Some(folder) = std::env::var_os(CHILD) {
        let store = Store::open(folder).unwrap();
        for round in 1.. {
            store.enrol(&name("Anna"), vec![template(0.3)], time(round)).unwrap();
            store.rename(&name("Bert"), &name("Robert"), time(round)).unwrap();
            store.enrol(&name("Guest"), vec![template(0.4)], time(round)).unwrap();
            store.rename(&name("Robert"), &name("Bert"), time(round)).unwrap();
            store.remove(&name("Guest")).unwrap();
            let mut changes = store.begin().unwrap();
            let photo = changes.keep_photo(b"a picture", time(round)).unwrap();
            let seen = Template { photo: Some(photo), ..template(0.6) };
            changes.enrol(&name("Guest"), vec![seen], time(round)).unwrap();
            let known = changes.get(&name("Anna")).unwrap().clone();
            changes.restore(Person { templates: vec![template(0.1)], ..known }).unwrap();
            drop(changes);
            store.rotate_key(None).unwrap();
            store.remove(&name("Guest")).unwrap();
        }
    }
    let kills: u64 = std::env::var("FACEWARDEN_KILLS").map_or(25, |text| text.parse().unwrap());
    for round in 0..kills {
        let (_folder, store) = empty();
        enrol(&store, "Anna");
        enrol(&store, "Bert");
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::killing_a_writer_at_any_moment_loses_nobody"])
            .env(CHILD, store.folder())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let start = store.fingerprint().unwrap();
        while store.fingerprint().unwrap() == start {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        std::thread::sleep(std::time::Duration::from_micros(round * 777 % 40_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let loaded = store.load_and_quarantine().unwrap();
        assert_eq!(loaded.refused, [], "round {round}");
        let found: Vec<_> = loaded.people.iter().map(|p| p.name.as_str()).filter(|n| *n != "Guest").collect();
        assert!(found == ["Anna", "Bert"] || found == ["Anna", "Robert"], "round {round}: {found:?}");
        enrol(&store, "Carla");
        assert_eq!(store.load().unwrap().people.len(), loaded.people.len() + 1);
        let found = store.repair().unwrap();
        assert!(
            found.refused.is_empty() && found.bad_photos.is_empty() && found.stray_photos.is_empty(),
            "{found:?}"
        );
        if found.former_key.is_some() {
            store.rotate_key(None).unwrap();
        }
        assert_eq!(store.inspect().unwrap().people, loaded.people.len() + 1, "round {round}");
    }
    println!("{kills} kills, 0 lost");
}
