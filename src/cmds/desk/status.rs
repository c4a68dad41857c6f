//! How it goes, put together from what the pipelines count and what happened lately.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Desk, House};
use crate::camera::shown_source;
use crate::clock::Moment;
use crate::control::{CameraState, CameraStatus, Counts, Status, Waiting};
use crate::domain::CameraId;
use crate::pipeline::{CameraState as Pipeline, Stats};
use crate::sys::notify;

/// Frames a second are counted over so long.
const OVER: Duration = Duration::from_secs(5);
/// The counts are read so often for that.
const EVERY: Duration = Duration::from_secs(1);

/// How many frames a second came and were looked at lately, for each camera.
#[derive(Default)]
pub(super) struct Rates {
    read_at: Option<Moment>,
    counts: BTreeMap<CameraId, VecDeque<(Moment, u64, u64)>>,
}

impl Rates {
    /// Reads the counts, if it is time.
    pub(super) fn read<'a>(&mut self, stats: impl Iterator<Item = (&'a CameraId, &'a Stats)>, now: Moment) {
        if self.read_at.is_some_and(|at| now.since(at) < EVERY) {
            return;
        }
        self.read_at = Some(now);
        for (camera, stats) in stats {
            let counts = self.counts.entry(camera.clone()).or_default();
            let (captured, detected) = (stats.captured.get(), stats.detected.get());
            // A new pipeline of a camera counts from nought.
            if counts.back().is_some_and(|(_, before, _)| *before > captured) {
                counts.clear();
            }
            counts.push_back((now, captured, detected));
            while counts.len() > 2 && now.since(counts[0].0) > OVER {
                counts.pop_front();
            }
        }
    }

    /// Frames a second that were captured and looked at; `None` before that is known.
    pub(super) fn of(&self, camera: &CameraId) -> Option<(f64, f64)> {
        let counts = self.counts.get(camera)?;
        let ((from, captured, detected), (to, captured_then, detected_then)) =
            (counts.front()?, counts.back()?);
        let seconds = to.since(*from).as_secs_f64();
        let rate = |from: u64, to: u64| (count(to.saturating_sub(from)) / seconds * 10.0).round() / 10.0;
        (seconds > 0.0).then(|| (rate(*captured, *captured_then), rate(*detected, *detected_then)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of frames within seconds")]
fn count(frames: u64) -> f64 {
    frames as f64
}

impl Desk {
    /// How it goes.
    pub(crate) fn status(&self, house: &dyn House) -> Status {
        let clock = self.clock.as_ref();
        let started = clock.wall(self.started);
        let cameras = house.cameras().into_iter().map(|view| {
            let stats = &*view.stats;
            let (captured_fps, detected_fps) = self.rates.of(&view.settings.id).unzip();
            let (state, message) = match view.condition.state {
                _ if view.is_over => (CameraState::Lost, Some("the recording has ended".to_owned())),
                Pipeline::Opening => (CameraState::Starting, None),
                Pipeline::Watching => (CameraState::Watching, None),
                Pipeline::Resting => (CameraState::Paused, None),
                Pipeline::Lost { message } => (CameraState::Lost, Some(message)),
            };
            let mut status = CameraStatus {
                camera: view.settings.id.clone(),
                state,
                since: clock.wall(view.condition.since),
                until: None,
                message,
                source: view.condition.source.unwrap_or_else(|| shown_source(&view.settings.source)),
                captured_fps,
                detected_fps,
                frame_lag_p50_ms: stats.frame_lag.percentile_ms(50),
                frame_lag_p99_ms: stats.frame_lag.percentile_ms(99),
                tracks_now: stats.tracks_now.get(),
                counts: counts(stats),
            };
            self.pauses.describe(&mut status, clock);
            status
        });
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: started,
            at: clock.wall(clock.now()),
            cameras: cameras.collect(),
            people: house.people(),
            gallery_trouble: house.gallery_trouble(),
            waiting: house.waiting().into_iter().map(|(sink, events)| Waiting { sink, events }).collect(),
            last_event: self.recent.last(),
            watchdog_ms: notify::watchdog_interval()
                .map(|interval| u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)),
            degraded: self.recent.troubles(),
        }
    }
}

fn counts(stats: &Stats) -> Counts {
    Counts {
        captured: stats.captured.get(),
        detected: stats.detected.get(),
        replaced: stats.replaced.get(),
        skipped: stats.skipped.get(),
        bad_frames: stats.bad_frames.get(),
        model_failures: stats.model_failures.get(),
        tracks: stats.tracks.get(),
        decisions: stats.decisions.get(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_seconds() {
        let (door, stats) = (CameraId::new("door").unwrap(), Stats::default());
        let mut rates = Rates::default();
        let mut read = |ms: u64, frames: usize| {
            stats.captured.add(frames);
            stats.detected.add(frames / 2);
            rates.read([(&door, &stats)].into_iter(), Moment(Duration::from_millis(ms)));
            rates.of(&door)
        };
        assert_eq!(read(0, 1000), None);
        assert_eq!(read(100, 3), None, "it is not time");
        assert_eq!(read(1000, 27), Some((30.0, 14.0)));
        for second in 2..=20 {
            read(second * 1000, 10);
        }
        assert_eq!(rates.of(&door), Some((10.0, 5.0)), "what was long ago does not count");
        let fresh = Stats::default();
        rates.read([(&door, &fresh)].into_iter(), Moment(Duration::from_secs(30)));
        assert_eq!(rates.of(&door), None, "a new pipeline begins anew");
    }
}
