//! The cameras of this machine: what `facewarden devices` shows.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::v4l2_device as device;
use super::v4l2_mode::{self as mode, Sizes};

/// One camera.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptureDevice {
    /// Its node, `/dev/video0`. The number changes when cameras are plugged in in another order.
    pub path: PathBuf,
    /// Links that stay right after a replug, `/dev/v4l/by-id/...`: what belongs into the configuration.
    pub by_id: Vec<PathBuf>,
    /// Its name; `None` if it could not be asked.
    pub name: Option<String>,
    /// Where it is plugged in.
    pub bus: Option<String>,
    /// What it can give, of the formats this program takes.
    pub modes: Vec<Mode>,
    /// Formats it has that this program does not take, as four letters each.
    pub other_formats: Vec<String>,
    /// What is wrong with it, and what to do.
    pub problem: Option<String>,
}

/// One size in one format.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mode {
    /// `mjpg`, `nv12`, `yuyv` or `grey`.
    pub format: String,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames a second, greatest first; empty if the camera does not say.
    pub fps: Vec<f64>,
}

/// All cameras of this machine, in the order of their numbers. Nodes that give no pictures (metadata, encoders)
/// are left out; a node that cannot be opened is listed with its problem, since it may be a camera.
///
/// # Errors
/// If `/dev` cannot be read. No camera at all is an empty list.
pub fn list() -> io::Result<Vec<CaptureDevice>> {
    list_in(Path::new("/dev"))
}

fn list_in(dev: &Path) -> io::Result<Vec<CaptureDevice>> {
    let mut nodes = Vec::new();
    for entry in std::fs::read_dir(dev)? {
        let entry = entry?;
        let number =
            entry.file_name().to_str().and_then(|name| name.strip_prefix("video")?.parse::<u32>().ok());
        nodes.extend(number.map(|number| (number, entry.path())));
    }
    nodes.sort();
    let links = links(&dev.join("v4l/by-id"));
    Ok(nodes.into_iter().filter_map(|(_, path)| examine(path, &links)).collect())
}

/// Each link of a folder and the node it leads to.
fn links(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    // The folder is there only while a camera with a serial number or name is.
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut links: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter_map(|link| std::fs::canonicalize(&link).ok().map(|node| (link, node)))
        .collect();
    links.sort();
    links
}

/// `None` for a node that gives no pictures.
fn examine(path: PathBuf, links: &[(PathBuf, PathBuf)]) -> Option<CaptureDevice> {
    let node = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    let by_id = links.iter().filter(|(_, target)| *target == node).map(|(link, _)| link.clone()).collect();
    let shown = path.display().to_string();
    let mut found = CaptureDevice {
        path,
        by_id,
        name: None,
        bus: None,
        modes: Vec::new(),
        other_formats: Vec::new(),
        problem: None,
    };
    let opened = device::open(&found.path).and_then(|device| {
        let capabilities = device::capabilities(&device)?;
        Ok((device, capabilities))
    });
    let (device, capabilities) = match opened {
        Ok(opened) => opened,
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOTTY.raw_os_error()) => return None,
        Err(error) => {
            found.problem = Some(mode::advice(&shown, "opening it", &error));
            return Some(found);
        }
    };
    if !capabilities.is_camera() {
        return None;
    }
    let is_supported = capabilities.is_supported();
    found.name = Some(capabilities.card);
    found.bus = Some(capabilities.bus);
    if !is_supported {
        found.problem = Some("this kind of camera (several planes) is not supported".into());
        return Some(found);
    }
    match device::formats(&device) {
        Ok(formats) => formats.into_iter().for_each(|letters| found.add_format(&device, letters)),
        Err(error) => found.problem = Some(mode::advice(&shown, "listing its formats", &error)),
    }
    if let Err(error) = device::try_buffers(&device) {
        found.problem = Some(mode::advice(&shown, "taking buffers", &error));
    } else if found.modes.is_empty() && found.problem.is_none() {
        found.problem = Some("it has no format that this program takes (mjpg, nv12, yuyv, grey)".into());
    }
    Some(found)
}

impl CaptureDevice {
    fn add_format(&mut self, device: &v4l::Device, letters: [u8; 4]) {
        let Some(format) = mode::format_of(letters) else {
            self.other_formats.push(String::from_utf8_lossy(&letters).trim().to_owned());
            return;
        };
        let format = format!("{format:?}").to_ascii_lowercase();
        for sizes in device::sizes(device, letters) {
            let ends = match sizes {
                Sizes::One(width, height) => vec![(width, height)],
                Sizes::Range { min, max, .. } => vec![min, max],
            };
            for (width, height) in ends {
                let intervals = device::intervals(device, letters, (width, height));
                let fps = sorted_rates(&intervals);
                self.modes.push(Mode { format: format.clone(), width, height, fps });
            }
        }
    }
}

