//! What a manifest says that cannot be. All of it at once.

use super::check::{Finding, Findings};
use super::manifest::{
    Colour, DetectorSpec, EmbedderSpec, Fit, Input, LandmarksSpec, LivenessSpec, MANIFEST_SCHEMA, RoleName,
    Written,
};
use crate::domain::{Calibration, InvalidCalibration};

/// Sides of a tensor, in pixels.
const SIDES: (u32, u32) = (8, 4096);

/// All that is wrong with `written`. Empty only if there is exactly the section that its role asks for.
pub(super) fn check(written: &Written) -> Vec<Finding> {
    let mut found = Findings::default();
    if written.schema != MANIFEST_SCHEMA {
        found.error(
            "schema",
            format!("`schema` cannot be {}", written.schema),
            format!("this version of Facewarden reads manifests with `schema: {MANIFEST_SCHEMA}`"),
        );
    }
    names(written, &mut found);
    input(&written.input, &mut found);
    sections(written, &mut found);
    if let Some(spec) = &written.detector {
        detector(spec, &written.input, &mut found);
    }
    if let Some(spec) = &written.landmarks {
        landmarks(spec, &written.input, &mut found);
    }
    if let Some(spec) = &written.embedder {
        embedder(spec, &written.input, &mut found);
    }
    if let Some(spec) = &written.liveness {
        liveness(spec, &written.input, &mut found);
    }
    if let Some(curves) = &written.calibration {
        calibration(curves, written.role, &mut found);
    }
    found.into_vec()
}

fn calibration(curves: &Calibration, role: RoleName, found: &mut Findings) {
    if role != RoleName::Embedder {
        found.error(
            "calibration",
            "the section `calibration` does not go with this `role`",
            "error curves belong to an embedder: remove the section",
        );
        return;
    }
    if let Err(fault) = curves.check() {
        let key = match &fault {
            InvalidCalibration::TooFew(curve) => format!("calibration.{curve}"),
            InvalidCalibration::Point { curve, at, .. } => format!("calibration.{curve}[{}]", at - 1),
            InvalidCalibration::Tail => "calibration.tail".to_owned(),
        };
        let help = "let `facewarden eval --all-pairs DIR --calibrate --write` make the section";
        found.error(&key, fault.to_string(), help);
    }
}

fn names(written: &Written, found: &mut Findings) {
    if !is_model_name(&written.name) {
        found.error(
            "name",
            format!("`name` cannot be `{}`", written.name),
            "letters, digits, `-`, `_` and `.`, beginning with a letter or digit",
        );
    }
    if written.file.contains(['/', '\\']) {
        found.error(
            "file",
            "`file` cannot be a path",
            "the model lies beside its manifest: write its name alone",
        );
    } else if written.file.is_empty() || written.file.starts_with('.') || written.file.contains('\0') {
        found.error("file", "`file` is not the name of a file", "write a name such as model.onnx");
    }
    let mut hash = |key: &str, value: &str| {
        if value.len() != 64 || !value.bytes().all(|b| b.is_ascii_hexdigit()) {
            found.error(
                key,
                format!("`{key}` is not a SHA-256"),
                "64 hexadecimal digits, as the command `sha256sum` prints them",
            );
        }
    };
    hash("sha256", &written.sha256);
    if let Some(source) = &written.source {
        hash("source.sha256", &source.sha256);
    }
    if written.licence.trim().is_empty() {
        found.error(
            "licence",
            "`licence` is empty",
            "say under which terms the weights are offered, or `unknown`",
        );
    }
}

fn is_model_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn tensor_name(key: &str, name: &str, found: &mut Findings) {
    if name.is_empty() {
        found.error(key, format!("`{key}` is empty"), "write the tensor's name in the model");
    }
}

fn input(input: &Input, found: &mut Findings) {
    tensor_name("input.name", &input.name, found);
    if let Some([width, height]) = input.size {
        found.range("input.size[0]", width, SIDES);
        found.range("input.size[1]", height, SIDES);
    }
    for (key, values) in [("input.mean", input.mean.0), ("input.scale", input.scale.0)] {
        if !values.iter().all(|v| v.is_finite()) {
            found.error(
                key,
                format!("`{key}` is not a finite number"),
                "write ordinary numbers, such as 127.5",
            );
        } else if input.colour == Colour::Grey && values.iter().any(|v| v.to_bits() != values[0].to_bits()) {
            found.error(
                key,
                format!("`{key}` has three values"),
                "a grey picture has one channel: write one number",
            );
        }
    }
    if input.scale.0.contains(&0.0) {
        found.error(
            "input.scale",
            "`input.scale` cannot be 0",
            "the model gets (value - mean) / scale: write 1 for no scaling",
        );
    }
}

fn sections(written: &Written, found: &mut Findings) {
    let all = [
        (RoleName::Detector, "detector", written.detector.is_some()),
        (RoleName::Landmarks, "landmarks", written.landmarks.is_some()),
        (RoleName::Embedder, "embedder", written.embedder.is_some()),
        (RoleName::Liveness, "liveness", written.liveness.is_some()),
    ];
    for (role, section, present) in all {
        if role == written.role && !present {
            found.error(
                "role",
                format!("`role` is {section} and there is no section `{section}`"),
                format!("add the section `{section}:`, or correct `role`"),
            );
        } else if role != written.role && present {
            found.error(
                section,
                format!("the section `{section}` does not go with this `role`"),
                "a manifest has one section, called as its role",
            );
        }
    }
}

fn needs_size(what: &str, input: &Input, found: &mut Findings) {
    if input.size.is_none() {
        found.error(
            "input.size",
            format!("`input` lacks the key `size`, which {what} needs"),
            "add `size: [width, height]` in pixels",
        );
    }
}

