//! A folder of pictures, played in the order of their names.

use std::cmp::Ordering;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::pace::{Paced, Place, Recording};
use super::{FrameSource, SourceError};
use crate::clock::Clock;
use crate::config::Camera;
use crate::domain::Payload;
use crate::vision::jpeg;

/// What counts as a picture; other files are passed over.
const EXTENSIONS: [&str; 13] =
    ["jpg", "jpeg", "jpe", "png", "bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm", "pbm", "pnm"];

/// Larger files are not pictures of a camera.
const MAX_FILE_BYTES: u64 = 128 << 20;

/// Opens the folder `camera.source`; its pictures come at `camera.fps`, in natural order of their names
/// (`2.jpg` before `10.jpg`), `camera.loops` times. A picture that cannot be read is a
/// [`SourceError::BadFrame`]. Orientation tags are not heeded: frames are taken as they are stored.
///
/// # Errors
/// [`SourceError::Unusable`] if there is no such folder or no picture in it.
pub fn open(camera: &Camera, clock: Arc<dyn Clock>) -> Result<Box<dyn FrameSource>, SourceError> {
    let recording = Pictures::open(Path::new(&camera.source), camera.fps)?;
    Ok(Box::new(Paced::new(recording, camera.id.clone(), clock, camera.speed, camera.loops)?))
}

struct Pictures {
    folder: PathBuf,
    files: Vec<PathBuf>,
    at: usize,
    fps: f64,
}

impl Pictures {
    fn open(folder: &Path, fps: f64) -> Result<Self, SourceError> {
        let unreadable = |error: std::io::Error| {
            SourceError::Unusable(format!("the folder {} cannot be read: {error}", folder.display()))
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let extension =
                path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
            if EXTENSIONS.contains(&extension.as_str()) && !is_hidden(&path) {
                files.push(path);
            }
        }
        if files.is_empty() {
            return Err(SourceError::Unusable(format!(
                "the folder {} holds no pictures ({})",
                folder.display(),
                EXTENSIONS.join(", ")
            )));
        }
        files.sort_by(|a, b| natural_order(&name(a), &name(b)));
        Ok(Self { folder: folder.to_owned(), files, at: 0, fps })
    }
}

impl Recording for Pictures {
    fn read(&mut self, _timeout: Duration) -> Result<Place, SourceError> {
        let Some(path) = self.files.get(self.at) else { return Ok(Place::End) };
        self.at += 1;
        picture(path)
            .map(Place::Frame)
            .map_err(|what| SourceError::BadFrame(format!("{}: {what}", name(path))))
    }

    fn skip(&mut self, _timeout: Duration) -> Result<bool, SourceError> {
        let there = self.at < self.files.len();
        self.at += usize::from(there);
        Ok(there)
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        self.at = 0;
        Ok(())
    }

    fn fps(&self) -> f64 {
        self.fps
    }

    fn describe(&self) -> String {
        format!("folder {}, {} pictures, {} fps", self.folder.display(), self.files.len(), self.fps)
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_hidden(path: &Path) -> bool {
    name(path).starts_with('.')
}

fn picture(path: &Path) -> Result<Payload, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("more than {MAX_FILE_BYTES} bytes"));
    }
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return Ok(Payload::Still(bytes));
    }
    jpeg::inspect(&bytes).map_err(|error| error.to_string())?;
    Ok(Payload::Jpeg(bytes))
}

/// Orders names as people do: runs of digits by their value, the rest letter by letter. Names that differ only
/// in leading zeros are ordered by their text, so that the order is total.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (digits_left, digits_right) = (leading_digits(left), leading_digits(right));
        if !digits_left.is_empty() && !digits_right.is_empty() {
            let (value_left, value_right) =
                (digits_left.trim_start_matches('0'), digits_right.trim_start_matches('0'));
            let order = value_left.len().cmp(&value_right.len()).then_with(|| value_left.cmp(value_right));
            if order.is_ne() {
                return order;
            }
            left = &left[digits_left.len()..];
            right = &right[digits_right.len()..];
            continue;
        }
        let (mut chars_left, mut chars_right) = (left.chars(), right.chars());
        match (chars_left.next(), chars_right.next()) {
            (None, None) => return a.cmp(b),
            (x, y) if x != y => return x.cmp(&y),
            _ => (left, right) = (chars_left.as_str(), chars_right.as_str()),
        }
    }
}

fn leading_digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimulatedClock;
    use crate::config::Speed;
    use crate::domain::CameraId;
    use crate::vision::jpeg::tests::sample;
    use proptest::prelude::*;

    fn camera(folder: &Path, loops: u32) -> Camera {
        let source = folder.to_str().unwrap().to_owned();
        let id = CameraId::new("test").unwrap();
        Camera { fps: 5.0, loops, speed: Speed::Max, ..Camera::new(id, source) }
    }

    fn clock() -> Arc<dyn Clock> {
        Arc::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH))
    }

    #[test]
    fn pictures_come_in_natural_order_and_bad_ones_are_passed() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        let jpeg = sample(16, 8);
        write("10.jpg", &jpeg);
        write("2.JPG", &jpeg[..jpeg.len() / 2]);
        write("1.png", b"not looked at here");
        write("README.txt", b"not a picture");
        write(".hidden.jpg", &jpeg);
        let mut source = open(&camera(folder.path(), 2), clock()).unwrap();
        assert!(source.is_finite());
        assert!(source.describe().contains("3 pictures"), "{}", source.describe());
        let mut seen = Vec::new();
        loop {
            seen.push(match source.next_frame(Duration::from_secs(1)) {
                Ok(frame) => {
                    let kind = if matches!(frame.payload, Payload::Jpeg(_)) { "jpeg" } else { "still" };
                    format!("{} {kind} {}", frame.seq, frame.captured_at.0.as_millis())
                }
                Err(SourceError::Ended) => break,
                Err(SourceError::BadFrame(what)) => what,
                Err(error) => panic!("{error}"),
            });
        }
        let damaged = format!(
            "2.JPG: the JPEG is cut short: it ends after {} bytes without its end marker",
            jpeg.len() / 2
        );
        let expected = ["0 still 0", &damaged, "2 jpeg 400", "3 still 600", &damaged, "5 jpeg 1000"];
        assert_eq!(seen, expected);
    }

    #[test]
    fn an_empty_or_missing_folder_is_unusable_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| match open(&camera(path, 1), clock()) {
            Err(SourceError::Unusable(message)) => message,
            _ => panic!("it should be unusable"),
        };
        assert!(message(folder.path()).contains("holds no pictures (jpg,"));
        assert!(message(&folder.path().join("gone")).contains("No such file"));
    }

    #[test]
    fn names_are_ordered_as_people_do() {
        let mut names =
            ["b1", "a10", "a9", "a09", "a1x", "", "a1", "99999999999999999999999", "a10b2", "a10b10"];
        names.sort_by(|a, b| natural_order(a, b));
        let expected =
            ["", "99999999999999999999999", "a1", "a1x", "a09", "a9", "a10", "a10b2", "a10b10", "b1"];
        assert_eq!(names, expected);
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in "[a0-2é]{0,6}", b in "[a0-2é]{0,6}", c in "[a0-2é]{0,6}") {
            prop_assert_eq!(natural_order(&a, &b), natural_order(&b, &a).reverse());
            prop_assert_eq!(natural_order(&a, &b).is_eq(), a == b);
            if natural_order(&a, &b).is_le() && natural_order(&b, &c).is_le() {
                prop_assert!(natural_order(&a, &c).is_le());
            }
        }
    }
}
