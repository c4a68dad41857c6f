//! What is encrypted: the key, photos and archives, with real files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use facewarden::store::{FileProblem, RecordId, Store, StoreError, Template};

use super::{empty, enrol, mode, name, names, set_mode, template, time};

#[test]
fn a_key_is_made_once_and_never_beside_people_whose_key_is_gone() {
    let (_folder, store) = empty();
    assert!(store.inspect().unwrap().key.is_none());
    enrol(&store, "Anna");
    let key = store.key().path().to_owned();
    let text = fs::read_to_string(&key).unwrap();
    enrol(&store, "Bert");
    assert_eq!(fs::read_to_string(&key).unwrap(), text);
    fs::remove_file(&key).unwrap();
    let results =
        [store.load().map(drop), store.enrol(&name("Carla"), vec![template(0.2)], time(2)).map(drop)];
    for result in results {
        let error = result.unwrap_err();
        assert!(matches!(error, StoreError::KeyGone { .. }), "{error}");
        assert!(error.to_string().contains(&*key.to_string_lossy()), "{error}");
    }
    // Nor beside damaged ones alone, which may be put back one day.
    for file in fs::read_dir(store.folder()).unwrap().map(|f| f.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "fwp") {
            fs::write(&file, "damaged").unwrap();
        }
    }
    assert!(store.enrol(&name("Carla"), vec![template(0.2)], time(2)).is_err());
    assert!(!key.exists(), "a new key was made");
}

#[test]
fn a_key_that_others_can_read_or_that_is_another_is_refused() {
    let (_folder, store) = empty();
    let anna = enrol(&store, "Anna");
    let key = store.key().path().to_owned();
    let text = fs::read_to_string(&key).unwrap();
    for open in [0o640, 0o604, 0o660] {
        set_mode(&key, open);
        let error = store.load().unwrap_err().to_string();
        assert!(error.contains(&format!("chmod 600 {}", key.display())), "{error}");
        assert!(store.enrol(&name("Bert"), vec![template(0.2)], time(2)).is_err());
    }
    set_mode(&key, 0o600);
    let write = |text: &str| fs::write(&key, text).unwrap();
    for damaged in
        [&text[..text.len() - 3], &text.replace("key-1", "key-9"), "", &text.replacen(":", ": ", 2)]
    {
        write(damaged);
        let error = store.load().unwrap_err().to_string();
        assert!(error.contains("not a key file"), "{error}");
    }
    let digit = |from: char, to: char| {
        let at = text.rfind(from).unwrap();
        format!("{}{to}{}", &text[..at], &text[at + 1..])
    };
    write(&if text.trim_end().ends_with('0') {
        digit('0', '1')
    } else {
        digit(text.trim_end().chars().last().unwrap(), '0')
    });
    assert!(store.load().unwrap_err().to_string().contains("does not fit its name"));
    // Another gallery's.
    let (_other_folder, other) = empty();
    enrol(&other, "Eve");
    write(&fs::read_to_string(other.key().path()).unwrap());
    let error = store.load().unwrap_err();
    assert!(matches!(error, StoreError::WrongKey { .. }), "{error}");
    assert!(matches!(store.load_and_quarantine(), Err(StoreError::WrongKey { .. })));
    assert!(store.enrol(&name("Bert"), vec![template(0.2)], time(2)).is_err());
    // One of that key among our own is in the way, and left where it is.
    write(&text);
    let mut strange = fs::read_dir(other.folder()).unwrap().map(|f| f.unwrap().path());
    let strange = strange.find(|f| f.extension().is_some_and(|e| e == "fwp")).unwrap();
    let copied = store.folder().join(strange.file_name().unwrap());
    fs::copy(&strange, &copied).unwrap();
    let loaded = store.load_and_quarantine().unwrap();
    assert_eq!(loaded.people, [anna]);
    assert!(matches!(loaded.refused[0].problem, FileProblem::OtherKey(_)));
    assert!(copied.exists());
    let error = store.rotate_key(None).unwrap_err().to_string();
    assert!(error.contains("which is not here"), "{error}");
    // A link could lead to somebody else's.
    fs::rename(&key, key.with_extension("elsewhere")).unwrap();
    symlink(key.with_extension("elsewhere"), &key).unwrap();
    assert!(store.load().unwrap_err().to_string().contains("not an ordinary file"));
}

#[test]
fn a_new_key_leaves_nothing_readable_with_the_former_one_but_what_was_copied_before() {
    let (outer, store) = empty();
    enrol(&store, "Anna");
    let backup = outer.path().join("backup");
    assert_eq!(store.back_up(&backup).unwrap().people, 1);
    assert!(store.back_up(&backup).is_err(), "a backup was mixed with another");
    let kept = outer.path().join("former.key");
    let done = store.rotate_key(Some(&kept)).unwrap();
    assert_eq!((done.files, done.was_interrupted), (1, false));
    assert_eq!(names(&store), ["Anna"]);
    assert_eq!(mode(&kept), 0o600);
    assert!(store.rotate_key(Some(&kept)).is_err(), "a kept key was overwritten");
    let with = |key: &Path| Store::open(&backup).unwrap().with_key(facewarden::store::KeyPlace::at(key));
    assert!(matches!(with(store.key().path()).load(), Err(StoreError::WrongKey { .. })));
    assert_eq!(names(&with(&kept)), ["Anna"]);
    assert!(matches!(with(Path::new("none")).load(), Err(StoreError::KeyGone { .. })));
}

