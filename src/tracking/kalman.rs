//! Where a face will be: a constant-velocity Kalman filter on a box.
//!
//! A box is four numbers: centre x, centre y, ln(height), ln(width / height). The noise of each is independent
//! of the others, so the usual 8 by 8 filter falls apart into four filters of value and rate, which is what is
//! written here. Distances are in pixels, but all noise is in heights of the face, so that near and far faces
//! behave alike. Time is in seconds, since frames come at uneven intervals.

use crate::domain::Rect;

/// What is assumed about one number of a box. Standard deviations; lengths in heights of the face.
struct Noise {
    /// How far a detector's box is off.
    measured: f64,
    /// Rate at first sight, per second.
    first_rate: f64,
    /// Spectral density of the acceleration, per √s³: after T seconds the rate has wandered by this · √T.
    agitation: f64,
    /// Wandering of the value by itself, per √s.
    drift: f64,
}

/// Detectors place a steady face to a few hundredths of its size, and people at a door move at up to about two
/// face heights a second and change that by as much within a second or two.
const CENTRE_X: Noise = Noise { measured: 0.05, first_rate: 1.5, agitation: 2.0, drift: 0.0 };
/// Walking bobs a head by up to a third of its height, twice a second.
const CENTRE_Y: Noise = Noise { measured: 0.05, first_rate: 1.0, agitation: 4.0, drift: 0.0 };
/// Walking up from two metres at 1 m/s makes a face grow by half in a second.
const LN_HEIGHT: Noise = Noise { measured: 0.08, first_rate: 0.4, agitation: 0.4, drift: 0.0 };
/// A turning head gets narrower; that has no lasting rate.
const LN_ASPECT: Noise = Noise { measured: 0.10, first_rate: 0.0, agitation: 0.0, drift: 0.15 };

/// A rate fades to 1/e of itself in so many seconds unless measurements uphold it.
const RATE_LASTS_S: f64 = 0.5;

/// A value, its rate of change, and their covariance.
#[derive(Debug, Clone, Copy)]
struct Filter {
    value: f64,
    rate: f64,
    value_var: f64,
    covar: f64,
    rate_var: f64,
}

impl Filter {
    fn new(value: f64, unit: f64, noise: &Noise) -> Self {
        Self {
            value,
            rate: 0.0,
            value_var: (noise.measured * unit).powi(2),
            covar: 0.0,
            rate_var: (noise.first_rate * unit).powi(2),
        }
    }

    /// Moves on by `dt` seconds, with white-noise acceleration (Bar-Shalom, Li, Kirubarajan 2001, chapter 6.2).
    /// The rate then fades: heads sway and bob, so a rate seen now says little about half a second later.
    fn predict(&mut self, dt: f64, unit: f64, noise: &Noise) {
        let agitation = (noise.agitation * unit).powi(2);
        let drift = (noise.drift * unit).powi(2);
        self.value += self.rate * dt;
        self.value_var +=
            2.0 * dt * self.covar + dt * dt * self.rate_var + agitation * dt.powi(3) / 3.0 + drift * dt;
        self.covar += dt * self.rate_var + agitation * dt * dt / 2.0;
        self.rate_var += agitation * dt;
        let kept = (-dt / RATE_LASTS_S).exp();
        self.rate *= kept;
        self.covar *= kept;
        self.rate_var *= kept * kept;
    }

    /// Takes a measurement in.
    fn correct(&mut self, measured: f64, unit: f64, noise: &Noise) {
        let measured_var = (noise.measured * unit).powi(2);
        let total = self.value_var + measured_var;
        let surprise = measured - self.value;
        self.value += surprise * self.value_var / total;
        self.rate += surprise * self.covar / total;
        self.rate_var -= self.covar * self.covar / total;
        self.value_var *= measured_var / total;
        self.covar *= measured_var / total;
    }

    /// Squared surprise in standard deviations, and the variance it was measured with in squared `unit`s.
    fn surprise(&self, measured: f64, unit: f64, noise: &Noise) -> (f64, f64) {
        let total = self.value_var + (noise.measured * unit).powi(2);
        ((measured - self.value).powi(2) / total, total / (unit * unit))
    }
}

/// A box in motion.
#[derive(Debug, Clone, Copy)]
pub(super) struct Motion {
    x: Filter,
    y: Filter,
    ln_height: Filter,
    ln_aspect: Filter,
}

/// How badly a box fits a prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Misfit {
    /// Squared Mahalanobis distance, 4 degrees of freedom.
    pub distance_sq: f64,
    /// Minus twice the log-likelihood, up to a constant: `distance_sq` plus the log-determinant of the
    /// covariance, so that a vague prediction does not win for being vague.
    pub cost: f64,
}

/// Centre x, centre y, ln(height), ln(width / height).
fn measure(rect: Rect) -> [f64; 4] {
    let centre = rect.centre();
    let (width, height) = (f64::from(rect.width()), f64::from(rect.height()));
    [f64::from(centre.x), f64::from(centre.y), height.ln(), (width / height).ln()]
}

impl Motion {
    /// A box seen for the first time. It must be sound.
    pub(super) fn new(rect: Rect) -> Self {
        let [x, y, ln_height, ln_aspect] = measure(rect);
        let height = f64::from(rect.height());
        Self {
            x: Filter::new(x, height, &CENTRE_X),
            y: Filter::new(y, height, &CENTRE_Y),
            ln_height: Filter::new(ln_height, 1.0, &LN_HEIGHT),
            ln_aspect: Filter::new(ln_aspect, 1.0, &LN_ASPECT),
        }
    }

    fn height(&self) -> f64 {
        self.ln_height.value.exp()
    }

