//! `facewarden calibrate-site`: whether enrolled people look so alike that one could be taken for another.

use std::path::PathBuf;

use serde::Serialize;

use super::engine::ModelArgs;
use super::eval::{embedder_manifest, similarity};
use super::exit::{Exit, Failure, OrExit, Outcome};
use super::gallery::{GalleryArgs, store_failure, warn_of_refused};
use crate::config::{Config, Metric, Models};
use crate::domain::{Calibration, Embedding, ModelDigest, PersonId, Threshold};
use crate::matching::statistics::{clopper_pearson, share};
use crate::store::Loaded;

/// Look-alikes are kept apart by a threshold so far above them.
const ABOVE: f32 = 0.02;

/// Pairs that are shown; JSON has all.
const SHOWN: usize = 20;

const AFTER_HELP: &str = "\
Exit codes: 0, no two people reach the threshold; 1, some do; 2, there are fewer than two people to compare; 65, some \
files of the gallery are damaged and were not compared.";

/// Arguments of `calibrate-site`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    /// The daemon's configuration: its gallery, embedder and threshold
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    gallery: GalleryArgs,
    /// Similarity from which two people count as one, as `decision.min_similarity` [default: the configuration's, or
    /// the model's]
    #[arg(long, value_name = "SIMILARITY", value_parser = parse_similarity, allow_negative_numbers = true)]
    threshold: Option<f32>,
    /// Take the threshold that keeps one comparison of two people to this rate, by the model's error curve: 1e-5
    #[arg(long, value_name = "RATE", value_parser = parse_rate, conflicts_with = "threshold")]
    false_match_rate: Option<f64>,
    /// The embedder [default: the configuration's, or faceplugin512]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Folder with models and their manifests [default: see the README]
    #[arg(long, value_name = "DIR")]
    models_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn parse_similarity(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (-1.0..=1.0).contains(&value) => Ok(value),
        _ => Err("a similarity is a number from -1 to 1".to_owned()),
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("a rate is a number between 0 and 1, such as 1e-5".to_owned()),
    }
}

/// Two people who look alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct LookAlikes {
    a: PersonId,
    b: PersonId,
    /// Of their most alike templates.
    similarity: f32,
}

/// What the model's error curve says.
#[derive(Debug, Clone, Copy, Serialize)]
struct Predicted {
    rate: f64,
    low: f64,
    high: f64,
    /// Beyond what was measured.
    is_extrapolated: bool,
}

/// What is reported; the fields are the keys of the JSON object.
#[derive(Debug, Serialize)]
struct Report {
    gallery: PathBuf,
    model: String,
    threshold: f32,
    threshold_from: &'static str,
    people: usize,
    templates: usize,
    /// Templates that another model made; not compared.
    templates_of_other_models: usize,
    /// Pairs of templates of different people.
    comparisons: u64,
    false_matches: u64,
    false_match_rate: Option<f64>,
    low: f64,
    high: f64,
    /// `null` if the model was not calibrated.
    predicted: Option<Predicted>,
    /// Sorted, the most alike first.
    look_alikes: Vec<LookAlikes>,
    /// The most alike pair of different people, whether or not they reach the threshold.
    most_alike: Option<f32>,
    /// The lowest threshold that keeps all of them apart by a little; `null` if none is needed or possible.
    suggested_threshold: Option<f32>,
}

/// Who is compared, and how.
struct Settings {
    models: ModelArgs,
    gallery: GalleryArgs,
    threshold: Option<Threshold>,
}

