//! One picture for enrolment: the one face on it, or why it is not taken.

use std::path::Path;

use image::RgbImage;
use serde::Serialize;

use super::cutout::cut_out;
use super::mark::FileMark;
use crate::cmds::engine::{self, Engine, Face, LookError};
use crate::cmds::pictures::Seen;
use crate::domain::{Detection, Embedding, Quality, QualityFault};
use crate::inference::{Embedder as _, InferenceError};

/// Below this width recognition falls apart whatever is asked for, pixels.
pub(super) const LEAST_WIDTH_PX: f32 = 24.0;

/// A face that can be enrolled.
#[derive(Debug, Clone)]
pub struct Portrait {
    /// Where it came from: a file's name, or the camera and when.
    pub source: String,
    /// Where on the picture.
    pub detection: Detection,
    /// How good.
    pub quality: Quality,
    /// As numbers.
    pub embedding: Embedding,
    /// Which file it was, where that is to be known again.
    pub mark: Option<FileMark>,
    /// The face cut out of the picture, as a picture file, where that is to be kept.
    pub photo: Option<Vec<u8>>,
}

impl Portrait {
    /// What is kept of where it came from.
    pub(super) fn note(&self) -> String {
        match self.mark {
            Some(mark) => format!("{} {mark}", self.source),
            None => self.source.clone(),
        }
    }
}

/// One face of a picture, for people to choose from. Position and size in whole pixels.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Place {
    /// From the left, beginning with 1.
    pub face: usize,
    /// Left edge of its box.
    pub x: i32,
    /// Top edge of its box.
    pub y: i32,
    /// Width of its box.
    pub width: i32,
    /// Height of its box.
    pub height: i32,
}

impl Place {
    #[expect(clippy::cast_possible_truncation, reason = "pixels of a photo of at most 16,384 a side")]
    fn of(index: usize, detection: &Detection) -> Self {
        let area = detection.box_in_frame;
        let whole = |v: f32| v.round() as i32;
        Self {
            face: index + 1,
            x: whole(area.x1),
            y: whole(area.y1),
            width: whole(area.width()),
            height: whole(area.height()),
        }
    }
}

/// Why a picture is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] LookError),
    /// Nobody on it.
    #[error("no face found")]
    NoFace,
    /// More than one face, and none was chosen.
    #[error("{} faces found; choose one, counted from the left: {}", .0.len(), list(.0))]
    SeveralFaces(Vec<Place>),
    /// The chosen face is not there.
    #[error("there is no face {asked}, only {}: {}", .faces.len(), list(.faces))]
    NoSuchFace {
        /// Which was asked for.
        asked: usize,
        /// What there is.
        faces: Vec<Place>,
    },
    /// Not good enough.
    #[error("the face is {}{}", faults(.quality), if *.can_be_forced { " (--force takes it all the same)" } else { "" })]
    Quality {
        /// What is wrong.
        quality: Quality,
        /// False if it is of no use even with `--force`.
        can_be_forced: bool,
    },
}

impl Refusal {
    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::NoFace => "no_face",
            Self::SeveralFaces(_) => "several_faces",
            Self::NoSuchFace { .. } => "no_such_face",
            Self::Quality { .. } => "quality",
        }
    }

    /// The faces to choose from, if that is the matter.
    #[must_use]
    pub fn faces(&self) -> &[Place] {
        match self {
            Self::SeveralFaces(faces) | Self::NoSuchFace { faces, .. } => faces,
            _ => &[],
        }
    }

    /// True if there is no such file.
    #[must_use]
    pub fn is_missing_file(&self) -> bool {
        matches!(self, Self::Unreadable(LookError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound)
    }
}

fn list(faces: &[Place]) -> String {
    let one =
        |p: &Place| format!("\n    --face {}: {}x{} pixels at {},{}", p.face, p.width, p.height, p.x, p.y);
    faces.iter().map(one).collect()
}

