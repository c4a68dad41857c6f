//! Photos from files' bytes: any common format, turned upright as EXIF says, and never larger than allowed.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::jpeg;

/// The largest side of a photo, pixels.
pub const MAX_SIDE_PX: u32 = 16_384;

/// The most pixels of a photo: 100 megapixels, 300 MB once decoded.
pub const MAX_PIXELS: u64 = 100_000_000;

/// Why bytes are not a photo.
#[derive(Debug, thiserror::Error)]
pub enum PhotoError {
    /// No bytes.
    #[error("the file is empty")]
    Empty,
    /// Not an image, or of a kind that is not read.
    #[error("this is not a JPEG, PNG, WebP, BMP, GIF, TIFF or PNM picture")]
    NotAPicture,
    /// An image that ends too early or is damaged.
    #[error("the picture is damaged or cut short: {0}")]
    Damaged(String),
    /// More pixels than allowed. Nothing was decoded.
    #[error("the picture is {width}x{height}: more than {MAX_SIDE_PX} pixels a side or {} megapixels", max_pixels / 1_000_000)]
    TooLarge {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// So many pixels are allowed.
        max_pixels: u64,
    },
    /// Zero pixels.
    #[error("the picture is {width}x{height}: there is nothing in it")]
    NoPixels {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
}

/// Decodes a photo. Grey, 16-bit, CMYK and palette pictures become RGB; transparency is laid over white.
///
/// # Errors
/// See [`PhotoError`]. Sizes are checked before pixels are decoded.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, PhotoError> {
    decode_up_to(bytes, MAX_PIXELS)
}

/// As [`decode`], for pictures of at most `max_pixels`, which is no more than [`MAX_PIXELS`].
///
/// # Errors
/// See [`PhotoError`].
pub fn decode_up_to(bytes: &[u8], max_pixels: u64) -> Result<RgbImage, PhotoError> {
    let max_pixels = max_pixels.min(MAX_PIXELS);
    if bytes.is_empty() {
        return Err(PhotoError::Empty);
    }
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|_| PhotoError::NotAPicture)?;
    if reader.format().is_none() {
        return Err(PhotoError::NotAPicture);
    }
    // The decoder fills what is missing with grey, so half a face would be judged as if it were one.
    if reader.format() == Some(ImageFormat::Jpeg) {
        jpeg::inspect(bytes).map_err(|error| PhotoError::Damaged(error.to_string()))?;
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(max_pixels * 8);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(PhotoError::NoPixels { width, height });
    }
    if width > MAX_SIDE_PX || height > MAX_SIDE_PX || u64::from(width) * u64::from(height) > max_pixels {
        return Err(PhotoError::TooLarge { width, height, max_pixels });
    }
    // A damaged EXIF block does not make the picture unusable; it only says nothing about orientation.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    picture.apply_orientation(orientation);
    Ok(if picture.color().has_alpha() { over_white(&picture) } else { picture.into_rgb8() })
}

fn damaged(error: ImageError) -> PhotoError {
    match error {
        ImageError::Unsupported(_) => PhotoError::NotAPicture,
        // Some decoders' texts have several lines.
        other => PhotoError::Damaged(other.to_string().split_whitespace().collect::<Vec<_>>().join(" ")),
    }
}

/// Transparent parts of a picture hold whatever the editor left there: show them as a viewer would.
fn over_white(picture: &DynamicImage) -> RgbImage {
    let picture = picture.to_rgba8();
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, alpha] = picture.get_pixel(x, y).0;
        let alpha = u16::from(alpha);
        #[expect(clippy::cast_possible_truncation, reason = "a weighted mean of two bytes is a byte")]
        let blend = |v: u8| ((u16::from(v) * alpha + 255 * (255 - alpha)) / 255) as u8;
        image::Rgb([blend(r), blend(g), blend(b)])
    })
}

#[cfg(test)]
mod tests {
    use image::{ImageBuffer, ImageFormat, Luma, Rgb, Rgba};
    use proptest::prelude::*;