/// Runs `calibrate-site`.
///
/// # Errors
/// If the configuration, the gallery or the model's manifest cannot be used.
pub fn run(args: &Args) -> Outcome {
    let settings = settings(args)?;
    let manifest = embedder_manifest(&settings.models)?;
    let (threshold, threshold_from) = match (args.threshold, args.false_match_rate) {
        (Some(threshold), _) => (threshold, "option"),
        (None, Some(rate)) => {
            (for_rate(manifest.calibration.as_ref(), rate, &settings.models.model)?, "rate")
        }
        (None, None) => match settings.threshold {
            Some(threshold) => (threshold.value(), "configuration"),
            None => (manifest.spec.min_similarity().or_exit(Exit::Config)?.value(), "model"),
        },
    };
    let store = settings.gallery.open()?;
    let loaded = store.load().map_err(store_failure)?;
    let refused = warn_of_refused(&loaded);

    let people = templates(&loaded, manifest.digest);
    let mut compared = Compared::default();
    for (index, (name, own)) in people.iter().enumerate() {
        for (other, theirs) in &people[index + 1..] {
            compared.add([name, other], own, theirs, manifest.spec.metric, threshold)?;
        }
    }
    compared.look_alikes.sort_by(|x, y| y.similarity.total_cmp(&x.similarity));
    let templates: usize = people.iter().map(|(_, templates)| templates.len()).sum();
    let all: usize = loaded.people.iter().map(|person| person.templates.len()).sum();
    let interval = clopper_pearson(compared.matches, compared.comparisons);
    let predicted = manifest.calibration.as_ref().map(|curve| {
        let estimate = curve.false_match_rate(f64::from(threshold));
        let is_extrapolated = estimate.is_extrapolated;
        Predicted { rate: estimate.rate, low: estimate.low, high: estimate.high, is_extrapolated }
    });
    let report = Report {
        gallery: store.folder().to_owned(),
        model: settings.models.model.clone(),
        threshold,
        threshold_from,
        people: people.len(),
        templates,
        templates_of_other_models: all - templates,
        comparisons: compared.comparisons,
        false_matches: compared.matches,
        false_match_rate: (compared.comparisons > 0).then(|| share(compared.matches, compared.comparisons)),
        low: interval.low,
        high: interval.high,
        predicted,
        suggested_threshold: compared.look_alikes.first().and_then(|pair| above(pair.similarity)),
        look_alikes: compared.look_alikes,
        most_alike: compared.most_alike,
    };
    if args.json {
        let text = serde_json::to_string_pretty(&report).or_exit(Exit::Internal)?;
        super::say(&format!("{text}\n"))?;
    } else {
        super::say(&report.text())?;
    }
    Ok(match () {
        () if !report.look_alikes.is_empty() => Exit::No,
        () if refused > 0 => Exit::Data,
        () if report.comparisons == 0 => Exit::CannotTell,
        () => Exit::Ok,
    })
}

fn settings(args: &Args) -> Result<Settings, Failure> {
    let config = args.config.as_deref().map(Config::read).transpose().map_err(super::config_failure)?;
    let of_config = config.as_ref().map_or_else(Models::default, |config| config.models.clone());
    let configured = config.as_ref().map(|config| config.gallery.clone());
    let models = ModelArgs {
        detector: of_config.detector,
        model: args.model.clone().unwrap_or(of_config.embedder),
        models_dir: args.models_dir.clone().or(of_config.folder),
        detect_side: None,
        runtime_library: None,
    };
    // The configuration's threshold is for the configuration's model.
    let own_model = args.model.is_none() || args.model == config.as_ref().map(|c| c.models.embedder.clone());
    let threshold = config.and_then(|config| config.decision.min_similarity).filter(|_| own_model);
    Ok(Settings {
        models,
        gallery: match configured.filter(|_| args.gallery.gallery.is_none()) {
            Some(gallery) => {
                GalleryArgs { gallery: Some(gallery.folder), key: args.gallery.key.clone().or(gallery.key) }
            }
            None => args.gallery.clone(),
        },
        threshold,
    })
}

fn for_rate(calibration: Option<&Calibration>, rate: f64, model: &str) -> Result<f32, Failure> {
    let Some(calibration) = calibration else {
        let message = format!(
            "{model} was not calibrated, so no threshold is known for a rate: give --threshold, or calibrate it with \
             `facewarden eval --all-pairs DIR --calibrate --write`"
        );
        return Err(Failure::new(Exit::Usage, message));
    };
    let threshold = calibration.threshold_for(rate).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("no threshold of {model} keeps to a false match rate of {rate:e}"))
    })?;
    Ok(threshold.value())
}

/// Everybody with the templates that the model made, by name.
pub(super) fn templates(loaded: &Loaded, model: ModelDigest) -> Vec<(PersonId, Vec<&Embedding>)> {
    let mut people: Vec<(PersonId, Vec<&Embedding>)> = loaded
        .people
        .iter()
        .map(|person| {
            let own = person.templates.iter().map(|t| &t.embedding).filter(|e| e.model() == model);
            (person.name.clone(), own.collect())
        })
        .filter(|(_, templates): &(PersonId, Vec<&Embedding>)| !templates.is_empty())
        .collect();
    people.sort_by(|a, b| a.0.cmp(&b.0));
    people
}

#[derive(Default)]
struct Compared {
    comparisons: u64,
    matches: u64,
    look_alikes: Vec<LookAlikes>,
    most_alike: Option<f32>,
}

impl Compared {
    fn add(
        &mut self,
        names: [&PersonId; 2],
        own: &[&Embedding],
        theirs: &[&Embedding],
        metric: Metric,
        threshold: f32,
    ) -> Result<(), Failure> {
        let mut best = -1.0_f32;
        for a in own {
            for b in theirs {
                let similarity = similarity(a, b, metric)?;
                self.comparisons += 1;
                self.matches += u64::from(similarity >= threshold);
                best = best.max(similarity);
            }
        }
        self.most_alike = Some(self.most_alike.map_or(best, |so_far| so_far.max(best)));
        if best >= threshold {
            let [a, b] = names.map(PersonId::clone);
            self.look_alikes.push(LookAlikes { a, b, similarity: best });
        }
        Ok(())
    }
}

