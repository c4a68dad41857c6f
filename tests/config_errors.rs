//! What people read when a file is wrong. Each message names the key, points at the place, and says what would be
//! right; whoever reads it may stand on a ladder.

mod form;
mod manifests;
mod meaning;
mod telling;

use facewarden::config::{Config, ConfigError, Manifest, default_yaml};
use proptest::prelude::*;

const CAMERA: &str = "schema: 1\ncameras:\n  - id: door\n    source: /dev/video0\n";

const MANIFEST: &str = "\
schema: 1
name: mine
role: embedder
file: mine.onnx
sha256: 0af1dfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf35810
licence: MIT
input: {name: input, layout: nchw, colour: bgr, size: [112, 112], mean: 127, scale: 128}
embedder:
  output: output
  dimension: 512
  l2_normalise: true
  metric: cosine
  alignment: [[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]]
  threshold: 0.588
";

/// The message for a file that holds nothing but `text`. A line break at its beginning is layout of the test.
fn whole(text: &str) -> String {
    shown(Config::from_yaml(text.trim_start_matches('\n'), "facewarden.yaml"))
}

/// The message for a file with a good camera, and `text` below it.
fn with_camera(text: &str) -> String {
    whole(&format!("{CAMERA}{}", text.trim_start_matches('\n')))
}

/// The warnings for a file with a good camera, and `text` below it.
fn warnings(text: &str) -> String {
    let text = format!("{CAMERA}{}", text.trim_start_matches('\n'));
    let (_, warnings) = Config::from_yaml_with_warnings(&text, "facewarden.yaml").expect("only warnings");
    warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

fn whole_manifest(text: &str) -> String {
    shown(Manifest::from_yaml(text.trim_start_matches('\n'), "mine.yaml"))
}

/// The message for a good manifest after some changes.
fn manifest(changes: &[(&str, &str)]) -> String {
    let changed = changes.iter().fold(MANIFEST.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old} is not in the manifest");
        text.replace(old, new)
    });
    whole_manifest(&changed)
}

fn shown<T: std::fmt::Debug>(result: Result<T, ConfigError>) -> String {
    match result {
        Ok(value) => panic!("this should not be taken: {value:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_unchanged_files_are_good() {
    assert!(Config::from_yaml(CAMERA, "facewarden.yaml").is_ok());
    assert!(Manifest::from_yaml(MANIFEST, "mine.yaml").is_ok());
}

#[test]
fn file_that_does_not_exist_is_named() {
    let error = Config::read("/nonexistent/facewarden.yaml".as_ref()).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }));
    assert_eq!(error.to_string(), "cannot read /nonexistent/facewarden.yaml");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn file_in_another_encoding_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin1.yaml");
    std::fs::write(&path, [CAMERA.as_bytes(), b"gallery:\n  folder: /t\xfcr\n"].concat()).unwrap();
    let text = Config::read(&path).unwrap_err().to_string();
    assert!(text.contains("latin1.yaml:6:13") && text.contains("not UTF-8"), "{text}");
}

#[test]
fn file_of_more_than_a_mebibyte_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.yaml");
    std::fs::write(&path, "#".repeat(1024 * 1024 + 1)).unwrap();
    let text = Config::read(&path).unwrap_err().to_string();
    assert!(text.contains("larger than 1024 KiB"), "{text}");
    std::fs::write(&path, format!("{CAMERA}{}", "#".repeat(1024 * 1024 - CAMERA.len()))).unwrap();
    assert!(Config::read(&path).is_ok());
}

#[test]
fn messages_hold_no_control_characters() {
    let text = with_camera("models: {detector: \"a\\e[31mb/\"}\n\"x\\e[2J\": 1\n");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

#[test]
fn many_errors_are_cut_short() {
    let hook = "    - argv: [unlock]\n      only: { kinds: [a, b, c, d, e, f, g, h, i, j] }\n";
    let text = with_camera(&format!("events:\n  hooks:\n{}", hook.repeat(20)));
    assert!(text.ends_with("= mend these first") && text.contains("error: and 170 more"), "{text}");
}

/// Reads a text as both kinds of file: neither panics, and whoever refuses says why and where.
fn survives(text: &str) -> Result<(), TestCaseError> {
    let results = [Config::from_yaml(text, "a.yaml").err(), Manifest::from_yaml(text, "a.yaml").err()];
    for error in results.into_iter().flatten() {
        prop_assert!(!error.diagnostics().is_empty());
        for diagnostic in error.diagnostics() {
            prop_assert!(!diagnostic.message.is_empty() && !diagnostic.help.is_empty());
            if let Some(place) = diagnostic.place {
                prop_assert!(place.line >= 1 && place.column >= 1 && place.length >= 1);
            }
        }
        prop_assert!(error.to_string().contains("cannot be used"));
    }
    Ok(())
}

proptest! {
    // No file for failures: this binary has no lib.rs beside which it could lie.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        survives(&text)?;
    }

    #[test]
    fn arbitrary_yaml_never_panics(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "schema", "cameras", "decision", "input", ": ", ":", "\n", "\n  ", "\n    ", "- ", "\t", "[", "]", "{", "}",
            ",", "&a ", "*a", "<<", "!t ", "\"", "'", "|", ">", "~", "1", "-0.5", ".nan", "1e999", "0x1F", "#", "?",
            "---", "...", "%", "\u{feff}", "\r", "\u{85}", "\u{2028}", "é", "\0",
        ]), 0..60)
    ) {
        survives(&pieces.concat())?;
    }

    #[test]
    fn mutated_files_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, any::<char>()), 1..6),
        with_manifest in any::<bool>(),
    ) {
        let text = if with_manifest { MANIFEST } else { default_yaml() };
        let mut chars: Vec<char> = text.chars().collect();
        for (at, change, c) in changes {
            let at = at.index(chars.len());
            match change {
                0 => { chars.remove(at); }
                1 => chars.insert(at, c),
                _ => chars[at] = c,
            }
        }
        survives(&chars.into_iter().collect::<String>())?;
    }

    #[test]
    fn values_in_any_order_of_size_never_panic(value in any::<f64>(), key in prop::sample::select(vec![
        "decision: {window_ms: ", "decision: {min_looks: ", "detection: {max_fps: ", "quality: {max_luma: ",
        "decision: {min_margin: ", "detection: {max_side_px: ",
    ])) {
        for value in [value.to_string(), value.trunc().abs().to_string(), format!("{value:e}")] {
            survives(&format!("{CAMERA}{key}{value}}}\n"))?;
        }
    }
}
