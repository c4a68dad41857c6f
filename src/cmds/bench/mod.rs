//! `facewarden bench`: what the documentation says of speed, memory and accuracy, measured. A benchmark, never a
//! test: machines are noisy, so it prints and does not judge; but for the soak, whose result no noise excuses.

mod duplicates;
mod events;
mod lfw;
mod light;
mod parity;
mod process;
mod search;
mod soak;
mod speed;
mod store;
mod view;
mod visits;

use std::path::{Path, PathBuf};
use std::process::Command;

use super::engine::ModelArgs;
use super::exit::{Exit, Failure, OrExit, Outcome};
use crate::clock::{Clock, SystemClock};

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder with measuring data (`golden.json`, `lfw-dev/`, `video-group.mp4`); what needs it is left out without
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder with the test pictures [default: tests/pictures of the checkout]
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// How long very many events are told, and how long the soak lasts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
    /// Sizes of the galleries that are searched, in templates
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "1000,100000,1000000",
        value_parser = clap::value_parser!(u32).range(10..=10_000_000)
    )]
    templates: Vec<u32>,
    /// A program that searches the same galleries in turn with this one (tests/peers/faiss_search.py)
    #[arg(long, value_name = "PROGRAM")]
    peer: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    models: ModelArgs,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Two photos, warm and as a whole process
    Pair,
    /// One 720p camera frame
    Frame,
    /// From start to ready
    Start,
    /// What watching the camera's view costs, how often it is wrong, and what is saved while nobody is there
    View,
    /// Until hooks and subscribers know, and very many events for --minutes
    Events,
    /// Agreement with the reference on 24 faces (needs --data)
    Parity,
    /// Accuracy on 6,000 pairs of photos (needs --data)
    Lfw,
    /// Whether enrolment notices who is enrolled already (needs --data)
    Duplicates,
    /// What little light does (needs --data)
    Light,
    /// Rules over several looks, on visits made from photos (needs --data)
    Visits,
    /// The search over up to a million templates (--templates), beside another program (--peer). Only when it is asked for:
    /// a million take 5 GB of memory, 9 with a peer, and some minutes
    Search,
    /// The daemon on a video in real time, ten times over (needs --data and ffmpeg)
    Video,
    /// Reading a gallery of 100,000 people from the disk. Only when it is asked for: it writes 240 MB
    Store,
    /// The daemon at ten times the speed of life, for --minutes: whether memory, descriptors and threads stay as they
    /// are, and no event is lost. Only when it is asked for; it alone judges, by the exit code
    Soak,
}

const ALL: [Part; 11] = [
    Part::Pair,
    Part::Frame,
    Part::Start,
    Part::View,
    Part::Events,
    Part::Parity,
    Part::Lfw,
    Part::Duplicates,
    Part::Light,
    Part::Visits,
    Part::Video,
];

/// One line of the table.
#[derive(Debug, serde::Serialize)]
struct Row {
    what: String,
    measured: String,
    target: &'static str,
}

impl Row {
    fn new(what: &str, measured: impl Into<String>, target: &'static str) -> Self {
        Self { what: what.to_owned(), measured: measured.into(), target }
    }
}

/// Runs the benchmarks and prints a table.
///
/// # Errors
/// If the test pictures are not found, or the soak cannot be made; another part that cannot be measured is a line of the table.
pub fn run(args: &Args) -> Outcome {
    let pictures = args.pictures.clone().or_else(checkout_pictures).ok_or_else(|| {
        Failure::new(Exit::NoInput, "the test pictures were not found: name their folder with --pictures")
    })?;
    let parts = if args.only.is_empty() { &ALL[..] } else { &args.only[..] };
    let (mut rows, mut exit) = (Vec::new(), Exit::Ok);
    for part in parts {
        eprintln!("measuring: {part:?}");
        let data = args.data.as_deref();
        let measured = match (part, data) {
            (Part::Pair, _) => speed::pair(&args.models, &pictures),
            (Part::Frame, _) => speed::frame(&args.models, &pictures),
            (Part::Start, _) => process::start(&pictures),
            (Part::View, data) => view::measure(&args.models, &pictures, data),
            (Part::Events, _) => events::measure(args.minutes),
            (Part::Search, _) => search::measure(&args.templates, args.peer.as_deref()),
            (Part::Store, _) => store::measure(),
            (Part::Soak, _) => soak::measure(&args.models, args.minutes).map(|(measured, is_good)| {
                exit = if is_good { exit } else { Exit::No };
                measured
            }),
            (Part::Parity, Some(data)) => parity::measure(&args.models, data),
            (Part::Lfw, Some(data)) => lfw::measure(&args.models, data),
            (Part::Duplicates, Some(data)) => duplicates::measure(&args.models, data),
            (Part::Light, Some(data)) => light::measure(&args.models, data),
            (Part::Visits, Some(data)) => visits::measure(&args.models, data),
            (Part::Video, Some(data)) => process::video(data),
            (_, None) => Err(Failure::new(Exit::NoInput, "it needs --data")),
        };
        // What cannot be measured is said in its place, and takes nothing else with it.
        match measured {
            Ok(measured) => rows.extend(measured),
            Err(failure) if *part == Part::Soak => return Err(failure),
            Err(failure) => rows.push(Row::new(&format!("{part:?}"), format!("not measured: {failure}"), "")),
        }
    }
    let machine = machine();
    if args.json {
        let report = serde_json::json!({ "machine": machine, "commit": commit(), "rows": rows });
        super::say(&format!("{report}\n"))?;
        return Ok(exit);
    }
    let mut text = format!("\n{machine}\ncommit {}, {}\n\n", commit(), today());
    text.push_str("| what | measured | target |\n|---|---|---|\n");
    for row in rows {
        text.push_str(&format!("| {} | {} | {} |\n", row.what, row.measured, row.target));
    }
    super::say(&text)?;
    Ok(exit)
}

fn checkout_pictures() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    program.ancestors().map(|folder| folder.join("tests/pictures")).find(|folder| folder.is_dir())
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores", model.trim_start_matches([' ', '\t', ':']))
}

/// The commit of the checkout that the program was built in, with a mark if files differ from it.
fn commit() -> String {
    let folder = std::env::current_exe().ok();
    let folder = folder.as_deref().and_then(Path::parent).unwrap_or_else(|| Path::new("."));
    let output = Command::new("git").arg("-C").arg(folder).args(["describe", "--always", "--dirty"]).output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn today() -> String {
    let clock = SystemClock::new();
    let now = clock.wall(clock.now()).to_string();
    now.split('T').next().unwrap_or_default().to_owned()
}

/// The middle of some numbers; 0 if there are none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|e| anyhow::anyhow!("cannot read {}: {e}", path.display()))
        .or_exit(Exit::NoInput)
}
