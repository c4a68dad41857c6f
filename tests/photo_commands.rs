//! `compare`, `identify` and `cluster` as users run them: the real program on real and on bad pictures.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{DynamicImage, ImageFormat, RgbImage};
use serde_json::Value;

use super::support::Ran;

fn facewarden<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ran {
    Ran::of(Command::new(env!("CARGO_BIN_EXE_facewarden")).args(arguments))
}

fn picture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name)
}

/// `compare` with obama.jpg first.
fn against_obama(other: &Path, options: &[&str]) -> Ran {
    let mut arguments = vec!["compare".into(), picture("obama.jpg"), other.to_owned()];
    arguments.extend(options.iter().map(PathBuf::from));
    facewarden(arguments)
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A smaller obama2.jpg, quick to decode and to change.
fn obama2() -> DynamicImage {
    image::open(picture("obama2.jpg")).unwrap().thumbnail(500, 500)
}

#[test]
fn the_same_person_and_another_one() {
    let same = against_obama(&picture("obama2.jpg"), &[]).code(0);
    let first = same.out.lines().next().unwrap();
    assert!(first.starts_with("same person (distance 0."), "{first}");
    assert!(first.ends_with(", threshold 0.588, cosine, faceplugin512, centerface)"), "{first}");
    let other = against_obama(&picture("biden.jpg"), &[]).code(1);
    assert!(other.out.starts_with("different people (distance "), "{}", other.out);
}

#[test]
fn nothing_is_noted_for_the_makers_of_the_runtime() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_facewarden"));
    command.arg("compare").arg(picture("obama.jpg")).arg(picture("obama2.jpg"));
    // As on somebody's machine: this is set for tests, and CI makes the runtime keep quiet by itself.
    for set in ["ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "XDG_CACHE_HOME"] {
        command.env_remove(set);
    }
    Ran::of(command.env("HOME", home.path())).code(0);
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn json_is_deepface_s_verify() {
    let answer = against_obama(&picture("obama2.jpg"), &["--json"]).code(0).json();
    let keys: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "verified",
        "distance",
        "threshold",
        "confidence",
        "model",
        "detector_backend",
        "similarity_metric",
        "facial_areas",
        "time",
    ];
    expected.sort_unstable();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    assert_eq!(answer["verified"], true);
    assert_eq!(answer["similarity_metric"], "cosine");
    assert!(answer["distance"].as_f64().unwrap() < answer["threshold"].as_f64().unwrap());
    assert!((51.0..=100.0).contains(&answer["confidence"].as_f64().unwrap()));
    assert!(answer["time"].as_f64().unwrap() > 0.0);
    let face = &answer["facial_areas"]["img1"];
    for key in ["x", "y", "w", "h"] {
        assert!(face[key].is_u64(), "{face}");
    }
    // The person's own left eye is on the right of the image.
    assert!(face["left_eye"][0].as_i64().unwrap() > face["right_eye"][0].as_i64().unwrap());
}

#[test]
fn metrics_and_thresholds() {
    for metric in ["cosine", "euclidean", "euclidean_l2", "angular"] {
        for (other, code) in [("obama3.jpg", 0), ("biden.jpg", 1)] {
            let ran = against_obama(&picture(other), &["--json", "--metric", metric]).code(code);
            assert_eq!(ran.json()["similarity_metric"], metric);
        }
    }
    // 0 is a threshold: only the very same picture passes.
    let strict = against_obama(&picture("obama2.jpg"), &["--json", "--threshold", "0"]).code(1).json();
    assert_eq!(strict["threshold"].as_f64(), Some(0.0));
    against_obama(&picture("biden.jpg"), &["--threshold", "1.9"]).code(0);
    for threshold in ["-1", "NaN", "inf", "much"] {
        let refused = against_obama(&picture("obama2.jpg"), &["--threshold", threshold]).code(64);
        assert!(refused.err.contains("--threshold") && refused.out.is_empty(), "{}", refused.err);
    }
}

