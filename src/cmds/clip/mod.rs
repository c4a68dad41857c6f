//! A clip without a camera: people from still photos walk up a drawn corridor.
//!
//! Everything a door camera makes hard is in it: a face that begins a few pixels wide, sways and rolls, is out of
//! focus and in bad light far away, moves while the shutter is open, and sensor noise. The same scenes always give
//! the same frames, to the bit.

mod corridor;
mod sprite;
mod story;

use std::f32::consts::TAU;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageError, RgbImage};

pub use sprite::{Cutout, Pose};
pub use story::{DemoStory, StoryError, demo_scenes};

use corridor::{Noise, corridor};

/// How the clip is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipOptions {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames a second.
    pub fps: f32,
    /// Where the noise begins: another number, other noise.
    pub seed: u64,
}

impl Default for ClipOptions {
    /// 1280 x 720, 12.5 frames a second.
    fn default() -> Self {
        Self { width: 1280, height: 720, fps: 12.5, seed: 1 }
    }
}

/// A part of the clip.
#[derive(Debug, Clone)]
pub enum Scene {
    /// Nobody there.
    Empty(Duration),
    /// Somebody walks up, stops in front of the camera, and leaves to the side.
    WalkUp(Walk),
}

/// One person's way. Lengths are for a picture 1280 pixels wide.
#[derive(Debug, Clone)]
pub struct Walk {
    /// Who, cut out of a photo.
    pub person: Arc<Cutout>,
    /// How wide the face is at the far end, pixels.
    pub first_width_px: f32,
    /// How wide it is in front of the camera, pixels.
    pub last_width_px: f32,
    /// Walking up.
    pub approach: Duration,
    /// Standing there.
    pub stay: Duration,
    /// Walking out of the picture.
    pub leave: Duration,
}

impl Walk {
    /// About five seconds, the face from 36 to 220 pixels wide.
    #[must_use]
    pub fn new(person: Arc<Cutout>) -> Self {
        Self {
            person,
            first_width_px: 36.0,
            last_width_px: 220.0,
            approach: Duration::from_millis(2800),
            stay: Duration::from_millis(1200),
            leave: Duration::from_millis(800),
        }
    }

    fn seconds(&self) -> [f32; 3] {
        [self.approach, self.stay, self.leave].map(|d| d.as_secs_f32())
    }

    /// Where the person is after `t` seconds. `scale` is the picture's width over 1280.
    fn pose(&self, t: f32, scale: f32) -> Pose {
        let [approach, stay, leave] = self.seconds();
        // Distance goes down evenly, and slower over the last steps; width is the inverse of distance.
        let along = (t / approach).clamp(0.0, 1.0);
        let eased = along + 0.35 * (along - along * along) * along;
        let nearness =
            1.0 / (1.0 / self.first_width_px).mul_add(1.0 - eased, (1.0 / self.last_width_px) * eased);
        let walking = 1.0 - smooth(approach - 0.4, approach + 0.3, t) * 0.85;
        let stride = TAU * 0.95 * t;
        let width = nearness;
        let gone = ((t - approach - stay) / leave).clamp(0.0, 1.0);
        let out = gone * gone * (640.0 + 2.6 * width);
        Pose {
            x: scale * (640.0 + width * walking * 0.20 * stride.sin() + (1.0 - along) * 26.0 + out),
            y: scale * (300.0 + width * (0.35 * along + walking * 0.05 * (2.0 * stride).sin())),
            face_width: scale * width,
            roll: walking * 0.045 * (stride + 0.6).sin() + 0.015 * (1.3 * t).sin() + 0.06 * gone,
            light: 0.42 + 0.58 * smooth(0.1, 0.75, along),
            opacity: smooth(-0.05, 0.3, t),
            defocus: 0.8 * (1.0 - smooth(0.2, 0.75, along)),
        }
    }
}

impl Scene {
    fn frames(&self, fps: f32) -> u32 {
        let seconds = match self {
            Self::Empty(duration) => duration.as_secs_f32(),
            Self::WalkUp(walk) => walk.seconds().iter().sum(),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few seconds of frames"
        )]
        let frames = (seconds * fps).round() as u32;
        frames
    }
}

/// How many frames [`render_demo`] gives.
#[must_use]
pub fn frame_count(scenes: &[Scene], options: ClipOptions) -> u32 {
    scenes.iter().map(|scene| scene.frames(options.fps)).sum()
}

