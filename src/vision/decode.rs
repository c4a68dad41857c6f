//! From what a camera gave to pixels.
//!
//! Strict on purpose: a frame that is not whole is an error, never a picture with grey or old parts. Sizes are
//! checked before memory is taken.

use std::sync::Arc;

use image::RgbImage;
use yuv::{YuvBiPlanarImage, YuvConversionMode, YuvGrayImage, YuvPackedImage, YuvRange, YuvStandardMatrix};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::jpeg::{self, JpegError};
use crate::domain::{Original, Payload};

/// The longest side of a picture, in pixels.
pub const MAX_SIDE_PX: u32 = 8192;
/// The largest area of a picture, in pixels (50 million: 150 MB as RGB).
pub const MAX_AREA_PX: u64 = 50_000_000;

/// Why a payload is no picture.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The markers of a JPEG are not right.
    #[error(transparent)]
    Markers(#[from] JpegError),
    /// The coded data of a JPEG are damaged.
    #[error("the JPEG cannot be decoded: {0}")]
    Jpeg(String),
    /// A still image file that is damaged, or of a kind that cannot be read.
    #[error("the picture cannot be decoded: {0}")]
    Still(image::ImageError),
    /// More pixels than a camera has, or none.
    #[error(
        "a picture of {width}x{height} pixels is not accepted (at most {MAX_SIDE_PX} a side, {MAX_AREA_PX} in all)"
    )]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// The bytes do not fit the size that the payload names.
    #[error("{got} bytes where {width}x{height} {format} with a stride of {stride} needs {expected}")]
    Length {
        /// Name of the pixel format.
        format: &'static str,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Bytes from one row to the next.
        stride: u32,
        /// Bytes there should be; 0 if the stride is less than a row.
        expected: u64,
        /// Bytes there are.
        got: usize,
    },
    /// The converter refused; a defect of this program, since sizes were checked.
    #[error("colour conversion failed: {0}")]
    Conversion(String),
}

/// Decodes one payload. Pixels that are RGB already are moved, not copied.
///
/// YUYV and NV12 are taken as BT.601 in limited range (16..=235), which is what USB cameras send; grey as full
/// range (0..=255).
///
/// # Errors
/// [`DecodeError`]; a truncated or damaged JPEG is always one.
pub fn decode(payload: Payload) -> Result<RgbImage, DecodeError> {
    match payload {
        Payload::Jpeg(bytes) => decode_jpeg(bytes),
        Payload::Rgb(picture) => {
            check_size(picture.width(), picture.height())?;
            Ok(picture)
        }
        other => decode_borrowed(&other),
    }
}

/// As [`decode`], and keeps what the camera gave. Pixels that are RGB already are shared and raw ones moved; only a
/// JPEG is copied, once, since the decoder needs a little more at its end.
///
/// # Errors
/// As [`decode`].
pub fn decode_and_keep(payload: Payload) -> Result<(Arc<RgbImage>, Original), DecodeError> {
    if let Payload::Rgb(_) = payload {
        let pixels = Arc::new(decode(payload)?);
        return Ok((Arc::clone(&pixels), Original::Pixels(pixels)));
    }
    let pixels = Arc::new(decode_borrowed(&payload)?);
    Ok((pixels, Original::Bytes(Arc::new(payload))))
}

