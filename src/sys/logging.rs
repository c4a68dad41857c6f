//! What the program says while it works: to standard error, for people and for the journal.

use std::io::{self, IsTerminal, Write as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::journal;

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

/// Begins to log. The level is `level` (from `--log-level`), else the variable
/// `FACEWARDEN_LOG`, else `info`. A single word is the level of this program; of the libraries it uses, only
/// warnings and errors are shown. A list is taken as it is.
///
/// Lines go to standard error, without colours unless it is a terminal. Where standard error is the journal, they go to the
/// journal itself, with their fields; if that cannot be reached, to standard error with their priority in front.
///
/// # Errors
/// [`LoggingError`].
pub fn begin(level: Option<&str>) -> Result<(), LoggingError> {
    let from_environment = std::env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned());
    let filter = filter(level, from_environment.as_deref())?;
    let is_journal = journal::is_stderr(std::env::var("JOURNAL_STREAM").ok().as_deref());
    if is_journal && let Ok(journal) = journal::layer() {
        return tracing_subscriber::registry()
            .with(filter)
            .with(journal)
            .try_init()
            .map_err(|_| LoggingError::Twice);
    }
    let is_terminal =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(is_terminal && !is_journal)
        // It would report a closed standard error by writing to standard error, which panics.
        .log_internal_errors(false);
    let begun = if is_journal {
        builder.event_format(journal::WithPriority::new()).try_init()
    } else {
        builder.compact().try_init()
    };
    begun.map_err(|_| LoggingError::Twice)
}

/// Says on standard error why the program ends. Where nobody hears it (a terminal that was closed), nothing happens.
pub fn last_words(text: &str) {
    let is_journal = journal::is_stderr(std::env::var("JOURNAL_STREAM").ok().as_deref());
    // The priority of an error, which the journal takes off again.
    let priority = if is_journal { "<3>" } else { "" };
    drop(writeln!(io::stderr(), "{priority}facewarden: {text}"));
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

#[cfg(test)]
mod tests {
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
}
