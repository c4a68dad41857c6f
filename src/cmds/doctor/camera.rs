//! Each camera: whether it opens and gives what is asked for, how fast, and whether there is light enough.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use image::RgbImage;

use super::finding::{Findings, State};
use crate::camera::{FrameSource, SourceError, opener, shown_source};
use crate::clock::{Clock, Moment, SystemClock};
use crate::config::{Camera, Speed};
use crate::domain::CapturedFrame;
use crate::sys::holders::holders;
use crate::vision::decode::decode;
use crate::vision::exposure::BRIGHT;
use crate::vision::tensor::luma;

const CHECK: &str = "camera";
const LIGHT: &str = "light";
const RATE: &str = "rate";

/// A camera has so long for its first frame...
const FIRST_FRAME: Duration = Duration::from_secs(15);
/// ... and is then watched for so long.
const WATCHED: Duration = Duration::from_secs(2);
/// A recording that is played as fast as possible is looked at no longer than this many pictures.
const MOST_FRAMES: usize = 200;

/// Cameras expose for a middle grey of 118 of 255 (18 % of the light, in sRGB). A sixteenth of that light is:
const DARK: f32 = 33.0;
/// The picture is blinded where more than this part of it is white.
const BLINDED: f32 = 0.5;
/// A rate below this part of what is asked for is said.
const SLOW: f64 = 0.7;

