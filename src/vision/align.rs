//! Bringing a face upright and to size: the 5 points onto the template that an embedder was trained with.

use image::RgbImage;

use crate::domain::{Landmarks, Point};

/// A similarity transform (turn, scale, move; no shear, no mirror):
/// `x' = a x - b y + tx`, `y' = b x + a y + ty`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SimilarityTransform {
    /// Scale times the cosine of the angle.
    pub a: f32,
    /// Scale times the sine of the angle.
    pub b: f32,
    /// Moved right by.
    pub tx: f32,
    /// Moved down by.
    pub ty: f32,
}

impl SimilarityTransform {
    /// The transform that brings `from` onto `to` with the least squared error (the closed form of Umeyama's
    /// method in two dimensions without reflection). `None` if the points of `from` coincide or any is not a
    /// number.
    #[must_use]
    pub fn fit(from: &Landmarks, to: &Landmarks) -> Option<Self> {
        let mean = |points: &Landmarks| {
            let sum = points.iter().fold((0.0, 0.0), |s, p| (s.0 + f64::from(p.x), s.1 + f64::from(p.y)));
            (sum.0 / 5.0, sum.1 / 5.0)
        };
        let ((from_x, from_y), (to_x, to_y)) = (mean(from), mean(to));
        let (mut spread, mut along, mut across) = (0.0, 0.0, 0.0);
        for (f, t) in from.iter().zip(to) {
            let (fx, fy) = (f64::from(f.x) - from_x, f64::from(f.y) - from_y);
            let (tx, ty) = (f64::from(t.x) - to_x, f64::from(t.y) - to_y);
            spread += fx * fx + fy * fy;
            along += fx * tx + fy * ty;
            across += fx * ty - fy * tx;
        }
        let (a, b) = (along / spread, across / spread);
        #[expect(clippy::cast_possible_truncation, reason = "pixel coordinates need no more than f32")]
        let fitted = Self {
            a: a as f32,
            b: b as f32,
            tx: (to_x - (a * from_x - b * from_y)) as f32,
            ty: (to_y - (b * from_x + a * from_y)) as f32,
        };
        let sound = [fitted.a, fitted.b, fitted.tx, fitted.ty].iter().all(|v| v.is_finite());
        (sound && fitted.scale() > 1e-6).then_some(fitted)
    }

    /// How much larger things become.
    #[must_use]
    pub fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }

    /// Where `point` comes to lie.
    #[must_use]
    pub fn apply(&self, point: Point) -> Point {
        Point::new(
            self.a * point.x - self.b * point.y + self.tx,
            self.b * point.x + self.a * point.y + self.ty,
        )
    }

    /// The way back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let square = self.a * self.a + self.b * self.b;
        let (a, b) = (self.a / square, -self.b / square);
        Self { a, b, tx: -(a * self.tx - b * self.ty), ty: -(b * self.tx + a * self.ty) }
    }
}

