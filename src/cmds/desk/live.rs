//! Enrolling whoever stands in front of a running camera. The camera's own pipeline finds the faces, and the daemon's
//! embedder is asked in turn with all cameras.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;

use super::hold::Hold;
use super::{Note, Notes, refusal};
use crate::clock::Clock;
use crate::cmds::engine::gates;
use crate::cmds::enroll::{Collection, Conflict, Fate, Guide, Plan, Portrait, Standard, Written, write};
use crate::cmds::exit::{Exit, Failure, OrExit};
use crate::cmds::gallery::{open_configured, store_failure};
use crate::config::{self, Config};
use crate::control::{Answer, Talk, Work};
use crate::domain::{Detection, PersonId, TrackState};
use crate::inference::Embedder;
use crate::pipeline::{Seen, Tap};
use crate::store::Store;
use crate::vision::quality::Gates;

/// Comparing and writing take no longer than this, after the time to look.
pub(super) const GETTING_READY: Duration = Duration::from_secs(10);
/// In case better looks come, as in front of a camera of one's own.
const AT_LEAST: Duration = Duration::from_secs(3);
/// It is looked so often whether anybody still waits.
const GLANCE: Duration = Duration::from_millis(100);

/// Somebody who is to be enrolled.
pub(super) struct Sitting {
    pub(super) person: PersonId,
    pub(super) hold: Hold,
    pub(super) at_most: Duration,
    pub(super) pictures: usize,
    pub(super) tap: Tap,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) notes: Notes,
}

pub(super) fn work(
    sitting: Sitting,
    config: &Config,
    (embedder, standard): (Box<dyn Embedder>, Standard),
) -> Work {
    let (gallery, gates) = (config.gallery.clone(), gates(&config.quality));
    let keeps_photos = config.enrolment.keep_photos;
    let mut tools = Tools { gallery, gates, embedder, standard, keeps_photos };
    Box::new(move |talk| {
        sitting.run(&mut tools, talk).unwrap_or_else(|failure| {
            Answer::refused(refusal(failure.exit), format!("{} was not enrolled: {failure}", sitting.person))
        })
    })
}

/// What it is done with.
struct Tools {
    gallery: config::Gallery,
    gates: Gates,
    embedder: Box<dyn Embedder>,
    standard: Standard,
    keeps_photos: bool,
}

impl Sitting {
    fn run(&self, tools: &mut Tools, talk: &mut dyn Talk) -> Result<Answer, Failure> {
        // First whether there is somewhere to put it.
        let store = open_configured(&tools.gallery).map_err(store_failure)?;
        let plan = Plan {
            wanted: self.pictures,
            at_most: self.at_most,
            at_least: self.at_most.min(AT_LEAST),
            keeps_photos: tools.keeps_photos,
        };
        let mut collection = Collection::new(plan, self.clock.now());
        let mut guide = Guide::default();
        let seen = self.tap.join(1);
        while let Some(left) = collection.left(self.clock.now()) {
            self.go_on(talk)?;
            let taken = match seen.recv_timeout(GLANCE.min(left)) {
                Ok(Seen { unfit: Some(fault), .. }) => Some(collection.unfit(fault)),
                Ok(seen) => {
                    let source = format!("{} frame {}", seen.frame.camera, seen.frame.seq);
                    let taken = collection.take(
                        &seen.frame.pixels,
                        &faces(&seen),
                        source,
                        &tools.gates,
                        &mut *tools.embedder,
                    );
                    Some(taken.or_exit(Exit::Internal)?)
                }
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::new(Exit::Unavailable, "the camera is not watched any more"));
                }
            };
            if let Some(message) =
                guide.say(taken, (collection.kept(), collection.missing()), self.clock.now())
            {
                let (message, taken) = (message.to_owned(), collection.kept());
                let said = talk.say(&Answer::Progress { message, taken, wanted: self.pictures });
                said.map_err(|_| gone())?;
            }
        }
        drop(seen);
        let (portraits, tally) = collection.finish();
        if portraits.is_empty() {
            let seconds = self.at_most.as_secs();
            let message = format!("no good look in {seconds} seconds ({tally})");
            return Err(Failure::new(Exit::CannotTell, message));
        }
        self.go_on(talk)?;
        self.write(&store, &portraits, &tools.standard)
    }

    /// # Errors
    /// If nobody waits for it any more, or the camera was paused.
    fn go_on(&self, talk: &mut dyn Talk) -> Result<(), Failure> {
        if self.hold.is_called_off() {
            return Err(Failure::new(
                Exit::Unavailable,
                "the camera was paused, or it took too long; nothing was changed",
            ));
        }
        if talk.is_gone() { Err(gone()) } else { Ok(()) }
    }

    /// Writes what was taken, unless something speaks against it.
    fn write(&self, store: &Store, portraits: &[Portrait], standard: &Standard) -> Result<Answer, Failure> {
        let person = &self.person;
        let mut changes = store.begin().map_err(store_failure)?;
        let before = changes.get(person).map_or(0, |known| known.templates.len());
        let now = self.clock.wall(self.clock.now());
        let (judged, now_there) = match write(&mut changes, standard, (person, portraits), false, now)? {
            Written::Refused(judged) => {
                let mut said: Vec<String> = judged.conflicts().iter().map(in_words).collect();
                said.dedup();
                let message = format!("{}; nothing was changed", said.join("; "));
                return Err(Failure::new(Exit::No, message));
            }
            Written::Done(judged, now_there) => (judged, now_there),
        };
        let added = judged.fates.iter().filter(|fate| **fate == Fate::Kept).count();
        drop(changes);
        let total = now_there.unwrap_or(before);
        self.notes.send(Note::GalleryChanged);
        let noun = if added == 1 { "picture" } else { "pictures" };
        let message = format!("{person}: {added} {noun} added, {total} in all");
        tracing::info!(camera = %self.hold.camera(), added, total, "somebody was enrolled");
        Ok(Answer::Done { message })
    }
}

/// What speaks against it, without the numbers: scores are in events and nowhere else.
fn in_words(conflict: &Conflict) -> String {
    match conflict {
        Conflict::Unlike { source_name, person, .. } => {
            format!("{source_name} does not look like the other pictures of {person}")
        }
        Conflict::SomebodyElse { other, .. } => {
            format!("this face looks like {other}, who is enrolled already")
        }
    }
}

fn gone() -> Failure {
    Failure::new(Exit::Unavailable, "nobody waited for it any more; nothing was changed")
}

/// The faces that were found on this very frame.
fn faces(seen: &Seen) -> Vec<Detection> {
    let found = seen.tracks.iter().filter(|track| track.state != TrackState::Missed);
    found.map(|track| track.detection).collect()
}
