//! What can be changed while a pipeline runs: no frame is missed and no track forgotten for it.

use std::time::Duration;

use super::embed::DecisionTerms;
use super::idle::IdleSettings;
use super::latest::{LatestReceiver, LatestSender, latest};
use super::signs::SignSettings;
use super::watching::Watching;
use crate::decision::Policy;
use crate::tracking::TrackerSettings;
use crate::vision::quality::Gates;

/// How a pipeline looks at faces.
#[derive(Debug, Clone)]
pub struct Looking {
    /// The detector runs at most once in so long.
    pub min_detect_interval: Duration,
    /// When the detector rests.
    pub idle: IdleSettings,
    /// How the camera's view is watched. A reload also says that somebody has seen to the camera.
    pub watching: Watching,
    /// How faces are followed.
    pub tracker: TrackerSettings,
    /// What a picture of a face needs.
    pub gates: Gates,
    /// Which signs of pictures of faces are looked for; `None` when liveness is off.
    pub signs: Option<SignSettings>,
}

/// How a pipeline decides.
#[derive(Debug, Clone)]
pub struct Deciding {
    /// What it takes to be verified. Where it is another one, half-gathered evidence is dropped.
    pub policy: Policy,
    /// What events say about that.
    pub terms: DecisionTerms,
}

/// The ways to the stages. Each has one place: a newer change replaces one that was not taken in yet.
pub(super) struct ChangeIn {
    looking: LatestSender<Looking>,
    deciding: LatestSender<Deciding>,
}

/// Makes the ways to the detect and to the embed stage.
pub(super) fn changes() -> (ChangeIn, LatestReceiver<Looking>, LatestReceiver<Deciding>) {
    // A change that a newer one replaced is nothing that anybody counts.
    let (looking, looking_out) = latest(std::sync::Arc::default());
    let (deciding, deciding_out) = latest(std::sync::Arc::default());
    (ChangeIn { looking, deciding }, looking_out, deciding_out)
}

impl ChangeIn {
    /// Hands a change on; a stage that has ended needs none.
    pub(super) fn send(&self, looking: Looking, deciding: Deciding) {
        self.looking.replace(looking).ok();
        self.deciding.replace(deciding).ok();
    }
}
