//! Which detections are fit to be followed.

use crate::domain::{Detection, Rect};

/// The most detections of one frame that are followed; the most certain ones win.
pub const MAX_DETECTIONS: usize = 64;

/// Two boxes that overlap by more than this are one face found twice. Detectors suppress from about 0.3 to 0.5
/// on, and two heads cannot be that close.
const SAME_FACE_IOU: f32 = 0.7;

/// Detections fit to be followed, and how many were not.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Most certain first; the order they came in does not matter.
    pub detections: Vec<Detection>,
    /// Not a number, inverted, empty, or with an impossible score.
    pub unsound: usize,
    /// The same face found again.
    pub duplicates: usize,
    /// Beyond [`MAX_DETECTIONS`].
    pub excess: usize,
}

impl Intake {
    pub(super) fn new(offered: &[Detection]) -> Self {
        let mut sound: Vec<Detection> = offered.iter().copied().filter(is_sound).collect();
        let unsound = offered.len() - sound.len();
        sound.sort_by(|a, b| {
            let edges = |d: &Detection| {
                let Rect { x1, y1, x2, y2 } = d.box_in_frame;
                [x1, y1, x2, y2]
            };
            b.score.total_cmp(&a.score).then_with(|| {
                edges(a)
                    .iter()
                    .zip(edges(b))
                    .map(|(a, b)| a.total_cmp(&b))
                    .find(|order| order.is_ne())
                    .unwrap_or(std::cmp::Ordering::Equal)
            })
        });
        let mut intake = Self { unsound, ..Self::default() };
        for detection in sound {
            let is_again = |kept: &Detection| kept.box_in_frame.iou(detection.box_in_frame) > SAME_FACE_IOU;
            if intake.detections.len() == MAX_DETECTIONS {
                intake.excess += 1;
            } else if intake.detections.iter().any(is_again) {
                intake.duplicates += 1;
            } else {
                intake.detections.push(detection);
            }
        }
        intake
    }
}

fn is_sound(detection: &Detection) -> bool {
    let rect = detection.box_in_frame;
    rect.is_sound()
        && rect.area().is_normal()
        && (rect.width() / rect.height()).is_normal()
        && detection.landmarks_in_frame.iter().all(|point| point.x.is_finite() && point.y.is_finite())
        && (0.0..=1.0).contains(&detection.score)
}
