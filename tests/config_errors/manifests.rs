//! Faults of model manifests.

use super::{manifest, whole_manifest};

#[test]
fn manifest_without_its_section() {
    insta::assert_snapshot!(manifest(&[("embedder:", "detektor:")]), @r"
    mine.yaml cannot be used: 1 error

    error: unknown key `detektor`
     --> mine.yaml:8:1
      |
    8 | detektor:
      | ^^^^^^^^
      = did you mean `detector`? the keys here: schema, name, role, file, sha256, licence, notes, source, input, detector, landmarks, embedder, liveness, calibration
    ");
}

#[test]
fn manifest_with_another_section() {
    insta::assert_snapshot!(manifest(&[("role: embedder", "role: liveness")]), @r"
    mine.yaml cannot be used: 2 errors

    error: `role` is liveness and there is no section `liveness`
     --> mine.yaml:3:7
      |
    3 | role: liveness
      |       ^^^^^^^^
      = add the section `liveness:`, or correct `role`

    error: the section `embedder` does not go with this `role`
     --> mine.yaml:8:1
      |
    8 | embedder:
      | ^^^^^^^^
      = a manifest has one section, called as its role
    ");
}

#[test]
fn manifest_that_cannot_be() {
    insta::assert_snapshot!(manifest(&[("schema: 1", "schema: 3"), ("file: mine.onnx", "file: models/mine.onnx"), ("0af1", "xyz"), ("[112, 112]", "[112, 90]"), ("scale: 128", "scale: 0"), ("threshold: 0.588", "threshold: 2.5")]), @r"
    mine.yaml cannot be used: 7 errors

    error: `schema` cannot be 3
     --> mine.yaml:1:9
      |
    1 | schema: 3
      |         ^
      = this version of Facewarden reads manifests with `schema: 1`

    error: `file` cannot be a path
     --> mine.yaml:4:7
      |
    4 | file: models/mine.onnx
      |       ^^^^^^^^^^^^^^^^
      = the model lies beside its manifest: write its name alone

    error: `sha256` is not a SHA-256
     --> mine.yaml:5:9
      |
    5 | sha256: xyzdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf35810
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = 64 hexadecimal digits, as the command `sha256sum` prints them

    error: `input.scale` cannot be 0
     --> mine.yaml:7:84
      |
    7 | ...0], mean: 127, scale: 0}
      |                          ^
      = the model gets (value - mean) / scale: write 1 for no scaling

    error: the point [41.5, 92.4] lies outside the input of 112 x 90 pixels
      --> mine.yaml:13:57
       |
    13 | ... 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]]
       |                          ^
       = x to the right and y down from the top left corner, in pixels

    error: the point [70.7, 92.2] lies outside the input of 112 x 90 pixels
      --> mine.yaml:13:71
       |
    13 | ... 71.7], [41.5, 92.4], [70.7, 92.2]]
       |                          ^
       = x to the right and y down from the top left corner, in pixels

    error: `embedder.threshold` cannot be 2.5
      --> mine.yaml:14:14
       |
    14 |   threshold: 2.5
       |              ^^^
       = write a number from 0 to 2
    ");
}

#[test]
fn manifest_with_wrong_counts() {
    insta::assert_snapshot!(manifest(&[("mean: 127", "mean: [127, 127]")]), @r"
    mine.yaml cannot be used: 1 error

    error: `input.mean` has 2 items
     --> mine.yaml:7:67
      |
    7 | ...gr, size: [112, 112], mean: [127, 127], scale: 128}
      |                          ^^^^
      = write a number, or a list of one number for each of the three channels
    ");
}

#[test]
fn manifest_with_four_points() {
    insta::assert_snapshot!(manifest(&[(", [70.7, 92.2]", "")]), @r"
    mine.yaml cannot be used: 1 error

    error: `embedder.alignment` has 4 items
      --> mine.yaml:13:3
       |
    13 |   alignment: [[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4]]
       |   ^^^^^^^^^
       = write a list of exactly this length: 5
    ");
}

#[test]
fn manifest_without_a_size() {
    insta::assert_snapshot!(manifest(&[("size: [112, 112], ", "")]), @r"
    mine.yaml cannot be used: 1 error

    error: `input` lacks the key `size`, which an embedder needs
     --> mine.yaml:7:1
      |
    7 | input: {name: input, layout: nchw, colour: bgr, mean: 127, scale: 128}
      | ^^^^^
      = add `size: [width, height]` in pixels
    ");
}

#[test]
fn manifest_for_letterbox_and_boxes_only() {
    insta::assert_snapshot!(whole_manifest(
        r"
schema: 1
name: mine
role: detector
file: mine.onnx
sha256: 87aacdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf3581
licence: MIT
input: {name: input, layout: nchw, colour: grey, mean: [1, 2, 3], scale: 1}
detector:
  decoder: ultralight
  fit: letterbox
  max_side: 100
  outputs: [scores]
  score_threshold: 0.5
  nms_iou: 0.3
",
    ), @r"
    mine.yaml cannot be used: 4 errors

    error: `input.mean` has three values
     --> mine.yaml:7:50
      |
    7 | ...: nchw, colour: grey, mean: [1, 2, 3], scale: 1}
      |                          ^^^^
      = a grey picture has one channel: write one number

    error: `detector` lacks the key `multiple_of`, which `fit: letterbox` needs
     --> mine.yaml:8:1
      |
    8 | detector:
      | ^^^^^^^^
      = add a line `multiple_of: ...` with a number of pixels

    error: `detector` lacks the key `landmarks`, which this decoder needs
     --> mine.yaml:8:1
      |
    8 | detector:
      | ^^^^^^^^
      = it gives boxes only: add `landmarks: landmark68`, or another model that finds the five points

    error: `detector.outputs` must have 2 names and has 1
      --> mine.yaml:12:3
       |
    12 |   outputs: [scores]
       |   ^^^^^^^
       = each name is a tensor that the decoder takes; models/README.md has their order
    ");
}