/// Looks at one camera. Nothing of its pictures is kept.
pub(super) fn examine(camera: &Camera, daemon: Option<u32>) -> Findings {
    let mut found = Findings::default();
    let shown = format!("{} at {}", camera.id, shown_source(&camera.source));
    if let Some(holder) = holder_of(&camera.source, daemon) {
        match holder {
            Holder::Daemon => found.ok(CHECK, format_args!("{shown}: in use by facewarden, so not opened")),
            Holder::Other(who) => found.fail(
                CHECK,
                format_args!("{shown}: in use by {who}"),
                "end that program, or give the door a camera of its own",
            ),
        }
        return found;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let opened = opener(camera, Arc::clone(&clock)).and_then(|mut open| open());
    let mut source = match opened {
        Ok(source) => source,
        Err(error) => {
            found.say(CHECK, State::Fail, format_args!("{}: {error}", camera.id));
            return found;
        }
    };
    let seen = watch(&mut *source, &*clock);
    say(camera, &*source, &seen, &mut found);
    found
}

enum Holder {
    Daemon,
    Other(String),
}

/// Who has the device open. `daemon` is the daemon's process, if the service runs.
fn holder_of(source: &str, daemon: Option<u32>) -> Option<Holder> {
    if !Path::new(source).starts_with("/dev") {
        return None;
    }
    let found = holders(Path::new(source));
    if found.iter().any(|holder| Some(holder.pid) == daemon || holder.name == "facewarden") {
        return Some(Holder::Daemon);
    }
    if let Some(holder) = found.first() {
        return Some(Holder::Other(format!("{} (process {})", holder.name, holder.pid)));
    }
    // Whoever is not root does not see what others have open; and must not take the camera from a daemon that just waits
    // for it.
    (daemon.is_some() && !rustix::process::geteuid().is_root()).then_some(Holder::Daemon)
}

/// What came while a camera was watched.
#[derive(Default)]
struct Seen {
    size: Option<(u32, u32)>,
    first: Option<Moment>,
    last: Option<Moment>,
    frames: u32,
    damaged: u32,
    /// Mean luma 0..=255, and the part that is white 0..=1, of the last picture.
    light: Option<(f32, f32)>,
    /// Why it ended.
    end: Option<SourceError>,
}

fn watch(source: &mut dyn FrameSource, clock: &dyn Clock) -> Seen {
    let mut seen = Seen::default();
    let mut last = None;
    let begun = clock.now();
    for _ in 0..MOST_FRAMES {
        let is_first = seen.frames == 0;
        let now = clock.now();
        let is_over = match seen.first {
            Some(first) => now.since(first) > WATCHED,
            None => now.since(begun) > FIRST_FRAME,
        };
        if is_over {
            break;
        }
        match source.next_frame(if is_first { FIRST_FRAME } else { WATCHED }) {
            Ok(frame) => {
                seen.frames += 1;
                seen.first = seen.first.or(Some(clock.now()));
                seen.last = Some(clock.now());
                last = Some(frame);
            }
            Err(SourceError::BadFrame(_)) => seen.damaged += 1,
            Err(error) => {
                seen.end = Some(error);
                break;
            }
        }
    }
    // The last alone: to decode each would slow down what is measured, and cameras set their exposure on the first ones.
    if let Some(frame) = last {
        seen.look_at(frame);
    }
    seen
}

impl Seen {
    fn look_at(&mut self, frame: CapturedFrame) {
        match decode(frame.payload) {
            Ok(picture) => {
                self.size = Some(picture.dimensions());
                self.light = Some(light(&picture));
            }
            Err(_) => self.damaged += 1,
        }
    }

    /// Frames a second; `None` if there were too few to tell.
    fn fps(&self) -> Option<f64> {
        let took = self.last?.since(self.first?).as_secs_f64();
        (self.frames > 4 && took > 0.0).then(|| f64::from(self.frames - 1) / took)
    }
}

/// Mean luma, 0..=255, and the part of the picture that is white, 0..=1.
#[expect(clippy::cast_precision_loss, reason = "a share needs no more than the 24 bits")]
fn light(picture: &RgbImage) -> (f32, f32) {
    let (mut sum, mut white, mut count) = (0.0_f64, 0_u32, 0_u32);
    // Every eighth pixel of every eighth row is enough, and quick in any build.
    for y in (0..picture.height()).step_by(8) {
        for x in (0..picture.width()).step_by(8) {
            let value = luma(&picture.get_pixel(x, y).0);
            sum += f64::from(value);
            white += u32::from(value > BRIGHT);
            count += 1;
        }
    }
    let count = count.max(1);
    #[expect(clippy::cast_possible_truncation, reason = "a mean of bytes")]
    let mean = (sum / f64::from(count)) as f32;
    (mean, white as f32 / count as f32)
}

fn say(camera: &Camera, source: &dyn FrameSource, seen: &Seen, found: &mut Findings) {
    let id = &camera.id;
    let what = source.describe();
    let Some((width, height)) = seen.size else {
        match &seen.end {
            _ if seen.damaged > 0 => found.fail(
                CHECK,
                format_args!("{id}: {what}: its pictures are damaged"),
                "another cable, port, or format",
            ),
            Some(error) => {
                found.fail(CHECK, format_args!("{id}: {what}: {error}"), "check cable, port and power")
            }
            None => found.fail(
                CHECK,
                format_args!("{id}: {what}: it gives no picture"),
                "check cable, port and power",
            ),
        }
        return;
    };
    if let Some(error) = seen.end.as_ref().filter(|error| !matches!(error, SourceError::Ended)) {
        found.fail(CHECK, format_args!("{id}: {what}: it stopped: {error}"), "check cable, port and power");
        return;
    }
    let is_device = !source.is_finite();
    if is_device && (width, height) != (camera.width, camera.height) {
        found.warn(
            CHECK,
            format_args!("{id}: {what}: it gives {width}x{height}, not {}x{}", camera.width, camera.height),
            "`facewarden devices` says what it has; put one of those into `width` and `height`",
        );
    } else {
        found.ok(CHECK, format_args!("{id}: {what}: gives {width}x{height}"));
    }
    for complaint in source.complaints() {
        found.warn(
            CHECK,
            format_args!("{id}: {complaint}"),
            "`facewarden devices --controls` says what it has",
        );
    }
    if seen.damaged > 0 {
        let of = u64::from(seen.frames) + u64::from(seen.damaged);
        found.warn(
            CHECK,
            format_args!("{id}: {} of {of} pictures are damaged", seen.damaged),
            "another cable or port",
        );
    }
    say_light(id, seen, found);
    if is_device || camera.speed == Speed::Real {
        say_rate(camera, seen, found);
    }
}

fn say_light(id: &crate::domain::CameraId, seen: &Seen, found: &mut Findings) {
    let Some((mean, white)) = seen.light else { return };
    if white > BLINDED {
        found.warn(
            LIGHT,
            format_args!("{id}: {:.0} % of the picture is white", white * 100.0),
            "something bright shines into the camera: turn it away, or shade it",
        );
    } else if mean < DARK {
        found.warn(
            LIGHT,
            format_args!("{id}: the picture is dark (mean brightness {mean:.0} of 255)"),
            "is the lens covered? Else switch on a light",
        );
    } else {
        found.ok(LIGHT, format_args!("{id}: mean brightness {mean:.0} of 255"));
    }
}

fn say_rate(camera: &Camera, seen: &Seen, found: &mut Findings) {
    let (id, asked) = (&camera.id, camera.fps);
    match seen.fps() {
        Some(fps) if fps < SLOW * asked => found.warn(
            RATE,
            format_args!("{id}: {fps:.1} pictures a second, and {asked} are asked for"),
            "cameras slow down in the dark; else try format mjpg, a smaller picture, or another USB port",
        ),
        Some(fps) => found.ok(RATE, format_args!("{id}: {fps:.1} pictures a second")),
        None => found.say(RATE, State::Ok, format_args!("{id}: too few pictures to tell")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CameraId;
    use image::Rgb;

    #[test]
    fn darkness_and_glare_are_told() {
        let id = CameraId::new("door").unwrap();
        let said = |picture: &RgbImage| {
            let mut found = Findings::default();
            say_light(&id, &Seen { light: Some(light(picture)), ..Seen::default() }, &mut found);
            found.0[0].to_string()
        };
        let grey = |value| RgbImage::from_pixel(64, 48, Rgb([value; 3]));
        assert!(
            said(&grey(12)).starts_with("warn  light       door: the picture is dark (mean brightness 12")
        );
        assert!(said(&grey(118)).starts_with("ok    light       door: mean brightness 118"));
        let glare = RgbImage::from_fn(64, 48, |x, _| Rgb([if x < 40 { 255 } else { 20 }; 3]));
        assert!(
            said(&glare).starts_with("warn  light       door: 62 % of the picture is white"),
            "{}",
            said(&glare)
        );
    }

    #[test]
    fn a_rate_far_below_what_is_asked_for_is_said() {
        let camera = Camera::new(CameraId::new("door").unwrap(), "/dev/video0".into());
        let said = |frames, seconds| {
            let (first, last) = (Some(Moment(Duration::ZERO)), Some(Moment(Duration::from_secs(seconds))));
            let mut found = Findings::default();
            say_rate(&camera, &Seen { frames, first, last, ..Seen::default() }, &mut found);
            found.0[0].to_string()
        };
        assert!(said(61, 2).starts_with("ok    rate        door: 30.0"));
        assert!(
            said(16, 2).starts_with("warn  rate        door: 7.5 pictures a second, and 30 are asked for")
        );
        assert!(said(2, 2).contains("too few"));
    }
}
