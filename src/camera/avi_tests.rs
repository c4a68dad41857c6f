//! Tests of the AVI reader, against the writer and against files made by hand.

use super::*;
use crate::camera::avi_write::AviWriter;
use crate::clock::SimulatedClock;
use crate::config::Speed;
use crate::domain::CameraId;
use crate::vision::jpeg::tests::sample;
use proptest::prelude::*;
use std::io::Cursor;

fn avi(frames: &[Vec<u8>], fps: f64) -> Vec<u8> {
    let mut writer = AviWriter::new(Cursor::new(Vec::new()), fps).unwrap();
    frames.iter().for_each(|frame| writer.write_jpeg(frame).unwrap());
    writer.finish().unwrap().into_inner()
}

fn frames_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = AviReader::new(Cursor::new(bytes)).unwrap();
    std::iter::from_fn(|| reader.next_frame().unwrap()).collect()
}

#[test]
fn what_was_written_is_read() {
    let frames = [sample(64, 48), sample(64, 48)[..].to_vec(), sample(64, 48)];
    let bytes = avi(&frames, 12.5);
    let reader = AviReader::new(Cursor::new(&bytes)).unwrap();
    assert_eq!(reader.info(), AviInfo { width: 64, height: 48, fps: 12.5 });
    assert_eq!(frames_of(&bytes), frames);
}

#[test]
fn an_unfinished_recording_is_read_to_its_last_whole_frame() {
    let frames = [sample(32, 32), sample(32, 32), sample(32, 32)];
    let mut bytes = avi(&frames, 10.0);
    // No sizes, no index, cut in the middle of the third frame: the power went.
    let movi = bytes.windows(4).position(|four| four == b"movi").unwrap();
    bytes[4..8].fill(0);
    bytes[movi - 4..movi].fill(0);
    bytes.truncate(movi + 4 + 2 * (8 + frames[0].len().next_multiple_of(2)) + 100);
    assert_eq!(frames_of(&bytes), frames[..2]);
}

#[test]
fn other_streams_lists_and_repeated_frames_are_understood() {
    let jpeg = sample(16, 16);
    let chunk = |id: &[u8; 4], body: &[u8]| {
        let mut out = [id.as_slice(), &u32::try_from(body.len()).unwrap().to_le_bytes(), body].concat();
        out.resize(out.len().next_multiple_of(2), 0);
        out
    };
    let list = |kind: &[u8; 4], body: &[u8]| chunk(b"LIST", &[kind.as_slice(), body].concat());
    let mut strh = [0; 56];
    strh[..8].copy_from_slice(b"vidsmjpg");
    strh[20] = 2;
    strh[24] = 50;
    let headers = [
        chunk(b"avih", &[0; 56]),
        list(
            b"strl",
            &[chunk(b"strh", &[b"auds".as_slice(), &[0; 52]].concat()), chunk(b"strf", &[9; 18])].concat(),
        ),
        list(b"strl", &chunk(b"strh", &strh)),
    ];
    let frames = [
        chunk(b"00wb", &[1, 2, 3]),
        list(b"rec ", &[chunk(b"01dc", &jpeg), chunk(b"01dc", &[])].concat()),
        list(b"rec ", &chunk(b"01db", &jpeg)),
    ];
    let mut bytes = chunk(
        b"RIFF",
        &[b"AVI ".as_slice(), &list(b"hdrl", &headers.concat()), &list(b"movi", &frames.concat())].concat(),
    );
    bytes.extend(chunk(b"RIFF", &[b"AVIX".as_slice(), &list(b"movi", &chunk(b"01dc", &jpeg))].concat()));
    let reader = AviReader::new(Cursor::new(&bytes)).unwrap();
    assert!((reader.info().fps - 25.0).abs() < 1e-9);
    assert_eq!(frames_of(&bytes), [jpeg.clone(), vec![], jpeg.clone(), jpeg]);
}

#[test]
fn other_files_are_named_as_what_they_are() {
    let error = |bytes: &[u8]| AviReader::new(Cursor::new(bytes.to_vec())).unwrap_err().to_string();
    assert_eq!(error(b"RIFF"), "it is not an AVI file");
    assert_eq!(error(b"RIFF\x10\0\0\0WAVEfmt "), "it is not an AVI file");
    assert_eq!(error(b"RIFF\x10\0\0\0AVI "), "its headers are damaged: the list of frames is missing");
    let mut bytes = avi(&[sample(16, 16)], 5.0);
    let strf = bytes.windows(4).position(|four| four == b"strf").unwrap();
    bytes[strf + 24..strf + 28].copy_from_slice(b"H264");
    assert_eq!(error(&bytes), "its video is coded as 'H264', not as MJPG");
}

#[test]
fn as_a_source_it_is_played_and_bad_frames_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.avi");
    let jpeg = sample(32, 24);
    let mut bytes = avi(&[jpeg.clone(), jpeg.clone(), jpeg.clone()], 4.0);
    let frame_2 = bytes.windows(4).position(|four| four == b"movi").unwrap()
        + 4
        + 8
        + jpeg.len().next_multiple_of(2)
        + 8;
    bytes[frame_2 + jpeg.len() - 1] = 0;
    std::fs::write(&path, bytes).unwrap();
    let id = CameraId::new("test").unwrap();
    let camera = Camera { speed: Speed::Max, loops: 2, ..Camera::new(id, path.to_str().unwrap().into()) };
    let clock = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH);
    let mut source = open(&camera, Arc::new(clock)).unwrap();
    let mut seen = Vec::new();
    loop {
        match source.next_frame(Duration::ZERO) {
            Ok(frame) => seen.push((frame.seq, frame.captured_at.0.as_millis())),
            Err(SourceError::BadFrame(_)) => seen.push((99, 0)),
            Err(SourceError::Ended) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(seen, [(0, 0), (99, 0), (2, 500), (3, 750), (99, 0), (5, 1250)]);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let whole = [b"RIFF\0\0\0\0AVI ".as_slice(), &bytes].concat();
        for bytes in [bytes, whole] {
            if let Ok(mut reader) = AviReader::new(Cursor::new(bytes)) {
                while let Ok(Some(_)) = reader.next_frame() {}
            }
        }
    }

    #[test]
    fn damaged_files_never_panic(
        damage in proptest::collection::vec((0usize..4000, any::<u8>()), 1..12),
    ) {
        let mut bytes = avi(&[sample(16, 16), sample(16, 16)], 5.0);
        for (at, value) in damage {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        let length = bytes.len();
        if let Ok(mut reader) = AviReader::new(Cursor::new(bytes)) {
            while let Ok(Some(frame)) = reader.next_frame() {
                prop_assert!(frame.len() <= length);
            }
            reader.rewind();
            while reader.skip_frame().unwrap_or(false) {}
        }
    }
}