#[test]
fn more_than_two_photos_are_compared_pair_by_pair() {
    let photos = ["obama.jpg", "biden.jpg", "obama3.jpg"].map(picture);
    let mut arguments = vec!["compare".into()];
    arguments.extend(photos.clone());
    let table = facewarden(&arguments).code(1);
    assert_eq!(table.out.lines().count(), 4, "{}", table.out);
    assert!(table.out.starts_with("1 of 3 pairs are the same person"), "{}", table.out);
    arguments.extend([picture("gone.jpg"), "--json".into()]);
    let ran = facewarden(&arguments).code(2);
    let pairs = ran.json()["pairs"].as_array().unwrap().clone();
    assert_eq!(pairs.len(), 6);
    let told: Vec<Option<bool>> = pairs.iter().map(|pair| pair["verified"].as_bool()).collect();
    assert_eq!(told, [Some(false), Some(true), None, Some(false), None, None]);
    assert!(pairs[2]["error"].as_str().unwrap().contains("gone.jpg"), "{}", pairs[2]);
    assert!(ran.err.contains("gone.jpg"), "{}", ran.err);
}

#[test]
fn of_several_faces_the_best_pair_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (obama2().into_rgb8(), image::open(picture("astronaut.png")).unwrap().into_rgb8());
    let mut both = RgbImage::new(one.width() + other.width(), one.height().max(other.height()));
    image::imageops::replace(&mut both, &other, 0, 0);
    image::imageops::replace(&mut both, &one, other.width().into(), 0);
    let path = folder.path().join("both.png");
    both.save(&path).unwrap();
    let ran = against_obama(&path, &[]).code(0);
    assert!(ran.out.contains("of 2 faces"), "{}", ran.out);
    let area = &against_obama(&path, &["--json"]).json()["facial_areas"]["img2"];
    assert!(area["x"].as_u64().unwrap() >= u64::from(other.width()), "{area}");
}

#[test]
fn unusual_pictures_of_a_person_are_that_person() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let photo = obama2();
    let grey: DynamicImage = photo.to_luma8().into();
    let deep: DynamicImage = photo.to_rgb16().into();
    let see_through: DynamicImage = photo.to_rgba8().into();
    for path in [
        picture("obama_cmyk.jpg"),
        write("grey.jpg", encoded(&grey, ImageFormat::Jpeg)),
        write("grey16.png", encoded(&DynamicImage::from(photo.to_luma16()), ImageFormat::Png)),
        write("deep.png", encoded(&deep, ImageFormat::Png)),
        write("alpha.webp", encoded(&see_through, ImageFormat::WebP)),
        // A named file is tried whatever it is called.
        write("photo", encoded(&photo, ImageFormat::Bmp)),
    ] {
        against_obama(&path, &[]).code(0);
    }
}

