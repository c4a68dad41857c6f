//! One frame in brief: a small grid of brightness, cheap enough to be made of every frame that is decoded.

use std::hash::{DefaultHasher, Hasher};

use image::RgbImage;

use crate::domain::{Payload, Rect};

/// Cells across.
pub(super) const COLUMNS: usize = 32;
/// Cells down.
pub(super) const ROWS: usize = 18;
/// All cells, row by row.
pub(super) const CELLS: usize = COLUMNS * ROWS;

/// Pixels that are looked at in each cell, across and down: 128 x 72 of a frame, whatever its size.
const SAMPLES: usize = 4;
const SAMPLES_PER_CELL: usize = SAMPLES * SAMPLES;

/// From this luma on a pixel is as good as white. Below 255, since JPEG and colour conversion move it a little.
const WHITE: u8 = 250;
/// Up to this luma, or from `255 - BLACK` on, a sensor's noise is cut off and does not show.
const BLACK: u8 = 2;

/// A value for each cell of the grid.
pub(super) type Cells = [f32; CELLS];

/// One frame in brief.
#[derive(Debug, Clone, PartialEq)]
pub struct Glance {
    /// Mean luma, 0..=255.
    pub(super) cells: Cells,
    /// Of the pixels looked at, those that are white, for each cell.
    white: [u8; CELLS],
    /// Share of pixels whose noise is cut off, 0..=1.
    pub(super) clipped: f32,
    /// Of all pixels looked at: the same for the same picture.
    pub(super) digest: u64,
    /// Pixels across and down of the frame.
    size: (u32, u32),
}

impl Glance {
    /// Looks at 128 x 72 pixels of `picture`, evenly spread; some of them more than once if it is smaller.
    #[must_use]
    pub fn of(picture: &RgbImage) -> Self {
        let (width, height) = picture.dimensions();
        let place = |n: usize, of: usize, pixels: u32| (2 * n + 1) * pixels as usize / (2 * of);
        let columns: Vec<usize> =
            (0..COLUMNS * SAMPLES).map(|n| 3 * place(n, COLUMNS * SAMPLES, width)).collect();
        let raw = picture.as_raw();
        let (mut sums, mut white, mut clipped) = ([0_u32; CELLS], [0_u8; CELLS], 0_u16);
        let mut hasher = DefaultHasher::new();
        let mut row = [0_u8; COLUMNS * SAMPLES];
        for n in 0..ROWS * SAMPLES {
            let start = place(n, ROWS * SAMPLES, height) * width as usize * 3;
            for (x, (sample, column)) in row.iter_mut().zip(&columns).enumerate() {
                // A picture without pixels has nothing to see.
                let pixel = raw.get(start + column..start + column + 3).unwrap_or(&[0, 0, 0]);
                *sample = luma(pixel);
                let cell = n / SAMPLES * COLUMNS + x / SAMPLES;
                sums[cell] += u32::from(*sample);
                white[cell] += u8::from(*sample >= WHITE);
                clipped += u16::from(*sample <= BLACK || *sample >= 255 - BLACK);
            }
            hasher.write(&row);
        }
        Self {
            cells: sums.map(|sum| sum as f32 / SAMPLES_PER_CELL as f32),
            white,
            clipped: f32::from(clipped) / (CELLS * SAMPLES_PER_CELL) as f32,
            digest: hasher.finish(),
            size: (width, height),
        }
    }

    /// Which cells lie under one of these faces (pixels of the frame) or beside it by its own width: there, or below,
    /// is the person.
    pub(super) fn people(&self, faces: &[Rect]) -> [bool; CELLS] {
        let (cell_width, cell_height) =
            (self.size.0 as f32 / COLUMNS as f32, self.size.1 as f32 / ROWS as f32);
        std::array::from_fn(|cell| {
            let x = ((cell % COLUMNS) as f32 + 0.5) * cell_width;
            let y = ((cell / COLUMNS) as f32 + 0.5) * cell_height;
            faces.iter().any(|face| {
                let beside = (face.x1 - face.width()..face.x2 + face.width()).contains(&x);
                beside && y > face.y1 - face.height() / 2.0
            })
        })
    }

    /// Share of white pixels in the cells that are not left out, 0..=1; 0 if all are.
    pub(super) fn white_share(&self, left_out: &[bool; CELLS]) -> f32 {
        let counted = self.white.iter().zip(left_out).filter(|(_, out)| !**out);
        let (white, cells) = counted.fold((0.0, 0.0_f32), |(white, cells), (n, _)| {
            (white + f32::from(*n) / SAMPLES_PER_CELL as f32, cells + 1.0)
        });
        white / cells.max(1.0)
    }
}

/// BT.601 luma in whole numbers: the three weights are 256 together.
fn luma(pixel: &[u8]) -> u8 {
    let weighted = |at: usize, weight: u16| u16::from(pixel[at]) * weight;
    ((weighted(0, 77) + weighted(1, 150) + weighted(2, 29)) >> 8).to_le_bytes()[0]
}

/// A digest of a picture file as the camera gave it, all bytes; `None` for raw pixels, of which the glance says as much.
#[must_use]
pub fn payload_digest(payload: &Payload) -> Option<u64> {
    let (Payload::Jpeg(bytes) | Payload::Still(bytes)) = payload else { return None };
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glance_shows_where_light_is_in_pictures_of_any_size() {
        for (width, height) in [(1280, 720), (640, 480), (64, 32), (7, 3), (1, 1)] {
            let left_is_white = |x: u32, _| image::Rgb([if x * 2 < width { 255 } else { 0 }; 3]);
            let glance = Glance::of(&RgbImage::from_fn(width, height, left_is_white));
            assert_eq!(glance.cells[0], 255.0, "{width}x{height}");
            let half = glance.white_share(&[false; CELLS]);
            assert!(width == 1 || (half - 0.5).abs() < 0.1, "{width}x{height}: {half}");
            assert_eq!(glance.clipped, 1.0);
        }
        assert_eq!(Glance::of(&RgbImage::new(0, 0)).cells, [0.0; CELLS]);
    }

    #[test]
    fn the_person_below_a_face_is_left_out() {
        let glance = Glance::of(&RgbImage::new(1280, 720));
        let left_out = glance.people(&[Rect::new(600.0, 200.0, 680.0, 300.0)]);
        let at = |x: usize, y: usize| left_out[y / 40 * COLUMNS + x / 40];
        assert!(at(640, 250) && at(540, 250) && at(640, 710));
        assert!(!at(640, 60) && !at(300, 250) && !at(900, 700));
        assert_eq!(glance.white_share(&[true; CELLS]), 0.0);
    }

    #[test]
    fn one_pixel_that_is_looked_at_makes_another_digest() {
        let mut picture = RgbImage::from_pixel(128, 72, image::Rgb([90, 90, 90]));
        let before = Glance::of(&picture).digest;
        assert_eq!(Glance::of(&picture).digest, before);
        picture.put_pixel(70, 30, image::Rgb([92, 92, 92]));
        assert_ne!(Glance::of(&picture).digest, before);
        let jpeg = |byte| payload_digest(&Payload::Jpeg(vec![1, 2, byte]));
        assert!(jpeg(3) == jpeg(3) && jpeg(3) != jpeg(4));
        assert_eq!(payload_digest(&Payload::Rgb(picture)), None);
    }
}
