//! What is in front of the camera: folders of pictures, one a scene, for each size.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use facewarden::vision::photo;
use image::RgbImage;

use super::device::Mode;

/// All scenes: `FOLDER/WIDTHxHEIGHT/SCENE/frame-00001.jpg` and so on. Read when they are first shown.
#[derive(Debug)]
pub(crate) struct Scenes {
    folder: PathBuf,
    read: BTreeMap<PathBuf, Vec<Vec<u8>>>,
    showing: Showing,
}

/// What is shown now, and from when on what.
#[derive(Debug)]
struct Showing {
    scene: String,
    /// The next frame.
    at: usize,
    /// What is shown when the scene is over; itself again where there is nothing else.
    then: Option<String>,
}

impl Scenes {
    pub(crate) fn new(folder: &Path, first: &str) -> Self {
        let showing = Showing { scene: first.to_owned(), at: 0, then: None };
        Self { folder: folder.to_owned(), read: BTreeMap::new(), showing }
    }

    /// Shows a scene from its beginning: for ever, or once and then another for ever.
    pub(crate) fn show(&mut self, scene: &str, then: Option<&str>) -> Result<()> {
        for name in [Some(scene), then].into_iter().flatten() {
            let is_there = fs::read_dir(&self.folder)
                .with_context(|| format!("reading {}", self.folder.display()))?
                .filter_map(Result::ok)
                .any(|size| size.path().join(name).is_dir());
            if !is_there {
                bail!("there is no scene '{name}' in {}", self.folder.display());
            }
        }
        self.showing = Showing { scene: scene.to_owned(), at: 0, then: then.map(str::to_owned) };
        Ok(())
    }

    pub(crate) fn scene(&self) -> &str {
        &self.showing.scene
    }

    /// The next picture in the format and size that the camera is to give.
    pub(crate) fn next(&mut self, mode: Mode) -> Result<Vec<u8>> {
        let size = format!("{}x{}", mode.width, mode.height);
        loop {
            let frames = self.frames(&size)?;
            let (count, at) = (frames.len(), self.showing.at);
            if at < count {
                let frame = self.frames(&size)?[at].clone();
                self.showing.at += 1;
                return if mode.is_raw { raw(&frame) } else { Ok(frame) };
            }
            self.showing.at = 0;
            if let Some(then) = self.showing.then.take() {
                self.showing.scene = then;
            }
        }
    }

    fn frames(&mut self, size: &str) -> Result<&Vec<Vec<u8>>> {
        let folder = self.folder.join(size).join(&self.showing.scene);
        if !self.read.contains_key(&folder) {
            let frames = read(&folder)?;
            self.read.insert(folder.clone(), frames);
        }
        self.read.get(&folder).context("a scene that was read")
    }
}

/// The pictures in a folder, in the order of their names.
fn read(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let reading = || format!("reading the scene {}", folder.display());
    let mut names: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .with_context(reading)?;
    names.sort();
    let frames = names.iter().map(fs::read).collect::<Result<Vec<_>, _>>().with_context(reading)?;
    if frames.is_empty() {
        bail!("the scene {} has no pictures", folder.display());
    }
    Ok(frames)
}

/// A JPEG as YUYV: for every two pixels their brightness and, between, the mean of their colour (BT.601, 16 to 235).
fn raw(jpeg: &[u8]) -> Result<Vec<u8>> {
    let picture: RgbImage = photo::decode(jpeg).context("decoding a picture of the scene")?;
    let mut bytes = Vec::with_capacity(picture.as_raw().len() / 3 * 2);
    for pair in picture.as_raw().chunks_exact(6) {
        let [r0, g0, b0, r1, g1, b1] = *pair.first_chunk::<6>().context("two pixels")?;
        let [first, second] = [[r0, g0, b0], [r1, g1, b1]].map(|pixel| pixel.map(i32::from));
        let both = [0, 1, 2].map(|channel| first[channel] + second[channel]);
        let luma = |[r, g, b]: [i32; 3]| 16 + ((66 * r + 129 * g + 25 * b + 128) >> 8);
        // The sum of two pixels, hence one more bit to shift.
        let [r, g, b] = both;
        let blue = 128 + ((-38 * r - 74 * g + 112 * b + 256) >> 9);
        let red = 128 + ((112 * r - 94 * g - 18 * b + 256) >> 9);
        for value in [luma(first), blue, luma(second), red] {
            bytes.push(u8::try_from(value.clamp(0, 255))?);
        }
    }
    Ok(bytes)
}