#[test]
fn a_photo_that_lies_on_its_side_is_turned_as_exif_says() {
    let folder = tempfile::tempdir().unwrap();
    let lying = encoded(&image::open(picture("obama.jpg")).unwrap().rotate270(), ImageFormat::Jpeg);
    // Orientation 6: turn a quarter to the right to see it upright.
    let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut bytes = lying[..2].to_vec();
    bytes.extend([0xFF, 0xE1]);
    bytes.extend(u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
    bytes.extend(exif);
    bytes.extend(&lying[2..]);
    let path = folder.path().join("lying.jpg");
    fs::write(&path, bytes).unwrap();
    let answer = against_obama(&path, &["--json"]).code(0).json();
    assert!(answer["distance"].as_f64().unwrap() < 0.05, "{answer}");
    let places = &answer["facial_areas"];
    for key in ["x", "y", "w", "h"] {
        let of = |photo: &str| places[photo][key].as_i64().unwrap();
        assert!((of("img1") - of("img2")).abs() <= 4, "{places}");
    }
}

/// Files that are no usable photo, with a part of what must be said of each.
fn bad_files(folder: &Path) -> Vec<(PathBuf, &'static str)> {
    let png = encoded(&obama2(), ImageFormat::Png);
    let jpeg = fs::read(picture("obama2.jpg")).unwrap();
    let mut bomb = png.clone();
    for (at, side) in [(16, 60_000_u32), (20, 60_000)] {
        bomb[at..at + 4].copy_from_slice(&side.to_be_bytes());
    }
    let sum = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&sum.to_be_bytes());
    let mut files = Vec::new();
    for (name, bytes, says) in [
        ("empty.jpg", Vec::new(), "the file is empty"),
        ("text.jpg", b"Dear diary,\ntoday I was a photo.\n".to_vec(), "this is not a JPEG"),
        ("cut.png", png[..png.len() / 3].to_vec(), "damaged or cut short"),
        ("header.jpg", jpeg[..300].to_vec(), "damaged or cut short"),
        ("bomb.png", bomb, "60000x60000: more than"),
        ("flat.pnm", b"P6 0 40 255\n".to_vec(), "flat.pnm: "),
    ] {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        files.push((path, says));
    }
    let inside = folder.join("folder.jpg");
    fs::create_dir(&inside).unwrap();
    files.push((inside, "is a directory"));
    files.push((folder.join("gone.jpg"), "No such file"));
    files.push((picture("cat.jpg"), "no face was found"));
    files
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |s, _| (s >> 1) ^ (0xEDB8_8320 & (s & 1).wrapping_neg()))
    })
}

#[test]
fn what_cannot_be_judged_is_named_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    for (path, says) in bad_files(folder.path()) {
        let ran = against_obama(&path, &["--json"]).code(2);
        assert!(ran.err.contains(says) && ran.err.contains(path.to_str().unwrap()), "{path:?}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        let answer = ran.json();
        assert_eq!(answer["file"].as_str(), path.to_str());
        assert!(answer["error"].as_str().unwrap().contains(says), "{answer}");
        let ran = against_obama(&path, &[]).code(2);
        assert_eq!(ran.out, "could not tell\n");
    }
}

#[test]
fn a_jpeg_cut_in_the_middle_is_not_judged() {
    let folder = tempfile::tempdir().unwrap();
    let jpeg = fs::read(picture("obama2.jpg")).unwrap();
    let path = folder.path().join("cut.jpg");
    fs::write(&path, &jpeg[..jpeg.len() / 2]).unwrap();
    let ran = against_obama(&path, &[]).code(2);
    assert!(ran.err.contains("damaged or cut short: the JPEG is cut short"), "{}", ran.err);
}

#[test]
fn a_photo_that_may_not_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("private.jpg");
    fs::copy(picture("obama2.jpg"), &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        return; // The superuser may read everything.
    }
    let ran = against_obama(&path, &[]).code(2);
    assert!(ran.err.contains("Permission denied"), "{}", ran.err);
}

#[test]
fn unknown_models_and_wrong_use() {
    let ran = against_obama(&picture("obama2.jpg"), &["--model", "facenet"]).code(69);
    assert!(
        ran.err.starts_with("facewarden: there is no model facenet; available: centerface,"),
        "{}",
        ran.err
    );
    let ran = against_obama(&picture("obama2.jpg"), &["--detector", "faceplugin512"]).code(78);
    assert!(ran.err.contains("faceplugin512 has the role embedder, and detector is needed"), "{}", ran.err);
    let ran = against_obama(&picture("obama2.jpg"), &["--runtime-library", "/nowhere/libort.so"]).code(69);
    assert!(ran.err.contains("cannot load ONNX Runtime from /nowhere/libort.so"), "{}", ran.err);
    facewarden(["compare", "only-one.jpg"]).code(64);
    against_obama(&picture("obama2.jpg"), &["--detector", "ultralight"]).code(0);
}

