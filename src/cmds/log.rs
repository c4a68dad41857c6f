//! `facewarden log`: whether the event log is as it was written, what is in it, and how its events are made up.

use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ulid::Ulid;

use super::exit::{Exit, Failure, Outcome};
use super::{DEFAULT_CONFIG, config_failure};
use crate::clock::WallTime;
use crate::config::Config;
use crate::domain::Event;
use crate::sinks::{LineHash, Report, VerifyError, print_events, verify};

/// Arguments of `log`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Tell whether anything was changed, removed, inserted or reordered
    Verify(Verify),
    /// Print the events, one JSON object a line, the oldest first
    Export(Export),
    /// Print the JSON Schema of an event
    Schema,
}

#[derive(Debug, clap::Args)]
#[command(after_help = LIMITS)]
struct Verify {
    #[command(flatten)]
    log: Log,
    /// A head that was noted earlier, 64 hexadecimal digits: it must be of an entry of the log
    #[arg(long, value_name = "HASH")]
    head: Option<LineHash>,
}

const LIMITS: &str = "\
Exit codes: 0 it is as it was written, 65 it is not (the first place is named), 66 there is no log.

What this can find, and what not: each entry has the hash of the one before it, and the head file beside the log has the
newest. Whoever can write the folder can make up a log and a head file that fit, and nothing in the folder tells. So note
the head elsewhere: the daemon writes it to its own log, which the journal keeps, when it opens and closes the event log;
this command prints it. With --head it is looked for. The newest entries, until the head file has them, may be changed or
removed without a trace; that is a moment after they were written.";

#[derive(Debug, clap::Args)]
struct Export {
    #[command(flatten)]
    log: Log,
    /// Events after the one with this id, or from this time on (RFC 3339: 2026-11-23T19:00:00Z)
    #[arg(long, value_name = "ID|TIME")]
    since: Option<Since>,
    /// Events before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<WallTime>,
    /// Print what can be read of a log that is not as it was written
    #[arg(long)]
    even_if_damaged: bool,
}

#[derive(Debug, clap::Args)]
struct Log {
    /// The event log; the files that were moved aside are found beside it [default: `events.log` of the configuration]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

impl Log {
    fn path(&self) -> Result<PathBuf, Failure> {
        match &self.file {
            Some(file) => Ok(file.clone()),
            None => configured_log(&self.config, "name the file that they are kept in"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Since {
    Id(Ulid),
    Time(WallTime),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Ulid::from_string(text) {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => time(text)
                .map(Self::Time)
                .map_err(|error| format!("neither the id of an event nor a time: {error}")),
        }
    }
}

fn time(text: &str) -> Result<WallTime, String> {
    text.parse().map(WallTime).map_err(|error: jiff::Error| error.to_string())
}

/// Runs the subcommand.
///
/// # Errors
/// [`Exit::Data`] if the log is not as it was written, [`Exit::NoInput`] if there is none.
pub fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Verify(args) => {
            let path = args.log.path()?;
            let report = verify(&path, args.head).map_err(failure)?;
            super::say(&told(&report, args.head.is_some()))
        }
        Command::Export(args) => export(args),
        Command::Schema => super::say(&event_schema()),
    }
}

/// The JSON Schema (2020-12) of an event, indented, with a line break at the end.
#[must_use]
pub fn event_schema() -> String {
    let mut schema = schemars::schema_for!(Event);
    schema.insert("title".to_owned(), "Facewarden event".into());
    let description = "Something that happened at a door, or to Facewarden: one line of the event log, of the socket, \
                       or the data of a webhook. Fields may be added within a version of the format.";
    schema.insert("description".to_owned(), description.into());
    format!("{:#}\n", schema.to_value())
}

fn told(report: &Report, is_noted: bool) -> String {
    let Report { entries, files, times, head, unconfirmed, torn_bytes, is_head_missing, forgotten } = report;
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        text.push_str(&format!("{name:<8} {value}\n"));
    };
    line("entries", entries);
    line("files", &files.len());
    if let Some((first, last)) = times {
        line("first", first);
        line("last", last);
    }
    line("head", &head.1);
    if *forgotten > 0 {
        let what = match forgotten {
            1 => "1 entry was forgotten with the person whom it named".to_owned(),
            more => format!("{more} entries were forgotten with the people whom they named"),
        };
        line("note", &format!("{what}: what is left of each is its hash"));
    }
    if *torn_bytes > 0 {
        line(
            "note",
            &format!("{torn_bytes} bytes of half a line are at the end: a crash, or an entry being written"),
        );
    }
    if *is_head_missing {
        line("note", &"there is no head file: entries after the noted head may be missing");
    } else if *unconfirmed > 0 {
        line("note", &format!("{unconfirmed} entries are newer than the head file, as after a crash"));
    }
    line(
        "result",
        &if is_noted { "as it was written; the noted head is in it" } else { "as it was written" },
    );
    text
}

/// The exit code of a log that does not pass.
pub(super) fn failure(error: VerifyError) -> Failure {
    let exit = match &error {
        VerifyError::Missing(_) => Exit::NoInput,
        VerifyError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            Exit::Permission
        }
        VerifyError::Io { source, .. } if source.kind() == io::ErrorKind::ResourceBusy => Exit::Busy,
        VerifyError::Io { .. } => Exit::NoInput,
        VerifyError::Damaged(_) => Exit::Data,
    };
    Failure { exit, error: error.into() }
}

fn export(args: &Export) -> Outcome {
    let path = args.log.path()?;
    if let Err(error) = verify(&path, None) {
        match error {
            VerifyError::Damaged(fault) if args.even_if_damaged => eprintln!("facewarden: {fault}"),
            VerifyError::Damaged(fault) => {
                let message = format!("{fault}; --even-if-damaged prints what can be read");
                return Err(Failure::new(Exit::Data, message));
            }
            other => return Err(failure(other)),
        }
    }
    let wants = |id: Ulid, at: WallTime| {
        let is_after = match args.since {
            None => true,
            Some(Since::Id(since)) => id > since,
            Some(Since::Time(since)) => at >= since,
        };
        is_after && args.until.is_none_or(|until| at < until)
    };
    let mut out = BufWriter::new(io::stdout().lock());
    match print_events(&path, &wants, &mut out).map_err(failure)? {
        Ok(0) => Ok(Exit::Ok),
        Ok(left_out) => {
            eprintln!("facewarden: {left_out} lines are no entries and were left out");
            Ok(Exit::Ok)
        }
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
        Err(error) => {
            Err(Failure::new(Exit::CannotWrite, format!("cannot write to standard output: {error}")))
        }
    }
}

/// Where the daemon writes its events. `otherwise` says what to do if that is no file.
pub(super) fn configured_log(config: &Path, otherwise: &str) -> Result<PathBuf, Failure> {
    let settings = Config::read(config).map_err(config_failure)?;
    match settings.events.log {
        Some(log) if log.as_os_str() != "-" => Ok(log),
        _ => Err(Failure::new(
            Exit::Usage,
            format!("by {} events are not written to a file: {otherwise}", config.display()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_an_id_or_a_time() {
        assert_eq!(
            "01M84XQ0000000000000000003".parse::<Since>().map(|since| matches!(since, Since::Id(_))),
            Ok(true)
        );
        assert!(matches!("2026-11-23T19:00:00+01:00".parse(), Ok(Since::Time(_))));
        for odd in ["", "yesterday", "01M84XQ", "2026-11-23"] {
            assert!(odd.parse::<Since>().is_err(), "{odd}");
        }
    }
}
