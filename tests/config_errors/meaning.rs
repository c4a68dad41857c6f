//! Faults of meaning: well-formed, and cannot be or should be thought about. All are reported at once.

use super::{warnings, whole, with_camera};

#[test]
fn not_a_number() {
    insta::assert_snapshot!(with_camera(
        r"
decision:
  min_margin: .nan
quality:
  min_sharpness: .inf
",
    ), @r"
    facewarden.yaml cannot be used: 2 errors

    error: `decision.min_margin` cannot be NaN
     --> facewarden.yaml:6:15
      |
    6 |   min_margin: .nan
      |               ^^^^
      = write a number from 0 to 1

    error: `quality.min_sharpness` cannot be inf
     --> facewarden.yaml:8:18
      |
    8 |   min_sharpness: .inf
      |                  ^^^^
      = write a number from 0 to 1000
    ");
}

#[test]
fn wide_line() {
    insta::assert_snapshot!(with_camera(
        r"
events:
  hooks:
    - argv: [/usr/local/bin/unlock-the-front-door-of-the-house, --with, --many, --arguments, --and, --more, --of, --them]
      only: { kinds: [match.verified, match.unknown, match.rejected, camera.lost, camera.recovered, match.verifed, service.stopping] }
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: there is no kind of event called `match.verifed`
     --> facewarden.yaml:8:101
      |
    8 | ...st, camera.recovered, match.verifed, service.stopping] }
      |                          ^^^^^^^^^^^^^
      = did you mean `match.verified`? the kinds: match.verified, match.unknown, match.rejected, match.shadow, liveness.challenge, liveness.locked_out, camera.lost, camera.recovered, camera.frozen, camera.obstructed, camera.moved, camera.clear, camera.paused, camera.resumed, camera.snapshot, person.enrolled, person.changed, person.removed, entry.forgotten, service.degraded, service.started, service.stopping
    ");
}

#[test]
fn all_that_cannot_be_at_once() {
    insta::assert_snapshot!(with_camera(
        r"
detection:
  min_score: 1.5
  max_fps: 0
quality:
  min_luma: 240
decision:
  min_looks: 0
  window_ms: 5000
events:
  hooks:
    - argv: []
    - argv: [unlock.sh]
      only: { kinds: [] }
      max_parallel: 0
",
    ), @r"
    facewarden.yaml cannot be used: 9 errors

    error: `detection.min_score` cannot be 1.5
     --> facewarden.yaml:6:14
      |
    6 |   min_score: 1.5
      |              ^^^
      = write a number from 0 to 1

    error: `detection.max_fps` cannot be 0
     --> facewarden.yaml:7:12
      |
    7 |   max_fps: 0
      |            ^
      = write a number from 0.1 to 240

    error: no face is lighter than `quality.min_luma` 240 and darker than `quality.max_luma` 235
     --> facewarden.yaml:9:13
      |
    9 |   min_luma: 240
      |             ^^^
      = make max_luma the larger of the two

    error: `decision.min_looks` cannot be 0
      --> facewarden.yaml:11:14
       |
    11 |   min_looks: 0
       |              ^
       = write a number from 1 to 100

    error: `decision.give_up_after_ms` 4000 is shorter than `decision.window_ms` 5000
      --> facewarden.yaml:12:14
       |
    12 |   window_ms: 5000
       |              ^^^^
       = people would be turned away before the window is full: make it as long or longer

    error: `events.hooks[0].argv` is empty
      --> facewarden.yaml:15:7
       |
    15 |     - argv: []
       |       ^^^^
       = name a program by its absolute path: [/usr/local/bin/unlock]

    error: the program `unlock.sh` has no absolute path
      --> facewarden.yaml:16:14
       |
    16 |     - argv: [unlock.sh]
       |              ^^^^^^^^^
       = write the whole path, beginning with a slash; no shell looks it up or expands it

    error: `events.hooks[1].only.kinds` is empty: nothing would pass
      --> facewarden.yaml:17:15
       |
    17 |       only: { kinds: [] }
       |               ^^^^^
       = name some, or leave the line out

    error: `events.hooks[1].max_parallel` cannot be 0
      --> facewarden.yaml:18:21
       |
    18 |       max_parallel: 0
       |                     ^
       = write a number from 1 to 64
    ");
}

#[test]
fn window_too_short() {
    insta::assert_snapshot!(with_camera(
        r"
decision:
  min_looks: 5
  window_ms: 100
",
    ), @r"
    facewarden.yaml cannot be used: 3 errors

    error: `decision.min_looks` 5 looks never fit into `decision.window_ms` 100
     --> facewarden.yaml:6:14
      |
    6 |   min_looks: 5
      |              ^
      = at `detection.max_fps` 30 there are 4 at most: nobody would ever be verified

    error: `liveness.min_looks` 8 looks never fit into `decision.window_ms` 100
     --> facewarden.yaml:7:14
      |
    7 |   window_ms: 100
      |              ^^^
      = at `detection.max_fps` 30 there are 4 at most: nobody would ever be verified

    error: `liveness.min_span_ms` 700 is longer than `decision.window_ms` 100
     --> facewarden.yaml:7:14
      |
    7 |   window_ms: 100
      |              ^^^
      = only looks within the window count: make it as long or shorter
    ");
}

#[test]
fn model_given_as_a_path() {
    insta::assert_snapshot!(with_camera(
        r"
models:
  detector: models/centerface.onnx
  embedder: dlib.onnx
",
    ), @r"
    facewarden.yaml cannot be used: 2 errors

    error: `models.detector` cannot be a path
     --> facewarden.yaml:6:13
      |
    6 |   detector: models/centerface.onnx
      |             ^^^^^^^^^^^^^^^^^^^^^^
      = write the model's name alone, as in its manifest, and its folder as `models.folder`

    error: `models.embedder` is a name, not a file
     --> facewarden.yaml:7:13
      |
    7 |   embedder: dlib.onnx
      |             ^^^^^^^^^
      = write `dlib`
    ");
}

#[test]
fn other_schema() {
    insta::assert_snapshot!(whole(
        r"
schema: 2
cameras:
  - id: door
    source: /dev/video0
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `schema` cannot be 2
     --> facewarden.yaml:1:9
      |
    1 | schema: 2
      |         ^
      = this version of Facewarden reads files with `schema: 1`
    ");
}

#[test]
fn empty_list_of_cameras() {
    insta::assert_snapshot!(whole(
        r"
schema: 1
cameras: []
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `cameras` is empty
     --> facewarden.yaml:2:1
      |
    2 | cameras: []
      | ^^^^^^^
      = add one camera with `id` and `source`
    ");
}

#[test]
fn two_cameras() {
    insta::assert_snapshot!(whole(
        r"
schema: 1
cameras:
  - id: door
    source: /dev/video0
  - id: door
    source: /dev/video0
",
    ), @r"
    facewarden.yaml cannot be used: 2 errors

    error: two cameras are called `door`
     --> facewarden.yaml:5:9
      |
    5 |   - id: door
      |         ^^^^
      = events name the camera: give each an `id` of its own

    error: two cameras are at `/dev/video0`
     --> facewarden.yaml:6:13
      |
    6 |     source: /dev/video0
      |             ^^^^^^^^^^^
      = a device gives its pictures to one: write each device once
    ");
}

#[test]
fn camera_with_poor_values() {
    insta::assert_snapshot!(whole(
        r#"
schema: 1
cameras:
  - id: door
    source: " "
    width: 0
    fps: 0
    loops: 0
"#,
    ), @r#"
    facewarden.yaml cannot be used: 4 errors

    error: `cameras[0].source` is empty
     --> facewarden.yaml:4:13
      |
    4 |     source: " "
      |             ^^^
      = name a device such as /dev/video0, a folder, a file or a URL

    error: `cameras[0].width` cannot be 0
     --> facewarden.yaml:5:12
      |
    5 |     width: 0
      |            ^
      = write a number from 64 to 8192

    error: `cameras[0].fps` cannot be 0
     --> facewarden.yaml:6:10
      |
    6 |     fps: 0
      |          ^
      = write a number from 0.1 to 240

    error: `cameras[0].loops` cannot be 0
     --> facewarden.yaml:7:12
      |
    7 |     loops: 0
      |            ^
      = 1 plays the source once
    "#);
}

#[test]
fn nobody_is_told() {
    insta::assert_snapshot!(warnings(
        r"
events:
  log: null
",
    ), @r#"
    warning: nobody is told of anything: there is no `events.log`, no hook and nothing else
     --> facewarden.yaml:5:1
      |
    5 | events:
      | ^^^^^^
      = add a hook, or `log: "-"` for standard output
    "#);
}

#[test]
fn what_deserves_a_second_thought() {
    insta::assert_snapshot!(warnings(
        r"
liveness:
  mode: report
quality:
  min_width_px: 10
decision:
  min_similarity: 0.2
  min_looks: 1
  grant_valid_ms: 30000
",
    ), @r"
    warning: `liveness.mode` is report: a printed photo can be verified
     --> facewarden.yaml:6:9
      |
    6 |   mode: report
      |         ^^^^^^
      = `enforce` turns away what looks like a picture

    warning: `quality.min_width_px` of 10 lets in faces too small to tell apart
     --> facewarden.yaml:8:17
      |
    8 |   min_width_px: 10
      |                 ^^
      = 24 pixels is the least that works, 40 is the default

    warning: `decision.min_similarity` of 0.2 takes strangers for enrolled people
      --> facewarden.yaml:10:19
       |
    10 |   min_similarity: 0.2
       |                   ^^^
       = leave the line out: then it follows from `decision.false_match_rate`

    warning: `decision.min_looks` of 1 lets a single picture decide
      --> facewarden.yaml:11:14
       |
    11 |   min_looks: 1
       |              ^
       = one lucky frame of a stranger is enough then; 2 is the default

    warning: `decision.grant_valid_ms` of 30000 lets a late event open a door
      --> facewarden.yaml:12:19
       |
    12 |   grant_valid_ms: 30000
       |                   ^^^^^
       = whoever was verified may be gone by then; 2000 is the default
    ");
}
