//! The record stage: keeps the newest frames in memory, and stores those that led up to a decision.
//!
//! It is there only where recording is on. It never holds up the stages it hears from: what finds its link full is
//! dropped and counted, and a bundle says how many frames it lacks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::announce::Announcer;
use super::detect::Look;
use super::pulse::Beating;
use super::stats::Stats;
use crate::bundles::{BundleError, BundleOut, Footage, GalleryIdentity, KeptFace, KeptFrame};
use crate::clock::{Clock, Moment};
use crate::domain::{Event, EventKind, Frame, Original, Track};
use crate::matching::Gallery;

/// So many frames or decisions wait: a second of a camera, while a bundle is written.
const WAITING: usize = 32;

/// How often what is too old is deleted, whether anything is decided or not.
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// How often the stage gives a sign of life while nothing comes.
const LOOK_UP_EVERY: Duration = Duration::from_secs(1);

/// A slow disk may take so long for a bundle, or to delete old ones.
const STORED_WITHIN: Duration = Duration::from_secs(60);

/// How what led up to decisions is kept.
pub struct Recording {
    /// Frames taken up to so long before the newest are kept in memory...
    pub before: Duration,
    /// ... or fewer, where together they take more than this many bytes.
    pub max_bytes: usize,
    /// Where they go with a decision.
    pub out: Box<dyn BundleOut>,
}

/// Something for the record stage.
#[derive(Debug)]
pub(super) enum Take {
    Frame(KeptFrame),
    /// A decision, and who was enrolled.
    Decided(Box<Event>, Arc<Gallery>),
}

/// The way to the record stage. With each thing goes how many were dropped before it.
#[derive(Clone)]
pub(super) struct RecordLink {
    takes: Sender<(Take, u64)>,
    /// True if nothing may be dropped.
    keep_all: bool,
    stats: Arc<Stats>,
}

impl RecordLink {
    pub(super) fn new(keep_all: bool, stats: &Arc<Stats>) -> (Self, Receiver<(Take, u64)>) {
        let (takes, received) = bounded(WAITING);
        (Self { takes, keep_all, stats: Arc::clone(stats) }, received)
    }

    /// A frame that the detector saw, with its faces and the looks that were picked.
    pub(super) fn frame(&self, frame: &Frame, original: Original, tracks: &[Track], looks: &[Look]) {
        let face = |track: &Track| KeptFace {
            track: track.id,
            box_in_frame: track.detection.box_in_frame,
            is_looked_at: looks.iter().any(|look| look.track == track.id),
        };
        let faces = tracks.iter().map(face).collect();
        let (seq, captured_at) = (frame.seq, frame.captured_at);
        self.send(Take::Frame(KeptFrame { seq, captured_at, original, faces }));
    }

    /// A decision.
    pub(super) fn decided(&self, event: Event, gallery: Arc<Gallery>) {
        let id = event.id;
        if !self.send(Take::Decided(Box::new(event), gallery)) {
            tracing::warn!(%id, "this decision is not recorded: recording is behind");
        }
    }

    /// False if it was dropped. Should the stage be gone, its panic is told where it is joined; decisions go on.
    fn send(&self, take: Take) -> bool {
        let item = (take, self.stats.record_dropped.get());
        let is_lost =
            if self.keep_all { self.takes.send(item).is_err() } else { self.takes.try_send(item).is_err() };
        self.stats.most_record_waiting.note(self.takes.len());
        if is_lost {
            self.stats.record_dropped.add_one();
        }
        !is_lost
    }
}

/// A frame in memory, and how many were dropped before it.
type Remembered = (KeptFrame, u64);

/// The stage.
pub(super) struct Record {
    settings: Recording,
    takes: Receiver<(Take, u64)>,
    announcer: Announcer,
    clock: Arc<dyn Clock>,
    stats: Arc<Stats>,
    frames: VecDeque<Remembered>,
    /// What the frames take.
    bytes: usize,
    /// Frames were forgotten.
    is_pruned: bool,
    /// Storing failed, and that was said.
    is_failing: bool,
    pulse: Beating,
}

impl Record {
    pub(super) fn new(
        settings: Recording,
        takes: Receiver<(Take, u64)>,
        announcer: Announcer,
        clock: Arc<dyn Clock>,
        stats: Arc<Stats>,
        pulse: Beating,
    ) -> Self {
        let (frames, bytes) = (VecDeque::new(), 0);
        let (is_pruned, is_failing) = (false, false);
        Self { settings, takes, announcer, clock, stats, frames, bytes, is_pruned, is_failing, pulse }
    }

