//! Where the clip takes place: a drawn corridor with a door at its end, and a sensor's noise.

use image::RgbImage;

/// The eye's height as a part of the picture's height; also the height of the walker's face.
pub(super) const HORIZON: f32 = 300.0 / 720.0;

/// The corridor's end wall: half its width, its height above and below the horizon, for a picture 1280 wide.
const END_HALF_WIDTH: f32 = 200.0;
const END_ABOVE: f32 = 150.0;
const END_BELOW: f32 = 266.0;

type Shade = [f32; 3];
const WALL: Shade = [150.0, 147.0, 138.0];
const FLOOR: Shade = [104.0, 94.0, 84.0];
const CEILING: Shade = [176.0, 175.0, 170.0];
const DOOR: Shade = [52.0, 46.0, 44.0];

/// Draws the empty corridor.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
pub(super) fn corridor(width: u32, height: u32) -> RgbImage {
    let scale = width as f32 / 1280.0;
    let horizon = HORIZON * height as f32;
    RgbImage::from_fn(width, height, |x, y| {
        let dx = (x as f32 + 0.5 - width as f32 / 2.0) / scale;
        let dy = (y as f32 + 0.5 - horizon) / scale;
        image::Rgb(shade(dx, dy).map(|v| v.round().clamp(0.0, 255.0) as u8))
    })
}

/// The colour at a place relative to the vanishing point.
fn shade(dx: f32, dy: f32) -> Shade {
    let side = dx.abs() / END_HALF_WIDTH;
    let vertical = if dy > 0.0 { dy / END_BELOW } else { -dy / END_ABOVE };
    // 1 at the end wall, larger towards the camera: the inverse of the distance.
    let nearness = side.max(vertical).max(1.0);
    let lit = 0.52 + 0.48 * (1.0 - 1.0 / nearness);
    let surface = if side.max(vertical) <= 1.0 {
        end_wall(dx, dy)
    } else if vertical > side && dy > 0.0 {
        floor(dx, nearness)
    } else if vertical > side {
        ceiling(dx, nearness)
    } else {
        side_wall(dy / END_BELOW / nearness, nearness)
    };
    surface.map(|v| v * lit)
}

fn end_wall(dx: f32, dy: f32) -> Shade {
    let is_frame = dx.abs() < 74.0 && dy > -66.0;
    match (dx.abs() < 66.0 && dy > -58.0, is_frame) {
        (true, _) => DOOR,
        (false, true) => WALL.map(|v| v * 0.78),
        _ => WALL.map(|v| v * (1.04 - 0.0006 * dx.abs())),
    }
}

/// Tiles, at equal distances on the floor.
fn floor(dx: f32, nearness: f32) -> Shade {
    let (across, along) = (dx / END_HALF_WIDTH / nearness * 3.0, 9.0 / nearness);
    let joint = |at: f32, half: f32| (at - at.round()).abs() < half;
    // Joints get wider on screen as the floor comes near.
    if joint(across, 0.02) || joint(along, 0.012 * 9.0 / nearness / 3.0) {
        return FLOOR.map(|v| v * 0.86);
    }
    FLOOR
}

/// Two rows of lamps.
fn ceiling(dx: f32, nearness: f32) -> Shade {
    let (across, along) = ((dx / END_HALF_WIDTH / nearness).abs(), 3.5 / nearness);
    let is_lamp = (across - 0.4).abs() < 0.12 && (along - along.floor() - 0.5).abs() < 0.16;
    if is_lamp { [250.0, 247.0, 236.0] } else { CEILING }
}

/// Plaster with a darker skirting; `up` is 1 at the floor.
fn side_wall(up: f32, nearness: f32) -> Shade {
    if up > 0.93 {
        return WALL.map(|v| v * 0.6);
    }
    let pillar = (2.4 / nearness - (2.4 / nearness).floor() - 0.5).abs() < 0.03;
    let soft = 1.0 - 0.10 * up.max(0.0);
    WALL.map(|v| v * soft * if pillar { 0.86 } else { 0.97 })
}

/// A sensor's noise: about two grey levels, from a table that is entered at another place for every frame.
pub(super) struct Noise {
    table: Vec<i8>,
    state: u64,
}

/// Prime, so that rows of pictures do not fall on rows of the table.
const TABLE: usize = 1_000_003;

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        let mut noise = Self { table: Vec::new(), state: seed };
        // The sum of four even distributions is near enough to a bell.
        #[expect(clippy::cast_possible_truncation, reason = "the sum of four values from -2 to 1")]
        let one = |bits: u64| (0..4).map(|i| i64::from((bits >> (8 * i)) as u8 % 4) - 2).sum::<i64>() as i8;
        noise.table = (0..TABLE).map(|_| one(noise.next())).collect();
        noise
    }

    /// `SplitMix64`, the generator of Steele, Lea and Flood (2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn add(&mut self, frame: &mut RgbImage) {
        let start = usize::try_from(self.next() % TABLE as u64).unwrap_or(0);
        let samples = frame.as_flat_samples_mut().samples;
        let (first, rest) = samples.split_at_mut(samples.len().min(TABLE - start));
        add(first, &self.table[start..]);
        rest.chunks_mut(TABLE).for_each(|chunk| add(chunk, &self.table));
    }
}

fn add(samples: &mut [u8], noise: &[i8]) {
    for (sample, by) in samples.iter_mut().zip(noise) {
        *sample = sample.saturating_add_signed(*by);
    }
}