/// Draws the scenes, one frame after the other as they are asked for.
pub fn render_demo(scenes: &[Scene], options: ClipOptions) -> impl Iterator<Item = RgbImage> {
    let empty = corridor(options.width, options.height);
    let mut noise = Noise::new(options.seed);
    let moments =
        scenes.iter().flat_map(move |scene| (0..scene.frames(options.fps)).map(move |n| (scene, n)));
    moments.map(move |(scene, n)| {
        let mut frame = empty.clone();
        if let Scene::WalkUp(walk) = scene {
            let scale = options.width as f32 / 1280.0;
            let t = n as f32 / options.fps;
            // The shutter is open for a fiftieth of a second.
            let (pose, moved) = (walk.pose(t, scale), walk.pose(t + 0.02, scale));
            walk.person.draw(&mut frame, pose, moved.x - pose.x);
        }
        noise.add(&mut frame);
        frame
    })
}

/// A frame as JPEG, quality 90.
///
/// # Errors
/// If the encoder refuses it: a side of 0 or above 65,535.
pub fn jpeg(frame: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::with_capacity(200_000);
    JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(frame)?;
    Ok(bytes)
}

/// Writes frames into a folder, which is made if need be, as `frame-00001.jpg` and so on. Returns how many.
///
/// # Errors
/// If a frame cannot be encoded or written.
pub fn write_folder(frames: impl Iterator<Item = RgbImage>, folder: &Path) -> io::Result<usize> {
    fs::create_dir_all(folder)?;
    let mut count = 0;
    for frame in frames {
        count += 1;
        let bytes = jpeg(&frame).map_err(io::Error::other)?;
        fs::write(folder.join(format!("frame-{count:05}.jpg")), bytes)?;
    }
    Ok(count)
}

/// 0 up to `from`, 1 from `to` on, and a smooth step in between.
fn smooth(from: f32, to: f32, at: f32) -> f32 {
    let t = ((at - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Point, Rect};

    fn person() -> Arc<Cutout> {
        let photo = RgbImage::from_fn(300, 300, |x, y| image::Rgb([200, x as u8 / 2, y as u8 / 2]));
        let eyes = [Point::new(130.0, 130.0), Point::new(170.0, 130.0)];
        Arc::new(Cutout::new(&photo, Rect::new(110.0, 100.0, 190.0, 200.0), eyes).unwrap())
    }

    fn small() -> ClipOptions {
        ClipOptions { width: 320, height: 180, fps: 10.0, seed: 3 }
    }

    #[test]
    fn the_same_scenes_give_the_same_frames() {
        let scenes = [Scene::Empty(Duration::from_millis(300)), Scene::WalkUp(Walk::new(person()))];
        let frames: Vec<_> = render_demo(&scenes, small()).collect();
        assert_eq!(frames.len(), 3 + 48);
        assert_eq!(frames.len(), frame_count(&scenes, small()) as usize);
        assert!(frames.iter().all(|f| f.dimensions() == (320, 180)));
        assert!(frames.iter().eq(render_demo(&scenes, small()).collect::<Vec<_>>().iter()));
        assert_ne!(frames[0], frames[1], "no noise");
        let other = ClipOptions { seed: 4, ..small() };
        assert_ne!(render_demo(&scenes, other).next().unwrap(), frames[0]);
    }

    #[test]
    fn a_walk_comes_near_and_never_jumps() {
        let walk = Walk::new(person());
        let poses: Vec<Pose> = (0..=50).map(|n| walk.pose(n as f32 * 0.08, 1.0)).collect();
        assert!((poses[0].face_width - 36.0).abs() < 1.0, "{:?}", poses[0]);
        assert!((poses[50].face_width - 220.0).abs() < 1.0, "{:?}", poses[50]);
        for pair in poses.windows(2) {
            let growth = pair[1].face_width / pair[0].face_width;
            assert!((1.0..1.25).contains(&growth), "{pair:?}");
            let shift = (pair[1].x - pair[0].x).hypot(pair[1].y - pair[0].y);
            assert!(shift < 0.35 * pair[0].face_width, "{pair:?}");
        }
        let gone = walk.pose(4.79, 1.0);
        assert!(gone.x - gone.face_width > 1280.0, "{gone:?}");
    }

    #[test]
    fn frames_are_written_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let scenes = [Scene::Empty(Duration::from_millis(200))];
        assert_eq!(write_folder(render_demo(&scenes, small()), &folder.path().join("clip")).unwrap(), 2);
        let bytes = fs::read(folder.path().join("clip/frame-00002.jpg")).unwrap();
        assert_eq!(crate::vision::photo::decode(&bytes).unwrap().dimensions(), (320, 180));
    }
}