/// Draws `picture` through `crop_from_frame` into a new picture of `width` x `height`: bilinear, black outside.
/// Pixel centres are at whole coordinates, as in OpenCV's `warpAffine`.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "coordinates are checked against the picture's sides before they become indices"
)]
pub fn warp(picture: &RgbImage, crop_from_frame: &SimilarityTransform, width: u32, height: u32) -> RgbImage {
    let frame_from_crop = crop_from_frame.inverse();
    let (frame_width, frame_height) = (picture.width() as i64, picture.height() as i64);
    let pixels = picture.as_raw();
    let row_bytes = picture.width() as usize * 3;
    let mut crop = RgbImage::new(width, height);
    let samples = crop.as_flat_samples_mut().samples;
    for (at, out) in samples.chunks_exact_mut(3).enumerate() {
        let (column, row) = (at % width as usize, at / width as usize);
        let from = frame_from_crop.apply(Point::new(column as f32, row as f32));
        let (left, top) = (from.x.floor(), from.y.floor());
        if left < -1.0 || top < -1.0 || left >= frame_width as f32 || top >= frame_height as f32 {
            continue;
        }
        let (right_part, lower_part) = (from.x - left, from.y - top);
        let (x, y) = (left as i64, top as i64);
        if x >= 0 && y >= 0 && x + 1 < frame_width && y + 1 < frame_height {
            let first = y as usize * row_bytes + x as usize * 3;
            let (upper, lower) =
                (&pixels[first..first + 6], &pixels[first + row_bytes..first + row_bytes + 6]);
            for channel in 0..3 {
                let mix = |row: &[u8]| {
                    f32::from(row[channel])
                        + (f32::from(row[channel + 3]) - f32::from(row[channel])) * right_part
                };
                let (above, below) = (mix(upper), mix(lower));
                out[channel] = (above + (below - above) * lower_part).round() as u8;
            }
            continue;
        }
        for (channel, value) in out.iter_mut().enumerate() {
            let pixel = |x: i64, y: i64| {
                let inside = (0..frame_width).contains(&x) && (0..frame_height).contains(&y);
                if inside {
                    f32::from(pixels[y as usize * row_bytes + x as usize * 3 + channel])
                } else {
                    0.0
                }
            };
            let above = pixel(x, y) * (1.0 - right_part) + pixel(x + 1, y) * right_part;
            let below = pixel(x, y + 1) * (1.0 - right_part) + pixel(x + 1, y + 1) * right_part;
            *value = (above * (1.0 - lower_part) + below * lower_part).round() as u8;
        }
    }
    crop
}

/// The 5 points of the 112 x 112 template that ArcFace-style embedders are trained with.
pub const ARCFACE_112: Landmarks = [
    Point::new(38.2946, 51.6963),
    Point::new(73.5318, 51.5014),
    Point::new(56.0252, 71.7366),
    Point::new(41.5493, 92.3655),
    Point::new(70.7299, 92.2041),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn transform() -> impl Strategy<Value = SimilarityTransform> {
        (0.05_f32..8.0, -3.1_f32..3.1, -500.0_f32..500.0, -500.0_f32..500.0).prop_map(|(s, angle, tx, ty)| {
            SimilarityTransform { a: s * angle.cos(), b: s * angle.sin(), tx, ty }
        })
    }

    proptest! {
        #[test]
        fn fit_finds_the_transform_that_was_applied(t in transform()) {
            let moved = ARCFACE_112.map(|p| t.apply(p));
            let found = SimilarityTransform::fit(&ARCFACE_112, &moved).unwrap();
            for p in ARCFACE_112 {
                prop_assert!(found.apply(p).distance(t.apply(p)) < 0.02 * t.scale().max(1.0));
            }
        }

        #[test]
        fn inverse_undoes(t in transform(), x in -100.0_f32..1000.0, y in -100.0_f32..1000.0) {
            let p = Point::new(x, y);
            prop_assert!(t.inverse().apply(t.apply(p)).distance(p) < 0.05);
        }
    }

    #[test]
    fn coinciding_points_and_nonsense_have_no_transform() {
        assert_eq!(SimilarityTransform::fit(&[Point::new(3.0, 3.0); 5], &ARCFACE_112), None);
        let mut points = ARCFACE_112;
        points[2].x = f32::NAN;
        assert_eq!(SimilarityTransform::fit(&points, &ARCFACE_112), None);
    }

    #[test]
    fn warp_moves_pixels_and_is_black_outside() {
        let mut picture = RgbImage::from_pixel(8, 8, image::Rgb([100, 100, 100]));
        picture.put_pixel(2, 3, image::Rgb([200, 10, 50]));
        let shift = SimilarityTransform { a: 1.0, b: 0.0, tx: 4.0, ty: 1.0 };
        let moved = warp(&picture, &shift, 10, 10);
        assert_eq!(moved.get_pixel(6, 4).0, [200, 10, 50]);
        assert_eq!(moved.get_pixel(0, 0).0, [0, 0, 0]);
        assert_eq!(moved.get_pixel(9, 8).0, [100, 100, 100]);
    }
}
