//! Somebody cut out of a photo: head and shoulders from the picture, the rest of the body drawn.
//!
//! "Person space" has its origin in the middle between the eyes' line and the chin (the face box's centre), its unit
//! is the width of the face, and the eyes are level in it.

use image::RgbImage;

use super::smooth;
use crate::domain::{Point, Rect};

/// Pixels a unit in the finest level: no walk brings a face nearer than this many pixels wide by much.
const FINEST: f32 = 220.0;
/// What of person space is kept: to either side, above and below the origin.
const HALF_WIDTH: f32 = 1.9;
const ABOVE: f32 = 1.6;
const BELOW: f32 = 10.6;
/// Each level has half the side of the one before; at the last a face is 14 pixels wide.
const LEVELS: usize = 5;

/// Where and how somebody is drawn, in pixels of the frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// The face's middle.
    pub x: f32,
    /// The face's middle.
    pub y: f32,
    /// The face's width.
    pub face_width: f32,
    /// The head's tilt to the right, radians.
    pub roll: f32,
    /// 1 in full light, 0 in the dark.
    pub light: f32,
    /// 1 there, 0 not yet.
    pub opacity: f32,
    /// 0 in focus; 1 about two pixels of blur.
    pub defocus: f32,
}

/// A picture of a person with soft edges, in several sizes.
#[derive(Debug)]
pub struct Cutout {
    /// The finest first.
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    width: usize,
    height: usize,
    /// Red, green, blue times opacity, and opacity; 0..=255.
    pixels: Vec<[f32; 4]>,
}

impl Cutout {
    /// Cuts the person with this face (box and eyes, the left one on the picture first) out of a photo. `None` if
    /// the box is no box.
    #[must_use]
    pub fn new(photo: &RgbImage, face: Rect, eyes: [Point; 2]) -> Option<Self> {
        if !face.is_sound() || face.width() < 8.0 {
            return None;
        }
        // The photo's tilt is taken back by half: people do hold their heads a little aslant.
        let tilt = 0.5 * (eyes[1].y - eyes[0].y).atan2(eyes[1].x - eyes[0].x);
        let view = View { photo, centre: face.centre(), unit: face.width(), tilt };
        let finest = FINEST.min(view.unit.max(110.0));
        let clothes = view.clothes();
        let mut levels = vec![Level::draw(finest, |u, v| view.pixel(u, v, clothes))];
        while levels.len() < LEVELS {
            let next = levels.last().map(Level::halved)?;
            levels.push(next);
        }
        Some(Self { levels })
    }

    /// Draws the person into a frame, smeared by `moved` pixels to the side.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the area is clamped to the frame; colours are clamped to a byte"
    )]
    pub fn draw(&self, frame: &mut RgbImage, pose: Pose, moved: f32) {
        let (width, height) = (frame.width() as f32, frame.height() as f32);
        let reach = HALF_WIDTH + 0.8;
        let left = (pose.x - reach * pose.face_width).clamp(0.0, width) as u32;
        let right = (pose.x + reach * pose.face_width).clamp(0.0, width) as u32;
        let top = (pose.y - (ABOVE + 0.3) * pose.face_width).clamp(0.0, height) as u32;
        let bottom = (pose.y + BELOW * pose.face_width).clamp(0.0, height) as u32;
        let sampler = self.sampler(pose);
        let taps = if moved.abs() < 1.0 { 1 } else { 3 };
        let (sin, cos) = (-pose.roll).sin_cos();
        for y in top..bottom {
            for x in left..right {
                let mut sum = [0.0_f32; 4];
                for tap in 0..taps {
                    let shift = if taps == 1 { 0.0 } else { moved * (tap as f32 / 2.0 - 0.5) };
                    let (dx, dy) = (x as f32 - pose.x - shift, y as f32 - pose.y);
                    // The body stays upright: the roll fades out below the neck.
                    let lean = 1.0 - smooth(0.6, 3.0, dy / pose.face_width);
                    let (u, v) =
                        (dx + lean * (cos * dx - sin * dy - dx), dy + lean * (sin * dx + cos * dy - dy));
                    let one = sampler.at(u / pose.face_width, v / pose.face_width);
                    (0..4).for_each(|c| sum[c] += one[c]);
                }
                let part = pose.opacity / taps as f32;
                if sum[3] <= 0.0 {
                    continue;
                }
                let behind = 1.0 - part * sum[3] / 255.0;
                let pixel = frame.get_pixel_mut(x, y);
                for c in 0..3 {
                    // Dim light is a little warmer.
                    let light = pose.light.powf([0.92, 1.0, 1.1][c]);
                    let value = f32::from(pixel.0[c]) * behind + sum[c] * part * light;
                    pixel.0[c] = value.round().clamp(0.0, 255.0) as u8;
                }
            }
        }
    }

    /// The two levels between which the wanted size and blur lie.
    fn sampler(&self, pose: Pose) -> Sampler<'_> {
        let finest = self.levels[0].width as f32 / (2.0 * HALF_WIDTH);
        let depth = (finest / pose.face_width).log2().max(0.0) + pose.defocus;
        let depth = depth.clamp(0.0, (LEVELS - 1) as f32 - 0.001);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small level number")]
        let first = depth as usize;
        Sampler { fine: &self.levels[first], coarse: &self.levels[first + 1], mix: depth - first as f32 }
    }
}

