//! `facewarden enroll`: adds somebody to the gallery, from pictures or in front of a camera.
//!
//! Nothing is written unless all that was taken shows one person, and nobody who is enrolled under another name.
//! Pictures that are no use are left out and named; the good ones are enrolled, and the exit code says 1.

mod bulk;
mod choose;
mod coverage;
mod cutout;
mod from_camera;
mod guide;
mod likeness;
mod mark;
mod one;
mod picture;
mod record;
mod roster;
mod standard;
mod turn;
mod writing;

use std::path::PathBuf;
use std::sync::Arc;

pub use choose::Fate;
pub use coverage::Coverage;
pub use from_camera::{CollectError, Collection, Eyes, Plan, Taken, Tally, collect_from_camera};
pub use guide::Guide;
pub use likeness::{Conflict, FALSE_REFUSALS, Findings, Rule, duplicate_distance};
pub use mark::FileMark;
pub use picture::{Place, Portrait, Refusal};
pub(super) use picture::{look_at, pick};
pub use standard::{Judged, MOST, Standard, nobody_yet, template};
pub use turn::Turn;
pub use writing::Written;
pub(super) use writing::write;

use super::engine::{Engine, ModelArgs};
use super::exit::{Exit, Failure, Outcome};
use super::gallery::GalleryArgs;
use crate::clock::SystemClock;
use crate::domain::PersonId;
use one::One;

/// Arguments of `enroll`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Who it is
    #[arg(required_unless_present = "from")]
    pub name: Option<PersonId>,
    /// Pictures of the person, one face on each
    #[arg(value_name = "IMAGE", required_unless_present_any = ["camera", "from"], conflicts_with = "camera")]
    pub images: Vec<PathBuf>,
    /// Many people at once: a folder with a sub-folder of pictures a person, called as they are; or a list with the columns name, picture and, if wanted, groups (with ; between them), display_name, external_id
    #[arg(long, value_name = "DIR_OR_CSV", conflicts_with_all = ["name", "images", "camera"])]
    pub from: Option<PathBuf>,
    /// With --from: write what became of each picture here, a JSON object a line. Given again it is added to, and tells what need not be looked at once more
    #[arg(long, value_name = "FILE", requires = "from")]
    pub report: Option<PathBuf>,
    /// With --from: look at and judge everything, and write nothing to the gallery
    #[arg(long, requires = "from")]
    pub dry_run: bool,
    /// At most so many templates of a model a person: those that differ most, the good ones first
    #[arg(long, value_name = "N", default_value_t = MOST, value_parser = clap::value_parser!(u8).range(1..))]
    pub most: u8,
    /// Look through a camera instead (one that no daemon uses; for that there is `ctl enroll --live`): a device, or anything `run --source` takes
    #[arg(long, value_name = "SOURCE")]
    pub camera: Option<String>,
    /// With --camera: how long to look at most
    #[arg(long, value_name = "SECONDS", default_value_t = 15, conflicts_with = "images",
          value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// With --camera: how many differing looks are enough
    #[arg(long, value_name = "N", default_value_t = 5, conflicts_with = "images",
          value_parser = clap::value_parser!(u8).range(1..=50))]
    pub looks: u8,
    /// Of several faces on a picture take this one, counted from the left beginning with 1
    #[arg(long, value_name = "N", conflicts_with = "camera")]
    pub face: Option<usize>,
    /// Take blurred, dark, small or turned faces too, and pictures that look like somebody else
    #[arg(long)]
    pub force: bool,
    /// Keep the face of each picture, cut out and encrypted, so that another model needs no new pictures (`facewarden migrate`)
    #[arg(long)]
    pub keep_photos: bool,
    /// Print one JSON object instead of words
    #[arg(long)]
    pub json: bool,
    /// Where to.
    #[command(flatten)]
    pub gallery: GalleryArgs,
    /// With what.
    #[command(flatten)]
    pub models: ModelArgs,
}

const AFTER_HELP: &str = "\
Somebody who looks like a person enrolled under another name is refused, and that person is named. --force enrols them
all the same: look at both first.

With --from, a run that was ended goes on when it is started again: pictures that are enrolled are known by the SHA-256
of their files, which is in the gallery.

Exit codes: 0 all pictures are enrolled, or add nothing to those that are; 1 some were left out, or nothing was enrolled
because the pictures show different people or somebody who is enrolled under another name; 2 no picture could be used,
or it was interrupted; others as in `facewarden --help`.";

/// Runs `enroll`.
///
/// # Errors
/// If nothing was enrolled; see the exit codes of the command.
pub fn run(args: &Args) -> Outcome {
    let name = match (&args.from, &args.name) {
        (Some(from), _) => return bulk::run(args, from),
        (None, Some(name)) => name,
        (None, None) => return Err(Failure::new(Exit::Usage, "say who it is")),
    };
    // First whether there is somewhere to put it, then the models, which take longest to load.
    let store = args.gallery.open_to_enrol()?;
    let mut engine = Engine::load(&args.models)?;
    let clock = Arc::new(SystemClock::new());
    let one = One { args, name };
    let looked = match &args.camera {
        Some(source) => one.look_through_camera(source, &mut engine, &clock)?,
        None => one.look_at_pictures(&mut engine)?,
    };
    one.enrol(&store, &engine, looked, &clock)
}
