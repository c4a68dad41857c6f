//! `facewarden liveness-test`: how well live people are told from pictures of them at this camera, tried with the
//! daemon's own models and rules.

mod camera;
mod console;
mod guide;
mod present;
mod report;
mod standing;
mod subject;
mod tapped;
mod test;
mod verdict;
mod witness;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(in crate::cmds) use guide::Kind;
pub(in crate::cmds) use present::Extent;
pub(in crate::cmds) use report::Report;
pub use standing::untested;
pub(in crate::cmds) use tapped::tapped;
pub(in crate::cmds) use test::Test;
pub(in crate::cmds) use verdict::Counts;

use super::daemon::{GLANCE_MS, source_failure};
use super::exit::{Exit, Failure, OrExit, Outcome};
use super::{DEFAULT_CONFIG, config_failure};
use crate::camera::opener;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, Severity, Speed};
use crate::domain::CameraId;
use crate::store::{AttackKind, Origin};
use crate::sys::process;
use crate::sys::signals::{self, Shutdown};
use camera::HeldCamera;
use console::{Answer, Lines, Typed};
use guide::{End, Operator, lead};

/// It is looked so often whether a presentation has ended.
pub(in crate::cmds) const GLANCE: Duration = Duration::from_millis(GLANCE_MS);

const AFTER_HELP: &str = "\
Without --live and --attack it leads through the test: it says what to present next, and what came of it. The daemon must \
not be using the camera meanwhile. With them it takes recordings, each of one presentation: a video file, or a folder of \
pictures.

Exit codes: 0, passed; 1, not passed or broken off; 65, the file with earlier results is damaged; 66, a recording or the \
configuration is missing; 69, the camera or a model is missing; 78, the configuration is faulty.";

/// Arguments of `liveness-test`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    /// The daemon's configuration [default: /etc/facewarden/facewarden.yaml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which of the configured cameras, where there are several
    #[arg(long, value_name = "ID", value_parser = CameraId::new)]
    camera: Option<CameraId>,
    /// What to watch instead of the configured camera
    #[arg(long, value_name = "PATH|URL|DEVICE", conflicts_with_all = ["live", "attack"])]
    camera_source: Option<String>,
    /// Recordings of live people, one a presentation
    #[arg(long, value_name = "PATH", num_args = 1..)]
    live: Vec<PathBuf>,
    /// A recording of an attack, and its kind: print, phone, laptop or other
    #[arg(long, value_name = "KIND=PATH", value_parser = parse_attack)]
    attack: Vec<(AttackKind, PathBuf)>,
    /// Presentations of each kind to lead through
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    per_kind: u64,
    /// The longest time that a presentation takes
    #[arg(long, value_name = "SECONDS", default_value_t = 6, value_parser = clap::value_parser!(u64).range(2..=60))]
    seconds: u64,
    /// Presentations needed for a pass: of live people, and of at least one kind of attack
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    min_presentations: u64,
    /// Do not store the result
    #[arg(long)]
    no_save: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn parse_attack(text: &str) -> Result<(AttackKind, PathBuf), String> {
    let (kind, path) = text.split_once('=').ok_or("write KIND=PATH, such as phone=replay.mp4")?;
    let kind = <AttackKind as clap::ValueEnum>::from_str(kind, false)
        .map_err(|_| format!("{kind} is no kind of attack: print, phone, laptop or other"))?;
    if path.is_empty() {
        return Err("a path belongs after the =".to_owned());
    }
    Ok((kind, path.into()))
}

/// Runs `liveness-test`.
///
/// # Errors
/// If the configuration, a model, the camera or a recording cannot be used, or the result cannot be stored.
pub fn run(args: &Args) -> Outcome {
    let config = settings(args)?;
    let camera =
        config.cameras.first().ok_or_else(|| Failure::new(Exit::Config, "no camera is configured"))?.clone();
    let is_recorded = !args.live.is_empty() || !args.attack.is_empty();
    if !is_recorded && !io::stdin().is_terminal() {
        let message =
            "standard input is no terminal: run it in one, or give recordings with --live and --attack";
        return Err(Failure::new(Exit::Usage, message));
    }
    process::forbid_core_dumps().or_exit(Exit::Internal)?;
    let shutdown = Shutdown::new();
    let _signals = signals::watch(shutdown.clone()).or_exit(Exit::Internal)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut test = Test::new(config, !args.no_save, Arc::clone(&clock))?;

    let (from, end) = if is_recorded {
        (Origin::Recordings, play(args, &camera, &mut test, (&clock, &shutdown))?)
    } else {
        let held = HeldCamera::open(&camera, clock)?;
        let lines = Lines::new(io::stdin());
        let extent = Extent::AtMost(Duration::from_secs(args.seconds));
        let mut operator = AtTerminal { test: &mut test, held, lines, extent, shutdown: &shutdown };
        (Origin::Camera, lead(&mut operator, (args.per_kind, args.seconds))?)
    };

    let mut report = test.report(from, end == End::Complete, args.min_presentations);
    let saved = if args.no_save || !report.is_complete { Ok(()) } else { test.save(&mut report) };
    if args.json {
        let text = serde_json::to_string_pretty(&report).or_exit(Exit::Internal)?;
        super::say(&format!("{text}\n"))?;
    } else {
        super::say(&report.text())?;
    }
    saved?;
    Ok(if report.is_passed { Exit::Ok } else { Exit::No })
}

