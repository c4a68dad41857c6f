//! The three charts of an evaluation.

use std::io::Write;
use std::path::Path;

use super::super::exit::{Exit, Failure};
use super::Evaluation;
use super::svg::{Chart, Line, Mark, Scale, percent};
use crate::matching::error_rates::{BINS, Curves, Scores, edge};
use crate::matching::statistics::real;

const BLUE: &str = "#1d6fd1";
const ORANGE: &str = "#d9730d";

/// Bins of the histograms together: 0.02 of similarity.
const PER_BAR: usize = BINS / 100;

/// Writes `roc.svg`, `det.svg` and `scores.svg` into a folder, which is made if need be. They hold rates, nothing of a
/// person. `threshold` is the manifest's, as a similarity.
pub(super) fn write(folder: &Path, evaluation: &Evaluation, threshold: Option<f64>) -> Result<(), Failure> {
    let failed = |path: &Path, e: &dyn std::fmt::Display| {
        Failure::new(Exit::CannotWrite, format!("cannot write {}: {e}", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(|e| failed(folder, &e))?;
    let name = evaluation.report.models();
    let charts = [
        ("roc.svg", roc(&name, evaluation)),
        ("det.svg", det(&name, evaluation)),
        ("scores.svg", scores(&name, &evaluation.scores, threshold)),
    ];
    for (file, chart) in charts {
        let path = folder.join(file);
        let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(|e| failed(&path, &e))?;
        temporary.write_all(chart.svg().as_bytes()).map_err(|e| failed(&path, &e))?;
        temporary.persist(&path).map_err(|e| failed(&path, &e.error))?;
    }
    Ok(())
}

/// The lowest false match rate that is drawn: one that means ten false matches. Below it a curve shows single pairs.
fn lowest(scores: &Scores) -> f64 {
    (10.0 / scores.impostor_units()).min(0.1)
}

/// The power of ten below a rate, where an axis begins.
fn axis_from(rate: f64) -> f64 {
    10_f64.powf((rate.log10() + 1e-9).floor())
}

/// The points of the curve where it moves and is drawn; each `y` from a point of the curve.
fn moving(curves: &Curves, from: f64, y: impl Fn(usize) -> f64) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = (0..curves.bins.len())
        .map(|at| (curves.false_match[at], y(at)))
        .filter(|point| point.0 >= from)
        .collect();
    points.dedup();
    points
}

fn roc(name: &str, evaluation: &Evaluation) -> Chart {
    let left = lowest(&evaluation.scores);
    let points = moving(&evaluation.exact, left, |at| evaluation.exact.true_match[at]);
    let low = points.iter().map(|point| point.1).fold(1.0, f64::min);
    // The upper part, where models differ, as far as this one reaches down.
    let from = [0.9, 0.8, 0.5].into_iter().find(|from| *from <= low).unwrap_or(0.0);
    Chart {
        title: format!("{name}: recognised, by false accepts allowed"),
        x_name: "false accept rate",
        y_name: "true accept rate",
        x: Scale::Log(axis_from(left), 1.0),
        y: Scale::Linear(from, 1.0),
        x_label: percent,
        y_label: percent,
        lines: vec![Line { name: name.to_owned(), colour: BLUE, points, is_filled: false }],
        marks: Vec::new(),
        legend_below: true,
    }
}

fn det(name: &str, evaluation: &Evaluation) -> Chart {
    let left = lowest(&evaluation.scores);
    // Less than one person who is missed is not told either.
    let least = (1.0 / real(evaluation.scores.people_with_genuine().max(10))).min(0.1);
    let mut points = moving(&evaluation.exact, left, |at| 1.0 - evaluation.exact.true_match[at]);
    points.retain(|point| point.1 >= least);
    // Both errors alike lie on this line.
    let equal = (0..=60).map(|at| 10_f64.powf(f64::from(at) / 10.0 - 6.0)).map(|rate| (rate, rate));
    let bottom = axis_from(least);
    let from = bottom.max(axis_from(left));
    let equal = equal.filter(|point| point.0 >= from).collect();
    Chart {
        title: format!("{name}: both errors"),
        x_name: "false accept rate",
        y_name: "false reject rate",
        x: Scale::Log(axis_from(left), 1.0),
        y: Scale::Log(bottom, 1.0),
        x_label: percent,
        y_label: percent,
        lines: vec![
            Line { name: name.to_owned(), colour: BLUE, points, is_filled: false },
            Line { name: "equal errors".into(), colour: "#9aa5b1", points: equal, is_filled: false },
        ],
        marks: Vec::new(),
        legend_below: false,
    }
}

fn scores(name: &str, scores: &Scores, threshold: Option<f64>) -> Chart {
    let genuine = scores.genuine_by_bin();
    let bars = |counts: &[f64]| -> Vec<f64> {
        let all = counts.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        counts.chunks(PER_BAR).map(|bar| bar.iter().sum::<f64>() / all).collect()
    };
    let (same, other) = (bars(&genuine), bars(&scores.impostors));
    let used: Vec<usize> = (0..same.len()).filter(|bar| same[*bar] + other[*bar] > 0.0).collect();
    let first = used.first().copied().unwrap_or(0).saturating_sub(1);
    let last = used.last().map_or(same.len(), |last| (last + 2).min(same.len()));
    let top = same.iter().chain(&other).copied().fold(0.0, f64::max).max(1e-3);
    // With room for the legend.
    let top = top * 1.35;
    let steps = |bars: &[f64]| -> Vec<(f64, f64)> {
        let bar = |bar: usize| [(edge(bar * PER_BAR), bars[bar]), (edge((bar + 1) * PER_BAR), bars[bar])];
        (first..last).flat_map(bar).collect()
    };
    let line = |name: &str, colour, points| Line { name: name.into(), colour, points, is_filled: true };
    Chart {
        title: format!("{name}: how alike pairs are"),
        x_name: "similarity",
        y_name: "share of the pairs, per 0.02",
        x: Scale::Linear(edge(first * PER_BAR), edge(last * PER_BAR)),
        y: Scale::Linear(0.0, top),
        x_label: |v| format!("{v:.1}"),
        y_label: percent,
        lines: vec![line("two people", ORANGE, steps(&other)), line("the same person", BLUE, steps(&same))],
        marks: threshold.map(|x| Mark { name: format!("threshold {x:.3}"), x }).into_iter().collect(),
        legend_below: false,
    }
}
