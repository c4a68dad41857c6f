//! How long a pair of photos and a camera frame take.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, RgbImage};

use super::super::assembly::tracker_settings;
use super::super::engine::{Engine, ModelArgs, model_failure, read_photo};
use super::super::exit::{Exit, Failure, OrExit};
use super::process::{Used, run_to_end};
use super::{Row, median};
use crate::clock::{Clock, Moment, SystemClock};
use crate::domain::Payload;
use crate::inference::{Detector, Embedder, LivenessModel, OrtLiveness};
use crate::sys::process::{resident_bytes, thread_cpu_time};
use crate::tracking::Tracker;
use crate::vision::decode::decode;
use crate::vision::edges::{EdgeMemory, around, enclosure};
use crate::vision::exposure::overexposed;
use crate::vision::quality::assess;
use crate::vision::resize::{Sampling, resize};

const WARM_RUNS: usize = 30;
const COLD_RUNS: usize = 7;

/// Two photos of one megapixel: decode, detect, embed, compare.
pub(super) fn pair(models: &ModelArgs, pictures: &Path) -> Result<Vec<Row>, Failure> {
    let folder = tempfile::tempdir().or_exit(Exit::CannotWrite)?;
    let files = ["obama.jpg", "obama2.jpg"].map(|name| (pictures.join(name), folder.path().join(name)));
    for (from, to) in &files {
        one_megapixel(from, to)?;
    }
    let clock = SystemClock::new();
    let mut engine = Engine::load(models)?;
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..WARM_RUNS {
        let started = (clock.now(), thread_cpu_time());
        let mut embeddings = Vec::new();
        for (_, path) in &files {
            let picture = read_photo(path).or_exit(Exit::NoInput)?;
            let faces = engine.faces(&picture).or_exit(Exit::Internal)?;
            let face =
                faces.first().ok_or_else(|| Failure::new(Exit::CannotTell, "no face on a test picture"))?;
            embeddings.push(engine.embedder.embed(&picture, &face.detection).or_exit(Exit::Internal)?);
        }
        embeddings[0].cosine(&embeddings[1]).or_exit(Exit::Internal)?;
        wall.push(milliseconds(clock.now().since(started.0)));
        cpu.push(milliseconds(thread_cpu_time().saturating_sub(started.1)));
    }
    let mut cold: Vec<Used> = Vec::new();
    let arguments: Vec<&Path> =
        [Path::new("compare")].into_iter().chain(files.iter().map(|f| f.1.as_path())).collect();
    for _ in 0..COLD_RUNS {
        cold.push(run_to_end(&arguments)?);
    }
    let peak = cold.iter().map(|used| used.peak_bytes).max().unwrap_or(0);
    let cold_ms = median(cold.iter().map(|used| milliseconds(used.wall)).collect());
    Ok(vec![
        Row::new(
            "two photos of 1 megapixel, warm",
            format!("{:.1} ms ({:.1} ms CPU)", median(wall), median(cpu)),
            "50 ms",
        ),
        Row::new("the same as a whole process, from a cold start", format!("{cold_ms:.0} ms"), "400 ms"),
        Row::new("the same: peak memory", megabytes(peak), "120 MB"),
    ])
}