fn faults(quality: &Quality) -> String {
    let text = |fault: &QualityFault| match fault {
        QualityFault::TooSmall => format!("too small ({:.0} pixels wide)", quality.width_px),
        other => other.to_string(),
    };
    quality.faults.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// Takes the face of one picture.
///
/// # Errors
/// The outer error is a failing model; the inner one says why the picture is refused.
pub(super) fn look(
    engine: &mut Engine,
    path: &Path,
    chosen: Option<usize>,
    (force, keeps_photo): (bool, bool),
) -> Result<Result<Portrait, Refusal>, InferenceError> {
    match engine::read_photo(path) {
        Ok(picture) => look_at(engine, (&file_name(path), &picture), chosen, (force, keeps_photo)),
        Err(error) => Ok(Err(error.into())),
    }
}

/// Takes the face of a picture that is in memory already, which is known by that name.
///
/// # Errors
/// As [`look`].
pub(in crate::cmds) fn look_at(
    engine: &mut Engine,
    (source, picture): (&str, &RgbImage),
    chosen: Option<usize>,
    (force, keeps_photo): (bool, bool),
) -> Result<Result<Portrait, Refusal>, InferenceError> {
    let face = match pick(engine.faces(picture)?, chosen, force) {
        Ok(face) => face,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let embedding = engine.embedder.embed(picture, &face.detection)?;
    let Face { detection, quality } = face;
    let photo = if keeps_photo { cut_out(picture, &detection) } else { None };
    Ok(Ok(Portrait { source: source.to_owned(), detection, quality, embedding, mark: None, photo }))
}

/// The face of a picture that can be enrolled: the only one, or the one asked for, if it is good enough.
///
/// # Errors
/// Why the picture is refused.
pub(in crate::cmds) fn pick(faces: Vec<Face>, chosen: Option<usize>, force: bool) -> Result<Face, Refusal> {
    let face = choose(faces, |face| &face.detection, chosen)?;
    check(&face.quality, force)?;
    Ok(face)
}

/// Takes the one face of a picture that was looked at already.
///
/// # Errors
/// Why the picture is refused.
pub(super) fn take(path: &Path, seen: Vec<Seen>, mark: FileMark, force: bool) -> Result<Portrait, Refusal> {
    let Seen { face, embedding, .. } = choose(seen, |seen| &seen.face.detection, None)?;
    check(&face.quality, force)?;
    let Face { detection, quality } = face;
    Ok(Portrait { source: file_name(path), detection, quality, embedding, mark: Some(mark), photo: None })
}

impl Portrait {
    /// With the face cut out of the picture that it was taken from, to be kept.
    pub(super) fn with_photo(self, picture: &RgbImage) -> Self {
        Self { photo: cut_out(picture, &self.detection), ..self }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The only face, or the one asked for, counted from the left beginning with 1.
fn choose<F>(
    mut faces: Vec<F>,
    where_is: impl Fn(&F) -> &Detection,
    chosen: Option<usize>,
) -> Result<F, Refusal> {
    let middle = |face: &F| where_is(face).box_in_frame.centre().x;
    faces.sort_by(|a, b| middle(a).total_cmp(&middle(b)));
    let places = |faces: &[F]| -> Vec<Place> {
        faces.iter().enumerate().map(|(at, face)| Place::of(at, where_is(face))).collect()
    };
    match (faces.len(), chosen) {
        (0, _) => Err(Refusal::NoFace),
        (1, None) => Ok(faces.swap_remove(0)),
        (_, None) => Err(Refusal::SeveralFaces(places(&faces))),
        (count, Some(number)) if (1..=count).contains(&number) => Ok(faces.swap_remove(number - 1)),
        (_, Some(asked)) => Err(Refusal::NoSuchFace { asked, faces: places(&faces) }),
    }
}

/// Whether a face is good enough. `force` overrides what costs accuracy, not what leaves nothing to recognise.
fn check(quality: &Quality, force: bool) -> Result<(), Refusal> {
    let useless =
        quality.width_px < LEAST_WIDTH_PX || quality.faults.contains(&QualityFault::ImplausibleLandmarks);
    if quality.is_usable() || (force && !useless) {
        return Ok(());
    }
    Err(Refusal::Quality { quality: quality.clone(), can_be_forced: !useless })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Point, Rect};

    fn face(left: f32, faults: Vec<QualityFault>) -> Face {
        Face {
            detection: Detection {
                box_in_frame: Rect::new(left, 5.0, left + 50.0, 65.0),
                landmarks_in_frame: [Point::default(); 5],
                score: 0.9,
            },
            quality: Quality {
                score: 0.5,
                width_px: 50.0,
                sharpness: 0.1,
                luma: 100.0,
                contrast: 0.4,
                frontality: 0.9,
                faults,
            },
        }
    }

    #[test]
    fn faces_are_counted_from_the_left() {
        let faces = || vec![face(300.0, vec![]), face(10.0, vec![]), face(150.0, vec![])];
        assert_eq!(choose(faces(), |f| &f.detection, Some(2)).unwrap().detection.box_in_frame.x1, 150.0);
        let refusal = choose(faces(), |f| &f.detection, None).unwrap_err();
        assert_eq!(refusal.faces().iter().map(|p| p.x).collect::<Vec<_>>(), [10, 150, 300]);
        assert!(refusal.to_string().contains("--face 3: 50x60 pixels at 300,5"), "{refusal}");
        for asked in [0, 4] {
            assert_eq!(choose(faces(), |f| &f.detection, Some(asked)).unwrap_err().code(), "no_such_face");
        }
        assert_eq!(choose(Vec::<Face>::new(), |f| &f.detection, Some(1)).unwrap_err().code(), "no_face");
    }

    #[test]
    fn force_takes_a_blurred_face_and_not_one_that_is_none() {
        let blurred = face(0.0, vec![QualityFault::Blurred]).quality;
        let refusal = check(&blurred, false).unwrap_err();
        assert_eq!(refusal.to_string(), "the face is blurred (--force takes it all the same)");
        assert!(check(&blurred, true).is_ok());
        let tiny = Quality { width_px: 20.0, ..face(0.0, vec![QualityFault::TooSmall]).quality };
        assert_eq!(check(&tiny, true).unwrap_err().to_string(), "the face is too small (20 pixels wide)");
        assert!(check(&face(0.0, vec![QualityFault::ImplausibleLandmarks]).quality, true).is_err());
    }
}
