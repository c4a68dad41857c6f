//! The scenes that the simulated camera shows, drawn from the pictures in `tests/pictures` as the demonstration's are.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use facewarden::cmds::clip::{ClipOptions, Scene, Walk, demo_scenes, render_demo, write_folder};
use facewarden::cmds::engine::{Engine, ModelArgs};
use facewarden::inference::Detector as _;
use image::RgbImage;

use super::descriptors::SIZES;

/// How long scenes last in which nobody walks.
const WHILE: Duration = Duration::from_millis(1200);

/// How long people stand in front of the camera: longer than in the demonstration, since a machine that does other things
/// as well may miss frames of it.
const STAY: Duration = Duration::from_secs(3);

/// Draws every scene in every size that the camera has:
///
/// - `empty`: nobody there
/// - `known`: somebody enrolled walks up, stands there, and leaves; `stranger`: somebody else does
/// - `known-stays`: the enrolled person stands in front of the camera
/// - `covered`: something dark is in front of the lens; `glare`: a light shines into it; `moved`: it hangs upside down
///
/// # Errors
/// If a model or a picture is missing, or a file cannot be written.
pub(crate) fn draw(folder: &Path, fps: u32) -> Result<()> {
    let models = ModelArgs {
        detector: "centerface".to_owned(),
        model: "faceplugin512".to_owned(),
        models_dir: None,
        detect_side: None,
        runtime_library: None,
    };
    let mut engine = Engine::load(&models).map_err(|failure| failure.error)?;
    let story = demo_scenes(|photo| engine.detector.detect(photo)).context("finding the faces")?;
    let mut walks = story.scenes.iter().filter_map(|scene| match scene {
        Scene::WalkUp(walk) => Some(walk.clone()),
        Scene::Empty(_) => None,
    });
    let (Some(known), Some(stranger)) = (walks.next(), walks.next()) else {
        bail!("the demonstration has not two people who walk up");
    };
    let begin = frame_at(known.approach + STAY / 3, fps)?;
    let end = frame_at(known.approach + STAY, fps)?;
    for (width, height) in SIZES {
        let options = ClipOptions {
            width: width.into(),
            height: height.into(),
            fps: fps as f32,
            ..ClipOptions::default()
        };
        let write = |scene: &str, frames: Vec<RgbImage>| {
            let folder = folder.join(format!("{width}x{height}")).join(scene);
            write_folder(frames.into_iter(), &folder).with_context(|| format!("writing {}", folder.display()))
        };
        let nobody = render(Scene::Empty(WHILE), options);
        write("covered", nobody.iter().map(|frame| changed(frame, |v| v / 24)).collect())?;
        write("glare", nobody.iter().map(|frame| changed(frame, |v| 251 + v / 64)).collect())?;
        write("moved", nobody.iter().map(image::imageops::rotate180).collect())?;
        write("empty", nobody)?;
        let stands = |walk: &Walk| Scene::WalkUp(Walk { stay: STAY, ..walk.clone() });
        write("stranger", render(stands(&stranger), options))?;
        let known = render(stands(&known), options);
        // Once they have stopped, they sway for a while.
        let stays = known.iter().take(end).skip(begin).cloned().collect();
        write("known-stays", stays)?;
        write("known", known)?;
    }
    Ok(())
}

/// The number of the frame that is shown after so long.
fn frame_at(after: Duration, fps: u32) -> Result<usize> {
    Ok(usize::try_from(after.as_millis() * u128::from(fps) / 1000)?)
}

fn render(scene: Scene, options: ClipOptions) -> Vec<RgbImage> {
    render_demo(&[scene], options).collect()
}

fn changed(frame: &RgbImage, change: impl Fn(u8) -> u8) -> RgbImage {
    let mut frame = frame.clone();
    frame.iter_mut().for_each(|value| *value = change(*value));
    frame
}
