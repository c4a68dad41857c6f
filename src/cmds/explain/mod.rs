//! `facewarden explain`: what was decided, and why, in words.

mod log;
mod words;

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

pub use words::explain;

use super::exit::{Exit, Failure, Outcome};
use super::{DEFAULT_CONFIG, config_failure};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use log::{Found, Search, Wanted};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The event's `id`, its first letters as far as no other begins with them, or `last` for the newest decision
    #[arg(value_name = "EVENT_ID")]
    event: Wanted,
    /// The event log, or `-` for standard input [default: `events.log` of the configuration]
    #[arg(long, value_name = "FILE|-")]
    log: Option<PathBuf>,
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Print the event itself, as it is in the log
    #[arg(long)]
    json: bool,
}

/// Finds the event and explains it.
///
/// # Errors
/// [`Exit::NoInput`] if the log is missing, [`Exit::No`] if it has no such event, [`Exit::CannotTell`] if several
/// begin like that, [`Exit::Data`] if lines of the log are damaged among which it may be.
pub fn run(args: &Args) -> Outcome {
    let path = match &args.log {
        Some(path) => path.clone(),
        None => configured_log(&args.config)?,
    };
    let (name, found) = if path.as_os_str() == "-" {
        ("standard input".to_owned(), log::search(io::stdin().lock(), &args.event))
    } else {
        let file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
        (path.display().to_string(), log::search(BufReader::new(file), &args.event))
    };
    let search = found.map_err(|error| unreadable(&path, &error))?;
    let Found { event, line } = settle(search, &args.event, &name)?;
    if args.json {
        return super::say(&format!("{line}\n"));
    }
    let clock = SystemClock::new();
    super::say(&explain(&event, clock.wall(clock.now())))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let exit = match error.kind() {
        io::ErrorKind::PermissionDenied => Exit::Permission,
        _ => Exit::NoInput,
    };
    Failure::new(exit, format!("the event log {} cannot be read: {error}", path.display()))
}

/// Where the daemon writes its events.
fn configured_log(config: &Path) -> Result<PathBuf, Failure> {
    let settings = Config::read(config).map_err(config_failure)?;
    match settings.events.log {
        Some(log) if log.as_os_str() != "-" => Ok(log),
        _ => Err(Failure::new(
            Exit::Usage,
            format!(
                "by {} events are not written to a file: name the file that they are kept in with --log FILE, or \
                 pass them on standard input with --log -",
                config.display()
            ),
        )),
    }
}

/// What came of the search; damaged lines are told of, and an error only where the event may be among them.
fn settle(search: Search, wanted: &Wanted, log: &str) -> Result<Found, Failure> {
    let damaged = search.damaged();
    match search.found {
        Ok(Some(found)) => {
            if let Some(damaged) = damaged {
                eprintln!("facewarden: {log}: {damaged}; the event asked for is whole");
            }
            Ok(found)
        }
        Ok(None) => match damaged {
            Some(damaged) => {
                Err(Failure::new(Exit::Data, format!("{log}: {damaged}, and there is no {wanted} besides")))
            }
            None => Err(Failure::new(Exit::No, format!("{log}: there is no {wanted}"))),
        },
        Err(ids) => Err(Failure::new(
            Exit::CannotTell,
            format!("{log}: several events begin with {wanted}: {}; write more of it", ids.join(", ")),
        )),
    }
}
