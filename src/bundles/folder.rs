//! The folder of all bundles: written whole or not at all, and kept small.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use super::format::{FORMAT, Face, Form, FrameEntry, MANIFEST, Manifest, Models, hex};
use super::{BundleError, BundleOut, Footage, KeptFrame, io_error};
use crate::clock::WallTime;
use crate::config::Config;

/// A bundle that is being written is called `.<id>.new`.
const UNFINISHED: &str = ".new";

/// Writes bundles into one folder, and deletes those that are too old or too many.
///
/// A bundle is written under a hidden name and renamed when it is whole. Nothing is synced: after a power cut a bundle
/// may be damaged, which its digests show; the disk is not made to wait for what is only there to be looked into.
#[derive(Debug)]
pub struct BundleFolder {
    folder: PathBuf,
    keep: Duration,
    max_bytes: u64,
    config: Config,
    models: Models,
}

/// A bundle that is there.
#[derive(Debug)]
struct Stored {
    id: Ulid,
    path: PathBuf,
    bytes: u64,
}

impl BundleFolder {
    /// For the folder that `config.debug` names; `config` is what bundles say of the settings. Touches nothing yet.
    #[must_use]
    pub fn new(config: Config, models: Models) -> Self {
        let debug = &config.debug;
        Self {
            folder: debug.folder.clone(),
            keep: Duration::from_secs(u64::from(debug.keep_hours) * 3600),
            max_bytes: u64::from(debug.max_mb) * 1_000_000,
            config,
            models,
        }
    }

    /// Makes the folder if need be; refuses one that others can look into.
    fn open(&self) -> Result<(), BundleError> {
        let folder = &self.folder;
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io_error("create", folder))?;
        let mode = fs::metadata(folder).map_err(io_error("look at", folder))?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(BundleError::Permissions { path: folder.clone(), mode });
        }
        Ok(())
    }

    /// All bundles, oldest first. What is not called like one is somebody else's and let be.
    fn stored(&self) -> Result<Vec<Stored>, BundleError> {
        let mut stored = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(io_error("list", &self.folder))? {
            let path = entry.map_err(io_error("list", &self.folder))?.path();
            if let Some(id) = id_of(&path).filter(|_| is_folder(&path)) {
                let bytes = size(&path).map_err(io_error("look at", &path))?;
                stored.push(Stored { id, path, bytes });
            }
        }
        stored.sort_by_key(|bundle| bundle.id);
        Ok(stored)
    }

    /// Deletes what is too old, and the oldest until `more` bytes fit.
    fn make_room(&self, more: u64, now: WallTime) -> Result<(), BundleError> {
        let stored = self.stored()?;
        let mut total: u64 = stored.iter().map(|bundle| bundle.bytes).sum();
        for bundle in stored {
            let is_old = is_older(bundle.id, self.keep, now);
            if !is_old && total.saturating_add(more) <= self.max_bytes {
                break;
            }
            fs::remove_dir_all(&bundle.path).map_err(io_error("delete", &bundle.path))?;
            total -= bundle.bytes;
        }
        Ok(())
    }

    fn write_into(&self, unfinished: &Path, footage: &Footage<'_>) -> Result<(), BundleError> {
        DirBuilder::new().mode(0o700).create(unfinished).map_err(io_error("create", unfinished))?;
        let first = footage.frames.first().map(|frame| frame.captured_at).unwrap_or_default();
        let mut frames = Vec::with_capacity(footage.frames.len());
        for (number, frame) in footage.frames.iter().enumerate() {
            let (form, data) = Form::of(&frame.original);
            let file = format!("{number:05}.{}", form.extension());
            write_file(&unfinished.join(&file), data)?;
            let at_ns = u64::try_from(frame.captured_at.since(first).as_nanos()).unwrap_or(u64::MAX);
            let (bytes, sha256) = (data.len() as u64, hex(&Sha256::digest(data)));
            frames.push(FrameEntry { seq: frame.seq, at_ns, file, bytes, sha256, form, faces: faces(frame) });
        }
        let camera = footage.event.kind.detail().map(|detail| detail.camera.clone());
        let camera = camera.or_else(|| self.config.cameras.first().map(|camera| camera.id.clone()));
        let path = unfinished.join(MANIFEST);
        let unwritable = |source| BundleError::Io { doing: "write", path: path.clone(), source };
        let manifest = Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            event: footage.event.clone(),
            camera: camera.ok_or_else(|| unwritable(io::ErrorKind::InvalidInput.into()))?,
            config: self.config.clone(),
            models: self.models.clone(),
            gallery: footage.gallery.clone(),
            first_frame_at: footage.first_frame_at,
            missing: footage.missing,
            is_cut: footage.is_cut,
            frames,
        };
        let mut text = serde_json::to_vec_pretty(&manifest).map_err(|error| unwritable(error.into()))?;
        text.push(b'\n');
        write_file(&path, &text)
    }
}

impl BundleOut for BundleFolder {
    fn write(&mut self, footage: &Footage<'_>, now: WallTime) -> Result<(), BundleError> {
        self.open()?;
        let bytes: u64 = footage.frames.iter().map(|frame| frame.original.bytes() as u64).sum();
        if bytes > self.max_bytes {
            return Err(BundleError::TooLarge { bytes });
        }
        self.make_room(bytes, now)?;
        let name = footage.event.id.to_string();
        let (unfinished, path) = (self.folder.join(format!(".{name}{UNFINISHED}")), self.folder.join(&name));
        let written = self
            .write_into(&unfinished, footage)
            .and_then(|()| fs::rename(&unfinished, &path).map_err(io_error("rename", &unfinished)));
        if written.is_err() {
            // Best effort: the first error is the one to tell, and the next start cleans up what is left.
            drop(fs::remove_dir_all(&unfinished));
        }
        written
    }

    fn tidy(&mut self, now: WallTime) -> Result<(), BundleError> {
        self.open()?;
        for entry in fs::read_dir(&self.folder).map_err(io_error("list", &self.folder))? {
            let path = entry.map_err(io_error("list", &self.folder))?.path();
            if is_unfinished(&path) && is_folder(&path) {
                fs::remove_dir_all(&path).map_err(io_error("delete", &path))?;
            }
        }
        self.make_room(0, now)
    }
}

fn faces(frame: &KeptFrame) -> Vec<Face> {
    let face = |face: &super::KeptFace| Face {
        track: face.track,
        box_in_frame: face.box_in_frame,
        looked_at: face.is_looked_at,
    };
    frame.faces.iter().map(face).collect()
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), BundleError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(io_error("write", path))
}

pub(super) fn id_of(path: &Path) -> Option<Ulid> {
    Ulid::from_string(path.file_name()?.to_str()?).ok()
}

pub(super) fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.strip_prefix('.')?.strip_suffix(UNFINISHED))
        .is_some_and(|id| Ulid::from_string(id).is_ok())
}

/// A folder itself, not a link to one: what a link leads to is never deleted.
pub(super) fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

fn size(bundle: &Path) -> io::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(bundle)? {
        total += entry?.metadata()?.len();
    }
    Ok(total)
}

/// By the time in the id, which no copying changes.
fn is_older(id: Ulid, than: Duration, now: WallTime) -> bool {
    let now_ms = u64::try_from(now.0.as_millisecond()).unwrap_or(0);
    u128::from(now_ms.saturating_sub(id.timestamp_ms())) > than.as_millis()
}