#[test]
fn the_annotated_picture_shows_both_photos_and_the_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.png");
    let annotate =
        |other: &str, out: &Path| against_obama(&picture(other), &["--annotate", out.to_str().unwrap()]);
    let has =
        |ink: [u8; 3]| image::open(&out).unwrap().into_rgb8().pixels().filter(|p| p.0 == ink).count() > 500;
    annotate("obama2.jpg", &out).code(0);
    assert!(has([40, 200, 80]) && !has([230, 60, 50]));
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let size = image::image_dimensions(&out).unwrap();
    assert!(size.0 > 640 && size.1 > 560, "{size:?}");
    annotate("biden.jpg", &out).code(1);
    assert!(has([230, 60, 50]) && !has([40, 200, 80]));
    annotate("cat.jpg", &out).code(2);
    assert!(has([250, 180, 40]));

    let failed = annotate("obama2.jpg", &folder.path().join("no/such/folder.png")).code(73);
    assert!(failed.out.starts_with("same person"), "the verdict is said all the same: {}", failed.out);
    annotate("obama2.jpg", &folder.path().join("out.jpg")).code(64);
    // Never over one of the photos, not even by another way to it.
    let photo = folder.path().join("photo.png");
    fs::write(&photo, encoded(&obama2(), ImageFormat::Png)).unwrap();
    let link = folder.path().join("link.png");
    std::os::unix::fs::symlink(&photo, &link).unwrap();
    let before = fs::read(&photo).unwrap();
    let refused = against_obama(&photo, &["--annotate", link.to_str().unwrap()]).code(64);
    assert!(refused.err.contains("would overwrite the photo"), "{}", refused.err);
    assert_eq!(fs::read(&photo).unwrap(), before);
    assert!(fs::read_dir(folder.path()).unwrap().count() == 3, "nothing half-written is left behind");
}

/// A folder of known people: one file, and one folder with two pictures, one of which shows nobody.
fn known() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::copy(picture("biden.jpg"), path("Biden, Joe.jpg")).unwrap();
    fs::create_dir(path("obama")).unwrap();
    fs::copy(picture("obama.jpg"), path("obama/1.jpg")).unwrap();
    fs::copy(picture("cat.jpg"), path("obama/2.jpg")).unwrap();
    fs::write(path("notes.txt"), "not a picture").unwrap();
    folder
}

#[test]
fn identify_names_who_is_known() {
    let (known, unnamed) = (known(), tempfile::tempdir().unwrap());
    let path = |name: &str| unnamed.path().join(name);
    fs::copy(picture("obama3.jpg"), path("10.jpg")).unwrap();
    fs::copy(picture("cat.jpg"), path("9.jpg")).unwrap();
    fs::copy(picture("astronaut.png"), path("a, b.png")).unwrap();
    fs::write(path(".hidden.jpg"), "").unwrap();
    let arguments =
        ["identify".into(), known.path().to_owned(), unnamed.path().to_owned(), picture("biden.jpg")];
    let ran = facewarden(&arguments).code(0);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ran.out);
    assert_eq!(lines[0], format!("{},no_persons_found,", path("9.jpg").display()));
    let (before, distance) = lines[1].rsplit_once(',').unwrap();
    assert_eq!(before, format!("{},obama", path("10.jpg").display()));
    assert!((0.05..0.588).contains(&distance.parse::<f64>().unwrap()), "{}", lines[1]);
    assert_eq!(lines[2], format!("\"{}\",unknown_person,", path("a, b.png").display()));
    assert_eq!(lines[3], format!("{},\"Biden, Joe\",0.000", picture("biden.jpg").display()));
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    assert!(ran.err.starts_with("warning: ") && ran.err.contains("obama/2.jpg"), "{}", ran.err);
    assert!(ran.err.contains("no face was found"), "{}", ran.err);
}

