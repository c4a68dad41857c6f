//! What somebody who is being enrolled is told to do. Pure.

use std::time::Duration;

use super::from_camera::Taken;
use super::turn::Turn;
use crate::clock::Moment;
use crate::domain::{QualityFault, ViewFault};

/// What is to be done is said again after so long: whoever waits is to see that it goes on.
const SAY_AGAIN: Duration = Duration::from_secs(2);
/// Something else is not said before so long: nobody reads faster.
const SAY_NEW: Duration = Duration::from_millis(700);

/// Says what to do, and not too often.
#[derive(Debug, Default)]
pub struct Guide {
    said: Option<(&'static str, usize, Moment)>,
    seen_at: Option<Moment>,
}

impl Guide {
    /// What to say now, if anything. `taken` is what became of a frame; `None` if none came. `kept` looks are kept, and
    /// of those there is none that is turned as `missing` says; `None`: there is one of each.
    pub fn say(
        &mut self,
        taken: Option<Taken>,
        (kept, missing): (usize, Option<Turn>),
        now: Moment,
    ) -> Option<&'static str> {
        let seen_at = *self.seen_at.get_or_insert(now);
        let message = match taken {
            Some(taken) => {
                self.seen_at = Some(now);
                advice(taken, missing)
            }
            None if now.since(seen_at) >= SAY_AGAIN => "no picture comes from the camera",
            None => return None,
        };
        let is_due = self.said.is_none_or(|(last, kept_then, at)| {
            let pause = if last == message { SAY_AGAIN } else { SAY_NEW };
            kept_then < kept || now.since(at) >= pause
        });
        is_due.then(|| {
            self.said = Some((message, kept, now));
            message
        })
    }
}

fn advice(taken: Taken, missing: Option<Turn>) -> &'static str {
    match taken {
        Taken::Kept | Taken::Alike => match missing {
            Some(Turn::Straight) => "look straight at the camera",
            Some(Turn::Left) => "look a little to your left",
            Some(Turn::Right) => "look a little to your right",
            Some(Turn::Up) => "lift your chin a little",
            Some(Turn::Down) => "lower your chin a little",
            None => "move your head a little, or change your expression",
        },
        Taken::Unfit(fault) => match fault {
            ViewFault::Frozen => "the camera shows the same picture again and again",
            ViewFault::Covered => "the camera is covered, or there is no light",
            ViewFault::Blinded => "a light shines into the camera",
            ViewFault::Moved => "the camera does not show the place that it should",
        },
        Taken::NoFace => "step in front of the camera",
        Taken::SeveralFaces => "only one person may be in view",
        Taken::Fault(fault) => match fault {
            QualityFault::TooSmall => "come closer",
            QualityFault::Blurred => "hold still",
            QualityFault::TooDark => "more light on the face is needed",
            QualityFault::TooBright => "there is too much light on the face",
            QualityFault::FlatLight => "the picture is washed out: turn away from the light a little",
            QualityFault::TurnedAway => "look at the camera",
            QualityFault::CutOff => "come to the middle of the picture",
            QualityFault::ImplausibleLandmarks => "look at the camera, with nothing before the face",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_to_do_when_that_changes_and_not_at_every_frame() {
        let mut guide = Guide::default();
        let mut say = |ms, taken, kept: usize| {
            let missing = Turn::ALL.get(kept).copied();
            guide.say(taken, (kept, missing), Moment(Duration::from_millis(ms)))
        };
        let small = Some(Taken::Fault(QualityFault::TooSmall));
        assert_eq!(say(0, Some(Taken::NoFace), 0), Some("step in front of the camera"));
        assert_eq!(say(100, Some(Taken::NoFace), 0), None);
        assert_eq!(say(200, small, 0), None, "too soon to be read");
        assert_eq!(say(800, small, 0), Some("come closer"));
        assert_eq!(say(900, Some(Taken::Kept), 1), Some("look a little to your left"), "at once");
        assert_eq!(say(1000, Some(Taken::Alike), 1), None);
        assert_eq!(say(2900, Some(Taken::Alike), 1), Some("look a little to your left"), "still to be done");
        assert_eq!(say(3000, None, 1), None);
        assert_eq!(say(4950, None, 1), Some("no picture comes from the camera"));
        assert_eq!(say(5000, Some(Taken::Unfit(ViewFault::Covered)), 1), None, "too soon again");
        assert_eq!(
            say(5100, Some(Taken::Kept), 5),
            Some("move your head a little, or change your expression"),
            "all turns were made"
        );
    }
}