/// One frame of a 720p MJPEG camera with a face on it.
pub(super) fn frame(models: &ModelArgs, pictures: &Path) -> Result<Vec<Row>, Failure> {
    let jpeg = camera_frame(&pictures.join("obama2.jpg"))?;
    let mut engine = Engine::load(models)?;
    let mut liveness = OrtLiveness::load(&models.folders(), "liveness").map_err(model_failure)?;
    let mut tracker = Tracker::new(tracker_settings(&crate::config::Tracking::default()));
    let gates = super::super::engine::gates(&crate::config::Quality::default());
    let (mut decoded, mut detected, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let (mut edges, mut exposure, mut place) = (Vec::new(), Vec::new(), EdgeMemory::new());
    for n in 0..WARM_RUNS {
        let started = thread_cpu_time();
        let picture = decode(Payload::Jpeg(jpeg.clone())).or_exit(Exit::Internal)?;
        let after_decode = thread_cpu_time();
        let faces = engine.detector.detect(&picture).or_exit(Exit::Internal)?;
        let after_detect = thread_cpu_time();
        let at = Moment(Duration::from_millis(33) * u32::try_from(n).unwrap_or(0));
        let update = tracker.update(at, &faces);
        let face =
            faces.first().ok_or_else(|| Failure::new(Exit::CannotTell, "no face on the test frame"))?;
        std::hint::black_box((update, assess(&picture, face, &gates)));
        std::hint::black_box(engine.embedder.embed(&picture, face).or_exit(Exit::Internal)?);
        std::hint::black_box(liveness.judge(&picture, face).or_exit(Exit::Internal)?);
        let end = thread_cpu_time();
        let found = around(&picture, face.box_in_frame).or_exit(Exit::Internal)?;
        std::hint::black_box(found.and_then(|found| enclosure(&place.without_place(&found))));
        let after_edges = thread_cpu_time();
        std::hint::black_box(overexposed(&picture, face.box_in_frame));
        let after_exposure = thread_cpu_time();
        edges.push(milliseconds(after_edges.saturating_sub(end)));
        exposure.push(milliseconds(after_exposure.saturating_sub(after_edges)));
        decoded.push(milliseconds(after_decode.saturating_sub(started)));
        detected.push(milliseconds(after_detect.saturating_sub(started)));
        whole.push(milliseconds(end.saturating_sub(started)));
    }
    let side =
        engine.detector.max_side_px().map_or_else(|| "its own size".into(), |side| format!("{side} px"));
    Ok(vec![
        Row::new("720p MJPEG frame: decode", format!("{:.1} ms CPU", median(decoded)), ""),
        Row::new(
            &format!("720p MJPEG frame: decode and detect ({}, {side})", models.detector),
            format!("{:.1} ms CPU", median(detected)),
            "20 ms CPU",
        ),
        Row::new(
            "720p MJPEG frame with a face fully processed (track, quality, embedding, liveness)",
            format!("{:.1} ms CPU", median(whole)),
            "35 ms CPU",
        ),
        Row::new("720p frame, one face: edges around it", format!("{:.2} ms CPU", median(edges)), ""),
        Row::new("720p frame, one face: over-exposure", format!("{:.2} ms CPU", median(exposure)), ""),
        Row::new(
            "memory with detector, embedder and liveness loaded",
            megabytes(resident_bytes().unwrap_or(0)),
            "",
        ),
    ])
}

/// A 1280 x 720 JPEG with the photo's person in the middle of a grey wall.
pub(super) fn camera_frame(photo: &Path) -> Result<Vec<u8>, Failure> {
    let photo = read_photo(photo).or_exit(Exit::NoInput)?;
    let height = 720;
    let width = photo.width() * height / photo.height();
    let person = resize(&photo, None, width, height, Sampling::Area).or_exit(Exit::Internal)?;
    let mut frame = RgbImage::from_fn(1280, height, |x, y| {
        let shade = u8::try_from(90 + (x / 16 + y / 9) % 64).unwrap_or(128);
        image::Rgb([shade, shade, shade])
    });
    image::imageops::overlay(&mut frame, &person, i64::from((1280 - width) / 2), 0);
    encode(&frame)
}

fn one_megapixel(from: &Path, to: &PathBuf) -> Result<(), Failure> {
    let photo = read_photo(from).or_exit(Exit::NoInput)?;
    let scale = (1e6 / (f64::from(photo.width()) * f64::from(photo.height()))).sqrt();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sides of about a thousand pixels"
    )]
    let side = |pixels: u32| (f64::from(pixels) * scale).round() as u32;
    let scaled = resize(&photo, None, side(photo.width()), side(photo.height()), Sampling::Area);
    std::fs::write(to, encode(&scaled.or_exit(Exit::Internal)?)?).or_exit(Exit::CannotWrite)
}

fn encode(picture: &RgbImage) -> Result<Vec<u8>, Failure> {
    let mut jpeg = Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut jpeg, 85)
        .encode(picture.as_raw(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .or_exit(Exit::Internal)?;
    Ok(jpeg.into_inner())
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "megabytes are shown without decimals")]
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}
