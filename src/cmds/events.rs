//! `facewarden events`: the events of a running daemon, from its socket.

use std::io::{self, BufRead, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::Deserialize;
use ulid::Ulid;

use super::exit::{Exit, Failure, OrExit, Outcome};
use super::{DEFAULT_CONFIG, config_failure};
use crate::config::Config;
use crate::sys::signals::{self, Shutdown};

/// With `--reconnect`: how long is waited before the daemon is looked for again.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);
/// It is looked so often whether Ctrl-C was pressed.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// No line of a stream is longer.
const MAX_LINE_BYTES: usize = 1_000_000;

/// Arguments of `events`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// Go on printing events as they come; without this, those that the daemon keeps are printed and that is all
    #[arg(long)]
    follow: bool,
    /// Only what came after this event. Without this, `--follow` begins now, and without `--follow` everything is printed
    #[arg(long, value_name = "ID")]
    since: Option<Ulid>,
    /// When the daemon ends, wait for the next one and go on after the last event that was printed
    #[arg(long, requires = "follow")]
    reconnect: bool,
    /// The daemon's socket [default: `events.socket.path` of the configuration]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

const EXIT_CODES: &str = "\
Exit codes: 0 everything was printed, or Ctrl-C ended it; 69 there is no daemon, or it has ended; 77 the socket may not be
opened.";

/// A line that is about the stream and no event.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    id: Option<Ulid>,
    #[serde(default)]
    message: Option<String>,
}

/// How one connection ended.
enum End {
    /// All that was asked for was printed.
    Complete,
    /// Ctrl-C, or nobody reads what is printed.
    Enough,
    /// The daemon has gone, or does not want to go on; why.
    Lost(String),
}

/// Prints what the daemon tells.
///
/// # Errors
/// [`Exit::Unavailable`] if there is no daemon or it ends, [`Exit::Permission`] if the socket may not be opened.
pub fn run(args: &Args) -> Outcome {
    let path = socket(args)?;
    let shutdown = Shutdown::new();
    let _signals = signals::watch(shutdown.clone()).or_exit(Exit::Internal)?;
    let mut last = args.since;
    // The first daemon must be there; later ones are waited for.
    let mut is_first = true;
    loop {
        let end = match connect(&path) {
            Ok(stream) => follow(stream, args, &mut last, &shutdown)?,
            Err(failure) if is_first || failure.exit == Exit::Permission => return Err(failure),
            Err(_) => End::Lost(String::new()),
        };
        is_first = false;
        match end {
            End::Complete | End::Enough => return Ok(Exit::Ok),
            End::Lost(why) if !args.reconnect => return Err(Failure::new(Exit::Unavailable, why)),
            End::Lost(why) if why.is_empty() => (),
            End::Lost(why) => eprintln!("facewarden: {why}; waiting for it to come back"),
        }
        if shutdown.sleep(RECONNECT_AFTER) {
            return Ok(Exit::Ok);
        }
    }
}

fn socket(args: &Args) -> Result<PathBuf, Failure> {
    if let Some(path) = &args.socket {
        return Ok(path.clone());
    }
    let config = Config::read(&args.config).map_err(config_failure)?;
    let missing = || {
        let message = format!(
            "by {} the daemon has no socket: add `events: {{ socket: {{}} }}`, or name one with --socket",
            args.config.display()
        );
        Failure::new(Exit::Unavailable, message)
    };
    Ok(config.events.socket.ok_or_else(missing)?.path)
}

fn connect(path: &Path) -> Result<UnixStream, Failure> {
    UnixStream::connect(path).map_err(|error| {
        let at = path.display();
        match error.kind() {
            io::ErrorKind::PermissionDenied => Failure::new(
                Exit::Permission,
                format!("the socket {at} may not be opened: {error}; `events.socket.mode` and `group` say who may"),
            ),
            io::ErrorKind::NotFound => Failure::new(
                Exit::Unavailable,
                format!("there is no socket {at}: is the daemon running, and `events.socket` in its configuration?"),
            ),
            io::ErrorKind::ConnectionRefused => Failure::new(
                Exit::Unavailable,
                format!("nobody answers at the socket {at}: start the daemon with `facewarden run`"),
            ),
            _ => Failure::new(Exit::Unavailable, format!("the socket {at} cannot be opened: {error}")),
        }
    })
}

/// Prints what comes over one connection. `last` is where to begin, and then the last event that was printed.
fn follow(
    mut stream: UnixStream,
    args: &Args,
    last: &mut Option<Ulid>,
    shutdown: &Shutdown,
) -> Result<End, Failure> {
    let request = match last {
        Some(id) => serde_json::json!({ "since": id.to_string(), "follow": args.follow }),
        None => serde_json::json!({ "all": !args.follow, "follow": args.follow }),
    };
    // Who is refused may be hung up on before it could ask; why comes in what is read.
    drop(stream.write_all(format!("{request}\n").as_bytes()));
    stream.set_nonblocking(true).or_exit(Exit::Internal)?;
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    let lost = || Ok(End::Lost("the daemon has ended".to_owned()));
    loop {
        if shutdown.is_requested() {
            return Ok(End::Enough);
        }
        match reader.read_until(b'\n', &mut line) {
            Ok(_) if line.ends_with(b"\n") => {
                if let Some(end) = take(&line, last)? {
                    return Ok(end);
                }
                line.clear();
            }
            Ok(_) => return lost(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // That nobody reads standard output any more is told without being asked for.
                let stdout = io::stdout();
                let mut on =
                    [PollFd::new(&stdout, PollFlags::empty()), PollFd::new(reader.get_ref(), PollFlags::IN)];
                match poll(&mut on, Some(&GLANCE)) {
                    Ok(_) | Err(Errno::INTR) => (),
                    Err(error) => return Err(error).or_exit(Exit::Internal),
                }
                if on.first().is_some_and(|out| out.revents().contains(PollFlags::ERR)) {
                    return Ok(End::Enough);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(_) => return lost(),
        }
        if line.len() > MAX_LINE_BYTES {
            return Ok(End::Lost("what answers is no daemon: it sends a line without an end".to_owned()));
        }
    }
}

/// Prints an event, or acts on what is said of the stream.
fn take(text: &[u8], last: &mut Option<Ulid>) -> Result<Option<End>, Failure> {
    let Ok(line) = serde_json::from_slice::<Line>(text) else {
        return Ok(Some(End::Lost(
            "what answers is no daemon: it sends something else than events".to_owned(),
        )));
    };
    let message = line.message.unwrap_or_default();
    match line.kind.as_str() {
        "stream.end" => return Ok(Some(End::Complete)),
        "stream.closed" => return Ok(Some(End::Lost("the daemon has ended".to_owned()))),
        "stream.gap" => {
            eprintln!("facewarden: {message}");
            return Ok(None);
        }
        kind if kind.starts_with("stream.") => {
            return Ok(Some(End::Lost(format!("the daemon does not go on: {message}"))));
        }
        _ => (),
    }
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => {
            *last = line.id.or(*last);
            Ok(None)
        }
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Some(End::Enough)),
        Err(error) => {
            Err(Failure::new(Exit::CannotWrite, format!("cannot write to standard output: {error}")))
        }
    }
}