#[test]
fn photos_are_kept_encrypted_and_go_with_their_person() {
    let (_folder, store) = empty();
    let picture = b"\xff\xd8 the bytes of a picture".as_slice();
    let mut changes = store.begin().unwrap();
    let photo = changes.keep_photo(picture, time(1)).unwrap();
    let stray = changes.keep_photo(picture, time(1)).unwrap();
    changes.enrol(&name("Anna"), vec![Template { photo: Some(photo), ..template(0.1) }], time(1)).unwrap();
    drop(changes);
    assert_eq!(*store.photo(photo).unwrap(), picture);
    let path = store.folder().join(photo.photo_name());
    assert_eq!(mode(&path), 0o600);
    assert!(!fs::read(&path).unwrap().windows(8).any(|window| picture.windows(8).any(|w| w == window)));
    let found = store.inspect().unwrap();
    assert_eq!((found.photos, found.stray_photos, found.missing_photos), (2, vec![stray], vec![]));
    assert!(store.repair().unwrap().is_sound());
    // Another person's photo in its place is noticed.
    let mut changes = store.begin().unwrap();
    let other = changes.keep_photo(b"somebody else", time(2)).unwrap();
    drop(changes);
    fs::copy(store.folder().join(other.photo_name()), &path).unwrap();
    assert!(matches!(store.photo(photo), Err(StoreError::BadPhoto { .. })));
    // And with the last template that was made of it, however that goes.
    let mut changes = store.begin().unwrap();
    let second = changes.keep_photo(picture, time(3)).unwrap();
    let seen = |first| Template { photo: Some(second), ..template(first) };
    changes.enrol(&name("Anna"), vec![seen(0.2), seen(0.3)], time(3)).unwrap();
    changes.change(&name("Anna"), time(4), |person| drop(person.templates.pop())).unwrap();
    assert!(store.photo(second).is_ok());
    changes.change(&name("Anna"), time(5), |person| drop(person.templates.pop())).unwrap();
    assert!(matches!(store.photo(second), Err(StoreError::NoSuchPhoto(_))));
    drop(changes);
    assert_eq!(store.remove(&name("Anna")).unwrap().photos, 1);
    assert!(matches!(store.photo(photo), Err(StoreError::NoSuchPhoto(_))));
}

#[test]
fn an_archive_brings_back_everybody_and_is_whole_or_refused() {
    use facewarden::store::{ArchiveError, ArchiveReader, ArchiveWriter, Entry};
    let (_folder, store) = empty();
    let anna = enrol(&store, "Anna");
    let photo = RecordId(ulid::Ulid(5));
    let mut archive = ArchiveWriter::new(Vec::new(), "correct horse battery").unwrap();
    archive.person(&anna).unwrap();
    archive.photo(photo, b"picture").unwrap();
    let bytes = archive.finish().unwrap();
    let read = |bytes: &[u8]| -> Result<Vec<Entry>, ArchiveError> {
        ArchiveReader::new(bytes, "correct horse battery")?.collect()
    };
    let entries = read(&bytes).unwrap();
    assert_eq!(entries, [Entry::Person(Box::new(anna)), Entry::Photo(photo, b"picture".to_vec().into())]);
    assert!(matches!(ArchiveReader::new(&*bytes, "correct horse batterx"), Err(ArchiveError::Passphrase)));
    assert!(matches!(ArchiveWriter::new(Vec::new(), "short"), Err(ArchiveError::TooShort)));
    assert!(!bytes.windows(4).any(|window| window == b"Anna"));
    let header = 59;
    // Every part has its length before it.
    let mut ends = vec![header];
    while let Some(&at) = ends.last().filter(|at| **at < bytes.len()) {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        ends.push(at + 4 + usize::try_from(length).unwrap());
    }
    assert_eq!((ends.len(), *ends.last().unwrap()), (5, bytes.len()), "beginning, person, photo, end");
    for cut in [0, 5, header, ends[1], ends[2], ends[3], bytes.len() - 1] {
        assert!(read(&bytes[..cut]).is_err(), "cut to {cut}");
    }
    assert!(read(&[&*bytes, &[0]].concat()).is_err(), "something was appended");
    let (person, picture) = (&bytes[ends[1]..ends[2]], &bytes[ends[2]..ends[3]]);
    let (start, end) = (&bytes[..ends[1]], &bytes[ends[3]..]);
    for mixed in [
        [start, picture, person, end].concat(),
        [start, person, end].concat(),
        [start, person, person, picture, end].concat(),
    ] {
        assert!(matches!(read(&mixed), Err(ArchiveError::Damaged(_))));
    }
    for at in (0..bytes.len()).step_by(61) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x41;
        assert!(read(&changed).is_err(), "byte {at}");
    }
}
