//! Writing the `calibration` section into the text of a manifest, and nothing else of it.

use std::fmt::Write;

use super::diagnostic::ConfigError;
use super::manifest::{Manifest, Role};
use super::tree::{KeyPath, Tree};
use crate::domain::{Calibration, RatePoint};

/// Why a calibration could not be written into a manifest.
#[derive(Debug, thiserror::Error)]
pub enum WriteCalibrationError {
    /// The manifest as it was cannot be used.
    #[error("the manifest as it is: {0}")]
    Before(#[source] ConfigError),
    /// Only embedders are calibrated.
    #[error("{name} is a model with `role: {role}`; only an embedder has error curves")]
    NotAnEmbedder {
        /// The model.
        name: String,
        /// What it is.
        role: &'static str,
    },
    /// The manifest with the section could not be read: the curves are none, or the section that was there is
    /// written in a way that cannot be replaced line by line.
    #[error("the section was not written, since the manifest could not be read with it: {0}")]
    After(#[source] ConfigError),
    /// Something else than the section would have changed.
    #[error(
        "the section was not written: the one that is there is written in a way that cannot be replaced. \
             Remove it by hand first"
    )]
    NotReplaceable,
}

/// The text of a manifest with its `calibration` section replaced, or added at the end. Every other line stays as it
/// is. Numbers are short: similarities with 3 decimals, rates with 3 significant digits, the ends of intervals
/// rounded outwards. The result was read again.
///
/// # Errors
/// See [`WriteCalibrationError`].
pub fn with_calibration(manifest_text: &str, curves: &Calibration) -> Result<String, WriteCalibrationError> {
    let before = Manifest::from_yaml(manifest_text, "manifest").map_err(WriteCalibrationError::Before)?;
    if !matches!(before.role, Role::Embedder(_)) {
        return Err(WriteCalibrationError::NotAnEmbedder { name: before.name, role: before.role.name() });
    }
    let mut lines: Vec<&str> = manifest_text.split_inclusive('\n').collect();
    let section = calibration_section(curves);
    match Tree::read(manifest_text).keys(&KeyPath::of("calibration")).next() {
        Some(key) if key.column == 1 => {
            let first = key.line - 1;
            let last = last_line(&lines, first);
            lines.splice(first..=last, [section.as_str()]);
        }
        Some(_) => return Err(WriteCalibrationError::NotReplaceable),
        None => {
            if lines.last().is_some_and(|line| !line.ends_with('\n')) {
                lines.push("\n");
            }
            lines.push(&section);
        }
    }
    let text = lines.concat();
    let mut after = Manifest::from_yaml(&text, "manifest").map_err(WriteCalibrationError::After)?;
    if after.calibration.take().is_none() || after != (Manifest { calibration: None, ..before }) {
        return Err(WriteCalibrationError::NotReplaceable);
    }
    Ok(text)
}

/// The last line of the section that begins at `first`: the last indented one before the next key. Remarks at the
/// margin behind it belong to what follows.
fn last_line(lines: &[&str], first: usize) -> usize {
    let mut last = first;
    for (at, line) in lines.iter().enumerate().skip(first + 1) {
        let is_indented = line.starts_with([' ', '\t']) && !line.trim().is_empty();
        if is_indented {
            last = at;
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            break;
        }
    }
    last
}

/// The section as it stands in a manifest.
#[must_use]
pub fn calibration_section(curves: &Calibration) -> String {
    let mut out = String::from("calibration:\n");
    let mut line = |text: String| {
        out.push_str("  ");
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("data: {}", quoted(&curves.data)));
    line(format!("date: {}", quoted(&curves.date)));
    line(format!("detector: {}", quoted(&curves.detector)));
    line(format!("images: {}", curves.images));
    line(format!("people: {}", curves.people));
    line(format!("genuine_pairs: {}", curves.genuine_pairs));
    line(format!("impostor_pairs: {}", curves.impostor_pairs));
    line("# Each point: similarity, rate, and the 95 % interval for other people.".to_owned());
    for (name, points) in [("false_match", &curves.false_match), ("false_non_match", &curves.false_non_match)]
    {
        line(format!("{name}:"));
        for point in points {
            line(format!("  - {}", point_text(point)));
        }
    }
    let tail = &curves.tail;
    // The slow end is rounded down: never claim a faster fall than was seen.
    let slope = (tail.decades_per_unit * 10.0).floor() / 10.0;
    let at_least = (tail.at_least * 10.0).floor() / 10.0;
    line(format!("tail: {{decades_per_unit: {slope:.1}, at_least: {at_least:.1}}}"));
    out
}

