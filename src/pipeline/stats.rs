//! What the pipeline counts. Shared by all stages; cheap enough to be always on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::camera::Losses;

/// A number that only goes up.
#[derive(Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: usize) {
        self.add_many(count as u64);
    }

    /// So many more.
    pub fn add_many(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The same counter, for a link to count on.
    #[must_use]
    pub fn share(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// It is so many now.
    pub fn set(&self, count: usize) {
        self.0.store(count as u64, Ordering::Relaxed);
    }

    /// It is so many now; the most there ever were stays.
    pub fn note(&self, count: usize) {
        self.0.fetch_max(count as u64, Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long things took, in buckets of one millisecond up to two seconds; the last bucket takes all above.
#[derive(Debug)]
pub struct Latency {
    buckets: Vec<AtomicU64>,
    /// All durations together, microseconds.
    sum_us: AtomicU64,
}

const BUCKETS: usize = 2001;

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(), sum_us: AtomicU64::new(0) }
    }
}

impl Latency {
    /// Takes in one duration.
    pub fn record(&self, duration: Duration) {
        let bucket = usize::try_from(duration.as_millis()).unwrap_or(BUCKETS).min(BUCKETS - 1);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// How many were shorter than each of `limits_ms`, which go up and are at most 2000; how many there were at all; and
    /// all of them together, in microseconds.
    #[must_use]
    pub fn histogram(&self, limits_ms: &[u16]) -> (Vec<u64>, u64, u64) {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let below = |limit: &u16| counts.iter().take(usize::from(*limit)).sum();
        let sum_us = self.sum_us.load(Ordering::Relaxed);
        (limits_ms.iter().map(below).collect(), counts.iter().sum(), sum_us)
    }

    /// The duration that `percent` of all are not longer than, in milliseconds, rounded up; `None` if there are none.
    #[must_use]
    pub fn percentile_ms(&self, percent: u64) -> Option<u64> {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let wanted = (total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let position = counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(position as u64 + 1)
    }
}

/// The counts of one camera's pipeline.
#[derive(Debug, Default)]
pub struct Stats {
    /// Frames that the source gave.
    pub captured: Counter,
    /// Frames that a newer one replaced before they were looked at.
    pub replaced: Counter,
    /// Frames not decoded, because the detector's rate is limited or nobody is there.
    pub skipped: Counter,
    /// Frames on which no face was looked for: nobody was there and nothing moved.
    pub quiet: Counter,
    /// Frames that were damaged, in whichever way and wherever that was noticed.
    pub bad_frames: Counter,
    /// Of those, frames that the camera's driver called damaged.
    pub flagged: Counter,
    /// Of those, frames that were empty.
    pub empty: Counter,
    /// Of those, frames that ended before their picture did.
    pub truncated: Counter,
    /// Of those, frames of a camera whose markers contradicted each other.
    pub corrupt: Counter,
    /// Frames missing in the driver's count: lost on the way, or dropped by the driver itself as damaged.
    pub missing: Counter,
    /// Sound frames of the camera that were passed over because a newer one was there already.
    pub overtaken: Counter,
    /// How often the camera was lost.
    pub lost: Counter,
    /// Frames that the detector saw.
    pub detected: Counter,
    /// Detector or embedder runs that failed.
    pub model_failures: Counter,
    /// Faces that the detector found, over all frames.
    pub faces: Counter,
    /// Tracks that were confirmed.
    pub tracks: Counter,
    /// Tracks that are there, confirmed or not.
    pub tracks_now: Gauge,
    /// Looks not taken because the embedding stage was behind.
    pub looks_dropped: Counter,
    /// Embeddings made.
    pub embeddings: Counter,
    /// Decisions made.
    pub decisions: Counter,
    /// Decisions that were stored with what led up to them.
    pub recorded: Counter,
    /// Frames and decisions that were not kept, because recording was behind.
    pub record_dropped: Counter,
    /// Most frames with looks that ever waited for the embedding stage at once.
    pub most_work_waiting: Gauge,
    /// Most words about tracks that ever waited for the detect stage at once.
    pub most_attention_waiting: Gauge,
    /// Most frames and decisions that ever waited to be recorded at once.
    pub most_record_waiting: Gauge,
    /// Decoding of a frame.
    pub decode: Latency,
    /// Finding the faces of a frame.
    pub search: Latency,
    /// Following faces, choosing looks and watching the view, for a frame.
    pub follow: Latency,
    /// A look: its embedding, the search of the gallery, and liveness.
    pub score: Latency,
    /// From the capture of a frame to the end of its detection.
    pub frame_lag: Latency,
    /// From the capture of the deciding frame to the decision.
    pub decision_lag: Latency,
}

impl Stats {
    /// Takes in what a source lost.
    pub(super) fn count(&self, losses: Losses) {
        let Losses { flagged, empty, truncated, corrupt, missing, overtaken } = losses;
        for (counter, count) in [
            (&self.flagged, flagged),
            (&self.empty, empty),
            (&self.truncated, truncated),
            (&self.corrupt, corrupt),
            (&self.missing, missing),
            (&self.overtaken, overtaken),
            (&self.bad_frames, losses.damaged()),
        ] {
            counter.add_many(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let latency = Latency::default();
        assert_eq!(latency.percentile_ms(99), None);
        (1..=100).for_each(|ms| latency.record(Duration::from_micros(ms * 1000 - 1)));
        assert_eq!((latency.percentile_ms(50), latency.percentile_ms(99)), (Some(50), Some(99)));
        latency.record(Duration::from_secs(3600));
        assert_eq!(latency.percentile_ms(100), Some(2001));
        let (below, all, sum_us) = latency.histogram(&[1, 50, 2000]);
        assert_eq!((below, all, sum_us), (vec![1, 50, 100], 101, 3_605_049_900));
    }
}
