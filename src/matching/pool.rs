//! The looks at one track as one embedding: their mean, in which the sure ones count for more.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;
use crate::domain::{Embedding, EmbeddingError};

/// A look that is less like the mean of those before it than this (cosine) is taken for somebody else. Measured on
/// visits made from photos (`facewarden bench --only visits`, docs/evidence.md): of looks at one person, in pictures
/// taken years apart and degraded, 16 in 1,000 are below; of looks at another, 989 in 1,000.
pub const SAME_FACE: f32 = 0.25;

/// The most looks that are kept; the oldest go first.
const MAX_POOLED: usize = 64;

/// The newest looks at one track.
#[derive(Debug, Default)]
pub struct Pool {
    looks: VecDeque<(Moment, Embedding)>,
}

/// What a look did to its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooled {
    /// It was added, or is the first.
    Added,
    /// It does not resemble what was there: all of that is gone, and the look is the first of a new pool. Two
    /// people may have passed each other on one track.
    Restarted,
}

impl Pool {
    /// Takes in a look, and drops those taken more than `window` before the newest.
    ///
    /// # Errors
    /// If another model made it than the others.
    pub fn add(
        &mut self,
        captured_at: Moment,
        look: Embedding,
        window: Duration,
    ) -> Result<Pooled, EmbeddingError> {
        let resembles = match self.mean() {
            Some(mean) => mean?.cosine(&look)?.value() >= SAME_FACE,
            None => true,
        };
        if !resembles {
            self.looks.clear();
        }
        let at = self.looks.partition_point(|(taken, _)| *taken <= captured_at);
        self.looks.insert(at, (captured_at, look));
        let newest = self.looks.back().map_or(captured_at, |(taken, _)| *taken);
        self.looks.retain(|(taken, _)| newest.since(*taken) <= window);
        if self.looks.len() > MAX_POOLED {
            self.looks.pop_front();
        }
        Ok(if resembles { Pooled::Added } else { Pooled::Restarted })
    }

    /// How many looks it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.looks.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.looks.is_empty()
    }

    /// The mean of the looks, each weighted with the square of its [`Embedding::strength`]; `None` if there are none.
    ///
    /// # Errors
    /// If they cancel out (which no faces do) or are no numbers.
    #[must_use]
    pub fn mean(&self) -> Option<Result<Embedding, EmbeddingError>> {
        let (_, first) = self.looks.front()?;
        let mut sum = vec![0.0_f64; first.values().len()];
        let mut total = 0.0;
        for (_, look) in &self.looks {
            let weight = f64::from(look.strength()).powi(2);
            total += weight;
            for (sum, value) in sum.iter_mut().zip(look.values()) {
                *sum += weight * f64::from(*value);
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the looks have no more than the precision of f32"
        )]
        let values = sum.into_iter().map(|sum| (sum / total) as f32).collect();
        Some(Embedding::new(first.model(), values))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ModelDigest;

    const WINDOW: Duration = Duration::from_secs(2);

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    fn look(values: &[f32]) -> Embedding {
        Embedding::scaled(ModelDigest([1; 32]), values.to_vec()).unwrap()
    }

    fn mean(pool: &Pool) -> Vec<f32> {
        pool.mean().unwrap().unwrap().values().to_vec()
    }

    #[test]
    fn the_sure_look_counts_for_more() {
        let mut pool = Pool::default();
        assert!(pool.mean().is_none());
        pool.add(at(0), look(&[3.0, 0.0]), WINDOW).unwrap();
        pool.add(at(10), look(&[0.6, 0.8]), WINDOW).unwrap();
        let found = mean(&pool);
        assert!((found[0] - (9.0 + 0.6) / 10.0).abs() < 1e-6 && (found[1] - 0.08).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn another_face_begins_anew() {
        let mut pool = Pool::default();
        assert_eq!(pool.add(at(0), look(&[1.0, 0.1]), WINDOW), Ok(Pooled::Added));
        assert_eq!(pool.add(at(1), look(&[1.0, 0.0]), WINDOW), Ok(Pooled::Added));
        assert_eq!(pool.add(at(2), look(&[0.0, 1.0]), WINDOW), Ok(Pooled::Restarted));
        assert_eq!((pool.len(), mean(&pool)), (1, vec![0.0, 1.0]));
    }

    #[test]
    fn only_the_window_counts_and_order_does_not() {
        let mut pool = Pool::default();
        for ms in [2500, 0, 1000, 400, 3000] {
            pool.add(at(ms), look(&[1.0, 0.0]), WINDOW).unwrap();
        }
        assert_eq!(pool.len(), 3, "1000, 2500 and 3000");
        for ms in 3000..3200 {
            pool.add(at(ms), look(&[1.0, 0.0]), WINDOW).unwrap();
        }
        assert_eq!(pool.len(), MAX_POOLED);
    }

    #[test]
    fn another_model_is_refused() {
        let mut pool = Pool::default();
        pool.add(at(0), look(&[1.0, 0.0]), WINDOW).unwrap();
        let other = Embedding::new(ModelDigest([2; 32]), vec![1.0, 0.0]).unwrap();
        assert!(pool.add(at(1), other, WINDOW).is_err());
    }

    proptest! {
        #[test]
        fn the_mean_of_equal_looks_is_the_look(
            values in prop::collection::vec(-1.0_f32..1.0, 8), strengths in prop::collection::vec(0.1_f32..10.0, 1..10),
        ) {
            prop_assume!(values.iter().map(|v| v * v).sum::<f32>() > 0.01);
            let mut pool = Pool::default();
            for (ms, strength) in (0..).zip(strengths) {
                let values: Vec<f32> = values.iter().map(|v| v * strength).collect();
                prop_assert_eq!(pool.add(at(ms), look(&values), WINDOW), Ok(Pooled::Added));
            }
            for (a, b) in mean(&pool).iter().zip(look(&values).values()) {
                prop_assert!((a - b).abs() < 1e-5);
            }
        }
    }
}
