//! How it goes with each camera, gathered from events.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::clock::WallTime;
use crate::domain::{CameraId, Event, EventKind, PauseCause, PersonId, ResumeCause, ViewFault};

/// What a camera does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Doing {
    /// The daemon has started and said nothing of it yet.
    Starting,
    /// It gives frames.
    Watching,
    /// It gives none.
    Lost,
    /// It is closed for as long as somebody wants it so.
    Paused,
    /// The daemon has ended.
    Stopped,
}

/// The retained state of one camera, as it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct CameraState {
    pub(super) camera: CameraId,
    pub(super) state: Doing,
    /// Since when.
    pub(super) since: WallTime,
    /// What is wrong with its view.
    pub(super) problems: BTreeSet<ViewFault>,
    /// Who was last let in, since the daemon started.
    pub(super) last_person: Option<PersonId>,
    /// When that was decided.
    pub(super) last_person_at: Option<WallTime>,
}

/// The states of all cameras.
#[derive(Debug, Clone)]
pub(super) struct Board {
    states: Vec<CameraState>,
    /// Events from before are of an earlier run of the daemon.
    born_at: WallTime,
}

impl Board {
    pub(super) fn new(cameras: &[CameraId], born_at: WallTime) -> Self {
        let starting = |camera: &CameraId| CameraState {
            camera: camera.clone(),
            state: Doing::Starting,
            since: born_at,
            problems: BTreeSet::new(),
            last_person: None,
            last_person_at: None,
        };
        Self { states: cameras.iter().map(starting).collect(), born_at }
    }

    /// Every camera's state.
    pub(super) fn states(&self) -> &[CameraState] {
        &self.states
    }

    /// Whether an event of this kind can change a state.
    pub(super) fn concerns(kind: &EventKind) -> bool {
        matches!(
            kind,
            EventKind::Started { .. }
                | EventKind::Stopping { .. }
                | EventKind::CameraLost { .. }
                | EventKind::CameraRecovered { .. }
                | EventKind::CameraPaused { why: PauseCause::Asked, .. }
                | EventKind::CameraResumed { why: ResumeCause::Asked | ResumeCause::TimeIsOver, .. }
                | EventKind::Verified { .. }
        ) || kind.view().is_some()
    }

    /// Takes an event in, and gives back the states of the cameras it is about. Doing so twice changes nothing.
    pub(super) fn apply(&mut self, event: &Event) -> Vec<CameraState> {
        let mut touched = Vec::new();
        for state in &mut self.states {
            if event.kind.camera().is_some_and(|camera| *camera != state.camera) {
                continue;
            }
            match &event.kind {
                // A camera that was lost in an earlier run, which had no time to say that it ended, is opened anew.
                EventKind::Started { .. } if state.state == Doing::Lost && state.since >= self.born_at => {}
                EventKind::Started { .. } | EventKind::CameraRecovered { .. } => {
                    state.turn(Doing::Watching, event.at);
                }
                EventKind::CameraLost { .. } => state.turn(Doing::Lost, event.at),
                EventKind::CameraPaused { why: PauseCause::Asked, .. } => state.turn(Doing::Paused, event.at),
                // It is opened anew; if that fails, that is said.
                EventKind::CameraResumed { why: ResumeCause::Asked | ResumeCause::TimeIsOver, .. } => {
                    state.turn(Doing::Watching, event.at);
                }
                EventKind::Stopping { .. } => {
                    state.turn(Doing::Stopped, event.at);
                    state.problems.clear();
                }
                EventKind::Verified { person, detail, .. } if event.is_grant() => {
                    state.last_person = Some(person.clone());
                    state.last_person_at = Some(detail.decided_at);
                }
                kind => match kind.view() {
                    Some((fault, true)) => drop(state.problems.insert(fault)),
                    Some((fault, false)) => drop(state.problems.remove(&fault)),
                    None => continue,
                },
            }
            // Each run of the daemon looks anew.
            if matches!(event.kind, EventKind::Started { .. }) {
                state.problems.clear();
            }
            touched.push(state.clone());
        }
        touched
    }
}

impl CameraState {
    fn turn(&mut self, to: Doing, at: WallTime) {
        if self.state != to {
            (self.state, self.since) = (to, at);
        }
    }
}
