//! What is kept of a picture where photos are kept: the face and a little around it, and nobody else who may be on it.

use std::io::Cursor;

use image::{ImageFormat, RgbImage};

use crate::domain::Detection;

/// So much is kept around the box of the face on each side, in parts of its longer side: enough for every model's crop.
const MARGIN: f32 = 0.6;

/// The face and its surroundings as a PNG file, which loses nothing; `None` if that cannot be made.
#[must_use]
pub(super) fn cut_out(picture: &RgbImage, detection: &Detection) -> Option<Vec<u8>> {
    let area = detection.box_in_frame;
    let margin = area.width().max(area.height()) * MARGIN;
    let within = |value: f32, most: u32| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "clamped to the picture just here"
        )]
        {
            value.clamp(0.0, most as f32) as u32
        }
    };
    let (left, top) = (within(area.x1 - margin, picture.width()), within(area.y1 - margin, picture.height()));
    let right = within((area.x2 + margin).ceil(), picture.width());
    let bottom = within((area.y2 + margin).ceil(), picture.height());
    let (width, height) = (right.checked_sub(left)?, bottom.checked_sub(top)?);
    if width == 0 || height == 0 {
        return None;
    }
    let part = image::imageops::crop_imm(picture, left, top, width, height).to_image();
    let mut file = Cursor::new(Vec::new());
    part.write_to(&mut file, ImageFormat::Png).ok()?;
    Some(file.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Point, Rect};
    use crate::vision::photo;

    fn cut(area: Rect) -> Option<(u32, u32)> {
        let picture = RgbImage::from_pixel(300, 200, image::Rgb([9, 9, 9]));
        let detection =
            Detection { box_in_frame: area, landmarks_in_frame: [Point::default(); 5], score: 1.0 };
        cut_out(&picture, &detection).map(|file| photo::decode(&file).unwrap().dimensions())
    }

    #[test]
    fn it_is_the_face_with_a_margin_within_the_picture() {
        assert_eq!(cut(Rect::new(100.0, 60.0, 140.0, 110.0)), Some((100, 111)));
        assert_eq!(cut(Rect::new(-20.0, -20.0, 30.0, 30.0)), Some((60, 60)));
        assert_eq!(cut(Rect::new(280.0, 180.0, 320.0, 220.0)), Some((44, 44)));
        assert_eq!(cut(Rect::new(400.0, 400.0, 420.0, 420.0)), None);
    }
}
