//! From the configuration to a source: which driver reads it.

use std::path::Path;
use std::sync::Arc;

use super::address::Address;
use super::{OpenSource, SourceError, avi, ffmpeg, folder, nokhwa, v4l2};
use crate::clock::Clock;
use crate::config::{Camera, Driver};

/// Something that opens `camera` as often as it is asked to. Nothing is opened yet, and a device that is not
/// plugged in is no error here: opening it will be, as [`SourceError::Away`].
///
/// # Errors
/// [`SourceError::Unusable`] if there is no such file, or no driver for what it is.
pub fn opener(camera: &Camera, clock: Arc<dyn Clock>) -> Result<OpenSource, SourceError> {
    let open = match driver_for(camera)? {
        Driver::V4l2 => return Ok(v4l2::opener(camera, clock)),
        Driver::Nokhwa => nokhwa::open,
        Driver::Folder => folder::open,
        Driver::Avi => avi::open,
        Driver::Ffmpeg | Driver::Auto => ffmpeg::open,
    };
    let camera = camera.clone();
    Ok(Box::new(move || open(&camera, Arc::clone(&clock))))
}

/// The driver that the configuration names, or the one that fits the source; never `auto`.
fn driver_for(camera: &Camera) -> Result<Driver, SourceError> {
    if camera.driver != Driver::Auto {
        return Ok(camera.driver);
    }
    let path = match Address::parse(&camera.source)? {
        Address::Url(_) => return Ok(Driver::Ffmpeg),
        Address::File(path) => path,
    };
    // Devices come and go, so what their path leads to just now does not matter.
    if path.starts_with("/dev") {
        return Ok(Driver::V4l2);
    }
    let metadata = std::fs::metadata(&path).map_err(|error| {
        SourceError::Unusable(format!(
            "{}: {error}; a source is a device (/dev/...), a folder of pictures, a video file or an address \
             (rtsp://...)",
            path.display()
        ))
    })?;
    if metadata.is_dir() {
        return Ok(Driver::Folder);
    }
    let is_avi = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("avi"));
    Ok(if is_avi && is_mjpeg(&path) { Driver::Avi } else { Driver::Ffmpeg })
}

/// An AVI file that cannot be read here may still be one for ffmpeg, which then says what is wrong with it.
fn is_mjpeg(path: &Path) -> bool {
    avi::open_file(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::avi_write::AviWriter;
    use crate::clock::SimulatedClock;
    use crate::domain::CameraId;
    use crate::vision::jpeg::tests::sample;
    use std::time::Duration;

    fn camera(source: &str) -> Camera {
        Camera::new(CameraId::new("test").unwrap(), source.to_owned())
    }

    #[test]
    fn the_driver_fits_the_source() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let mut writer = AviWriter::new(std::io::Cursor::new(Vec::new()), 5.0).unwrap();
        writer.write_jpeg(&sample(16, 16)).unwrap();
        let clip = writer.finish().unwrap().into_inner();
        let driver = |source: &str| driver_for(&camera(source)).unwrap();
        assert_eq!(driver("/dev/video0"), Driver::V4l2);
        assert_eq!(driver("/dev/v4l/by-id/usb-Gone-video-index0"), Driver::V4l2);
        assert_eq!(driver("rtsp://u:p@cam/x"), Driver::Ffmpeg);
        assert_eq!(driver(folder.path().to_str().unwrap()), Driver::Folder);
        assert_eq!(driver(&write("clip.AVI", &clip)), Driver::Avi);
        assert_eq!(driver(&write("other.avi", b"RIFF")), Driver::Ffmpeg);
        assert_eq!(driver(&write("film.mp4", b"?")), Driver::Ffmpeg);
        let named = Camera { driver: Driver::Nokhwa, ..camera("0") };
        assert_eq!(driver_for(&named).unwrap(), Driver::Nokhwa);
    }

    #[test]
    fn a_wrong_path_is_unusable_and_a_missing_device_is_waited_for() {
        let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH));
        match opener(&camera("/nowhere/at/all.mp4"), Arc::clone(&clock)) {
            Err(SourceError::Unusable(text)) => {
                assert!(text.starts_with("/nowhere/at/all.mp4: No such file"), "{text}")
            }
            _ => panic!("it should be unusable"),
        }
        let mut open = opener(&camera("/dev/v4l/by-id/usb-Gone-video-index0"), clock).unwrap();
        for _ in 0..2 {
            assert!(matches!(open(), Err(SourceError::Away(_))));
        }
    }

    #[test]
    fn a_source_can_be_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("1.jpg"), sample(16, 16)).unwrap();
        let clock = Arc::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH));
        let mut open = opener(&camera(folder.path().to_str().unwrap()), clock).unwrap();
        for _ in 0..2 {
            assert_eq!(open().unwrap().next_frame(Duration::ZERO).unwrap().seq, 0);
        }
    }
}
