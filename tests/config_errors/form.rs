//! Faults of form: the text is not YAML, or a key or value is not what its place asks for.

use super::{whole, with_camera};

#[test]
fn misspelt_key() {
    insta::assert_snapshot!(with_camera(
        r"
decision:
  min_margn: 0.1
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: unknown key `min_margn`
     --> facewarden.yaml:6:3
      |
    6 |   min_margn: 0.1
      |   ^^^^^^^^^
      = did you mean `min_margin`? the keys of `decision`: false_match_rate, allow_extrapolation, stranger_visits_per_day, min_similarity, min_margin, min_looks, window_ms, give_up_after_ms, cooldown_ms, grant_valid_ms, several_faces, shadow
    ");
}

#[test]
fn misspelt_section() {
    insta::assert_snapshot!(with_camera(
        r"
desicion:
  min_margin: 0.1
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: unknown key `desicion`
     --> facewarden.yaml:5:1
      |
    5 | desicion:
      | ^^^^^^^^
      = did you mean `decision`? the keys here: schema, cameras, models, detection, tracking, quality, liveness, decision, gallery, enrolment, people, events, debug, control, http
    ");
}

#[test]
fn key_of_another_program() {
    insta::assert_snapshot!(with_camera(
        r"
recognition:
  threshold: 0.6
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: unknown key `recognition`
     --> facewarden.yaml:5:1
      |
    5 | recognition:
      | ^^^^^^^^^^^
      = the keys here: schema, cameras, models, detection, tracking, quality, liveness, decision, gallery, enrolment, people, events, debug, control, http
    ");
}

#[test]
fn text_for_a_number() {
    insta::assert_snapshot!(with_camera(
        r"
decision:
  min_margin: little
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `decision.min_margin` cannot be `little`
     --> facewarden.yaml:6:15
      |
    6 |   min_margin: little
      |               ^^^^^^
      = write a number such as 0.5
    ");
}

#[test]
fn decimal_comma() {
    insta::assert_snapshot!(with_camera(
        r"
decision:
  min_margin: 0,05
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `decision.min_margin` cannot be `0,05`
     --> facewarden.yaml:6:15
      |
    6 |   min_margin: 0,05
      |               ^^^^
      = write the decimal point as a point: 0.05
    ");
}

#[test]
fn unit_in_the_value() {
    insta::assert_snapshot!(with_camera(
        r"
decision:
  window_ms: 2000ms
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `decision.window_ms` cannot be `2000ms`
     --> facewarden.yaml:6:14
      |
    6 |   window_ms: 2000ms
      |              ^^^^^^
      = write the number alone, the unit is in the key's name: 2000
    ");
}

#[test]
fn fraction_for_a_count() {
    insta::assert_snapshot!(with_camera(
        r"
decision:
  min_looks: 2.5
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `decision.min_looks` cannot be `2.5`
     --> facewarden.yaml:6:14
      |
    6 |   min_looks: 2.5
      |              ^^^
      = write a whole number, 0 or more, without a sign or decimals
    ");
}

#[test]
fn negative_count() {
    insta::assert_snapshot!(with_camera(
        r"
decision:
  min_looks: -1
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `decision.min_looks` cannot be `-1`
     --> facewarden.yaml:6:14
      |
    6 |   min_looks: -1
      |              ^^
      = write a whole number, 0 or more, without a sign or decimals
    ");
}

#[test]
fn number_far_too_large() {
    insta::assert_snapshot!(with_camera(
        r"
tracking:
  confirm_after: 99999999999
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `tracking.confirm_after` cannot be `99999999999`
     --> facewarden.yaml:6:18
      |
    6 |   confirm_after: 99999999999
      |                  ^^^^^^^^^^^
      = the number is far too large
    ");
}

#[test]
fn similarity_out_of_range() {
    insta::assert_snapshot!(with_camera(
        r"
decision:
  min_similarity: 7
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `decision.min_similarity` cannot be `7`
     --> facewarden.yaml:6:19
      |
    6 |   min_similarity: 7
      |                   ^
      = 7 is not between -1 and 1
    ");
}

#[test]
fn key_given_twice() {
    insta::assert_snapshot!(with_camera(
        r"
decision:
  min_margin: 0.1
  window_ms: 1000
  min_margin: 0.2
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `decision.min_margin` is given twice (first on line 6)
     --> facewarden.yaml:8:3
      |
    8 |   min_margin: 0.2
      |   ^^^^^^^^^^
      = keep one of the two
    ");
}

#[test]
fn section_without_keys() {
    insta::assert_snapshot!(with_camera(
        r"
decision:
  # min_margin: 0.1
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `decision` is empty
     --> facewarden.yaml:5:9
      |
    5 | decision:
      |         ^
      = give it at least one key, indented below it, or put a `#` before this line too
    ");
}

#[test]
fn value_for_a_section() {
    insta::assert_snapshot!(with_camera("liveness: off\n"), @r"
    facewarden.yaml cannot be used: 1 error

    error: `liveness` must be a group of keys
     --> facewarden.yaml:5:11
      |
    5 | liveness: off
      |           ^^^
      = write its keys below it, each indented, in the form `key: value`
    ");
}

#[test]
fn text_for_a_list() {
    insta::assert_snapshot!(with_camera(
        r"
events:
  hooks:
    - argv: /usr/local/bin/unlock
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `events.hooks[0].argv` must be a list
     --> facewarden.yaml:7:13
      |
    7 |     - argv: /usr/local/bin/unlock
      |             ^^^^^^^^^^^^^^^^^^^^^
      = in brackets: [/usr/local/bin/unlock], or each item on a line of its own after `- `
    ");
}

#[test]
fn no_value() {
    insta::assert_snapshot!(with_camera(
        r"
models:
  detector:
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `models.detector` has no value
     --> facewarden.yaml:6:11
      |
    6 |   detector:
      |           ^
      = write a text after the colon, or leave the whole line out
    ");
}

#[test]
fn unknown_choice() {
    insta::assert_snapshot!(with_camera(
        r"
liveness:
  mode: enforced
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `liveness.mode` cannot be `enforced`
     --> facewarden.yaml:6:9
      |
    6 |   mode: enforced
      |         ^^^^^^^^
      = did you mean `enforce`? one of: enforce, challenge, report, off
    ");
}

#[test]
fn tab() {
    insta::assert_snapshot!(with_camera("liveness:\n\tmode: off\n"), @r"
    facewarden.yaml cannot be used: 1 error

    error: a tab is used for indentation
     --> facewarden.yaml:6:1
      |
    6 |  mode: off
      | ^
      = YAML is indented with spaces: replace the tab
    ");
}

#[test]
fn open_quote() {
    insta::assert_snapshot!(with_camera(
        r#"
models:
  detector: "centerface
"#,
    ), @r#"
    facewarden.yaml cannot be used: 1 error

    error: this is not valid YAML: unclosed quote
     --> facewarden.yaml:6:13
      |
    6 |   detector: "centerface
      |             ^
      = close the text with the same quotation mark it begins with
    "#);
}

#[test]
fn bad_indentation() {
    insta::assert_snapshot!(with_camera(
        r"
decision:
    min_margin: 0.1
  window_ms: 1000
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: this is not valid YAML: a key was expected here
     --> facewarden.yaml:7:3
      |
    7 |   window_ms: 1000
      |   ^
      = keys of one section begin in the same column, and nothing follows a closing quotation mark
    ");
}

#[test]
fn merge_key() {
    insta::assert_snapshot!(with_camera("<<: {quality: {min_luma: 3}}\n"), @r"
    facewarden.yaml cannot be used: 1 error

    error: `<<` is not supported
     --> facewarden.yaml:5:1
      |
    5 | <<: {quality: {min_luma: 3}}
      | ^^
      = write the keys out where they belong
    ");
}

#[test]
fn second_document() {
    insta::assert_snapshot!(with_camera(
        r"
---
schema: 1
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: a second document begins here
     --> facewarden.yaml:6:1
      |
    6 | schema: 1
      | ^
      = one file holds one document: remove the line `---`
    ");
}

#[test]
fn empty_file() {
    insta::assert_snapshot!(whole(""), @r"
    facewarden.yaml cannot be used: 1 error

    error: there is nothing in this file
     --> facewarden.yaml
      = `facewarden config default` prints a complete file to start from
    ");
}

#[test]
fn only_remarks() {
    insta::assert_snapshot!(whole("# nothing yet\n"), @r"
    facewarden.yaml cannot be used: 1 error

    error: there is nothing in this file
     --> facewarden.yaml
      = `facewarden config default` prints a complete file to start from
    ");
}

#[test]
fn a_list() {
    insta::assert_snapshot!(whole("- schema: 1\n"), @r"
    facewarden.yaml cannot be used: 1 error

    error: the file must be a group of keys
     --> facewarden.yaml:1:1
      |
    1 | - schema: 1
      | ^
      = write its keys below it, each indented, in the form `key: value`
    ");
}

#[test]
fn no_schema() {
    insta::assert_snapshot!(whole(
        r"
cameras:
  - id: door
    source: /dev/video0
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: the file lacks the key `schema`
     --> facewarden.yaml:1:1
      |
    1 | cameras:
      | ^^^^^^^
      = begin the file with `schema: 1`, the version of its format
    ");
}

#[test]
fn no_cameras() {
    insta::assert_snapshot!(whole("schema: 1\n"), @r"
    facewarden.yaml cannot be used: 1 error

    error: the file lacks the key `cameras`
     --> facewarden.yaml:1:1
      |
    1 | schema: 1
      | ^^^^^^
      = add `cameras:` and under it `- id: door` and `source: /dev/video0`
    ");
}

#[test]
fn camera_without_source() {
    insta::assert_snapshot!(whole(
        r"
schema: 1
cameras:
  - id: door
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `cameras[0]` lacks the key `source`
     --> facewarden.yaml:3:5
      |
    3 |   - id: door
      |     ^^
      = add a line `source: ...` there
    ");
}

#[test]
fn empty_name() {
    insta::assert_snapshot!(whole(
        r#"
schema: 1
cameras:
  - id: ""
    source: /dev/video0
"#,
    ), @r#"
    facewarden.yaml cannot be used: 1 error

    error: `cameras[0].id` cannot be ``
     --> facewarden.yaml:3:9
      |
    3 |   - id: ""
      |         ^^
      = a name cannot be empty
    "#);
}

#[test]
fn camera_that_is_no_list() {
    insta::assert_snapshot!(whole(
        r"
schema: 1
cameras:
  id: door
  source: /dev/video0
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `cameras` must be a list
     --> facewarden.yaml:3:3
      |
    3 |   id: door
      |   ^
      = write `- ` before the first key of each item, and indent its other keys alike
    ");
}

#[test]
fn number_left_out() {
    insta::assert_snapshot!(with_camera(
        r"
decision:
  min_margin:
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `decision.min_margin` has no value
     --> facewarden.yaml:6:13
      |
    6 |   min_margin:
      |             ^
      = write a number such as 0.5, or leave the whole line out
    ");
}

#[test]
fn file_that_breaks_off() {
    insta::assert_snapshot!(with_camera("events: {hooks: [\n"), @r"
    facewarden.yaml cannot be used: 1 error

    error: this is not valid YAML: unclosed bracket '['
     --> facewarden.yaml:5:17
      |
    5 | events: {hooks: [
      |                 ^
      = check that each bracket is closed and that commas stand between the items
    ");
}

#[test]
fn text_with_a_colon() {
    insta::assert_snapshot!(with_camera(
        r"
gallery:
  folder: /srv/faces: main
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: this is not valid YAML: no colon can stand here
     --> facewarden.yaml:6:21
      |
    6 |   folder: /srv/faces: main
      |                     ^
      = a text with a colon and a space in it must be in quotes; otherwise check the indentation
    ");
}

#[test]
fn list_for_a_choice() {
    insta::assert_snapshot!(with_camera(
        r"
liveness:
  mode: [off]
",
    ), @r"
    facewarden.yaml cannot be used: 1 error

    error: `liveness.mode` must be one word
     --> facewarden.yaml:6:9
      |
    6 |   mode: [off]
      |         ^
      = write the word alone, without brackets or dashes
    ");
}
