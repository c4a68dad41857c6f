//! The two gates against drawn replays: phones and prints that somebody holds before a door, and people who are there.
//!
//! No real replay was measured: these drawings say what the gates are made for and that they do it.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "coordinates are clamped to the pictures before they become indices"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use facewarden::clock::{Clock, Moment, SystemClock};
use facewarden::cmds::clip::{Cutout, Pose};
use facewarden::domain::{Detection, Rect};
use facewarden::inference::{Detector, DetectorOptions, ModelFolders, OrtDetector, start_runtime};
use facewarden::tracking::{Tracker, TrackerSettings};
use facewarden::vision::edges::{EdgeGate, EdgeMemory, EdgeSettings, around, enclosure};
use facewarden::vision::exposure::{SUSPICIOUS_SHARE, overexposed};
use facewarden::vision::gate::{Gate, GateSettings, GateVerdict};
use image::{Rgb, RgbImage};

const WIDTH: u32 = 400;
const HEIGHT: u32 = 260;
/// Three seconds, ten frames each.
const FRAMES: u32 = 30;
/// How wide faces are, pixels.
const FACE: f32 = 60.0;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn detector() -> OrtDetector {
    start_runtime(None).unwrap();
    OrtDetector::load(&ModelFolders::only(root().join("models")), "centerface", DetectorOptions::default())
        .unwrap()
}

/// A photo and its face.
struct Photo {
    pixels: RgbImage,
    face: Detection,
}

fn photos() -> Vec<Photo> {
    let mut detector = detector();
    let mut open = |name: &str| {
        let bytes = std::fs::read(root().join("tests/pictures").join(name)).unwrap();
        let pixels = facewarden::vision::photo::decode(&bytes).unwrap();
        let face = detector.detect(&pixels).unwrap().remove(0);
        Photo { pixels, face }
    };
    ["biden.jpg", "astronaut.png"].map(&mut open).into()
}

/// Places people stand in.
#[derive(Debug, Clone, Copy)]
enum Place {
    Wall,
    /// A frame right around the head of whoever stands in the middle.
    Doorway,
    /// Upright stripes, half a face apart.
    Blinds,
}
const PLACES: [Place; 3] = [Place::Wall, Place::Doorway, Place::Blinds];

fn backdrop(place: Place) -> RgbImage {
    RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let wall = 150 - (x / 10) as u8 - (y / 22) as u8;
        let beside = (x as f32 - 200.0).abs() / FACE;
        let v = match place {
            Place::Wall => wall,
            Place::Doorway if beside < 0.85 && y > 42 => wall - 60,
            Place::Doorway if beside < 1.0 && y > 32 => 200,
            Place::Doorway => wall,
            Place::Blinds => wall - if (x as f32 / FACE * 2.0).fract() < 0.5 { 45 } else { 0 },
        };
        Rgb([v, v, v - 6])
    })
}

/// Even numbers from -1 to 1, always the same.
fn noise(state: &mut u64) -> f32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    f32::from((*state >> 48) as u16) / 32_768.0 - 1.0
}

/// The sensor's: about two grey levels.
fn grain(frame: &mut RgbImage, state: &mut u64) {
    for pixel in frame.pixels_mut() {
        let by = (3.5 * noise(state)) as i8;
        pixel.0 = pixel.0.map(|v| v.saturating_add_signed(by));
    }
}

/// What a replay is shown on; lengths in widths of the face.
#[derive(Debug, Clone, Copy)]
struct Medium {
    /// From the face's middle to the edge of the picture on it, to the side and up or down.
    half: [f32; 2],
    /// How wide the bezel or margin is, and its grey.
    rim: f32,
    grey: u8,
    /// Added to the picture's light.
    glow: u8,
}
const PHONE: Medium = Medium { half: [0.72, 1.25], rim: 0.07, grey: 18, glow: 25 };
const BRIGHT_PHONE: Medium = Medium { glow: 140, ..PHONE };
const TABLET: Medium = Medium { half: [1.2, 1.35], rim: 0.12, grey: 25, glow: 15 };
const PRINT: Medium = Medium { half: [0.8, 1.05], rim: 0.12, grey: 235, glow: 0 };