/// Says of each recording what came of it.
fn play(
    args: &Args,
    camera: &config::Camera,
    test: &mut Test,
    (clock, shutdown): (&Arc<dyn Clock>, &Shutdown),
) -> Result<End, Failure> {
    let live = args.live.iter().map(|path| (Kind::Live, path));
    let attacks = args.attack.iter().map(|(kind, path)| (Kind::Attack(*kind), path));
    for (kind, path) in live.chain(attacks) {
        if !path.exists() {
            return Err(Failure::new(Exit::NoInput, format!("there is no recording {}", path.display())));
        }
        let source = path.to_str().ok_or_else(|| {
            Failure::new(Exit::Usage, format!("the name of {} is not UTF-8", path.display()))
        })?;
        let recording = config::Camera {
            source: source.to_owned(),
            driver: config::Driver::Auto,
            speed: Speed::Max,
            loops: 1,
            ..camera.clone()
        };
        let open = opener(&recording, Arc::clone(clock)).map_err(source_failure)?;
        let mut go_on = || !shutdown.sleep(GLANCE);
        let presented = test.present(kind, open, Extent::ToItsEnd, &mut go_on).map_err(|failure| {
            Failure { error: failure.error.context(path.display().to_string()), ..failure }
        })?;
        let Some(outcome) = presented else { return Ok(End::BrokenOff) };
        eprintln!(
            "{} {}: {}",
            kind.as_str(),
            path.display(),
            outcome.to_string().trim_end_matches(": again")
        );
    }
    Ok(End::Complete)
}

/// The operator before the camera. What is said goes to standard error: standard output is the report's.
struct AtTerminal<'a> {
    test: &'a mut Test,
    held: HeldCamera,
    lines: Lines<io::Stdin>,
    extent: Extent,
    shutdown: &'a Shutdown,
}

impl Operator for AtTerminal<'_> {
    fn tell(&mut self, text: &str) {
        // Where the terminal has gone, the next question finds that out.
        drop(writeln!(io::stderr(), "{text}"));
    }

    fn ask(&mut self) -> Result<Option<Answer>, Failure> {
        while !self.shutdown.is_requested() {
            match self.lines.next().or_exit(Exit::Unavailable)? {
                Typed::Line(answer) => return Ok(Some(answer)),
                Typed::Ended => return Ok(None),
                Typed::Nothing => self.held.pass_the_time()?,
            }
        }
        Ok(None)
    }

    fn present(&mut self, kind: Kind) -> Result<Option<witness::Outcome>, Failure> {
        let mut go_on = || !self.shutdown.sleep(GLANCE);
        let outcome = self.test.present(kind, self.held.lend(), self.extent, &mut go_on)?;
        // What was typed meanwhile is no answer to what is asked next.
        self.lines.forget().or_exit(Exit::Unavailable)?;
        Ok(outcome)
    }
}

/// The configuration, with the camera that is asked for, checked as a whole.
fn settings(args: &Args) -> Result<Config, Failure> {
    let path = args.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG));
    let config = Config::read(path).map_err(config_failure)?;
    let mut config = with_one_camera(&config, args.camera.as_ref())?;
    if let (Some(source), Some(camera)) = (&args.camera_source, config.cameras.first_mut()) {
        camera.source.clone_from(source);
        camera.driver = config::Driver::Auto;
    }
    if let Some(fault) = config::check(&config).into_iter().find(|f| f.severity == Severity::Error) {
        return Err(Failure::new(Exit::Config, format!("{}: {}", fault.key, fault.message)));
    }
    Ok(config)
}

/// The same settings with the camera that is asked for alone.
fn with_one_camera(config: &Config, asked: Option<&CameraId>) -> Result<Config, Failure> {
    let ids: Vec<&str> = config.cameras.iter().map(|camera| camera.id.as_str()).collect();
    let own = match asked {
        Some(id) => config.of_camera(id),
        None => (ids.len() == 1).then(|| config.clone()),
    };
    own.ok_or_else(|| {
        let message = match asked {
            Some(id) => format!("no camera is called {id}; there are: {}", ids.join(", ")),
            None => format!("there are several cameras: say which with --camera ({})", ids.join(", ")),
        };
        Failure::new(Exit::Usage, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_cameras_has_to_be_named() {
        let camera = |id: &str| config::Camera::new(CameraId::new(id).unwrap(), format!("/dev/{id}"));
        let mut config = Config::new(camera("door"));
        let of = |config: &Config, id: Option<&str>| {
            let id = id.map(|id| CameraId::new(id).unwrap());
            with_one_camera(config, id.as_ref()).map(|own| own.cameras).map_err(|failure| failure.to_string())
        };
        assert_eq!(of(&config, None).unwrap(), [camera("door")]);
        config.cameras.push(camera("gate"));
        assert_eq!(of(&config, Some("gate")).unwrap(), [camera("gate")]);
        assert!(of(&config, None).unwrap_err().contains("--camera (door, gate)"));
        assert!(of(&config, Some("yard")).unwrap_err().contains("no camera is called yard"));
    }

    #[test]
    fn an_attack_is_a_kind_and_a_path() {
        assert_eq!(parse_attack("phone=a=b.avi"), Ok((AttackKind::Phone, "a=b.avi".into())));
        for wrong in ["phone", "phone=", "mask=a.avi", "=a.avi", "Phone=a.avi"] {
            assert!(parse_attack(wrong).is_err(), "{wrong}");
        }
    }
}
