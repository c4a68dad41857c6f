//! The demonstration's clip, looked at with the real models: people are found in it, and told apart.

use std::path::PathBuf;

use facewarden::cmds::clip::{ClipOptions, Scene, demo_scenes, render_demo};
use facewarden::cmds::engine::{Engine, ModelArgs};
use facewarden::inference::{Detector, Embedder};

fn engine() -> Engine {
    Engine::load(&ModelArgs {
        detector: "centerface".to_owned(),
        model: "faceplugin512".to_owned(),
        models_dir: None,
        detect_side: None,
        runtime_library: None,
    })
    .unwrap()
}

/// Four frames a second are enough to judge by; with `FACEWARDEN_CLIP_FRAMES` naming a folder, all frames are made
/// and every tenth is left there, to be looked at.
#[test]
fn the_enrolled_person_and_the_stranger_can_be_told_apart() {
    let mut engine = engine();
    let story = demo_scenes(|photo| engine.detector.detect(photo)).unwrap();
    let keep = std::env::var_os("FACEWARDEN_CLIP_FRAMES").map(PathBuf::from);
    let fps = if keep.is_some() { 12.5 } else { 4.0 };
    let options = ClipOptions { fps, ..ClipOptions::default() };

    let mut enrolled = Vec::new();
    for (name, photo) in &story.enrol {
        let face = engine.faces(photo).unwrap().remove(0);
        enrolled.push((name.clone(), engine.embedder.embed(photo, &face.detection).unwrap()));
    }
    let limit = engine.embedder.spec().threshold;

    let mut walks = Vec::new();
    for (at, scene) in story.scenes.iter().enumerate() {
        let is_empty = matches!(scene, Scene::Empty(_));
        let (mut widths, mut nearest) = (Vec::new(), Vec::new());
        for (number, frame) in render_demo(std::slice::from_ref(scene), options).enumerate() {
            if let Some(folder) = &keep
                && number % 5 == 0
            {
                frame.save(folder.join(format!("scene{at}-{number:03}.png"))).unwrap();
            }
            let faces = engine.faces(&frame).unwrap();
            assert!(faces.len() <= usize::from(!is_empty), "scene {at} frame {number}: {faces:?}");
            let Some(face) = faces.first() else { continue };
            widths.push(face.quality.width_px);
            if face.quality.is_usable() {
                let probe = engine.embedder.embed(&frame, &face.detection).unwrap();
                let distance = |(_, e): &(_, _)| 1.0 - probe.cosine(e).unwrap().value();
                nearest.push(enrolled.iter().map(distance).fold(f32::INFINITY, f32::min));
            }
        }
        if !is_empty {
            if keep.is_some() {
                println!("scene {at}: widths {widths:.0?} distances {nearest:.2?}");
            }
            walks.push((widths, nearest));
        }
    }
    let [(comes, known), (_, unknown)] = walks.as_slice() else { panic!("{} people", walks.len()) };
    assert!(comes[0] < 80.0 && comes.iter().any(|w| *w > 180.0), "{comes:?}");
    assert!(known.len() >= 5 && unknown.len() >= 5, "{} and {} good looks", known.len(), unknown.len());
    let agree = known.iter().filter(|d| **d <= limit).count();
    assert!(agree * 10 >= known.len() * 8, "{known:?}");
    assert!(unknown.iter().all(|d| *d > limit), "{unknown:?}");
}
