//! Faces, points, liveness and likeness on real pictures, against the numbers in `models/golden.yaml`.
//!
//! The reference scales pictures with four-neighbour sampling, and also enlarges them. Here pictures are never
//! enlarged and are scaled down over all pixels, so that the detector sees slightly different pixels: wherever the
//! two differ, this file says what is compared and how near it must be.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::path::Path;

use facewarden::config::Role;
use facewarden::domain::{Detection, Embedding, Point, Rect};
use facewarden::inference::{
    Detector, DetectorOptions, Embedder, LivenessModel, ModelFolders, OrtDetector, OrtEmbedder, OrtLiveness,
    start_runtime,
};
use image::RgbImage;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    detections: Vec<OnPicture>,
    faces: Vec<Face>,
    pairs: Vec<Pair>,
}

#[derive(Deserialize)]
struct OnPicture {
    model: String,
    picture: String,
    max_side: Option<u32>,
    fed: [u32; 2],
    count: usize,
    faces: Vec<Face>,
}

#[derive(Deserialize)]
struct Face {
    #[serde(default)]
    picture: String,
    score: f32,
    #[serde(rename = "box")]
    area: [f32; 4],
    points: Option<[[f32; 2]; 5]>,
    p_live: Option<f32>,
    embeddings: Option<std::collections::BTreeMap<String, Vec<f32>>>,
}

#[derive(Deserialize)]
struct Pair {
    pictures: [String; 2],
    distance: std::collections::BTreeMap<String, f32>,
}