fn decode_borrowed(payload: &Payload) -> Result<RgbImage, DecodeError> {
    match payload {
        Payload::Jpeg(bytes) => decode_jpeg(bytes.clone()),
        Payload::Still(bytes) => decode_still(bytes),
        &Payload::Yuyv { width, height, stride, ref data } => {
            let row = u64::from(width.next_multiple_of(2)) * 2;
            let whole = Plane { format: "YUYV", width, height, stride };
            whole.check(row, u64::from(height), data.len())?;
            let image = YuvPackedImage { yuy: data, yuy_stride: stride, width, height };
            whole.converted(|rgb| {
                yuv::yuyv422_to_rgb(&image, rgb, width * 3, YuvRange::Limited, YuvStandardMatrix::Bt601)
            })
        }
        &Payload::Nv12 { width, height, stride, ref data } => {
            let row = u64::from(width.next_multiple_of(2));
            let rows = u64::from(height) + u64::from(height.div_ceil(2));
            let whole = Plane { format: "NV12", width, height, stride };
            whole.check(row, rows, data.len())?;
            let (y_plane, uv_plane) = data.split_at(stride as usize * height as usize);
            let image =
                YuvBiPlanarImage { y_plane, y_stride: stride, uv_plane, uv_stride: stride, width, height };
            whole.converted(|rgb| {
                yuv::yuv_nv12_to_rgb(
                    &image,
                    rgb,
                    width * 3,
                    YuvRange::Limited,
                    YuvStandardMatrix::Bt601,
                    YuvConversionMode::Balanced,
                )
            })
        }
        &Payload::Grey { width, height, stride, ref data } => {
            let whole = Plane { format: "grey", width, height, stride };
            whole.check(u64::from(width), u64::from(height), data.len())?;
            let image = YuvGrayImage { y_plane: data, y_stride: stride, width, height };
            whole.converted(|rgb| {
                yuv::yuv400_to_rgb(&image, rgb, width * 3, YuvRange::Full, YuvStandardMatrix::Bt601)
            })
        }
        Payload::Rgb(picture) => {
            check_size(picture.width(), picture.height())?;
            Ok(picture.clone())
        }
    }
}

/// Checks a size in pixels against [`MAX_SIDE_PX`] and [`MAX_AREA_PX`], before memory is taken for it.
///
/// # Errors
/// [`DecodeError::Size`] if it is too large, or empty.
pub fn check_size(width: u32, height: u32) -> Result<(), DecodeError> {
    let area = u64::from(width) * u64::from(height);
    if width > MAX_SIDE_PX || height > MAX_SIDE_PX || area > MAX_AREA_PX || area == 0 {
        return Err(DecodeError::Size { width, height });
    }
    Ok(())
}

/// Raw pixels as a payload names them.
struct Plane {
    format: &'static str,
    width: u32,
    height: u32,
    stride: u32,
}

impl Plane {
    /// Checks the size, that a row of `row_bytes` fits the stride, and that there are exactly `rows` strides.
    fn check(&self, row_bytes: u64, rows: u64, got: usize) -> Result<(), DecodeError> {
        let &Self { format, width, height, stride } = self;
        // Before the multiplications: with sides this short none of them overflows.
        check_size(width, height)?;
        let fits = u64::from(stride) >= row_bytes;
        let expected = if fits { u64::from(stride) * rows } else { 0 };
        if !fits || u64::try_from(got) != Ok(expected) {
            return Err(DecodeError::Length { format, width, height, stride, expected, got });
        }
        Ok(())
    }

    fn converted(
        &self,
        convert: impl FnOnce(&mut [u8]) -> Result<(), yuv::YuvError>,
    ) -> Result<RgbImage, DecodeError> {
        let mut picture = RgbImage::new(self.width, self.height);
        convert(&mut picture).map_err(|error| DecodeError::Conversion(error.to_string()))?;
        Ok(picture)
    }
}

