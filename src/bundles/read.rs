//! Reading a bundle back.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use super::format::{FORMAT, FrameEntry, MANIFEST, Manifest, hex};
use super::{BundleError, io_error};
use crate::domain::Payload;

/// `bundle.json` is never larger: at 240 frames a second for a minute it stays below.
const MAX_MANIFEST_BYTES: u64 = 64_000_000;
/// No frame is larger: it is the limit of what is decoded, as RGB.
const MAX_FRAME_BYTES: u64 = 200_000_000;

/// A bundle that is whole.
#[derive(Debug)]
pub struct Bundle {
    folder: PathBuf,
    /// What `bundle.json` says.
    pub manifest: Manifest,
}

impl Bundle {
    /// Opens the bundle in `folder`, and checks every file of it against its digest.
    ///
    /// # Errors
    /// [`BundleError::Missing`], [`BundleError::OtherFormat`], or [`BundleError::Damaged`], which names what is wrong.
    pub fn open(folder: &Path) -> Result<Self, BundleError> {
        if !folder.is_dir() {
            return Err(BundleError::Missing(folder.to_owned()));
        }
        let path = folder.join(MANIFEST);
        let text = read_file(&path, MAX_MANIFEST_BYTES)?;
        let damaged = |problem: String| BundleError::Damaged { path: path.clone(), problem };
        let value: serde_json::Value = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        match value["format"].as_u64().and_then(|format| u32::try_from(format).ok()) {
            Some(FORMAT) => (),
            Some(format) => return Err(BundleError::OtherFormat { path, format }),
            None => return Err(damaged("it has no `format`".to_owned())),
        }
        let manifest: Manifest = serde_json::from_value(value).map_err(|e| damaged(e.to_string()))?;
        if manifest.event.kind.detail().is_none() {
            return Err(damaged("its event is no decision".to_owned()));
        }
        if manifest.frames.is_empty() {
            return Err(damaged("it has no frames".to_owned()));
        }
        let mut pairs = manifest.frames.iter().zip(manifest.frames.iter().skip(1));
        if let Some((_, next)) = pairs.find(|(a, b)| b.at_ns < a.at_ns || b.seq <= a.seq) {
            return Err(damaged(format!("the frame {} is not in its place", next.seq)));
        }
        let bundle = Self { folder: folder.to_owned(), manifest };
        for at in 0..bundle.manifest.frames.len() {
            bundle.payload(at)?;
        }
        Ok(bundle)
    }

    /// The bytes of the frame at this place, as the camera gave them.
    ///
    /// # Errors
    /// If the file is missing, or not what was written.
    pub fn payload(&self, at: usize) -> Result<Payload, BundleError> {
        let Some(entry) = self.manifest.frames.get(at) else {
            let problem = format!("there is no frame number {at}");
            return Err(BundleError::Damaged { path: self.folder.clone(), problem });
        };
        let path = self.folder.join(plain_name(entry).ok_or_else(|| BundleError::Damaged {
            path: self.folder.join(MANIFEST),
            problem: format!("the file of the frame {} has no plain name", entry.seq),
        })?);
        let data = read_file(&path, MAX_FRAME_BYTES)?;
        let damaged =
            |problem: &str| BundleError::Damaged { path: path.clone(), problem: problem.to_owned() };
        if data.len() as u64 != entry.bytes || hex(&Sha256::digest(&data)) != entry.sha256 {
            return Err(damaged("its bytes are not those that were recorded"));
        }
        entry.form.payload(data).ok_or_else(|| damaged("it does not have the size that was recorded"))
    }
}

/// The name of a frame's file, if it leads nowhere else.
fn plain_name(entry: &FrameEntry) -> Option<&str> {
    let mut components = Path::new(&entry.file).components();
    let is_plain = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
    is_plain.then_some(entry.file.as_str())
}

fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
    let damaged = |problem: String| BundleError::Damaged { path: path.to_owned(), problem };
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damaged("the file is missing".to_owned()));
        }
        Err(error) => return Err(io_error("open", path)(error)),
    };
    let metadata: fs::Metadata = file.metadata().map_err(io_error("look at", path))?;
    if !metadata.is_file() || metadata.len() > limit {
        return Err(damaged(format!("it is no file of at most {limit} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(io_error("read", path))?;
    Ok(bytes)
}
