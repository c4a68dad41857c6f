//! `facewarden eval`: how often this detector and this embedder are right, on pictures whose people are known.

mod all_pairs;
mod cache;
mod calibrate;
mod dataset;
mod embed;
mod pairs;
mod plots;
mod recipe;
mod report;
mod svg;

use std::io::Write;
use std::path::{Path, PathBuf};

use super::engine::ModelArgs;
use super::exit::{Exit, Failure, OrExit, Outcome};
use crate::clock::{Clock, SystemClock};
use crate::config::{calibration_section, with_calibration};
use crate::domain::Calibration;
use crate::matching::error_rates::{Curves, Scores};
use report::{Accuracy, Report};

pub(crate) use dataset::PairList;
pub(crate) use dataset::read_pairs;
pub(crate) use embed::{Embedded, Options, embed_all, threads};
pub(crate) use pairs::{ListScores, score, similarity};
pub(crate) use recipe::{embedder_manifest, main_face};

/// The false accept rates that are reported.
const LEVELS: [f64; 4] = [1e-2, 1e-3, 1e-4, 1e-5];

const AFTER_HELP: &str = "\
PAIRS is a CSV file with the header `file_a,file_b,same` (same: 1, 0, true or false), or LFW's own pairs.txt, whose \
folds are then used. With --all-pairs every picture is compared with every other one.

On a picture with several faces the one counts that is large and near the middle. A picture without a face is a \
failure to acquire: its pairs count as \"different\" in the accuracy, and as not recognised in the true accept rates; \
false accept rates are those of the pairs that were compared. With --all-pairs each person counts \
alike, however many pictures there are of them. Intervals come from a bootstrap over people: the first \
folder of a picture's path says who it shows.

Embeddings are kept in a cache, which makes a second run fast. They are biometric data: only you can read the file, \
and `facewarden eval --forget-cache` deletes it.";

/// Arguments of `eval`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    /// List of pairs: CSV with `file_a,file_b,same`, or LFW's pairs.txt
    #[arg(required_unless_present_any = ["all_pairs", "forget_cache"], conflicts_with = "all_pairs")]
    pairs: Option<PathBuf>,
    /// Folder that the names in PAIRS begin in [default: the folder of PAIRS]
    #[arg(long, value_name = "DIR", requires = "pairs")]
    images: Option<PathBuf>,
    /// Compare all pictures in DIR, which has a sub-folder for each person
    #[arg(long, value_name = "DIR")]
    all_pairs: Option<PathBuf>,
    /// Print the error curves as the section `calibration` of the model's manifest
    #[arg(long, requires = "all_pairs")]
    calibrate: bool,
    /// Also write that section into the manifest
    #[arg(long, requires = "calibrate")]
    write: bool,
    /// What the section calls the pictures [default: the folder's name]
    #[arg(long, value_name = "TEXT", requires = "calibrate")]
    data_name: Option<String>,
    /// A file that cannot be read is a failure to acquire instead of an error
    #[arg(long)]
    skip_unreadable: bool,
    /// Where embeddings are kept [default: $XDG_CACHE_HOME/facewarden or ~/.cache/facewarden]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache: Option<PathBuf>,
    /// Keep no embeddings
    #[arg(long)]
    no_cache: bool,
    /// Delete all embeddings that were kept, and do nothing else
    #[arg(long, conflicts_with_all = ["pairs", "all_pairs", "no_cache"])]
    forget_cache: bool,
    /// Draw roc.svg, det.svg and scores.svg into this folder
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    models: ModelArgs,
}

/// Runs `eval`.
///
/// # Errors
/// If the pictures, their list, the models or the cache cannot be used.
pub fn run(args: &Args) -> Outcome {
    if args.forget_cache {
        let folder = cache_folder(args)?;
        let count = cache::forget(&folder)?;
        return super::say(&format!(
            "{count} files with embeddings were deleted from {}\n",
            folder.display()
        ));
    }
    let folder = if args.no_cache { None } else { Some(cache_folder(args)?) };
    let options = Options { cache: folder.as_deref(), skip_unreadable: args.skip_unreadable };
    match (&args.all_pairs, &args.pairs) {
        (Some(folder), _) => all_pairs(args, folder, options),
        (None, Some(list)) => listed_pairs(args, list, options),
        (None, None) => Err(Failure::new(Exit::Usage, "name a list of pairs, or a folder with --all-pairs")),
    }
}

fn cache_folder(args: &Args) -> Result<PathBuf, Failure> {
    args.cache.clone().or_else(cache::usual_folder).ok_or_else(|| {
        let message =
            "neither XDG_CACHE_HOME nor HOME says where a cache could be: use --cache DIR or --no-cache";
        Failure::new(Exit::Usage, message)
    })
}

/// What was measured, ready to be reported and drawn.
struct Evaluation {
    scores: Scores,
    exact: Curves,
    /// Samples of the bootstrap; `None` if who is on the pictures is not known.
    samples: Option<Vec<Curves>>,
    report: Report,
}

impl Evaluation {
    fn new(
        args: &Args,
        scores: Scores,
        people: Option<usize>,
        accuracy: Option<Accuracy>,
        embedded: &Embedded,
    ) -> Self {
        let exact = scores.exact();
        let samples = people.map(|_| scores.bootstrap());
        let tars = LEVELS.iter().filter_map(|far| scores.tar_at_far(*far, &exact, samples.as_deref()));
        let tars: Vec<_> = tars.collect();
        let has_both = !scores.genuine.is_empty() && scores.impostor_pairs() > 0;
        let eer = has_both.then(|| scores.equal_error_rate(&exact, samples.as_deref()));
        let report = Report::new(&args.models, &scores, people, accuracy, eer, &tars, embedded);
        Self { scores, exact, samples, report }
    }
}

