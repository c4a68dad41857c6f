//! `facewarden explain`: what was decided, and why, in words.

mod log;
mod words;

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

pub use words::explain;

use super::exit::{Exit, Failure, Outcome};
use super::{DEFAULT_CONFIG, log::configured_log};
use crate::clock::{Clock, SystemClock};
use crate::sinks::older_files;
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
        None => configured_log(
            &args.config,
            "name the file that they are kept in with --log FILE, or pass them on standard input with --log -",
        )?,
    };
    let (name, search) = if path.as_os_str() == "-" {
        let search = log::search(io::stdin().lock(), &args.event);
        ("standard input".to_owned(), search.map_err(|error| unreadable(&path, &error))?)
    } else {
        search_files(&path, &args.event)?
    };
    let Found { event, line } = settle(search, &args.event, &name)?;
    if args.json {
        return super::say(&format!("{line}\n"));
    }
    let clock = SystemClock::new();
    super::say(&explain(&event, clock.wall(clock.now())))
}

/// Looks in the log, and then in the files that were moved aside, the newest first.
fn search_files(path: &Path, wanted: &Wanted) -> Result<(String, Search), Failure> {
    let look = |path: &Path| {
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        log::search(BufReader::new(file), wanted).map_err(|error| unreadable(path, &error))
    };
    let search = look(path)?;
    for older in older_files(path).map_err(|error| unreadable(path, &error))? {
        if search.found != Ok(None) || search.damaged().is_some() {
            break;
        }
        let in_older = look(&older)?;
        if in_older.found != Ok(None) || in_older.damaged().is_some() {
            return Ok((older.display().to_string(), in_older));
        }
    }
    Ok((path.display().to_string(), search))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let exit = match error.kind() {
        io::ErrorKind::PermissionDenied => Exit::Permission,
        _ => Exit::NoInput,
    };
    Failure::new(exit, format!("the event log {} cannot be read: {error}", path.display()))
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