    pub(super) fn run(mut self) {
        let mut tidied: Option<Moment> = None;
        loop {
            self.pulse.expect_within(STORED_WITHIN);
            if tidied.is_none_or(|last| self.clock.now().since(last) >= TIDY_EVERY) {
                tidied = Some(self.clock.now());
                let now = self.clock.wall(self.clock.now());
                let result = self.settings.out.tidy(now);
                self.note(result);
            }
            match self.takes.recv_timeout(LOOK_UP_EVERY) {
                Ok((Take::Frame(frame), dropped)) => self.remember(frame, dropped),
                Ok((Take::Decided(event, gallery), dropped)) => self.store(&event, &gallery, dropped),
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Takes in a frame, and forgets those that are too old or too much.
    fn remember(&mut self, frame: KeptFrame, dropped: u64) {
        let newest = frame.captured_at;
        self.bytes = self.bytes.saturating_add(frame.original.bytes());
        self.frames.push_back((frame, dropped));
        while let Some((oldest, _)) = self.frames.front() {
            let is_old = newest.since(oldest.captured_at) > self.settings.before;
            if !is_old && self.bytes <= self.settings.max_bytes {
                break;
            }
            self.bytes = self.bytes.saturating_sub(oldest.original.bytes());
            self.frames.pop_front();
            self.is_pruned = true;
        }
    }

    fn store(&mut self, event: &Event, gallery: &Gallery, dropped: u64) {
        let (Some((first, dropped_before)), Some(detail)) = (self.frames.front(), event.kind.detail()) else {
            return;
        };
        let footage = Footage {
            event,
            gallery: GalleryIdentity { digest: hex(&gallery.digest()), people: gallery.people() },
            first_frame_at: self.clock.wall(first.captured_at),
            frames: self.frames.iter().map(|(frame, _)| frame).collect(),
            missing: dropped.saturating_sub(*dropped_before),
            is_cut: self.is_pruned && first.faces.iter().any(|face| face.track == detail.track),
        };
        let result = self.settings.out.write(&footage, self.clock.wall(self.clock.now()));
        if result.is_ok() {
            self.stats.recorded.add_one();
        }
        self.note(result);
    }

    /// Says once that recording does not work, and once that it does again.
    fn note(&mut self, result: Result<(), BundleError>) {
        match result {
            Ok(()) if std::mem::take(&mut self.is_failing) => tracing::info!("decisions are recorded again"),
            Ok(()) => (),
            Err(error) if !std::mem::replace(&mut self.is_failing, true) => {
                let message = format!("decisions are not recorded for `facewarden replay`: {error}");
                tracing::warn!("{message}");
                self.announcer.announce(EventKind::Degraded { message });
            }
            Err(error) => tracing::debug!("not recorded: {error}"),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::pulse::Pulses;
    use super::*;
    use crate::clock::{SimulatedClock, WallTime};
    use crate::domain::{ModelDigest, Payload, Rect, TrackId};
    use crate::matching::GalleryMetric;

    /// What was stored: numbers of the frames, how many are missing, and whether the beginning is.
    type Stored = (Vec<u64>, u64, bool);

    #[derive(Clone, Default)]
    struct Shelf {
        stored: Arc<Mutex<Vec<Stored>>>,
        /// Whether the disk is full.
        is_full: Arc<Mutex<bool>>,
    }

    impl BundleOut for Shelf {
        fn write(&mut self, footage: &Footage<'_>, _now: WallTime) -> Result<(), BundleError> {
            if *self.is_full.lock().unwrap() {
                return Err(BundleError::TooLarge { bytes: 1 });
            }
            let frames = footage.frames.iter().map(|frame| frame.seq).collect();
            self.stored.lock().unwrap().push((frames, footage.missing, footage.is_cut));
            Ok(())
        }

        fn tidy(&mut self, _now: WallTime) -> Result<(), BundleError> {
            Ok(())
        }
    }

    fn gallery() -> Gallery {
        Gallery::new(ModelDigest([1; 32]), GalleryMetric::Cosine, 2, &[])
    }

    fn event() -> Event {
        let text = r#"{"schema":1,"id":"01M84XQ0000000000000000002","at":"2026-11-23T19:25:23.378Z",
            "type":"match.unknown","reason":"no_match","camera":"door","track":4,"captured_at":"2026-11-23T19:25:23.341Z",
            "decided_at":"2026-11-23T19:25:23.378Z","observations":3,"agreeing":3,"liveness_mode":"off","model":"31"}"#;
        serde_json::from_str(text).unwrap()
    }

    /// A frame of 10 bytes, one a second.
    fn frame(seq: u64, track: u64) -> KeptFrame {
        let face = KeptFace { track: TrackId(track), box_in_frame: Rect::default(), is_looked_at: false };
        let original = Original::Bytes(Arc::new(Payload::Still(vec![0; 10])));
        KeptFrame { seq, captured_at: Moment(Duration::from_secs(seq)), original, faces: vec![face] }
    }

    fn record(shelf: &Shelf, max_bytes: usize) -> (Record, Arc<Mutex<Vec<Event>>>) {
        let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH));
        let told: Arc<Mutex<Vec<Event>>> = Arc::default();
        let heard = Arc::clone(&told);
        let announcer = Announcer::new(Arc::clone(&clock), Arc::new(move |e| heard.lock().unwrap().push(e)));
        let settings = Recording { before: Duration::from_secs(3), max_bytes, out: Box::new(shelf.clone()) };
        let stats = Arc::new(Stats::default());
        let (_, takes) = RecordLink::new(false, &stats);
        let pulse = Pulses::new(Arc::clone(&clock)).add("record");
        (Record::new(settings, takes, announcer, clock, stats, pulse), told)
    }

    #[test]
    fn frames_are_kept_for_a_time_and_up_to_a_size() {
        for (max_bytes, kept) in [(1000, vec![2, 3, 4, 5]), (25, vec![4, 5]), (5, vec![])] {
            let shelf = Shelf::default();
            let (mut record, _) = record(&shelf, max_bytes);
            (0..6).for_each(|seq| record.remember(frame(seq, 4), 0));
            assert_eq!(record.bytes, kept.len() * 10);
            record.store(&event(), &gallery(), 0);
            let expected = if kept.is_empty() { vec![] } else { vec![(kept, 0, true)] };
            assert_eq!(*shelf.stored.lock().unwrap(), expected);
        }
    }

    #[test]
    fn a_bundle_says_what_it_lacks() {
        let shelf = Shelf::default();
        let (mut record, _) = record(&shelf, 1000);
        record.remember(frame(0, 4), 2);
        record.store(&event(), &gallery(), 2);
        record.remember(frame(3, 9), 5);
        record.remember(frame(4, 4), 5);
        record.store(&event(), &gallery(), 6);
        // The face is on the first frame, and nothing before that is known to be lacking; then it comes later.
        let expected = [(vec![0], 0, false), (vec![3, 4], 1, false)];
        assert_eq!(*shelf.stored.lock().unwrap(), expected);
    }

    #[test]
    fn that_it_does_not_work_is_said_once_a_time() {
        let shelf = Shelf::default();
        let (mut record, told) = record(&shelf, 1000);
        record.remember(frame(0, 4), 0);
        let said = |record: &mut Record, is_full| {
            *shelf.is_full.lock().unwrap() = is_full;
            record.store(&event(), &gallery(), 0);
            told.lock().unwrap().len()
        };
        assert_eq!(
            [true, true, false, true, true].map(|is_full| said(&mut record, is_full)),
            [1, 1, 1, 2, 2]
        );
        assert!(matches!(&told.lock().unwrap()[0].kind, EventKind::Degraded { message }
            if message.starts_with("decisions are not recorded")));
        assert_eq!(record.stats.recorded.get(), 1);
    }

    #[test]
    fn what_finds_the_link_full_is_dropped_and_counted() {
        let stats = Arc::new(Stats::default());
        let (link, takes) = RecordLink::new(false, &stats);
        (0..WAITING + 3).for_each(|_| link.decided(event(), Arc::new(gallery())));
        assert_eq!((takes.len(), stats.record_dropped.get()), (WAITING, 3));
        // What comes next says how many were dropped before it.
        takes.recv().unwrap();
        link.decided(event(), Arc::new(gallery()));
        assert_eq!(takes.iter().take(WAITING).last().unwrap().1, 3);
    }
}