/// A text in double quotes; JSON's escapes are YAML's too.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                // Control characters are all below U+00A0.
                if write!(out, "\\u{:04x}", u32::from(c)).is_err() {
                    unreachable!("a String takes all text");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn point_text(point: &RatePoint) -> String {
    let RatePoint { similarity, rate, low, high } = *point;
    let (rate, low, high) = (short(rate, f64::round), short(low, f64::floor), short(high, f64::ceil));
    format!("[{similarity:.3}, {rate}, {low}, {high}]")
}

/// Three significant digits, brought to a whole number of the third one's unit by `whole`.
fn short(rate: f64, whole: fn(f64) -> f64) -> String {
    if rate == 0.0 || !rate.is_finite() {
        return format!("{rate:?}");
    }
    let mut exponent = 0;
    while rate.abs() < 10_f64.powi(exponent) && exponent > -300 {
        exponent -= 1;
    }
    // Numbers of three digits already must not move because 0.123 is not exactly 123/1000.
    let scaled = rate / 10_f64.powi(exponent) * 100.0;
    let digits = if (scaled - scaled.round()).abs() < 1e-6 { scaled.round() } else { whole(scaled) };
    if exponent >= -3 {
        let decimals = exponent.unsigned_abs() as usize + 2;
        let text = format!("{:.decimals$}", digits / 100.0 * 10_f64.powi(exponent));
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    // 9.996 rounds up to 10.0: one power of ten more.
    let (digits, exponent) =
        if digits >= 1000.0 { (digits / 10.0, exponent + 1) } else { (digits, exponent) };
    format!("{:.2}e{exponent}", digits / 100.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Tail;

    const MANIFEST: &str = "\
# Mine.
schema: 1
name: mine   # a remark
role: embedder
file: mine.onnx
sha256: 87aacdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf3581
licence: MIT
input: {name: input, layout: nchw, colour: bgr, size: [112, 112], mean: 127, scale: [128.0, 128.0, 128.0]}

embedder:
  output: output
  dimension: 512
  l2_normalise: true
  metric: cosine
  alignment: [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
  threshold: 0.588
# The end.
";

    fn curves() -> Calibration {
        let points = |points: &[[f64; 4]]| points.iter().map(|p| RatePoint::from(*p)).collect();
        Calibration {
            data: "a \"set\": of # two\tpeople".into(),
            date: "2026-11-23".into(),
            detector: "none".into(),
            images: 10,
            people: 5,
            genuine_pairs: 10,
            impostor_pairs: 40,
            false_match: points(&[
                [-0.2, 0.999_96, 0.999, 1.0],
                [0.4, 1.234_567e-5, 1.234_4e-5, 1.234_59e-5],
            ]),
            tail: Tail { decades_per_unit: 14.27, at_least: 11.99 },
            false_non_match: points(&[[0.1, 0.0, 0.0, 0.012_34], [0.9, 0.987_65, 0.9, 1.0]]),
        }
    }

    fn read(text: &str) -> Calibration {
        let manifest = Manifest::from_yaml(text, "mine.yaml").unwrap_or_else(|error| panic!("{error}"));
        manifest.calibration.expect("a calibration")
    }

    #[test]
    fn the_section_is_added_and_then_replaced_and_nothing_else_changes() {
        let added = with_calibration(MANIFEST, &curves()).unwrap();
        assert!(added.starts_with(MANIFEST), "{added}");
        let calibration = read(&added);
        assert_eq!(calibration.data, curves().data);
        assert_eq!(calibration.tail, Tail { decades_per_unit: 14.2, at_least: 11.9 });
        assert_eq!(<[f64; 4]>::from(calibration.false_match[1]), [0.4, 1.23e-5, 1.23e-5, 1.24e-5]);
        assert_eq!(<[f64; 4]>::from(calibration.false_non_match[0]), [0.1, 0.0, 0.0, 0.0124]);
        // In the middle of the file, with remarks and empty lines around it.
        let section = calibration_section(&calibration);
        let middle = MANIFEST.replace("\nembedder:", &format!("{section}\n# About the section.\nembedder:"));
        let other = Calibration { people: 6, ..calibration };
        let replaced = with_calibration(&middle, &other).unwrap();
        assert_eq!(replaced, middle.replace("people: 5", "people: 6"));
        assert_eq!(with_calibration(&replaced, &other).unwrap(), replaced);
        // A file without a line break at its end.
        assert!(with_calibration(MANIFEST.trim_end(), &other).unwrap().starts_with(MANIFEST));
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let mut wrong = curves();
        wrong.false_match.truncate(1);
        assert!(matches!(with_calibration(MANIFEST, &wrong), Err(WriteCalibrationError::After(_))));
        assert!(matches!(with_calibration("schema: 1\n", &curves()), Err(WriteCalibrationError::Before(_))));
        let liveness =
            MANIFEST.split("embedder:\n").next().unwrap().replace("role: embedder", "role: liveness");
        let liveness = format!("{liveness}liveness: {{output: y, crop_scale: 2.7, live_index: 0}}\n");
        let refused = with_calibration(&liveness, &curves()).unwrap_err();
        assert!(refused.to_string().contains("role: liveness"), "{refused}");
        // A section whose end is not found by its indentation.
        let flow = with_calibration(MANIFEST, &curves()).unwrap();
        let flow = flow.replace("calibration:\n", "? calibration\n:\n");
        if Manifest::from_yaml(&flow, "mine.yaml").is_ok() {
            with_calibration(&flow, &curves()).unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn rounding_keeps_the_rate_in_its_interval(
            rate in prop_oneof![1e-9_f64..1e-6, 1e-6_f64..1e-3, 1e-3_f64..1.0],
            below in 0.0_f64..1.0,
            above in 0.0_f64..1.0,
        ) {
            let point = RatePoint { similarity: 0.1, rate, low: rate * below, high: rate + (1.0 - rate) * above };
            let numbers: Vec<f64> = point_text(&point)
                .trim_matches(['[', ']'])
                .split(", ")
                .map(|number| number.parse().expect("a number"))
                .collect();
            let [_, short, low, high] = numbers[..] else { panic!("{numbers:?}") };
            prop_assert!(low <= short && short <= high && high <= 1.0, "{numbers:?} of {point:?}");
            prop_assert!((short / rate - 1.0).abs() < 0.006, "{short} of {rate}");
            prop_assert!(low <= point.low * (1.0 + 1e-6) && high >= point.high * (1.0 - 1e-6));
        }
    }
}