fn decode_jpeg(bytes: Vec<u8>) -> Result<RgbImage, DecodeError> {
    let info = jpeg::inspect(&bytes)?;
    check_size(info.width, info.height)?;
    let mut bytes = jpeg::insert_huffman_tables(bytes, &info);
    // zune-jpeg pads data that end before the picture does, silently and in strict mode too. An empty comment
    // before the end marker makes it stop after that row of blocks instead, and the mark that is put into the
    // last row of pixels tells whether it came so far. What is lost within the last row of blocks (8 or 16
    // pixels) stays unnoticed. The decoder sees markers up to 8 bytes early, so a row of blocks must be longer
    // than that: at 2 bits a block, the least there is, 320 pixels are 10 bytes.
    let is_checked = info.scans == 1 && info.width >= 320;
    if is_checked {
        bytes.truncate(bytes.len().saturating_sub(2));
        bytes.extend_from_slice(&[0xFF, 0xFE, 0x00, 0x02, 0xFF, 0xD9]);
    }
    let options = DecoderOptions::new_fast()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE_PX as usize)
        .set_max_height(MAX_SIDE_PX as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes.as_slice()), options);
    decoder.decode_headers().map_err(|error| DecodeError::Jpeg(error.to_string()))?;
    let row_bytes = info.width as usize * 3;
    let mut pixels = vec![0; row_bytes * info.height as usize];
    if decoder.output_buffer_size() != Some(pixels.len()) {
        return Err(DecodeError::Jpeg("its headers disagree about its size".into()));
    }
    let last_row = pixels.len() - row_bytes;
    pixels[last_row..].iter_mut().zip(NOT_A_PICTURE.iter().cycle()).for_each(|(to, from)| *to = *from);
    decoder.decode_into(&mut pixels).map_err(|error| DecodeError::Jpeg(error.to_string()))?;
    if is_checked && pixels[last_row..].iter().zip(NOT_A_PICTURE.iter().cycle()).all(|(a, b)| a == b) {
        return Err(DecodeError::Jpeg("its data end before its picture does".into()));
    }
    RgbImage::from_raw(info.width, info.height, pixels)
        .ok_or_else(|| DecodeError::Jpeg("its headers disagree about its size".into()))
}

/// Two bytes that, repeated over a whole row of pixels, no camera sends.
const NOT_A_PICTURE: [u8; 2] = [0xFF, 0x00];

fn decode_still(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    let reader = || {
        let mut reader = image::ImageReader::new(std::io::Cursor::new(bytes));
        let mut limits = image::Limits::default();
        limits.max_image_width = Some(MAX_SIDE_PX);
        limits.max_image_height = Some(MAX_SIDE_PX);
        // Room for 50 million pixels of 16-bit RGBA, and no more.
        limits.max_alloc = Some(MAX_AREA_PX * 8);
        reader.limits(limits);
        reader.with_guessed_format().map_err(|error| DecodeError::Still(error.into()))
    };
    let (width, height) = reader()?.into_dimensions().map_err(DecodeError::Still)?;
    check_size(width, height)?;
    Ok(reader()?.decode().map_err(DecodeError::Still)?.into_rgb8())
}

#[cfg(test)]
mod tests {
    use super::super::jpeg::tests::{sample, without_huffman_tables};
    use super::*;
    use proptest::prelude::*;

    fn mean_difference(a: &RgbImage, b: &RgbImage) -> f64 {
        assert_eq!(a.dimensions(), b.dimensions());
        let sum: u64 = a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / a.len() as f64
    }

    #[test]
    fn a_jpeg_decodes_as_another_decoder_decodes_it() {
        let bytes = sample(123, 77);
        let other = image::load_from_memory(&bytes).unwrap().into_rgb8();
        assert!(mean_difference(&decode(Payload::Jpeg(bytes)).unwrap(), &other) < 1.0);
    }

    #[test]
    fn tables_left_out_make_no_difference() {
        let bytes = sample(64, 48);
        let bare = without_huffman_tables(&bytes);
        assert_eq!(decode(Payload::Jpeg(bare)).unwrap(), decode(Payload::Jpeg(bytes)).unwrap());
    }

    #[test]
    fn a_truncated_jpeg_is_an_error_and_not_a_grey_picture() {
        let bytes = sample(160, 120);
        for length in (0..bytes.len()).step_by(7) {
            assert!(decode(Payload::Jpeg(bytes[..length].to_vec())).is_err(), "{length} of {}", bytes.len());
        }
    }

    #[test]
    fn lost_data_before_an_end_marker_is_an_error() {
        let bytes = sample(320, 120);
        let scan = jpeg::inspect(&bytes).unwrap().first_scan_at + 20;
        let last_row_of_blocks = scan + (bytes.len() - scan) * 8 / 10;
        for length in (scan..last_row_of_blocks).step_by(11) {
            let mut cut = bytes[..length].to_vec();
            cut.extend([0xFF, 0xD9]);
            assert!(decode(Payload::Jpeg(cut)).is_err(), "{length} of {}", bytes.len());
        }
    }

