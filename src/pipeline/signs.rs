//! Signs that a face is a picture of one, beside what the liveness model says: kept for each track.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::domain::{Frame, Rect, SpoofSigns, TrackId};
use crate::vision::edges::{EdgeGate, EdgeMemory, EdgeSettings, around, enclosure};
use crate::vision::exposure::overexposed;
use crate::vision::gate::{Gate, GateSettings, GateVerdict};

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignSettings {
    /// Whether to look for edges that move with the face.
    pub edges: bool,
    /// A face of which more than this share is white is suspicious; `None` to let it be.
    pub max_overexposed: Option<f32>,
}

/// The signs at one camera.
#[derive(Debug)]
pub(super) struct SignWatch {
    settings: SignSettings,
    place: EdgeMemory,
    tracks: BTreeMap<TrackId, (Gate, EdgeGate)>,
}

impl SignWatch {
    pub(super) fn new(settings: SignSettings) -> Self {
        Self { settings, place: EdgeMemory::new(), tracks: BTreeMap::new() }
    }

    /// The same with other settings; what was learnt of the place stays.
    pub(super) fn adopting(self, settings: SignSettings) -> Self {
        let tracks = if settings == self.settings { self.tracks } else { BTreeMap::new() };
        Self { settings, place: self.place, tracks }
    }

    /// Takes in a look at a track; what the recent looks at it show.
    pub(super) fn look(&mut self, track: TrackId, frame: &Frame, face: Rect) -> SpoofSigns {
        let SignSettings { edges, max_overexposed } = self.settings;
        let (exposure_gate, edge_gate) = self
            .tracks
            .entry(track)
            .or_insert_with(|| (Gate::new(GateSettings::default()), EdgeGate::new(EdgeSettings::default())));
        let at: Moment = frame.captured_at;
        if let Some(most) = max_overexposed {
            // A face beside the picture cannot be judged, nor embedded.
            exposure_gate.add(at, overexposed(&frame.pixels, face).is_some_and(|share| share > most));
        }
        if edges {
            // A face too small or too near the border has no surroundings: nothing encloses it.
            let found = around(&frame.pixels, face).ok().flatten();
            let enclosed = found.and_then(|found| enclosure(&self.place.without_place(&found)));
            edge_gate.add(at, face, enclosed);
        }
        let (exposure, edge) = (exposure_gate.verdict(), edge_gate.verdict());
        SpoofSigns {
            is_judged: (max_overexposed.is_none() || exposure != GateVerdict::Undecided)
                && (!edges || edge != GateVerdict::Undecided),
            is_overexposed: exposure == GateVerdict::Suspicious,
            has_edges: edge == GateVerdict::Suspicious,
        }
    }

    pub(super) fn forget(&mut self, track: TrackId) {
        self.tracks.remove(&track);
    }
}
