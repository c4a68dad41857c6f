//! What happened lately, from the events that were sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::control::{LastEvent, Trouble};
use crate::domain::{Event, EventKind};

/// So many troubles are remembered.
const TROUBLES: usize = 8;

/// What happened lately. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Recent(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    last: Option<LastEvent>,
    troubles: VecDeque<Trouble>,
}

impl Recent {
    /// Takes in an event that is being sent.
    pub(crate) fn note(&self, event: &Event) {
        let mut state = self.lock();
        let (kind, at) = (&event.kind, event.at);
        if let EventKind::Degraded { message } = kind {
            if state.troubles.len() == TROUBLES {
                state.troubles.pop_front();
            }
            state.troubles.push_back(Trouble { at, message: message.clone() });
        }
        state.last = Some(LastEvent { kind: kind.name().to_owned(), at, camera: kind.camera().cloned() });
    }

    /// The newest event.
    pub(super) fn last(&self) -> Option<LastEvent> {
        self.lock().last.clone()
    }

    /// The newest of what did not work, oldest first.
    pub(super) fn troubles(&self) -> Vec<Trouble> {
        self.lock().troubles.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::domain::{CameraId, SCHEMA};

    #[test]
    fn it_knows_the_newest_event_and_the_newest_troubles() {
        let recent = Recent::default();
        let note = |second, kind| {
            let at = WallTime(jiff::Timestamp::from_second(second).unwrap());
            recent.note(&Event { schema: SCHEMA, id: ulid::Ulid::nil(), at, kind });
            at
        };
        let door = CameraId::new("door").unwrap();
        let at = note(1, EventKind::CameraRecovered { camera: door.clone() });
        let expected = LastEvent { kind: "camera.recovered".into(), at, camera: Some(door) };
        assert_eq!(recent.last(), Some(expected));
        (3..13).for_each(|second| {
            note(second, EventKind::Degraded { message: second.to_string() });
        });
        let troubles = recent.troubles();
        assert_eq!(
            (troubles.len(), troubles[0].message.as_str(), troubles[7].message.as_str()),
            (8, "5", "12")
        );
        let last = recent.last().unwrap();
        assert_eq!((last.kind.as_str(), last.camera), ("service.degraded", None));
    }
}
