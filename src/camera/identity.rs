//! Which camera it was: to find it again under another number after a replug, and not to take another one for it.
//!
//! A source that is a plain node, `/dev/video0`, says nothing about which camera is meant: the kernel hands numbers out
//! as cameras come. So what was opened first is remembered for as long as the program runs.

use std::io;
use std::path::{Path, PathBuf};

use super::v4l2_device::{self as device, Capabilities};

/// What tells one camera from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Its name.
    pub(super) card: String,
    /// The port it is plugged into.
    pub(super) bus: String,
    /// Its USB serial number, if it has one that no other camera of its kind has here.
    pub(super) serial: Option<String>,
}

impl Identity {
    /// The camera behind a node.
    fn of(node: &Path, capabilities: &Capabilities) -> Self {
        let serial = node.file_name().and_then(|name| unique_serial(Path::new("/sys"), Path::new(name)));
        Self { card: capabilities.card.clone(), bus: capabilities.bus.clone(), serial }
    }

    /// True if `other`, found under another number, is this camera: the same name at the same port, or with the same
    /// serial number.
    fn is(&self, other: &Self) -> bool {
        let same_serial = self.serial.is_some() && self.serial == other.serial;
        self.card == other.card && (self.bus == other.bus || same_serial)
    }

    /// True if `other`, found under the very number that was asked for, may be this camera: the same name, and no
    /// other serial number.
    fn may_be(&self, other: &Self) -> bool {
        let other_serial = self.serial.is_some() && other.serial.is_some() && self.serial != other.serial;
        self.card == other.card && !other_serial
    }
}

/// An opened camera.
pub(super) struct Found {
    pub(super) device: v4l::Device,
    pub(super) capabilities: Capabilities,
    /// The node that was opened: the source, or where else it was found.
    pub(super) path: PathBuf,
}