struct Sampler<'a> {
    fine: &'a Level,
    coarse: &'a Level,
    mix: f32,
}

impl Sampler<'_> {
    fn at(&self, u: f32, v: f32) -> [f32; 4] {
        if u.abs() >= HALF_WIDTH || v <= -ABOVE || v >= BELOW {
            return [0.0; 4];
        }
        let fine = self.fine.at(u, v);
        if self.mix < 0.05 {
            return fine;
        }
        let coarse = self.coarse.at(u, v);
        std::array::from_fn(|c| fine[c] + (coarse[c] - fine[c]) * self.mix)
    }
}

impl Level {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a picture of some hundred pixels"
    )]
    fn draw(unit: f32, pixel: impl Fn(f32, f32) -> [f32; 4]) -> Self {
        // Whole multiples, so that every level is half the one before.
        let multiple = 1 << (LEVELS - 1);
        let side = |length: f32| ((length * unit) as usize).next_multiple_of(multiple);
        let (width, height) = (side(2.0 * HALF_WIDTH), side(ABOVE + BELOW));
        let place = |x: usize, y: usize| {
            let u = ((x as f32 + 0.5) / width as f32 - 0.5) * 2.0 * HALF_WIDTH;
            (u, (y as f32 + 0.5) / height as f32 * (ABOVE + BELOW) - ABOVE)
        };
        let all = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let pixels = all.map(|(x, y)| place(x, y)).map(|(u, v)| pixel(u, v)).collect();
        Self { width, height, pixels }
    }

    fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let all = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let mean = |(x, y): (usize, usize)| {
            let at = 2 * y * self.width + 2 * x;
            let four = [at, at + 1, at + self.width, at + self.width + 1].map(|at| self.pixels[at]);
            std::array::from_fn(|c| four.iter().map(|p| p[c]).sum::<f32>() / 4.0)
        };
        Self { width, height, pixels: all.map(mean).collect() }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the level's sides"
    )]
    fn at(&self, u: f32, v: f32) -> [f32; 4] {
        let x =
            ((u / (2.0 * HALF_WIDTH) + 0.5) * self.width as f32 - 0.5).clamp(0.0, self.width as f32 - 1.001);
        let y =
            ((v + ABOVE) / (ABOVE + BELOW) * self.height as f32 - 0.5).clamp(0.0, self.height as f32 - 1.001);
        let (column, row) = (x as usize, y as usize);
        let (fx, fy) = (x - column as f32, y - row as f32);
        let at = row * self.width + column;
        let [a, b] = [self.pixels[at], self.pixels[at + 1]];
        let [c, d] = [self.pixels[at + self.width], self.pixels[at + self.width + 1]];
        std::array::from_fn(|i| {
            let upper = a[i] + (b[i] - a[i]) * fx;
            let lower = c[i] + (d[i] - c[i]) * fx;
            upper + (lower - upper) * fy
        })
    }
}

/// A photo seen from person space.
struct View<'a> {
    photo: &'a RgbImage,
    centre: Point,
    unit: f32,
    tilt: f32,
}

