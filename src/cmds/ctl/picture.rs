//! The file that `ctl snapshot` writes: on this side of the socket, with the rights of whoever asked.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock::WallTime;
use crate::cmds::exit::{Exit, Failure, Outcome};
use crate::control::Request;
use crate::domain::CameraId;

/// Arguments of `ctl snapshot`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which camera [default: the only one]
    camera: Option<CameraId>,
    /// The file, readable by you alone: it may show people who did not agree to it
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Draw boxes, track numbers and names
    #[arg(long)]
    boxes: bool,
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
}

impl Args {
    /// What to ask for.
    ///
    /// # Errors
    /// If the file is there already, before a picture is taken in vain.
    pub(super) fn request(&self) -> Result<Request, Failure> {
        if !self.force && fs::symlink_metadata(&self.output).is_ok() {
            return Err(there_already(&self.output));
        }
        Ok(Request::Snapshot { camera: self.camera.clone(), boxes: self.boxes })
    }

    /// Writes the picture and says so.
    ///
    /// # Errors
    /// If it cannot be written, or is none.
    pub(super) fn save(&self, camera: &CameraId, captured_at: WallTime, jpeg: &str) -> Outcome {
        let odd = || Failure::new(Exit::Unavailable, "what the daemon sent is no picture");
        let jpeg = STANDARD.decode(jpeg).map_err(|_| odd())?;
        if !jpeg.starts_with(&[0xFF, 0xD8]) {
            return Err(odd());
        }
        self.write(&jpeg)?;
        let (path, size) = (self.output.display(), jpeg.len());
        crate::cmds::say(&format!("{path}: {camera} at {captured_at}, {size} bytes\n"))
    }

    /// Whole or not at all, and never through a link to elsewhere.
    fn write(&self, jpeg: &[u8]) -> Result<(), Failure> {
        let cannot = |error: std::io::Error| {
            Failure::new(Exit::CannotWrite, format!("{} cannot be written: {error}", self.output.display()))
        };
        let folder = match self.output.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let private = fs::Permissions::from_mode(0o600);
        let mut file = tempfile::Builder::new().permissions(private).tempfile_in(folder).map_err(cannot)?;
        file.write_all(jpeg).and_then(|()| file.as_file().sync_all()).map_err(cannot)?;
        let kept: Result<File, tempfile::PersistError> =
            if self.force { file.persist(&self.output) } else { file.persist_noclobber(&self.output) };
        match kept {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Err(there_already(&self.output)),
            Err(error) => Err(cannot(error.error)),
        }
    }
}

fn there_already(path: &Path) -> Failure {
    let message = format!("{} is there already: choose another name, or say --force", path.display());
    Failure::new(Exit::CannotWrite, message)
}
