//! Pictures on disk: which there are, in what order, and who is seen on them.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use image::RgbImage;
use schemars::JsonSchema;
use serde::Serialize;

use super::engine::{Engine, Face, LookError, read_photo};
use crate::domain::{Detection, Embedding, QualityFault, Rect};

/// Endings, in lower case, of the files in a folder that are taken for pictures.
const ENDINGS: [&str; 13] =
    ["jpg", "jpeg", "jpe", "png", "webp", "bmp", "gif", "tif", "tiff", "pnm", "ppm", "pgm", "pbm"];

/// A face and its numbers.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Where, and how good.
    pub face: Face,
    /// The numbers.
    pub embedding: Embedding,
    /// Where, in whole pixels inside the picture.
    pub area: FacialArea,
}

/// Where a face is, as DeepFace writes it: whole pixels. `left_eye` is the person's own left eye, so it is on the
/// right of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FacialArea {
    /// Left edge.
    pub x: i64,
    /// Top edge.
    pub y: i64,
    /// Pixels across.
    pub w: i64,
    /// Pixels down.
    pub h: i64,
    /// The person's left eye, x and y.
    pub left_eye: [i64; 2],
    /// The person's right eye, x and y.
    pub right_eye: [i64; 2],
}

impl FacialArea {
    /// Rounds, and leaves out what lies outside a picture of `size`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "sides of pictures are below 2^24")]
    pub fn new(detection: &Detection, size: (u32, u32)) -> Self {
        let (width, height) = (size.0 as f32, size.1 as f32);
        let Rect { x1, y1, x2, y2 } = detection.box_in_frame;
        let [x1, x2] = [x1, x2].map(|x| whole(x.clamp(0.0, width)));
        let [y1, y2] = [y1, y2].map(|y| whole(y.clamp(0.0, height)));
        // Landmarks are in the order of the image, from its left; a person faces us, so it is the other way round.
        let [right_eye, left_eye, ..] = detection.landmarks_in_frame.map(|p| [whole(p.x), whole(p.y)]);
        Self { x: x1, y: y1, w: x2 - x1, h: y2 - y1, left_eye, right_eye }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to whole pixels is what is wanted")]
fn whole(v: f32) -> i64 {
    v.round() as i64
}

/// Reads a picture and looks at it.
///
/// # Errors
/// If it cannot be read, or a model fails on it.
pub fn look(engine: &mut Engine, path: &Path) -> Result<Vec<Seen>, LookError> {
    look_at(engine, path, &read_photo(path)?)
}

/// All faces of a picture, the largest first. `path` is for the error's text.
///
/// # Errors
/// If a model fails.
pub fn look_at(engine: &mut Engine, path: &Path, picture: &RgbImage) -> Result<Vec<Seen>, LookError> {
    use crate::inference::Embedder as _;
    let failed = |source| LookError::Model { path: path.to_owned(), source };
    let faces = engine.faces(picture).map_err(failed)?;
    let see = |face: Face| {
        let embedding = engine.embedder.embed(picture, &face.detection).map_err(failed)?;
        let area = FacialArea::new(&face.detection, picture.dimensions());
        Ok(Seen { face, embedding, area })
    };
    faces.into_iter().map(see).collect()
}

/// What is wrong with a face, as words to follow a file's name; `None` if nothing is.
#[must_use]
pub fn faults_of(seen: &Seen) -> Option<String> {
    let faults = &seen.face.quality.faults;
    let is: Vec<String> = faults
        .iter()
        .map(|fault| match fault {
            QualityFault::ImplausibleLandmarks => fault.to_string(),
            _ => format!("is {fault}"),
        })
        .collect();
    (!is.is_empty()).then(|| format!("face {}", is.join(", ")))
}

/// A file to look at, or why a folder's content is not known.
pub type Entry = Result<PathBuf, LookError>;

/// The pictures that arguments mean: a file is taken whatever it is called; a folder stands for the pictures in it
/// and in the folders below, in natural order (`2.jpg` before `10.jpg`), without hidden files and other kinds of
/// files. Links to folders inside a folder are not followed.
#[must_use]
pub fn pictures(arguments: &[PathBuf]) -> Vec<Entry> {
    let mut found = Vec::new();
    for path in arguments {
        if path.is_dir() { add_folder(path, &mut found) } else { found.push(Ok(path.clone())) }
    }
    found
}

fn add_folder(folder: &Path, found: &mut Vec<Entry>) {
    let failed = |source| LookError::Read { path: folder.to_owned(), source };
    let read = || -> std::io::Result<Vec<(String, bool, PathBuf)>> {
        let mut entries = Vec::new();
        for entry in folder.read_dir()? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push((name, entry.file_type()?.is_dir(), entry.path()));
        }
        Ok(entries)
    };
    let mut entries = match read() {
        Ok(entries) => entries,
        Err(error) => return found.push(Err(failed(error))),
    };
    entries.retain(|(name, ..)| !name.starts_with('.'));
    entries.sort_by(|a, b| natural(&a.0, &b.0).then_with(|| a.2.cmp(&b.2)));
    for (_, is_folder, path) in entries {
        if is_folder {
            add_folder(&path, found);
        } else if is_picture(&path) && path.metadata().is_ok_and(|m| !m.is_file()) {
            // A pipe or a link to a folder; a link to nothing is kept, so that it is reported.
            continue;
        } else if is_picture(&path) {
            found.push(Ok(path));
        }
    }
}

/// Whether a file is called as a picture is.
#[must_use]
pub fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    ending.is_some_and(|e| ENDINGS.contains(&e.as_str()))
}

