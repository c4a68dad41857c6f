//! What to tell somebody in front of a kiosk, so that they can be recognised. Pure.

use serde::Serialize;

use crate::domain::{QualityFault, Track, TrackState};
use crate::pipeline::Seen;
use crate::vision::quality::{Gates, assess};

/// What to tell them; pages have the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Hint {
    /// Nobody is there.
    Nobody,
    /// They can be recognised: a moment.
    Wait,
    /// Their face is too small.
    ComeCloser,
    /// Part of their face is outside the picture.
    StepBack,
    /// There is too little light on their face.
    MoreLight,
    /// There is too much light on their face, or behind them.
    LessLight,
    /// They move, or the lens is dirty.
    HoldStill,
    /// They look aside.
    LookHere,
    /// The camera's view is not fit, whatever they do.
    CameraUnfit,
}

/// What to tell whoever is closest.
pub(super) fn hint(seen: &Seen, gates: &Gates) -> Hint {
    if seen.unfit.is_some() {
        return Hint::CameraUnfit;
    }
    let width = |track: &&Track| track.detection.box_in_frame.width();
    let there = seen.tracks.iter().filter(|track| track.state != TrackState::Missed);
    let Some(closest) = there.max_by(|a, b| width(a).total_cmp(&width(b))) else {
        return Hint::Nobody;
    };
    let quality = assess(&seen.frame.pixels, &closest.detection, gates);
    quality.faults.first().map_or(Hint::Wait, |fault| of_fault(*fault))
}

fn of_fault(fault: QualityFault) -> Hint {
    match fault {
        QualityFault::TooSmall => Hint::ComeCloser,
        QualityFault::CutOff => Hint::StepBack,
        QualityFault::TooDark => Hint::MoreLight,
        QualityFault::TooBright | QualityFault::FlatLight => Hint::LessLight,
        QualityFault::Blurred => Hint::HoldStill,
        QualityFault::TurnedAway | QualityFault::ImplausibleLandmarks => Hint::LookHere,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use image::RgbImage;

    use super::*;
    use crate::clock::Moment;
    use crate::domain::{CameraId, Frame, ViewFault};

    #[test]
    fn nobody_and_an_unfit_view_are_told_apart() {
        let frame = Frame {
            camera: CameraId::new("door").unwrap(),
            seq: 0,
            captured_at: Moment::default(),
            pixels: Arc::new(RgbImage::new(8, 8)),
        };
        let gates = crate::cmds::engine::gates(&crate::config::Quality::default());
        let mut seen = Seen { frame, tracks: Vec::new(), unfit: None };
        assert_eq!(hint(&seen, &gates), Hint::Nobody);
        seen.unfit = Some(ViewFault::Covered);
        assert_eq!(hint(&seen, &gates), Hint::CameraUnfit);
        assert_eq!(of_fault(QualityFault::TooSmall), Hint::ComeCloser);
    }
}
