//! YUV4MPEG2, the format in which ffmpeg hands over raw frames: one line of text with size and rate, then for
//! each frame a line `FRAME` and the planes. So the stream describes itself and a slip in it is noticed.
//!
//! ffmpeg gives three planes (Y, U, V), which for most videos is what it has decoded; interleaving the chroma
//! here is cheaper than having ffmpeg convert to NV12 (measured at 1080p: 3 ms a frame there).

use crate::domain::Payload;
use crate::vision::decode::check_size;

/// The longest line that is accepted.
const MAX_LINE_BYTES: usize = 1024;

/// What the first line says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Header {
    /// Pixels across, even.
    pub(super) width: u32,
    /// Pixels down, even.
    pub(super) height: u32,
    /// Frames a second; 0 if it does not say.
    pub(super) fps: f64,
}

/// What a piece of the stream completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing yet.
    More,
    /// A frame lies ready: [`Parser::take`] it, or go on and lose it.
    Frame,
}

/// Puts frames together from pieces of any size. Read into [`Parser::wants`], then call [`Parser::got`].
#[derive(Debug, Default)]
pub(super) struct Parser {
    header: Option<Header>,
    line: Vec<u8>,
    /// Bytes of the present line or frame that are there.
    filled: usize,
    in_frame: bool,
    /// The frame to be: luma, and room for the interleaved chroma.
    nv12: Vec<u8>,
    /// U, then V.
    chroma: Vec<u8>,
}

impl Parser {
    /// The first line, once it was read.
    pub(super) fn header(&self) -> Option<Header> {
        self.header
    }

    /// True between frames: a stream that ends here ends whole.
    pub(super) fn is_between_frames(&self) -> bool {
        !self.in_frame && self.filled == 0
    }

    /// Where the next bytes go; never empty.
    pub(super) fn wants(&mut self) -> &mut [u8] {
        if self.in_frame {
            let luma = self.luma_bytes();
            return if self.filled < luma {
                &mut self.nv12[self.filled..luma]
            } else {
                &mut self.chroma[self.filled - luma..]
            };
        }
        // `FRAME` and its new line at once, everything else byte by byte: nothing beyond a line may be taken.
        let ahead = if self.header.is_some() && self.filled == 0 { 6 } else { 1 };
        self.line.resize(self.filled + ahead, 0);
        &mut self.line[self.filled..]
    }

    /// `count` bytes were put into what [`Parser::wants`] gave.
    pub(super) fn got(&mut self, count: usize) -> Result<Progress, String> {
        self.filled += count;
        if self.in_frame {
            if self.filled < self.luma_bytes() + self.chroma.len() {
                return Ok(Progress::More);
            }
            (self.in_frame, self.filled) = (false, 0);
            return Ok(Progress::Frame);
        }
        self.line.truncate(self.filled);
        if self.line.last() != Some(&b'\n') {
            if self.filled >= MAX_LINE_BYTES {
                return Err("a line without end".into());
            }
            return Ok(Progress::More);
        }
        self.filled = 0;
        if self.header.is_none() {
            let header = parse_header(&self.line)?;
            self.header = Some(header);
            let luma = self.luma_bytes();
            self.chroma = vec![0; luma / 2];
        } else if self.line.starts_with(b"FRAME") {
            self.in_frame = true;
            self.nv12.resize(self.luma_bytes() + self.chroma.len(), 0);
        } else {
            return Err("no frame where one must begin".into());
        }
        Ok(Progress::More)
    }

    /// The frame that was just completed.
    pub(super) fn take(&mut self) -> Option<Payload> {
        let Header { width, height, .. } = self.header?;
        let mut data = std::mem::take(&mut self.nv12);
        let (u_plane, v_plane) = self.chroma.split_at(self.chroma.len() / 2);
        let luma = data.len().checked_sub(self.chroma.len())?;
        for ((uv, u), v) in data[luma..].chunks_exact_mut(2).zip(u_plane).zip(v_plane) {
            uv.copy_from_slice(&[*u, *v]);
        }
        Some(Payload::Nv12 { width, height, stride: width, data })
    }

    fn luma_bytes(&self) -> usize {
        self.header.map_or(0, |header| header.width as usize * header.height as usize)
    }
}