/// The order people expect: digits in a row count as one number.
#[must_use]
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while let (Some(first), Some(second)) = (a.chars().next(), b.chars().next()) {
        let order = if first.is_ascii_digit() && second.is_ascii_digit() {
            let (x, y) = (take_number(&mut a), take_number(&mut b));
            // Without leading zeros, the longer of two numbers is the larger.
            let (x, y) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            (a, b) = (&a[first.len_utf8()..], &b[second.len_utf8()..]);
            first.to_lowercase().cmp(second.to_lowercase())
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

fn take_number<'a>(text: &mut &'a str) -> &'a str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    *text = rest;
    number
}

/// One field of a CSV line (RFC 4180): in quotes where it holds a comma, a quote or a line break.
#[must_use]
pub fn csv(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Point;

    #[test]
    fn an_area_is_whole_pixels_inside_the_picture() {
        let mut points = [Point::new(0.0, 0.0); 5];
        (points[0], points[1]) = (Point::new(10.4, 20.0), Point::new(30.6, 21.0));
        let face = Detection {
            box_in_frame: Rect::new(-5.0, 2.4, 55.6, 99.0),
            landmarks_in_frame: points,
            score: 1.0,
        };
        let area = FacialArea::new(&face, (50, 40));
        let expected = FacialArea { x: 0, y: 2, w: 50, h: 38, left_eye: [31, 21], right_eye: [10, 20] };
        assert_eq!(area, expected);
    }

    #[test]
    fn folders_are_read_in_natural_order_and_other_files_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("9")).unwrap();
        for name in ["10.jpg", "2.JPG", "9/b.png", "9/.hidden.png", "notes.txt", "1.webp", "jpg"] {
            std::fs::write(path(name), "").unwrap();
        }
        let names = |arguments: &[PathBuf]| -> Vec<PathBuf> {
            pictures(arguments).into_iter().map(Result::unwrap).collect()
        };
        let expected: Vec<_> = ["1.webp", "2.JPG", "9/b.png", "10.jpg"].map(path).into();
        assert_eq!(names(&[folder.path().to_owned()]), expected);
        assert_eq!(names(&[path("notes.txt"), path("gone")]), [path("notes.txt"), path("gone")]);
    }

    #[test]
    fn numbers_in_names_are_numbers() {
        for (a, b) in [("a2", "a10"), ("a", "a1"), ("A1", "a2"), ("x009", "x10"), ("é2", "é10"), ("", "a")]
        {
            assert_eq!(natural(a, b), Ordering::Less, "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn natural_order_is_one(a in "[a-c0-2]{0,6}", b in "[a-c0-2]{0,6}", c in "[a-c0-2]{0,6}") {
            prop_assert_eq!(natural(&a, &b), natural(&b, &a).reverse());
            if natural(&a, &b).is_le() && natural(&b, &c).is_le() {
                prop_assert!(natural(&a, &c).is_le());
            }
        }
    }

    #[test]
    fn csv_fields_are_quoted_where_they_must_be() {
        assert_eq!(csv("plain name.jpg"), "plain name.jpg");
        assert_eq!(csv("Doe, \"J\".jpg"), "\"Doe, \"\"J\"\".jpg\"");
        assert_eq!(csv("a\nb"), "\"a\nb\"");
    }
}
