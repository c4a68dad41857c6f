//! `facewarden compare`: are the people on two photos the same person? With more photos: every pair of them.

mod annotate;
mod report;

use std::path::{Path, PathBuf};

use image::RgbImage;

use super::engine::{Engine, LookError, ModelArgs, read_photo};
use super::exit::{Exit, Failure, OrExit, Outcome};
use super::judge::{Judge, JudgeArgs};
use super::pictures::{Seen, look_at};
use super::verified::most_alike;
use crate::clock::{Clock, SystemClock};
use annotate::Panel;

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Two photos, or more: then every pair of them is compared
    #[arg(required = true, num_args = 2.., value_name = "PHOTO")]
    photos: Vec<PathBuf>,
    #[command(flatten)]
    judging: JudgeArgs,
    /// Print JSON: for two photos the fields of DeepFace's verify
    #[arg(long)]
    json: bool,
    /// Write a PNG that shows both photos side by side with the faces, their points and the verdict
    #[arg(long, value_name = "OUT.png")]
    annotate: Option<PathBuf>,
    #[command(flatten)]
    models: ModelArgs,
}

/// A photo that was looked at.
struct Photo {
    path: PathBuf,
    /// The faces; or why it cannot be said who is on it.
    faces: Result<Vec<Seen>, String>,
    /// The picture, small, if it is going to be drawn on.
    panel: Option<Panel>,
}

/// What came of one pair of photos.
enum Verdict {
    /// Their most alike faces were compared.
    Told {
        distance: f32,
        /// Which faces, by index.
        faces: [usize; 2],
    },
    /// It could not be told.
    NotTold { file: PathBuf, error: String },
}

/// Runs `compare`.
///
/// # Errors
/// If the models cannot be loaded, arguments contradict each other, or OUT.png cannot be written. A photo that
/// cannot be judged is no error but [`Exit::CannotTell`].
pub fn run(args: &Args) -> Outcome {
    if let Some(out) = &args.annotate {
        annotate::check_target(out, &args.photos)?;
    }
    let clock = SystemClock::new();
    let (mut engine, ahead) = load(args)?;
    let judge = args.judging.judge(&engine)?;
    let mut ahead = ahead.into_iter();
    let photos: Vec<Photo> = args
        .photos
        .iter()
        .map(|path| {
            let picture = ahead.next().unwrap_or_else(|| read_photo(path));
            photo(&mut engine, path, picture, args.annotate.is_some())
        })
        .collect();

    let mut pairs = Vec::new();
    for (index, first) in photos.iter().enumerate() {
        for second in &photos[index + 1..] {
            pairs.push(([first, second], verdict(&judge, first, second)?));
        }
    }
    let report = report::Report {
        judge,
        model: engine.embedder.name(),
        detector: engine.detector.name(),
        time: clock.now().0.as_secs_f64(),
    };
    for note in report::notes(&photos, &pairs) {
        eprintln!("{note}");
    }
    super::say(&if args.json { report.json(&pairs).or_exit(Exit::Internal)? } else { report.text(&pairs) })?;
    if let (Some(out), [([first, second], verdict)]) = (&args.annotate, &pairs[..]) {
        annotate::write(out, &annotate::draw(&report, [first, second], verdict).or_exit(Exit::Internal)?)?;
    }
    Ok(exit_of(&judge, pairs.iter().map(|(_, verdict)| verdict)))
}

/// Loads the models while the first two photos are decoded. Decoding more of them ahead would hold them all in
/// memory at once.
fn load(args: &Args) -> Result<(Engine, Vec<Result<RgbImage, LookError>>), Failure> {
    let ahead = args.photos.get(..2).unwrap_or(&args.photos);
    std::thread::scope(|scope| {
        let decoder = scope.spawn(|| ahead.iter().map(|path| read_photo(path)).collect());
        let engine = Engine::load(&args.models)?;
        let decoded =
            decoder.join().map_err(|_| Failure::new(Exit::Internal, "decoding a photo panicked"))?;
        Ok((engine, decoded))
    })
}

fn photo(engine: &mut Engine, path: &Path, picture: Result<RgbImage, LookError>, keep: bool) -> Photo {
    let looked = picture.and_then(|picture| Ok((look_at(engine, path, &picture)?, picture)));
    let (faces, panel) = match looked {
        Ok((faces, picture)) => (Ok(faces), keep.then(|| Panel::new(&picture))),
        Err(error) => (Err(error.to_string()), None),
    };
    Photo { path: path.to_owned(), faces, panel }
}

/// Compares every face of one photo with every face of the other: the best pair counts.
fn verdict(judge: &Judge, first: &Photo, second: &Photo) -> Result<Verdict, Failure> {
    let mut lists = Vec::new();
    for photo in [first, second] {
        let not_told = |error| Ok(Verdict::NotTold { file: photo.path.clone(), error });
        match &photo.faces {
            Err(error) => return not_told(error.clone()),
            Ok(faces) if faces.is_empty() => {
                return not_told(format!("{}: no face was found", photo.path.display()));
            }
            Ok(faces) => lists.push(faces),
        }
    }
    let best = most_alike(judge, [lists[0], lists[1]])?;
    let (distance, faces) = best.ok_or_else(|| Failure::new(Exit::Internal, "no pair of faces"))?;
    Ok(Verdict::Told { distance, faces })
}

fn exit_of<'v>(judge: &Judge, verdicts: impl Iterator<Item = &'v Verdict>) -> Exit {
    let mut exit = Exit::Ok;
    for verdict in verdicts {
        match verdict {
            Verdict::NotTold { .. } => return Exit::CannotTell,
            Verdict::Told { distance, .. } if !judge.is_same(*distance) => exit = Exit::No,
            Verdict::Told { .. } => {}
        }
    }
    exit
}
