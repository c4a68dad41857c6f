//! The real program on real photos: enrolling people, and looking after who is enrolled.

mod bulk;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_facewarden");

/// A gallery folder that does not exist yet, inside a folder of its own.
struct Gallery {
    outer: TempDir,
}

/// What a run of the program left.
struct Ran {
    exit: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let ran = Self {
            exit: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!ran.err.contains("panicked") && !ran.out.contains("panicked"), "{}{}", ran.out, ran.err);
        ran
    }

    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.exit, Some(code), "\nstdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    fn complains(self, text: &str) -> Self {
        assert!(self.err.contains(text), "no {text:?} in stderr: {}", self.err);
        self
    }

    #[track_caller]
    fn prints(self, text: &str) -> Self {
        assert!(self.out.contains(text), "no {text:?} in stdout: {}", self.out);
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

fn picture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name)
}

impl Gallery {
    fn new() -> Self {
        Self { outer: tempfile::tempdir().unwrap() }
    }

    fn folder(&self) -> PathBuf {
        self.outer.path().join("enrolled")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(args).arg("--gallery").arg(self.folder()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// `enroll NAME`, with pictures (what has a dot) and options (what has none).
    fn enroll(&self, name: &str, rest: &[&str]) -> Ran {
        let (pictures, options): (Vec<&str>, Vec<&str>) = rest.iter().partition(|arg| arg.contains('.'));
        let mut command = self.command(&["enroll"]);
        // A whole path stays as it is when it is joined.
        command.args(options).arg("--").arg(name).args(pictures.into_iter().map(picture));
        Ran::of(command.output().unwrap())
    }

    fn files(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = all.filter(|path| path.extension().is_some_and(|e| e == "fwp")).collect();
        files.sort();
        files
    }

    /// Names and numbers of templates.
    fn people(&self) -> Vec<(String, usize)> {
        let list = self.run(&["persons", "list", "--json"]).exits(0).json();
        let one =
            |p: &Value| (p["name"].as_str().unwrap().to_owned(), p["templates"].as_array().unwrap().len());
        list["persons"].as_array().unwrap().iter().map(one).collect()
    }
}

fn named(people: &[(&str, usize)]) -> Vec<(String, usize)> {
    people.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn people_are_enrolled_listed_renamed_and_removed() {
    let gallery = Gallery::new();
    gallery.run(&["persons", "list"]).exits(66).complains("there is no gallery at");
    gallery.enroll("Obama", &["obama.jpg", "obama2.jpg"]).exits(0).prints("2 templates added, 2 in all");
    gallery.enroll("Biden", &["biden.jpg"]).exits(0).prints("1 template added, 1 in all");
    gallery.enroll("Obama", &["obama3.jpg"]).exits(0).prints("1 template added, 3 in all");
    assert_eq!(gallery.people(), named(&[("Biden", 1), ("Obama", 3)]));

    let list = gallery.run(&["persons", "list"]).exits(0).prints("faceplugin512");
    assert_eq!(list.out.lines().count(), 3, "{}", list.out);
    gallery.run(&["persons", "show", "Obama"]).exits(0).prints("obama2.jpg").prints("faceplugin512");
    gallery.run(&["persons", "show", "Nobody"]).exits(66).complains("nobody is enrolled as \"Nobody\"");
    let shown = gallery.run(&["persons", "show", "Obama", "--json"]).exits(0);
    assert_eq!(shown.json()["templates_of_other_models"], 0);
    for secret in ["embedding", "quality", "score", "similarity"] {
        assert!(!shown.out.contains(secret), "{secret} is shown: {}", shown.out);
    }

    gallery.run(&["persons", "rename", "Biden", "Obama"]).exits(1).complains("already enrolled as \"Obama\"");
    gallery.run(&["persons", "rename", "Biden", "Joe Biden"]).exits(0).prints("Biden is now Joe Biden");
    gallery.run(&["persons", "rename", "Biden", "x"]).exits(66);
    gallery.run(&["persons", "remove", "Obama"]).exits(64).complains("say --yes");
    assert_eq!(gallery.people(), named(&[("Joe Biden", 1), ("Obama", 3)]));
    gallery.run(&["persons", "remove", "Obama", "--yes"]).exits(0).prints("Obama was removed");
    gallery.run(&["persons", "remove", "Obama", "--yes"]).exits(66);
    assert_eq!(gallery.people(), named(&[("Joe Biden", 1)]));
    assert_eq!(gallery.files().len(), 1);
}

#[test]
fn several_faces_are_listed_and_one_can_be_chosen() {
    let gallery = Gallery::new();
    let refused = gallery.enroll("Curie", &["solvay1927.jpg"]).exits(2);
    let refused = refused.complains("choose one, counted from the left").complains("--face 2:");
    assert!(refused.err.matches("--face").count() > 20, "{}", refused.err);
    assert!(gallery.files().is_empty());

    let report = gallery.enroll("Curie", &["solvay1927.jpg", "--json"]).exits(2).json();
    assert_eq!(report["enrolled"], false);
    let faces = report["pictures"][0]["faces"].as_array().unwrap();
    let lefts: Vec<i64> = faces.iter().map(|face| face["x"].as_i64().unwrap()).collect();
    let middles: Vec<i64> =
        faces.iter().map(|f| 2 * f["x"].as_i64().unwrap() + f["width"].as_i64().unwrap()).collect();
    assert!(lefts.len() > 20 && middles.is_sorted(), "{lefts:?}");

    let wrong = (faces.len() + 1).to_string();
    gallery.enroll("Curie", &["solvay1927.jpg", "--face", &wrong]).exits(2).complains("there is no face");
    // Some of the faces are below the 40 pixels that are wanted.
    gallery.enroll("Left", &["solvay1927.jpg", "--face", "1", "--force"]).exits(0);
    gallery.enroll("Second", &["solvay1927.jpg", "--face", "2", "--force"]).exits(0);
    assert_eq!(gallery.people(), named(&[("Left", 1), ("Second", 1)]));
}

#[test]
fn pictures_that_are_no_use_are_named_and_nothing_is_written() {
    let gallery = Gallery::new();
    gallery.enroll("Tom", &["cat.jpg"]).exits(2).complains("cat.jpg: no face found");
    gallery.enroll("Tom", &["no-such-file.jpg"]).exits(66).complains("no-such-file.jpg");
    let broken = gallery.outer.path().join("broken.jpg");
    let whole = fs::read(picture("obama.jpg")).unwrap();
    fs::write(&broken, b"this is text").unwrap();
    gallery.enroll("Tom", &[broken.to_str().unwrap()]).exits(2).complains("not a JPEG");
    fs::write(&broken, b"").unwrap();
    gallery.enroll("Tom", &[broken.to_str().unwrap()]).exits(2).complains("empty");
    fs::write(&broken, &whole[..whole.len() / 8]).unwrap();
    gallery.enroll("Tom", &[broken.to_str().unwrap(), "cat.jpg"]).exits(2).complains("all 2 pictures");
    assert!(gallery.files().is_empty());

    // The good ones are taken all the same, and the exit code says that some were not.
    let some = gallery.enroll("Obama", &["cat.jpg", "obama.jpg"]).exits(1);
    some.complains("cat.jpg: no face found").prints("1 template added, 1 in all, 1 of 2 pictures left out");
}

#[test]
fn another_person_under_the_same_name_is_refused() {
    let gallery = Gallery::new();
    gallery
        .enroll("Obama", &["obama.jpg", "biden.jpg"])
        .exits(1)
        .complains("does not look like the other pictures");
    assert!(gallery.files().is_empty());
    gallery.enroll("Obama", &["obama.jpg"]).exits(0);
    let refused = gallery.enroll("Obama", &["obama2.jpg", "biden.jpg"]).exits(1);
    refused.complains("biden.jpg does not look like the other pictures of Obama: distance");
    assert_eq!(gallery.people(), named(&[("Obama", 1)]));
    let report = gallery.enroll("Obama", &["biden.jpg", "--json"]).exits(1).json();
    assert_eq!(report["pictures"][0]["reason"], "conflict");
    assert_eq!(report["conflicts"].as_array().unwrap().len(), 1);
    gallery.enroll("Obama", &["biden.jpg", "--force"]).exits(0).complains("taken all the same");
    assert_eq!(gallery.people(), named(&[("Obama", 2)]));
}

#[test]
fn one_person_under_two_names_is_refused_and_named() {
    let gallery = Gallery::new();
    gallery.enroll("Obama", &["obama.jpg"]).exits(0);
    gallery
        .enroll("Barack", &["obama2.jpg"])
        .exits(1)
        .complains("obama2.jpg looks like Obama, who is enrolled already");
    assert_eq!(gallery.people(), named(&[("Obama", 1)]));
    gallery.enroll("Barack", &["obama2.jpg", "--force"]).exits(0);
    assert_eq!(gallery.people(), named(&[("Barack", 1), ("Obama", 1)]));
}

#[test]
fn a_picture_that_is_enrolled_already_is_not_added_again() {
    let gallery = Gallery::new();
    gallery.enroll("Obama", &["obama.jpg", "obama.jpg"]).exits(0).prints("1 template added, 1 in all");
    let again = gallery.enroll("Obama", &["obama.jpg"]).exits(0);
    again.prints("the same picture as obama.jpg, not added again").prints("0 templates added, 1 in all");
    let report = gallery.enroll("Obama", &["obama.jpg", "obama2.jpg", "--json"]).exits(0).json();
    assert_eq!(report["pictures"][0]["reason"], "repeated");
    assert_eq!((&report["templates_added"], &report["templates"]), (&1.into(), &2.into()));
}

#[test]
fn damaged_files_are_named_and_the_others_are_kept() {
    let gallery = Gallery::new();
    gallery.enroll("Obama", &["obama.jpg"]).exits(0);
    let obama = gallery.files().remove(0);
    gallery.enroll("Biden", &["biden.jpg"]).exits(0);
    let mut bytes = fs::read(&obama).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&obama, &bytes).unwrap();

    let file = obama.file_name().unwrap().to_str().unwrap();
    let list = gallery.run(&["persons", "list"]).exits(65).complains(file).complains("checksum");
    assert!(list.out.contains("Biden") && !list.out.contains("Obama"), "{}", list.out);
    let list = gallery.run(&["persons", "list", "--json"]).exits(65).json();
    assert_eq!((&list["not_used"][0]["file"], &list["persons"][0]["name"]), (&file.into(), &"Biden".into()));
    gallery.enroll("Collins", &["astronaut.png"]).exits(0).complains(file);
    assert_eq!(fs::read(&obama).unwrap(), bytes, "a damaged file was changed");

    // One that others can read may be good and hold any name: nothing is added beside it.
    let biden = gallery.files().into_iter().find(|path| *path != obama).unwrap();
    fs::set_permissions(&biden, Permissions::from_mode(0o644)).unwrap();
    gallery.enroll("Gauss", &["gauss.jpg"]).exits(77).complains("run chmod 600");
}

#[test]
fn a_gallery_that_others_can_read_is_refused() {
    let gallery = Gallery::new();
    fs::create_dir(gallery.folder()).unwrap();
    fs::set_permissions(gallery.folder(), Permissions::from_mode(0o755)).unwrap();
    gallery.enroll("Obama", &["obama.jpg"]).exits(77).complains("run chmod 700");
    gallery.run(&["persons", "list"]).exits(77).complains("mode 755");
    assert!(gallery.files().is_empty());
}

#[test]
fn wrong_use_is_told_apart() {
    let gallery = Gallery::new();
    for args in [
        &["enroll", "Obama"][..],
        &["enroll", "", "a.jpg"],
        &["enroll", "tab\there", "a.jpg"],
        &["enroll", "Obama", "a.jpg", "--camera", "/dev/video0"],
        &["enroll", "Obama", "a.jpg", "--looks", "3"],
        &["persons"],
        &["persons", "rename", "a"],
    ] {
        gallery.run(args).exits(64);
    }
    assert!(!gallery.folder().exists());
    let known = gallery.enroll("Obama", &["obama.jpg", "--model", "nosuch"]).exits(69);
    known.complains("faceplugin512");
    // Without --gallery nothing is made: the default folder is the daemon's.
    if !Path::new("/var/lib/facewarden/enrolled").exists() {
        let output =
            Command::new(PROGRAM).args(["enroll", "Obama"]).arg(picture("obama.jpg")).output().unwrap();
        Ran::of(output).exits(66).complains("--gallery DIR");
        assert!(!Path::new("/var/lib/facewarden/enrolled").exists());
    }
}

#[test]
fn no_name_reaches_outside_the_gallery() {
    let gallery = Gallery::new();
    let names = ["../../escape", "..", "/etc/passwd", "Zoë Ω 名", "-rf", "a\"b\\c"];
    for name in names {
        gallery.enroll(name, &["obama.jpg", "--force"]).exits(0);
    }
    let mut expected: Vec<_> = names.iter().map(|name| ((*name).to_owned(), 1)).collect();
    expected.sort();
    assert_eq!(gallery.people(), expected);
    assert_eq!(
        fs::read_dir(gallery.outer.path()).unwrap().count(),
        2,
        "something is beside the gallery and its key"
    );
    gallery.run(&["persons", "rename", "..", "../up"]).exits(0);
    gallery.run(&["persons", "remove", "--yes", "Zoë Ω 名"]).exits(0);
    assert_eq!(gallery.people().len(), 5);
}

#[test]
fn several_may_enrol_at_once() {
    let gallery = Gallery::new();
    // Made beforehand: who makes the folder is another matter.
    gallery.enroll("Gauss", &["gauss.jpg"]).exits(0);
    let people = [("Biden", "biden.jpg"), ("Collins", "astronaut.png"), ("Obama", "obama.jpg")];
    let running: Vec<_> = people
        .iter()
        .map(|(name, file)| {
            let mut command = gallery.command(&["enroll", name]);
            command.arg(picture(file)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in running {
        Ran::of(child.wait_with_output().unwrap()).exits(0);
    }
    assert_eq!(gallery.people(), named(&[("Biden", 1), ("Collins", 1), ("Gauss", 1), ("Obama", 1)]));
}

#[test]
fn a_kill_leaves_a_gallery_that_can_be_read() {
    let gallery = Gallery::new();
    gallery.enroll("Obama", &["obama.jpg"]).exits(0);
    for wait_ms in [0, 60, 120, 200, 300, 400, 550] {
        let mut child = gallery
            .command(&["enroll", "Biden"])
            .arg(picture("biden.jpg"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        let people = gallery.people();
        assert!(people.contains(&("Obama".to_owned(), 1)) && people.len() <= 2, "{people:?}");
    }
    gallery.enroll("Collins", &["astronaut.png"]).exits(0);
    let leftovers = fs::read_dir(gallery.folder())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".tmp"));
    assert_eq!(leftovers.count(), 0);
}

#[test]
fn a_full_disk_loses_nobody() {
    let gallery = Gallery::new();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=12k,mode=700", "tmpfs"])
        .arg({
            fs::create_dir(gallery.folder()).unwrap();
            gallery.folder()
        })
        .stderr(Stdio::null())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("skipped: mounting a small disk needs root");
        return;
    }
    /// Unmounts whatever happens.
    struct Mounted(PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            drop(Command::new("umount").arg(&self.0).status());
        }
    }
    let mounted = Mounted(gallery.folder());
    gallery.enroll("Obama", &["obama.jpg"]).exits(0);
    let filler = vec![0; 64 * 1024];
    drop(fs::write(gallery.folder().join("filler"), filler));
    gallery.enroll("Biden", &["biden.jpg"]).exits(73).complains("No space left");
    assert_eq!(gallery.people(), named(&[("Obama", 1)]));
    fs::remove_file(gallery.folder().join("filler")).unwrap();
    gallery.enroll("Biden", &["biden.jpg"]).exits(0);
    assert_eq!(gallery.people(), named(&[("Biden", 1), ("Obama", 1)]));
    drop(mounted);
}

#[test]
fn templates_of_another_model_are_pointed_out() {
    use facewarden::clock::WallTime;
    use facewarden::domain::{Embedding, ModelDigest, PersonId};
    use facewarden::store::{Store, Template};
    let gallery = Gallery::new();
    let store = Store::open_or_create(gallery.folder()).unwrap();
    let now = WallTime(jiff::Timestamp::from_second(1_700_000_000).unwrap());
    let template = Template::new(Embedding::new(ModelDigest([0xAB; 32]), vec![1.0; 128]).unwrap(), 0.5, now);
    store.enrol(&PersonId::new("Obama").unwrap(), vec![template], now).unwrap();
    gallery.run(&["persons", "list"]).exits(0).prints("unknown (abababababab)").prints("not recognised");
    gallery.enroll("Obama", &["obama.jpg"]).exits(0).complains("made by another model").prints("2 in all");
    gallery.run(&["persons", "list"]).exits(0).prints("1 of another model, not used");
    gallery.run(&["persons", "list", "--model", "nosuch"]).exits(0).complains("is not known");
}

#[test]
fn completions_and_manual_pages_come_from_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| Ran::of(Command::new(PROGRAM).args(args).output().unwrap());
    for shell in ["bash", "zsh", "fish"] {
        run(&["completions", shell]).exits(0).prints("enroll");
    }
    run(&["completions", "nosuch"]).exits(64);
    run(&["man"]).exits(0).prints(".TH facewarden").prints("enroll");
    let pages = folder.path().join("man1");
    run(&["man", pages.to_str().unwrap()]).exits(0);
    for page in ["facewarden.1", "facewarden-enroll.1", "facewarden-persons-list.1"] {
        let text = fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(".TH") && text.contains("SYNOPSIS"), "{page}: {text}");
    }
    fs::write(folder.path().join("file"), b"").unwrap();
    run(&["man", folder.path().join("file").to_str().unwrap()]).exits(73);
}
