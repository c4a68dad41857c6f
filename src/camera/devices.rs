//! The cameras of this machine: what `facewarden devices` shows.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::v4l2_device as device;
use super::v4l2_mode::{self as mode, Sizes};
use super::v4l2_settings::{Board as _, Control, Kind};

/// One camera.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptureDevice {
    /// Its node, `/dev/video0`. The number changes when cameras are plugged in in another order.
    pub path: PathBuf,
    /// Links that stay right after a replug, `/dev/v4l/by-id/...`: what belongs into the configuration.
    pub by_id: Vec<PathBuf>,
    /// Links that name the port, `/dev/v4l/by-path/...`: for two cameras of the same make without serial numbers.
    pub by_path: Vec<PathBuf>,
    /// Its name; `None` if it could not be asked.
    pub name: Option<String>,
    /// Where it is plugged in.
    pub bus: Option<String>,
    /// What it can give, of the formats this program takes.
    pub modes: Vec<Mode>,
    /// Formats it has that this program does not take, as four letters each.
    pub other_formats: Vec<String>,
    /// What can be set; empty unless it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<ControlInfo>,
    /// True if another program (or this daemon) captures from it.
    pub is_busy: bool,
    /// What is wrong with it, and what to do.
    pub problem: Option<String>,
}

/// Something of a camera that can be set with `cameras[].controls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ControlInfo {
    /// Its name in the configuration.
    pub name: String,
    /// `number`, `switch` or `choice`.
    kind: Kind,
    /// What it is set to; `None` if it cannot be read.
    pub value: Option<String>,
    /// What the camera starts with.
    pub default: String,
    /// What it takes, for people.
    pub takes: String,
    /// The least number, for numbers.
    pub min: Option<i64>,
    /// The greatest.
    pub max: Option<i64>,
    /// From one number to the next.
    pub step: Option<i64>,
    /// What there is to choose from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// True while an automatic has it.
    pub is_inactive: bool,
    /// All of that in one line, for people.
    #[serde(skip)]
    pub line: String,
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
    /// True if a library makes it out of another format: the camera itself does not have it.
    pub is_emulated: bool,
}

/// All cameras of this machine, in the order of their numbers. Nodes that give no pictures (metadata, encoders)
/// are left out; a node that cannot be opened is listed with its problem, since it may be a camera.
///
/// # Errors
/// If `/dev` cannot be read. No camera at all is an empty list.
pub fn list(with_controls: bool) -> io::Result<Vec<CaptureDevice>> {
    list_in(Path::new("/dev"), with_controls)
}

fn list_in(dev: &Path, with_controls: bool) -> io::Result<Vec<CaptureDevice>> {
    let mut nodes = Vec::new();
    for entry in std::fs::read_dir(dev)? {
        let entry = entry?;
        let number =
            entry.file_name().to_str().and_then(|name| name.strip_prefix("video")?.parse::<u32>().ok());
        nodes.extend(number.map(|number| (number, entry.path())));
    }
    nodes.sort();
    let links = [links(&dev.join("v4l/by-id")), links(&dev.join("v4l/by-path"))];
    Ok(nodes.into_iter().filter_map(|(_, path)| examine(path, &links, with_controls)).collect())
}

/// A link and the node it leads to.
type Link = (PathBuf, PathBuf);

/// Each link of a folder and the node it leads to.
fn links(folder: &Path) -> Vec<Link> {
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
fn examine(path: PathBuf, [by_id, by_path]: &[Vec<Link>; 2], with_controls: bool) -> Option<CaptureDevice> {
    let node = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    let leading_here =
        |links: &[Link]| links.iter().filter(|(_, to)| *to == node).map(|(link, _)| link.clone()).collect();
    let shown = path.display().to_string();
    let mut found = CaptureDevice {
        path,
        by_id: leading_here(by_id),
        by_path: leading_here(by_path),
        name: None,
        bus: None,
        modes: Vec::new(),
        other_formats: Vec::new(),
        controls: Vec::new(),
        is_busy: false,
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
        found.problem = Some(device::NOT_SUPPORTED.into());
        return Some(found);
    }
    match device::formats(&device) {
        Ok(formats) => formats.into_iter().for_each(|format| found.add_format(&device, format)),
        Err(error) => found.problem = Some(mode::advice(&shown, "listing its formats", &error)),
    }
    if with_controls {
        match device.controls() {
            Ok(controls) => found.controls = controls.iter().map(ControlInfo::new).collect(),
            Err(error) => found.problem = Some(mode::advice(&shown, "listing its controls", &error)),
        }
    }
    if let Err(error) = device::try_buffers(&device) {
        found.is_busy = error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error());
        found.problem = Some(mode::advice(&shown, "taking buffers", &error));
    } else if found.modes.is_empty() && found.problem.is_none() {
        found.problem = Some(
            "it has no format that this program takes (mjpg, nv12, yuyv, grey): use another camera, or read this one \
             with `driver: ffmpeg` through a program that serves it as a stream"
                .into(),
        );
    }
    Some(found)
}

impl CaptureDevice {
    fn add_format(&mut self, device: &v4l::Device, device::Format { letters, is_emulated }: device::Format) {
        let Some(format) = mode::format_of(letters) else {
            self.other_formats.push(mode::shown(letters));
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
                self.modes.push(Mode { format: format.clone(), width, height, fps, is_emulated });
            }
        }
    }
}

impl ControlInfo {
    fn new(control: &Control) -> Self {
        let for_numbers = |number| (control.kind == Kind::Number).then_some(number);
        Self {
            name: control.name(),
            kind: control.kind,
            value: control.value.map(|value| control.shown(value)),
            default: control.shown(control.default),
            takes: control.takes(),
            min: for_numbers(control.min),
            max: for_numbers(control.max),
            step: for_numbers(control.step),
            choices: control.choices.iter().map(|(number, _)| control.shown(*number)).collect(),
            is_inactive: control.is_inactive,
            line: control.to_string(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_camera_is_left_out_and_what_cannot_be_opened_is_shown() {
        let dev = tempfile::tempdir().unwrap();
        assert_eq!(list_in(dev.path(), true).unwrap(), []);
        // A file answers to no camera's question; a link to nowhere cannot be opened.
        std::fs::write(dev.path().join("video0"), "").unwrap();
        std::fs::write(dev.path().join("videotape"), "").unwrap();
        for number in [10, 2] {
            std::os::unix::fs::symlink("/nowhere/at/all", dev.path().join(format!("video{number}"))).unwrap();
        }
        let found = list_in(dev.path(), true).unwrap();
        let names: Vec<_> = found.iter().map(|device| device.path.file_name().unwrap()).collect();
        assert_eq!(names, ["video2", "video10"]);
        assert!(found[0].problem.as_ref().unwrap().contains("not plugged in"));
        assert!(list_in(&dev.path().join("gone"), false).is_err());
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
}
