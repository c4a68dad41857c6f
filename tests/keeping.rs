//! The real program on real files: the key, copies, archives, kept photos, and what is wrong with them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::Ran;

const PROGRAM: &str = env!("CARGO_BIN_EXE_facewarden");

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run_in(&self, gallery: &str, args: &[&str]) -> Ran {
        let mut command = Command::new(PROGRAM);
        command.args(args).arg("--gallery").arg(self.path(gallery)).stdin(Stdio::null());
        Ran::of(command.current_dir(self.0.path()))
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.run_in("enrolled", args)
    }

    fn enrol(&self, name: &str, picture: &str, more: &[&str]) {
        let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(picture);
        self.run(&[&["enroll", name, picture.to_str().unwrap()], more].concat()).code(0);
    }

    fn passphrase(&self, text: &str) -> String {
        let path = self.path("passphrase");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Everything below the folder, joined.
    fn all_bytes(&self) -> Vec<u8> {
        fn gather(folder: &Path, into: &mut Vec<u8>) {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                into.extend(entry.file_name().as_encoded_bytes());
                if entry.file_type().unwrap().is_dir() {
                    gather(&entry.path(), into);
                } else {
                    into.extend(fs::read(entry.path()).unwrap());
                }
            }
        }
        let mut bytes = Vec::new();
        gather(self.0.path(), &mut bytes);
        bytes
    }
}

#[test]
fn nothing_on_the_disk_tells_who_is_enrolled_or_what_they_look_like() {
    let place = Place::new();
    place.enrol("Barack Obama", "obama.jpg", &["--keep-photos"]);
    place.run(&["persons", "groups", "Barack Obama", "--add", "presidents"]).code(0);
    place.run(&["backup", "backup"]).code(0);
    let file = place.passphrase("seven random words would do");
    place.run(&["export", "all.fwarchive", "--passphrase-file", &file]).code(0);
    fs::remove_file(file).unwrap();
    let bytes = place.all_bytes();
    // Also the beginning of a picture file, and the model's digest, which stands before each embedding.
    let model = place.run(&["persons", "show", "Barack Obama", "--json"]).code(0).json();
    let digest = model["templates"][0]["model_digest"].as_str().unwrap().to_owned();
    let digest: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&digest[2 * at..2 * at + 2], 16).unwrap()).collect();
    let words: [&[u8]; 5] = [b"Barack", b"presidents", b"obama", b"\x89PNG\r\n\x1a\n", &digest];
    for word in words {
        assert!(!bytes.windows(word.len()).any(|window| window == word), "{word:?} is readable");
    }
    assert!(bytes.windows(8).any(|window| window == b"FWPERSON"), "it was not even looked at");
}

#[test]
fn people_move_in_an_archive_and_no_part_of_a_damaged_one_is_taken() {
    let place = Place::new();
    place.enrol("Barack Obama", "obama.jpg", &["--keep-photos"]);
    place.enrol("Joe Biden", "biden.jpg", &[]);
    let file = place.passphrase("seven random words would do\n");
    place.run(&["export", "a.fwarchive", "--passphrase-file", &file]).code(0).says("2 persons and 1 photos");
    place.run(&["export", "a.fwarchive", "--passphrase-file", &file]).code(73);
    place.run(&["export", "b.fwarchive", "--person", "Nobody", "--passphrase-file", &file]).code(66);
    let import = |more: &[&str]| {
        let args = [&["import", "a.fwarchive", "--passphrase-file", &file], more].concat();
        place.run_in("other", &args)
    };
    import(&["--dry-run"]).code(0).says("2 would be added");
    assert!(!place.path("other").exists(), "a dry run made a folder");
    import(&[]).code(0).says("2 added, 0 changed, 0 as they were; 1 photos");
    import(&[]).code(0).says("0 added, 0 changed, 2 as they were");
    place.run_in("other", &["fsck"]).code(0).says("2 persons with 2 templates and 1 photos");
    // Each gallery has its own key.
    let key = |gallery: &str| place.run_in(gallery, &["key", "show"]).code(0).out[..16].to_owned();
    assert_ne!(key("enrolled"), key("other"));
    place.run_in("other", &["persons", "groups", "Joe Biden", "--add", "guests"]).code(0);
    import(&[]).code(1).says("1 left out");
    import(&["--existing", "merge"]).code(0).says("0 added, 0 changed, 2 as they were");
    import(&["--existing", "replace"]).code(0).says("1 changed");

    place.passphrase("another passphrase");
    let wrong = import(&[]).code(77);
    assert!(wrong.err.contains("the passphrase is wrong"), "{}", wrong.err);
    place.passphrase("seven random words would do");
    let whole = fs::read(place.path("a.fwarchive")).unwrap();
    fs::write(place.path("a.fwarchive"), &whole[..whole.len() - 1]).unwrap();
    place.run_in("new", &["import", "a.fwarchive", "--passphrase-file", &file]).code(65);
    assert!(!place.path("new").exists(), "something was taken from it");
    fs::write(place.path("a.fwarchive"), "no archive").unwrap();
    import(&[]).code(65);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(import(&[]).code(77).err.contains("chmod 600"));
}

