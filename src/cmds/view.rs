//! `--annotate` of `run`: what the daemon sees, drawn into a video or a folder of pictures.

use std::io::Write;
use std::path::{Path, PathBuf};

use crossbeam_channel::Receiver;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, RgbImage};

use super::daemon::StartView;
use super::exit::{Exit, Failure, OrExit};
use crate::camera::avi_write::AviWriter;
use crate::domain::{Rect, Track, TrackState, Verdict};
use crate::pipeline::{Seen, Verdicts};
use crate::sys::thread::{self, Thread};
use crate::vision::draw::{self, AMBER, BLACK, GLYPH_SIDE, GREEN, Ink, RED, WHITE};

/// JPEG quality of drawn frames.
const QUALITY: u8 = 85;

/// A drawing under way.
pub(super) struct Drawing(Receiver<Thread<Result<(), Failure>>>);

impl Drawing {
    /// Waits until everything is drawn and the file is complete.
    pub(super) fn finish(self) -> Result<(), Failure> {
        // Nothing was started if the daemon failed before; that failure is reported by itself.
        let Ok(thread) = self.0.try_recv() else { return Ok(()) };
        thread.join().or_exit(Exit::Internal)?
    }
}

/// Prepares a drawing into `path`: an `.avi` file at `fps` frames a second, or a folder of numbered JPEG files.
pub(super) fn draw_into(path: &Path, fps: f64) -> Result<(StartView, Drawing), Failure> {
    let mut target = if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("avi")) {
        Target::Avi(Box::new(AviWriter::create(path, fps).or_exit(Exit::CannotWrite)?))
    } else {
        std::fs::create_dir_all(path).or_exit(Exit::CannotWrite)?;
        Target::Folder(path.to_owned())
    };
    let (tell, drawing) = crossbeam_channel::bounded(1);
    let start: StartView = Box::new(move |seen: Receiver<Seen>, verdicts| {
        let thread = thread::spawn("draw", move || {
            for seen in seen {
                target.write(seen.frame.seq, &annotated(&seen, &verdicts))?;
            }
            target.finish()
        })
        .or_exit(Exit::Unavailable)?;
        tell.try_send(thread).map_err(|_| Failure::new(Exit::Internal, "the drawing was started twice"))
    });
    Ok((start, Drawing(drawing)))
}

enum Target {
    Avi(Box<AviWriter<std::io::BufWriter<std::fs::File>>>),
    Folder(PathBuf),
}

impl Target {
    fn write(&mut self, seq: u64, picture: &RgbImage) -> Result<(), Failure> {
        let jpeg = jpeg(picture).or_exit(Exit::Internal)?;
        match self {
            Self::Avi(writer) => writer.write_jpeg(&jpeg).or_exit(Exit::CannotWrite),
            Self::Folder(folder) => {
                let path = folder.join(format!("{seq:06}.jpg"));
                // Faces are biometric data: for the user's eyes only.
                private_file(&path).and_then(|mut file| file.write_all(&jpeg)).or_exit(Exit::CannotWrite)
            }
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Avi(writer) => writer.finish().map(drop).or_exit(Exit::CannotWrite),
            Self::Folder(_) => Ok(()),
        }
    }
}

/// A picture as a JPEG file.
///
/// # Errors
/// If it is larger than JPEG can hold.
pub(super) fn jpeg(picture: &RgbImage) -> image::ImageResult<Vec<u8>> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode(
        picture.as_raw(),
        picture.width(),
        picture.height(),
        ExtendedColorType::Rgb8,
    )?;
    Ok(jpeg)
}

fn private_file(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// The frame with a box, a number and a name for each track.
pub(super) fn annotated(seen: &Seen, verdicts: &Verdicts) -> RgbImage {
    let mut picture = seen.frame.pixels.as_ref().clone();
    let scale = (picture.height() / 360).max(1);
    for track in &seen.tracks {
        let (ink, words) = label(track, verdicts.of(track.id));
        let area = track.detection.box_in_frame;
        draw::outline(&mut picture, area, ink, scale + 1);
        if track.state != TrackState::Missed {
            for point in track.detection.landmarks_in_frame {
                draw::dot(&mut picture, point, scale, ink);
            }
        }
        let (x, y) = label_place(area, scale);
        draw::text(&mut picture, x, y, scale, &words, ink_on(ink), BLACK);
    }
    picture
}

fn label(track: &Track, verdict: Option<Verdict>) -> (Ink, String) {
    let number = track.id;
    match (verdict, track.state) {
        (Some(Verdict::Verified(person)), _) => (GREEN, format!("{number} {person}")),
        (Some(Verdict::Unknown(_)), _) => (RED, format!("{number} unknown")),
        (Some(Verdict::Rejected(_)), _) => (RED, format!("{number} rejected")),
        (None, TrackState::Tentative) => (WHITE, format!("{number}?")),
        (None, TrackState::Missed) => (AMBER, format!("{number} (predicted)")),
        (None, TrackState::Confirmed) => (AMBER, format!("{number}")),
    }
}

fn ink_on(ink: Ink) -> Ink {
    if ink == RED { WHITE } else { ink }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` cuts at the ends of i64, and drawing ignores what is outside"
)]
fn label_place(area: Rect, scale: u32) -> (i64, i64) {
    let height = i64::from(GLYPH_SIDE * scale + 4 * scale);
    (area.x1 as i64 + i64::from(2 * scale), (area.y1 as i64 - height).max(i64::from(2 * scale)))
}
