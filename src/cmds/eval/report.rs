//! What was measured, for people and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::super::engine::ModelArgs;
use super::super::exit::{Exit, Failure, OrExit};
use super::embed::{Embedded, threads};
use crate::domain::Calibration;
use crate::matching::error_rates::{RateWithInterval, Scores, TarAtFar, Weights};

/// Share of right verdicts over the folds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accuracy {
    pub(super) mean: f64,
    pub(super) std: f64,
    /// The mean of the shares of both kinds of pairs, where there are far more of one kind.
    pub(super) is_balanced: bool,
}

/// A line of the table. Without values where there are too few impostor pairs to say.
#[derive(Debug, Clone, Serialize)]
struct Level {
    far: f64,
    tar: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    threshold: Option<f64>,
    supported: bool,
}

/// Everything that is reported. The fields are the keys of the JSON object.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    detector: String,
    model: String,
    /// Different pictures.
    images: usize,
    /// `null` if who is on the pictures is not known.
    people: Option<usize>,
    pairs: u64,
    genuine_pairs: u64,
    /// Of which both pictures have a face.
    impostor_pairs: u64,
    /// What counts alike in the rates: `pairs`, or `people` for all pairs.
    counted_by: &'static str,
    /// Over ten folds; `null` with too few pairs.
    accuracy: Option<f64>,
    accuracy_std: Option<f64>,
    /// `10-fold`, or `balanced` for all pairs: the mean of both kinds' shares.
    accuracy_kind: &'static str,
    eer: Option<f64>,
    eer_low: Option<f64>,
    eer_high: Option<f64>,
    eer_threshold: Option<f64>,
    tar_at_far: Vec<Level>,
    /// Pictures without a face, those that could not be read among them.
    failures_to_acquire: usize,
    /// Files that could not be read and were skipped.
    pub(super) unreadable: Vec<String>,
    /// Pictures that were looked at; the others came from the cache.
    images_embedded: usize,
    /// Decoding, detecting and embedding one picture on one thread; `null` if all came from the cache.
    ms_per_image: Option<f64>,
    threads: usize,
    #[serde(skip)]
    impostors_left_out: bool,
}

impl Report {
    pub(super) fn new(
        models: &ModelArgs,
        scores: &Scores,
        people: Option<usize>,
        accuracy: Option<Accuracy>,
        eer: Option<(RateWithInterval, f64)>,
        levels: &[TarAtFar],
        embedded: &Embedded,
    ) -> Self {
        let (genuine_pairs, impostor_pairs) = (scores.genuine.len() as u64, scores.impostor_pairs());
        let level = |level: &TarAtFar| {
            let if_supported = |value: f64| level.supported.then_some(value);
            Level {
                far: level.far,
                tar: if_supported(level.tar),
                low: if_supported(level.low),
                high: if_supported(level.high),
                threshold: if_supported(level.threshold),
                supported: level.supported,
            }
        };
        let failures_to_acquire = embedded.faces.iter().filter(|face| face.is_none()).count();
        Self {
            detector: models.detector.clone(),
            model: models.model.clone(),
            images: embedded.faces.len(),
            people,
            pairs: genuine_pairs + impostor_pairs,
            genuine_pairs,
            impostor_pairs,
            counted_by: if matches!(scores.weights, Weights::Pairs) { "pairs" } else { "people" },
            accuracy: accuracy.map(|accuracy| accuracy.mean),
            accuracy_std: accuracy.map(|accuracy| accuracy.std),
            accuracy_kind: if accuracy.is_some_and(|a| a.is_balanced) { "balanced" } else { "10-fold" },
            eer: eer.map(|(eer, _)| eer.rate),
            eer_low: eer.map(|(eer, _)| eer.low),
            eer_high: eer.map(|(eer, _)| eer.high),
            eer_threshold: eer.map(|(_, threshold)| threshold),
            tar_at_far: levels.iter().map(level).collect(),
            failures_to_acquire,
            unreadable: embedded.unreadable.clone(),
            images_embedded: embedded.fresh,
            ms_per_image: (embedded.fresh > 0).then_some(embedded.ms_each),
            threads: threads(),
            impostors_left_out: failures_to_acquire > 0,
        }
    }

    /// The names of the models.
    pub(super) fn models(&self) -> String {
        format!("{} + {}", self.detector, self.model)
    }