fn detector(spec: &DetectorSpec, input: &Input, found: &mut Findings) {
    let sides = [("detector.max_side", spec.max_side), ("detector.multiple_of", spec.multiple_of)];
    match spec.fit {
        Fit::Letterbox => {
            for (key, value) in sides {
                if value.is_none() {
                    let name = key.trim_start_matches("detector.");
                    found.error(
                        key,
                        format!("`detector` lacks the key `{name}`, which `fit: letterbox` needs"),
                        format!("add a line `{name}: ...` with a number of pixels"),
                    );
                }
            }
            if input.size.is_some() {
                found.error(
                    "input.size",
                    "`input.size` does not go with `fit: letterbox`",
                    "letterbox goes by `max_side` and `multiple_of`: remove the line, or use `fit: stretch`",
                );
            }
        }
        Fit::Stretch => {
            needs_size("`fit: stretch`", input, found);
            for (key, value) in sides {
                if value.is_some() {
                    found.error(
                        key,
                        format!("`{key}` does not go with `fit: stretch`"),
                        "stretch goes by `input.size`: remove the line, or use `fit: letterbox`",
                    );
                }
            }
        }
    }
    let side = spec.max_side.filter(|side| found.range("detector.max_side", *side, (32, 2048)));
    let multiple = spec.multiple_of.filter(|of| found.range("detector.multiple_of", *of, (1, 1024)));
    if let (Some(side), Some(multiple)) = (side, multiple)
        && side % multiple != 0
    {
        found.error(
            "detector.max_side",
            format!("`detector.max_side` {side} is not a multiple of `multiple_of` {multiple}"),
            format!("write {} or {}", (side / multiple).max(1) * multiple, (side / multiple + 1) * multiple),
        );
    }
    let wanted = spec.decoder.outputs();
    if spec.outputs.len() != wanted {
        found.error(
            "detector.outputs",
            format!("`detector.outputs` must have {wanted} names and has {}", spec.outputs.len()),
            "each name is a tensor that the decoder takes; models/README.md has their order",
        );
    }
    for (at, name) in spec.outputs.iter().enumerate().take(wanted) {
        let key = format!("detector.outputs[{at}]");
        tensor_name(&key, name, found);
        if !name.is_empty() && spec.outputs[..at].contains(name) {
            found.error(&key, format!("the output `{name}` is there twice"), "each tensor is taken once");
        }
    }
    found.range("detector.score_threshold", spec.score_threshold, (0.0, 1.0));
    found.range("detector.nms_iou", spec.nms_iou, (0.0, 1.0));
    match &spec.landmarks {
        None if !spec.decoder.gives_landmarks() => found.error(
            "detector",
            "`detector` lacks the key `landmarks`, which this decoder needs",
            "it gives boxes only: add `landmarks: landmark68`, or another model that finds the five points",
        ),
        Some(name) if !is_model_name(name) => found.error(
            "detector.landmarks",
            format!("`detector.landmarks` cannot be `{name}`"),
            "the name of a model with `role: landmarks`",
        ),
        _ => (),
    }
}

fn landmarks(spec: &LandmarksSpec, input: &Input, found: &mut Findings) {
    needs_size("a model of facial points", input, found);
    tensor_name("landmarks.output", &spec.output, found);
    for (at, points) in spec.five_points.iter().enumerate() {
        let key = format!("landmarks.five_points[{at}]");
        if points.is_empty() {
            found.error(&key, format!("`{key}` is empty"), "name at least one of the model's points, from 0");
        }
        if let Some(point) = points.iter().find(|point| **point > 9999) {
            found.error(&key, format!("no model has a point {point}"), "points are counted from 0");
        }
    }
}

fn embedder(spec: &EmbedderSpec, input: &Input, found: &mut Findings) {
    needs_size("an embedder", input, found);
    tensor_name("embedder.output", &spec.output, found);
    found.range("embedder.dimension", spec.dimension, (2, 65_536));
    if let Some([width, height]) = input.size {
        for (at, [x, y]) in spec.alignment.iter().enumerate() {
            // Sides past the range have been reported; a precise bound no longer matters then.
            let inside = |v: f32, side: u32| v >= 0.0 && f64::from(v) <= f64::from(side);
            if !(inside(*x, width) && inside(*y, height)) {
                let key = format!("embedder.alignment[{at}]");
                let message =
                    format!("the point [{x}, {y}] lies outside the input of {width} x {height} pixels");
                found.error(&key, message, "x to the right and y down from the top left corner, in pixels");
            }
        }
    }
    let eyes_apart = spec.alignment[1][0] > spec.alignment[0][0];
    let mouth_below =
        spec.alignment[3][1] > spec.alignment[0][1] && spec.alignment[4][1] > spec.alignment[1][1];
    if spec.alignment.as_flattened().iter().all(|v| v.is_finite()) && !(eyes_apart && mouth_below) {
        found.error(
            "embedder.alignment",
            "the points of `embedder.alignment` are not in order",
            "the eye on the left of the picture, the other eye, nose, left and right corner of the mouth",
        );
    }
    found.range("embedder.threshold", spec.threshold, (0.0, 2.0));
}

fn liveness(spec: &LivenessSpec, input: &Input, found: &mut Findings) {
    needs_size("a liveness model", input, found);
    tensor_name("liveness.output", &spec.output, found);
    found.range("liveness.crop_scale", spec.crop_scale, (0.5, 10.0));
    found.range("liveness.live_index", spec.live_index, (0, 999));
}
