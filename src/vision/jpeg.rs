//! The markers of a JPEG file (ITU-T T.81, Annex B): whether it is whole, how large its picture is, where it
//! truly ends, and whether its Huffman tables were left out.
//!
//! Cameras give frames that are cut short, followed by rubbish or without tables. A picture decoder makes a
//! grey-filled picture of the first kind and never says so; for a door that is a fault, so every JPEG of a
//! camera passes here first. Nothing is decoded and nothing is allocated.

/// What the markers say of a whole JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JpegInfo {
    /// Pixels across, 1..=65535.
    pub width: u32,
    /// Pixels down, 1..=65535.
    pub height: u32,
    /// Length in bytes from the start-of-image marker up to and with the end-of-image marker. What follows is
    /// not part of the picture.
    pub length: usize,
    /// Where the marker of the first scan begins, in bytes.
    pub first_scan_at: usize,
    /// How many scans the picture is coded in: 1 for what cameras send.
    pub scans: u32,
    /// False if no Huffman table comes before the first scan, as with many MJPEG cameras.
    pub has_huffman_tables: bool,
}

/// Why bytes are not a whole JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JpegError {
    /// It does not begin with a start-of-image marker.
    #[error("not a JPEG")]
    NotAJpeg,
    /// The end-of-image marker is missing.
    #[error("the JPEG is cut short: it ends after {0} bytes without its end marker")]
    Truncated(usize),
    /// The markers contradict each other or T.81.
    #[error("the JPEG is corrupt at byte {at}: {what}")]
    Corrupt {
        /// Offset in bytes.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// A kind of JPEG that no camera sends: lossless, hierarchical, arithmetic coding, height given late.
    #[error("this kind of JPEG is not supported: {0}")]
    Unsupported(&'static str),
}

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DHT: u8 = 0xC4;

/// Follows the markers of `bytes` to the end-of-image marker.
///
/// # Errors
/// [`JpegError`] if there is no end marker, if the markers do not form a picture, or if restart markers are
/// missing or out of order (bytes were lost on the way).
pub fn inspect(bytes: &[u8]) -> Result<JpegInfo, JpegError> {
    if !bytes.starts_with(&[0xFF, SOI]) {
        // Also true of one lone 0xFF, which is the start of a JPEG or of anything else.
        return Err(JpegError::NotAJpeg);
    }
    let truncated = JpegError::Truncated(bytes.len());
    let mut at = 2;
    let mut size = None;
    let mut first_scan_at = None;
    let mut scans = 0_u32;
    let mut has_huffman_tables = false;
    loop {
        let (marker, marker_at) = next_marker(bytes, at)?;
        at = marker_at + 2;
        match marker {
            EOI => break,
            SOI => return Err(corrupt(marker_at, "a second picture begins before the first has ended")),
            0xD0..=0xD7 => return Err(corrupt(marker_at, "a restart marker outside a scan")),
            0x00 => return Err(corrupt(marker_at, "picture data outside a scan")),
            0x01 => continue, // TEM stands alone
            _ => {}
        }
        let length = usize::from(be16(bytes, at).ok_or(truncated)?);
        if length < 2 {
            return Err(corrupt(marker_at, "a segment shorter than its own length field"));
        }
        let body = bytes.get(at + 2..at + length).ok_or(truncated)?;
        at += length;
        match marker {
            0xC0..=0xC2 => {
                if size.is_some() {
                    return Err(corrupt(marker_at, "a second frame header"));
                }
                size = Some(frame_size(body, marker_at)?);
            }
            DHT => has_huffman_tables |= first_scan_at.is_none(),
            0xC3 | 0xC5..=0xCF => {
                return Err(JpegError::Unsupported("lossless, hierarchical or arithmetic coding"));
            }
            SOS => {
                if size.is_none() {
                    return Err(corrupt(marker_at, "a scan before the frame header"));
                }
                first_scan_at.get_or_insert(marker_at);
                scans = scans.saturating_add(1);
                at = end_of_scan(bytes, at)?;
            }
            _ => {}
        }
    }
    match (size, first_scan_at) {
        (Some((width, height)), Some(first_scan_at)) => {
            Ok(JpegInfo { width, height, length: at, first_scan_at, scans, has_huffman_tables })
        }
        _ => Err(corrupt(at - 2, "it ends before its picture")),
    }
}

/// Supplies the standard Huffman tables (T.81 Annex K.3) to a JPEG that `info` says has none, and cuts what
/// follows its end. A JPEG that has tables is only cut.
#[must_use]
pub fn insert_huffman_tables(mut jpeg: Vec<u8>, info: &JpegInfo) -> Vec<u8> {
    jpeg.truncate(info.length);
    if !info.has_huffman_tables && info.first_scan_at <= jpeg.len() {
        jpeg.splice(info.first_scan_at..info.first_scan_at, standard_huffman_segment());
    }
    jpeg
}

const fn corrupt(at: usize, what: &'static str) -> JpegError {
    JpegError::Corrupt { at, what }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The marker at `at` and where its last 0xFF is; any number of 0xFF may come first (T.81 B.1.1.2).
fn next_marker(bytes: &[u8], at: usize) -> Result<(u8, usize), JpegError> {
    let truncated = JpegError::Truncated(bytes.len());
    if *bytes.get(at).ok_or(truncated)? != 0xFF {
        return Err(corrupt(at, "no marker where one must be"));
    }
    let fill = bytes.get(at..).unwrap_or_default().iter().position(|&b| b != 0xFF).ok_or(truncated)?;
    let code = *bytes.get(at + fill).ok_or(truncated)?;
    Ok((code, at + fill - 1))
}

/// Pixels across and down from the body of a frame header (T.81 B.2.2): precision, height, width, components.
fn frame_size(body: &[u8], at: usize) -> Result<(u32, u32), JpegError> {
    let (Some(height), Some(width)) = (be16(body, 1), be16(body, 3)) else {
        return Err(corrupt(at, "the frame header is too short"));
    };
    if height == 0 {
        return Err(JpegError::Unsupported("the height is given after the first scan"));
    }
    if width == 0 {
        return Err(corrupt(at, "a picture without width"));
    }
    Ok((width.into(), height.into()))
}

/// Where the first marker after a scan's data is; `at` is the scan's first byte. In the data, 0xFF is followed
/// by 0x00, or by restart markers that count 0..=7 round and round (T.81 B.1.1.5, B.2.1).
fn end_of_scan(bytes: &[u8], mut at: usize) -> Result<usize, JpegError> {
    let truncated = JpegError::Truncated(bytes.len());
    let mut restart = 0xD0;
    loop {
        let rest = bytes.get(at..).ok_or(truncated)?;
        at += rest.iter().position(|&b| b == 0xFF).ok_or(truncated)?;
        match *bytes.get(at + 1).ok_or(truncated)? {
            0x00 => at += 2,
            0xFF => at += 1,
            marker @ 0xD0..=0xD7 => {
                if marker != restart {
                    return Err(corrupt(at, "restart markers are out of order: data was lost"));
                }
                restart = if marker == 0xD7 { 0xD0 } else { marker + 1 };
                at += 2;
            }
            _ => return Ok(at),
        }
    }
}

/// One DHT segment with the four tables of Annex K.3, marker included.
fn standard_huffman_segment() -> impl Iterator<Item = u8> {
    // 2 bytes of length, then for each table 1 byte of class and destination, 16 counts, and the values.
    const LENGTH: u16 = 2 + 2 * (1 + 16 + 12) + 2 * (1 + 16 + 162);
    let table = |class: u8, counts: &'static [u8; 16], values: &'static [u8]| {
        std::iter::once(class).chain(counts.iter().copied()).chain(values.iter().copied())
    };
    [0xFF, DHT]
        .into_iter()
        .chain(LENGTH.to_be_bytes())
        .chain(table(0x00, &DC_LUMA_COUNTS, &DC_VALUES))
        .chain(table(0x10, &AC_LUMA_COUNTS, &AC_LUMA_VALUES))
        .chain(table(0x01, &DC_CHROMA_COUNTS, &DC_VALUES))
        .chain(table(0x11, &AC_CHROMA_COUNTS, &AC_CHROMA_VALUES))
}

/// Table K.3: codes of each length 1..=16 for luma DC differences.
const DC_LUMA_COUNTS: [u8; 16] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];
/// Table K.4: the same for chroma.
const DC_CHROMA_COUNTS: [u8; 16] = [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0];
/// Tables K.3 and K.4: the categories, in order.
const DC_VALUES: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
/// Table K.5: codes of each length 1..=16 for luma AC coefficients.
const AC_LUMA_COUNTS: [u8; 16] = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D];
/// Table K.6: the same for chroma.
const AC_CHROMA_COUNTS: [u8; 16] = [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77];

