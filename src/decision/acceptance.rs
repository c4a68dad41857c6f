//! The similarity that is needed, and why.

use std::sync::Arc;

use crate::domain::{Calibration, Needed, Threshold};

/// How the similarity needed is found.
#[derive(Debug, Clone, PartialEq)]
pub enum Acceptance {
    /// It was set. What that means for strangers is then for whoever set it to know.
    Similarity(Threshold),
    /// It follows from how often a stranger may be let in.
    FalseMatchRate {
        /// Of so many visits by strangers, this share may end in a grant, above 0 and below 1.
        per_visit: f64,
        /// What was measured about the embedder.
        calibration: Arc<Calibration>,
        /// A track is looked at so often at most before it is given up.
        looks: u32,
    },
}

impl Acceptance {
    /// What is needed with so many people enrolled (nobody counts as one). `None` if no similarity is high enough.
    ///
    /// A visitor is compared with everybody, so the rate for one comparison is the rate for a visit divided by the
    /// number of people (the union bound: it errs towards too few matches), and by [`tries`].
    #[must_use]
    pub fn needed(&self, people: usize) -> Option<Needed> {
        match self {
            Self::Similarity(threshold) => {
                Some(Needed { threshold: *threshold, false_match_rate: None, people, is_extrapolated: false })
            }
            Self::FalseMatchRate { per_visit, calibration, looks } => {
                let threshold = calibration.threshold_for(per_comparison(*per_visit, people, *looks))?;
                let estimate = calibration.false_match_rate(f64::from(threshold.value()));
                Some(Needed {
                    threshold,
                    false_match_rate: Some(*per_visit),
                    people,
                    is_extrapolated: estimate.is_extrapolated,
                })
            }
        }
    }
}

/// The false match rate of one comparison that keeps a visit, compared with so many people, to `per_visit`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a number of people")]
pub fn per_comparison(per_visit: f64, people: usize, looks: u32) -> f64 {
    per_visit / (people.max(1) as f64 * tries(looks))
}

/// How many comparisons of single photos the looks at one visitor are worth, where the best moment counts: `1 + ln`.
///
/// Looks at one person resemble each other, so that twice as many are far from two chances each. The highest of `n`
/// such numbers grows like the logarithm; that this is enough was measured on visits made from photos
/// (`facewarden bench --only visits`, docs/evidence.md).
#[must_use]
pub fn tries(looks: u32) -> f64 {
    1.0 + f64::from(looks.max(1)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Policy;
    use crate::decision::tests::{calibration, look, unknown, verdict, with};
    use crate::domain::Reason;

    fn acceptance(per_visit: f64) -> Acceptance {
        Acceptance::FalseMatchRate { per_visit, calibration: Arc::new(calibration()), looks: 20 }
    }

    #[test]
    fn more_people_and_a_stricter_target_need_more() {
        let needed = |per_visit, people| acceptance(per_visit).needed(people).unwrap();
        assert!(needed(1e-2, 10).threshold.value() > needed(1e-2, 1).threshold.value());
        assert!(needed(1e-3, 1).threshold.value() > needed(1e-2, 1).threshold.value());
        assert_eq!(needed(1e-2, 0).threshold, needed(1e-2, 1).threshold);
        assert!(!needed(1e-2, 1).is_extrapolated && needed(1e-3, 1000).is_extrapolated);
        assert_eq!(acceptance(1e-2).needed(1_000_000_000_000), None, "out of reach");
    }

    #[test]
    fn a_set_similarity_is_taken_as_it_is() {
        let set = Acceptance::Similarity(Threshold::new(0.4).unwrap());
        let needed = set.needed(1_000_000).unwrap();
        assert_eq!(
            (needed.threshold.value(), needed.false_match_rate, needed.people),
            (0.4, None, 1_000_000)
        );
    }

    #[test]
    fn beyond_reach_nobody_is_verified() {
        let strict = |p: &mut Policy| {
            let calibration = std::sync::Arc::new(calibration());
            p.acceptance = Acceptance::FalseMatchRate { per_visit: 1e-30, calibration, looks: 10 };
        };
        let same: Vec<_> = (0..5).map(|n| look(n * 100, &[("ada", 1.0)])).collect();
        assert_eq!(verdict(with(strict), &same), unknown(Reason::NoMatch));
    }
}
