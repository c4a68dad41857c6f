//! Enrolment in front of a camera: a handful of good, differing looks at the one face in view.

use std::collections::BTreeMap;
use std::time::Duration;

use image::RgbImage;

use super::choose::SAME_LOOK;
use super::guide::Guide;
use super::picture::Portrait;
use super::turn::Turn;
use crate::camera::{FrameSource, SourceError};
use crate::clock::{Clock, Moment};
use crate::domain::{Detection, Embedding, EmbeddingError, Payload, QualityFault, ViewFault};
use crate::inference::{Detector, Embedder, InferenceError};
use crate::matching::{Metric, distance};
use crate::vision::pose::pose;
use crate::vision::quality::{Gates, assess};

/// A single wait for a frame.
const FRAME_TIMEOUT: Duration = Duration::from_millis(500);

/// How long to look, and for how much.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// So many looks are enough.
    pub wanted: usize,
    /// It never takes longer.
    pub at_most: Duration,
    /// It takes at least so long, in case better looks come.
    pub at_least: Duration,
    /// Whether the faces are to be kept as pictures.
    pub keeps_photos: bool,
}

/// What makes it possible to look.
pub struct Eyes<'a> {
    /// Finds faces.
    pub detector: &'a mut dyn Detector,
    /// Turns them into numbers.
    pub embedder: &'a mut dyn Embedder,
    /// What a look must be like at least.
    pub gates: Gates,
    /// Turns a camera's bytes into pixels; the text says why it cannot.
    pub decode: &'a mut dyn FnMut(Payload) -> Result<RgbImage, String>,
    /// Tells whoever is in view what to do, and how many looks are kept.
    pub say: &'a mut dyn FnMut(&str, usize),
}

/// What became of the frames.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// All.
    pub frames: u64,
    /// The camera's view was not fit to go by.
    pub unfit: u64,
    /// Could not be decoded.
    pub damaged: u64,
    /// Nobody in view.
    pub without_face: u64,
    /// More than one face in view: none of them is taken.
    pub several_faces: u64,
    /// One face, with this fault.
    pub faults: BTreeMap<QualityFault, u64>,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "of {} frames", self.frames)?;
        let plain = [
            (self.damaged, "damaged"),
            (self.unfit, "of a view that is not fit"),
            (self.without_face, "without a face"),
            (self.several_faces, "with several faces"),
        ];
        for (count, what) in plain.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        self.faults.iter().try_for_each(|(fault, count)| write!(f, ", {count} {fault}"))
    }
}

/// Why looking ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The camera is gone.
    #[error("the camera gives no more pictures: {0}")]
    Source(#[from] SourceError),
    /// A model fails.
    #[error(transparent)]
    Model(#[from] InferenceError),
    /// Two embeddings of one model cannot be compared.
    #[error(transparent)]
    Embedding(#[from] EmbeddingError),
}

/// What became of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is kept.
    Kept,
    /// It is too much like one that is kept, or none of the best.
    Alike,
    /// Nobody was in view.
    NoFace,
    /// More than one face was in view.
    SeveralFaces,
    /// The one face in view has this fault.
    Fault(QualityFault),
    /// What the camera shows is not fit to go by: nobody is looked for.
    Unfit(ViewFault),
}

/// A collection of good, differing looks.
#[derive(Debug)]
pub struct Collection {
    plan: Plan,
    begun: Moment,
    kept: Vec<Portrait>,
    tally: Tally,
}

impl Collection {
    /// An empty one, begun `now`.
    #[must_use]
    pub fn new(plan: Plan, now: Moment) -> Self {
        Self { plan, begun: now, kept: Vec::new(), tally: Tally::default() }
    }

    /// How long it still takes at most; `None` if there are enough looks, or time is over.
    #[must_use]
    pub fn left(&self, now: Moment) -> Option<Duration> {
        let elapsed = now.since(self.begun);
        let is_enough = self.kept.len() >= self.plan.wanted && elapsed >= self.plan.at_least;
        (elapsed < self.plan.at_most && !is_enough).then(|| self.plan.at_most - elapsed)
    }

    /// So many looks are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Which way no look that is kept is turned, the first to be asked for; `None` if there is one of each.
    #[must_use]
    pub fn missing(&self) -> Option<Turn> {
        let turned = |look: &Portrait| {
            pose(&look.detection.landmarks_in_frame).map(|pose| Turn::of(pose.yaw, pose.pitch))
        };
        Turn::ALL.into_iter().find(|turn| self.kept.iter().all(|look| turned(look) != Some(*turn)))
    }

    /// A frame of a view that is not fit to go by.
    pub fn unfit(&mut self, fault: ViewFault) -> Taken {
        self.tally.frames += 1;
        self.tally.unfit += 1;
        Taken::Unfit(fault)
    }

    /// A frame that could not be decoded.
    pub fn damaged(&mut self) {
        self.tally.frames += 1;
        self.tally.damaged += 1;
    }

    /// Takes the one good face of a frame, if there is just one and it is good. `source` names the frame.
    ///
    /// # Errors
    /// If the embedder fails.
    pub fn take(
        &mut self,
        picture: &RgbImage,
        faces: &[Detection],
        source: String,
        gates: &Gates,
        embedder: &mut dyn Embedder,
    ) -> Result<Taken, CollectError> {
        self.tally.frames += 1;
        let [detection] = faces else {
            let (count, taken) = if faces.is_empty() {
                (&mut self.tally.without_face, Taken::NoFace)
            } else {
                (&mut self.tally.several_faces, Taken::SeveralFaces)
            };
            *count += 1;
            return Ok(taken);
        };
        let quality = assess(picture, detection, gates);
        if let Some(fault) = quality.faults.first() {
            *self.tally.faults.entry(*fault).or_default() += 1;
            return Ok(Taken::Fault(*fault));
        }
        let embedding = embedder.embed(picture, detection)?;
        let look = Portrait { source, detection: *detection, quality, embedding, mark: None, photo: None };
        let look = if self.plan.keeps_photos { look.with_photo(picture) } else { look };
        Ok(if keep(&mut self.kept, look, self.plan.wanted)? { Taken::Kept } else { Taken::Alike })
    }

    /// The looks, best first; there may be none, and then the tally says why.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Portrait>, Tally) {
        self.kept.sort_by(|a, b| b.quality.score.total_cmp(&a.quality.score));
        (self.kept, self.tally)
    }
}

