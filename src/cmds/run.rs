//! `facewarden run`: the daemon, from its configuration file, a few options, or both.

use std::path::PathBuf;

use super::daemon::{self, Extras, Reread};
use super::exit::{Exit, Failure, OrExit, Outcome};
use super::view;
use super::{DEFAULT_CONFIG, config_failure};
use crate::config::{self, Camera, Config, LivenessMode, Severity, Speed};
use crate::domain::CameraId;
use crate::sys::signals::{self, Shutdown};

/// Arguments of `run`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Configuration file [default: /etc/facewarden/facewarden.yaml, unless --source is given]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What to watch instead of the configured camera: a device, a folder of pictures, a file, or a URL
    #[arg(long, value_name = "PATH|URL|DEVICE")]
    source: Option<String>,
    /// Folder with the enrolled people
    #[arg(long, value_name = "DIR")]
    gallery: Option<PathBuf>,
    /// Where events go, one JSON object a line: a file, or `-` for standard output
    #[arg(long, value_name = "FILE|-")]
    events: Option<PathBuf>,
    /// Play a recording at its own rate, every frame of it as fast as possible, or so many times as fast
    #[arg(long, value_name = "real|max|N")]
    speed: Option<Speed>,
    /// How many times a recording is played
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    loops: Option<u32>,
    /// Whether somebody must look alive to be verified
    #[arg(long)]
    liveness: Option<LivenessMode>,
    /// Draw boxes, track numbers and names: into an .avi file, or a folder of JPEG files
    #[arg(long, value_name = "OUT")]
    annotate: Option<PathBuf>,
}

/// Runs the daemon until its source ends or it is told to stop.
///
/// # Errors
/// See [`daemon::watch`].
pub fn run(args: &Args) -> Outcome {
    let config = settings(args)?;
    let several = config.cameras.len() > 1;
    if several
        && (args.source.is_some() || args.annotate.is_some() || args.speed.is_some() || args.loops.is_some())
    {
        let message =
            "--source, --annotate, --speed and --loops are for one camera, and the configuration has several";
        return Err(Failure::new(Exit::Usage, message));
    }
    let shutdown = Shutdown::new();
    let _signals = signals::watch(shutdown.clone()).or_exit(Exit::Internal)?;
    let (view, drawing) = match &args.annotate {
        Some(path) => {
            let fps = config.cameras.first().map_or(25.0, |camera| camera.fps);
            let (view, drawing) = view::draw_into(path, fps)?;
            (Some(view), Some(drawing))
        }
        None => (None, None),
    };
    let again = args.clone();
    let reread: Reread = Box::new(move || settings(&again));
    let extras = Extras { view, reread: Some(reread), ..Extras::default() };
    let watched = daemon::watch(&config, extras, &shutdown);
    let drawn = drawing.map(view::Drawing::finish);
    watched?;
    drawn.transpose()?;
    Ok(Exit::Ok)
}

/// The configuration file's settings with the options over them, checked as a whole.
fn settings(args: &Args) -> Result<Config, Failure> {
    let file = match (&args.config, &args.source) {
        (Some(path), _) => Some(path.clone()),
        (None, None) => Some(PathBuf::from(DEFAULT_CONFIG)),
        (None, Some(_)) => None,
    };
    let mut config = match file {
        Some(path) => Config::read(&path).map_err(config_failure)?,
        None => Config::new(Camera::new(CameraId::new("camera").or_exit(Exit::Internal)?, String::new())),
    };
    if let (Some(source), Some(camera)) = (&args.source, config.cameras.first_mut()) {
        camera.source.clone_from(source);
        camera.driver = config::Driver::Auto;
    }
    if let Some(camera) = config.cameras.first_mut() {
        camera.speed = args.speed.unwrap_or(camera.speed);
        camera.loops = args.loops.unwrap_or(camera.loops);
    }
    if let Some(folder) = &args.gallery {
        config.gallery.folder.clone_from(folder);
        // The key of the settings is that of their folder.
        config.gallery.key = None;
    }
    if let Some(path) = &args.events {
        config.events.log = Some(path.clone());
    }
    config.liveness.mode = args.liveness.unwrap_or(config.liveness.mode);
    for finding in config::check(&config) {
        match finding.severity {
            Severity::Error => {
                return Err(Failure::new(Exit::Config, format!("{}: {}", finding.key, finding.message)));
            }
            Severity::Warning => tracing::warn!("{}: {}", finding.key, finding.message),
        }
    }
    Ok(config)
}
