//! The raw outputs of every committed model, against what its package's original file gave: `models/golden.yaml`.

use image::RgbImage;
use serde::Deserialize;

use super::ModelFolders;
use super::detector::LandmarkFinder;
use super::model::Model;
use super::runtime::start_runtime;
use crate::config::{Colour, Manifest, Role};
use crate::domain::Rect;

#[derive(Deserialize)]
struct Golden {
    tensors: Vec<Numbered>,
    faces: Vec<OnPicture>,
}

#[derive(Deserialize)]
struct Numbered {
    model: String,
    shape: [usize; 4],
    outputs: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    name: String,
    shape: Vec<i64>,
    first: Vec<f32>,
    l2: f64,
}

#[derive(Deserialize)]
struct OnPicture {
    picture: String,
    #[serde(rename = "box")]
    area: [f32; 4],
    landmark68: Landmark68,
}

#[derive(Deserialize)]
struct Landmark68 {
    five: [[f32; 2]; 5],
}

fn golden() -> Golden {
    serde_yaml::from_str(include_str!("../../models/golden.yaml")).unwrap()
}

fn models() -> ModelFolders {
    start_runtime(None).unwrap();
    ModelFolders::only(concat!(env!("CARGO_MANIFEST_DIR"), "/models").into())
}

/// The picture whose tensor is `(i * 7919) mod 256` at flat position `i`, before normalisation.
#[expect(clippy::cast_possible_truncation, reason = "what is below 256, and sides of small pictures")]
fn numbered(shape: [usize; 4], colour: Colour) -> RgbImage {
    let [_, channels, height, width] = shape;
    let value = |channel: usize, at: usize| ((channel * height * width + at) * 7919 % 256) as u8;
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let at = y as usize * width + x as usize;
        let [a, b, c] = [0, 1, 2].map(|channel| value(channel.min(channels - 1), at));
        match colour {
            Colour::Bgr => image::Rgb([c, b, a]),
            Colour::Rgb => image::Rgb([a, b, c]),
            Colour::Grey => image::Rgb([a, a, a]),
        }
    })
}

fn output_names(manifest: &Manifest) -> Vec<String> {
    match &manifest.role {
        Role::Detector(spec) => spec.outputs.clone(),
        Role::Landmarks(spec) => vec![spec.output.clone()],
        Role::Embedder(spec) => vec![spec.output.clone()],
        Role::Liveness(spec) => vec![spec.output.clone()],
    }
}

#[test]
fn every_committed_model_gives_the_numbers_of_its_original() {
    let (folders, golden) = (models(), golden());
    let names = folders.names();
    assert_eq!(names, ["centerface", "faceplugin512", "landmark68", "liveness", "ultralight"]);
    for name in names {
        let expected = golden.tensors.iter().find(|t| t.model == name).unwrap();
        let (folder, manifest) = folders.manifest(&name).unwrap();
        let mut model = Model::load(&folder, &manifest, &output_names(&manifest)).unwrap();
        let picture = numbered(expected.shape, manifest.input.colour);
        model
            .run(&picture, |answer| {
                for wanted in &expected.outputs {
                    let output = answer.output(&wanted.name).unwrap();
                    assert_eq!(output.shape, wanted.shape, "{name} {}", wanted.name);
                    for (is, should) in output.values.iter().zip(&wanted.first) {
                        // The rewritten activations round differently in the last digits.
                        let tolerance = 1e-3 * should.abs().max(1.0);
                        assert!(
                            (is - should).abs() <= tolerance,
                            "{name} {}: {is}, not {should}",
                            wanted.name
                        );
                    }
                    let l2 = output.values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
                    assert!(
                        (l2 - wanted.l2).abs() <= 1e-3 * wanted.l2.max(1.0),
                        "{name} {}: {l2}",
                        wanted.name
                    );
                }
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn the_landmark_model_finds_the_points_in_a_box() {
    let mut finder = LandmarkFinder::load(&models(), "landmark68").unwrap();
    for OnPicture { picture, area: [x1, y1, x2, y2], landmark68 } in golden().faces {
        let path = format!("{}/tests/pictures/{picture}", env!("CARGO_MANIFEST_DIR"));
        let photo = crate::vision::photo::decode(&std::fs::read(path).unwrap()).unwrap();
        let found = finder.find(&photo, Rect::new(x1, y1, x2, y2)).unwrap().unwrap();
        for (point, [x, y]) in found.iter().zip(landmark68.five) {
            // The reference leaves out the last row and column of the box: a pixel in hundreds.
            let off = (point.x - x).hypot(point.y - y);
            assert!(off <= 1.5, "{picture}: {point:?} is {off} px from {x}, {y}");
        }
    }
}