/// Looks until there are enough good looks that differ, time is over, or a finite source ends. The looks come best
/// first; there may be none, and then the tally says why.
///
/// # Errors
/// If the source is lost or a model fails. A frame that is late or damaged is no error.
pub fn collect_from_camera(
    source: &mut dyn FrameSource,
    eyes: &mut Eyes<'_>,
    clock: &dyn Clock,
    plan: Plan,
) -> Result<(Vec<Portrait>, Tally), CollectError> {
    let mut collection = Collection::new(plan, clock.now());
    let mut guide = Guide::default();
    while let Some(left) = collection.left(clock.now()) {
        let mut say = |taken, collection: &Collection| {
            let kept = (collection.kept(), collection.missing());
            if let Some(message) = guide.say(taken, kept, clock.now()) {
                (eyes.say)(message, collection.kept());
            }
        };
        let frame = match source.next_frame(FRAME_TIMEOUT.min(left)) {
            Ok(frame) => frame,
            Err(SourceError::Ended) => break,
            Err(SourceError::TimedOut(_)) => {
                say(None, &collection);
                continue;
            }
            Err(SourceError::BadFrame(_)) => {
                collection.damaged();
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let name = format!("{} frame {}", frame.camera, frame.seq);
        let Ok(picture) = (eyes.decode)(frame.payload) else {
            collection.damaged();
            continue;
        };
        let faces = eyes.detector.detect(&picture)?;
        let taken = collection.take(&picture, &faces, name, &eyes.gates, eyes.embedder)?;
        say(Some(taken), &collection);
    }
    Ok(collection.finish())
}

/// Keeps at most `wanted` looks, no two of them alike; among those that are alike the better one, and when there are too
/// many, those that are good and differ. Whether the new one is kept.
fn keep(kept: &mut Vec<Portrait>, look: Portrait, wanted: usize) -> Result<bool, EmbeddingError> {
    let mut alike = Vec::new();
    for (at, other) in kept.iter().enumerate() {
        if difference(&other.embedding, &look.embedding)? < SAME_LOOK {
            alike.push(at);
        }
    }
    if alike.iter().any(|&at| kept[at].quality.score >= look.quality.score) {
        return Ok(false);
    }
    // All that it resembles make way for it, so that no two that stay are alike.
    for at in alike.into_iter().rev() {
        kept.swap_remove(at);
    }
    kept.push(look);
    if kept.len() > wanted {
        // What a look is worth: how good it is, times how far it is from the nearest other.
        let mut worth = vec![0.0_f32; kept.len()];
        for (at, look) in kept.iter().enumerate() {
            let mut nearest = f32::INFINITY;
            for (_, other) in kept.iter().enumerate().filter(|(other, _)| *other != at) {
                nearest = nearest.min(difference(&other.embedding, &look.embedding)?);
            }
            worth[at] = look.quality.score * nearest;
        }
        if let Some(worst) = (0..kept.len()).min_by(|&a, &b| worth[a].total_cmp(&worth[b])) {
            kept.swap_remove(worst);
            // The newest is the last.
            return Ok(worst != kept.len());
        }
    }
    Ok(true)
}

fn difference(a: &Embedding, b: &Embedding) -> Result<f32, EmbeddingError> {
    distance(Metric::Cosine, a, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimulatedClock;
    use crate::domain::{CameraId, CapturedFrame};
    use crate::inference::{ScriptedDetector, ScriptedEmbedder};
    use crate::vision::draw::fill;

    /// Plays answers at ten frames a second, then ends or is silent for ever.
    struct Script {
        clock: SimulatedClock,
        answers: Vec<Result<RgbImage, SourceError>>,
        is_finite: bool,
    }

    impl FrameSource for Script {
        fn next_frame(&mut self, timeout: Duration) -> Result<CapturedFrame, SourceError> {
            if self.answers.is_empty() {
                self.clock.advance(timeout);
                return Err(if self.is_finite { SourceError::Ended } else { SourceError::TimedOut(timeout) });
            }
            self.clock.advance(Duration::from_millis(100));
            let picture = self.answers.remove(0)?;
            Ok(CapturedFrame {
                camera: CameraId::new("door").unwrap(),
                seq: 7,
                captured_at: self.clock.now(),
                payload: Payload::Rgb(picture),
            })
        }

        fn describe(&self) -> String {
            "a script".to_owned()
        }

        fn is_finite(&self) -> bool {
            self.is_finite
        }
    }

    /// A black picture with a face `width` pixels wide for each colour.
    fn picture(width: i64, colours: &[[u8; 3]]) -> RgbImage {
        let mut picture = RgbImage::new(400, 200);
        for (at, colour) in (0..).zip(colours) {
            fill(&mut picture, (10 + at * 180, 10), (10 + at * 180 + width, 10 + width), *colour);
        }
        picture
    }

    fn run(
        answers: Vec<Result<RgbImage, SourceError>>,
        is_finite: bool,
    ) -> (Result<(Vec<Portrait>, Tally), CollectError>, Moment) {
        let clock = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH);
        let mut source = Script { clock: clock.clone(), answers, is_finite };
        let mut eyes = Eyes {
            detector: &mut ScriptedDetector::default(),
            embedder: &mut ScriptedEmbedder::default(),
            gates: Gates {
                min_width_px: 40.0,
                min_sharpness: 0.0,
                min_luma: 0.0,
                max_luma: 255.0,
                min_contrast: 0.0,
                min_frontality: 0.0,
            },
            say: &mut |_, _| {},
            decode: &mut |payload| match payload {
                Payload::Rgb(picture) => Ok(picture),
                other => Err(format!("{other:?}")),
            },
        };
        let plan = Plan {
            wanted: 3,
            at_most: Duration::from_secs(15),
            at_least: Duration::from_secs(1),
            keeps_photos: false,
        };
        let result = collect_from_camera(&mut source, &mut eyes, &clock, plan);
        (result, clock.now())
    }

    #[test]
    fn takes_the_best_looks_that_differ() {
        // Three colours are three looks; each comes small first and then larger, which is better.
        let looks = [[200, 0, 40], [180, 90, 0], [160, 0, 160]];
        let answers = [60, 90, 50, 80].iter().flat_map(|w| looks.map(|c| Ok(picture(*w, &[c])))).collect();
        let (result, ended) = run(answers, false);
        let (kept, tally) = result.unwrap();
        assert_eq!(kept.iter().map(|p| p.quality.width_px).collect::<Vec<_>>(), [90.0; 3]);
        // Enough after the third frame, better ones up to the end of the first second.
        assert_eq!((tally.frames, ended), (10, Moment(Duration::from_secs(1))));
        assert_eq!(kept[0].source, "door frame 7");
    }

    #[test]
    fn a_still_face_is_one_look() {
        let (result, ended) = run((0..30).map(|_| Ok(picture(80, &[[200, 0, 40]]))).collect(), false);
        assert_eq!(result.unwrap().0.len(), 1);
        assert_eq!(ended, Moment(Duration::from_secs(15)));
    }

    #[test]
    fn what_was_wrong_with_the_frames_is_counted() {
        let answers = vec![
            Ok(picture(0, &[])),
            Ok(picture(80, &[[200, 0, 40], [0, 200, 40]])),
            Ok(picture(30, &[[200, 0, 40]])),
            Err(SourceError::BadFrame("cut short".to_owned())),
            Err(SourceError::TimedOut(FRAME_TIMEOUT)),
        ];
        let (kept, tally) = run(answers, true).0.unwrap();
        assert!(kept.is_empty());
        let text = tally.to_string();
        assert_eq!(text, "of 4 frames, 1 damaged, 1 without a face, 1 with several faces, 1 too small");
    }

    #[test]
    fn a_camera_that_is_pulled_out_is_an_error() {
        let answers = vec![Ok(picture(80, &[[200, 0, 40]])), Err(SourceError::Lost("unplugged".to_owned()))];
        let (result, _) = run(answers, false);
        assert!(matches!(result, Err(CollectError::Source(SourceError::Lost(_)))));
    }
}