    /// Moves on by `dt` seconds, 0 and up.
    pub(super) fn predict(&mut self, dt: f64) {
        let height = self.height();
        self.x.predict(dt, height, &CENTRE_X);
        self.y.predict(dt, height, &CENTRE_Y);
        self.ln_height.predict(dt, 1.0, &LN_HEIGHT);
        self.ln_aspect.predict(dt, 1.0, &LN_ASPECT);
    }

    /// Takes a sound box in.
    pub(super) fn correct(&mut self, rect: Rect) {
        let [x, y, ln_height, ln_aspect] = measure(rect);
        let height = self.height();
        self.x.correct(x, height, &CENTRE_X);
        self.y.correct(y, height, &CENTRE_Y);
        self.ln_height.correct(ln_height, 1.0, &LN_HEIGHT);
        self.ln_aspect.correct(ln_aspect, 1.0, &LN_ASPECT);
    }

    /// How badly a sound box fits.
    pub(super) fn misfit(&self, rect: Rect) -> Misfit {
        let [x, y, ln_height, ln_aspect] = measure(rect);
        let height = self.height();
        let parts = [
            self.x.surprise(x, height, &CENTRE_X),
            self.y.surprise(y, height, &CENTRE_Y),
            self.ln_height.surprise(ln_height, 1.0, &LN_HEIGHT),
            self.ln_aspect.surprise(ln_aspect, 1.0, &LN_ASPECT),
        ];
        let distance_sq = parts.iter().map(|part| part.0).sum();
        Misfit { distance_sq, cost: distance_sq + parts.iter().map(|part| part.1.ln()).sum::<f64>() }
    }

    /// The box at the estimated place. Not sound if the estimate has run away (after very long coasting).
    pub(super) fn rect(&self) -> Rect {
        let height = self.height();
        let width = height * self.ln_aspect.value.exp();
        Rect::new(
            to_f32(self.x.value - width / 2.0),
            to_f32(self.y.value - height / 2.0),
            to_f32(self.x.value + width / 2.0),
            to_f32(self.y.value + height / 2.0),
        )
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "pixels are f32 everywhere else; overflow becomes infinity"
)]
fn to_f32(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::domain::Point;

    use super::*;

    fn filters(motion: &Motion) -> [Filter; 4] {
        [motion.x, motion.y, motion.ln_height, motion.ln_aspect]
    }

    fn face(x: f32, y: f32, height: f32) -> Rect {
        Rect::new(x, y, x + 0.8 * height, y + height)
    }

    proptest! {
        #[test]
        fn the_covariance_stays_sane(
            height in 5.0_f32..500.0,
            steps in prop::collection::vec((0.0_f64..0.7, prop::option::of((-1.0_f32..1.0, -1.0_f32..1.0, 0.7_f32..1.4))), 1..60),
        ) {
            let mut motion = Motion::new(face(100.0, 100.0, height));
            for (dt, seen) in steps {
                let before = filters(&motion);
                motion.predict(dt);
                for (old, new) in before.iter().zip(filters(&motion)) {
                    prop_assert!(new.value_var >= old.value_var || new.covar < 0.0, "prediction adds doubt");
                    let kept = (-dt / RATE_LASTS_S).exp();
                    prop_assert!(new.rate_var >= old.rate_var * kept * kept, "a rate only fades");
                }
                if let Some((dx, dy, grown)) = seen {
                    let predicted = filters(&motion);
                    motion.correct(face(100.0 + dx * height, 100.0 + dy * height, grown * height));
                    for (old, new) in predicted.iter().zip(filters(&motion)) {
                        prop_assert!(new.value_var <= old.value_var && new.rate_var <= old.rate_var, "seeing removes doubt");
                    }
                }
                for filter in filters(&motion) {
                    prop_assert!(filter.value.is_finite() && filter.rate.is_finite());
                    prop_assert!(filter.value_var > 0.0 && filter.rate_var >= 0.0);
                    let determinant = filter.value_var * filter.rate_var - filter.covar * filter.covar;
                    prop_assert!(determinant >= -1e-9 * filter.value_var * filter.rate_var, "not positive: {determinant}");
                }
            }
        }

        #[test]
        fn scale_does_not_matter(scale in 0.01_f32..100.0, dx in -0.3_f32..0.3, dt in 0.01_f64..0.5) {
            let misfit_at = |height: f32| {
                let mut motion = Motion::new(face(0.0, 0.0, height));
                motion.predict(dt);
                motion.misfit(face(dx * height, 0.0, height))
            };
            let (small, large) = (misfit_at(100.0), misfit_at(100.0 * scale));
            prop_assert!((small.cost - large.cost).abs() < 1e-3, "{small:?} {large:?}");
        }
    }

    #[test]
    fn learns_a_steady_speed() {
        let mut motion = Motion::new(face(0.0, 50.0, 100.0));
        for frame in 1..=20_u8 {
            motion.predict(0.1);
            motion.correct(face(f32::from(frame) * 10.0, 50.0, 100.0));
        }
        motion.predict(0.5);
        let off = motion.rect().centre().distance(Point::new(250.0 + 40.0, 100.0));
        // It moved 50 px since, of which the fading of the rate costs a quarter.
        assert!(off < 15.0, "predicted {off} px beside the truth");
    }

    #[test]
    fn a_prediction_gives_back_the_box_it_was_given() {
        let rect = face(10.0, 20.0, 64.0);
        let mut motion = Motion::new(rect);
        motion.predict(0.0);
        assert!(motion.rect().iou(rect) > 0.999);
        assert!(motion.misfit(rect).distance_sq < 1e-6);
    }
}
