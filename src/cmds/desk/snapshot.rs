//! The newest frame of a camera, as a picture for whoever asked. Nothing is written here.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossbeam_channel::RecvTimeoutError;

use super::View;
use crate::clock::Clock;
use crate::cmds::view::{annotated, jpeg};
use crate::control::{Answer, Refusal, Talk, Work};

/// A camera that gives no frame for so long is as good as lost.
const FRAME_WITHIN: Duration = Duration::from_secs(5);
/// It is looked so often whether anybody still waits.
const GLANCE: Duration = Duration::from_millis(100);

pub(super) fn work(view: View, boxes: bool, clock: Arc<dyn Clock>) -> Work {
    Box::new(move |talk| take(&view, boxes, clock.as_ref(), talk))
}

fn take(view: &View, boxes: bool, clock: &dyn Clock, talk: &mut dyn Talk) -> Answer {
    let seen = view.tap.join(1);
    let until = clock.now() + FRAME_WITHIN;
    let id = &view.settings.id;
    let unavailable = |why: &str| Answer::refused(Refusal::Unavailable, format!("{id} {why}"));
    let seen = loop {
        match seen.recv_timeout(GLANCE) {
            Ok(seen) => break seen,
            Err(RecvTimeoutError::Disconnected) => return unavailable("is not watched any more"),
            Err(RecvTimeoutError::Timeout) if talk.is_gone() => return unavailable("was not waited for"),
            Err(RecvTimeoutError::Timeout) if clock.now() >= until => {
                return unavailable("gave no frame within 5 seconds");
            }
            Err(RecvTimeoutError::Timeout) => (),
        }
    };
    let drawn;
    let picture = if boxes {
        drawn = annotated(&seen, &view.verdicts);
        &drawn
    } else {
        seen.frame.pixels.as_ref()
    };
    match jpeg(picture) {
        Ok(jpeg) => Answer::Snapshot {
            camera: id.clone(),
            captured_at: clock.wall(seen.frame.captured_at),
            jpeg: STANDARD.encode(jpeg),
        },
        Err(error) => Answer::refused(Refusal::Internal, format!("the picture cannot be made: {error}")),
    }
}
