//! What the program says while it works: to standard error, for people and for the journal.

use std::fmt;
use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Compact, Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The variable that sets the level when the command line does not.
pub const VARIABLE: &str = "FACEWARDEN_LOG";
const DEFAULT_LEVEL: &str = "info";

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level is none.
    #[error(
        "\"{level}\" from {from} is no log level: use error, warn, info, debug, trace, off, or a list such as \
         \"info,facewarden::camera=debug\""
    )]
    Level {
        /// What was given.
        level: String,
        /// Where.
        from: &'static str,
    },
    /// It has begun already.
    #[error("logging has begun already")]
    Twice,
}

/// Begins to log to standard error. The level is `level` (from `--log-level`), else the variable
/// `FACEWARDEN_LOG`, else `info`. A single word is the level of this program; of the libraries it uses, only
/// warnings and errors are shown. A list is taken as it is.
///
/// Lines have no colours unless standard error is a terminal. If it is the journal, each begins with its
/// priority and without the time, which the journal has itself.
///
/// # Errors
/// [`LoggingError`].
pub fn begin(level: Option<&str>) -> Result<(), LoggingError> {
    let from_environment = std::env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned());
    let filter = filter(level, from_environment.as_deref())?;
    let stderr = io::stderr();
    let is_journal = is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref());
    let is_terminal =
        stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(is_terminal && !is_journal)
        // It would report a closed standard error by writing to standard error, which panics.
        .log_internal_errors(false);
    let begun = if is_journal {
        builder
            .event_format(ForJournal(Format::default().compact().without_time().with_level(false)))
            .try_init()
    } else {
        builder.compact().try_init()
    };
    begun.map_err(|_| LoggingError::Twice)
}

/// Of libraries only warnings; the MQTT library calls it an error when a broker hangs up, and its sink says so better.
const OTHERS: &str = "warn,rumqttc=off";

fn filter(level: Option<&str>, variable: Option<&str>) -> Result<EnvFilter, LoggingError> {
    let (level, from) = match (level, variable.map(str::trim).filter(|value| !value.is_empty())) {
        (Some(level), _) => (level.trim(), "--log-level"),
        (None, Some(level)) => (level, VARIABLE),
        (None, None) => (DEFAULT_LEVEL, "the default"),
    };
    let directives = match level.to_ascii_lowercase().as_str() {
        word @ ("off" | "error") => word.to_owned(),
        word @ ("warn" | "info" | "debug" | "trace") => format!("{OTHERS},facewarden={word}"),
        // A word alone would be taken for the name of a library.
        word if word.chars().all(char::is_alphanumeric) => {
            return Err(LoggingError::Level { level: level.to_owned(), from });
        }
        _ => level.to_owned(),
    };
    EnvFilter::builder().parse(directives).map_err(|_| LoggingError::Level { level: level.to_owned(), from })
}

/// Whether standard error goes to the journal: `JOURNAL_STREAM` is `device:inode` of where it went at the start,
/// and may have been redirected since.
fn is_journal(stream: Option<&str>) -> bool {
    let Some((device, inode)) = stream.and_then(|stream| stream.split_once(':')) else { return false };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    device.parse() == Ok(stderr.dev()) && inode.parse() == Ok(stderr.ino())
}

/// Puts the priority in front as `sd-daemon(3)` has it, so that `journalctl -p warning` works.
struct ForJournal(Format<Compact, ()>);

impl<S, N> FormatEvent<S, N> for ForJournal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// The number that syslog has for a level.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn the_command_line_wins_over_the_variable_and_the_variable_over_the_default() {
        let shown = |level, variable| filter(level, variable).unwrap().to_string();
        assert!(shown(None, None).contains("facewarden=info"));
        assert!(shown(None, Some("")).contains("facewarden=info"));
        assert!(shown(None, Some("DEBUG")).contains("facewarden=debug"));
        assert!(shown(Some("trace"), Some("error")).contains("facewarden=trace"));
        assert_eq!(shown(Some("error"), None), "error");
        assert!(shown(Some("info,facewarden::camera=debug"), None).contains("facewarden::camera=debug"));
    }

    #[test]
    fn what_is_no_level_is_an_error_that_says_where_it_came_from() {
        for (level, variable, from) in
            [(Some("verbose"), None, "--log-level"), (None, Some("facewarden=loud"), "FACEWARDEN_LOG")]
        {
            let error = filter(level, variable).unwrap_err().to_string();
            assert!(error.contains(from) && error.contains("debug"), "{error}");
        }
    }

    #[test]
    fn the_journal_is_known_by_its_device_and_inode() {
        let stderr = std::fs::metadata("/proc/self/fd/2").unwrap();
        assert!(is_journal(Some(&format!("{}:{}", stderr.dev(), stderr.ino()))));
        assert!(!is_journal(Some(&format!("{}:{}", stderr.dev(), stderr.ino() + 1))));
        assert!(!is_journal(Some("nonsense")));
        assert!(!is_journal(None));
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn journal_lines_carry_their_priority_and_no_time() {
        let lines = Lines::default();
        let sink = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || sink.clone())
            .event_format(ForJournal(Format::default().compact().without_time().with_level(false)))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(camera = "door", "no frames");
            tracing::info!("watching");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("<4>") && lines[0].contains("no frames"), "{text}");
        assert!(lines[0].contains("camera=\"door\""), "{text}");
        assert!(lines[1].starts_with("<6>") && lines[1].contains("watching"), "{text}");
    }
}