/// Table K.5: run and size of each code, in order.
#[rustfmt::skip]
const AC_LUMA_VALUES: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
    0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0,
    0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2A, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
    0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7,
    0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5,
    0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2,
    0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8,
    0xF9, 0xFA,
];

/// Table K.6: run and size of each code, in order.
#[rustfmt::skip]
const AC_CHROMA_VALUES: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
    0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xA1, 0xB1, 0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0,
    0x15, 0x62, 0x72, 0xD1, 0x0A, 0x16, 0x24, 0x34, 0xE1, 0x25, 0xF1, 0x17, 0x18, 0x19, 0x1A, 0x26,
    0x27, 0x28, 0x29, 0x2A, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
    0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5,
    0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3,
    0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA,
    0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8,
    0xF9, 0xFA,
];

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A JPEG with some texture, as the `image` crate writes it (with the standard tables).
    pub(crate) fn sample(width: u32, height: u32) -> Vec<u8> {
        let picture = image::RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([x * 5, y * 7, x * y].map(|value| value.to_le_bytes()[0]))
        });
        let mut bytes = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 80)
            .encode_image(&picture)
            .expect("encoding into memory");
        bytes
    }

    /// The same without its Huffman tables.
    pub(crate) fn without_huffman_tables(jpeg: &[u8]) -> Vec<u8> {
        let mut out = jpeg[..2].to_vec();
        let mut at = 2;
        while jpeg[at + 1] != SOS {
            let end = at + 2 + usize::from(be16(jpeg, at + 2).unwrap());
            if jpeg[at + 1] != DHT {
                out.extend_from_slice(&jpeg[at..end]);
            }
            at = end;
        }
        out.extend_from_slice(&jpeg[at..]);
        out
    }

    #[test]
    fn a_whole_jpeg_is_described() {
        let jpeg = sample(70, 33);
        let info = inspect(&jpeg).unwrap();
        assert_eq!((info.width, info.height, info.length), (70, 33, jpeg.len()));
        assert!(info.has_huffman_tables);
        assert_eq!(info.scans, 1);
        assert_eq!(jpeg[info.first_scan_at..][..2], [0xFF, SOS]);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let jpeg = sample(40, 24);
        for length in 0..jpeg.len() {
            let error = inspect(&jpeg[..length]).unwrap_err();
            let expected = if length < 2 { JpegError::NotAJpeg } else { JpegError::Truncated(length) };
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn what_follows_the_end_is_not_part_of_it() {
        let jpeg = sample(40, 24);
        let older = sample(64, 64);
        let both = [jpeg.as_slice(), &[0, 0, 0], &older[older.len() / 2..]].concat();
        let info = inspect(&both).unwrap();
        assert_eq!(info.length, jpeg.len());
        assert_eq!(insert_huffman_tables(both, &info), jpeg);
    }

    #[test]
    fn left_out_tables_are_supplied() {
        let bare = without_huffman_tables(&sample(48, 48));
        let info = inspect(&bare).unwrap();
        assert!(!info.has_huffman_tables);
        let whole = insert_huffman_tables(bare.clone(), &info);
        assert_eq!(whole.len(), bare.len() + 2 + 418);
        let info = inspect(&whole).unwrap();
        assert!(info.has_huffman_tables);
        assert_eq!(info.length, whole.len());
    }

    #[test]
    fn impossible_markers_are_named() {
        let jpeg = sample(16, 16);
        let info = inspect(&jpeg).unwrap();
        let what = |bytes: &[u8]| match inspect(bytes) {
            Err(JpegError::Corrupt { what, .. }) => what,
            other => panic!("{other:?}"),
        };
        assert_eq!(what(&[0xFF, SOI, 0xFF, EOI]), "it ends before its picture");
        assert_eq!(what(&[0xFF, SOI, 0x12, 0x34]), "no marker where one must be");
        assert_eq!(what(&[0xFF, SOI, 0xFF, 0xE0, 0, 1]), "a segment shorter than its own length field");
        assert_eq!(what(&[0xFF, SOI, 0xFF, SOS, 0, 2, 0]), "a scan before the frame header");
        // A frame that stops in the middle of its data, with a whole older frame behind it.
        let spliced = [&jpeg[..info.first_scan_at + 30], &jpeg].concat();
        assert_eq!(what(&spliced), "a second picture begins before the first has ended");
        // Restart markers must count up from 0.
        let mut lost = jpeg[..info.length - 2].to_vec();
        lost.extend([0xFF, 0xD0, 1, 2, 0xFF, 0xD2, 3, 0xFF, EOI]);
        assert_eq!(what(&lost), "restart markers are out of order: data was lost");
    }

    #[test]
    fn fill_bytes_and_restart_markers_are_allowed() {
        let jpeg = sample(16, 16);
        let info = inspect(&jpeg).unwrap();
        let mut odd = vec![0xFF, SOI, 0xFF, 0xFF];
        odd.extend_from_slice(&jpeg[2..info.length - 2]);
        for restart in (0..20u8).map(|n| 0xD0 + n % 8) {
            odd.extend([0xFF, restart, 7]);
        }
        odd.extend([0xFF, 0xFF, EOI]);
        assert_eq!(inspect(&odd).unwrap().length, odd.len());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(inspect(&bytes).is_ok(), false, "no picture is made of noise");
            bytes.splice(0..0, [0xFF, SOI, 0xFF]);
            if let Ok(info) = inspect(&bytes) {
                prop_assert!(info.length <= bytes.len());
                prop_assert!(info.first_scan_at < info.length);
            }
        }

        #[test]
        fn a_damaged_jpeg_never_panics(
            at in 0usize..2000,
            junk in proptest::collection::vec(any::<u8>(), 1..8),
        ) {
            let mut jpeg = sample(40, 24);
            let at = at % jpeg.len();
            let end = (at + junk.len()).min(jpeg.len());
            jpeg.splice(at..end, junk);
            if let Ok(info) = inspect(&jpeg) {
                prop_assert!(info.length <= jpeg.len());
                let whole = insert_huffman_tables(jpeg, &info);
                prop_assert!(inspect(&whole).is_ok_and(|info| info.has_huffman_tables));
            }
        }
    }
}