/// One frame of a replay held in the hand, and the box of its face.
fn held(photo: &Photo, medium: Medium, place: &RgbImage, [x, y, roll]: [f32; 3]) -> (RgbImage, Rect) {
    let mut frame = place.clone();
    let (area, centre) = (photo.face.box_in_frame, photo.face.box_in_frame.centre());
    let scale = area.width() / FACE;
    let (sin, cos) = roll.sin_cos();
    for row in 0..HEIGHT {
        for column in 0..WIDTH {
            let (dx, dy) = (column as f32 - x, row as f32 - y);
            let (u, v) = (cos * dx + sin * dy, cos * dy - sin * dx);
            let beyond = (u.abs() / FACE - medium.half[0]).max(v.abs() / FACE - medium.half[1]);
            if beyond > medium.rim {
                continue;
            }
            let seen = if beyond > 0.0 {
                [medium.grey; 3]
            } else {
                let clamp = |at: f32, side: u32| (at.max(0.0) as u32).min(side - 1);
                let (px, py) = (centre.x + u * scale, centre.y + v * scale);
                let (px, py) = (clamp(px, photo.pixels.width()), clamp(py, photo.pixels.height()));
                photo.pixels.get_pixel(px, py).0.map(|v| v.saturating_add(medium.glow))
            };
            frame.put_pixel(column, row, Rgb(seen));
        }
    }
    let half = [FACE / 2.0, area.height() / scale / 2.0];
    (frame, Rect::new(x - half[0], y - half[1], x + half[0], y + half[1]))
}

/// What the gates make of a sequence: the verdicts at its end, and the share of frames that were suspicious each.
#[derive(Debug)]
struct Judged {
    edges: GateVerdict,
    enclosed: f32,
    exposure: GateVerdict,
    bright: f32,
}

fn judge(frames: impl Iterator<Item = (RgbImage, Rect)>, memory: &mut EdgeMemory) -> Judged {
    let (mut edge_gate, mut exposure_gate) =
        (EdgeGate::new(EdgeSettings::default()), Gate::new(GateSettings::default()));
    let (mut state, mut count, mut enclosed, mut bright) = (5_u64, 0, 0, 0);
    let mut ever = GateVerdict::Clear;
    for (frame, face) in frames {
        let at = Moment(Duration::from_millis(100 * count));
        // Boxes of detectors jitter.
        let by = [(); 4].map(|()| 0.02 * FACE * noise(&mut state));
        let face = Rect::new(face.x1 + by[0], face.y1 + by[1], face.x2 + by[2], face.y2 + by[3]);
        let seen = around(&frame, face).unwrap().unwrap();
        let found = enclosure(&memory.without_place(&seen));
        edge_gate.add(at, face, found);
        let is_bright = overexposed(&frame, face).unwrap() > SUSPICIOUS_SHARE;
        exposure_gate.add(at, is_bright);
        enclosed += u32::from(found.is_some());
        bright += u32::from(is_bright);
        count += 1;
        if edge_gate.verdict() == GateVerdict::Suspicious {
            ever = GateVerdict::Suspicious;
        }
    }
    let share = |n: u32| n as f32 / count as f32;
    Judged {
        edges: ever,
        enclosed: share(enclosed),
        exposure: exposure_gate.verdict(),
        bright: share(bright),
    }
}

