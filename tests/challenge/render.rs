//! A photo wrapped around a simple head, turned, and seen from afar.
//!
//! Lengths are in distances between the eyes; x to the picture's right, y down, z towards the camera. The head is half an
//! ellipsoid with a nose on it; everything behind it stays where it is.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "coordinates are clamped to the photo before they become indices"
)]

use facewarden::domain::{Landmarks, Point};
use image::{Rgb, RgbImage};

/// Side of the rendered pictures, pixels.
pub(crate) const SIDE: u32 = 320;
/// Distance between the eyes at size 100, pixels.
const UNIT_PX: f32 = 56.0;

/// Half the head's width, height and depth. Faces are about 2.3 eye distances wide.
const RADII: [f32; 3] = [1.2, 1.75, 1.25];
/// How far the nose stands out of the ellipsoid, and how far it reaches along and across the face.
const NOSE_OUT: f32 = 0.28;
const NOSE_REACH: [f32; 2] = [0.2, 0.3];
/// The head turns about a point so far behind the front of the ellipsoid.
const PIVOT: f32 = 1.25;

/// How the head is turned, degrees (as [`facewarden::domain::Pose`] has them), and its size in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct View {
    pub(crate) yaw: i32,
    pub(crate) pitch: i32,
    pub(crate) size: i32,
}

impl View {
    pub(crate) const FRONTAL: Self = Self { yaw: 0, pitch: 0, size: 100 };
}

/// A photo of a face that looks at the camera.
pub(crate) struct Head {
    photo: RgbImage,
    /// The middle of the head on the photo, and the way right on it, one eye distance long.
    centre: Point,
    right: (f32, f32),
    /// The nose tip, from the centre.
    nose: (f32, f32),
}

impl Head {
    pub(crate) fn new(photo: &RgbImage, landmarks: &Landmarks) -> Self {
        let [left_eye, right_eye, nose, left_mouth, right_mouth] = *landmarks;
        let right = (right_eye.x - left_eye.x, right_eye.y - left_eye.y);
        let centre = Point::new(
            (left_eye.x + right_eye.x + left_mouth.x + right_mouth.x) / 4.0,
            (left_eye.y + right_eye.y + left_mouth.y + right_mouth.y) / 4.0,
        );
        let square = right.0 * right.0 + right.1 * right.1;
        let (dx, dy) = (nose.x - centre.x, nose.y - centre.y);
        let nose = ((dx * right.0 + dy * right.1) / square, (dy * right.0 - dx * right.1) / square);
        Self { photo: photo.clone(), centre, right, nose }
    }

    /// How far the head's surface stands out at a place; `None` beside the head.
    fn surface(&self, x: f32, y: f32) -> Option<f32> {
        let inside = 1.0 - (x / RADII[0]).powi(2) - (y / RADII[1]).powi(2);
        if inside <= 0.0 {
            return None;
        }
        let (across, along) = ((x - self.nose.0) / NOSE_REACH[0], (y - self.nose.1) / NOSE_REACH[1]);
        let nose = NOSE_OUT * (-0.5 * (across * across + along * along)).exp();
        Some(RADII[2] * (inside.sqrt() - 1.0) + nose)
    }

    /// Where the ray through a place of the picture meets the head, in the head's own coordinates.
    fn met(&self, u: f32, v: f32, view: View) -> Option<(f32, f32)> {
        if u.abs() > RADII[0] + 0.3 || v.abs() > RADII[1] + 0.3 {
            return None;
        }
        let (sin_yaw, cos_yaw) = (view.yaw as f32).to_radians().sin_cos();
        let (sin_pitch, cos_pitch) = (view.pitch as f32).to_radians().sin_cos();
        // A point of the picture at depth `z`, turned back: the pitch first, as it was applied last.
        let turned_back = |z: f32| {
            let (y, towards) = (v * cos_pitch + z * sin_pitch, z * cos_pitch - v * sin_pitch);
            (u * cos_yaw - towards * sin_yaw, y, towards * cos_yaw + u * sin_yaw - PIVOT)
        };
        let above = |z: f32| {
            let (x, y, depth) = turned_back(z);
            self.surface(x, y).map(|surface| (depth - surface, (x, y)))
        };
        const STEP: f32 = 0.05;
        let (front, steps) = (PIVOT + 0.7, 50_u8);
        let mut before: Option<f32> = None;
        for step in 0..steps {
            let z = front - STEP * f32::from(step);
            let Some((height, _)) = above(z) else {
                before = None;
                continue;
            };
            if height <= 0.0 {
                // Coming in from the side of the head is no view of its face.
                let over = before?;
                let part = over / (over - height);
                return above(z + STEP * (1.0 - part)).map(|(_, place)| place);
            }
            before = Some(height);
        }
        None
    }

    pub(crate) fn render(&self, view: View) -> RgbImage {
        let unit = UNIT_PX * view.size as f32 / 100.0;
        let middle = SIDE as f32 / 2.0;
        RgbImage::from_fn(SIDE, SIDE, |column, row| {
            let (u, v) = ((column as f32 - middle) / unit, (row as f32 - middle) / unit);
            let (x, y) = self.met(u, v, view).unwrap_or((u, v));
            self.sample(Point::new(
                self.centre.x + x * self.right.0 - y * self.right.1,
                self.centre.y + x * self.right.1 + y * self.right.0,
            ))
        })
    }

    fn sample(&self, at: Point) -> Rgb<u8> {
        let (width, height) = self.photo.dimensions();
        let (x, y) = (at.x.clamp(0.0, width as f32 - 1.001), at.y.clamp(0.0, height as f32 - 1.001));
        let (left, top) = (x as u32, y as u32);
        let pixel =
            |dx: u32, dy: u32| self.photo.get_pixel((left + dx).min(width - 1), (top + dy).min(height - 1)).0;
        let [a, b, c, d] = [pixel(0, 0), pixel(1, 0), pixel(0, 1), pixel(1, 1)];
        Rgb(std::array::from_fn(|i| {
            let mix =
                |from: u8, to: u8, part: f32| f32::from(from) + (f32::from(to) - f32::from(from)) * part;
            let (upper, lower) = (mix(a[i], b[i], x.fract()), mix(c[i], d[i], x.fract()));
            (upper + (lower - upper) * y.fract()).round() as u8
        }))
    }
}