    use super::*;

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most 234 and 232")]
    fn photo() -> DynamicImage {
        RgbImage::from_fn(40, 30, |x, y| Rgb([(x * 6) as u8, (y * 8) as u8, 90])).into()
    }

    #[test]
    fn every_format_comes_back_as_rgb() {
        for format in
            [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP, ImageFormat::Pnm]
        {
            assert_eq!(decode(&encoded(&photo(), format)).unwrap(), photo().into_rgb8(), "{format:?}");
        }
        assert_eq!(decode(&encoded(&photo(), ImageFormat::Jpeg)).unwrap().dimensions(), (40, 30));
    }

    #[test]
    fn deep_grey_and_transparent_pictures() {
        let deep: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(3, 2, Luma([0x80FF]));
        assert_eq!(decode(&encoded(&deep.into(), ImageFormat::Png)).unwrap().get_pixel(0, 0).0, [0x80; 3]);
        let clear: ImageBuffer<Rgba<u8>, Vec<u8>> = ImageBuffer::from_pixel(3, 2, Rgba([9, 9, 9, 0]));
        assert_eq!(decode(&encoded(&clear.into(), ImageFormat::Png)).unwrap().get_pixel(0, 0).0, [255; 3]);
    }

    /// A JPEG of 40 x 30 with an EXIF block that says "turn a quarter to the right".
    fn turned_jpeg() -> Vec<u8> {
        let plain = encoded(&photo(), ImageFormat::Jpeg);
        let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let mut bytes = plain[..2].to_vec();
        bytes.extend([0xFF, 0xE1]);
        bytes.extend(u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
        bytes.extend(exif);
        bytes.extend(&plain[2..]);
        bytes
    }

    #[test]
    fn exif_orientation_is_honoured() {
        let upright = decode(&turned_jpeg()).unwrap();
        assert_eq!(upright.dimensions(), (30, 40));
        // The top left corner of the stored picture comes to lie at the top right.
        assert!(upright.get_pixel(29, 0).0[1] < 30 && upright.get_pixel(0, 0).0[1] > 200);
    }

    #[test]
    fn what_is_no_picture() {
        assert!(matches!(decode(b""), Err(PhotoError::Empty)));
        assert!(matches!(decode(b"Dear diary,\n"), Err(PhotoError::NotAPicture)));
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let whole = encoded(&photo(), format);
            for kept in [whole.len() / 2, whole.len() * 3 / 4, whole.len() - 2] {
                // The last bytes of a PNG are a checksum of nothing: without them it is whole.
                if format == ImageFormat::Jpeg || kept < whole.len() - 12 {
                    assert!(
                        matches!(decode(&whole[..kept]), Err(PhotoError::Damaged(_))),
                        "{format:?} {kept}"
                    );
                }
            }
        }
        // An embedded thumbnail's end is not the picture's; and data may follow the end.
        let mut thumbnail = encoded(&photo(), ImageFormat::Jpeg);
        let segment = [&[0xFF, 0xE2, 0, 6], &b"\xFF\xD9\xFF\xD9"[..]].concat();
        thumbnail.splice(2..2, segment);
        assert!(decode(&thumbnail[..thumbnail.len() - 9]).is_err());
        thumbnail.extend([0; 30]);
        assert!(decode(&thumbnail).is_ok());
    }

    #[test]
    fn a_decompression_bomb_is_refused_before_decoding() {
        // A PNG header that promises 60,000 x 60,000 pixels.
        let mut bytes = encoded(&photo(), ImageFormat::Png);
        bytes[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        bytes[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
        let sum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&sum.to_be_bytes());
        assert!(matches!(decode(&bytes), Err(PhotoError::TooLarge { width: 60_000, height: 60_000, .. })));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |sum, &byte| {
            (0..8).fold(sum ^ u32::from(byte), |s, _| (s >> 1) ^ (0xEDB8_8320 & (s & 1).wrapping_neg()))
        })
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(cut in 0_usize..2000, at in 0_usize..2000, value: u8) {
            let mut bytes = turned_jpeg();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bytes.truncate(cut);
            drop(decode(&bytes));
        }
    }
}