    /// A mid-grey picture of 40 x 3 blocks with a restart marker after every `interval` blocks; no tables.
    fn grey_with_restarts(interval: u8) -> Vec<u8> {
        let mut jpeg = vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0];
        jpeg.extend([1; 64]);
        jpeg.extend([
            0xFF,
            0xC0,
            0,
            11,
            8,
            0,
            24,
            320_u16.to_be_bytes()[0],
            320_u16.to_be_bytes()[1],
            1,
            1,
            0x11,
            0,
        ]);
        jpeg.extend([0xFF, 0xDD, 0, 4, 0, interval]);
        jpeg.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0]);
        let segments = 120 / interval;
        for segment in 0..segments {
            // Each block is 00 (no DC difference) and 1010 (end of block); the last byte is filled up with ones.
            let mut bits = "001010".repeat(interval.into());
            while bits.len() % 8 != 0 {
                bits.push('1');
            }
            jpeg.extend(
                bits.as_bytes()
                    .chunks(8)
                    .map(|byte| byte.iter().fold(0, |value, bit| value << 1 | (bit - b'0'))),
            );
            if segment + 1 < segments {
                jpeg.extend([0xFF, 0xD0 + segment % 8]);
            }
        }
        jpeg.extend([0xFF, 0xD9]);
        jpeg
    }

    #[test]
    fn restart_markers_are_followed_to_the_end() {
        for interval in [1, 2, 3, 20, 40, 60, 120] {
            let jpeg = grey_with_restarts(interval);
            assert!(!jpeg::inspect(&jpeg).unwrap().has_huffman_tables);
            let picture = decode(Payload::Jpeg(jpeg)).unwrap();
            assert_eq!(picture, RgbImage::from_pixel(320, 24, image::Rgb([128; 3])), "interval {interval}");
        }
    }

    #[test]
    fn still_images_decode_and_bombs_do_not() {
        let picture = RgbImage::from_pixel(9, 5, image::Rgb([10, 200, 30]));
        let mut png = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
        assert_eq!(decode(Payload::Still(png.into_inner())).unwrap(), picture);
        assert!(matches!(
            decode(Payload::Still(b"P6 60000 60000 255\n".to_vec())),
            Err(DecodeError::Still(_))
        ));
        assert!(matches!(
            decode(Payload::Still(b"P6 8000 8000 255\n".to_vec())),
            Err(DecodeError::Size { width: 8000, height: 8000 })
        ));
        assert!(matches!(decode(Payload::Still(vec![1, 2, 3])), Err(DecodeError::Still(_))));
    }

    #[test]
    fn a_jpeg_that_claims_too_much_takes_no_memory() {
        let mut bytes = sample(16, 16);
        let header = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
        bytes[header + 5..header + 9].copy_from_slice(&[0x20, 0x01, 0x00, 0x10]);
        assert!(matches!(decode(Payload::Jpeg(bytes)), Err(DecodeError::Size { width: 16, height: 8193 })));
    }

    /// BT.601 in limited range: Y 81, U 90, V 240 is pure red; Y 16 and 235 with 128 are black and white.
    #[test]
    fn yuv_colours_come_out_as_bt601_limited() {
        let near = |pixel: &image::Rgb<u8>, want: [u8; 3]| {
            assert!(
                pixel.0.iter().zip(want).all(|(got, want)| got.abs_diff(want) <= 3),
                "{pixel:?} {want:?}"
            );
        };
        // Two pixels a row, a stride with 3 bytes of padding.
        let yuyv = vec![81, 90, 81, 240, 9, 9, 9, 16, 128, 235, 128, 9, 9, 9];
        let picture = decode(Payload::Yuyv { width: 2, height: 2, stride: 7, data: yuyv }).unwrap();
        near(picture.get_pixel(0, 0), [255, 0, 0]);
        near(picture.get_pixel(1, 0), [255, 0, 0]);
        near(picture.get_pixel(0, 1), [0, 0, 0]);
        near(picture.get_pixel(1, 1), [255, 255, 255]);

        let nv12 = vec![81, 81, 9, 81, 81, 9, 90, 240, 9];
        let picture = decode(Payload::Nv12 { width: 2, height: 2, stride: 3, data: nv12 }).unwrap();
        near(picture.get_pixel(1, 1), [255, 0, 0]);

        let grey = vec![0, 128, 9, 255, 7, 9];
        let picture = decode(Payload::Grey { width: 2, height: 2, stride: 3, data: grey }).unwrap();
        assert_eq!(picture.into_raw(), [0, 0, 0, 128, 128, 128, 255, 255, 255, 7, 7, 7]);
    }

    #[test]
    fn wrong_lengths_are_errors() {
        for (stride, length) in [(8, 15), (8, 17), (7, 14), (0, 0)] {
            let data = vec![0; length];
            let error = decode(Payload::Yuyv { width: 4, height: 2, stride, data }).unwrap_err();
            assert!(matches!(error, DecodeError::Length { .. }), "{error}");
        }
        let huge = Payload::Grey { width: u32::MAX, height: u32::MAX, stride: u32::MAX, data: vec![] };
        assert!(matches!(decode(huge), Err(DecodeError::Size { .. })));
        let none = Payload::Nv12 { width: 0, height: 4, stride: 0, data: vec![] };
        assert!(matches!(decode(none), Err(DecodeError::Size { .. })));
    }

    #[test]
    fn rgb_is_moved() {
        let picture = RgbImage::new(4, 4);
        let place = picture.as_ptr();
        let picture = decode(Payload::Rgb(picture)).unwrap();
        assert_eq!(picture.as_ptr(), place);
        let (pixels, Original::Pixels(kept)) = decode_and_keep(Payload::Rgb(picture)).unwrap() else {
            panic!()
        };
        assert_eq!((pixels.as_ptr(), kept.as_ptr()), (place, place));
    }

    #[test]
    fn what_the_camera_gave_is_kept_to_the_byte() {
        let jpeg = sample(16, 16);
        let (pixels, Original::Bytes(kept)) = decode_and_keep(Payload::Jpeg(jpeg.clone())).unwrap() else {
            panic!()
        };
        assert!(matches!(&*kept, Payload::Jpeg(bytes) if *bytes == jpeg));
        assert_eq!(*pixels, decode(Payload::Jpeg(jpeg)).unwrap());
        let data = vec![7; 8];
        let place = data.as_ptr();
        let grey = Payload::Grey { width: 4, height: 2, stride: 4, data };
        let (_, Original::Bytes(kept)) = decode_and_keep(grey).unwrap() else { panic!() };
        assert!(matches!(&*kept, Payload::Grey { data, .. } if data.as_ptr() == place));
        assert_eq!(Original::Bytes(kept).bytes(), 8);
    }

    proptest! {
        #[test]
        fn raw_formats_never_panic(
            width in 0u32..9, height in 0u32..9, stride in 0u32..20, length in 0usize..200, kind in 0..3,
        ) {
            let data = vec![100; length];
            let result = decode(match kind {
                0 => Payload::Yuyv { width, height, stride, data },
                1 => Payload::Nv12 { width, height, stride, data },
                _ => Payload::Grey { width, height, stride, data },
            });
            if let Ok(picture) = result {
                prop_assert_eq!(picture.dimensions(), (width, height));
            }
        }

        #[test]
        fn a_damaged_jpeg_never_panics(at in 0usize..3000, junk in proptest::collection::vec(any::<u8>(), 1..6)) {
            let mut bytes = sample(40, 24);
            let at = at % bytes.len();
            let end = (at + junk.len()).min(bytes.len());
            bytes.splice(at..end, junk);
            if let Ok(picture) = decode(Payload::Jpeg(bytes)) {
                prop_assert!(picture.width() <= MAX_SIDE_PX && picture.height() <= MAX_SIDE_PX);
            }
        }
    }
}