impl View<'_> {
    /// Where a place in person space is on the photo.
    fn on_photo(&self, u: f32, v: f32) -> Point {
        let (sin, cos) = self.tilt.sin_cos();
        Point::new(
            self.centre.x + self.unit * (cos * u - sin * v),
            self.centre.y + self.unit * (sin * u + cos * v),
        )
    }

    /// How far inside the photo a place is: 0 at its edge and beyond, 1 from a fifth of a face on.
    fn inside(&self, at: Point) -> f32 {
        let (width, height) = (self.photo.width() as f32, self.photo.height() as f32);
        let edge = at.x.min(width - 1.0 - at.x).min(at.y).min(height - 1.0 - at.y);
        smooth(0.0, 0.2 * self.unit, edge)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the photo")]
    fn sample(&self, at: Point) -> [f32; 3] {
        let (width, height) = self.photo.dimensions();
        let x = at.x.clamp(0.0, width as f32 - 1.001);
        let y = at.y.clamp(0.0, height as f32 - 1.001);
        let (left, top, fx, fy) = (x as u32, y as u32, x.fract(), y.fract());
        let get = |dx: u32, dy: u32| {
            let pixel = self.photo.get_pixel((left + dx).min(width - 1), (top + dy).min(height - 1));
            pixel.0.map(f32::from)
        };
        let [a, b, c, d] = [get(0, 0), get(1, 0), get(0, 1), get(1, 1)];
        std::array::from_fn(|i| {
            let upper = a[i] + (b[i] - a[i]) * fx;
            upper + (c[i] + (d[i] - c[i]) * fx - upper) * fy
        })
    }

    /// The mean colour of what is worn at the shoulders, as far as the photo shows them.
    fn clothes(&self) -> [f32; 3] {
        let (mut sum, mut count) = ([0.0; 3], 0.0);
        for (side, v) in
            [-0.9_f32, -0.75, -0.6, 0.6, 0.75, 0.9].into_iter().flat_map(|u| [1.5_f32, 1.65].map(|v| (u, v)))
        {
            let at = self.on_photo(side, v);
            if self.inside(at) > 0.2 {
                let colour = self.sample(at);
                (0..3).for_each(|c| sum[c] += colour[c]);
                count += 1.0;
            }
        }
        if count > 0.0 { sum.map(|v| v / count) } else { [52.0, 54.0, 62.0] }
    }

    /// The person at a place: the photo where it shows head and shoulders, a drawn body elsewhere. Colours times
    /// opacity, and opacity.
    fn pixel(&self, u: f32, v: f32, clothes: [f32; 3]) -> [f32; 4] {
        let at = self.on_photo(u, v);
        let photo = bust(u, v) * self.inside(at);
        let body = body(u, v);
        let opacity = photo + body * (1.0 - photo);
        if opacity <= 0.0 {
            return [0.0; 4];
        }
        let seen = self.sample(at);
        // Round: darker towards the sides. Trousers darker than the coat.
        let round = (1.0 - 0.35 * (u / 1.3).powi(2)).max(0.4) * if v > 5.2 { 0.7 } else { 0.95 };
        let mix = |c: usize| seen[c] * photo + clothes[c] * round * body * (1.0 - photo);
        [mix(0), mix(1), mix(2), 255.0 * opacity]
    }
}

/// How much of the photo is taken: an ellipse around the head, and shoulders that widen below it.
fn bust(u: f32, v: f32) -> f32 {
    let head = 1.0 - smooth(0.82, 1.06, (u / 0.84).hypot((v + 0.12) / 1.12));
    let half = 0.5 + 0.85 * smooth(0.75, 1.55, v);
    let shoulders = (1.0 - smooth(half - 0.16, half + 0.04, u.abs()))
        * smooth(0.45, 0.75, v)
        * (1.0 - smooth(1.55, 2.1, v));
    head.max(shoulders)
}

/// The drawn body: shoulders, a coat, legs.
fn body(u: f32, v: f32) -> f32 {
    let shoulders = 1.32 * smooth(0.8, 1.5, v).sqrt();
    let half = if v < 5.2 { shoulders - 0.05 * (v - 1.5).max(0.0) } else { 1.0 - 0.05 * (v - 5.2) };
    let gap = if v > 5.6 { smooth(0.03, 0.12, u.abs() - 0.03 * (v - 5.6)) } else { 1.0 };
    let below_neck = smooth(0.85, 1.15, v);
    let above_floor = 1.0 - smooth(10.2, 10.5, v);
    (1.0 - smooth(half - 0.1, half + 0.02, u.abs())) * below_neck * above_floor * gap
}