    /// One JSON object.
    pub(super) fn json(&self, calibration: Option<&Calibration>) -> Result<String, Failure> {
        let mut value = serde_json::to_value(self).or_exit(Exit::Internal)?;
        if let (Some(calibration), Some(object)) = (calibration, value.as_object_mut()) {
            object.insert("calibration".into(), serde_json::to_value(calibration).or_exit(Exit::Internal)?);
        }
        Ok(format!("{}\n", serde_json::to_string_pretty(&value).or_exit(Exit::Internal)?))
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).unwrap_or_else(|_| unreachable!("a String takes all text"));
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "{}", self.models())?;
        writeln!(out)?;
        let people = self.people.map_or_else(String::new, |people| format!(" of {} people", grouped(people)));
        line(out, "pictures", &format!("{}{people}", grouped(self.images)))?;
        let failures = match (self.failures_to_acquire, self.unreadable.len()) {
            (0, _) => "none".to_owned(),
            (all, 0) => format!("{} (no face was found)", grouped(all)),
            (all, unreadable) => format!("{} ({} of them unreadable)", grouped(all), grouped(unreadable)),
        };
        line(out, "failures to acquire", &failures)?;
        line(out, "genuine pairs", &grouped(self.genuine_pairs))?;
        let left_out = if self.impostors_left_out { " (with a face on both)" } else { "" };
        line(out, "impostor pairs", &format!("{}{left_out}", grouped(self.impostor_pairs)))?;
        if let (Some(mean), Some(std)) = (self.accuracy, self.accuracy_std) {
            let name = if self.accuracy_kind == "balanced" { "balanced accuracy" } else { "accuracy" };
            line(out, name, &format!("{:.2} ± {:.2} % over 10 folds", mean * 100.0, std * 100.0))?;
        }
        if let (Some(rate), Some(low), Some(high), Some(threshold)) =
            (self.eer, self.eer_low, self.eer_high, self.eer_threshold)
        {
            let interval = format!("[{:.2}, {:.2}]", low * 100.0, high * 100.0);
            line(
                out,
                "equal error rate",
                &format!("{:.2} % {interval} at similarity {threshold:.3}", rate * 100.0),
            )?;
        }
        if !self.tar_at_far.is_empty() {
            writeln!(out)?;
            writeln!(out, "  false accepts   true accepts   95 % interval     similarity")?;
        }
        for level in &self.tar_at_far {
            write!(out, "  1 in {:<9}   ", grouped((1.0 / level.far).round()))?;
            match level {
                Level {
                    tar: Some(tar),
                    low: Some(low),
                    high: Some(high),
                    threshold: Some(threshold),
                    ..
                } => {
                    let interval = format!("[{:.2}, {:.2}]", low * 100.0, high * 100.0);
                    writeln!(out, "{:>7.2} %      {interval:<16}  {threshold:>9.3}", tar * 100.0)?;
                }
                _ => writeln!(out, "      -        too few impostor pairs to say")?,
            }
        }
        writeln!(out)?;
        match self.people {
            Some(_) => {
                if self.counted_by == "people" {
                    writeln!(out, "  Each person counts alike, however many pictures there are of them.")?;
                }
                writeln!(out, "  Intervals: 95 %, by drawing people again (bootstrap).")?;
            }
            None => writeln!(
                out,
                "  Who is on the pictures cannot be told from their folders: each file counts as its own person, and\n  \
                 the intervals (Clopper-Pearson) take all pairs as independent, so that they are rather too narrow."
            )?,
        }
        match self.ms_per_image {
            Some(ms) => writeln!(
                out,
                "  Time: {ms:.1} ms for each of {} new pictures on each of {} threads.",
                grouped(self.images_embedded),
                self.threads
            ),
            None => writeln!(out, "  All embeddings came from the cache."),
        }
    }
}

fn line(out: &mut String, name: &str, value: &str) -> std::fmt::Result {
    writeln!(out, "  {name:<20}  {value}")
}

/// A whole number with commas between thousands.
fn grouped(number: impl ToString) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_have_commas() {
        assert_eq!(["0", "999", "1000", "22126513"].map(grouped), ["0", "999", "1,000", "22,126,513"]);
        assert_eq!(grouped(100_000.0), "100,000");
    }
}