fn listed_pairs(args: &Args, list: &Path, options: Options<'_>) -> Outcome {
    let pairs = read_pairs(list)?;
    let folder = args.images.as_deref().or_else(|| list.parent()).unwrap_or(Path::new("."));
    let files: Vec<PathBuf> = pairs.files.iter().map(|file| folder.join(file)).collect();
    let embedded = embed_all(&args.models, &files, options)?;
    let metric = embedder_manifest(&args.models)?.spec.metric;
    let ListScores { scores, people, accuracy, .. } = score(&pairs, &embedded.faces, metric)?;
    let accuracy = Some(accuracy).filter(|(mean, _)| mean.is_finite());
    let accuracy = accuracy.map(|(mean, std)| Accuracy { mean, std, is_balanced: false });
    let evaluation = Evaluation::new(args, scores, people, accuracy, &embedded);
    finish(args, &evaluation, None)
}

fn all_pairs(args: &Args, folder: &Path, options: Options<'_>) -> Outcome {
    let people = dataset::read_people(folder)?;
    let embedded = embed_all(&args.models, &people.files, options)?;
    let manifest = embedder_manifest(&args.models)?;
    let mut faces = embedded.faces.iter();
    let pictures: Vec<all_pairs::Pictures<'_>> =
        people.counts.iter().map(|count| faces.by_ref().take(*count).map(Option::as_ref).collect()).collect();
    let compared = all_pairs::compare(&pictures, manifest.spec.metric)?;
    let accuracy = compared.balanced_accuracy.map(|(mean, std)| Accuracy { mean, std, is_balanced: true });
    let with_face = |pictures: &&all_pairs::Pictures<'_>| pictures.iter().any(Option::is_some);
    let seen = pictures.iter().filter(with_face).count();
    let evaluation = Evaluation::new(args, compared.scores, Some(people.counts.len()), accuracy, &embedded);
    if !args.calibrate {
        return finish(args, &evaluation, None);
    }
    let images = embedded.faces.iter().flatten().count() as u64;
    let calibration = calibration(args, folder, &evaluation, images, seen as u64)?;
    calibration.check().or_exit(Exit::Internal)?;
    if args.write {
        write_manifest(&manifest.folder.join(format!("{}.yaml", args.models.model)), &calibration)?;
    }
    finish(args, &evaluation, Some(&calibration))
}

fn calibration(
    args: &Args,
    folder: &Path,
    evaluation: &Evaluation,
    images: u64,
    people: u64,
) -> Result<Calibration, Failure> {
    let Evaluation { scores, exact, samples, .. } = evaluation;
    let curves = calibrate::fit(scores, exact, samples.as_deref().unwrap_or_default())
        .map_err(|problem| Failure::new(Exit::CannotTell, format!("no calibration: {problem}")))?;
    let clock = SystemClock::new();
    let name = || {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        folder.file_name().map_or_else(|| "pictures".to_owned(), |name| name.to_string_lossy().into_owned())
    };
    Ok(Calibration {
        data: args.data_name.clone().unwrap_or_else(name),
        date: clock.wall(clock.now()).0.strftime("%Y-%m-%d").to_string(),
        detector: args.models.detector.clone(),
        images,
        people,
        genuine_pairs: scores.genuine.iter().filter(|pair| pair.bin.is_some()).count() as u64,
        impostor_pairs: scores.impostor_pairs(),
        false_match: curves.false_match,
        tail: curves.tail,
        false_non_match: curves.false_non_match,
    })
}

/// Puts the section into the file, as a whole or not at all, with the permissions that the file had.
fn write_manifest(path: &Path, calibration: &Calibration) -> Result<(), Failure> {
    let failed = |e: &dyn std::fmt::Display| {
        Failure::new(Exit::CannotWrite, format!("cannot write {}: {e}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|e| failed(&e))?;
    let text = with_calibration(&text, calibration).or_exit(Exit::Config)?;
    let permissions = std::fs::metadata(path).map_err(|e| failed(&e))?.permissions();
    let mut file =
        tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("."))).map_err(|e| failed(&e))?;
    file.write_all(text.as_bytes()).map_err(|e| failed(&e))?;
    file.as_file().set_permissions(permissions).map_err(|e| failed(&e))?;
    file.as_file().sync_all().map_err(|e| failed(&e))?;
    file.persist(path).map_err(|e| failed(&e.error))?;
    eprintln!("facewarden: {} has a new calibration", path.display());
    Ok(())
}

fn finish(args: &Args, evaluation: &Evaluation, calibration: Option<&Calibration>) -> Outcome {
    let report = &evaluation.report;
    for problem in &report.unreadable {
        eprintln!("facewarden: skipped: {problem}");
    }
    if let Some(folder) = &args.plots {
        let threshold = embedder_manifest(&args.models)?.spec.min_similarity().or_exit(Exit::Internal)?;
        plots::write(folder, evaluation, Some(f64::from(threshold.value())))?;
    }
    if args.json {
        return super::say(&report.json(calibration)?);
    }
    let mut text = report.text();
    if let Some(calibration) = calibration {
        text.push('\n');
        text.push_str(&calibration_section(calibration));
    }
    super::say(&text)
}