#[test]
fn a_lost_wrong_or_open_key_is_said_with_a_code_of_its_own() {
    let place = Place::new();
    place.enrol("Barack Obama", "obama.jpg", &[]);
    let key = place.path("enrolled.key");
    let text = fs::read(&key).unwrap();
    place.run(&["key", "rotate", "--keep-former", "former.key"]).code(0).says("1 files are encrypted");
    place.run(&["persons", "list"]).code(0).says("Barack Obama");
    let wrong = place.run(&["persons", "list", "--key", "former.key"]).code(65);
    assert!(wrong.err.contains("is not the one of the gallery"), "{}", wrong.err);
    assert_eq!(fs::read(place.path("former.key")).unwrap(), text);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(place.run(&["persons", "list"]).code(77).err.contains("chmod 600"));
    fs::remove_file(&key).unwrap();
    let gone = place.run(&["persons", "list"]).code(66);
    assert!(gone.err.contains("there is no key to read them with"), "{}", gone.err);
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures/biden.jpg");
    place.run(&["enroll", "Joe Biden", picture.to_str().unwrap()]).code(66);
    assert!(!key.exists(), "a new key was made");
    assert_eq!(place.run(&["key", "new"]).code(0).out.lines().count(), 2);
}

#[test]
fn what_is_not_whole_is_found_and_repaired_without_touching_the_rest() {
    let place = Place::new();
    place.enrol("Barack Obama", "obama.jpg", &["--keep-photos"]);
    place.enrol("Joe Biden", "biden.jpg", &[]);
    place.run(&["fsck"]).code(0).says("everything is whole");
    let files = || fs::read_dir(place.path("enrolled")).unwrap().map(|entry| entry.unwrap().path());
    let photo = files().find(|path| path.extension().is_some_and(|end| end == "fwi")).unwrap();
    let stray = photo.with_file_name("01M8591ERC3SA5FSHZTP6DBXPY.fwi");
    fs::copy(&photo, &stray).unwrap();
    fs::remove_file(&photo).unwrap();
    let shown = place.run(&["fsck", "--json"]).code(65).json();
    assert_eq!((&shown["sound"], &shown["persons"]), (&false.into(), &2.into()), "{shown}");
    let found = place.run(&["fsck"]).code(65);
    assert!(found.err.contains("is not there") && found.err.contains("belongs to nobody"), "{}", found.err);
    let person = files().find(|path| path.extension().is_some_and(|end| end == "fwp")).unwrap();
    let mut bytes = fs::read(&person).unwrap();
    bytes[100] ^= 1;
    fs::write(&person, bytes).unwrap();
    let repaired = place.run(&["fsck", "--repair"]);
    assert!(
        repaired.out.contains("1 persons") && repaired.out.contains("1 damaged files"),
        "{}",
        repaired.out
    );
    assert!(!person.exists() && place.path("enrolled/quarantine").join(person.file_name().unwrap()).exists());
}

#[test]
fn kept_photos_make_templates_of_another_model() {
    let place = Place::new();
    place.enrol("Barack Obama", "obama.jpg", &["--keep-photos"]);
    place.enrol("Joe Biden", "biden.jpg", &[]);
    // Another model for all that matters: the same weights fed otherwise have another digest.
    let models = place.path("models");
    fs::create_dir(&models).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    for file in ["centerface.onnx", "centerface.yaml", "faceplugin512.onnx"] {
        fs::copy(shipped.join(file), models.join(file)).unwrap();
    }
    let manifest = fs::read_to_string(shipped.join("faceplugin512.yaml")).unwrap();
    let renamed = manifest.replacen("name: faceplugin512", "name: renamed", 1);
    let renamed = renamed.replacen("colour: bgr", "colour: rgb", 1);
    assert!(renamed.contains("name: renamed") && renamed.contains("colour: rgb"), "{renamed}");
    fs::write(models.join("renamed.yaml"), renamed).unwrap();
    let migrate = |more: &[&str]| {
        let args = ["migrate", "--model", "renamed", "--models-dir", models.to_str().unwrap()];
        place.run(&[&args, more].concat())
    };
    let dry = migrate(&["--dry-run"]).code(1).says("1 of 2 persons would be recognised");
    assert!(dry.err.contains("Joe Biden has no photo"), "{}", dry.err);
    migrate(&[]).code(1).says("1 of 2 persons are recognised by renamed; 1 templates were made");
    migrate(&[]).code(1).says("0 templates were made");
    let templates =
        || place.run(&["persons", "show", "Barack Obama", "--json"]).code(0).json()["templates"].clone();
    assert_eq!(templates().as_array().unwrap().len(), 2);
    migrate(&["--drop-others"]).code(1);
    assert_eq!(templates().as_array().unwrap().len(), 1);
    place.run(&["fsck"]).code(0).says("2 persons with 2 templates and 1 photos");
    // A picture of the whole would have made the same template.
    place.run(&["persons", "remove", "Barack Obama", "--yes"]).code(0);
    place.run(&["fsck"]).code(0).says("1 persons with 1 templates and 0 photos");
}
