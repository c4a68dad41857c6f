//! Boxes, points and words on pictures.

use font8x8::UnicodeFonts;
use image::{Rgb, RgbImage};

use crate::domain::{Point, Rect};

/// A colour, red first.
pub type Ink = [u8; 3];

/// For people who are verified.
pub const GREEN: Ink = [40, 200, 80];
/// For people who are not.
pub const RED: Ink = [230, 60, 50];
/// For faces that are not decided.
pub const AMBER: Ink = [250, 180, 40];
/// For words.
pub const WHITE: Ink = [255, 255, 255];
/// Behind words.
pub const BLACK: Ink = [16, 18, 22];

/// Side of a character's cell at scale 1, pixels.
pub const GLYPH_SIDE: u32 = 8;

/// Draws the outline of `area`, `thickness` pixels wide, inwards. What lies outside the picture is left out.
pub fn outline(picture: &mut RgbImage, area: Rect, ink: Ink, thickness: u32) {
    let [x1, y1, x2, y2] = [area.x1, area.y1, area.x2, area.y2].map(pixel);
    let thickness = i64::from(thickness);
    fill(picture, (x1, y1), (x2, y1 + thickness), ink);
    fill(picture, (x1, y2 - thickness), (x2, y2), ink);
    fill(picture, (x1, y1), (x1 + thickness, y2), ink);
    fill(picture, (x2 - thickness, y1), (x2, y2), ink);
}

/// Fills from one corner (included) to the other (not included). What lies outside the picture is left out.
pub fn fill(picture: &mut RgbImage, from: (i64, i64), to: (i64, i64), ink: Ink) {
    let (width, height) = (i64::from(picture.width()), i64::from(picture.height()));
    for y in from.1.clamp(0, height)..to.1.clamp(0, height) {
        for x in from.0.clamp(0, width)..to.0.clamp(0, width) {
            put(picture, x, y, ink);
        }
    }
}

/// Draws a filled disc.
pub fn dot(picture: &mut RgbImage, centre: Point, radius: u32, ink: Ink) {
    let (cx, cy, r) = (pixel(centre.x), pixel(centre.y), i64::from(radius));
    for y in -r..=r {
        for x in -r..=r {
            if x * x + y * y <= r * r {
                put(picture, cx + x, cy + y, ink);
            }
        }
    }
}

/// Writes one line of text with its top left corner at (`x`, `y`), on a box of `ground`. Characters are `8 * scale`
/// pixels square; those that the font lacks become a question mark.
pub fn text(picture: &mut RgbImage, x: i64, y: i64, scale: u32, words: &str, ink: Ink, ground: Ink) {
    let scale = i64::from(scale);
    let side = i64::from(GLYPH_SIDE) * scale;
    let count = i64::try_from(words.chars().count()).unwrap_or(0);
    fill(
        picture,
        (x - scale * 2, y - scale * 2),
        (x + count * side + scale * 2, y + side + scale * 2),
        ground,
    );
    for (index, character) in (0_i64..).zip(words.chars()) {
        for (row, bits) in (0_i64..).zip(glyph(character)) {
            for column in (0_i64..8).filter(|column| bits >> column & 1 == 1) {
                let (left, top) = (x + index * side + column * scale, y + row * scale);
                fill(picture, (left, top), (left + scale, top + scale), ink);
            }
        }
    }
}

/// Width of a line of text, pixels.
#[must_use]
pub fn text_width(words: &str, scale: u32) -> u32 {
    u32::try_from(words.chars().count()).unwrap_or(u32::MAX / 64).saturating_mul(GLYPH_SIDE * scale)
}

fn glyph(character: char) -> [u8; 8] {
    font8x8::BASIC_FONTS
        .get(character)
        .or_else(|| font8x8::LATIN_FONTS.get(character))
        .or_else(|| font8x8::GREEK_FONTS.get(character))
        .or_else(|| font8x8::BASIC_FONTS.get('?'))
        .unwrap_or_default()
}

fn put(picture: &mut RgbImage, x: i64, y: i64, ink: Ink) {
    if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
        && x < picture.width()
        && y < picture.height()
    {
        picture.put_pixel(x, y, Rgb(ink));
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` cuts at the ends of i64 and makes NaN 0; both lie outside"
)]
fn pixel(v: f32) -> i64 {
    v.round().clamp(-1e6, 1e6) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawing_outside_is_harmless_and_inside_is_seen() {
        let mut picture = RgbImage::new(20, 20);
        outline(&mut picture, Rect::new(-50.0, -50.0, 500.0, f32::NAN), RED, 3);
        dot(&mut picture, Point::new(f32::INFINITY, 0.0), 4, RED);
        text(&mut picture, -30, 15, 2, "Zoë ☃", WHITE, BLACK);
        outline(&mut picture, Rect::new(2.0, 2.0, 10.0, 10.0), GREEN, 1);
        assert_eq!(picture.get_pixel(2, 5).0, GREEN);
        assert_eq!(picture.get_pixel(9, 9).0, GREEN);
        assert_ne!(picture.get_pixel(5, 5).0, GREEN);
    }
}
