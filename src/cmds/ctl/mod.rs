//! `facewarden ctl`: asks the running daemon something, over its control socket.

mod picture;
mod words;

use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure, OrExit, Outcome};
use super::{DEFAULT_CONFIG, config_failure};
use crate::config::{Config, Control};
use crate::control::{Answer, AskError, CameraState, Client, Refusal, Request, Status};
use crate::domain::{CameraId, PersonId};

/// Where the socket of the service is.
const SERVICE_FOLDER: &str = "/run/facewarden";

const EXIT_CODES: &str = "\
Exit codes: 0 it was done; for `status`: every camera watches; 1 it was not done because something speaks against it; for \
`status`: a camera is lost, paused or used for enrolling; 2 nobody could be enrolled; 66 there is no such camera; 69 there is \
no daemon, or a camera gives no frames; 73 the picture cannot be written; 75 the daemon is busy: try again; 77 not allowed; \
78 the new configuration is faulty.";

/// Arguments of `ctl`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// The daemon's socket [default: what the configuration says, else /run/facewarden/control.sock]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The daemon's configuration, for where its socket is [default: /etc/facewarden/facewarden.yaml]
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Say how it goes
    Status {
        /// Print one JSON object instead of words
        #[arg(long)]
        json: bool,
    },
    /// Close a camera: nobody is looked at or verified there until it is resumed, or the daemon restarts
    Pause {
        /// Which camera [default: all]
        camera: Option<CameraId>,
        /// Watch again by itself after so long: 30s, 10m, 2h, 1d
        #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
        seconds: Option<u32>,
    },
    /// Watch again
    Resume {
        /// Which camera [default: all]
        camera: Option<CameraId>,
    },
    /// Read the configuration and the gallery again, and say what came of it
    Reload,
    /// Save what a camera sees at this moment, as a JPEG file
    Snapshot(picture::Args),
    /// Enrol whoever stands in front of a camera of the daemon
    Enroll {
        /// Who it is
        name: PersonId,
        /// Look through a camera that the daemon watches. Nobody is verified there meanwhile
        #[arg(long, required = true)]
        live: bool,
        /// Which camera [default: the only one]
        #[arg(long, value_name = "ID")]
        camera: Option<CameraId>,
        /// How long to look at most
        #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
        seconds: u32,
        /// How many differing pictures are enough
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=50))]
        pictures: u8,
    },
}

/// Asks the daemon.
///
/// # Errors
/// What the daemon refuses, with the exit code for it; [`Exit::Unavailable`] if there is none.
pub fn run(args: &Args) -> Outcome {
    let request = match &args.action {
        Action::Status { .. } => Request::Status {},
        Action::Pause { camera, seconds } => Request::Pause { camera: camera.clone(), seconds: *seconds },
        Action::Resume { camera } => Request::Resume { camera: camera.clone() },
        Action::Reload => Request::Reload {},
        Action::Snapshot(args) => args.request()?,
        Action::Enroll { name, live: _, camera, seconds, pictures } => Request::Enroll {
            person: name.clone(),
            camera: camera.clone(),
            seconds: *seconds,
            pictures: *pictures,
        },
    };
    let mut client = Client::ask(&socket(args)?, &request).map_err(ask_failure)?;
    let answer = loop {
        match client.next_answer().map_err(ask_failure)? {
            Answer::Progress { message, taken, wanted } => eprintln!("{taken} of {wanted}: {message}"),
            last => break last,
        }
    };
    match (answer, &args.action) {
        (Answer::Refused { reason, message }, _) => Err(Failure::new(answer_exit(reason), message)),
        (Answer::Status { status }, Action::Status { json }) => show(&status, *json),
        (Answer::Snapshot { camera, captured_at, jpeg }, Action::Snapshot(args)) => {
            args.save(&camera, captured_at, &jpeg)
        }
        (Answer::Done { message }, _) => super::say(&format!("{message}\n")),
        (Answer::Reloaded { report }, Action::Reload) => super::say(&words::reloaded(&report)),
        _ => Err(Failure::new(Exit::Unavailable, "the daemon answered something else than was asked")),
    }
}

fn show(status: &Status, json: bool) -> Outcome {
    if json {
        super::say(&format!("{}\n", serde_json::to_string_pretty(status).or_exit(Exit::Internal)?))?;
    } else {
        super::say(&words::status(status))?;
    }
    let watches = |camera: &crate::control::CameraStatus| camera.state == CameraState::Watching;
    Ok(if status.cameras.iter().all(watches) { Exit::Ok } else { Exit::No })
}

/// Where to ask. A configuration that was named must be readable; the usual one may be missing, closed to whoever asks, or
/// faulty, since all of these are times to ask how it goes.
fn socket(args: &Args) -> Result<PathBuf, Failure> {
    let control = match (&args.socket, &args.config) {
        (Some(path), _) => return Ok(path.clone()),
        (None, Some(file)) => Config::read(file).map_err(config_failure)?.control,
        (None, None) => match Config::read(Path::new(DEFAULT_CONFIG)) {
            Ok(config) => config.control,
            Err(error) => {
                tracing::debug!("the usual place of the socket is taken: {error}");
                return Ok(service_socket());
            }
        },
    };
    if !control.enabled {
        let message = "by its configuration the daemon has no control socket: `control.enabled` is false";
        return Err(Failure::new(Exit::Unavailable, message));
    }
    Ok(control.path.unwrap_or_else(service_socket))
}

/// Where the socket of the service is.
pub(super) fn service_socket() -> PathBuf {
    Path::new(SERVICE_FOLDER).join(Control::FILE)
}

/// The exit code of a daemon that does not answer.
pub(super) fn ask_failure(error: AskError) -> Failure {
    let exit = match error {
        AskError::NotAllowed { .. } => Exit::Permission,
        _ => Exit::Unavailable,
    };
    Failure { exit, error: error.into() }
}

/// The exit code of what the daemon refuses.
pub(super) fn answer_exit(reason: Refusal) -> Exit {
    match reason {
        Refusal::NotAllowed => Exit::Permission,
        Refusal::NoRequest | Refusal::Unavailable | Refusal::Paused => Exit::Unavailable,
        Refusal::Busy | Refusal::InUse => Exit::Busy,
        Refusal::NoCamera => Exit::NoInput,
        Refusal::Config => Exit::Config,
        Refusal::Conflict => Exit::No,
        Refusal::CannotTell => Exit::CannotTell,
        Refusal::CannotWrite => Exit::CannotWrite,
        Refusal::Data => Exit::Data,
        Refusal::Internal => Exit::Internal,
    }
}

/// A time such as `90`, `30s`, `10m`, `2h` or `1d`, up to a week, in seconds.
fn seconds(text: &str) -> Result<u32, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, unit)) if !unit.is_ascii_digit() => (text.get(..at).unwrap_or_default(), unit),
        _ => (text, 's'),
    };
    let factor = match unit {
        's' => Some(1_u32),
        'm' => Some(60),
        'h' => Some(3600),
        'd' => Some(24 * 3600),
        _ => None,
    };
    let seconds =
        number.parse::<u32>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    match seconds {
        Some(seconds) if (1..=7 * 24 * 3600).contains(&seconds) => Ok(seconds),
        _ => Err("write a time such as 30s, 10m or 2h, up to 7d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_a_unit() {
        for (text, expected) in
            [("30", 30), ("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86_400), ("7d", 604_800)]
        {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for odd in ["", "s", "0", "-1m", "8d", "1w", "1.5h", "99999999999", "10 m", "1ä"] {
            assert!(seconds(odd).is_err(), "{odd}");
        }
    }
}