/// Frames a second, greatest first, each once.
fn sorted_rates(intervals: &[(u32, u32)]) -> Vec<f64> {
    let mut rates: Vec<f64> = intervals.iter().filter_map(|interval| mode::rate(*interval)).collect();
    rates.sort_by(|a, b| b.total_cmp(a));
    rates.dedup();
    rates
}

impl fmt::Display for CaptureDevice {
    /// Several lines for people, without a new line at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.name.as_deref().unwrap_or("unknown"))?;
        if let Some(bus) = self.bus.as_deref().filter(|bus| !bus.is_empty()) {
            write!(f, " ({bus})")?;
        }
        for link in &self.by_id {
            write!(f, "\n  source: {}", link.display())?;
        }
        for mode in &self.modes {
            let rates: Vec<_> = mode.fps.iter().map(|fps| format!("{fps:.4}")).collect();
            let rates: Vec<_> =
                rates.iter().map(|rate| rate.trim_end_matches('0').trim_end_matches('.')).collect();
            write!(f, "\n  {} {}x{}", mode.format, mode.width, mode.height)?;
            if !rates.is_empty() {
                write!(f, " at {} fps", rates.join(", "))?;
            }
        }
        if !self.other_formats.is_empty() {
            write!(f, "\n  not used: {}", self.other_formats.join(", "))?;
        }
        if let Some(problem) = &self.problem {
            write!(f, "\n  problem: {problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_camera_is_left_out_and_what_cannot_be_opened_is_shown() {
        let dev = tempfile::tempdir().unwrap();
        assert_eq!(list_in(dev.path()).unwrap(), []);
        // A file answers to no camera's question; a link to nowhere cannot be opened.
        std::fs::write(dev.path().join("video0"), "").unwrap();
        std::fs::write(dev.path().join("videotape"), "").unwrap();
        for number in [10, 2] {
            std::os::unix::fs::symlink("/nowhere/at/all", dev.path().join(format!("video{number}"))).unwrap();
        }
        let found = list_in(dev.path()).unwrap();
        let names: Vec<_> = found.iter().map(|device| device.path.file_name().unwrap()).collect();
        assert_eq!(names, ["video2", "video10"]);
        assert!(found[0].problem.as_ref().unwrap().contains("not plugged in"));
        assert!(list_in(&dev.path().join("gone")).is_err());
    }

    #[test]
    fn links_lead_to_their_nodes() {
        let dev = tempfile::tempdir().unwrap();
        let by_id = dev.path().join("by-id");
        std::fs::create_dir(&by_id).unwrap();
        let node = dev.path().join("video0");
        std::fs::write(&node, "").unwrap();
        std::os::unix::fs::symlink("../video0", by_id.join("usb-HD_Cam-video-index0")).unwrap();
        std::os::unix::fs::symlink("../video7", by_id.join("usb-Gone-video-index0")).unwrap();
        let node = std::fs::canonicalize(node).unwrap();
        assert_eq!(links(&by_id), [(by_id.join("usb-HD_Cam-video-index0"), node)]);
        assert_eq!(links(&dev.path().join("nothing")), []);
    }

    #[test]
    fn it_is_shown_to_people_and_programs() {
        let device = CaptureDevice {
            path: "/dev/video0".into(),
            by_id: vec!["/dev/v4l/by-id/usb-HD_Cam-video-index0".into()],
            name: Some("HD Cam".into()),
            bus: Some("usb-1".into()),
            modes: vec![
                Mode {
                    format: "mjpg".into(),
                    width: 1280,
                    height: 720,
                    fps: sorted_rates(&[(1, 15), (1001, 30000), (1, 15), (0, 1)]),
                },
                Mode { format: "yuyv".into(), width: 640, height: 480, fps: vec![] },
            ],
            other_formats: vec!["H264".into()],
            problem: Some("busy".into()),
        };
        assert_eq!(
            device.to_string(),
            "/dev/video0: HD Cam (usb-1)\n  source: /dev/v4l/by-id/usb-HD_Cam-video-index0\n  \
             mjpg 1280x720 at 29.97, 15 fps\n  yuyv 640x480\n  not used: H264\n  problem: busy"
        );
        let json = serde_json::to_value(&device).unwrap();
        assert_eq!(json["modes"][1]["format"], "yuyv");
        assert_eq!(json["by_id"][0], "/dev/v4l/by-id/usb-HD_Cam-video-index0");
    }
}