#[test]
fn identify_says_what_it_could_not_read_and_does_the_rest() {
    let known = known();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("1.jpg"), "no photo").unwrap();
    fs::copy(picture("obama2.jpg"), folder.path().join("2.jpg")).unwrap();
    let arguments = ["identify".into(), known.path().to_owned(), folder.path().to_owned(), "--json".into()];
    let ran = facewarden(&arguments).code(2);
    let pictures: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(pictures[0]["error"].as_str().unwrap().contains("this is not a JPEG"), "{}", ran.out);
    assert_eq!(pictures[1]["faces"][0]["name"], "obama");
    let text = facewarden(&arguments[..3]).code(2);
    assert!(text.out.contains("1.jpg,unreadable,\n"), "{}", text.out);
    assert!(text.err.contains("1.jpg: this is not a JPEG"), "{}", text.err);
}

#[test]
fn identify_without_anybody_known_or_recognised() {
    let (known, empty) = (known(), tempfile::tempdir().unwrap());
    let run = |known: &Path, picture: PathBuf| facewarden(["identify".into(), known.to_owned(), picture]);
    run(known.path(), picture("astronaut.png")).code(1);
    let nobody = run(empty.path(), picture("obama.jpg")).code(66);
    assert!(nobody.err.contains("shows exactly one face"), "{}", nobody.err);
    run(&empty.path().join("gone"), picture("obama.jpg")).code(66);
    fs::copy(picture("solvay1927.jpg"), empty.path().join("them.jpg")).unwrap();
    let crowd = run(empty.path(), picture("obama.jpg")).code(66);
    assert!(crowd.err.contains("them.jpg is left out: it shows 29 faces"), "{}", crowd.err);
}

#[test]
fn many_pictures_come_out_in_order() {
    let (known, folder) = (known(), tempfile::tempdir().unwrap());
    let small = encoded(&obama2().thumbnail(200, 200), ImageFormat::Jpeg);
    for number in 0..24 {
        let bytes = if number % 5 == 0 { b"no photo".to_vec() } else { small.clone() };
        fs::write(folder.path().join(format!("{number}.jpg")), bytes).unwrap();
    }
    let ran = facewarden(["identify".into(), known.path().to_owned(), folder.path().to_owned()]).code(2);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 24);
    for (number, line) in lines.iter().enumerate() {
        let name = if number % 5 == 0 { "unreadable" } else { "obama" };
        assert!(line.contains(&format!("/{number}.jpg,{name},")), "{line}");
    }
}

#[test]
fn cluster_puts_the_faces_of_each_person_together() {
    let photos =
        ["obama.jpg", "biden.jpg", "obama2.jpg", "cat.jpg", "obama3.jpg", "astronaut.png"].map(picture);
    let mut arguments = vec!["cluster".into()];
    arguments.extend(photos);
    let ran = facewarden(&arguments).code(0);
    let names: Vec<(&str, &str)> = ran
        .out
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            assert_eq!(fields.len(), 7, "{line}");
            (fields[0], fields[1].rsplit('/').next().unwrap())
        })
        .collect();
    let expected = [
        ("group", "file"),
        ("1", "obama.jpg"),
        ("1", "obama2.jpg"),
        ("1", "obama3.jpg"),
        ("2", "biden.jpg"),
        ("3", "astronaut.png"),
    ];
    assert_eq!(names, expected);
    assert!(ran.err.contains("cat.jpg: no face was found"), "{}", ran.err);
    arguments.extend([picture("gone.jpg"), "--json".into()]);
    let answer = facewarden(&arguments).code(2).json();
    assert_eq!(answer["groups"][0]["faces"].as_array().unwrap().len(), 3);
    assert_eq!(answer["groups"][0]["faces"][0]["face_index"], 1);
    assert_eq!(answer["no_persons_found"].as_array().unwrap().len(), 1);
    assert_eq!(answer["unreadable"].as_array().unwrap().len(), 1);
    facewarden(["cluster".into(), picture("cat.jpg")]).code(2);
}
