//! Who else is in view: only faces seen just now and not tiny beside the other count.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Moment;
use crate::domain::{Reason, Scene, TrackId};

use super::policy::SeveralFaces;

/// A face seen within so long still counts as being there: somebody who ducks for a moment has not gone.
const STILL_THERE: Duration = Duration::from_millis(1000);

/// A face narrower than this part of the other is somebody in the background.
const BACKGROUND: f32 = 0.4;

/// The faces seen lately.
#[derive(Debug, Default)]
pub(super) struct Company(BTreeMap<TrackId, (Moment, f32)>);

impl Company {
    pub(super) fn see(&mut self, scene: &Scene) {
        for face in &scene.faces {
            self.0.insert(face.track, (scene.captured_at, face.width_px));
        }
        self.0.retain(|_, (seen, _)| scene.captured_at.since(*seen) <= STILL_THERE);
    }

    /// What speaks against a grant to `track`, whose newest look was taken at `at`.
    pub(super) fn objection(&self, policy: SeveralFaces, track: TrackId, at: Moment) -> Option<Reason> {
        let own = self.0.get(&track).map_or(0.0, |(_, width)| *width);
        let mut others =
            self.0.iter().filter(|(other, (seen, _))| **other != track && at.since(*seen) <= STILL_THERE);
        match policy {
            SeveralFaces::Each => None,
            SeveralFaces::Largest => {
                others.any(|(_, (_, width))| *width > own).then_some(Reason::NotTheLargest)
            }
            SeveralFaces::Refuse => {
                others.any(|(_, (_, width))| *width >= own * BACKGROUND).then_some(Reason::SeveralFaces)
            }
        }
    }
}
