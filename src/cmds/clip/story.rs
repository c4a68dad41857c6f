//! What the demonstration shows. The photos are described in `tests/pictures/SOURCES.md`: works of United States
//! federal employees and of NASA, free to use; nobody on them endorses Facewarden.

use std::sync::Arc;
use std::time::Duration;

use image::RgbImage;

use super::{Cutout, Scene, Walk};
use crate::domain::{Detection, InvalidName, PersonId};
use crate::inference::InferenceError;
use crate::vision::photo::{self, PhotoError};

const OBAMA: &[u8] = include_bytes!("../../../tests/pictures/obama.jpg");
const OBAMA_AGAIN: &[u8] = include_bytes!("../../../tests/pictures/obama2.jpg");
const BIDEN: &[u8] = include_bytes!("../../../tests/pictures/biden.jpg");
const COLLINS: &[u8] = include_bytes!("../../../tests/pictures/astronaut.png");

/// The demonstration: whom to enrol, and who comes.
#[derive(Debug)]
pub struct DemoStory {
    /// Names and the photos to enrol them from.
    pub enrol: Vec<(PersonId, RgbImage)>,
    /// The enrolled person who comes, on another photo than the enrolled one.
    pub expected: PersonId,
    /// Who comes too and is not enrolled, for people.
    pub stranger: &'static str,
    /// The clip.
    pub scenes: Vec<Scene>,
}

/// Why there is no demonstration.
#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    /// A photo inside the program is damaged.
    #[error("a photo inside the program is damaged: {0}")]
    Photo(#[from] PhotoError),
    /// The detector fails.
    #[error(transparent)]
    Model(#[from] InferenceError),
    /// The detector in use does not find somebody.
    #[error("the detector finds no face on the photo of {0}")]
    NoFace(&'static str),
    /// A name inside the program cannot be one.
    #[error(transparent)]
    Name(#[from] InvalidName),
}

/// Barack Obama and Joe Biden are enrolled; Obama comes, from another photo, and then a stranger, Eileen Collins.
/// `detect` gives the faces of a photo, the best first.
///
/// # Errors
/// If the detector fails or does not find somebody.
pub fn demo_scenes(
    mut detect: impl FnMut(&RgbImage) -> Result<Vec<Detection>, InferenceError>,
) -> Result<DemoStory, StoryError> {
    let obama = PersonId::new("Barack Obama")?;
    let enrol =
        vec![(obama.clone(), photo::decode(OBAMA)?), (PersonId::new("Joe Biden")?, photo::decode(BIDEN)?)];
    let mut walk = |name: &'static str, bytes: &[u8]| {
        let photo = photo::decode(bytes)?;
        let faces = detect(&photo)?;
        let face = faces.first().ok_or(StoryError::NoFace(name))?;
        let [left_eye, right_eye, ..] = face.landmarks_in_frame;
        let cutout = Cutout::new(&photo, face.box_in_frame, [left_eye, right_eye]);
        let person = cutout.ok_or(StoryError::NoFace(name))?;
        Ok::<_, StoryError>(Scene::WalkUp(Walk::new(Arc::new(person))))
    };
    let stranger = "Eileen Collins";
    let pause = || Scene::Empty(Duration::from_millis(800));
    let scenes =
        vec![pause(), walk("Barack Obama", OBAMA_AGAIN)?, pause(), walk(stranger, COLLINS)?, pause()];
    Ok(DemoStory { enrol, expected: obama, stranger, scenes })
}