/// A little above a similarity, with two decimals; `None` if there is no room left.
fn above(similarity: f32) -> Option<f32> {
    let threshold = ((similarity + ABOVE) * 100.0).ceil() / 100.0;
    (threshold <= 0.95).then_some(threshold)
}

impl Report {
    fn text(&self) -> String {
        let mut out = format!(
            "{} people with {} templates, {}, threshold {:.3} (similarity, {})\n",
            self.people,
            self.templates,
            self.model,
            self.threshold,
            match self.threshold_from {
                "option" => "as asked for",
                "rate" => "for the rate asked for",
                "configuration" => "from the configuration",
                _ => "the model's own",
            }
        );
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        if self.templates_of_other_models > 0 {
            line(format!("{} templates of other models were not compared", self.templates_of_other_models));
        }
        if self.comparisons == 0 {
            line("There are no two people to compare.".to_owned());
            return out;
        }
        line(String::new());
        line(format!("  comparisons of two people   {}", self.comparisons));
        line(format!("  false matches               {}", self.false_matches));
        line(format!(
            "  false match rate here       {} [{}, {}], 95 % interval",
            rate(self.false_match_rate.unwrap_or_default()),
            rate(self.low),
            rate(self.high)
        ));
        line(match &self.predicted {
            Some(p) => format!(
                "  by the model's curve        {} [{}, {}]{}",
                rate(p.rate),
                rate(p.low),
                rate(p.high),
                if p.is_extrapolated { ", beyond what was measured" } else { "" }
            ),
            None => "  by the model's curve        not known: the model was not calibrated".to_owned(),
        });
        if let Some(most) = self.most_alike {
            line(format!("  most alike two people       {most:.3}"));
        }
        line(String::new());
        if self.look_alikes.is_empty() {
            line("No two people reach the threshold.".to_owned());
            return out;
        }
        line("These look alike enough to be taken for one another:".to_owned());
        for pair in self.look_alikes.iter().take(SHOWN) {
            line(format!("  {:.3}  {} and {}", pair.similarity, pair.a, pair.b));
        }
        if self.look_alikes.len() > SHOWN {
            line(format!("  and {} more pairs (--json lists all)", self.look_alikes.len() - SHOWN));
        }
        line(String::new());
        line("What helps:".to_owned());
        line(
            "  - Enrol them again with better photos: sharp, bright, facing the camera. A photo of the wrong"
                .to_owned(),
        );
        line("    person is found so, too.".to_owned());
        line("  - decision.min_margin: whoever is not more like one of them than like the other is not let in.".to_owned());
        line(match self.suggested_threshold {
            Some(threshold) => format!(
                "  - decision.min_similarity: {threshold:.2} keeps all of them apart; everybody is refused more often then."
            ),
            None => "  - No threshold keeps them apart: are they one person under two names?".to_owned(),
        });
        out
    }
}

/// A rate as people read it: `1.3e-5`, `0.02`, 0.
fn rate(rate: f64) -> String {
    if rate == 0.0 {
        "0".to_owned()
    } else if rate < 0.001 {
        format!("{rate:.1e}")
    } else {
        format!("{rate:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_as_alike_as_its_most_alike_templates() {
        let face = |x: f32, y: f32| Embedding::new(ModelDigest([1; 32]), vec![x, y]).unwrap();
        let (a, b, c) = (face(1.0, 0.0), face(0.0, 1.0), face(0.6, 0.8));
        let [ann, bob] = ["Ann", "Bob"].map(|name| PersonId::new(name).unwrap());
        let mut compared = Compared::default();
        compared.add([&ann, &bob], &[&a, &b], &[&c], Metric::Cosine, 0.7).unwrap();
        assert_eq!((compared.comparisons, compared.matches), (2, 1));
        assert_eq!((compared.look_alikes[0].similarity * 10.0).round(), 8.0);
        compared.add([&ann, &bob], &[&a], &[&b], Metric::Cosine, 0.7).unwrap();
        assert_eq!((compared.comparisons, compared.look_alikes.len()), (3, 1));
        assert!((compared.most_alike.unwrap() - 0.8).abs() < 1e-6);
    }

    #[test]
    fn rates_and_thresholds_are_short() {
        assert_eq!([0.0, 1.34e-5, 0.0213].map(rate), ["0", "1.3e-5", "0.021"]);
        assert_eq!(above(0.451), Some(0.48));
        assert_eq!(above(0.99), None);
        assert!(parse_rate("1").is_err() && parse_rate("0").is_err() && parse_rate("1e-5") == Ok(1e-5));
        assert!(parse_similarity("2").is_err() && parse_similarity("0.4") == Ok(0.4));
        assert_eq!(for_rate(None, 1e-5, "m").unwrap_err().exit, Exit::Usage);
    }
}
