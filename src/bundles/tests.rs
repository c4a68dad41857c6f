use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use image::RgbImage;
use ulid::Ulid;

use super::*;
use crate::config::{Camera, Config};
use crate::domain::{CameraId, Payload};

/// 2026-11-23T19:25:23.378Z.
const NOW_MS: u64 = 1_795_461_923_378;

fn wall(ms: u64) -> WallTime {
    WallTime(jiff::Timestamp::from_millisecond(ms.try_into().unwrap()).unwrap())
}

fn event(at_ms: u64, number: u128) -> Event {
    let text = r#"{"schema":1,"id":"01M84XQ0000000000000000002","at":"2026-11-23T19:25:23.378Z","type":"match.unknown",
        "reason":"no_match","camera":"door","track":4,"captured_at":"2026-11-23T19:25:23.341Z",
        "decided_at":"2026-11-23T19:25:23.378Z","similarity":0.123456,"observations":3,"agreeing":3,
        "liveness_mode":"off","model":"31"}"#;
    Event { id: Ulid::from_parts(at_ms, number), ..serde_json::from_str(text).unwrap() }
}

fn out(folder: &Path) -> BundleFolder {
    let mut config = Config::new(Camera::new(CameraId::new("door").unwrap(), "/dev/video0".into()));
    config.debug.folder = folder.to_owned();
    config.debug.max_mb = 1;
    let model = |name: &str| ModelIdentity { name: name.to_owned(), digest: "ab".repeat(32) };
    BundleFolder::new(config, Models { detector: model("d"), embedder: model("e"), liveness: None })
}

fn frame(seq: u64, original: Original) -> KeptFrame {
    let box_in_frame = Rect::new(1.5, 2.0, 30.25, 40.0);
    let faces = vec![KeptFace { track: TrackId(4), box_in_frame, is_looked_at: true }];
    KeptFrame { seq, captured_at: Moment(Duration::from_millis(10_000 + 33 * seq)), original, faces }
}

/// One of each form.
fn frames() -> Vec<KeptFrame> {
    let raw = |bytes: usize| vec![9; bytes];
    let bytes = |payload| Original::Bytes(Arc::new(payload));
    vec![
        frame(7, bytes(Payload::Jpeg(vec![0xFF, 0xD8, 1, 2]))),
        frame(8, bytes(Payload::Still(raw(5)))),
        frame(10, bytes(Payload::Yuyv { width: 2, height: 2, stride: 5, data: raw(10) })),
        frame(11, bytes(Payload::Nv12 { width: 2, height: 2, stride: 2, data: raw(6) })),
        frame(12, bytes(Payload::Grey { width: 3, height: 2, stride: 4, data: raw(8) })),
        frame(13, Original::Pixels(Arc::new(RgbImage::new(4, 2)))),
    ]
}

fn write(
    out: &mut BundleFolder,
    event: &Event,
    frames: &[KeptFrame],
    now_ms: u64,
) -> Result<(), BundleError> {
    let footage = Footage {
        event,
        gallery: GalleryIdentity { digest: "cd".repeat(32), people: 2 },
        first_frame_at: wall(NOW_MS),
        frames: frames.iter().collect(),
        missing: 1,
        is_cut: true,
    };
    out.write(&footage, wall(now_ms))
}

/// A new folder with one bundle in it.
fn written() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let event = event(NOW_MS, 1);
    write(&mut out(&folder.path().join("debug")), &event, &frames(), NOW_MS).unwrap();
    let path = folder.path().join("debug").join(event.id.to_string());
    (folder, path)
}

/// A new folder for its owner alone.
fn private() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_was_written_is_read_back_to_the_byte() {
    let (_folder, path) = written();
    let bundle = Bundle::open(&path).unwrap();
    let manifest = &bundle.manifest;
    assert_eq!(manifest.event, event(NOW_MS, 1));
    assert_eq!((manifest.missing, manifest.is_cut, manifest.gallery.people), (1, true, 2));
    let times: Vec<(u64, u64)> = manifest.frames.iter().map(|f| (f.seq, f.at_ns / 1_000_000)).collect();
    assert_eq!(times, [(7, 0), (8, 33), (10, 99), (11, 132), (12, 165), (13, 198)]);
    assert_eq!(manifest.frames[0].faces[0].box_in_frame, Rect::new(1.5, 2.0, 30.25, 40.0));
    for (at, frame) in frames().iter().enumerate() {
        let read = match bundle.payload(at).unwrap() {
            Payload::Rgb(picture) => Original::Pixels(Arc::new(picture)),
            payload => Original::Bytes(Arc::new(payload)),
        };
        assert_eq!(format!("{read:?}"), format!("{:?}", frame.original));
    }
}

#[test]
fn it_is_for_its_owner_alone() {
    let (_folder, path) = written();
    assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o700));
    let files = names(&path);
    assert_eq!(
        files,
        ["00000.jpg", "00001.picture", "00002.yuyv", "00003.nv12", "00004.grey", "00005.rgb", "bundle.json"]
    );
    assert!(files.iter().all(|file| mode(&path.join(file)) == 0o600));
}