/// `YUV4MPEG2 W640 H480 F25:1 Ip A1:1 C420jpeg ...`
fn parse_header(line: &[u8]) -> Result<Header, String> {
    let text = str::from_utf8(line).map_err(|_| "the first line is no text".to_owned())?;
    let mut words = text.split_ascii_whitespace();
    if words.next() != Some("YUV4MPEG2") {
        return Err("it does not begin as YUV4MPEG2 does".into());
    }
    let mut header = Header { width: 0, height: 0, fps: 0.0 };
    for word in words {
        let Some((name, value)) = word.split_at_checked(1) else { continue };
        match name {
            "W" => header.width = value.parse().unwrap_or(0),
            "H" => header.height = value.parse().unwrap_or(0),
            "F" => header.fps = ratio(value).unwrap_or(0.0),
            "C" if !matches!(value, "420" | "420jpeg" | "420mpeg2" | "420paldv") => {
                return Err(format!("pixels are {value}, not 8-bit 4:2:0"));
            }
            _ => {}
        }
    }
    let Header { width, height, .. } = header;
    check_size(width, height).map_err(|error| error.to_string())?;
    if (width | height) % 2 != 0 {
        return Err(format!("frames of {width}x{height} pixels have odd sides"));
    }
    Ok(header)
}

fn ratio(text: &str) -> Option<f64> {
    let (numerator, denominator) = text.split_once(':')?;
    let (numerator, denominator): (u32, u32) = (numerator.parse().ok()?, denominator.parse().ok()?);
    (numerator > 0 && denominator > 0).then(|| f64::from(numerator) / f64::from(denominator))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `stream` in pieces of at most `piece` bytes; gives each frame's bytes.
    fn frames(stream: &[u8], piece: usize) -> Result<(Parser, Vec<Vec<u8>>), String> {
        let (mut parser, mut frames, mut rest) = (Parser::default(), Vec::new(), stream);
        while !rest.is_empty() {
            let room = parser.wants();
            assert!(!room.is_empty());
            let count = room.len().min(rest.len()).min(piece);
            room[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            if parser.got(count)? == Progress::Frame {
                match parser.take() {
                    Some(Payload::Nv12 { data, .. }) => frames.push(data),
                    other => panic!("{other:?}"),
                }
            }
        }
        Ok((parser, frames))
    }

    const TWO: &[u8] = b"YUV4MPEG2 W4 H2 F30000:1001 Ip A0:0 C420jpeg XCOLORRANGE=LIMITED\nFRAME\n\
        abcdefghUuVvFRAME Ixyz\nABCDEFGH1234";

    #[test]
    fn planes_become_nv12_whatever_the_pieces() {
        for piece in 1..TWO.len() {
            let (parser, frames) = frames(TWO, piece).unwrap();
            let header = parser.header().unwrap();
            assert_eq!((header.width, header.height), (4, 2));
            assert!((header.fps - 29.97).abs() < 0.01);
            assert_eq!(frames, [b"abcdefghUVuv", b"ABCDEFGH1324"]);
            assert!(parser.is_between_frames());
        }
        let (parser, frames) = frames(&TWO[..TWO.len() - 1], 7).unwrap();
        assert_eq!(frames.len(), 1);
        assert!(!parser.is_between_frames());
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let error = |stream: &[u8]| frames(stream, 100).unwrap_err();
        assert_eq!(error(b"RIFF....\n"), "it does not begin as YUV4MPEG2 does");
        assert_eq!(error(b"YUV4MPEG2 W4 H2 C420p10\n"), "pixels are 420p10, not 8-bit 4:2:0");
        for (size, shown) in
            [("W0 H2", "0x2"), ("W3 H2", "3x2"), ("W8194 H2", "8194x2"), ("W8192 H8192", "8192x8192")]
        {
            let line = format!("YUV4MPEG2 {size} C420\n");
            assert!(error(line.as_bytes()).contains(&format!("of {shown} pixels")), "{size}");
        }
        assert_eq!(error(&[TWO, b"abcdef\n"].concat()), "no frame where one must begin");
        assert_eq!(error(&[b'x'; 2000]), "a line without end");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..50) {
            for start in ["", "YUV4MPEG2 W2 H2 ", "YUV4MPEG2 W2 H2\nFRAME\n"] {
                if let Ok((_, frames)) = frames(&[start.as_bytes(), &bytes].concat(), piece) {
                    prop_assert!(frames.len() <= bytes.len());
                }
            }
        }
    }
}