/// Somebody there: sways on the spot, or walks past.
fn live(photo: &Photo, place: &RgbImage, walks: bool) -> Vec<(RgbImage, Rect)> {
    let points = photo.face.landmarks_in_frame;
    let person = Cutout::new(&photo.pixels, photo.face.box_in_frame, [points[0], points[1]]).unwrap();
    let high = photo.face.box_in_frame.height() / photo.face.box_in_frame.width();
    let mut state = 11;
    let frame = |n: u32| {
        let t = n as f32 / 10.0;
        let x = if walks { 70.0 + 80.0 * t } else { 200.0 + 0.15 * FACE * (1.7 * t).sin() };
        let y = 120.0 + 0.04 * FACE * (4.0 * t).sin();
        let mut frame = place.clone();
        let pose =
            Pose { x, y, face_width: FACE, roll: 0.03 * t.sin(), light: 1.0, opacity: 1.0, defocus: 0.0 };
        person.draw(&mut frame, pose, 0.0);
        grain(&mut frame, &mut state);
        (frame, Rect::new(x - FACE / 2.0, y - FACE * high / 2.0, x + FACE / 2.0, y + FACE * high / 2.0))
    };
    (0..FRAMES).map(frame).collect()
}

/// A replay held in the hand: it drifts and trembles.
fn replayed(photo: &Photo, medium: Medium, place: &RgbImage) -> Vec<(RgbImage, Rect)> {
    let (mut state, mut tremble) = (3, 17);
    let frame = |n: u32| {
        let t = n as f32 / 10.0;
        let x = 206.0 + 0.15 * FACE * (0.9 * t).sin() + 1.5 * noise(&mut tremble);
        let y = 130.0 + 0.10 * FACE * (1.3 * t).sin() + 1.5 * noise(&mut tremble);
        let roll = 0.08 + 0.05 * (0.7 * t).sin();
        let (mut frame, face) = held(photo, medium, place, [x, y, roll]);
        grain(&mut frame, &mut state);
        (frame, face)
    };
    (0..FRAMES).map(frame).collect()
}