/// Why it was not found.
pub(super) enum NotFound {
    /// It cannot be opened or asked.
    Failed(&'static str, io::Error),
    /// At the source is another camera, of this name.
    Another(String),
}

/// Opens the camera at `source`; if `known` was opened there before, that very camera, wherever it is now. Only a plain
/// node, `/dev/videoN`, is looked for elsewhere: a link says itself which camera it means.
pub(super) fn find(source: &Path, known: &mut Option<Identity>) -> Result<Found, NotFound> {
    let opened = open(source);
    if !is_plain_node(source) {
        return opened.map_err(|(doing, error)| NotFound::Failed(doing, error));
    }
    let failed = match opened {
        Ok(found) => {
            let here = Identity::of(source, &found.capabilities);
            let is_supported = found.capabilities.is_supported();
            match known {
                // A number can also pass on to the metadata node of the very same camera.
                Some(known) if !is_supported || !known.may_be(&here) => NotFound::Another(here.card),
                _ => {
                    // A node that is no camera is not to be remembered.
                    if is_supported {
                        *known = Some(here);
                    }
                    return Ok(found);
                }
            }
        }
        Err((doing, error)) => NotFound::Failed(doing, error),
    };
    let Some(known) = known else { return Err(failed) };
    elsewhere(source, known).ok_or(failed)
}

fn open(path: &Path) -> Result<Found, (&'static str, io::Error)> {
    let device = device::open(path).map_err(|error| ("opening it", error))?;
    let capabilities = device::capabilities(&device).map_err(|error| ("asking what it is", error))?;
    Ok(Found { device, capabilities, path: path.to_owned() })
}

/// The camera under another number.
fn elsewhere(source: &Path, known: &Identity) -> Option<Found> {
    let nodes = std::fs::read_dir("/dev").ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut others: Vec<_> = nodes.filter(|path| is_plain_node(path) && path != source).collect();
    others.sort();
    let is_it = |found: &Found| {
        found.capabilities.is_supported() && known.is(&Identity::of(&found.path, &found.capabilities))
    };
    others.iter().filter_map(|path| open(path).ok()).find(is_it)
}

/// True for `/dev/videoN`.
fn is_plain_node(path: &Path) -> bool {
    let number = path.to_str().and_then(|path| path.strip_prefix("/dev/video"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The serial number of the USB device behind the node `name`. `None` if it has none, or if another device of the same
/// maker and kind says the same: many cheap cameras share one.
fn unique_serial(sys: &Path, name: &Path) -> Option<String> {
    let nodes = sys.join("class/video4linux");
    // The node belongs to an interface of the USB device.
    let usb_of =
        |name: &Path| Some(nodes.join(name).join("device").canonicalize().ok()?.parent()?.to_owned());
    let read = |usb: &Path, name: &str| {
        Some(std::fs::read_to_string(usb.join(name)).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let kind = |usb: &Path| (read(usb, "idVendor"), read(usb, "idProduct"), read(usb, "serial"));
    let ours = usb_of(name)?;
    let serial = read(&ours, "serial")?;
    let others =
        std::fs::read_dir(&nodes).ok()?.filter_map(|entry| usb_of(Path::new(&entry.ok()?.file_name())));
    let is_shared = others.filter(|usb| *usb != ours).any(|usb| kind(&usb) == kind(&ours));
    (!is_shared).then_some(serial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn camera(card: &str, bus: &str, serial: Option<&str>) -> Identity {
        Identity { card: card.into(), bus: bus.into(), serial: serial.map(Into::into) }
    }

    #[test]
    fn a_camera_is_known_by_its_port_or_its_serial_number() {
        let ours = camera("HD Cam", "usb-1.1", Some("SN1"));
        assert!(ours.is(&camera("HD Cam", "usb-1.1", Some("SN1"))));
        assert!(ours.is(&camera("HD Cam", "usb-1.4", Some("SN1"))), "moved to another port");
        assert!(!ours.is(&camera("HD Cam", "usb-1.4", Some("SN2"))), "another one of the same make");
        assert!(!ours.is(&camera("HD Cam", "usb-1.4", None)));
        assert!(!ours.is(&camera("Other Cam", "usb-1.1", Some("SN1"))), "another one in its place");
        let nameless = camera("HD Cam", "usb-1.1", None);
        assert!(nameless.is(&camera("HD Cam", "usb-1.1", None)));
        assert!(!nameless.is(&camera("HD Cam", "usb-1.4", None)));
        // Under the number that was asked for, the port may have changed.
        assert!(nameless.may_be(&camera("HD Cam", "usb-1.4", None)));
        assert!(!nameless.may_be(&camera("Other Cam", "usb-1.1", None)));
        assert!(!ours.may_be(&camera("HD Cam", "usb-1.1", Some("SN2"))));
    }

    #[test]
    fn only_plain_nodes_are_looked_for_elsewhere() {
        assert!(is_plain_node(Path::new("/dev/video0")) && is_plain_node(Path::new("/dev/video12")));
        for other in
            ["/dev/v4l/by-id/usb-Cam-video-index0", "/dev/video", "/dev/video0a", "/dev/door", "video0"]
        {
            assert!(!is_plain_node(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn a_camera_that_was_never_there_is_not_found() {
        let mut known = None;
        let source = Path::new("/dev/video4998");
        match find(source, &mut known) {
            Err(NotFound::Failed("opening it", error)) => assert_eq!(error.kind(), io::ErrorKind::NotFound),
            _ => panic!("it should not be there"),
        }
        assert_eq!(known, None);
        known = Some(camera("No Such Cam", "usb-9", Some("SN1")));
        assert!(find(source, &mut known).is_err());
        assert!(known.is_some(), "it is still remembered");
    }

    #[test]
    fn a_serial_number_that_two_cameras_share_tells_nothing() {
        let sys = tempfile::tempdir().unwrap();
        let plug = |node: &str, port: &str, serial: &str| {
            let usb = sys.path().join("devices").join(port);
            let interface = usb.join(format!("{port}:1.0"));
            fs::create_dir_all(&interface).unwrap();
            for (name, text) in [("idVendor", "046d"), ("idProduct", "0825"), ("serial", serial)] {
                fs::write(usb.join(name), format!("{text}\n")).unwrap();
            }
            let class = sys.path().join("class/video4linux").join(node);
            fs::create_dir_all(&class).unwrap();
            symlink(&interface, class.join("device")).unwrap();
        };
        let serial = |node: &str| unique_serial(sys.path(), Path::new(node));
        assert_eq!(serial("video0"), None, "not a USB camera");
        plug("video0", "1-1", "SN1");
        // Its metadata node is the same camera.
        plug("video4", "1-4", "SN2");
        fs::create_dir_all(sys.path().join("class/video4linux/video1")).unwrap();
        symlink(sys.path().join("devices/1-1/1-1:1.0"), sys.path().join("class/video4linux/video1/device"))
            .unwrap();
        assert_eq!(serial("video0").as_deref(), Some("SN1"));
        assert_eq!(serial("video4").as_deref(), Some("SN2"));
        plug("video2", "1-2", "SN1");
        assert_eq!(serial("video0"), None);
        assert_eq!(serial("video2"), None);
        plug("video6", "1-3", "");
        assert_eq!(serial("video6"), None);
    }
}
