//! Cameras as `facewarden devices` shows them to people, and as they belong into the configuration.

use std::fmt::{self, Write as _};
use std::path::Path;

use super::devices::{CaptureDevice, Mode};
use super::v4l2_mode::PREFERENCE;

/// What is looked for in a mode: a face at a door needs no more, and more costs time.
const WANTED: (u32, u32) = (1280, 720);
/// Frames a second; see [`WANTED`].
const WANTED_FPS: f64 = 30.0;
/// Fewer frames a second are too few to follow a face well.
const MIN_FPS: f64 = 14.0;

impl fmt::Display for CaptureDevice {
    /// Several lines for people, without a new line at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.name.as_deref().unwrap_or("unknown"))?;
        if let Some(bus) = self.bus.as_deref().filter(|bus| !bus.is_empty()) {
            write!(f, " ({bus})")?;
        }
        for link in &self.by_id {
            write!(f, "\n  by-id: {}", link.display())?;
        }
        for link in &self.by_path {
            write!(f, "\n  by-path: {}", link.display())?;
        }
        for mode in &self.modes {
            write!(f, "\n  {mode}")?;
        }
        if !self.other_formats.is_empty() {
            write!(f, "\n  not used: {}", self.other_formats.join(", "))?;
        }
        for control in &self.controls {
            write!(f, "\n  control {}", control.line)?;
        }
        if let Some(problem) = &self.problem {
            let what = if self.is_busy { "busy" } else { "problem" };
            write!(f, "\n  {what}: {problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}x{}", self.format, self.width, self.height)?;
        let rates: Vec<_> = self.fps.iter().map(|fps| rate(*fps)).collect();
        if !rates.is_empty() {
            write!(f, " at {} fps", rates.join(", "))?;
        }
        f.write_str(if self.is_emulated { " (emulated)" } else { "" })
    }
}