impl Face {
    fn detection(&self) -> Detection {
        let [x1, y1, x2, y2] = self.area;
        let points = self.points.unwrap().map(|[x, y]| Point::new(x, y));
        Detection { box_in_frame: Rect::new(x1, y1, x2, y2), landmarks_in_frame: points, score: self.score }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn golden() -> Golden {
    serde_yaml::from_str(&std::fs::read_to_string(root().join("models/golden.yaml")).unwrap()).unwrap()
}

fn models() -> ModelFolders {
    start_runtime(None).unwrap();
    ModelFolders::only(root().join("models"))
}

fn picture(name: &str) -> RgbImage {
    let bytes = std::fs::read(root().join("tests/pictures").join(name)).unwrap();
    facewarden::vision::photo::decode(&bytes).unwrap()
}

fn points_apart(found: &Detection, expected: &Face) -> f32 {
    let points = expected.detection().landmarks_in_frame;
    found.landmarks_in_frame.iter().zip(points).map(|(a, b)| a.distance(b)).fold(0.0, f32::max)
}

#[test]
fn detectors_find_the_faces_of_the_reference() {
    let (folders, golden) = (models(), golden());
    let mut compared = 0;
    for case in golden.detections.iter().filter(|case| folders.names().contains(&case.model)) {
        let what = format!("{} on {} at {:?}", case.model, case.picture, case.max_side);
        let photo = picture(&case.picture);
        let options = DetectorOptions { max_side_px: case.max_side, min_score: None };
        let mut detector = OrtDetector::load(&folders, &case.model, options).unwrap();
        let found = detector.detect(&photo).unwrap();
        // Stretched pictures are sampled like the reference's; letterboxed ones only if nothing had to be scaled.
        let same_pixels = case.max_side.is_none_or(|side| side >= photo.width().max(photo.height()));
        // In a crowd, small faces come and go with the sampling.
        let may_differ = if same_pixels { 0 } else { case.count / 10 };
        assert!(found.len() >= case.count - may_differ, "{what}: {} faces", found.len());
        // Two JPEG decoders differ in the last bit of some pixels: what is hardly a face may pass the threshold.
        let sure = found.iter().filter(|face| face.score >= 0.7).count();
        let scores: Vec<f32> = found.iter().map(|face| face.score).collect();
        assert!(sure <= case.count + may_differ, "{what}: {scores:?}");
        for expected in &case.faces {
            let [x1, y1, x2, y2] = expected.area;
            let (_, face) = found
                .iter()
                .map(|face| (face.box_in_frame.iou(Rect::new(x1, y1, x2, y2)), face))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .unwrap();
            let iou = face.box_in_frame.iou(Rect::new(x1, y1, x2, y2));
            assert!(iou >= if same_pixels { 0.97 } else { 0.85 }, "{what}: overlap {iou}");
            let off = (face.score - expected.score).abs();
            assert!(off <= if same_pixels { 0.02 } else { 0.05 }, "{what}: score {}", face.score);
            if expected.points.is_some() {
                // 1.5 px of what the detector is shown, where the pixels it is shown are not the same.
                let shown = case.fed[0].max(case.fed[1]) as f32;
                let scale = if same_pixels { 1.0 } else { photo.width().max(photo.height()) as f32 / shown };
                let off = points_apart(face, expected);
                assert!(off <= 1.5 * scale.max(1.0), "{what}: points {off} px off");
            }
            compared += 1;
        }
    }
    assert!(compared >= 8, "{compared} faces were compared");
}

#[test]
fn liveness_is_that_of_the_reference() {
    let mut liveness = OrtLiveness::load(&models(), "liveness").unwrap();
    for face in golden().faces {
        let live = liveness.judge(&picture(&face.picture), &face.detection()).unwrap().0;
        let expected = face.p_live.unwrap();
        assert!((live - expected).abs() <= 0.03, "{}: {live}, not {expected}", face.picture);
    }
}

/// The embedding of each golden picture's face, at the reference's points.
fn embedded(embedder: &mut OrtEmbedder) -> Vec<(String, Embedding, Vec<f32>)> {
    let name = embedder.name().to_owned();
    let of = |face: Face| {
        let embedding = embedder.embed(&picture(&face.picture), &face.detection()).unwrap();
        let expected = face.embeddings.as_ref().unwrap()[&name].clone();
        (face.picture, embedding, expected)
    };
    golden().faces.into_iter().map(of).collect()
}

fn embedders(folders: &ModelFolders) -> Vec<OrtEmbedder> {
    let is_embedder = |name: &String| matches!(folders.manifest(name).unwrap().1.role, Role::Embedder(_));
    let names = folders.names().into_iter().filter(is_embedder);
    names.map(|name| OrtEmbedder::load(folders, &name).unwrap()).collect()
}

#[test]
fn embeddings_are_those_of_the_reference_given_its_points() {
    let folders = models();
    for mut embedder in embedders(&folders) {
        let dimension = embedder.spec().dimension as f32;
        // A cosine of 0.999 is a distance of 0.045 in all; spread evenly, this for each number, and as much for
        // the digits that the file leaves out.
        let each = 2.0 * (2.0 * (1.0 - 0.999_f32) / dimension).sqrt();
        for (picture, embedding, expected) in embedded(&mut embedder) {
            for (is, should) in embedding.values().iter().zip(&expected) {
                assert!((is - should).abs() <= each, "{} {picture}: {is}, not {should}", embedder.name());
            }
        }
    }
}

#[test]
fn pairs_are_as_far_apart_as_the_reference_says() {
    let folders = models();
    for mut embedder in embedders(&folders) {
        let embedded = embedded(&mut embedder);
        let of = |name: &String| &embedded.iter().find(|(picture, ..)| picture == name).unwrap().1;
        for Pair { pictures: [a, b], distance } in golden().pairs {
            let is = 1.0 - of(&a).cosine(of(&b)).unwrap().value();
            let should = distance[embedder.name()];
            // Were both embeddings off by a cosine of 0.999, the distance could be off by 0.09.
            assert!((is - should).abs() <= 0.02, "{} {a} {b}: {is}, not {should}", embedder.name());
        }
    }
}

#[test]
fn from_the_photo_alone_the_embedding_is_alike() {
    let folders = models();
    let mut detector = OrtDetector::load(&folders, "centerface", DetectorOptions::default()).unwrap();
    let mut embedder = OrtEmbedder::load(&folders, "faceplugin512").unwrap();
    for face in golden().faces {
        let photo = picture(&face.picture);
        let expected = embedder.embed(&photo, &face.detection()).unwrap();
        let longer = photo.width().max(photo.height());
        let found = detector.detect_at(&photo, longer.min(640)).unwrap();
        // 1.5 px of what the detector is shown; 3 px where the reference enlarged the photo first.
        let limit = if longer < 640 { 3.0 } else { 1.5 * longer as f32 / 640.0 };
        let off = points_apart(&found[0], &face);
        assert!(off <= limit, "{}: points {off} px off", face.picture);
        // The photos are scaled by another rule than the reference's, which moves the points by those pixels; what
        // that does to the embedding must stay far below what tells people apart (a cosine of 0.412).
        let cosine = embedder.embed(&photo, &found[0]).unwrap().cosine(&expected).unwrap().value();
        assert!(cosine >= 0.96, "{}: cosine {cosine}", face.picture);
    }
}