#[test]
fn a_folder_that_others_can_look_into_gets_no_pictures() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).unwrap();
    let error = write(&mut out(folder.path()), &event(NOW_MS, 1), &frames(), NOW_MS).unwrap_err();
    assert!(matches!(error, BundleError::Permissions { mode: 0o750, .. }), "{error}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let problem = |damage: &dyn Fn(&Path)| {
        let (_folder, path) = written();
        damage(&path);
        Bundle::open(&path).unwrap_err().to_string()
    };
    let replace = |from: &'static str, to: &'static str| {
        move |path: &Path| {
            let file = path.join("bundle.json");
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.contains(from), "{text}");
            fs::write(file, text.replacen(from, to, 1)).unwrap();
        }
    };
    for (damage, expected) in [
        (
            &(|path: &Path| fs::remove_file(path.join("00002.yuyv")).unwrap()) as &dyn Fn(&Path),
            "00002.yuyv is damaged: the file is missing",
        ),
        (
            &|path| fs::write(path.join("00004.grey"), [8; 8]).unwrap(),
            "its bytes are not those that were recorded",
        ),
        (
            &|path| fs::write(path.join("00004.grey"), [9; 7]).unwrap(),
            "its bytes are not those that were recorded",
        ),
        (
            &|path| fs::remove_file(path.join("bundle.json")).unwrap(),
            "bundle.json is damaged: the file is missing",
        ),
        (&|path| fs::write(path.join("bundle.json"), "{").unwrap(), "bundle.json is damaged: EOF"),
        (&|path| fs::remove_dir_all(path).unwrap(), "there is no recorded decision at"),
        (&replace("\"format\": 1", "\"format\": 2"), "has the format 2, and this version reads format 1"),
        (&replace("00000.jpg", "../00000.jpg"), "has no plain name"),
        (&replace("\"seq\": 8", "\"seq\": 7"), "the frame 7 is not in its place"),
        (&replace("\"width\": 4", "\"width\": 5"), "does not have the size that was recorded"),
        (&replace("match.unknown", "match.unheard"), "is damaged: unknown variant"),
    ] {
        let problem = problem(damage);
        assert!(problem.contains(expected), "{problem}\n{expected}");
    }
}

#[test]
fn old_ones_and_too_many_are_deleted_and_nothing_else() {
    const HOUR_MS: u64 = 3_600_000;
    let folder = private();
    let mut out = out(folder.path());
    let large = |seq| frame(seq, Original::Bytes(Arc::new(Payload::Still(vec![0; 400_000]))));
    for file in ["notes.txt", "old"] {
        fs::write(folder.path().join(file), "mine").unwrap();
    }
    let (old, recent, newer, newest) =
        (event(NOW_MS - 26 * HOUR_MS, 1), event(NOW_MS - HOUR_MS, 2), event(NOW_MS - 2, 3), event(NOW_MS, 4));
    write(&mut out, &old, &[large(1)], NOW_MS - 26 * HOUR_MS).unwrap();
    write(&mut out, &recent, &[large(1)], NOW_MS - HOUR_MS).unwrap();
    assert!(!folder.path().join(old.id.to_string()).exists(), "too old");
    write(&mut out, &newer, &[large(1)], NOW_MS - 2).unwrap();
    write(&mut out, &newest, &[large(1)], NOW_MS).unwrap();
    let kept = [newer.id.to_string(), newest.id.to_string()];
    assert_eq!(names(folder.path()), [&kept[0], &kept[1], "notes.txt", "old"], "1 MB in all");
    let too_large = [large(1), large(2), large(3)];
    let error = write(&mut out, &event(NOW_MS, 5), &too_large, NOW_MS).unwrap_err();
    assert!(matches!(error, BundleError::TooLarge { bytes: 1_200_000 }), "{error}");
    // Left by a writer that was killed.
    fs::create_dir(folder.path().join(format!(".{}.new", old.id))).unwrap();
    fs::create_dir(folder.path().join(".git.new")).unwrap();
    out.tidy(wall(NOW_MS)).unwrap();
    assert_eq!(names(folder.path()), [".git.new", &kept[0], &kept[1], "notes.txt", "old"]);
    out.tidy(wall(NOW_MS + 25 * HOUR_MS)).unwrap();
    assert_eq!(names(folder.path()), [".git.new", "notes.txt", "old"]);
}

#[test]
fn a_bundle_that_cannot_be_written_leaves_nothing() {
    let folder = private();
    let mut out = out(folder.path());
    let event = event(NOW_MS, 1);
    // Its place is taken, by something that cannot be replaced.
    fs::create_dir(folder.path().join(event.id.to_string())).unwrap();
    fs::write(folder.path().join(event.id.to_string()).join("x"), "x").unwrap();
    let error = write(&mut out, &event, &frames(), NOW_MS).unwrap_err();
    assert!(error.to_string().starts_with("cannot rename "), "{error}");
    assert_eq!(names(folder.path()), [event.id.to_string()]);
}