/// A rate with as many decimals as it needs, four at most.
fn rate(fps: f64) -> String {
    format!("{fps:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The `cameras:` section of a configuration with all of these cameras that can be used; `None` if none can. One that is
/// busy can: usually it is this very daemon that has it.
#[must_use]
pub fn as_settings(devices: &[CaptureDevice]) -> Option<String> {
    let usable: Vec<_> = devices.iter().filter_map(|device| Some((device, device.best_mode()?))).collect();
    if usable.is_empty() {
        return None;
    }
    let mut yaml = "# part of facewarden.yaml\ncameras:\n".to_owned();
    for (at, (device, mode)) in usable.iter().enumerate() {
        let id = if usable.len() == 1 { "door".to_owned() } else { format!("camera{}", at + 1) };
        let (source, remark) = device.lasting_source();
        if !remark.is_empty() {
            writeln!(yaml, "  # {remark}").ok()?;
        }
        writeln!(yaml, "  - id: {id}\n    source: {}", source.display()).ok()?;
        writeln!(yaml, "    width: {}\n    height: {}\n    format: {}", mode.width, mode.height, mode.format)
            .ok()?;
        if let Some(fps) = mode.best_rate() {
            writeln!(yaml, "    fps: {}", rate(fps)).ok()?;
        }
    }
    Some(yaml)
}

impl CaptureDevice {
    /// The name to write into a configuration, and what is to be known about it.
    fn lasting_source(&self) -> (&Path, &'static str) {
        match (self.by_id.first(), self.by_path.first()) {
            (Some(link), _) => (link, ""),
            (None, Some(link)) => (link, "Names the port: plug this camera in nowhere else."),
            (None, None) => {
                (&self.path, "The number may change when cameras are plugged in in another order.")
            }
        }
    }

    /// The mode for a door: fast enough, in the format this program likes best, as near to 1280x720 as there is.
    fn best_mode(&self) -> Option<&Mode> {
        let area = |width: u32, height: u32| u64::from(width) * u64::from(height);
        let wanted = area(WANTED.0, WANTED.1);
        self.modes.iter().min_by_key(|mode| {
            let is_slow = mode.fps.first().is_some_and(|fps| *fps < MIN_FPS);
            let liking =
                PREFERENCE.iter().position(|format| format!("{format:?}").eq_ignore_ascii_case(&mode.format));
            (is_slow, mode.is_emulated, liking, area(mode.width, mode.height).abs_diff(wanted))
        })
    }
}

impl Mode {
    /// The rate nearest to the wanted one.
    fn best_rate(&self) -> Option<f64> {
        let distance = |fps: &f64| (fps - WANTED_FPS).abs();
        self.fps.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn mode(format: &str, width: u32, height: u32, fps: &[f64]) -> Mode {
        Mode { format: format.into(), width, height, fps: fps.to_vec(), is_emulated: false }
    }

    fn device(number: u32, modes: Vec<Mode>) -> CaptureDevice {
        CaptureDevice {
            path: format!("/dev/video{number}").into(),
            by_id: vec![format!("/dev/v4l/by-id/usb-HD_Cam_SN{number}-video-index0").into()],
            by_path: vec!["/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0".into()],
            name: Some("HD Cam".into()),
            bus: Some("usb-1".into()),
            modes,
            other_formats: vec!["H264".into()],
            controls: vec![],
            is_busy: false,
            problem: None,
        }
    }

    #[test]
    fn it_is_shown_to_people_and_programs() {
        let modes = vec![
            mode("mjpg", 1280, 720, &[30000.0 / 1001.0, 15.0]),
            Mode { is_emulated: true, ..mode("yuyv", 640, 480, &[]) },
        ];
        let shown =
            CaptureDevice { problem: Some("another program".into()), is_busy: true, ..device(0, modes) };
        assert_eq!(
            shown.to_string(),
            "/dev/video0: HD Cam (usb-1)\n  by-id: /dev/v4l/by-id/usb-HD_Cam_SN0-video-index0\n  by-path: \
             /dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0\n  mjpg 1280x720 at 29.97, 15 fps\n  yuyv \
             640x480 (emulated)\n  not used: H264\n  busy: another program"
        );
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!((&json["modes"][1]["format"], &json["is_busy"]), (&"yuyv".into(), &true.into()));
        assert_eq!(json["by_id"][0], "/dev/v4l/by-id/usb-HD_Cam_SN0-video-index0");
    }

    #[test]
    fn the_settings_can_be_pasted() {
        let modes = vec![
            mode("yuyv", 1280, 720, &[10.0]),
            mode("yuyv", 640, 480, &[30.0]),
            mode("mjpg", 1920, 1080, &[30.0]),
            mode("mjpg", 1280, 720, &[60.0, 30.0]),
        ];
        let yaml = as_settings(&[device(0, modes)]).unwrap();
        let config =
            Config::from_yaml(&format!("schema: 1\n{yaml}"), "pasted").unwrap_or_else(|e| panic!("{e}"));
        let camera = &config.cameras[0];
        assert_eq!(camera.source, "/dev/v4l/by-id/usb-HD_Cam_SN0-video-index0");
        assert_eq!((camera.width, camera.height, camera.fps), (1280, 720, 30.0));
        assert_eq!(camera.format, crate::config::PixelFormat::Mjpg);
    }

    #[test]
    fn a_camera_without_a_name_of_its_own_is_named_by_its_port_or_number() {
        let modes = || vec![mode("yuyv", 1280, 720, &[5.0]), mode("yuyv", 640, 480, &[29.97])];
        let by_port = CaptureDevice { by_id: vec![], ..device(0, modes()) };
        let by_number = CaptureDevice { by_path: vec![], ..by_port.clone() };
        let yaml = as_settings(&[by_port, by_number, device(2, vec![])]).unwrap();
        assert_eq!(
            yaml,
            "# part of facewarden.yaml\ncameras:\n  # Names the port: plug this camera in nowhere else.\n  - id: \
             camera1\n    source: /dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0\n    width: 640\n    \
             height: 480\n    format: yuyv\n    fps: 29.97\n  # The number may change when cameras are plugged in in \
             another order.\n  - id: camera2\n    source: /dev/video0\n    width: 640\n    height: 480\n    \
             format: yuyv\n    fps: 29.97\n"
        );
        assert_eq!(as_settings(&[device(0, vec![])]), None);
        assert_eq!(as_settings(&[]), None);
    }
}