#[test]
fn drawn_replays_are_suspicious_and_people_are_not() {
    let photos = photos();
    let keep = std::env::var_os("FACEWARDEN_REPLAY_FRAMES").map(std::path::PathBuf::from);
    let mut problems = Vec::new();
    for (at, place) in PLACES.into_iter().enumerate() {
        let drawn = backdrop(place);
        let (photo, other) = (&photos[at % 2], &photos[(at + 1) % 2]);
        let cases = [
            ("sways", live(photo, &drawn, false), [false; 2]),
            ("walks", live(other, &drawn, true), [false; 2]),
            match place {
                Place::Wall => ("phone", replayed(photo, PHONE, &drawn), [true, false]),
                Place::Doorway => ("tablet", replayed(photo, TABLET, &drawn), [true, false]),
                Place::Blinds => ("bright phone", replayed(photo, BRIGHT_PHONE, &drawn), [true, true]),
            },
            ("print", replayed(other, PRINT, &drawn), [true, false]),
        ];
        for (what, frames, expected) in cases {
            if let Some(folder) = &keep {
                frames[20].0.save(folder.join(format!("{place:?}-{what}.png"))).unwrap();
            }
            let judged = judge(frames.into_iter(), &mut EdgeMemory::new());
            println!("{place:?} {what}: {judged:.2?}");
            let is = [judged.edges, judged.exposure].map(|verdict| verdict == GateVerdict::Suspicious);
            let bounds = if expected[0] { judged.enclosed >= 0.8 } else { judged.enclosed <= 0.6 };
            if is != expected || !bounds || (judged.bright > 0.5) != expected[1] {
                problems.push(format!("{place:?} {what}: {judged:.2?}"));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// What the gates say about real footage of people: run it by name with `FACEWARDEN_LIVE_CLIP` naming a clip without
/// replays (and `FACEWARDEN_FFMPEG` the ffmpeg to read it with), in release to get true times.
#[test]
#[ignore = "needs a clip that is not part of the project"]
fn people_on_a_clip_are_not_suspicious() {
    let clip = std::env::var("FACEWARDEN_LIVE_CLIP").unwrap();
    let ffmpeg = std::env::var("FACEWARDEN_FFMPEG").unwrap_or_else(|_| "ffmpeg".to_owned());
    let (width, height) = (1280_u32, 720_u32);
    let filter = format!("fps=12.5,scale={width}:{height}");
    let mut child = Command::new(ffmpeg)
        .args(["-v", "error", "-i", &clip, "-vf", &filter, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut detector = detector();
    let mut tracker = Tracker::new(TrackerSettings {
        confirm_after: 2,
        max_missed: Duration::from_millis(600),
        min_iou: 0.25,
    });
    let (mut memory, mut gates) = (EdgeMemory::new(), BTreeMap::new());
    let clock = SystemClock::new();
    let (mut faces, mut enclosed, mut raw, mut bright, mut times) = (0, 0, 0, 0, Vec::new());
    let mut suspicious = BTreeSet::new();
    let mut pixels = vec![0; (width * height * 3) as usize];
    let mut number = 0;
    while stdout.read_exact(&mut pixels).is_ok() {
        let frame = RgbImage::from_raw(width, height, pixels.clone()).unwrap();
        let at = Moment(Duration::from_millis(80 * number));
        number += 1;
        let found = detector.detect(&frame).unwrap();
        for track in tracker.update(at, &found).tracks {
            let face = track.detection.box_in_frame;
            let before = clock.now();
            let Some(seen) = around(&frame, face).unwrap() else { continue };
            let left = enclosure(&memory.without_place(&seen));
            times.push(clock.now().since(before));
            let gate = gates.entry(track.id).or_insert_with(|| EdgeGate::new(EdgeSettings::default()));
            gate.add(at, face, left);
            faces += 1;
            raw += u32::from(enclosure(&seen).is_some());
            enclosed += u32::from(left.is_some());
            bright += u32::from(overexposed(&frame, face).unwrap_or(0.0) > SUSPICIOUS_SHARE);
            if gate.verdict() == GateVerdict::Suspicious {
                suspicious.insert(track.id);
            }
        }
    }
    child.wait().unwrap();
    times.sort();
    println!(
        "{number} frames, {faces} faces of {} tracks: enclosed {raw}, without the place {enclosed}, over-exposed {bright}, \
         suspicious tracks {}; time for a face: median {:?}, 95 % {:?}",
        gates.len(),
        suspicious.len(),
        times[times.len() / 2],
        times[times.len() * 95 / 100],
    );
    assert!(faces > 20 && suspicious.is_empty(), "{suspicious:?}");
    assert!(bright * 20 <= faces, "{bright} of {faces} faces over-exposed");
}

/// How many people on press photos stand, as far as a single frame tells, before something that looks like a screen's edge: an upper bound, as a still
/// cannot be held against a memory or a motion. `FACEWARDEN_PHOTOS` names a folder with pictures.
#[test]
#[ignore = "needs photos that are not part of the project"]
fn people_on_photos_are_enclosed_now_and_then() {
    let folder = std::env::var("FACEWARDEN_PHOTOS").unwrap();
    let mut detector = detector();
    let (mut faces, mut enclosed, mut bright) = (0_u32, 0_u32, 0_u32);
    let mut folders = vec![std::path::PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(photo) = facewarden::vision::photo::decode(&std::fs::read(&path).unwrap()) else {
                continue;
            };
            let Some(face) = detector.detect(&photo).unwrap().first().copied() else { continue };
            let Some(seen) = around(&photo, face.box_in_frame).unwrap() else { continue };
            faces += 1;
            enclosed += u32::from(enclosure(&seen).is_some());
            bright += u32::from(overexposed(&photo, face.box_in_frame).unwrap_or(0.0) > SUSPICIOUS_SHARE);
        }
    }
    println!("{faces} faces: {enclosed} enclosed, {bright} over-exposed");
    // Measured: 35 of 164. Alone, a frame proves nothing: the verdict asks for motion with the face.
    assert!(faces > 0 && enclosed * 10 <= faces * 3 && bright * 20 <= faces);
}
